"""What a translator makes of a line."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seq2seq.decode.detector import Flag
from seq2seq.text.ids import Ids
from seq2seq.text.lines import one_line


@dataclass(frozen=True)
class Candidate:
    """One of the n best translations of a line.

    Attributes:
        text: raw.
        score: log-probability divided by the length penalty, plus what else search counts.
        log_prob: summed log-probability, in nats.
        tokens: target ids, without eos.
        utility: what minimum Bayes risk expects of it, 0 to 100; None: it was not asked.
    """

    text: str
    score: float
    log_prob: float
    tokens: list[int] = field(repr=False)
    utility: float | None = None

    def record(self) -> dict[str, Any]:
        """Returns what `--format jsonl` says of it."""
        utility = {} if self.utility is None else {"utility": self.utility}
        return {"translation": self.text, "score": self.score, "log_prob": self.log_prob, **utility}


@dataclass(frozen=True)
class Searched:
    """What search has read and found for a line, or for a part of one that was split.

    Attributes:
        source: ids, eos last; in front of the text there may be a tag and the lines before.
        tokens: target ids of the best translation, without eos.
        log_prob: of them, eos included, in nats.
    """

    source: Ids
    tokens: list[int]
    log_prob: float


@dataclass(frozen=True)
class Translation:
    """The translation of one line.

    Attributes:
        text: the best translation; empty for a blank line.
        candidates: the n best, the best first; none for a blank line, one for a line that was split.
        parts: pieces that the line was split into because it was longer than any source the model was trained on.
        truncated: whether the best translation had to be ended at the longest length allowed.
        error: why there is no translation, the text being empty.
        flags: what seems wrong with it, if somebody has looked.
        retried: whether it seemed wrong, and was tried again.
        searched: the best translation of each part; none for a blank line.
        calibrated: whether the model tells a confidence.
        confidence: which quality, from 0 to 1, is expected of the best translation: chrF / 100, unless the model was
            calibrated otherwise; None for a blank line, one that was steered or tried again, and if the model is not
            calibrated.
    """

    text: str
    candidates: list[Candidate]
    parts: int = 1
    truncated: bool = False
    error: Exception | None = None
    flags: tuple[Flag, ...] = ()
    retried: bool = False
    searched: Sequence[Searched] = field(default=(), repr=False, compare=False)
    calibrated: bool = False
    confidence: float | None = None

    @property
    def reason(self) -> str:
        """The error in words, on one line; empty if there is none."""
        return "" if self.error is None else one_line(str(self.error) or type(self.error).__name__)

    def record(self, n_best: int = 1) -> dict[str, Any]:
        """Returns what one line of `--format jsonl` holds."""
        best = self.candidates[0] if self.candidates else None
        record: dict[str, Any] = {
            "translation": self.text,
            "score": best and best.score,
            "log_prob": best and best.log_prob,
            "split": self.parts > 1,
            "truncated": self.truncated,
            "failed": self.error is not None,
        }
        if self.calibrated:
            record["confidence"] = self.confidence
        if self.error is not None:
            record["error"] = self.reason
        if self.retried:
            record |= {"flags": {flag.kind: flag.detail for flag in self.flags}, "retried": True}
        if n_best > 1:
            record["n_best"] = [candidate.record() for candidate in self.candidates]
        return record


BLANK = Translation("", [])
