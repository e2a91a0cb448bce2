"""How probable given translations are under a model."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch.nn.functional as F

from seq2seq.config import Settings
from seq2seq.data.batch import Batch, cut_by_tokens
from seq2seq.decode.translator import STREAM_LINES
from seq2seq.model.device import autocast, choose_device, choose_precision, evaluating, release_freed_memory
from seq2seq.model.folder import find_model, load_model
from seq2seq.model.transformer import Transformer
from seq2seq.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LineScore:
    """The probability of one given translation.

    Attributes:
        log_prob: summed log-probability of all tokens including eos, in nats.
        tokens: target pieces, the end of sentence last.
        token_log_probs: log-probability of each of them, in nats.
    """

    log_prob: float
    tokens: list[str]
    token_log_probs: list[float]

    @property
    def perplexity(self) -> float:
        """Per token, eos included."""
        return math.exp(-self.log_prob / len(self.tokens))

    def record(self) -> dict[str, Any]:
        """Returns what one line of `--format jsonl` holds."""
        return {
            "log_prob": self.log_prob,
            "perplexity": self.perplexity,
            "tokens": self.tokens,
            "token_log_probs": self.token_log_probs,
        }


class Scorer:
    """Scores given translations by forced decoding; nothing is split or cut, however long.

    Args:
        model: on its device; it is used in evaluation mode.
        tokenizer: the one the model was trained with.
        settings: the recipe the model was trained with.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer, settings: Settings) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_tokens = settings.decode.batch_tokens
        self.device = next(model.parameters()).device
        self.precision = choose_precision(settings.decode.precision, self.device, settings.model.d_model)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", **decode: Any) -> "Scorer":
        """Loads a model folder, or the best model of a run folder; see `Translator.load`."""
        folder = load_model(find_model(Path(path)), decode)
        return cls(folder.model.to(choose_device(device)), folder.tokenizer, folder.settings)

    def score_stream(self, pairs: Iterable[tuple[str, str]]) -> Iterator[LineScore]:
        """Yields the score of each pair of lines in bounded memory; see `score`."""
        iterator = iter(pairs)
        while chunk := list(islice(iterator, STREAM_LINES)):
            yield from self.score([source for source, _ in chunk], [target for _, target in chunk])
            release_freed_memory()

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[LineScore]:
        """Returns the score of each target line given its source line; an empty target is its end of sentence alone."""
        src, tgt = self.tokenizer.encode_source(sources), self.tokenizer.encode_target(targets)
        found: list[list[float]] = [[] for _ in src]
        lengths = [max(map(len, pair)) for pair in zip(src, tgt, strict=True)]
        for rows in cut_by_tokens(lengths, self.batch_tokens, len(lengths)):
            for i, log_probs in zip(
                rows, self._token_log_probs([src[i] for i in rows], [tgt[i] for i in rows]), strict=True
            ):
                found[i] = log_probs
        pieces = self.tokenizer.target_pieces(tgt)
        return [LineScore(sum(row), names, row) for row, names in zip(found, pieces, strict=True)]

    def _token_log_probs(self, sources: Sequence[Any], targets: Sequence[Any]) -> list[list[float]]:
        """Returns the log-probability of each target token, one list for each pair."""
        batch = Batch.from_ids(sources, targets).to(self.device)
        with evaluating(self.model), autocast(self.precision, self.device):
            logits = self.model.logits(self.model.decode(batch.tgt_in, self.model.start(batch.src)))  # [B, T, V]
            log_probs = F.log_softmax(logits.float(), dim=-1).gather(-1, batch.tgt_out[:, :, None])[:, :, 0]  # [B, T]
        return [row[: len(ids)] for row, ids in zip(log_probs.tolist(), targets, strict=True)]
