"""All runs below a folder in one table: what they reached, and the settings in which they differ."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seq2seq.config import TASKS, leaves, value_text
from seq2seq.errors import DataError, Seq2SeqError
from seq2seq.evaluate.page import render_page
from seq2seq.evaluate.runs import LOWER, Run, SetScore, duration, is_number, metric_name, read_run, score_text

MARKS = ("status.json", "recipe.yaml")  # one of them makes a folder one to look into
INSIDE = ("checkpoints", "best", "tensorboard")  # folders of a run that hold no runs
OUTPUTS = ("output", "data.cache")  # settings that tell only where files lie
FIRST = ("bleu", "chrf", "loss", "perplexity", "bits_per_byte")  # scores in the order of their columns
TITLES = {"translation": "Translation", "language_model": "Language models"}
SORTED_BY = {"translation": "bleu", "language_model": "loss"}
NONE = "–"  # noqa: RUF001 (a dash)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: what `--sort` calls it.
        title: its head.
        kind: `fact`, `score`, `test` or `setting`.
        lower: whether the lowest value is the best; None: values are put in ascending order, and none is the best.
        note: what a test score belongs to.
    """

    key: str
    title: str
    kind: str
    lower: bool | None = None
    note: str = ""

    @property
    def is_text(self) -> bool:
        """Whether its cells begin on the left."""
        return self.kind in ("fact", "setting") and self.key not in ("step", "time")


@dataclass(frozen=True)
class Cell:
    """A value as people read it, and as it is sorted: numbers in front of text, None last."""

    text: str
    value: float | str | None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """The runs of one task.

    Attributes:
        task: of the recipes.
        columns: of all rows.
        rows: a run and its cells.
        notes: what a reader must know to compare them.
        sorted_by: key of the column that the rows are sorted by.
    """

    task: str
    columns: list[Column]
    rows: list[tuple[Run, list[Cell]]]
    notes: list[str]
    sorted_by: str = "run"

    @property
    def title(self) -> str:
        """The task in words."""
        return TITLES[self.task]

    @property
    def summary(self) -> str:
        """How many runs there are, and the best of them."""
        text = f"{self.title}: {len(self.rows):,} run{'s' * (len(self.rows) > 1)}"
        names = [column.key for column in self.columns]
        if (key := SORTED_BY[self.task]) not in names:
            return f"{text}, none of them validated yet."
        i = names.index(key)
        rows = [cells for _, cells in self.rows if isinstance(cells[i].value, float)]
        best = min(rows, key=lambda cells: _order(self.columns[i], cells[i]))
        which = "lowest" if self.columns[i].lower else "highest"
        return f"{text}. The {which} {metric_name(key)} in validation is {best[i].text}, of {best[0].text}."

    def record(self) -> list[dict[str, Any]]:
        """Returns the runs for JSON."""
        found = []
        for run, cells in self.rows:
            best = run.best()
            tests = [
                {"test": one.test, "metric": one.metric, "score": one.value, "signature": one.signature,
                 "sha256": one.sha256.split()}
                for one in run.tests()
            ]  # fmt: skip
            row = {
                "run": cells[0].text,
                "state": run.state,
                "step": run.step,
                "seconds": run.seconds,
                "best": {"step": best.step, "average": best.average, **best.values} if best else None,
                "tests": tests,
            }
            settings = [i for i, column in enumerate(self.columns) if column.kind == "setting"]
            row["settings"] = {self.columns[i].key: cells[i].text for i in settings}
            found.append(row)
        return found


@dataclass(frozen=True)
class Leaderboard:
    """All runs below a folder.

    Attributes:
        folder: where they were looked for.
        tables: one for each task that there are runs of.
        told: folders that were skipped, and why, and what could not be read of others.
    """

    folder: Path
    tables: list[Table]
    told: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {**{table.task: table.record() for table in self.tables}, "told": self.told}

    def html(self, path: Path, command: str) -> str:
        """Returns it as one HTML page; all text of users is escaped.

        Args:
            path: where the page will lie, for links to the reports of runs.
            command: that made it.
        """

        def link(run: Run) -> str:
            report = run.path / "report.html"
            if not report.is_file():
                return ""
            return "./" + quote(os.fsencode(os.path.relpath(report.resolve(), path.absolute().parent.resolve())))

        return render_page("leaderboard.html", board=self, command=command, link=link)


