"""Minimum Bayes risk: of several translations the one that is on average most like all of them.

The candidates stand in for the translations that the model holds for possible, as in Kumar and Byrne 2004 (of an
n-best list, with their probabilities) and in Eikema and Aziz 2020 (of samples, equal ones counted as often as they
were drawn). Utilities are those of sacrebleu for single sentences; here they are computed for all pairs at once.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Utility = Literal["chrf", "bleu"]
Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

CHRF_ORDER, CHRF_BETA, BLEU_ORDER = 6, 2, 4  # sacrebleu's
TIE = 1e-9  # expected utilities that differ by less are equal but for rounding
BLOCK = 2**22  # entries of a matrix of n-grams that are held at once


def choose(
    candidates: Sequence[str], utility: Utility = "chrf", weights: Sequence[float] | None = None
) -> tuple[int, list[float]]:
    """Chooses the candidate with the highest expected utility.

    The expectation is over all candidates, the one itself included, as in Kumar and Byrne 2004, equation 3: without
    it the likeliest candidate would be the only one that has no share in its own probability. Where all weigh the
    same this adds the same to each, but for empty ones, which are like nothing.

    Args:
        candidates: translations of one text, raw, one or more; equal ones may stand among them.
        utility: `chrf`, sacrebleu's chrF2 of a sentence, or `bleu`, its BLEU of a sentence (13a, effective order,
            exponential smoothing).
        weights: how probable each candidate is, 0 or more, of any sum; None: all the same, as of samples.

    Returns:
        The place of the first of the best candidates, and the expected utility of each, 0 to 100.

    Raises:
        ValueError: there are no candidates, or the weights are not as they must be.
    """
    if not candidates:
        raise ValueError("no candidates to choose from")
    distinct = {text: i for i, text in enumerate(dict.fromkeys(candidates))}
    places = np.array([distinct[text] for text in candidates])
    shares = np.bincount(places, _checked(weights, len(candidates)))
    expected = (utilities(list(distinct), utility) @ (shares / shares.sum()))[places]
    return int(np.argmax(expected >= expected.max() - TIE)), expected.tolist()


def posterior(log_probs: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Returns weights for an n-best list: the candidates' probabilities among themselves.

    Args:
        log_probs: of the whole candidates, in nats.
        temperature: above 0; larger values make the weights more alike.
    """
    best = max(log_probs)
    odds = [math.exp((log_prob - best) / temperature) for log_prob in log_probs]
    return [value / sum(odds) for value in odds]


def utilities(texts: Sequence[str], utility: Utility = "chrf") -> Matrix:
    """Returns what each text is worth as a translation if another one is the reference: [hypothesis, reference].

    An empty text is worth 0, and so is everything beside it.
    """
    return _chrf(texts) if utility == "chrf" else _bleu(texts)


def _checked(weights: Sequence[float] | None, n: int) -> Matrix:
    """Returns the weights of n candidates."""
    if weights is None:
        return np.ones(n)
    checked = np.asarray(weights, dtype=np.float64)
    if checked.shape != (n,):
        raise ValueError(f"{len(weights)} weights for {n} candidates")
    if not (np.isfinite(checked).all() and (checked >= 0).all() and checked.sum() > 0):
        raise ValueError("weights must be finite, 0 or more, and not all 0")
    return checked / float(checked.max())


def _chrf(texts: Sequence[str]) -> Matrix:
    """Returns chrF2 of all pairs (Popović 2015): precision and recall are averaged over the orders both sides have."""
    rows = [np.frombuffer(_bare(text).encode("utf-32-le", "surrogatepass"), dtype=np.uint32) for text in texts]
    lengths = np.array([len(row) for row in rows])
    precision, recall, orders = (np.zeros((len(texts), len(texts))) for _ in range(3))
    for n, matches in enumerate(_matches(rows, CHRF_ORDER), 1):
        totals = lengths - n + 1
        # A side without n-grams of this order has no matches either.
        precision += matches / np.maximum(totals, 1)[:, None]
        recall += matches / np.maximum(totals, 1)[None, :]
        orders += np.minimum(totals[:, None], totals[None, :]) > 0
    orders = np.maximum(orders, 1)
    precision, recall = precision / orders, recall / orders
    factor = CHRF_BETA**2
    divisor = factor * precision + recall
    scores: Matrix = 100 * (1 + factor) * precision * recall / np.where(divisor > 0, divisor, 1)
    return scores


