"""Run folders as they can be read at any time: running, finished, interrupted or failed; nothing of them is changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from seq2seq.config import AnyDataset, Settings, load_recipe
from seq2seq.errors import DataError, RecipeError
from seq2seq.evaluate.starts import Start, read_starts
from seq2seq.files import parse_json, read_bytes, read_json

LARGEST = 2**30  # bytes of metrics.jsonl or samples.jsonl
LARGEST_NUMBER = 1e300  # sums and differences of which are finite
DIVERGED = 5  # the exit code that status.json tells of a run that has diverged
STATES = ("running", "finished", "interrupted", "failed")
FILES = ("source", "target", "tsv", "jsonl", "text", "dataset")  # keys of a corpus that name it
LOWER = ("loss", "perplexity", "bits_per_byte")  # metrics of which less is better
NOT_KEPT = "the run keeps no signature"
NAMES = {"bleu": "BLEU", "chrf": "chrF", "bits_per_byte": "bits per byte"}

Event = dict[str, float]


@dataclass(frozen=True)
class Best:
    """What the best model of a run has reached in validation.

    Attributes:
        step: after which it stood so.
        average: whether it is the average of the last checkpoints.
        values: by metric, such as `bleu` and `loss`.
    """

    step: int
    average: bool
    values: Event


@dataclass(frozen=True)
class SetScore:
    """A score of a run's best model on a test set, and what it is.

    Attributes:
        test: the test set.
        metric: its name, as in metrics.jsonl.
        value: the score.
        signature: how it was computed, or that this is not known.
        sha256: of the test set's files, as far as the run has recorded them.
    """

    test: str
    metric: str
    value: float
    signature: str
    sha256: str = ""

    @property
    def text(self) -> str:
        """The score with as many digits as it is told with elsewhere."""
        return score_text(self.metric, self.value)

    @property
    def short(self) -> str:
        """The test set without its folders."""
        return " | ".join(part.strip().rpartition("/")[2] for part in self.test.split(" | "))


@dataclass(frozen=True)
class Run:
    """What a run folder says.

    Attributes:
        path: the folder.
        status: status.json; empty if there is none.
        settings: the recipe; None if it cannot be read.
        recipe: its text.
        events: metrics.jsonl, finite numbers alone.
        samples: samples.jsonl: step, what was measured (`valid`, `average`), and texts by their names.
        starts: run.json: each start of the run.
        faults: what could not be read, and why.
    """

    path: Path
    status: Mapping[str, Any]
    settings: Settings | None
    recipe: str
    events: Sequence[Event]
    samples: Sequence[tuple[int, str, list[dict[str, str]]]] = ()
    starts: Sequence[Start] = ()
    faults: Sequence[str] = field(default=())

    @property
    def state(self) -> str:
        """`running`, `finished`, `interrupted`, `diverged`, `failed` or `unknown`."""
        state = self.status.get("state")
        if state == "failed" and self.status.get("exit_code") == DIVERGED:
            return "diverged"
        return state if state in STATES else "unknown"

    @property
    def step(self) -> int:
        """The last step that anything is known of: status.json of a running run tells where it has started."""
        told = self.status.get("step")
        steps = [int(event["step"]) for event in self.events]
        return max([*steps, told if isinstance(told, int) and told >= 0 else 0])

    @property
    def seconds(self) -> float:
        """That were spent in training, over all starts."""
        return max((event["seconds"] for event in self.events if "seconds" in event), default=0.0)

    @property
    def best_metric(self) -> str:
        """By which the best model is chosen."""
        return self.settings.train.best_metric if self.settings else "loss"

    def points(self, key: str) -> list[tuple[float, float]]:
        """Returns (step, value) of each event that has a value, in the order of the steps."""
        return sorted((event["step"], event[key]) for event in self.events if key in event)

    def best(self) -> Best | None:
        """Returns what the best model has reached; None before the first validation."""
        found: Best | None = None
        for event in self.events:
            for what in ("valid", "average"):
                values = {key.removeprefix(f"{what}/"): x for key, x in event.items() if key.startswith(f"{what}/")}
                values.pop("seconds", None)
                value = values.get(self.best_metric)
                if value is None:
                    continue
                sign = -1 if self.best_metric in LOWER else 1
                if found is None or sign * value > sign * found.values[self.best_metric]:
                    found = Best(int(event["step"]), what == "average", values)
        return self._told_best(found)

    def _told_best(self, found: Best | None) -> Best | None:
        """Returns what status.json tells instead, if it does: a resume cuts off the event of an average."""
        value, step = self.status.get(f"best_{self.best_metric}"), self.status.get("best_step")
        if not is_number(value) or not isinstance(step, int) or (found and found.values[self.best_metric] == value):
            return found
        return Best(step, True, {self.best_metric: float(value)})

    def tests(self) -> list[SetScore]:
        """Returns the test scores of the best model, each with what it belongs to."""
        sets = self.status.get("tests")
        if isinstance(sets, list):
            return list(self._told_tests(sets))
        names = self._test_names()
        values = {key.removeprefix("test/"): value for key, value in self.status.items() if key.startswith("test/")}
        mean = f"mean of {len(names)} sets: " if len(names) > 1 else ""
        return [
            SetScore(mean + ", ".join(names), key, float(value), NOT_KEPT, self.hashes(" | ".join(names)))
            for key, value in values.items()
            if is_number(value)
        ]

    def _told_tests(self, sets: Sequence[Any]) -> Iterator[SetScore]:
        for one in sets:
            if not isinstance(one, Mapping) or not isinstance(one.get("metrics"), Mapping):
                continue
            name = " ".join(str(one[key]) for key in ("name", "direction") if one.get(key))
            digest = self.hashes(str(one.get("name")))
            for metric, row in one["metrics"].items():
                if isinstance(row, Mapping) and is_number(row.get("score")):
                    signature = str(row.get("signature") or NOT_KEPT)
                    yield SetScore(name, str(metric).lower(), float(row["score"]), signature, digest)

    def _test_names(self) -> list[str]:
        return self.names(self.settings.data.test_corpora) if self.settings else ["an unknown test set"]

    def names(self, corpora: Sequence[object]) -> list[str]:
        """Returns the files of corpora with the folder that the recipe has them in, or datasets."""
        root = Path(self.settings.data.root if self.settings else "")
        return [
            name if isinstance(corpus, AnyDataset) else " | ".join(str(root / part) for part in name.split(" | "))
            for corpus in corpora
            for name in [corpus_name(corpus)]
        ]

    def hashes(self, name: str) -> str:
        """Returns how the SHA-256 of each file of a name begins, as the last start has found them; empty if unknown."""
        parts = [part for files in name.split(" | ") for part in files.split(", ")]
        found = {source.name: source.sha256 for start in self.starts[-1:] for source in start.sources if source.sha256}
        return " ".join(found[part][:16] for part in parts) if all(part in found for part in parts) else ""


def read_run(path: Path) -> Run:
    """Reads a run folder, also one that is young, damaged or of another version.

    Raises:
        DataError: it is no run folder.
    """
    if not path.is_dir():
        raise DataError(f"{path}: {'is no folder' if path.exists() else 'no such folder'}")
    if not any((path / name).is_file() for name in ("status.json", "recipe.yaml", "metrics.jsonl")):
        raise DataError(f"{path}: not a run folder (no status.json, recipe.yaml or metrics.jsonl)")
    faults: list[str] = []
    status = _mapping(path / "status.json", faults)
    starts = _mapping(path / "run.json", faults, must=False).get("starts")
    settings, text = _recipe(path / "recipe.yaml", faults)
    return Run(
        path,
        status,
        settings,
        text,
        list(_events(path / "metrics.jsonl", faults)),
        list(_samples(path / "samples.jsonl", faults)),
        read_starts(starts),
        faults,
    )


def is_number(value: object) -> TypeGuard[float]:
    """Says whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < LARGEST_NUMBER  # not so of NaN


