"""The report on a training: what a run folder says, as plain data, and one HTML file of it that needs nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path
from statistics import median

from seq2seq.config import TranslationSettings, chosen_settings, settings_to_yaml, value_text
from seq2seq.errors import Seq2SeqError
from seq2seq.evaluate.charts import Chart, Mark, Series, draw
from seq2seq.evaluate.page import render_page
from seq2seq.evaluate.runs import LOWER, Run, SetScore, corpus_name, duration, metric_name, score_text
from seq2seq.files import check_head, read_json, read_manifest

AVERAGE = "average of the last checkpoints"
UNITS = {"loss": "nats per token", "bleu": "BLEU, 0 to 100", "chrf": "chrF, 0 to 100", "perplexity": "per token"}
UNITS |= {"bits_per_byte": "bits per UTF-8 byte"}
SPREADING = ("loss", "perplexity", "gradient_norm")  # a logarithmic axis may show more of these
CURVES = {  # of training, beside the loss: title and unit
    "learning_rate": ("Learning rate", ""),
    "tokens_per_second": ("Speed", "target tokens per second"),
    "gradient_norm": ("Gradient norm", "before it is clipped"),
}
NO_CURVE = ("loss", "epoch", "skipped_steps", *CURVES)  # of training, no curves of their own
TIMES = 12  # validations of which samples are shown
SENTENCES = 20  # samples that are followed over time
QUIET = timedelta(hours=1)  # after which a run that says nothing has perhaps ended


@dataclass(frozen=True)
class History:
    """What a model made of a sentence or prompt over time.

    Attributes:
        given: the source and its reference, or the prompt, by their names.
        name: of what the model made: `translation` or `text`.
        rows: when, and the text.
    """

    given: dict[str, str]
    name: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class TrainingReport:
    """All that the page shows.

    Attributes:
        run: what was read.
        title: its name.
        summary: sentences.
        warnings: what a reader should know first.
        facts: names and values.
        charts: curves.
        loss_note: what the training loss counts.
        histories: samples over time.
        left_out: validations whose samples are not shown.
        results: names of columns, then rows: what was measured, and its values.
        tests: test scores.
        chosen: settings that are no defaults: key, value, default.
        settings: all settings as YAML.
        files: of the best model: name, bytes, SHA-256.
        hashes: of settings and tokenizer.
    """

    run: Run
    title: str
    summary: list[str]
    warnings: list[str]
    facts: dict[str, str]
    charts: list[Chart]
    loss_note: str
    histories: list[History]
    left_out: int
    results: tuple[list[str], list[list[str]]]
    tests: list[SetScore]
    chosen: list[tuple[str, str, str]]
    settings: str
    files: list[tuple[str, int, str]]
    hashes: dict[str, str]


def make_training_report(run: Run) -> TrainingReport:
    """Gathers what a report on a run shows."""
    settings = run.settings
    files, hashes, warnings = _manifest(run.path / "best")
    shown, left_out = _shown_samples(run)
    smoothing = settings.train.label_smoothing if isinstance(settings, TranslationSettings) else 0.0
    return TrainingReport(
        run,
        run.path.resolve().name,
        _summary(run),
        [*_alarms(run), *run.faults, *warnings],
        _facts(run),
        [chart for chart in _charts(run) if chart],
        f"The training loss counts label smoothing ({smoothing:g}); the validation loss does not." if smoothing else "",
        _histories(shown),
        left_out,
        _results(run),
        run.tests(),
        [(key, value_text(value), default) for key, value, default in chosen_settings(settings)] if settings else [],
        settings_to_yaml(settings) if settings else run.recipe,
        files,
        hashes,
    )


def render_training_report(report: TrainingReport, command: str) -> str:
    """Returns the report as one HTML page; all text of users is escaped."""
    return render_page("training.html", report=report, run=report.run, command=command, metric_name=metric_name)


def _summary(run: Run) -> list[str]:
    found = [_what_was_trained(run)] if run.settings else []
    best = run.best()
    if best:
        values = ", ".join(f"{metric_name(key)} {score_text(key, value)}" for key, value in best.values.items())
        by = metric_name(run.best_metric)
        which = f" of the {AVERAGE}" if best.average else ""
        found.append(
            f"The best model by {by} is that{which or ' of'} {'after ' if which else ''}step {best.step:,}: {values}."
        )
    elif run.settings:
        every = run.settings.train.validate_every
        found.append(f"There is no validation yet; the first one is due after step {every:,} (train.validate_every).")
    for score in run.tests()[:1]:
        found.append(f"On the test set {score.short} it reaches {metric_name(score.metric)} {score.text}.")
    return [*found, _how_it_stands(run)]


def _what_was_trained(run: Run) -> str:
    settings = run.settings
    assert settings
    names = ", ".join(corpus_name(corpus) for corpus in settings.data.train)
    if isinstance(settings, TranslationSettings):
        pairs = dict.fromkeys(" to ".join(settings.data.languages(corpus)) for corpus in settings.data.train)
        n_encoder, n_decoder = settings.model.stacks
        layers = f"{n_encoder} and {n_decoder} layers"
        what = f"A translation model from {', '.join(pairs)}"
    else:
        layers, what = f"{settings.model.layers} layers", f"A language model on {settings.tokenizer.type}"
    size = f"{layers} of width {settings.model.d_model}"
    return f"{what} ({size}), trained on {names} for {run.step:,} steps in {duration(run.seconds)}."


def _how_it_stands(run: Run) -> str:
    time = _time(run.status.get("time"))
    error = str(run.status.get("error") or "").strip()
    match run.state:
        case "finished":
            return f"The run finished on {time}."
        case "interrupted":
            return f"The run was interrupted after step {run.step:,} on {time}; the same command goes on with it."
        case "diverged":
            return f"The run diverged after step {run.step:,} on {time}."
        case "failed":
            return f"The run failed after step {run.step:,} on {time}: {error or 'status.json does not say why'}"
        case "running":
            return f"The run has been running since {time}, as status.json has it, and has come to step {run.step:,}."
    return "No status.json says how the run stands."


def _alarms(run: Run) -> Iterator[str]:
    if run.state in ("failed", "diverged") and run.status.get("error"):
        yield f"The run {run.state}: {run.status['error']}"
    if run.state == "running":
        names = ("status.json", "metrics.jsonl", "train.log")
        times = [(run.path / name).stat().st_mtime for name in names if (run.path / name).exists()]
        last = datetime.fromtimestamp(max(times), UTC)
        if datetime.now(UTC) - last > QUIET:
            yield f"The run is told to be running, but its files have not changed since {last:%Y-%m-%d %H:%M UTC}."
    empty = sum("train/loss" not in event for event in run.events if any(key.startswith("train/") for key in event))
    if empty:
        yield f"At {empty:,} of the steps that were logged the training loss was not a number."
    skipped = max((event.get("train/skipped_steps", 0) for event in run.events), default=0)
    if skipped:
        yield f"{skipped:,.0f} steps changed nothing, since their loss or gradient was not finite."


def _facts(run: Run) -> dict[str, str]:
    facts = {"state": run.state, "steps": f"{run.step:,}"}
    if run.settings:
        facts["steps"] += f" of at most {run.settings.train.max_steps:,}"
    if epochs := run.points("train/epoch"):
        facts["epoch"] = f"{int(epochs[-1][1]) + 1:,}"
    facts["time in training"] = duration(run.seconds)
    if speeds := [value for _, value in run.points("train/tokens_per_second")]:
        facts["speed"] = f"{median(speeds):,.0f} target tokens per second (median)"
    if n := _parameters(run.path / "best"):
        facts["parameters"] = f"{n:,}"
    if run.starts:
        conditions = run.starts[-1].conditions
        told = [f"{key} {conditions[key]}" for key in ("precision", "threads") if key in conditions]
        facts["computed on"] = ", ".join([run.starts[-1].device, *told])
    if run.settings and run.settings.train.ema_decay:
        decay = run.settings.train.ema_decay
        facts["validated"] = f"the moving average of the weights (train.ema_decay {decay:g})"
    if run.starts:
        facts["started"] = _time(run.starts[0].time)
        facts["starts"] = f"{len(run.starts):,}"
    facts["status written"] = _time(run.status.get("time"))
    return facts


def _parameters(folder: Path) -> int:
    """Returns how many parameters a model has, without torch, which takes a second; 0 if that cannot be read."""
    from safetensors import SafetensorError, safe_open

    path = folder / "model.safetensors"
    try:
        check_head(path)
        with safe_open(path, "numpy") as weights:
            return sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    except (SafetensorError, OSError, ValueError):
        return 0


def _time(text: object) -> str:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return "an unknown day"


def _charts(run: Run) -> Iterator[Chart | None]:
    """Yields the curves: loss, the other scores of validations, then the other numbers of training."""
    metrics = dict.fromkeys(key.partition("/")[2] for event in run.events for key in event if key.startswith("valid/"))
    groups = dict.fromkeys(["loss", *(name.partition("/")[0] for name in metrics if name != "seconds")])
    for group in groups:
        series = [Series("training", _points(run, "train/loss"))] if group == "loss" else []
        for i, name in enumerate(name for name in metrics if name.partition("/")[0] == group):
            of = name.partition("/")[2]
            series.append(Series(f"validation {of}".strip(), _points(run, f"valid/{name}"), i + 1 + (i > 0)))
            series.append(Series(f"{AVERAGE} {of}".strip(), _points(run, f"average/{name}"), i + 2, dots=True))
        series = [one for one in series if one.points]
        title = metric_name(group)
        title = title[:1].upper() + title[1:] if group not in ("bleu", "chrf") else title
        yield draw(title, UNITS.get(group, group), series, _mark(run, group), log=group in SPREADING)
    trained = dict.fromkeys(key.partition("/")[2] for event in run.events for key in event if key.startswith("train/"))
    other = {key: (metric_name(key), "") for key in trained if key not in NO_CURVE}
    for key, (title, unit) in {**CURVES, **other}.items():
        points = _points(run, f"train/{key}", gaps=key in CURVES)
        yield draw(title, unit, [Series(title.lower(), points)] if points else [], log=key in SPREADING)


def _points(run: Run, key: str, gaps: bool = True) -> list[tuple[float, float | None]]:
    """Returns the values of a key by step, None where they were not finite: such are left out of metrics.jsonl."""
    kind = key.partition("/")[0] + "/"
    of_kind = sorted((e for e in run.events if any(name.startswith(kind) for name in e)), key=lambda e: e["step"])
    found = {event["step"]: event.get(key) for event in of_kind if gaps or key in event}
    return list(found.items()) if any(value is not None for value in found.values()) else []


def _mark(run: Run, metric: str) -> Mark | None:
    """Marks the best model where its metric is drawn, and the same step in the other scores of validations."""
    best = run.best()
    if best is None or metric not in best.values:
        return None
    value = best.values[metric]
    text = "best: " if metric == run.best_metric else "of the best model: "
    return Mark(best.step, value, f"{text}{score_text(metric, value)}, step {best.step:,}", metric in LOWER)


def _shown_samples(run: Run) -> tuple[list[tuple[int, str, list[dict[str, str]]]], int]:
    """Returns samples of the first, the last, the best and some more validations, and how many are left out."""
    all_of_them = list(run.samples)
    if len(all_of_them) <= TIMES:
        return all_of_them, 0
    best = run.best()
    chosen = {round(i * (len(all_of_them) - 1) / (TIMES - 2)) for i in range(TIMES - 1)}
    chosen |= {i for i, (step, _, _) in enumerate(all_of_them) if best and step == best.step}
    return [all_of_them[i] for i in sorted(chosen)], len(all_of_them) - len(chosen)


def _histories(samples: Sequence[tuple[int, str, list[dict[str, str]]]]) -> list[History]:
    found: dict[tuple[tuple[str, str], ...], History] = {}
    for step, what, texts in samples:
        when = f"step {step:,}" if what == "valid" else f"{what}, step {step:,}"
        for sample in texts:
            if len(sample) < 2:  # none that a run writes
                continue
            *given, (name, text) = sample.items()
            found.setdefault(tuple(given), History(dict(given), name, [])).rows.append((when, text))
    return list(found.values())[:SENTENCES]


def _results(run: Run) -> tuple[list[str], list[list[str]]]:
    """Returns a table of validations: the best, the last and the average's."""
    events = {what: [e for e in run.events if f"{what}/loss" in e] for what in ("valid", "average")}
    best = run.best()
    rows: dict[str, Mapping[str, float]] = {}
    if best:
        rows[f"best model: {AVERAGE if best.average else 'validation'}, step {best.step:,}"] = best.values
    for what, name in (("valid", "last validation"), ("average", AVERAGE)):
        for event in events[what][-1:]:
            values = {key.partition("/")[2]: x for key, x in event.items() if key.startswith(f"{what}/")}
            rows[f"{name}, step {event['step']:,.0f}"] = values
    names = [name for name in dict.fromkeys(key for row in rows.values() for key in row) if name != "seconds"]
    return names, [
        [what, *(score_text(name, row[name]) if name in row else "" for name in names)] for what, row in rows.items()
    ]


def _manifest(folder: Path) -> tuple[list[tuple[str, int, str]], dict[str, str], list[str]]:
    """Returns the files of a model, the hashes that it keeps, and what is wrong with them."""
    if not folder.is_dir():
        return [], {}, []
    try:
        files = [(name, size, digest) for name, (size, digest) in read_manifest(folder).items()]
        config = read_json(folder / "config.json")
        hashes = {key.replace("_", " "): str(config[key]) for key in ("settings_hash", "tokenizer_hash")}
    except (Seq2SeqError, OSError, ValueError, LookupError, TypeError) as error:
        return [], {}, [f"The best model cannot be read: {error}"]
    return files, hashes, []