def _bleu(texts: Sequence[str]) -> Matrix:
    """Returns BLEU of all pairs, smoothed as by Chen and Cherry 2014, method 3, over the orders the hypothesis has."""
    words = [_tokenizer()(text.rstrip()).split() for text in texts]
    ids = {word: i for i, word in enumerate(dict.fromkeys(word for row in words for word in row))}
    lengths = np.array([len(row) for row in words])
    shape = len(texts), len(texts)
    logs, smoothing, any_match = np.zeros(shape), np.ones(shape), np.zeros(shape, dtype=bool)
    for n, matches in enumerate(_matches([np.array([ids[word] for word in row]) for row in words], BLEU_ORDER), 1):
        totals = (lengths - n + 1)[:, None]
        smoothing *= np.where((matches == 0) & (totals > 0), 2, 1)
        counts = np.where(matches > 0, matches, 1 / smoothing)
        logs += np.where(totals > 0, np.log(counts / np.maximum(totals, 1)), 0.0)
        any_match |= matches > 0
    orders = np.clip(lengths, 1, BLEU_ORDER)[:, None]
    brevity = np.minimum(0.0, 1 - lengths[None, :] / np.maximum(lengths, 1)[:, None])
    scores: Matrix = np.where(any_match, 100 * np.exp(brevity + logs / orders), 0.0)
    return scores


def _bare(text: str) -> str:
    return "".join(text.split())


@cache
def _tokenizer() -> Callable[[str], str]:
    """Returns the tokenizer of sacrebleu's BLEU."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenizer: Callable[[str], str] = Tokenizer13a()  # type: ignore[no-untyped-call]
    return tokenizer


def _matches(rows: Sequence[npt.NDArray[np.integer]], order: int) -> list[Matrix]:
    """Returns how many n-grams each two rows share, for n from 1 to `order`: [rows, rows] each, of whole numbers.

    An n-gram that stands a times in the one and b times in the other counts min(a, b) times.

    Args:
        rows: ids of characters or words.
        order: the longest n-grams that are counted.
    """
    lengths = np.array([len(row) for row in rows])
    owners = np.repeat(np.arange(len(rows)), lengths)
    left = np.concatenate([np.arange(n, 0, -1) for n in lengths])  # from a place to the end of its row
    _, units = np.unique(np.concatenate(rows), return_inverse=True)
    size = int(units.max(initial=0)) + 1
    places, grams = np.arange(len(units)), units
    found = []
    for n in range(1, order + 1):
        if n > 1:  # an n-gram is an (n-1)-gram and one unit more
            whole = left[places] >= n
            places = places[whole]
            _, grams = np.unique(grams[whole] * size + units[places + n - 1], return_inverse=True)
        found.append(_shared(owners[places], grams, len(rows)))
    return found


def _shared(owners: Places, grams: Places, n_rows: int) -> Matrix:
    """Returns the sum over all n-grams of the smaller of two rows' counts: [rows, rows].

    The k-th time that a row has an n-gram is a feature of its own, so that the sum is the number of shared features:
    a product of matrices of zeros and ones.
    """
    if not len(grams):
        return np.zeros((n_rows, n_rows))
    kinds, counts = np.unique(grams * n_rows + owners, return_counts=True)
    grams, owners = kinds // n_rows, kinds % n_rows
    most = np.maximum.reduceat(counts, np.flatnonzero(np.diff(grams, prepend=-1)))  # `kinds` is sorted by n-gram
    first = np.repeat(np.append(0, np.cumsum(most)[:-1])[grams], counts)
    times = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    features, owners = first + times, np.repeat(owners, counts)
    total = np.diag(np.bincount(owners, minlength=n_rows)).astype(np.float64)
    shared = np.bincount(features) > 1  # all others count on the diagonal only
    total -= np.diag(np.bincount(owners[shared[features]], minlength=n_rows))
    columns = np.cumsum(shared) - 1
    features, owners = columns[features[shared[features]]], owners[shared[features]]
    width = max(1, BLOCK // n_rows)
    for start in range(0, int(shared.sum()), width):
        here = (features >= start) & (features < start + width)
        block = np.zeros((n_rows, min(width, int(shared.sum()) - start)), dtype=np.float32)
        block[owners[here], features[here] - start] = 1
        total += block @ block.T  # exact: whole numbers below 2^24
    return total
