"""Line charts as SVG without a library: what charts.html draws, as numbers and texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH, HEIGHT = 480, 270  # units of a chart
TOP, BELOW, RIGHT = 30, 44, 14  # room around the curves; on the left it is as wide as the numbers need
LETTER = 8.5  # units that a digit of an axis is wide at most
MOST_POINTS = 1000  # of a line
MOST_ROWS = 240  # values to point at, and rows of the table
MOST_TICKS = 6
STYLES = 6  # in page.css
DENSE = 300  # points, from which a thinner line shows more
LOG_FROM = 5.0  # times that the highest value is the lowest, from which a logarithmic axis shows more

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Series:
    """Values over x.

    Attributes:
        name: what they are.
        points: (x, y), x ascending; y is None where there is no value: the line is broken there.
        style: number of its colour and dashes, from 0 to 5.
        dots: draw points and no line.
    """

    name: str
    points: Sequence[Point]
    style: int = 0
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A point that is told of: where it lies, what it is, and whether its text stands below, away from the curve."""

    x: float
    y: float
    text: str
    below: bool = False


@dataclass(frozen=True)
class Line:
    """A series as it is drawn: an SVG path, or dots."""

    name: str
    style: int
    path: str
    dots: list[tuple[str, str]]
    is_dense: bool


@dataclass(frozen=True)
class Row:
    """The values at one x: a row of the table, and a strip of the chart that tells them when it is pointed at."""

    x: str
    values: list[str]
    left: str
    width: str
    at: str
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart with all that its template writes; lengths are units of its SVG.

    Attributes:
        title: what it shows.
        unit: of the y axis, and whether it is logarithmic.
        summary: for those who do not see it.
        note: what is not shown, if anything.
        lines: the series.
        x_ticks: place and text.
        y_ticks: place and text.
        rows: values at up to `MOST_ROWS` places.
        left: where the plot begins.
        mark: place of a point that is told of, its text, the height of this, and where it is anchored.
        x_name: what x is.
    """

    title: str
    unit: str
    summary: str
    note: str
    lines: list[Line]
    x_ticks: list[tuple[str, str]]
    y_ticks: list[tuple[str, str]]
    rows: list[Row]
    left: str
    mark: tuple[str, str, str, str, str] | None = None
    x_name: str = "step"
    width: int = WIDTH
    height: int = HEIGHT
    top: int = TOP
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BELOW


@dataclass(frozen=True)
class _Axis:
    """One direction of a plot: values from `low` to `high` between two places."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        low, high, value = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)


