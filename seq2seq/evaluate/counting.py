"""Statistics of several systems at once: equal translations of a line are looked at once, by several processes."""

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from seq2seq.evaluate.metrics import METRICS, Metrics, Statistics

ALONE = 4000  # translations that one process counts as fast as several, which must start first
PIECES = 8  # for each process: pieces take unequally long
MOST_LINES = 1000  # of a piece, whose n-grams are held in memory

Counts = dict[str, list[NDArray[np.float64]]]


def count_systems(
    references: Sequence[Sequence[str]],
    systems: Sequence[Sequence[str]],
    target_language: str = "",
    processes: int = 1,
) -> list[Statistics]:
    """Returns the statistics of each system, as `Metrics.statistics` does of one.

    Args:
        references: see Metrics.
        systems: translations of each system, one for each line.
        target_language: see Metrics.
        processes: at most; several are spawned, which imports the main program anew: it must allow for that.

    Raises:
        DataError: see Metrics.
    """
    n_lines = len(references[0])
    workers = min(processes, math.ceil(n_lines * len(systems) / ALONE))
    n_pieces = max(math.ceil(n_lines / MOST_LINES), workers * PIECES if workers > 1 else 1)
    spans = [slice(*ends) for ends in pairwise(np.linspace(0, n_lines, min(n_lines, n_pieces) + 1).astype(int))]
    pieces = _cut(references, spans), _cut(systems, spans), [target_language] * len(spans)
    if workers > 1:
        # Not forked: threads of torch may be running.
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            counts = list(pool.map(_count, *pieces))
    else:
        counts = list(map(_count, *pieces))
    return [
        {name: np.concatenate([piece[name][k] for piece in counts]) for name in METRICS} for k in range(len(systems))
    ]


def _cut(side: Sequence[Sequence[str]], spans: Sequence[slice]) -> list[list[Sequence[str]]]:
    return [[lines[span] for lines in side] for span in spans]


def _count(references: Sequence[Sequence[str]], systems: Sequence[Sequence[str]], target_language: str) -> Counts:
    """Returns the statistics of each metric and system, [lines, counts], of some of the lines."""
    # With one reference the counts of chrF are the first of those of chrF++, which has words beside the characters.
    shared = len(references) == 1
    names = [name for name in METRICS if not (shared and name == "chrF")]
    metrics = Metrics(references, names, target_language)
    counts: Counts = {name: [] for name in names}
    for name in names:
        known: dict[tuple[int, str], list[float]] = {}
        for lines in systems:
            for pair in enumerate(lines):
                if pair not in known:
                    known[pair] = metrics.count(name, *pair)
            counts[name].append(np.array([known[pair] for pair in enumerate(lines)]))
    if shared:
        width = Metrics([["a"]], ["chrF"]).statistics(["a"])["chrF"].shape[1]
        counts["chrF"] = [rows[:, :width] for rows in counts["chrF++"]]
    return counts
