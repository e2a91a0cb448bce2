"""What users ask of translations beside being good: a glossary, forbidden words, text that must come through."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from seq2seq.decode.constraints import Constraints, Demand, Phrase
from seq2seq.decode.forbidden import stands_in
from seq2seq.decode.pieces import Pieces, folded, is_of_word
from seq2seq.decode.protected import Kind, find_protected
from seq2seq.errors import DataError
from seq2seq.files import fingerprint
from seq2seq.text.ids import EOS
from seq2seq.text.lines import is_blank, one_line, read_lines
from seq2seq.text.tokenizer import Tokenizer

PUNCTUATION, UNITS = '.,;:!?"]\u00bb\u201d\u201c', "%\u2030\u00b0\u20ac$\u00a3\u00a5"
REMEMBERED = 100_000  # wishes whose tokens are known: every file has new texts to keep
Wish = tuple[str, ...]  # texts of which one must stand in a translation


class Kept(tuple[str, ...]):
    """A wish for a text that stands apart from all others; see `constraints.Phrase`."""


@dataclass(frozen=True)
class Glossary:
    """Terms and how they must be translated.

    Attributes:
        terms: for each source term, in any case, the target terms of which one must stand in a translation.
    """

    terms: dict[str, Wish]

    @classmethod
    def read(cls, path: Path) -> "Glossary":
        """Reads a file with a source term, a tab and a target term on each line; a term may have several lines.

        Raises:
            DataError: the file cannot be read, or a line is no such row.
        """
        terms: dict[str, Wish] = {}
        for number, line in enumerate(read_lines(path), 1):
            if is_blank(line):
                continue
            source, tab, target = line.partition("\t")
            if not tab or is_blank(source) or is_blank(target) or "\t" in target:
                raise DataError(f"{path}:{number}: must be a source term, a tab and a target term")
            key = " ".join(folded(source).split())
            term = " ".join(target.split())
            # A sentence may begin with it.
            terms[key] = tuple(dict.fromkeys([*terms.get(key, ()), term, term[0].upper() + term[1:]]))
        if not terms:
            raise DataError(f"{path}: has no terms; each line is a source term, a tab and a target term")
        return cls(terms)

    @cached_property
    def _wishes(self) -> dict[str, Wish]:
        return {" ".join(folded(term).split()): wish for term, wish in self.terms.items()}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._wishes, key=len, reverse=True)
        return re.compile("|".join(map(_whole, longest_first)))

    def find(self, text: str) -> Iterator[tuple[int, int, Wish]]:
        """Yields where terms stand in a source, whole words in any case, the longest ones first, and their wishes."""
        if not self._wishes:
            return
        chars = list(map(folded, text))
        place = [i for i, of_char in enumerate(chars) for _ in of_char]
        for found in self._pattern.finditer("".join(chars)):
            yield place[found.start()], place[found.end() - 1] + 1, self._wishes[" ".join(found[0].split())]


# A letter that a word goes on with, and an accent of the one before it.
_LETTER, _MARK = r"[^\W\u0e00-\u0eff\u3040-\u9fff]", r"[\u0300-\u036f]"


def _whole(term: str) -> str:
    """Returns a pattern for a term that is not the middle of a word; where words have no spaces it always is a word."""
    words = r"\s+".join(map(re.escape, term.split()))
    before, behind = f"(?<!{_LETTER})(?<!{_MARK})", f"(?!{_LETTER}|{_MARK})"
    first, last = (char.isalnum() and not is_of_word(char) for char in (term[0], term[-1]))
    return ("" if first else before) + words + ("" if last else behind)


@dataclass(frozen=True)
class Steering:
    """What is asked of all translations.

    Attributes:
        glossary: terms and how they must be translated; None: none.
        forbidden: words, or several with spaces between them, that no translation holds, whatever their case.
        keep: kinds of text that stand in a translation as often as in its source; see `protected`.

    Raises:
        DataError: all translations of a term are forbidden.
    """

    glossary: Glossary | None = None
    forbidden: tuple[str, ...] = ()
    keep: frozenset[Kind] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        for term, wish in self._allowed.terms.items() if self._allowed else ():
            if not wish:
                raise DataError(f"the glossary's term {term!r} has no translation that is not forbidden")

    @cached_property
    def _allowed(self) -> Glossary | None:
        """The glossary without what is forbidden."""
        if not (self.glossary and self.forbidden):
            return self.glossary
        allowed = {
            term: tuple(text for text in wish if not stands_in(text, self.forbidden))
            for term, wish in self.glossary.terms.items()
        }
        return Glossary(allowed)

    @property
    def is_needed(self) -> bool:
        """Whether anything is asked at all."""
        return bool(self.glossary or self.forbidden or self.keep)

    @property
    def fingerprint(self) -> str:
        """A hash of all that is asked."""
        terms = self.glossary and self.glossary.terms
        return fingerprint([terms, self.forbidden, sorted(self.keep)])

    def wishes(self, source: str) -> tuple[Wish, ...]:
        """Returns what must stand in the translation of a source, in its order; nothing twice for the same place."""
        return tuple(wish for _, _, wish in self.places(source))

    def places(self, source: str) -> list[tuple[int, int, Wish]]:
        """Returns `wishes` with what they are for, from a character of the source to one behind it.

        A term that stands within what is kept is none, and what stands within a term is not kept.
        """
        found = list(self._allowed.find(source)) if self._allowed else []
        if self.keep:
            for span in find_protected(source):
                if span.kind not in self.keep or any(
                    start <= span.start and span.end <= end for start, end, _ in found
                ):
                    continue
                found = [one for one in found if one[1] <= span.start or span.end <= one[0]]
                found.append((span.start, span.end, Kept((span.text,))))
        return sorted(found)


PLAIN = Steering()


@dataclass(frozen=True)
class _Worded(Phrase):
    """A phrase that knows what it is to read: different texts may have the same tokens.

    Attributes:
        texts: of each way, where its tokens are not decoded to it; None: they are.
    """

    texts: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class _WordedDemand(Demand):
    """A demand that knows the text of its prefix, which is not readable where its tokens are not decoded to it."""

    begin: str = ""


class PhraseBook:
    """Wishes as tokens, and tokens as text in which they stand letter by letter.

    Args:
        tokenizer: its target side.
        pieces: its tokens as text.
    """

    def __init__(self, tokenizer: Tokenizer, pieces: Pieces) -> None:
        self._tokenizer, self._pieces = tokenizer, pieces
        self._reader = Constraints((), EOS, pieces)
        # By type too: a kept text equals a term of the same letters.
        self._phrase = lru_cache(REMEMBERED, typed=True)(self._worded)

    def demand(self, wishes: Sequence[Wish], prefix: str = "") -> Demand:
        """Returns what search has to see to.

        Args:
            wishes: what must stand in a translation.
            prefix: with what it begins; spaces at its ends do not count.
        """
        begin = one_line(prefix).strip()
        ids = self._ids(begin) if begin else ()
        exact = self._tokenizer.decode_target([ids])[0] == begin
        return _WordedDemand(ids, tuple(map(self._phrase, wishes)), exact, begin)

    def text(self, tokens: Sequence[int], demand: Demand) -> str:
        """Returns the text of a hypothesis."""
        texts = [dict(zip(one.ways, one.texts, strict=True)) for one in demand.phrases if isinstance(one, _Worded)]
        begin = demand.begin if isinstance(demand, _WordedDemand) and not demand.readable else ""
        if not begin and not any(literal for of_phrase in texts for literal in of_phrase.values()):
            return self._tokenizer.decode_target([tokens])[0]
        parts, at = [begin], len(demand.prefix) if begin else 0
        for start, end, phrase in self._reader.spans(demand, tokens):
            literal = texts[phrase][tuple(tokens[start:end])]
            if literal is not None and start >= at:
                parts += [
                    self._decode(tokens[at:start], behind=at > 0),
                    self._space(tokens[start]) * (start > 0) + literal,
                ]
                at = end
        return "".join([*parts, self._decode(tokens[at:], behind=at > 0)])

    def _decode(self, tokens: Sequence[int], behind: bool) -> str:
        text = self._tokenizer.decode_target([tokens])[0]
        return (self._space(tokens[0]) if behind and len(tokens) else "") + text

    def _space(self, token: int) -> str:
        return " " if self._pieces.texts[token].startswith(" ") else ""

    def _worded(self, wish: Wish) -> _Worded:
        ways: dict[tuple[int, ...], str | None] = {}
        for text in wish:
            ids = self._ids(text)
            # Behind a bracket or a sign there is no space.
            bare = ids[1:] if len(ids) > 1 and self._pieces.texts[ids[0]] == " " else ids
            for way in (ids, bare):
                exact = self._tokenizer.decode_target([way])[0] == text
                ways.setdefault(way, None if exact else text)
        return _Worded(tuple(ways), _behind(wish[0]) if isinstance(wish, Kept) else "", tuple(ways.values()))

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.target_rows([text]).rows[0].tolist()[:-1])


def _behind(text: str) -> str:
    """Returns what may stand directly behind a kept text without becoming a part of it."""
    is_number = text[0].isdecimal() and not any(map(str.isalpha, text))
    closed = text.count("(") <= text.count(")")  # else a bracket would belong to an address
    return PUNCTUATION + (")" if closed else "") + (UNITS if is_number else "")