def draw(
    title: str, unit: str, series: Sequence[Series], mark: Mark | None = None, log: bool = False, x_name: str = "step"
) -> Chart | None:
    """Lays out a line chart.

    Args:
        title: what it shows.
        unit: of y.
        series: curves over the same x, which starts at 0.
        mark: a point to tell of.
        log: whether a logarithmic axis may be chosen; it is where values spread widely.
        x_name: what x is.

    Returns:
        The chart; None if there is no value.
    """
    values = [y for one in series for _, y in one.points if y is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    log = log and low > 0 and high / low >= LOG_FROM
    y_ticks = log_ticks(low, high) if log else ticks(0.0 if 0 <= low < 0.4 * high else low, high)
    labels = _labels(y_ticks)
    left = 14 + LETTER * max(map(len, labels))
    y_axis = _Axis(min(low, y_ticks[0]), max(high, y_ticks[-1]), HEIGHT - BELOW, TOP, log)
    last = max(x for one in series for x, _ in one.points) or 1.0
    x_ticks = [tick for tick in ticks(0.0, last) if tick <= last]
    x_axis = _Axis(0.0, last, left, WIDTH - RIGHT)
    rows = _rows(series, x_axis, x_name)
    n = len({x for one in series for x, _ in one.points})
    return Chart(
        title,
        f"{unit}, log scale" if log else unit,
        _summary(title, series, mark, x_name),
        f"{len(rows):,} of {n:,} {x_name}s; the others are left out." if len(rows) < n else "",
        [_line(one, x_axis, y_axis) for one in series],
        [(f"{x_axis.place(x):.1f}", label) for x, label in zip(x_ticks, _labels(x_ticks), strict=True)],
        [(f"{y_axis.place(y):.1f}", label) for y, label in zip(y_ticks, labels, strict=True)],
        rows,
        f"{left:g}",
        _mark(mark, x_axis, y_axis) if mark else None,
        x_name,
    )


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Returns at most so many points: of each stretch the lowest, the highest and a gap, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    kept: set[int] = {0, len(points) - 1}
    n = max(1, (most - 2) // 3)
    for i in range(n):
        stretch = range(len(points) * i // n, len(points) * (i + 1) // n)
        filled = [(y, j) for j in stretch if (y := points[j][1]) is not None]
        if filled:
            kept |= {min(filled)[1], max(filled)[1]}
        kept |= set([j for j in stretch if points[j][1] is None][:1])
    return [points[j] for j in sorted(kept)]


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Returns round numbers, evenly spaced, that reach from `low` or below to `high` or above."""
    if high <= low:
        pad = abs(low) / 2 or 1.0
        low, high = (low - pad, high + pad) if low < 0 else (max(0.0, low - pad), high + pad)
    size = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 2.5, 5, 10, 20, 25):
        step = size * factor
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Returns round numbers, evenly spaced on a logarithmic axis, from `low` or below to `high` or above; both > 0."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
        first = max(i for i, tick in enumerate(found) if tick <= low * (1 + 1e-9))
        last = min((i for i, tick in enumerate(found) if tick >= high * (1 - 1e-9)), default=len(found) - 1)
        if last - first < most:
            return found[first : last + 1]
    return found[first : last + 1 : -(-(last + 1 - first) // most)]


def number(value: float) -> str:
    """Returns a number as people read it, four digits of it at least."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def _labels(values: Sequence[float]) -> list[str]:
    """Returns the texts of an axis; of large numbers in thousands or millions."""
    highest = max(map(abs, values))
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if highest >= size:
            divisor = 1e3 if letter == "k" else size
            return [f"{value / divisor:g}{letter}" if value else "0" for value in values]
    return [f"{value:,.0f}" if value == int(value) else f"{value:.6g}" for value in values]


def _line(series: Series, x_axis: _Axis, y_axis: _Axis) -> Line:
    """Returns a series as a path, and as dots where a value stands alone."""
    parts, dots, pen_down = [], [], False
    points = thin(series.points)
    for i, (x, y) in enumerate(points):
        if y is None:
            pen_down = False
            continue
        place = f"{x_axis.place(x):.1f}", f"{y_axis.place(y):.1f}"
        alone = not pen_down and (i + 1 == len(points) or points[i + 1][1] is None)
        if series.dots or alone:
            dots.append(place)
        else:
            parts.append(("L" if pen_down else "M") + " ".join(place))
        pen_down = not series.dots
    return Line(series.name, series.style % STYLES, "".join(parts), dots, len(points) > DENSE)


def _rows(series: Sequence[Series], axis: _Axis, x_name: str) -> list[Row]:
    """Returns the values at all x, or at some of each stretch: where the most series have one."""
    found = [dict(one.points) for one in series]
    places = sorted(set().union(*found))
    n = min(len(places), MOST_ROWS)
    stretches = [places[len(places) * i // n : len(places) * (i + 1) // n] for i in range(n)]
    chosen = [max(stretch, key=lambda x: (sum(x in values for values in found), x)) for stretch in stretches]
    centres = [axis.place(x) for x in chosen]
    edges = [axis.start, *((a + b) / 2 for a, b in pairwise(centres)), axis.end]
    rows = []
    for i, (x, centre) in enumerate(zip(chosen, centres, strict=True)):
        values = [_value(of_series, x) for of_series in found]
        told = [f"{one.name} {value}" for one, value in zip(series, values, strict=True) if value]
        text = f"{x_name} {number(x)}: {', '.join(told)}"
        width = max(0.5, edges[i + 1] - edges[i])
        rows.append(Row(number(x), values, f"{edges[i]:.1f}", f"{width:.1f}", f"{centre:.1f}", text))
    return rows


def _value(values: dict[float, float | None], x: float) -> str:
    if x not in values:
        return ""
    value = values[x]
    return "not a number" if value is None else number(value)


def _mark(mark: Mark, x_axis: _Axis, y_axis: _Axis) -> tuple[str, str, str, str, str]:
    x, y = x_axis.place(mark.x), y_axis.place(mark.y)
    anchor = "end" if x > (x_axis.start + x_axis.end) / 2 else "start"
    above, below = y - 12, y + 20
    height = below if above < TOP or (mark.below and below < HEIGHT - BELOW) else above
    return f"{x:.1f}", f"{y:.1f}", mark.text, f"{height:.1f}", anchor


def _summary(title: str, series: Sequence[Series], mark: Mark | None, x_name: str) -> str:
    """Returns in words where each curve begins, ends, and how low and high it goes."""
    parts = []
    for one in series:
        filled = [(x, y) for x, y in one.points if y is not None]
        if len(filled) == 1:
            parts.append(f"{one.name} {number(filled[0][1])} at {x_name} {number(filled[0][0])}")
        elif filled:
            (first_x, first), (last_x, last) = filled[0], filled[-1]
            low, high = (number(extreme(y for _, y in filled)) for extreme in (min, max))
            parts.append(
                f"{one.name} from {number(first)} at {x_name} {number(first_x)} to {number(last)} at {x_name} "
                f"{number(last_x)}, lowest {low}, highest {high}"
            )
    return f"{title}: {'; '.join([*parts, *([mark.text] if mark else [])])}."
