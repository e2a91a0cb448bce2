"""Training text made worse on purpose, so that a model stands capitals, missing punctuation and typing errors."""

import random
import re
import struct
import unicodedata
from collections.abc import Callable
from hashlib import blake2b

from seq2seq.config import NoiseSettings
from seq2seq.text.lines import Pair, is_blank

# Of category Po or Pe, but part of what is said, or one half of a pair of brackets: no punctuation at the end.
_NOT_FINAL = frozenset("#%&*@/\\§¶‰†‡)]}⟩）］｝")  # noqa: RUF001

# The first letter or digit of a word, behind its opening quotes and brackets.
_WORD_START = re.compile(r"(?<!\S)([^\w\s]*)(\w)")

_WORD = re.compile(r"\S+")
# A word with one of these is a number, an address, a placeholder or a tag: what a typing error would break.
_FRAGILE = re.compile(r"[\d@<>{}\[\]_$%#\\/=&|~^*+]|\w[.:]\w|^www\.", re.IGNORECASE)

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _nearby_keys() -> dict[str, str]:
    """Returns the keys around each letter of a QWERTY keyboard, whose rows are each half a key further right."""
    place = {key: (row, column) for row, keys in enumerate(_KEYS) for column, key in enumerate(keys)}
    steps = {(0, -1), (0, 1), (-1, 0), (-1, 1), (1, 0), (1, -1)}
    near = {
        key: "".join(other for other in place if (place[other][0] - row, place[other][1] - column) in steps)
        for key, (row, column) in place.items()
    }
    return near | {key.upper(): others.upper() for key, others in near.items()}


_NEARBY = _nearby_keys()


def add_noise(pair: Pair, settings: NoiseSettings, key: tuple[int, ...]) -> Pair:
    """Changes a pair in the ways that the settings ask for, each with the chance they name.

    Args:
        pair: source and target.
        settings: chances from 0 to 1; pairs that are drawn for capitals and for title case are written in capitals.
        key: all random choices follow from it, such as (seed, corpus, epoch, example).

    Returns:
        The changed pair; no side that holds text becomes blank. The very same pair if nothing was drawn.
    """
    if not (settings.upper_case or settings.title_case or settings.no_final_punctuation or settings.typing_errors):
        return pair
    digest = blake2b(" ".join(map(str, key)).encode(), digest_size=40, person=b"noise").digest()
    upper, title, punctuation, typing, seed = struct.unpack("<5Q", digest)
    if punctuation < settings.no_final_punctuation * 2**64:
        pair = _both(without_final_punctuation, pair)
    if typing < settings.typing_errors * 2**64:
        pair = with_typing_errors(pair[0], random.Random(seed)), pair[1]
    if upper < settings.upper_case * 2**64:
        return _both(str.upper, pair)
    if title < settings.title_case * 2**64:
        return _both(title_case, pair)
    return pair


def _both(change: Callable[[str], str], pair: Pair) -> Pair:
    return change(pair[0]), change(pair[1])


def title_case(text: str) -> str:
    """Returns a text with the first letter of each word a capital and all others as they were."""
    return _WORD_START.sub(lambda found: found[1] + found[2].title(), text)


def without_final_punctuation(text: str) -> str:
    """Returns a text without the punctuation and closing quotes at its end; as it was if nothing else is in it."""
    end = len(text)
    while end and (text[end - 1].isspace() or _is_final(text[end - 1])):
        end -= 1
    return text if text[end:].isspace() or is_blank(text[:end]) else text[:end]


def _is_final(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "P" and category != "Pc" and char not in _NOT_FINAL  # Pc: the underscore of a placeholder


def with_typing_errors(text: str, rng: random.Random) -> str:
    """Returns a text with about one typing error in 16 letters, at least one if there is a word to mistype.

    Numbers, addresses and placeholders stay as they are, and no word vanishes.
    """
    words = [found for found in _WORD.finditer(text) if not _FRAGILE.search(found[0])]
    letters = [i for word in words for i in range(*word.span()) if text[i].isalpha()]
    if not letters:
        return text
    typed = [*text, ""]
    for i in rng.sample(letters, max(1, len(letters) // rng.randint(12, 20))):
        char, after = typed[i], typed[i + 1]
        mistakes = [(char + char, after)]
        if after.isalpha() or typed[i - 1].isalpha():  # else the word would be gone
            mistakes.append(("", after))
        if len(after) == 1 and after.isalpha() and after != char:
            mistakes.append((after, char))
        if char in _NEARBY:
            mistakes.append((rng.choice(_NEARBY[char]), after))
        typed[i], typed[i + 1] = rng.choice(mistakes)
    return "".join(typed)