def make_leaderboard(folder: Path, sort: str | None = None) -> Leaderboard:
    """Gathers all runs below a folder.

    Args:
        folder: looked through whatever the depth; what links lead to counts once.
        sort: key of a column; None: by the score that counts most.

    Raises:
        DataError: there is no such folder, or no run below it.
        Seq2SeqError: no table has a column of that key.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: {'is no folder' if folder.exists() else 'no such folder'}")
    told: list[str] = []
    runs: dict[str, list[tuple[str, Run]]] = {task: [] for task in TASKS}
    for path in find_runs(folder, told):
        name = path.relative_to(folder).as_posix()
        run = read_run(path)
        if run.settings is None or run.state == "unknown":
            reasons = run.faults or ["status.json: tells no state"]
            told.append(f"{path}: skipped: {_first_line(reasons[0])}")
            continue
        told += [f"{path}: {_first_line(fault)}" for fault in run.faults]
        runs[run.settings.task].append((name, run))
    if not any(runs.values()):
        raise DataError("\n".join([f"{folder}: no run folder below it", *told]))
    tables = [_table(task, found) for task, found in runs.items() if found]
    return Leaderboard(folder, _sorted(tables, sort), told)


def find_runs(folder: Path, told: list[str]) -> Iterator[Path]:
    """Yields the folders below one that look like runs, itself included; those behind links last, none twice."""
    seen: set[tuple[int, int]] = set()
    folders, links = [folder], list[Path]()
    while folders or links:
        path = folders.pop(0) if folders else links.pop(0)
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            told.append(f"{path}: skipped: {error.strerror}")
            continue
        is_run = any(entry.name in MARKS for entry in entries)
        if is_run:
            yield path
        for entry in entries:
            if entry.name.startswith(".") or (is_run and entry.name in INSIDE):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.is_symlink() and entry.is_dir():
                links.append(Path(entry.path))


def _table(task: str, runs: Sequence[tuple[str, Run]]) -> Table:
    bests = [run.best() for _, run in runs]
    tests = [run.tests() for _, run in runs]
    settings = [leaves(run.settings) for _, run in runs if run.settings]
    rows = [
        [Cell(name, name), Cell(run.state, run.state), Cell(f"{run.step:,}", run.step),
         Cell(duration(run.seconds), run.seconds)]
        for name, run in runs
    ]  # fmt: skip
    columns = [Column(key, key, "fact") for key in ("run", "state", "step", "time")]
    scores = {key for best in bests if best for key in best.values}
    for key in sorted(scores, key=lambda key: (FIRST.index(key) if key in FIRST else len(FIRST), key)):
        columns.append(Column(key, metric_name(key), "score", key.partition("/")[0] in LOWER))
        values = [best.values.get(key) if best else None for best in bests]
        _add(rows, [_score(key, value) for value in values])
    for column, identity in _test_columns(tests):
        columns.append(column)
        found = [next((one for one in of_run if _identity(one) == identity), None) for of_run in tests]
        _add(rows, [_score(one.metric, one.value) if one else Cell(NONE, None) for one in found])
    for key in dict.fromkeys(key for of_run in settings for key in of_run):
        cells = [_setting(of_run[key]) if key in of_run else Cell(NONE, None) for of_run in settings]
        if key not in OUTPUTS and len({cell.text for cell in cells}) > 1:
            columns.append(Column(key, key, "setting"))
            _add(rows, cells)
    kept = [(run, row) for (_, run), row in zip(runs, rows, strict=True)]
    notes = _notes([run for _, run in runs])
    if any(column.key.startswith("tokenizer.") for column in columns):
        notes.append("Tokenizers differ, and losses per token then do not compare; bits per byte and BLEU do.")
    return Table(task, columns, _with_best(columns, kept), notes)


def _add(rows: list[list[Cell]], cells: Sequence[Cell]) -> None:
    for row, cell in zip(rows, cells, strict=True):
        row.append(cell)


def _score(metric: str, value: float | None) -> Cell:
    return Cell(NONE, None) if value is None else Cell(score_text(metric, value), value)


def _setting(value: object) -> Cell:
    text = value_text(value)
    return Cell(text, value if is_number(value) else text)


def _identity(score: SetScore) -> tuple[str, ...]:
    """What two scores must share to stand in one column: the test set, by its content where it is known."""
    return score.metric, score.sha256 or score.test, score.signature


def _test_columns(tests: Sequence[Sequence[SetScore]]) -> Iterator[tuple[Column, tuple[str, ...]]]:
    """Yields a column for each test set, metric and signature, and what its scores have in common."""
    firsts: dict[tuple[str, ...], SetScore] = {}
    for of_run in tests:
        for one in of_run:
            firsts.setdefault(_identity(one), one)
    count: dict[str, int] = {}
    for number, (identity, one) in enumerate(firsts.items(), 1):
        count[one.metric] = count.get(one.metric, 0) + 1
        key = f"test/{one.metric}" + (f".{count[one.metric]}" if count[one.metric] > 1 else "")
        content = f"SHA-256 {one.sha256}" if one.sha256 else "content not known"
        note = f"{metric_name(one.metric)} on {one.test} ({content}); {one.signature}"
        title = f"test {metric_name(one.metric)} [{number}]"
        yield Column(key, title, "test", one.metric.partition("/")[0] in LOWER, f"[{number}] {note}"), identity


def _with_best(columns: Sequence[Column], rows: Sequence[tuple[Run, list[Cell]]]) -> list[tuple[Run, list[Cell]]]:
    """Marks the best scores of each column, where there are several."""
    marked = [list(cells) for _, cells in rows]
    for i, column in enumerate(columns):
        values = [value for _, cells in rows if isinstance(value := cells[i].value, float)]
        if column.lower is None or len(values) < 2:
            continue
        best = min(values) if column.lower else max(values)
        for cells in marked:
            if cells[i].value == best:
                cells[i] = Cell(cells[i].text, best, True)
    return [(run, cells) for (run, _), cells in zip(rows, marked, strict=True)]


def _notes(runs: Sequence[Run]) -> list[str]:
    """Says what validation scores are, and whether they were measured on the same text."""
    notes = ["The first scores are those of the best model (by train.best_metric) in validation."]
    sets = set()
    for run in runs:
        assert run.settings
        data = run.settings.data
        names = run.names(data.valid_corpora)
        if not names:  # a share of the training text
            names = run.names(data.train)
        sets.add(tuple(run.hashes(name) or name for name in names))
    if len(sets) > 1:
        notes.append("Not all runs were validated on the same text: their validation scores do not compare.")
    return notes


def _sorted(tables: Sequence[Table], sort: str | None) -> list[Table]:
    keys = dict.fromkeys(column.key for table in tables for column in table.columns)
    if sort is not None and sort not in keys:
        near = get_close_matches(sort, keys, 1)
        meant = f"; did you mean {near[0]}?" if near else "."
        raise Seq2SeqError(f"--sort {sort}: no such column{meant} There are: {', '.join(keys)}")
    found = []
    for table in tables:
        names = [column.key for column in table.columns]
        key = next((key for key in (sort, SORTED_BY[table.task]) if key in names), "run")
        i = names.index(key)
        ordered = sorted((_order(table.columns[i], row[1][i]), row[1][0].text, n) for n, row in enumerate(table.rows))
        found.append(replace(table, rows=[table.rows[n] for *_, n in ordered], sorted_by=key))
    return found


def _order(column: Column, cell: Cell) -> tuple[int, float, str]:
    """Returns what cells are sorted by: the best numbers first, then text, then nothing."""
    if cell.value is None:
        return 2, 0.0, ""
    if isinstance(cell.value, str):
        return 1, 0.0, cell.value
    return 0, -cell.value if column.lower is False else cell.value, ""


def _first_line(text: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return f"{first} (and more)" if rest else first
