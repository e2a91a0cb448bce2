"""Whether the lines of two files belong together, and where they get out of step.

Each pair has its evidence for belonging together: associated words and fitting lengths, in nats. A Viterbi search then
explains stretches in which it is missing by a shift of some lines, or by none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from seq2seq.evaluate.doctor.associations import FAR, Associations, Calibration, Table, Vocabulary
from seq2seq.evaluate.doctor.scan import Flags, Places, Sample

NEAR = 4  # lines by which the sides may be shifted against each other, in the first search ...
WIDE = 300  # ... and in the second one, for stretches that the first one could not explain
SHIFTS = (0, *(sign * shift for shift in range(1, NEAR + 1) for sign in (1, -1)))
NONE = len(SHIFTS)  # the state in which no shift fits
SWITCH = 15.0  # nats that a change of the shift costs
LEAST_GAIN, LEAST_LINES = 40.0, 10  # nats and lines by which a shift must be better than none
LEAST_BLOCK, BLOCK_GAIN = 30, 1.5  # lines of a block that no shift fits, and nats a line by which its pairs misfit
WINDOW = 32  # lines that are judged together before other shifts are tried
WEAK = 0.5  # of the evidence of good windows, below which they are tried
PROBED, MOST_SHIFTS = 200, 4  # lines of a block that the second search looks at, and how often it is made
ENOUGH = 200  # pairs below which nothing can be learnt
TAIL = (0.1, 0.2, 0.3, 0.4, 0.5)  # parts of the worst lines by which unrelated pairs are counted

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """Neighbouring rows with the same shift.

    Attributes:
        begin: first row, by its place in the sample.
        end: last row.
        shift: lines by which the target that belongs to a source stands further down; None: there is no such line.
        gain: nats by which this explains them better than no shift does.
    """

    begin: int
    end: int
    shift: int | None
    gain: float

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.end - self.begin + 1


@dataclass(frozen=True)
class Alignment:
    """How well the sides of a corpus belong together.

    Attributes:
        evidence: [n] nats for each pair of the sample, as it stands.
        mended: [n] nats for each source of the sample with the target that the segments give it.
        segments: stretches that are out of step or belong to nothing.
        unrelated: estimated share of the pairs outside of them that do not belong together.
    """

    evidence: Numbers
    mended: Numbers
    segments: list[Segment]
    unrelated: float


@dataclass(frozen=True)
class _Lines:
    """What is compared of a sample: words and logarithms of lengths of both sides, and the places in the corpus."""

    words: tuple[Table, Table]
    logs: tuple[Numbers, Numbers]
    places: Places

    def __len__(self) -> int:
        return len(self.places)

    def partners(self, rows: Places, shift: int) -> tuple[Places, Flags]:
        """Returns the targets some lines further down, and whether they are in the sample."""
        there = rows + shift
        inside = (there >= 0) & (there < len(self))
        there = np.where(inside, there, rows)
        return there, inside & (self.places[there] - self.places[rows] == shift)


class Aligner:
    """What the pairs of a corpus teach about which lines belong together.

    Args:
        sample: at least `ENOUGH` pairs, most of which belong together, if not as they stand then out of step.
    """

    def __init__(self, sample: Sample) -> None:
        self._vocabularies = Vocabulary(sample.texts[0]), Vocabulary(sample.texts[1])
        lines = self._lines(sample)
        self._learn(lines, shifts_by_length(lines.logs, sample.next_to))
        self._own = self._aligned(lines, own=True)
        shifts = np.zeros(len(lines), np.int64)
        for segment in self._own.segments:
            shifts[segment.begin : segment.end + 1] = segment.shift or 0
        if (shifts != self._shifts).any():  # better ones than those that were learnt by
            self._learn(lines, shifts)
            self._own = self._aligned(lines, own=True)

    def align(self, sample: Sample | None = None) -> Alignment:
        """Compares the sides of another corpus with the same languages, or of the one that was learnt from."""
        return self._own if sample is None else self._aligned(self._lines(sample), own=False)

    def _aligned(self, lines: _Lines, own: bool) -> Alignment:
        rows = np.arange(len(lines))
        evidence = self._evidence(lines, rows, 0, own)
        segments = self._segments(lines, evidence, own)
        mended, apart = evidence.copy(), np.zeros(len(lines), dtype=bool)
        for segment in segments:
            here = rows[segment.begin : segment.end + 1]
            apart[here] = True
            if segment.shift:
                mended[here] = self._evidence(lines, here, segment.shift, own)
        return Alignment(evidence, mended, segments, _unrelated(evidence[~apart], self._others(lines)))

    def _lines(self, sample: Sample) -> _Lines:
        source, target = (
            vocabulary.rows(texts) for vocabulary, texts in zip(self._vocabularies, sample.texts, strict=True)
        )
        logs = [np.log(np.maximum(1, np.fromiter(map(len, texts), np.float64, len(texts)))) for texts in sample.texts]
        return _Lines((source, target), (logs[0], logs[1]), sample.places)

    def _learn(self, lines: _Lines, shifts: Places) -> None:
        """Learns from each source and the target some lines further down."""
        self._shifts = shifts  # [n] of the rows that were learnt from
        rows = np.arange(len(lines))
        targets, there = lines.partners(rows, 0)
        for shift in np.unique(shifts).tolist():
            here = shifts == shift
            targets[here], there[here] = lines.partners(rows[here], shift)
        rows, targets = rows[there], targets[there]
        words = lines.words[0][rows], lines.words[1][targets]
        self._associations = Associations(*words, (self._vocabularies[0].none, self._vocabularies[1].none))
        by_words = self._associations.scores(*words, learnt=True)
        by_length = lines.logs[1][targets] - lines.logs[0][rows]
        others = _far(len(lines))
        self._by_words = Calibration.learn(by_words, self._associations.scores(lines.words[0], lines.words[1][others]))
        self._by_length = Calibration.learn(by_length, lines.logs[1][others] - lines.logs[0])

    def _evidence(self, lines: _Lines, rows: Places, shift: int, own: bool) -> Numbers:
        """Returns the evidence that rows belong to the targets some lines further down; 0 where there are none."""
        targets, there = lines.partners(rows, shift)
        evidence = self._compare(lines, rows, targets, learnt=False)
        if own and (taught := self._shifts[rows] == shift).any():  # a pair must not speak for itself
            evidence[taught] = self._compare(lines, rows[taught], targets[taught], learnt=True)
        return np.where(there, evidence, 0.0)

    def _compare(self, lines: _Lines, rows: Places, targets: Places, learnt: bool) -> Numbers:
        by_words = self._associations.scores(lines.words[0][rows], lines.words[1][targets], learnt)
        return self._by_words(by_words) + self._by_length(lines.logs[1][targets] - lines.logs[0][rows])

    def _others(self, lines: _Lines) -> Numbers:
        """Returns the evidence of lines that do not belong together."""
        return self._compare(lines, np.arange(len(lines)), _far(len(lines)), learnt=False)

    def _segments(self, lines: _Lines, evidence: Numbers, own: bool) -> list[Segment]:
        """Returns the stretches that are out of step, or that no shift fits; evidence: [n] of the lines as they are."""
        found: list[Segment] = []
        for begin, end in _weak_stretches(evidence):
            rows = np.arange(begin, end)
            table = np.zeros((len(rows), NONE + 1))
            table[:, 0] = evidence[begin:end]
            for state, shift in enumerate(SHIFTS[1:], 1):
                table[:, state] = self._evidence(lines, rows, shift, own)
            found += _runs(table, begin)
        known: list[int] = []  # larger shifts that have been found
        for i, segment in enumerate(found):
            if segment.shift is None:
                found[i] = self._probe(lines, segment, own, known)
                if found[i].shift is None and len(known) < MOST_SHIFTS:
                    found[i] = self._probe(lines, segment, own, range(-WIDE, WIDE + 1))
                    known.append(found[i].shift or 0)
        return _merged(found, evidence)

    def _probe(self, lines: _Lines, segment: Segment, own: bool, shifts: Sequence[int]) -> Segment:
        """Looks for a shift that fits a segment among some."""
        step = max(1, segment.size // PROBED)
        rows = np.arange(segment.begin, segment.end + 1, step)
        gains = {shift: float(self._evidence(lines, rows, shift, own).sum()) * step for shift in shifts}
        best = max(gains, key=lambda shift: gains[shift], default=0)
        if best == 0 or gains[best] < max(LEAST_GAIN, segment.size):  # a nat a line is little
            return segment
        return replace(segment, shift=best, gain=segment.gain + gains[best])


def _far(n: int) -> Places:
    """Returns for each row another one whose target does not belong to it."""
    return (np.arange(n) + min(FAR, max(1, n // 2))) % n


def shifts_by_length(logs: tuple[Numbers, Numbers], next_to: Flags) -> Places:
    """Guesses by which shift lines belong together from their lengths alone: [n].

    Of stretches of lines the lengths of both sides are correlated; only a correlation that is certain counts, and only
    where the lines as they stand have none.
    """
    n, size = len(logs[0]), 4 * WINDOW
    shifts = np.zeros(n, np.int64)
    cuts = np.concatenate([[0], np.flatnonzero(~next_to) + 1, [n]])  # between neighbours that are none in the corpus
    for begin in range(0, n - size + 1, size):
        first, last = cuts[np.searchsorted(cuts, begin, "right") - 1], cuts[np.searchsorted(cuts, begin, "right")]
        if begin + size > last:
            continue
        low, high = max(first, begin - WIDE), min(last, begin + size + WIDE)
        source = logs[0][begin : begin + size]
        spread = source.std()
        if spread < 1e-9:
            continue
        targets = np.lib.stride_tricks.sliding_window_view(logs[1][low:high], size)
        spreads = np.maximum(targets.std(axis=1), 1e-9)
        certainty = targets @ (source - source.mean()) / (size * spread * spreads) * np.sqrt(size)
        best = int(certainty.argmax())
        if certainty[begin - low] < 4 and certainty[best] > 6:  # standard deviations
            shifts[begin : begin + size] = low + best - begin
    return shifts


def _weak_stretches(evidence: Numbers) -> Iterator[tuple[int, int]]:
    """Yields begin and end (not included) of stretches whose windows have little evidence, with a margin."""
    n = len(evidence)
    starts = np.arange(0, n, WINDOW)
    means = np.add.reduceat(evidence, starts) / np.diff(np.append(starts, n))
    good = float(np.quantile(means, 0.95))
    weak = means < max(WEAK * good, 0.1)
    near = weak.copy()
    near[1:] |= weak[:-1]
    near[:-1] |= weak[1:]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], near.astype(np.int8), [0]])))
    for begin, end in edges.reshape(-1, 2).tolist():
        yield begin * WINDOW, min(n, end * WINDOW)


def _runs(table: Numbers, begin: int) -> list[Segment]:
    """Returns the runs of other states than the first on the best path; table: [rows, states] nats."""
    path = _best_path(table)
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]]).tolist()
    found = []
    for first, last in pairwise(cuts):
        state = int(path[first])
        gain = float((table[first:last, state] - table[first:last, 0]).sum())
        least = LEAST_BLOCK if state == NONE else LEAST_LINES
        enough = max(LEAST_GAIN, BLOCK_GAIN * (last - first)) if state == NONE else LEAST_GAIN
        if state and last - first >= least and gain >= enough:
            shift = None if state == NONE else SHIFTS[state]
            found.append(Segment(begin + first, begin + last - 1, shift, gain))
    return found


def _best_path(table: Numbers) -> Places:
    """Returns the state of each row: most evidence in all, less `SWITCH` for each change (Viterbi 1967)."""
    n, n_states = table.shape
    stayed = np.zeros((n, n_states), dtype=bool)
    came_from = np.zeros(n, np.int64)
    total = np.full(n_states, -SWITCH)
    total[0] = 0.0
    for row in range(n):
        best = int(total.argmax())
        stayed[row] = total >= total[best] - SWITCH
        came_from[row] = best
        total = np.maximum(total, total[best] - SWITCH) + table[row]
    path = np.zeros(n, np.int64)
    state = int(total.argmax())
    for row in range(n - 1, -1, -1):
        path[row] = state
        if not stayed[row, state]:
            state = int(came_from[row])
    return path


def _merged(segments: list[Segment], evidence: Numbers) -> list[Segment]:
    """Joins segments with the same shift between which little speaks for none; evidence: [n] as the lines are."""
    merged: list[Segment] = []
    for segment in segments:
        last = next((each for each in reversed(merged) if each.shift is not None), None)
        if last and last.shift == segment.shift:
            between = evidence[last.end + 1 : segment.begin].sum()
            if between < LEAST_GAIN or segment.begin - last.end <= 2 * WINDOW:
                del merged[merged.index(last) :]
                segment = Segment(last.begin, segment.end, last.shift, last.gain + segment.gain)
        merged.append(segment)
    return merged


def _unrelated(evidence: Numbers, others: Numbers) -> float:
    """Estimates the share of pairs that do not belong together.

    So many pairs are among the worst as a part of what would be if none belonged together; that few which do are so
    bad makes this the share, a little more if translations are free.
    """
    if len(evidence) < ENOUGH:
        return 0.0
    edges = np.quantile(others, TAIL)
    return min(1.0, float(np.median([(evidence <= edge).mean() / (others <= edge).mean() for edge in edges])))
