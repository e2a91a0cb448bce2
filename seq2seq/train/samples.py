"""What a validation shows of the model's work: translations of the same sentences each time, or texts."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from seq2seq.data.tokens import TokenStore
from seq2seq.decode.generator import Generator
from seq2seq.model.folder import TrainedGPT
from seq2seq.text.ids import EOS, Ids

PROMPT = 32  # tokens of the held-out text that the model goes on from, at most a quarter of its window
KEPT, LOGGED = 1000, 200  # characters of a text in samples.jsonl, and of a translation's texts in the log

Sample = Mapping[str, str]  # `source`, `reference` and `translation`; of a language model `prompt` and `text`


def sample_text(sample: Sample) -> str:
    """Returns a sample as the log and TensorBoard show it."""
    if "prompt" in sample:
        return sample["prompt"] + sample["text"]
    return "\n".join(f"  {name:<12} {text[:LOGGED]}" for name, text in sample.items())


def written(trained: TrainedGPT, stores: Sequence[TokenStore], n: int) -> list[Sample]:
    """Lets a model continue the held-out text from `n` places, evenly spread.

    The same places and the same random numbers at each call, so that samples can be compared over a run.
    """
    length = max(1, min(PROMPT, trained.settings.model.context // 4))
    rows = [[token for token in ids.tolist() if token != EOS] for ids in _spread(stores, n, length)]
    prompts = [trained.tokenizer.decode_text(row) for row in rows]
    found = Generator(trained).generate(prompts, seed=trained.settings.seed)
    return [{"prompt": sample.prompt, "text": sample.text} for samples in found for sample in samples]


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
