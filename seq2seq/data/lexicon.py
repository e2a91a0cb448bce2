"""Which target tokens a source token becomes, and how often: IBM Model 1 by expectation maximisation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seq2seq.text.ids import IdRows, spans
from seq2seq.text.shortlist import Shortlist, n_special
from seq2seq.text.tokenizer import Tokenizer

ROUNDS = 5
PER_TOKEN = 100  # translations of a source token that are listed at the most ...
LEAST = 1e-3  # ... and their probability at the least
FREQUENT, SHARE = 300, 0.05  # target tokens that are always listed, and their share of the vocabulary at the most
RARE = 10  # occurrences below which not much can be learnt about a source token
FLOOR = 1e-4  # probability below which a translation is forgotten, so that a source token has few
TABLE = 2**19  # probabilities that are in memory at once: some source tokens, each with every target token
MOST_CELLS = 2**29  # products of the two lengths of a pair, in all, that are learnt from: a minute or two
CELLS = 2**18  # pairs of positions that are looked at together, few enough for the processor's cache

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lexicon:
    """Probabilities t(f|e) of target tokens f given a source token e, those above 0.

    Attributes:
        offsets: [source vocabulary + 1] int64, where the entries of each source token begin.
        targets: [m] int32, target tokens, ascending within a source token.
        probabilities: [m] float64.
    """

    offsets: Places
    targets: npt.NDArray[np.int32]
    probabilities: Numbers

    def cells(self, first: int, last: int, width: int) -> tuple[Places, Numbers]:
        """Returns the probabilities of some source tokens and where they stand in a table of `width` columns."""
        offsets = self.offsets[first : last + 1]
        here = slice(offsets[0], offsets[-1])
        rows = np.repeat(np.arange(last - first), np.diff(offsets))
        return rows * width + self.targets[here], self.probabilities[here]


def learn_lexicon(
    sources: IdRows, targets: IdRows, vocab_sizes: tuple[int, int], rounds: int = ROUNDS, floor: float = FLOOR
) -> Lexicon:
    """Learns the translations of source tokens from sentence pairs that nobody has aligned.

    Brown et al. 1993, *The Mathematics of Statistical Machine Translation*, Model 1: t(f|e) is the expected number of
    times that e stands for f as a share of all that e stands for, if each f of a pair comes from one of the pair's
    source tokens with chances in proportion to t. At the start all translations are equally probable. The end of a
    source is a token like any other and does what the paper's empty word does; that of a target is not counted.

    Args:
        sources: ids of the sources, each ending in eos.
        targets: ids of their translations, each ending in eos.
        vocab_sizes: of the source and of the target side.
        rounds: of expectation and maximisation, at least 2.
        floor: what is less probable is forgotten from the second round on; 0: nothing.
    """
    pairs = _Pairs(sources, targets, vocab_sizes)
    uniform = np.repeat(1.0 / sources.lengths, targets.lengths - 1)
    shares = uniform  # [N] of each target position: 1 / the sum of t over its source tokens, after the round before
    lexicon: Lexicon | None = None
    for number in range(rounds):
        sums = np.zeros_like(shares)
        parts = []
        for first, last in pairs.blocks:
            table = pairs.counts(first, last, shares)
            if lexicon is not None:
                cells, before = lexicon.cells(first, last, vocab_sizes[1])
                values = before * table[cells]
            else:
                cells = np.flatnonzero(table)
                # What the first round gave is counted again rather than kept, as everything that ever met is in it.
                values = table[cells] * (pairs.counts(first, last, uniform)[cells] if number else 1.0)
            rows = cells // vocab_sizes[1]
            values /= np.bincount(rows, values, minlength=1)[rows]
            if number:
                kept = values > floor
                cells, values, rows = cells[kept], values[kept], rows[kept]
                sizes = np.bincount(rows, minlength=last - first)
                parts.append((sizes, (cells - rows * vocab_sizes[1]).astype(np.int32), values))
            table[:] = 0.0
            table[cells] = values
            pairs.add(first, last, table, sums)
        shares = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
        if number:
            lengths, words, probabilities = (np.concatenate(part) for part in zip(*parts, strict=True))
            lexicon = Lexicon(np.concatenate([[0], lengths.cumsum()]), words, probabilities)
    assert lexicon is not None, "at least 2 rounds"
    return lexicon


def learn_shortlist(sources: IdRows, targets: IdRows, tokenizer: Tokenizer) -> Shortlist:
    """Learns from sentence pairs which target tokens may stand in the translation of each source token.

    They are its most probable translations; of very many pairs some, evenly spread, suffice to find them. In a shared
    vocabulary a token about which little is known may also stay what it is, as parts of names do.

    Args:
        sources: ids of the sources, each ending in eos.
        targets: ids of their translations, each ending in eos.
        tokenizer: which cut them.
    """
    n_sources, n_targets = tokenizer.source_vocab_size, tokenizer.target_vocab_size
    sources, targets = _thinned(sources, targets)
    lexicon = learn_lexicon(sources, targets, (n_sources, n_targets))
    tokens = np.repeat(np.arange(n_sources), np.diff(lexicon.offsets))
    order = np.lexsort((-lexicon.probabilities, tokens))
    rank = np.arange(len(order)) - lexicon.offsets[tokens]
    order = order[(rank < PER_TOKEN) & (lexicon.probabilities[order] > LEAST)]
    pairs = tokens[order] * n_targets + lexicon.targets[order]
    if tokenizer.shared:
        rare = np.flatnonzero(np.bincount(sources.ids, minlength=n_sources) < RARE)
        pairs = np.append(pairs, rare * n_targets + rare)
    pairs = np.unique(pairs)
    offsets = np.searchsorted(pairs, np.arange(n_sources + 1) * n_targets)
    counts = np.bincount(targets.ids, minlength=n_targets)
    frequent = np.argsort(-counts, kind="stable")[: min(FREQUENT, int(SHARE * n_targets))]
    always = np.union1d(np.arange(n_special(tokenizer)), frequent).astype(np.int32)
    return Shortlist(always, offsets, (pairs % n_targets).astype(np.int32), n_targets)


def _thinned(sources: IdRows, targets: IdRows) -> tuple[IdRows, IdRows]:
    """Leaves out pairs, evenly, where there are more than can be learnt from in reasonable time."""
    n, cells = len(sources.lengths), int(sources.lengths @ targets.lengths)
    if cells <= MOST_CELLS:
        return sources, targets
    chosen = np.zeros(n, dtype=bool)
    kept = max(1, n * MOST_CELLS // cells)
    chosen[np.arange(kept) * n // kept] = True
    return sources.where(chosen), targets.where(chosen)


class _Pairs:
    """Sentence pairs by source token: where each stands, and what stands opposite.

    Memory grows with the number of tokens. Their products, a cell for each source token of a pair and each of its
    target positions, are made again whenever they are wanted, some at a time.

    Attributes:
        blocks: first and last (not included) of source tokens whose tables fit into memory.
    """

    def __init__(self, sources: IdRows, targets: IdRows, vocab_sizes: tuple[int, int]) -> None:
        source_vocab_size, self._width = vocab_sizes
        last = np.zeros(len(targets.ids), dtype=bool)
        last[targets.lengths.cumsum() - 1] = True
        self._words = targets.ids[~last]  # [N] without eos
        self._lengths = targets.lengths - 1  # [n]
        self._starts = self._lengths.cumsum() - self._lengths
        order = np.argsort(sources.ids, kind="stable")
        self._tokens = sources.ids[order]
        self._pairs = np.repeat(np.arange(len(sources.lengths), dtype=np.int32), sources.lengths)[order]
        self._begins = np.searchsorted(self._tokens, np.arange(source_vocab_size + 1))
        size = max(1, TABLE // self._width)
        self.blocks = [(i, min(i + size, source_vocab_size)) for i in range(0, source_vocab_size, size)]

    def counts(self, first: int, last: int, shares: Numbers) -> Numbers:
        """Returns a table, row behind row: for each source token of a block the summed shares of each target token."""
        table = np.zeros((last - first) * self._width)
        for places, cells in self._cells(first, last):
            np.add.at(table, cells, shares[places])
        return table

    def add(self, first: int, last: int, table: Numbers, sums: Numbers) -> None:
        """Adds the probabilities of a block to the sums of all target positions."""
        for places, cells in self._cells(first, last):
            np.add.at(sums, places, table[cells])

    def _cells(self, first: int, last: int) -> Iterator[tuple[Places, Places]]:
        """Yields places of target positions and, for each, where its word stands in the table of a block."""
        begin, end = self._begins[[first, last]].tolist()
        ends = self._lengths[self._pairs[begin:end]].cumsum()
        cuts = np.searchsorted(ends, np.arange(CELLS, ends[-1] if len(ends) else 0, CELLS)) + begin
        for start, stop in zip([begin, *cuts.tolist()], [*cuts.tolist(), end], strict=True):
            pairs, rows = self._pairs[start:stop], self._tokens[start:stop].astype(np.int64) - first
            lengths = self._lengths[pairs]
            places = spans(self._starts[pairs], lengths)
            yield places, np.repeat(rows * self._width, lengths) + self._words[places]
