"""Text that a language model writes at each validation."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from seq2seq.data.tokens import TokenStore
from seq2seq.decode.generator import Generator
from seq2seq.model.folder import TrainedGPT
from seq2seq.text.ids import EOS, Ids

PROMPT = 32  # tokens of the held-out text that the model goes on from, at most a quarter of its window


def written(trained: TrainedGPT, stores: Sequence[TokenStore], n: int) -> list[str]:
    """Lets a model continue the held-out text from `n` places, evenly spread; each sample is prompt and continuation.

    The same places and the same random numbers at each call, so that samples can be compared over a run.
    """
    length = max(1, min(PROMPT, trained.settings.model.context // 4))
    rows = [[token for token in ids.tolist() if token != EOS] for ids in _spread(stores, n, length)]
    prompts = [trained.tokenizer.decode_text(row) for row in rows]
    found = Generator(trained).generate(prompts, seed=trained.settings.seed)
    return [sample.prompt + sample.text for samples in found for sample in samples]


def _spread(stores: Sequence[TokenStore], n: int, length: int) -> list[Ids]:
    """Returns `n` pieces of `length` ids, or of all that a store has, that lie evenly spread over all stores."""
    ends = list(accumulate(max(1, len(store.ids) - length) for store in stores))  # of the places to begin at
    found = []
    for i in range(n):
        place = ends[-1] * i // n
        c = bisect_right(ends, place)
        start = place - (ends[c - 1] if c else 0)
        found.append(stores[c].ids[start : start + length])
    return found
