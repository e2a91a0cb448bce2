"""Line charts: round ticks, nothing outside of the plot, no spike and no gap lost, values to be read."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.evaluate.charts import (
    BELOW,
    HEIGHT,
    MOST_POINTS,
    MOST_ROWS,
    MOST_TICKS,
    RIGHT,
    TOP,
    WIDTH,
    Mark,
    Series,
    draw,
    log_ticks,
    number,
    thin,
    ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 0.0007, [0, 0.0002, 0.0004, 0.0006, 0.0008]),
        (2.1, 8.9, [2, 4, 6, 8, 10]),
        (31.3, 32.4, [31.25, 31.5, 31.75, 32, 32.25, 32.5]),
        (-3, 4, [-4, -2, 0, 2, 4]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (5, 5, [2, 4, 6, 8]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 25, [0.3, 1, 3, 10, 30]),
        (1, 100, [1, 3, 10, 30, 100]),
        (1e-7, 1e-2, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2]),
    ],
)
def test_logarithmic_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert log_ticks(low, high) == expected


numbers = st.floats(-1e30, 1e30, allow_nan=False)
points = st.lists(
    st.tuples(st.integers(0, 10**9), numbers | st.none()), min_size=1, max_size=60, unique_by=lambda p: p[0]
)


@given(st.lists(points, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_all_is_drawn_inside_the_plot(rows: list[list[tuple[int, float | None]]], positive: bool, log: bool) -> None:
    if positive:
        rows = [[(x, None if y is None else abs(y) + 1e-30) for x, y in row] for row in rows]
    chart = draw("title", "unit", [Series(f"series {i}", sorted(row)) for i, row in enumerate(rows)], log=log)
    if all(y is None for row in rows for _, y in row):
        assert chart is None
        return
    assert chart
    left = float(chart.left)
    assert left < WIDTH - RIGHT
    for line in chart.lines:
        pairs = [*re.findall(r"[ML](\S+?) ([^ML]+)", line.path), *line.dots]
        for x, y in ((float(x), float(y)) for x, y in pairs):
            assert left - 0.1 <= x <= WIDTH - RIGHT + 0.1
            assert TOP - 0.1 <= y <= HEIGHT - BELOW + 0.1
    n = sum(y is not None for row in rows for _, y in row)
    assert sum(len(re.findall("[ML]", line.path)) + len(line.dots) for line in chart.lines) == n
    heights = [float(y) for y, _ in chart.y_ticks]
    assert 2 <= len(heights) <= MOST_TICKS + 2 and heights == sorted(heights, reverse=True)
    assert len({text for _, text in chart.y_ticks}) == len(heights) or max(abs(y or 0) for r in rows for _, y in r) > 0
    assert len(chart.rows) == len({x for row in rows for x, _ in row})


def test_a_line_breaks_where_a_value_is_missing_and_a_lone_value_is_a_dot() -> None:
    chart = draw("loss", "nats", [Series("training", [(1, 3.0), (2, 2.0), (3, None), (4, 1.0), (5, None)])])
    assert chart
    (line,) = chart.lines
    assert re.sub(r"[\d. ]", "", line.path) == "ML"
    assert len(line.dots) == 1
    assert [row.values[0] for row in chart.rows] == ["3", "2", "not a number", "1", "not a number"]
    assert chart.rows[2].text == "step 3: training not a number"


def test_wide_losses_get_a_logarithmic_axis_where_that_is_allowed() -> None:
    wide = Series("training", [(1, 90.0), (2, 1.0)])
    units = [chart.unit for log in (True, False) if (chart := draw("loss", "nats", [wide], log=log))]
    assert units == ["nats, log scale", "nats"]
    zero = draw("norm", "", [Series("norm", [(1, 90.0), (2, 0.0)])], log=True)
    assert zero and zero.unit == ""


def test_thinning_keeps_spikes_gaps_and_ends() -> None:
    values: list[tuple[float, float | None]] = [(i, math.sin(i / 500)) for i in range(50_000)]
    values[12_345] = (12_345, 99.0)
    values[23_456] = (23_456, -99.0)
    values[34_567] = (34_567, None)
    found = thin(values)
    assert len(found) <= MOST_POINTS
    assert {values[i] for i in (0, 12_345, 23_456, 34_567, 49_999)} <= set(found)
    assert found == sorted(found, key=lambda point: point[0])
    assert thin(values[:MOST_POINTS]) == values[:MOST_POINTS]


def test_rows_prefer_steps_of_validations() -> None:
    training = Series("training", [(i, 1.0) for i in range(10, 100_010, 10)])
    validation = Series("validation", [(i, 2.0) for i in range(1000, 100_001, 1000)])
    chart = draw("loss", "nats", [training, validation], Mark(2000, 2.0, "best: 2, step 2,000"))
    assert chart
    assert len(chart.rows) == MOST_ROWS
    assert sum(bool(row.values[1]) for row in chart.rows) == 100
    assert chart.rows[-1].x == "100,000"
    assert chart.note == "240 of 10,000 steps; the others are left out."
    assert chart.summary.startswith("loss: training from 1 at step 10 to 1 at step 100,000, lowest 1, highest 1; valid")
    assert chart.summary.endswith("; best: 2, step 2,000.")
    strips = [(float(row.left), float(row.width)) for row in chart.rows]
    assert all(abs(a + width - b) < 0.11 for (a, width), (b, _) in pairwise(strips))


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1234.5, "1,234"), (0.000123456, "0.0001235"), (12.0, "12"), (1.23456, "1.235")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text
