"""Which source word each target word comes from, by the cross-attention of a model that reads both."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seq2seq.data.batch import Batch, cut_by_tokens
from seq2seq.decode.context import encode, last, own_lengths, passages
from seq2seq.decode.searcher import EXTRA_LENGTH
from seq2seq.decode.translation import Translation
from seq2seq.decode.translator import STREAM_LINES
from seq2seq.memory import release_freed_memory
from seq2seq.model.attention import Layout
from seq2seq.model.device import autocast, choose_device, evaluating
from seq2seq.model.folder import TrainedModel, find_model, load_model
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import EOS, PAD, Ids
from seq2seq.text.lines import encodable, in_chunks, is_blank
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.text.words import words_of_pieces

DIGITS = 4  # of weights that are written down

Kind = Literal["hard", "soft"]
Link = tuple[int, int]  # a source word and a target word, from 0 on


@dataclass(frozen=True)
class Alignment:
    """The alignment of a sentence pair.

    Words are what stands between spaces (`str.split`), punctuation included.

    Attributes:
        source: words of the source.
        target: words of its translation.
        weights: [target words, source words] fp32; each row sums to 1, unless the model looks at no word at all.
    """

    source: list[str]
    target: list[str]
    weights: npt.NDArray[np.float32]

    def links(self) -> list[Link]:
        """Returns the hard alignment in order: each word with the one that it shares most with.

        A link is there if the target word takes most from the source word, or if the source word gives most to the
        target word. So no word is left out, and one that means several on the other side is linked to them all.
        """
        if not self.weights.size:
            return []
        best_sources, best_targets = self.weights.argmax(1).tolist(), self.weights.argmax(0).tolist()
        return sorted({*zip(best_sources, range(len(self.target)), strict=True), *enumerate(best_targets)})

    def moses(self) -> str:
        """Returns the hard alignment as Moses writes it: "0-0 1-2", source word first."""
        return " ".join(f"{i}-{j}" for i, j in self.links())

    def record(self, kind: Kind) -> Any:
        """Returns what JSON holds: links, or the words and the weights, rounded."""
        if kind == "hard":
            return [list(link) for link in self.links()]
        weights = [[round(weight, DIGITS) for weight in row] for row in self.weights.tolist()]
        return {"source": self.source, "target": self.target, "weights": weights}


def no_alignment() -> Alignment:
    """Returns that of a blank line and of one that is not aligned."""
    return Alignment([], [], np.zeros((0, 0), np.float32))


class Aligner:
    """Aligns the words of translations with those of their sources, in one pass of the model over both.

    The weights of cross-attention are averaged over all heads of the upper half of the decoder's layers, of an odd
    number the larger half. That asks for no true alignments to choose by: of three layers or more it holds both that
    have been found best (the last but one: Garg et al. 2019, *Jointly Learning to Align and Translate with Transformer
    Models*; the last one: measured here, docs/attention.md) and leaves out the lower ones, which look around. A row
    counts for the token that it predicts. What goes to the end of the source, to a language's tag and to the sentences
    before is left out, and rows are made to sum to 1. A word takes the sum of what its pieces take, and gives the sum
    of what its pieces give.

    Args:
        trained: the model, on its device; it may be prepared for decoding.
        target_language: language of the translations, see `Translator`.
    """

    def __init__(self, trained: TrainedModel, target_language: str | None = None) -> None:
        self.trained = trained
        self.language = trained.target_language(target_language)
        self.context = trained.settings.data.context
        decode = trained.settings.decode
        self._longest_source = trained.max_source_length
        self._longest_target = int(decode.max_length_ratio * self._longest_source) + EXTRA_LENGTH + 1

    @classmethod
    def load(
        cls, path: str | Path, device: str = "auto", target_language: str | None = None, **decode: Any
    ) -> "Aligner":
        """Loads a model folder, or the best model of a run folder; see `Translator.load`."""
        trained = load_model(find_model(Path(path)), choose_device(device), decode)
        trained.prepare()
        return cls(trained, target_language)

    def align_stream(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Alignment]:
        """Yields the alignment of each pair of lines in bounded memory; see `align`."""
        before: list[str] = []
        for chunk in in_chunks(pairs, STREAM_LINES):
            sources = [source for source, _ in chunk]
            yield from self.align(sources, [target for _, target in chunk], before)
            before = last([*before, *sources], self.context)
            release_freed_memory()

    def align(self, sources: Sequence[str], targets: Sequence[str], before: Sequence[str] = ()) -> list[Alignment]:
        """Returns the alignment of each target line with its source line.

        Of a model with context the sources are a text, and `before` are its lines in front of them. An alignment is
        empty where one of the lines is blank, and where one is longer than what the model translates at once.
        """
        tokenizer = self.trained.tokenizer
        src = encode(self.trained, passages(sources, before, self.context), self.language)
        tgt = tokenizer.encode_target(targets)
        rows = zip(sources, targets, src, tgt, strict=True)
        return self._align([Pair.of(tokenizer, *row) if self._fits(*row[2:]) else None for row in rows])

    def align_translations(self, lines: Sequence[str], translations: Sequence[Translation]) -> list[Alignment]:
        """Returns the alignment of each translation with the line it is of, by the tokens that search read and found.

        It is empty for blank lines, and for those that failed or were split.
        """
        pairs: list[Pair | None] = [None] * len(lines)
        for i, (line, one) in enumerate(zip(map(encodable, lines), translations, strict=True)):
            if len(one.searched) == 1:
                (whole,) = one.searched
                tgt = np.array([*whole.tokens, EOS])
                pairs[i] = Pair.of(self.trained.tokenizer, line, one.text, whole.source, tgt)
        return self._align(pairs)

    def _fits(self, src: Ids, tgt: Ids) -> bool:
        """Says whether the model translates a pair at once."""
        return len(src) <= self._longest_source and len(tgt) <= self._longest_target

    def _align(self, pairs: Sequence["Pair | None"]) -> list[Alignment]:
        """Returns the alignment of each pair; an empty one where there is none."""
        found = [no_alignment() for _ in pairs]
        wanted = [(i, pair) for i, pair in enumerate(pairs) if pair]
        lengths = [max(len(pair.src), len(pair.tgt)) for _, pair in wanted]
        for chosen in cut_by_tokens(lengths, self.trained.settings.decode.batch_tokens, len(wanted)):
            places, batch = zip(*(wanted[i] for i in chosen), strict=True)
            for i, alignment in zip(places, word_alignments(self.trained, batch), strict=True):
                found[i] = alignment
        return found


@dataclass(frozen=True)
class Pair:
    """A sentence pair and where its words are.

    Attributes:
        source: text.
        target: text.
        src: ids, eos last; a tag and the sentences before may stand in front.
        tgt: ids, eos last.
        start: source tokens in front of the text.
        source_words: word of each source token from there to eos.
        target_words: word of each target token but eos.
    """

    source: str
    target: str
    src: Ids
    tgt: Ids
    start: int
    source_words: list[int]
    target_words: list[int]

    @classmethod
    def of(cls, tokenizer: Tokenizer, source: str, target: str, src: Ids, tgt: Ids) -> "Pair | None":
        """Finds the words of a pair; None if a side has none, or no tokens for them."""
        if any(is_blank(text) or not text.split() for text in (source, target)):
            return None
        (own,) = own_lengths(tokenizer, [src])
        start = len(src) - own + tokenizer.tag_length
        (source_pieces,) = tokenizer.source_pieces([src[start:-1]])
        (target_pieces,) = tokenizer.target_pieces([tgt[:-1]])
        if not (source_pieces and target_pieces):
            return None
        words = words_of_pieces(source_pieces, source), words_of_pieces(target_pieces, target)
        return cls(source, target, src, tgt, start, *words)

    def alignment(self, weights: npt.NDArray[np.float32]) -> Alignment:
        """Makes weights of tokens, [T, S], those of words."""
        source, target = self.source.split(), self.target.split()
        n, m = len(self.source_words), len(self.target_words)
        tokens = weights[:m, self.start : self.start + n]
        sums = np.zeros((len(target), len(source)), np.float32)
        np.add.at(sums, (np.array(self.target_words)[:, None], np.array(self.source_words)), tokens)
        return Alignment(source, target, sums / np.maximum(sums.sum(1, keepdims=True), np.float32(1e-9)))


class _Mean:
    """The mean of the weights of the upper layers over their heads, of which nothing else is kept."""

    def __init__(self, layers: int) -> None:
        self._first, self._layers, self._next = layers // 2, layers - layers // 2, 0
        self.weights = torch.empty(0)  # [B, T, S] fp32

    def append(self, weights: Tensor, /) -> None:
        if self._next == self._first:
            self.weights = weights.mean(1) / self._layers
        elif self._next > self._first:
            self.weights += weights.mean(1) / self._layers
        self._next += 1


def mean_cross_attention(model: Transformer, batch: Batch) -> Tensor:
    """Returns how much each target position takes from each source position, [B, T, S] fp32; see `Aligner`."""
    mean = _Mean(len(model.decoder))
    model.decode(batch.tgt_in, replace(model.start(batch.src), layout=Layout.padded(batch.src != PAD, mean)))
    return mean.weights


def word_alignments(trained: TrainedModel, pairs: Sequence[Pair]) -> list[Alignment]:
    """Returns the alignments of pairs that are computed together."""
    batch = Batch.from_ids([pair.src for pair in pairs], [pair.tgt for pair in pairs]).to(trained.device)
    with evaluating(trained.model), autocast(trained.decode_precision, trained.device):
        weights = mean_cross_attention(trained.model, batch).cpu().numpy()
    return [pair.alignment(own) for pair, own in zip(pairs, weights, strict=True)]


class OutputAligner:
    """Aligns the lines of a large text while it is translated: one alignment for each line.

    Args:
        aligner: see there.
        kind: of alignments.
        out: is written a line for each, as Moses does; None: they go into the objects of the output.
    """

    def __init__(self, aligner: Aligner, kind: Kind, out: BinaryIO | None = None) -> None:
        self._aligner, self._kind, self._out = aligner, kind, out

    def __call__(self, lines: Sequence[str], translations: Sequence[Translation]) -> Iterable[Any]:
        """Returns the field `alignment` of each line; None where alignments go into a file of their own."""
        found = self._aligner.align_translations(lines, translations)
        if self._out is None:
            return [alignment.record(self._kind) for alignment in found]
        self._out.write("".join(alignment.moses() + "\n" for alignment in found).encode())
        return repeat(None, len(found))