def corpus_name(corpus: object) -> str:
    """Returns the files of a corpus as the recipe names them, or its dataset."""
    return " | ".join(str(value) for key in FILES if (value := getattr(corpus, key, None)))


def metric_name(metric: str) -> str:
    """Returns a metric's name as people write it: `bleu/en-de` is `BLEU en-de`."""
    first, _, rest = metric.partition("/")
    return f"{NAMES.get(first, first.replace('_', ' '))} {rest}".strip()


def score_text(metric: str, value: float) -> str:
    """Returns a score with as many digits as its metric deserves."""
    return f"{value:.4f}" if metric.partition("/")[0] in LOWER else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Returns hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:,}:{minutes % 60:02}:{rest:02}"


def _mapping(path: Path, faults: list[str], must: bool = True) -> dict[str, Any]:
    """Returns what a JSON file holds; nothing if it is damaged or, as a fault where it `must` be, not there."""
    try:
        found = read_json(path)
        if not isinstance(found, dict):
            raise ValueError("holds no object")
        return found
    except FileNotFoundError:
        faults += [f"{path.name}: missing"] * must
    except (OSError, ValueError) as error:
        faults.append(f"{path.name}: cannot be read: {error}")
    return {}


def _recipe(path: Path, faults: list[str]) -> tuple[Settings | None, str]:
    try:
        text = read_bytes(path, 2**20).decode("utf-8", "replace")
    except FileNotFoundError:
        faults.append(f"{path.name}: missing")
        return None, ""
    except (OSError, ValueError) as error:
        faults.append(f"{path.name}: cannot be read: {error}")
        return None, ""
    try:
        return load_recipe(path).settings, text
    except RecipeError as error:
        faults.append(f"{path.name}: damaged, or of another version: {error}")
        return None, text


def _rows(path: Path, faults: list[str]) -> Iterator[dict[str, Any]]:
    """Yields the objects of a file of JSON lines that have a step; the last line may be being written just now."""
    try:
        lines = read_bytes(path, LARGEST).split(b"\n")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        faults.append(f"{path.name}: cannot be read: {error}")
        return
    bad = 0
    for line in filter(None, lines[:-1]):
        try:
            row = parse_json(line.decode())
            if not 0 <= row["step"] < 2**53:
                raise ValueError
            yield row
        except (ValueError, KeyError, TypeError):
            bad += 1
    if bad:
        faults.append(f"{path.name}: {bad:,} line{'s' * (bad > 1)} cannot be read")


def _events(path: Path, faults: list[str]) -> Iterator[Event]:
    for row in _rows(path, faults):
        event = {str(key): float(value) for key, value in row.items() if is_number(value)}
        if "step" in event:
            yield event


def _samples(path: Path, faults: list[str]) -> Iterator[tuple[int, str, list[dict[str, str]]]]:
    for row in _rows(path, faults):
        for key, samples in row.items():
            what, _, name = key.partition("/")
            if name == "samples" and isinstance(samples, list):
                texts = [
                    {str(part): str(text) for part, text in one.items()} for one in samples if isinstance(one, Mapping)
                ]
                yield int(row["step"]), what, texts
