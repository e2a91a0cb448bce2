"""How probable given translations or texts are under a model."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from seq2seq.data.batch import Batch, TokenBatch, cut_by_tokens
from seq2seq.decode.context import encode, last, passages
from seq2seq.decode.stepper import MAX_SCORES
from seq2seq.decode.translator import STREAM_LINES
from seq2seq.decode.windows import windows
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import autocast, choose_device, evaluating
from seq2seq.model.folder import TrainedGPT, TrainedModel, find_model, load_model
from seq2seq.model.gpt import GPT
from seq2seq.text.ids import PAD, Ids
from seq2seq.text.lines import in_chunks


@dataclass(frozen=True)
class LineScore:
    """The probability of one given translation or text.

    Attributes:
        log_prob: summed log-probability of the tokens, in nats.
        tokens: pieces; of a translation the end of sentence last.
        token_log_probs: log-probability of each of them, in nats.
    """

    log_prob: float
    tokens: list[str]
    token_log_probs: list[float]

    @property
    def perplexity(self) -> float | None:
        """Per token, the end of a translation included; None of a text without tokens."""
        return math.exp(-self.log_prob / len(self.tokens)) if self.tokens else None

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
        self.context = trained.settings.data.context

    @classmethod
    def load(
        cls, path: str | Path, device: str = "auto", target_language: str | None = None, **decode: Any
    ) -> "Scorer":
        """Loads a model folder, or the best model of a run folder; see `Translator.load`."""
        trained = load_model(find_model(Path(path)), choose_device(device), decode)
        trained.prepare()
        return cls(trained, target_language)

    def score_stream(self, pairs: Iterable[tuple[str, str]]) -> Iterator[LineScore]:
        """Yields the score of each pair of lines in bounded memory; see `score`."""
        before: list[str] = []
        for chunk in in_chunks(pairs, STREAM_LINES):
            sources = [source for source, _ in chunk]
            yield from self.score(sources, [target for _, target in chunk], before)
            before = last([*before, *sources], self.context)
            release_freed_memory()

    def score(self, sources: Sequence[str], targets: Sequence[str], before: Sequence[str] = ()) -> list[LineScore]:
        """Returns the score of each target line given its source line; an empty target is its end of sentence alone.

        Of a model with context the sources are a text, and `before` are its lines in front of them.
        """
        tokenizer = self.trained.tokenizer
        src = encode(self.trained, passages(sources, before, self.context), self.language)
        tgt = tokenizer.encode_target(targets)
        found = pair_log_probs(self.trained, src, tgt)
        pieces = tokenizer.target_pieces(tgt)
        return [LineScore(sum(row), names, row) for row, names in zip(found, pieces, strict=True)]


class TextScorer:
    """Scores texts by themselves with a language model.

    A text stands behind the token between documents, with which a model starts. Its own end is not counted: it may go
    on. Texts longer than the model's window are scored in the windows in which they would have been written, see
    `windows`.

    Args:
        trained: the model, on its device.
    """

    def __init__(self, trained: TrainedGPT) -> None:
        self.trained = trained

    def score_stream(self, texts: Iterable[str]) -> Iterator[LineScore]:
        """Yields the score of each text in bounded memory."""
        for chunk in in_chunks(texts, STREAM_LINES):
            yield from self.score(chunk)
            release_freed_memory()

    def score(self, texts: Sequence[str]) -> list[LineScore]:
        """Returns the score of each text."""
        trained, tokenizer = self.trained, self.trained.tokenizer
        rows = tokenizer.encode_texts(texts)
        begun = [np.roll(row, 1) for row in rows]  # the eos behind a text becomes the one in front of it
        with evaluating(trained.model), autocast(trained.decode_precision, trained.device):
            found = token_log_probs(trained.model, begun, trained.settings.decode.batch_tokens)
        return [
            LineScore(math.fsum(log_probs), pieces, log_probs)
            for log_probs, pieces in zip(found, tokenizer.target_pieces([row[:-1] for row in rows]), strict=True)
        ]


def pair_log_probs(trained: TrainedModel, sources: Sequence[Ids], targets: Sequence[Ids]) -> list[list[float]]:
    """Returns the log-probability, in nats, of each token of each target, given its source and the tokens before.

    Args:
        trained: the model, on its device; it may be prepared for decoding.
        sources: ids, eos last.
        targets: ids, eos last.
    """
    found: list[list[float]] = [[] for _ in sources]
    lengths = [max(map(len, pair)) for pair in zip(sources, targets, strict=True)]
    if not lengths:
        return found
    for rows in cut_by_tokens(lengths, trained.settings.decode.batch_tokens, len(lengths)):
        log_probs = _batch_log_probs(trained, [sources[i] for i in rows], [targets[i] for i in rows])
        for i, row in zip(rows, log_probs, strict=True):
            found[i] = row
    return found


def _batch_log_probs(trained: TrainedModel, sources: Sequence[Ids], targets: Sequence[Ids]) -> list[list[float]]:
    """Returns what `pair_log_probs` does for pairs that are computed together."""
    model, device = trained.model, trained.device
    batch = Batch.from_ids(sources, targets).to(device)
    with evaluating(model), autocast(trained.decode_precision, device):
        hidden = model.decode(batch.tgt_in, model.start(batch.src))  # [B, T, D]
        at_once = max(1, MAX_SCORES // (len(targets) * trained.tokenizer.target_vocab_size))  # positions
        parts = []
        for rows, ids in zip(*(torch.split(all_, at_once, 1) for all_ in (hidden, batch.tgt_out)), strict=True):
            scores = F.log_softmax(model.logits(rows).float(), dim=-1)  # [B, some of T, V]
            parts.append(scores.gather(-1, ids[:, :, None])[:, :, 0])
        log_probs = torch.cat(parts, dim=1)  # [B, T]
    return [row[: len(ids)] for row, ids in zip(log_probs.tolist(), targets, strict=True)]


def token_log_probs(model: GPT, rows: Sequence[Ids], batch_tokens: int) -> list[list[float]]:
    """Returns the log-probability, in nats, of each token but the first of each row, given those before it.

    Args:
        model: in evaluation mode.
        rows: ids, of any number.
        batch_tokens: tokens that are read at once, padding included.
    """
    context, device = model.settings.context, model.token_embedding.weight.device
    pieces = [(i, start, old) for i, row in enumerate(rows) for start, old in windows(len(row), context)]
    ids = [rows[i][start : start + context + 1] for i, start, _ in pieces]
    at_once = max(1, min(batch_tokens, MAX_SCORES // model.token_embedding.num_embeddings))
    found: list[list[float]] = [[] for _ in pieces]
    for chosen in cut_by_tokens([len(row) - 1 for row in ids], at_once, len(ids)):
        batch = TokenBatch.from_ids([ids[i] for i in chosen]).to(device)
        old = torch.tensor([pieces[i][2] for i in chosen], device=device)
        new = torch.arange(batch.tokens.shape[1], device=device) >= old[:, None]  # [B, T]
        wanted = new & (batch.targets != PAD)
        scores = model.logits(model.hidden(batch.tokens)[wanted]).float().log_softmax(-1)  # [N, V]
        values = scores.gather(1, batch.targets[wanted][:, None])[:, 0]  # [N]
        for i, part in zip(chosen, torch.split(values, wanted.sum(dim=1).tolist()), strict=True):
            found[i] = part.tolist()
    joined: list[list[float]] = [[] for _ in rows]
    for (i, _, _), row in zip(pieces, found, strict=True):
        joined[i] += row
    return joined
