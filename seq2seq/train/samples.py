"""Text that a language model writes at each validation."""

from collections.abc import Sequence

from seq2seq.data.tokens import TokenStore
from seq2seq.decode.sampling import Sampling, sample
from seq2seq.decode.stepper import GPTStepper
from seq2seq.model.device import autocast, evaluating
from seq2seq.model.folder import TrainedGPT
from seq2seq.text.ids import BOS, EOS, PAD, UNK

PROMPT = 32  # tokens of the held-out text that the model goes on from, at most a quarter of its window


def written(trained: TrainedGPT, stores: Sequence[TokenStore], n: int) -> list[str]:
    """Lets a model continue the held-out text from `n` places, evenly spread; each sample is prompt and continuation.

    The same places and the same random numbers at each call, so that samples can be compared over a run.
    """
    settings = trained.settings
    context, ids = settings.model.context, stores[0].ids
    length = max(1, min(PROMPT, context // 4))
    prompts = [ids[start : start + length].tolist() for start in (len(ids) * i // n for i in range(n))]
    chosen = settings.decode
    sampling = Sampling(chosen.repetition_penalty, chosen.temperature, chosen.top_k, chosen.top_p, chosen.min_p)
    texts: list[list[int]] = [list(prompt) for prompt in prompts]
    with evaluating(trained.model), autocast(trained.decode_precision, trained.device):
        for new in sample(
            GPTStepper(trained.model, prompts),
            sampling,
            prompts=prompts,
            keys=[[(settings.seed, i)] for i in range(n)],
            max_lengths=[settings.decode.max_new_tokens] * n,
            eos=EOS,
            forbidden=(PAD, UNK, BOS),
            device=trained.device,
        ):
            for token in new:
                texts[token.prompt].append(token.token)
    return [trained.tokenizer.decode_text([token for token in text if token != EOS]) for text in texts]
