"""Which target tokens may translate which source tokens: a small part of the vocabulary for each sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from seq2seq.errors import ModelError
from seq2seq.files import check_head
from seq2seq.text.ids import EOS, IdRows, Ids, spans
from seq2seq.text.tokenizer import Tokenizer

SHORTLIST = "shortlist.safetensors"
LARGEST = 0.5  # share of the vocabulary from which on a sentence may use all of it: little would be saved


@dataclass(frozen=True)
class Choice:
    """The target tokens that the sentences of a batch may use.

    Attributes:
        ids: [n] int64, those of all sentences, ascending; the special ids come first, so each stands at its own place.
        allowed: [B, n] bool, those of each sentence.
    """

    ids: npt.NDArray[np.int64]
    allowed: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shortlist:
    """The target tokens that may stand in the translation of each source token.

    Attributes:
        frequent: [n] int32, ascending, tokens that any translation may use, special ids included.
        offsets: [source vocabulary + 1] int64, where the tokens of each source token begin.
        targets: [m] int32, the tokens.
        vocab_size: tokens of the target side.
    """

    frequent: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int32]
    vocab_size: int

    def choose(self, sources: Sequence[Ids]) -> Choice | None:
        """Returns the target tokens for sources that are translated together; None: the whole vocabulary for each.

        What a sentence may use depends on itself alone: its translation is the same in any batch. A sentence that may
        use a large part of the vocabulary may use all of it.
        """
        lengths = np.array([len(ids) for ids in sources])
        allowed = self.allowed(IdRows(np.concatenate(sources), lengths))
        if allowed.all():
            return None
        ids = np.flatnonzero(allowed.any(axis=0))
        return Choice(ids, allowed[:, ids])

    def allowed(self, sources: IdRows) -> npt.NDArray[np.bool_]:
        """Says of each target token whether the translation of each source may use it: [B, V]."""
        sizes = np.diff(self.offsets)[sources.ids]
        columns = self.targets[spans(self.offsets[sources.ids], sizes)]
        rows = np.repeat(np.repeat(np.arange(len(sources.lengths)), sources.lengths), sizes)
        allowed = np.zeros((len(sources.lengths), self.vocab_size), dtype=bool)
        allowed[rows, columns] = True
        allowed[:, self.frequent] = True
        allowed[allowed.sum(axis=1) > LARGEST * self.vocab_size] = True
        return allowed

    def coverage(self, sources: IdRows, targets: IdRows) -> tuple[float, float]:
        """Returns how many tokens a sentence may use on average, and the share of given translations, without eos."""
        allowed = self.allowed(sources)
        used = allowed[np.repeat(np.arange(len(allowed)), targets.lengths), targets.ids]
        return float(allowed.sum(axis=1).mean()), float(used[targets.ids != EOS].mean())

    def save(self, folder: Path) -> None:
        """Writes the shortlist's file into a model folder."""
        content = save({"frequent": self.frequent, "offsets": self.offsets, "targets": self.targets})
        (folder / SHORTLIST).write_bytes(content)

    @classmethod
    def load(cls, folder: Path, tokenizer: Tokenizer) -> "Shortlist":
        """Reads the shortlist of a model folder.

        Raises:
            ModelError: the file is unreadable, or does not fit the model's vocabulary.
        """
        path = folder / SHORTLIST
        try:
            check_head(path)
            arrays = load_file(path)
            found = cls(arrays["frequent"], arrays["offsets"], arrays["targets"], tokenizer.target_vocab_size)
        # TypeError, AttributeError: numpy lacks some number formats of safetensors
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise ModelError(f"{path}: not usable: {error}; make it anew with seq2seq-shortlist") from error
        if not found.fits(tokenizer):
            raise ModelError(f"{path}: is for another vocabulary than the model's; make it anew with seq2seq-shortlist")
        return found

    def fits(self, tokenizer: Tokenizer) -> bool:
        """Says whether the tokens are those of a tokenizer's vocabularies, as far as their numbers tell."""
        arrays = (self.frequent, self.offsets, self.targets)
        if any(array.ndim != 1 or array.dtype.kind != "i" for array in arrays):
            return False
        special = n_special(tokenizer)
        return (
            len(self.offsets) == tokenizer.source_vocab_size + 1
            and self.offsets[0] == 0
            and self.offsets[-1] == len(self.targets)
            and self.offsets.min() >= 0
            and bool((np.diff(self.offsets) >= 0).all())
            and bool((np.diff(self.frequent) > 0).all())
            and self.frequent[:special].tolist() == list(range(special))
            and self.frequent[-1] < self.vocab_size
            and 0 <= self.targets.min(initial=0) <= self.targets.max(initial=0) < self.vocab_size
        )


def n_special(tokenizer: Tokenizer) -> int:
    """Returns how many ids at the beginning of the target vocabulary are no words: pad, eos, tags ..."""
    return len({EOS, *tokenizer.unspoken})
