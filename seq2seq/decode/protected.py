"""What must come through a translation unchanged: numbers, addresses, placeholders and tags.

Kinds, the earlier ones first where several fit; what stands in one is no other:

- `url`: begins with a scheme such as https:// or with www.; punctuation at its end belongs to the sentence, and so
  does a bracket that it did not open. A bare name such as example.org is none: a full stop without a space looks alike.
- `email`: an address of ASCII letters.
- `placeholder`: what programs fill in: {0}, {name}, {name:.2f}, {}, {{ name }}, ${name}, %{name}, #{name}, %s, %d,
  %05.2f, %1$s, %(name)s, %@. ICU's {n, plural, ...} is none: it holds text that must be translated.
- `tag`: <b>, </b>, <br/>, <a href="...">, with its attributes.
- `number`: digits of any script with single separators between them: full stops, commas and colons, the Arabic ones
  too (1,000.5, 3.14, 12:30), apostrophes and narrow or no-break spaces before three digits (1'000), and ISO dates
  (2026-11-20). Letters, signs, currencies and units beside it do not belong to it, so that £5, 50%, 1st, A4 and -7
  hold the numbers 5, 50, 1, 4 and 7; hyphens and slashes part numbers: 10-20 holds two.

All is found in time linear in the length of the text, whatever it holds.
"""

import re
import unicodedata
from collections import Counter
from typing import Literal, NamedTuple

Kind = Literal["url", "email", "placeholder", "tag", "number"]
Separators = Literal["exact", "any"]


class Span(NamedTuple):
    """Something that must stay as it is: `text` stands from `start` to `end` (exclusive), in characters."""

    kind: Kind
    start: int
    end: int
    text: str


# Repetitions have bounds, or nothing must follow them, or a look behind lets only the first of a run begin.
_CONVERSION = r"(?:hh?|ll?|[Lzjtq])?(?:[sduoxXfFeEgGc@]|i(?!g))"  # not `10 %ige`
_PRINTF = rf"(?<![\d%])%(?:\d{{1,2}}\$)?(?:[-+\#0]{{0,4}}\d{{1,3}})?(?:\.\d{{1,3}})?{_CONVERSION}"
# What ends a URL: spaces, quotes and brackets of many kinds, and scripts that set no spaces.
_NO_URL = r"\s<>\"{}|\\^`\u2018-\u201e\u2026\u00ab\u00bb\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
_ADDRESSES = rf"""
      (?P<url> (?<![A-Za-z0-9]) (?i: (?:https?|s?ftp|file|wss?|ssh|git):// | www\. ) [^{_NO_URL}]+ )
    | (?P<email> (?<![A-Za-z0-9._%+-]) [A-Za-z0-9._%+-]{{1,64}} @
          (?:[A-Za-z0-9-]{{1,63}}\.){{1,8}} [A-Za-z]{{2,24}} (?![A-Za-z0-9-]) )
"""
_OTHERS = rf"""(?=[\d{{%$\#<]) (?:
      (?P<placeholder>
          \{{\{{ [^{{}}\n]{{1,100}} \}}\}}
        | [$%\#]? \{{ \s? [\w.:,!\#%+\[\]-]{{0,60}} \s? \}}
        | (?<!%) % \( [\w.\ -]{{1,60}} \) [-+\#0]{{0,4}} \d{{0,3}} (?:\.\d{{1,3}})? [sdifuxXeEgGor]
        | {_PRINTF} )
    | (?P<tag> </? [A-Za-z][A-Za-z0-9:_-]{{0,40}}
          (?: \s{{1,20}} [\w:-]{{1,60}} \s{{0,20}} = [^<>\n]{{0,400}} )? \s{{0,20}} /? > )
    | (?P<number>
          (?<!\d) \d{{4}}-\d{{2}}-\d{{2}} (?![\d-])
        | \d+ (?: [.,:\u066b\u066c]\d+ | ['\u2019\u00a0\u202f]\d{{3}}(?!\d) )* ) )
"""
_ANY = re.compile(f"{_ADDRESSES} | {_OTHERS}", re.VERBOSE)
_NO_ADDRESS = re.compile(_OTHERS, re.VERBOSE)  # looks closer at a few characters only
_TRIGGER = re.compile(r"[\d{%<]")  # without one of these a text holds nothing but addresses, if anything
_SEPARATOR = re.compile(r"[^\d]")
_ADDRESS = re.compile(r"(?:://|www\.)[^\W_]", re.IGNORECASE)  # begins with a name
_PUNCTUATION = frozenset(".,;:!?'*_~]")  # at the end of a URL: of the sentence


def find_protected(text: str) -> list[Span]:
    """Returns what must come through unchanged, in the order of the text; no two overlap."""
    has_address = "@" in text or "://" in text or "www." in text.lower()
    if not (has_address or _TRIGGER.search(text)):
        return []
    spans = []
    for found in (_ANY if has_address else _NO_ADDRESS).finditer(text):
        kind: Kind = found.lastgroup  # type: ignore[assignment]
        start, end = found.span()
        if kind == "url":
            end = start + _url_length(found[0])
            if not _ADDRESS.search(text, start, end):
                continue
        spans.append(Span(kind, start, end, text[start:end]))
    return spans


def lost(source: str, translation: str, separators: Separators = "exact") -> list[str]:
    """Returns what the source protects and the translation does not hold as often, in the order of the source.

    Something is held where the translation has it as a whole: the 5 of a source is not in 15, 5.5 or a URL. A number
    that the translation has in words, as small ones often are, counts as lost.

    Args:
        source: raw text.
        translation: raw text.
        separators: `exact`: a number is kept where it stands unchanged, which is all that can be promised without
            knowing the languages; `any`: also where its separators and digits are those of another language, as in
            1,000.5 and 1.000,5 (and 1,000 in 1000, 12:30 in 12.30), but 1,5 and 15 differ. What is 1,234 in one
            language and 1.234 in another is taken for the same.
    """
    wanted = find_protected(source)
    if not wanted:
        return []
    held = Counter(_key(span, separators) for span in find_protected(translation))
    missing = []
    for span in wanted:
        key = _key(span, separators)
        held[key] -= 1
        if held[key] < 0:
            missing.append(span.text)
    return missing


def _key(span: Span, separators: Separators) -> str:
    """Returns what must be equal for two spans to be the same."""
    if span.kind != "number":
        return span.text
    return span.text if separators == "exact" else plain_number(span.text)


def plain_number(text: str) -> str:
    """Returns a number with ASCII digits, no mark of thousands, and full stops for all other separators.

    The last of different separators is a decimal one; groups of three digits are else taken for thousands.
    """
    digits = text if text.isascii() else "".join(str(unicodedata.decimal(char, char)) for char in text)
    marks = _SEPARATOR.findall(digits)
    if not marks or "-" in marks:
        return digits
    whole, *groups = _SEPARATOR.split(digits)
    decimals = []
    if len(groups[-1]) != 3 or len(set(marks)) > 1:
        decimals = [groups.pop()]
        marks.pop()
    if ":" not in marks and len(set(marks)) <= 1 and all(len(group) == 3 for group in groups):
        return ".".join(["".join([whole, *groups]), *decimals])
    return ".".join([whole, *groups, *decimals])


def _url_length(text: str) -> int:
    """Returns how much of a run of characters is a URL, without the punctuation of the sentence around it."""
    surplus = text.count(")") - text.count("(")
    end = len(text)
    while end and (text[end - 1] in _PUNCTUATION or (text[end - 1] == ")" and surplus > 0)):
        surplus -= text[end - 1] == ")"
        end -= 1
    return end
