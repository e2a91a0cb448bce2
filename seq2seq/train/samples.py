"""Text that a language model writes at each validation."""

from collections.abc import Sequence

from seq2seq.data.tokens import TokenStore
from seq2seq.decode.generator import Generator
from seq2seq.model.folder import TrainedGPT
from seq2seq.text.ids import EOS

PROMPT = 32  # tokens of the held-out text that the model goes on from, at most a quarter of its window


def written(trained: TrainedGPT, stores: Sequence[TokenStore], n: int) -> list[str]:
    """Lets a model continue the held-out text from `n` places, evenly spread; each sample is prompt and continuation.

    The same places and the same random numbers at each call, so that samples can be compared over a run.
    """
    ids = stores[0].ids
    length = max(1, min(PROMPT, trained.settings.model.context // 4, len(ids)))
    starts = [(len(ids) - length) * i // n for i in range(n)]
    rows = [[token for token in ids[start : start + length].tolist() if token != EOS] for start in starts]
    prompts = [trained.tokenizer.decode_text(row) for row in rows]
    found = Generator(trained).generate(prompts, seed=trained.settings.seed)
    return [sample.prompt + sample.text for samples in found for sample in samples]
