"""Words aligned by cross-attention: the rows that predict them, pieces put together, one alignment for each line."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_pairs
from tiny_models import build

from seq2seq.config import TokenizerSettings
from seq2seq.decode import alignment as module
from seq2seq.decode.alignment import Aligner, Alignment, OutputAligner, Pair
from seq2seq.decode.attention import attention_of_pairs
from seq2seq.decode.translation import BLANK, Translation
from seq2seq.decode.translator import Translator
from seq2seq.model.folder import TrainedModel
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(40, seed=2)


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return build()


def align(trained: TrainedModel, pairs: Sequence[tuple[str, str]]) -> list[Alignment]:
    return Aligner(trained).align([source for source, _ in pairs], [target for _, target in pairs])


def by_hand(trained: TrainedModel, source: str, target: str, before: tuple[str, ...] = ()) -> npt.NDArray[np.float64]:
    """The weights of words from those of all layers, piece by piece; a piece that begins with a space begins a word."""
    tokenizer = trained.tokenizer
    src, tgt = tokenizer.source_rows([source], contexts=[before]).rows[0], tokenizer.encode_target([target])[0]
    own = len(tokenizer.encode_source([source])[0])
    cross = attention_of_pairs(trained, [src], [tgt])[0].cross[1].mean(0)  # of two layers the upper one
    words = np.zeros((len(target.split()), len(source.split())))
    j = -1
    for t, piece in enumerate(tokenizer.target_pieces([tgt[:-1]])[0]):
        j += piece.startswith("\u2581")
        i = -1
        for s, other in enumerate(tokenizer.source_pieces([src[-own:-1]])[0], len(src) - own):
            i += other.startswith("\u2581")
            words[j, i] += float(cross[t, s])
    return words / words.sum(1, keepdims=True)


def test_weights_are_those_of_the_rows_that_predict(trained: TrainedModel) -> None:
    found = align(trained, PAIRS)
    for one, (source, target) in zip(found, PAIRS, strict=True):
        assert (one.source, one.target) == (source.split(), target.split())
        np.testing.assert_allclose(one.weights, by_hand(trained, source, target), atol=1e-5)
        np.testing.assert_allclose(one.weights.sum(1), 1, atol=1e-5)


def test_batches_do_not_change_alignments(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together = align(trained, PAIRS)
    aligner = Aligner(trained)
    calls = []
    real = module.word_alignments
    monkeypatch.setattr(module, "word_alignments", lambda *args: calls.append(args) or real(*args))
    alone = list(aligner.align_stream(PAIRS[:3])) + [
        aligner.align([source], [target])[0] for source, target in PAIRS[3:]
    ]
    assert len(calls) == len(PAIRS) - 2
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.weights, b.weights, atol=1e-5)
        assert a.moses() == b.moses()


def test_a_model_with_context_reads_the_lines_before() -> None:
    trained = build(context=2)
    pairs = [*PAIRS[:4], ("", ""), *PAIRS[4:6]]
    befores = [(), *([pair[0] for pair in PAIRS[max(0, i - 2) : i]] for i in range(1, 4)), (), (), (PAIRS[4][0],)]
    found = align(trained, pairs)
    for one, (source, target), before in zip(found, pairs, befores, strict=True):
        if source:
            np.testing.assert_allclose(one.weights, by_hand(trained, source, target, tuple(before)), atol=1e-5)
    without = by_hand(trained, *pairs[3])
    assert np.abs(found[3].weights - without).max() > 1e-3
    later = Aligner(trained).align([pairs[3][0]], [pairs[3][1]], before=[source for source, _ in pairs[:3]])
    np.testing.assert_allclose(later[0].weights, found[3].weights, atol=1e-5)

    lines, targets = [source for source, _ in pairs], [target for _, target in pairs]
    searched = Translator(trained).translate_all(lines)
    wanted = [
        replace(one, text=target, searched=[replace(part, tokens=ids[:-1].tolist()) for part in one.searched])
        for one, target, ids in zip(searched, targets, trained.tokenizer.encode_target(targets), strict=True)
    ]
    for a, b in zip(Aligner(trained).align_translations(lines, wanted), found, strict=True):
        np.testing.assert_allclose(a.weights, b.weights, atol=1e-5)


def test_a_stream_of_a_text_is_read_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    aligner = Aligner(build(context=2))
    whole = list(aligner.align_stream(PAIRS[:7]))
    monkeypatch.setattr(module, "STREAM_LINES", 3)
    for a, b in zip(whole, aligner.align_stream(PAIRS[:7]), strict=True):
        assert a.weights == pytest.approx(b.weights, abs=1e-5)


def test_links_go_both_ways() -> None:
    weights = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]], np.float32)
    one = Alignment(["a", "b", "c"], ["x", "y"], weights)
    assert one.links() == [(0, 0), (0, 1), (1, 1), (2, 0)]
    assert one.moses() == "0-0 0-1 1-1 2-0"
    assert one.record("hard") == [[0, 0], [0, 1], [1, 1], [2, 0]]
    soft = json.loads(json.dumps(one.record("soft")))
    assert soft == {"source": ["a", "b", "c"], "target": ["x", "y"], "weights": [[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]]}


def test_tags_and_ends_count_for_nothing() -> None:
    ids = np.array([5, 6, 7, EOS])
    pair = Pair("a b", "x y", ids, np.array([8, 9, 9, EOS]), 1, [0, 1], [0, 1, 1])
    tokens = np.array([[0.9, 0.1, 0.0, 0.0], [0.0, 0.1, 0.1, 0.8], [0.0, 0.0, 0.2, 0.8], [1.0, 0, 0, 0]], np.float32)
    assert pair.alignment(tokens).weights == pytest.approx(np.array([[1, 0], [0.25, 0.75]]))


def test_a_sentence_begins_behind_its_tag_and_its_context() -> None:
    tokenizer = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=60), ("de", "fr"), separated=True)
    source, target = PAIRS[0]
    (tgt,) = tokenizer.encode_target([target])
    for context in ((), (PAIRS[1][0],), (PAIRS[1][0], PAIRS[2][0])):
        src = tokenizer.source_rows([source], "fr", [context]).rows[0]
        pair = Pair.of(tokenizer, source, target, src, tgt)
        assert pair and tokenizer.source_pieces([src[: pair.start]])[0].count("<sep>") == len(context)
        assert src[pair.start :].tolist() == tokenizer.encode_source([source], "fr")[0][1:].tolist()
        assert len(pair.source_words) == len(src) - pair.start - 1 and pair.source_words[0] == 0


def test_what_cannot_be_aligned_is_empty(trained: TrainedModel) -> None:
    lines = [
        ("red dog.", "DOG RED!"),
        ("", "DOG!"),
        ("red.", " \u200b"),
        ("dog " * 200, "DOG!"),
        ("dog", "DOG " * 500),
        ("\x01", "DOG!"),
    ]
    found = align(trained, lines)
    assert [bool(one.links()) for one in found] == [True, False, False, False, False, False]
    assert found[1].moses() == "" and found[1].record("hard") == []
    assert found[1].record("soft") == {"source": [], "target": [], "weights": []}
    assert align(trained, []) == []


def test_translations_are_aligned_by_the_tokens_found(trained: TrainedModel) -> None:
    translator = Translator(trained)
    lines = ["red dog sees house.", "", "red dog. " * 40, "old cat."]
    translations = translator.translate_each(lines)
    assert [one.parts > 1 for one in translations] == [False, False, True, False]
    translations[3] = Translation("", [], error=ValueError("no"))
    out = io.BytesIO()
    assert list(OutputAligner(Aligner(trained), "hard", out)(lines, translations)) == [None] * 4
    first, *others = out.getvalue().decode().splitlines()
    assert others == ["", "", ""]
    links = [tuple(map(int, link.split("-"))) for link in first.split()]
    assert {i for i, _ in links} == set(range(4)) and {j for _, j in links} == set(
        range(len(translations[0].text.split()))
    )
    (soft, *empty) = OutputAligner(Aligner(trained), "soft")(lines, [*translations[:1], BLANK, *translations[2:]])
    assert soft["target"] == translations[0].text.split() and soft["source"] == lines[0].split()
    assert all(one["weights"] == [] for one in empty)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_prepared_models_align_too(trained: TrainedModel, precision: str) -> None:
    prepared = build(precision=precision)
    prepared.prepare()
    for a, b in zip(align(trained, PAIRS), align(prepared, PAIRS), strict=True):
        assert a.weights == pytest.approx(b.weights, abs=1e-5 if precision == "fp32" else 0.1)


def test_memory_holds_no_layer_twice(trained: TrainedModel) -> None:
    mean = module._Mean(5)
    layers = torch.rand(5, 2, 4, 3, 6)
    for layer in layers:
        mean.append(layer)
    torch.testing.assert_close(mean.weights, layers[2:].mean((0, 2)))
    only = module._Mean(1)
    only.append(layers[0])
    torch.testing.assert_close(only.weights, layers[0].mean(1))


def test_aligner_loads_a_folder(trained: TrainedModel, tmp_path: Path) -> None:
    from seq2seq import Aligner as exported
    from seq2seq.files import atomic_folder
    from seq2seq.model.folder import save_model

    with atomic_folder(tmp_path / "best") as folder:
        save_model(folder, trained)
    (one,) = exported.load(tmp_path, "cpu").align(*([side] for side in PAIRS[0]))
    assert one.moses() == align(trained, PAIRS[:1])[0].moses()
