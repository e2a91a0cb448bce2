"""All heads on a page and in a picture: every weight and every word arrives, and no word becomes markup."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import PAIRS, build, language_model

from seq2seq.config import TokenizerSettings
from seq2seq.decode.translator import Translator
from seq2seq.errors import Seq2SeqError
from seq2seq.evaluate import drawing, heads
from seq2seq.evaluate.heads import (
    Attentions,
    HeadMaps,
    attention_page,
    attention_png,
    look_at_pair,
    look_at_text,
    names_of_tokens,
)
from seq2seq.text.tokenizer import Tokenizer

EVIL = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\u2581&amp;'\"",
    "{{ 7*7 }}",
    "<!--",
    "\n",
]


class Page(HTMLParser):
    """Which tags a page has, and the data in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self._data: list[str] | None = None
        self.data: Any = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs if name.startswith("on") or name in ("src", "href")}
        self._data = [] if ("id", "data") in attrs else None

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._data is not None:
            self.data = json.loads(data)
            self._data = None


def evil() -> Attentions:
    weights = np.random.default_rng(1).dirichlet(np.ones(6), size=(2, 3, 5)).astype(np.float32)
    return Attentions({"Source": EVIL[0]}, [HeadMaps("Cross-attention", "Row.", weights, EVIL[:5], EVIL)])


def test_every_weight_is_on_the_page_and_no_word_is_markup() -> None:
    found = evil()
    text = attention_page(found, EVIL[1], EVIL[0])
    page = Page(text)
    assert page.tags.count("script") == 2 and "img" not in page.tags
    assert EVIL[0] in page.texts and EVIL[1] in page.texts
    (kind,) = page.data["kinds"]
    assert (kind["rows"], kind["columns"], kind["layers"], kind["heads"]) == (EVIL[:5], EVIL, 2, 3)
    sent = np.frombuffer(base64.b64decode(kind["weights"]), np.uint8).reshape(2, 3, 5, 6) / 255
    np.testing.assert_allclose(sent, found.kinds[0].weights, atol=0.5 / 255)


def test_the_page_needs_nothing_else() -> None:
    text = attention_page(evil(), "model", "command")
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|@import|url\(", text)


def test_kinds_of_a_translation_model() -> None:
    trained = build()
    source, target = PAIRS[0]
    found = look_at_pair(trained, source, target)
    assert found.texts == {"Source": source, "Target (given)": target}
    cross, encoder, decoder = found.kinds
    assert [kind.name for kind in found.kinds] == ["Cross-attention", "Encoder", "Decoder"]
    assert (cross.columns, cross.rows) == (encoder.rows, decoder.rows)
    assert decoder.columns[0] == "<s>" and decoder.columns[1:] == decoder.rows[:-1]
    for kind in found.kinds:
        assert kind.weights.shape == (2, 4, len(kind.rows), len(kind.columns))
    own = look_at_pair(trained, source, None)
    assert own.kinds[1].weights == pytest.approx(encoder.weights, abs=1e-5)
    assert list(own.texts) == ["Source", "Translation"]


def test_a_model_with_context_reads_what_stands_before() -> None:
    trained = build(context=2)
    (source, target), *others = PAIRS[:4]
    before = [sentence for sentence, _ in others]
    found = look_at_pair(trained, source, target, before=before)
    assert found.texts["Before"] == " ".join(before[1:]) and found.texts["Source"] == source
    cross, encoder, _ = found.kinds
    alone = look_at_pair(trained, source, target)
    assert "Before" not in alone.texts and alone.kinds[0].columns.count("<sep>") == 0
    assert cross.columns.count("<sep>") == 2 and cross.columns[-len(alone.kinds[0].columns) :] == alone.kinds[0].columns
    assert cross.weights.shape[-1] == encoder.weights.shape[-1] == len(cross.columns)
    own = look_at_pair(trained, source, None, before=before)
    (translation,) = Translator(trained).translate([*before, source])[-1:]
    assert own.texts["Translation"] == translation and own.kinds[0].columns == cross.columns
    with pytest.raises(Seq2SeqError, match="the model was trained without context"):
        look_at_pair(build(), source, target, before=before)


def test_lone_surrogates_have_no_bytes() -> None:
    assert look_at_pair(build(), "red \udcff dog", "DOG \udcff").texts["Target (given)"] == "DOG ?"
    assert look_at_text(language_model("learned"), "a\udcff").texts == {"Text": "a?"}


def test_kinds_of_a_language_model() -> None:
    (kind,) = look_at_text(language_model("learned"), "abc a").kinds
    assert kind.rows == kind.columns == ["<eos>", "a", "b", "c", " ", "a"]
    assert not kind.weights[..., 0, 1:].any()
    with pytest.raises(Seq2SeqError, match="has 13 tokens, and the model's window holds 12"):
        look_at_text(language_model("learned"), "abcabcabcabc")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (" ", None, "the source is blank"),
        ("dog", "\u200b", "the target is blank"),
        ("dog", "DOG " * 300, "the target has .* tokens; at most 200"),
        ("dog " * 300, "DOG!", "at most 200"),
        ("dog. " * 60, None, "translates at once"),
    ],
)
def test_what_cannot_be_shown(source: str, target: str | None, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "once" in message:
        monkeypatch.setattr(heads, "MOST_TOKENS", 1000)
    with pytest.raises(Seq2SeqError, match=message):
        look_at_pair(build(), source, target)


def test_tokens_are_named_as_they_are_read() -> None:
    tokenizer = Tokenizer([b""], "bytes")
    (ids,) = tokenizer.encode_texts(["a \u00e4"])
    assert names_of_tokens(tokenizer, np.roll(ids, 1)) == ["<eos>", "a", " ", "<0xC3>", "<0xA4>"]
    subwords = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=60))
    names = names_of_tokens(subwords, subwords.encode_target(["DOG \u4e00!"])[0])
    assert "<unk>" in names and names[-1] == "</s>" and not any(name.startswith("\u2581D") for name in names)


def test_labels_can_be_seen() -> None:
    assert drawing.labels(["\u2581dog", "\u2581", " ", "\n", "a", "b"], 5) == ["dog", "_", "_", "\\n", "a", "..."]


def test_picture_shows_each_weight_in_its_place() -> None:
    weights = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3) / 5
    names = ["a", "b", "c"]
    picture = np.asarray(
        Image.open(io.BytesIO(attention_png(Attentions({}, [HeadMaps("K", "", weights, names[:2], names)]))))
    )
    middle = drawing.CELL // 2
    left, top = (
        int(np.argwhere((picture == drawing.SCALE[0].astype(np.uint8)).all(-1)).min(0)[axis]) for axis in (1, 0)
    )  # the first weight is 0
    for i in range(2):
        for j in range(3):
            place = picture[top + i * drawing.CELL + middle, left + j * drawing.CELL + middle]
            assert place.tolist() == drawing.colours(weights[0, 0, i, j]).tolist()


def test_picture_shows_all_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look_at_pair(build(), *PAIRS[0])
    named = Image.open(io.BytesIO(attention_png(found)))
    colours = np.asarray(named).reshape(-1, 3)
    assert named.format == "PNG" and len(np.unique(colours, axis=0)) > 50
    monkeypatch.setattr(heads, "MOST_PIXELS", 0)
    small = Image.open(io.BytesIO(attention_png(found)))
    assert small.height < named.height
    assert Image.open(io.BytesIO(attention_png(evil()))).width > 100
