"""How far the translation of a large text has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, NonNegativeInt, ValidationError

from seq2seq.config import first_fault
from seq2seq.errors import RunError
from seq2seq.text.inputs import Place

if TYPE_CHECKING:
    from seq2seq.decode.translation import Translation


@dataclass
class Tally:
    """What has become of the lines so far.

    Attributes:
        lines: all of them.
        translated: those that are neither blank nor failed.
        split: those that were longer than what the model was trained on.
        truncated: those whose translation was ended at its longest length.
        failed: those that could not be translated and are empty.
        tokens: of the translations, end of sentence not counted.
        retried: those that seemed wrong at first and were tried again.
        flags: those that still seem wrong, by kind.
    """

    lines: int = 0
    translated: int = 0
    split: int = 0
    truncated: int = 0
    failed: int = 0
    tokens: int = 0
    retried: int = 0
    flags: dict[str, int] = field(default_factory=dict)

    def add(self, translation: "Translation") -> None:
        """Counts a line."""
        self.lines += 1
        self.translated += bool(translation.candidates)
        self.split += translation.parts > 1
        self.truncated += translation.truncated
        self.failed += translation.error is not None
        self.retried += translation.retried
        for flag in translation.flags:
            self.flags[flag.kind] = self.flags.get(flag.kind, 0) + 1
        self.tokens += len(translation.candidates[0].tokens) if translation.candidates else 0


class State(BaseModel):
    """What is needed to go on behind the lines that have been written.

    Attributes:
        start: byte of the text at which the first line began.
        read: how far it has been read from there.
        tally: what has become of these lines.
    """

    start: NonNegativeInt
    read: Place
    tally: Tally

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "State":
        """Returns what a journal has stored.

        Raises:
            RunError: it is not what it should be.
        """
        try:
            return cls.model_validate(stored)
        except ValidationError as error:
            raise RunError(f"how far it has come is not told: {first_fault(error)}") from error
