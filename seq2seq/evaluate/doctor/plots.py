"""Numbers for drawings: lengths, ratios of lengths, and how well the sides belong together along the file."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.evaluate.doctor.alignment import Alignment
from seq2seq.evaluate.doctor.rows import log_ratios, side_name
from seq2seq.evaluate.doctor.scan import Scanned

BINS = 30
POINTS, PAIRS = 150, 20  # of a curve along the file at the most, and pairs of each at the least
HIGHEST = 99.5  # percentile of the lengths at which a histogram ends; what is longer is in its last bin
WIDEST = np.log(4.0)  # logarithm of the ratio at which its histogram ends


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins of equal width.

    Attributes:
        label: what is counted.
        edges: [bins + 1] between the bins.
        counts: [bins].
    """

    label: str
    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class Curve:
    """Means of stretches of a corpus.

    Attributes:
        lines: [points] the first line of each stretch, from 1.
        values: [points] nats of evidence that its pairs belong together as they stand.
        mended: [points] the same where the shifts that were found are undone.
    """

    lines: list[int]
    values: list[float]
    mended: list[float]


@dataclass(frozen=True)
class Plots:
    """What can be drawn of a corpus.

    Attributes:
        lengths: words a line of each side, in the same bins.
        ratios: logarithms of target over source characters, to base 2; None for a single side.
        alignment: None where it was not looked at.
    """

    lengths: list[Histogram] = field(default_factory=list)
    ratios: Histogram | None = None
    alignment: Curve | None = None

    def record(self) -> dict[str, Any]:
        """Returns them for JSON."""
        return asdict(self)


def draw(scanned: Scanned, alignment: Alignment | None) -> Plots:
    """Returns what can be drawn of a corpus."""
    if not scanned.n:
        return Plots()
    top = max(1, *(int(np.percentile(side.words, HIGHEST)) for side in scanned.sides))
    width = -(-top // BINS)
    edges = np.arange(0, top + width + 1, width)
    lengths = [
        _histogram(side_name(scanned, i) or "lines", np.minimum(side.words, edges[-1]), edges)
        for i, side in enumerate(scanned.sides)
    ]
    ratios = None
    if len(scanned.sides) == 2:
        text = ~scanned.sides[0].blank & ~scanned.sides[1].blank
        values = np.clip(log_ratios(scanned)[text], -WIDEST, WIDEST) / np.log(2)
        ratios = _histogram("pairs", values, np.linspace(-WIDEST, WIDEST, BINS + 1) / np.log(2))
    return Plots(lengths, ratios, _curve(scanned, alignment) if alignment else None)


def _histogram(label: str, values: npt.NDArray[Any], edges: npt.NDArray[Any]) -> Histogram:
    counts, _ = np.histogram(values, edges)
    return Histogram(label, edges.tolist(), counts.tolist())


def _curve(scanned: Scanned, alignment: Alignment) -> Curve:
    n = len(alignment.evidence)
    points = max(1, min(POINTS, n // PAIRS))
    starts = np.arange(points) * n // points
    sizes = np.diff(np.append(starts, n))
    values, mended = (
        (np.add.reduceat(evidence, starts) / sizes).round(3).tolist()
        for evidence in (alignment.evidence, alignment.mended)
    )
    return Curve((scanned.sample.places[starts] + 1).tolist(), values, mended)
