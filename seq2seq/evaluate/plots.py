"""Plots of scores as SVG: what plots.html draws, as numbers and texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq.evaluate.charts import ticks
from seq2seq.evaluate.metrics import Score

WIDTH, LEFT, RIGHT = 480, 44, 466  # units of a plot: its width, and where the values begin and end
ROW = 40  # of a system and its interval
TOP, BOTTOM, HEIGHT = 26, 206, 266  # of values over groups
SPREAD = 0.6  # of a group's width, over which its systems are spread side by side
SPAN = 1.0  # points of a score that an axis holds at least, lest small differences look large
LETTERS = 44  # of a name that a plot has room for


@dataclass(frozen=True)
class Dot:
    """A score, and its interval if there is one; lengths are units of the SVG."""

    system: int
    name: str
    value: str
    x: str
    y: float
    whisker: tuple[str, str] | None


@dataclass(frozen=True)
class IntervalPlot:
    """The scores of all systems by one metric, each with its interval.

    Attributes:
        title: the metric, and which way is better.
        summary: for those who do not see it.
        height: of the plot.
        ticks: place and text.
        dots: of the systems.
    """

    title: str
    summary: str
    height: int
    ticks: list[tuple[str, str]]
    dots: list[Dot]


@dataclass(frozen=True)
class Place:
    """A group of lines on the horizontal axis: where, what it is called, how many lines or words it has."""

    x: str
    label: str
    count: str


@dataclass(frozen=True)
class Trace:
    """The values of one system over groups: a path, and (x, y, text) of each value."""

    system: int
    name: str
    path: str
    dots: list[tuple[str, str, str]]


@dataclass(frozen=True)
class GroupPlot:
    """The values of all systems on groups.

    Attributes:
        title: what is shown.
        what: of what there are so many in each group.
        summary: for those who do not see it.
        places: the groups.
        ticks: place and text.
        traces: of the systems.
    """

    title: str
    what: str
    summary: str
    places: list[Place]
    ticks: list[tuple[str, str]]
    traces: list[Trace]


def interval_plot(title: str, names: Sequence[str], scores: Sequence[Score]) -> IntervalPlot:
    """Draws the scores of systems by one metric, each a dot with its 95 % interval as whiskers."""
    ends = [_interval(score) for score in scores]
    values = [score.value for score in scores] + [end for pair in ends if pair for end in pair]
    marks = _marks(values)
    dots = []
    for k, (name, score, pair) in enumerate(zip(names, scores, ends, strict=True)):
        told = f"{score.value:.1f}" + (f" ± {score.margin:.1f}" if score.margin is not None else "")
        shown = name if len(name) <= LETTERS else f"…{name[1 - LETTERS :]}"
        whisker = (_x(pair[0], marks), _x(pair[1], marks)) if pair else None
        dots.append(Dot(k, shown, told, _x(score.value, marks), 22 + k * ROW, whisker))
    summary = "; ".join(f"{name} {dot.value}" for name, dot in zip(names, dots, strict=True))
    places = [(_x(mark, marks), f"{mark:g}") for mark in marks]
    return IntervalPlot(title, f"{title}: {summary}.", 40 + ROW * len(names), places, dots)


def group_plot(
    title: str,
    what: str,
    labels: Sequence[str],
    counts: Sequence[int],
    names: Sequence[str],
    values: Sequence[Sequence[float | None]],
    joined: bool = True,
) -> GroupPlot:
    """Draws values of systems over groups.

    Args:
        title: what is shown.
        what: of what there are so many in each group, such as `lines`.
        labels: of the groups.
        counts: of the groups.
        names: of the systems.
        values: of each system, one for each group; None where there is none.
        joined: whether groups have an order, so that lines lead from one to the next.
    """
    filled = [value for row in values for value in row if value is not None] or [0.0]
    marks = _marks(filled)
    width = (RIGHT - LEFT) / len(labels)
    traces = []
    for k, (name, row) in enumerate(zip(names, values, strict=True)):
        aside = SPREAD * width * ((k + 0.5) / len(names) - 0.5)
        dots = [
            (f"{LEFT + (i + 0.5) * width + aside:.1f}", f"{_y(value, marks):.1f}", f"{name}, {label}: {value:.1f}")
            for i, (label, value) in enumerate(zip(labels, row, strict=True))
            if value is not None
        ]
        path = "M" + "L".join(f"{x} {y}" for x, y, _ in dots) if joined and len(dots) > 1 else ""
        traces.append(Trace(k, name, path, dots))
    told = "; ".join(", ".join(text for *_, text in trace.dots) for trace in traces)
    places = [
        Place(f"{LEFT + (i + 0.5) * width:.1f}", _short(label), f"{n:,}")
        for i, (label, n) in enumerate(zip(labels, counts, strict=True))
    ]
    heights = [(f"{_y(mark, marks):.1f}", f"{mark:g}") for mark in marks]
    return GroupPlot(title, what, f"{title}: {told}.", places, heights, traces)


def _short(label: str) -> str:
    """Returns the name of a group as far as a plot has room for it."""
    for long, short in ((" to ", "\u2013"), (" or more", "+"), ("over ", ">"), ("without ", "no ")):
        label = label.replace(long, short)
    return label


def _interval(score: Score) -> tuple[float, float] | None:
    """Returns the ends of a score's interval, if it has one."""
    if score.mean is None or score.margin is None:
        return None
    return score.mean - score.margin, score.mean + score.margin


def _marks(values: Sequence[float]) -> list[float]:
    """Returns the places of an axis that holds values, and at least SPAN."""
    low, high = min(values), max(values)
    room = max(0.0, SPAN - (high - low)) / 2
    return ticks(low - room, high + room)


def _x(value: float, marks: Sequence[float]) -> str:
    share = (value - marks[0]) / (marks[-1] - marks[0])
    return f"{LEFT / 2 + share * (RIGHT - LEFT / 2):.1f}"


def _y(value: float, marks: Sequence[float]) -> float:
    return BOTTOM - (value - marks[0]) / (marks[-1] - marks[0]) * (BOTTOM - TOP)
