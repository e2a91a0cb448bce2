"""How well systems translate words that are rare or frequent in training text, as compare-mt tells it.

Neubig et al. 2019, compare-mt: A Tool for Holistic Comparison of Language Generation Systems, section 3 (word accuracy
by frequency); there a test set has one reference.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from seq2seq.evaluate.guards import Overlap, count_overlap
from seq2seq.evaluate.testset import TestSet
from seq2seq.evaluate.words import plain_words

LIMITS = (0, 1, 4, 9, 99, 999)  # occurrences: the upper ends of all buckets but the last

Lines = Sequence[str]


@dataclass(frozen=True)
class FrequencyBucket:
    """Words that training text has about as often.

    Attributes:
        label: how often.
        words: how many words of the references are such, of all references together.
        f_measures: of each system, 0 to 1; None where neither its translations nor their references have such words.
    """

    label: str
    words: int
    f_measures: list[float | None]


@dataclass(frozen=True)
class Frequency:
    """How well each system translates words by their frequency.

    Attributes:
        files: training text of the target language, in which words were counted.
        buckets: from words that never occur to the most frequent ones.
    """

    files: list[str]
    buckets: list[FrequencyBucket]


def read_training(
    paths: Iterable[str | Path], test: TestSet, hypotheses: Sequence[Lines]
) -> tuple[list[Overlap], Frequency | None]:
    """Reads training text, of either language, once: for test lines that stand in it, and for how often words do.

    A file is of the target language if it has at least as large a share of the references' words as of the source's,
    each counted once; where the source is not known all files are. Words are compared with their capitals, without
    punctuation marks. Memory does not grow with the files: only the words of the test set and its translations are
    counted.

    Args:
        paths: files of training text.
        test: the test set.
        hypotheses: the translations of each system.

    Returns:
        What stands in each file, and the systems by frequency of words; None if no file is of the target language.

    Raises:
        DataError: a file cannot be read or is not UTF-8.
    """
    ours, theirs = _vocabulary(test.reference_lines), _vocabulary([test.source_lines or []])
    counted = ours | theirs | _vocabulary(hypotheses)
    overlaps, files = [], []
    total: Counter[str] = Counter()
    for path in paths:
        counts: Counter[str] = Counter()

        def see(line: str, counts: Counter[str] = counts) -> None:
            counts.update(filter(counted.__contains__, plain_words(line)))

        overlaps.append(count_overlap(path, test.reference_lines, test.source_lines, see))
        if _covered(ours, counts) >= _covered(theirs, counts):
            files.append(str(path))
            total += counts
    return overlaps, by_frequency(files, total, test.reference_lines, hypotheses) if files else None


def by_frequency(
    files: list[str], counts: Counter[str], references: Sequence[Lines], hypotheses: Sequence[Lines]
) -> Frequency:
    """Returns how well systems translate words, given how often each occurs.

    A word of a translation is right as often as the reference has it. Of several references a line is compared with
    the one with whose words it has the highest F-measure, the first of equals. Right words, words of translations and
    of those references are then summed over all lines, in each bucket.

    Args:
        files: in which words were counted.
        counts: how often each word of references and translations occurs.
        references: one list of references or several.
        hypotheses: the translations of each system.
    """
    n_buckets = len(LIMITS) + 1
    words = [0] * n_buckets
    sides = [[Counter(plain_words(line)) for line in lines] for lines in references]
    _add(words, chain.from_iterable(sides), counts)
    measures = []
    for lines in hypotheses:
        right, both = [0] * n_buckets, [0] * n_buckets
        for line, *others in zip(lines, *sides, strict=True):
            found = Counter(plain_words(line))
            nearest = max(others, key=lambda other: _f_measure((found & other).total(), found.total() + other.total()))
            _add(right, [found & nearest], counts)
            _add(both, [found, nearest], counts)
        measures.append([_f_measure(*sums) if sums[1] else None for sums in zip(right, both, strict=True)])
    rows = zip(_labels(), words, zip(*measures, strict=True), strict=True)
    return Frequency(files, [FrequencyBucket(label, n, list(values)) for label, n, values in rows])


def _f_measure(right: int, both: int) -> float:
    """Returns the harmonic mean of precision and recall, given the words that are right and those of both sides."""
    return 2 * right / both if both else 1.0


def _add(sums: list[int], lines: Iterable[Counter[str]], counts: Counter[str]) -> None:
    """Adds the words of lines to the sums of their buckets."""
    for line in lines:
        for word, n in line.items():
            sums[bucket_of(counts[word])] += n


def bucket_of(count: int) -> int:
    """Returns the bucket of a word that occurs so often."""
    return bisect_left(LIMITS, count)


def _labels() -> list[str]:
    lows = [0, *(limit + 1 for limit in LIMITS)]
    labels = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in zip(lows, LIMITS, strict=False)]
    return [*labels, f"{lows[-1]:,} or more"]


def _vocabulary(sides: Iterable[Lines]) -> set[str]:
    return {word for lines in sides for line in lines for word in plain_words(line)}


def _covered(words: set[str], counts: Counter[str]) -> float:
    """Returns the share of words that occur."""
    return sum(word in counts for word in words) / len(words) if words else 0.0
