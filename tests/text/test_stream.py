"""Text while it is produced: what is shown is whole, is never taken back, and is all there in the end."""

from collections.abc import Sequence
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from conftest import make_pairs

from seq2seq.config import GPTTokenizerSettings, TokenizerSettings
from seq2seq.text.stream import CONTEXT, StopStrings, TextStream
from seq2seq.text.tokenizer import Tokenizer

TEXTS = [
    "the old house sees the red dog",
    "  two  spaces \n\n and\tbreaks\n",
    "日本語 \U0001f600\u200d\U0001f468 é",
    "\u2581\ue000\u2581 escaped \ue001",
    "",
]


@pytest.fixture(scope="module", params=["running", "lossless", "sentencepiece", "characters", "bytes", "gpt2"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    text = "the old house sees the red dog, and the red dog sees the old house. "
    if request.param == "gpt2":
        library = pytest.importorskip("tokenizers").ByteLevelBPETokenizer()
        library.train_from_iterator([text], vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False)
        return Tokenizer([library.to_str().encode()], "gpt2")
    if request.param == "bytes":
        return Tokenizer.train_on_text([text], GPTTokenizerSettings(type="bytes"))
    if request.param == "running":
        return Tokenizer.train_on_text([a for a, _ in make_pairs(100)], GPTTokenizerSettings(vocab_size=310))
    kind = "characters" if request.param == "characters" else "sentencepiece"
    lossless = request.param == "lossless"
    settings = TokenizerSettings(type=kind, lossless=lossless, vocab_size=330 if lossless else 60)
    return Tokenizer.train(make_pairs(100), settings)


def pieces(tokenizer: Tokenizer, context: Sequence[int], tokens: Sequence[int]) -> list[str]:
    stream = TextStream(tokenizer.decode_text, context)
    return [*map(stream.push, tokens), stream.close()]


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    row: list[int] = tokenizer.encode_target([text])[0][:-1].tolist()
    return row


@pytest.mark.parametrize("prompt", ["", "the", "dog ", "語"])
def test_pieces_of_a_text_are_the_text_in_whole_characters(tokenizer: Tokenizer, prompt: str) -> None:
    for text in [*TEXTS, "".join(TEXTS) * 5]:
        context, tokens = ids(tokenizer, prompt), ids(tokenizer, text)
        found = pieces(tokenizer, context, tokens)
        whole, before = tokenizer.decode_text([*context, *tokens]), tokenizer.decode_text(context)
        assert "".join(found) == whole.removeprefix(before)
        if "\ufffd" not in whole:
            assert "\ufffd" not in "".join(found)
            assert found[-1] in ("", "\ue000")
    tokens = ids(tokenizer, "語")
    if "語" in tokenizer.decode_text(tokens):  # nothing is shown before its last token, and then all of it
        assert pieces(tokenizer, [], tokens) == [*[""] * (len(tokens) - 1), "語", ""]


def test_pieces_of_any_tokens_are_their_text(tokenizer: Tokenizer) -> None:
    """A model may write anything: broken characters too come through, once it is clear that they are."""
    random = Random(3)
    for _ in range(40):
        tokens = random.choices(range(4, tokenizer.target_vocab_size), k=random.randrange(150))
        assert "".join(pieces(tokenizer, [], tokens)) == tokenizer.decode_text(tokens)


def test_however_many_spaces_are_all_shown(tokenizer: Tokenizer) -> None:
    (space, *_) = ids(tokenizer, " ") or [
        i for i in range(4, tokenizer.target_vocab_size) if tokenizer.target_pieces([np.array([i])]) == [["\u2581"]]
    ]
    tokens = [*ids(tokenizer, "dog"), *[space] * 7 * CONTEXT, *ids(tokenizer, "cat"), *ids(tokenizer, "red") * 30]
    assert "".join(pieces(tokenizer, [], tokens)) == tokenizer.decode_text(tokens)


def test_what_is_decoded_again_stays_short(tokenizer: Tokenizer) -> None:
    longest = 0

    def decode(tokens: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(tokens))
        return tokenizer.decode_text(tokens)

    stream = TextStream(decode)
    tokens = ids(tokenizer, TEXTS[0]) * 50
    assert "".join(map(stream.push, tokens)) == tokenizer.decode_text(tokens)
    assert longest <= 4 * CONTEXT < len(tokens) / 2


def cut(random: Random, text: str) -> list[str]:
    """Cuts a text into pieces of any length, empty ones too."""
    borders = sorted(random.choices(range(len(text) + 1), k=random.randrange(8)))
    return [text[a:b] for a, b in zip([0, *borders], [*borders, len(text)], strict=True)]


def test_stop_strings_against_looking_at_the_whole_text() -> None:
    random = Random(5)
    stopped = 0
    for _ in range(3000):
        stops = ["".join(random.choices("ab", k=random.randint(1, 4))) for _ in range(random.randrange(4))]
        text = "".join(random.choices("abc", k=random.randrange(12)))
        ends = [n for n in range(len(text) + 1) if any(text[:n].endswith(stop) for stop in stops)]
        expected = text
        if ends:
            expected = text[: ends[0] - max(len(stop) for stop in stops if text[: ends[0]].endswith(stop))]
        filtered, shown, read = StopStrings(stops), "", ""
        for piece in cut(random, text):
            shown, read = shown + filtered.push(piece), read + piece
            if filtered.stopped:
                break
            begun = [n for n in range(1, 5) for stop in stops if len(stop) > n and read.endswith(stop[:n])]
            assert shown == read[: len(read) - max(begun, default=0)]  # nothing too early, nothing late
        assert shown + filtered.close() == expected
        assert filtered.stopped == bool(ends)
        stopped += filtered.stopped
    assert 500 < stopped < 2500


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="a stop string must have a character"):
        StopStrings(["a", ""])
    assert list(accumulate(map(StopStrings().push, "abc"))) == ["a", "ab", "abc"]
