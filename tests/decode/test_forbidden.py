"""Forbidden words in text of all kinds, cut into whatever tokens."""

import itertools
import re
from collections.abc import Sequence

import pytest
import torch

from seq2seq.decode.forbidden import NEVER, NO_WORDS, Forbidden
from seq2seq.decode.pieces import Pieces, byte_text

EOS = 0


def possible(texts: Sequence[str], forbidden: Sequence[str], longest: int = 3) -> set[str]:
    """Returns all texts of so many tokens, eos being the first, that are not ruled out."""
    pieces, found = Pieces(["", *texts]), set()
    barrier = Forbidden(forbidden, pieces, EOS)
    for n in range(longest + 1):
        for tokens in itertools.product(range(1, len(texts) + 1), repeat=n):
            words, allowed = NO_WORDS, True
            for token in (*tokens, EOS):
                scores = torch.zeros(len(texts) + 1)
                barrier.bar(scores, words)
                allowed &= float(scores[token]) > NEVER
                words = barrier.after(words, token)
            if allowed:
                found.add("".join(texts[token - 1] for token in tokens))
    return found


def everything(texts: Sequence[str], longest: int = 3) -> set[str]:
    return {"".join(some) for n in range(longest + 1) for some in itertools.product(texts, repeat=n)}


@pytest.mark.parametrize(
    ("texts", "forbidden", "pattern"),
    [
        ([" a", "b", " ", "_", "c"], "a_b", r"\ba[ _]+b(?![a-z])"),
        ([" I\u0307", "x", " İ", " i\u0307", "."], "İ", r"(?<!x)(?:I\u0307|İ|i\u0307)(?![xİIi])"),
        ([" e", "\u0301", " é", "s", "."], "É", r"(?<![se])(?:e\u0301|é)(?![\u0301s])"),
        ([" e", "\u0301", " é", "s", "."], "e\u0301", r"(?<![se])(?:e\u0301|é)(?![\u0301s])"),
        ([" a", "b.", "b c", "-", " "], "ab", r"(?<![a-z])ab(?![a-z])"),
        ([" a", "b.", "b c", "b d", " "], "b c", r"(?<![a-z])b[ .]+c(?![a-z])"),
        (["小", "狗", "小狗", "大狗很", " a"], "狗", "狗"),
        (["小", "狗", "小狗", "狗很", " a"], "小 狗", "小 *狗"),
        ([" K", byte_text(0xC3), byte_text(0xB6), "ö", " k"], "KÖ", f"[Kk](?:ö|{byte_text(0xC3)}{byte_text(0xB6)})$"),
    ],
)
def test_no_text_holds_it(texts: list[str], forbidden: str, pattern: str) -> None:
    found = possible(texts, [forbidden])
    assert not [text for text in found if re.search(pattern, text)]
    assert [text for text in everything(texts) if re.search(pattern, text)]
    assert "" in found and len(found) > len(texts)


def test_nothing_else_is_ruled_out() -> None:
    texts = [" ha", "t", " er", "te", ".", " "]
    pattern = re.compile(r"\bhat\b|\ber[ .]+er\b")
    allowed = {text for text in everything(texts) if not pattern.search(text)}
    assert possible(texts, ["HAT", "er er", " . "]) == allowed
    assert possible(["小", "狗", "小狗"], ["小狗小"]) == {
        text for text in everything(["小", "狗", "小狗"]) if "小狗小" not in text
    }
    assert possible(texts, [" . ", ""]) == everything(texts)
