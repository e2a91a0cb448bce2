"""A second look at translations: what seems to have gone wrong is flagged and translated once more, otherwise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from seq2seq.config import DecodeSettings
from seq2seq.decode.detector import DEFAULT_LENGTHS, Lengths, inspect_output
from seq2seq.decode.protected import Separators
from seq2seq.decode.translation import Translation

# What loops, copies and outputs that are too short come from is search as often as the model.
SECOND_TRY = {
    "search": "beam",
    "mbr": "none",
    "beam_groups": 1,
    "no_repeat_ngram": 3,
    "length_norm": "length",
    "length_penalty": 1.0,
}


@dataclass(frozen=True)
class Guard:
    """Says what seems wrong with translations.

    Attributes:
        lengths: limits of their lengths.
        same_language: whether they are in the language of the source, so that a copy may be right.
        protect: how numbers are compared with those of the source; see `protected.lost`.
    """

    lengths: Lengths = DEFAULT_LENGTHS
    same_language: bool = False
    protect: Separators = "any"

    def flag(self, line: str, translation: Translation) -> Translation:
        """Returns a translation with its flags."""
        if translation.error is not None:
            return translation
        found = inspect_output(
            line,
            translation.text,
            lengths=self.lengths,
            same_language=self.same_language,
            protect=self.protect,
        )
        return replace(translation, flags=tuple(found))

    def guarded(
        self,
        lines: Sequence[str],
        translations: Sequence[Translation],
        again: Callable[[list[int]], Sequence[Translation]],
    ) -> list[Translation]:
        """Returns translations with their flags; of those that have some, the second try where it is better.

        Args:
            lines: sources.
            translations: of each.
            again: translates lines by their numbers, by the settings of `second_try`.
        """
        found = [self.flag(line, translation) for line, translation in zip(lines, translations, strict=True)]
        wrong = [i for i, translation in enumerate(found) if translation.flags]
        for i, second in zip(wrong, again(wrong) if wrong else (), strict=True):
            other = self.flag(lines[i], second)
            better = other.error is None and len(other.flags) < len(found[i].flags)
            found[i] = replace(other if better else found[i], retried=True)
        return found


def second_try(decode: DecodeSettings) -> DecodeSettings:
    """Returns the settings by which a translation is tried again that seems wrong."""
    return decode.model_copy(update={**SECOND_TRY, "beam_size": min(1000, max(8, 2 * decode.beam_size))})
