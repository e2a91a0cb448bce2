"""How probable given translations are under a model."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.nn.functional as F

from seq2seq.data.batch import Batch, cut_by_tokens
from seq2seq.decode.translator import STREAM_LINES
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import autocast, choose_device, evaluating
from seq2seq.model.folder import TrainedModel, find_model, load_model
from seq2seq.text.ids import Ids
from seq2seq.text.lines import in_chunks


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
        trained: the model, on its device.
        target_language: language of the translations, see `Translator`.
    """

    def __init__(self, trained: TrainedModel, target_language: str | None = None) -> None:
        self.trained = trained
        self.language = trained.target_language(target_language)

    @classmethod
    def load(
        cls, path: str | Path, device: str = "auto", target_language: str | None = None, **decode: Any
    ) -> "Scorer":
        """Loads a model folder, or the best model of a run folder; see `Translator.load`."""
        return cls(load_model(find_model(Path(path)), choose_device(device), decode), target_language)

    def score_stream(self, pairs: Iterable[tuple[str, str]]) -> Iterator[LineScore]:
        """Yields the score of each pair of lines in bounded memory; see `score`."""
        for chunk in in_chunks(pairs, STREAM_LINES):
            yield from self.score([source for source, _ in chunk], [target for _, target in chunk])
            release_freed_memory()

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[LineScore]:
        """Returns the score of each target line given its source line; an empty target is its end of sentence alone."""
        tokenizer = self.trained.tokenizer
        src, tgt = tokenizer.encode_source(sources, self.language), tokenizer.encode_target(targets)
        found: list[list[float]] = [[] for _ in src]
        lengths = [max(map(len, pair)) for pair in zip(src, tgt, strict=True)]
        for rows in cut_by_tokens(lengths, self.trained.settings.decode.batch_tokens, len(lengths)):
            for i, log_probs in zip(
                rows, self._token_log_probs([src[i] for i in rows], [tgt[i] for i in rows]), strict=True
            ):
                found[i] = log_probs
        pieces = tokenizer.target_pieces(tgt)
        return [LineScore(sum(row), names, row) for row, names in zip(found, pieces, strict=True)]

    def _token_log_probs(self, sources: Sequence[Ids], targets: Sequence[Ids]) -> list[list[float]]:
        """Returns the log-probability of each target token, one list for each pair."""
        model, device = self.trained.model, self.trained.device
        batch = Batch.from_ids(sources, targets).to(device)
        with evaluating(model), autocast(self.trained.decode_precision, device):
            logits = model.logits(model.decode(batch.tgt_in, model.start(batch.src)))  # [B, T, V]
            log_probs = F.log_softmax(logits.float(), dim=-1).gather(-1, batch.tgt_out[:, :, None])[:, :, 0]  # [B, T]
        return [row[: len(ids)] for row, ids in zip(log_probs.tolist(), targets, strict=True)]
