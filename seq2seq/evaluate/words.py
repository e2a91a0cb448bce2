"""Words of any language as reports count and compare them, by general rules alone."""

import re

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_MARKS = "!-/:-@\\[-`{-~\u00a1-\u00bf\u2010-\u205e\u3001-\u303f\uff01-\uff20"
CJK = re.compile(f"[{_CJK}]")  # a character of Chinese or Japanese
_RUN = rf"[{_CJK}]|[^\s{_CJK}{_MARKS}]+"
# A word, a punctuation mark, or a character of a script without spaces; with the spaces before it.
WORD = re.compile(rf"\s*(?:[{_MARKS}]|{_RUN})")
_UNIT = re.compile(rf"[{_MARKS}]|{_RUN}")
_PLAIN = re.compile(_RUN)


def units(text: str) -> list[str]:
    """Returns the words, punctuation marks and characters of scripts without spaces that a text consists of."""
    return _UNIT.findall(text)


def plain_words(text: str) -> list[str]:
    """Returns the same without punctuation marks."""
    return _PLAIN.findall(text)
