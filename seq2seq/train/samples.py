"""Text that a language model writes at each validation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.data.tokens import TokenStore
from seq2seq.decode.sampling import Sampling, sample
from seq2seq.model.device import autocast, evaluating
from seq2seq.model.folder import TrainedGPT
from seq2seq.text.ids import EOS

PROMPT = 32  # tokens of the held-out text that the model goes on from, at most a quarter of its window


def written(trained: TrainedGPT, stores: Sequence[TokenStore], n: int) -> list[str]:
    """Lets a model continue the held-out text from `n` places, evenly spread; each sample is prompt and continuation.

    The same places and the same random numbers at each call, so that samples can be compared over a run.
    """
    settings = trained.settings
    context, ids = settings.model.context, stores[0].ids
    length = max(1, min(PROMPT, context // 4, len(ids)))
    prompts = [ids[start : start + length].tolist() for start in ((len(ids) - length) * i // n for i in range(n))]
    room = min(settings.decode.max_new_tokens, context - length)
    if not prompts or room < 1:
        return []
    chosen = settings.decode
    sampling = Sampling(chosen.repetition_penalty, chosen.temperature, chosen.top_k, chosen.top_p, chosen.min_p)
    texts: list[list[int]] = [list(prompt) for prompt in prompts]
    with evaluating(trained.model), autocast(trained.decode_precision, trained.device):
        for new in sample(
            _Window(trained, prompts),
            sampling,
            prompts=prompts,
            keys=[[(settings.seed, i)] for i in range(n)],
            max_lengths=[room] * n,
            eos=EOS,
            forbidden=trained.tokenizer.unspoken,
            device=trained.device,
        ):
            for token in new:
                texts[token.prompt].append(token.token)
    return [trained.tokenizer.decode_text([token for token in text if token != EOS]) for text in texts]


class _Window:
    """Logits of a GPT for prompts of one length and as many tokens as fit into its window behind them."""

    def __init__(self, trained: TrainedGPT, prompts: Sequence[Sequence[int]]) -> None:
        self.model = trained.model
        self.prompts = torch.tensor(prompts, device=trained.device)  # [B, P]

    def start(self, beam_size: int) -> int:
        """Reads all prompts but for their last tokens."""
        self.state = self.model.start()
        if self.prompts.shape[1] > 1:
            self.model.hidden(self.prompts[:, :-1], self.state)
        return len(self.prompts)

    def step(self, tokens: Tensor) -> Tensor:
        """Appends a token to each row and returns logits of the next one, [N, V]."""
        return self.model.logits(self.model.hidden(tokens[:, None], self.state)[:, -1])

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was."""
        self.state.reorder(rows)
