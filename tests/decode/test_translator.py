"""Translating: as many lines out as in, whatever they hold, and the same whatever the batches."""

import random
import shutil
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_pairs, tiny_recipe

from seq2seq.config import TokenizerSettings, TranslationSettings
from seq2seq.data.batch import Batch
from seq2seq.decode.searcher import EXTRA_LENGTH, queues
from seq2seq.decode.translator import Translator
from seq2seq.errors import ModelError, RecipeError
from seq2seq.files import atomic_folder
from seq2seq.model.folder import TrainedModel, build_model, find_model, load_model, save_model
from seq2seq.model.weights import canonical_weights
from seq2seq.text.ids import EOS, PAD
from seq2seq.text.sentences import split_sentences
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(200)
NASTY = [
    "", "   ", "\u3000", "\u200b", "dog" * 33_334, "red dog. " * 11_000, "\U0001f600 \U0001f468\u200d\U0001f469",
    "nul \x00 byte", "a\rb", "line\u2028separator", "next\u0085line", "\u202eright to left\u202c \u05d0",
    "\ufffd\ufffd", "red dog.", "tab\there", "\u2581\u2581", "a" * 3000 + " " + "b" * 3000,
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights: search on it is as ragged as it gets."""
    path = tmp_path_factory.mktemp("model")
    settings = TranslationSettings.model_validate(tiny_recipe(path))
    tokenizer = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=60))
    torch.manual_seed(4)
    model = build_model(settings, tokenizer)
    with torch.no_grad():  # so that hypotheses end at different lengths
        model.target_embedding.tokens.weight[EOS] *= 2.5
    with atomic_folder(path / "best") as temporary:
        save_model(temporary, TrainedModel(model, tokenizer, settings, 40))
    return path


def mixed_lines(n: int = 64) -> list[str]:
    return [source for source, _ in make_pairs(n, seed=9)]


@pytest.mark.parametrize("beam_size", [1, 4])
def test_batches_do_not_change_translations(folder: Path, beam_size: int) -> None:
    lines = mixed_lines()
    expected = Translator.load(folder, "cpu", batch_size=1, beam_size=beam_size).translate_all(lines)
    assert len({len(t.candidates[0].tokens) for t in expected}) > 3
    order = list(range(64))
    random.Random(1).shuffle(order)
    for batch_size in (7, 64):
        translator = Translator.load(folder, "cpu", batch_size=batch_size, beam_size=beam_size)
        for permutation in (list(range(64)), order):
            found = translator.translate_all([lines[i] for i in permutation])
            for i, translation in zip(permutation, found, strict=True):
                assert translation.candidates[0].tokens == expected[i].candidates[0].tokens
                assert translation.candidates[0].score == pytest.approx(expected[i].candidates[0].score, abs=1e-4)


def test_wider_padding_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2seq.decode import stepper as module

    lines = mixed_lines(20)
    expected = Translator.load(folder, "cpu").translate_all(lines)
    real = module.pad_rows
    monkeypatch.setattr(module, "pad_rows", lambda rows: torch.nn.functional.pad(real(rows), (0, 31), value=PAD))
    for a, b in zip(Translator.load(folder, "cpu").translate_all(lines), expected, strict=True):
        assert a.text == b.text
        assert a.candidates[0].score == pytest.approx(b.candidates[0].score, abs=1e-4)


def test_search_score_is_forced_score(folder: Path) -> None:
    translator = Translator.load(folder, "cpu", beam_size=3)
    line = "old red dog sees new house."
    (source,) = translator.tokenizer.encode_source([line])
    for candidate in translator.translate_all([line], n_best=3)[0].candidates:
        batch = Batch.from_ids([source], [np.array([*candidate.tokens, EOS])])
        with torch.no_grad():
            loss, _ = translator.trained.model(batch)
        assert candidate.log_prob == pytest.approx(-float(loss), abs=1e-5)


def test_any_line_in_is_one_line_out(folder: Path) -> None:
    translator = Translator.load(folder, "cpu", beam_size=1, max_length_ratio=0.01)
    out = translator.translate_all(NASTY)
    assert len(out) == len(NASTY)
    for line, translation in zip(NASTY, out, strict=True):
        assert translation.text.splitlines() in ([], [translation.text])
        if not line.strip("\u3000\u200b "):
            assert translation.text == ""
            assert translation.candidates == []
    assert out[5].parts == 11_000
    assert out[4].parts >= 100_000 / 40
    assert out[5].record()["split"] is True
    assert list(translator.translate_stream(iter(NASTY))) == out


def test_like_lines_are_translated_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = Translator.load(folder, "cpu")
    searched = []
    real = translator.searcher.search
    monkeypatch.setattr(translator.searcher, "search", lambda rows, *more: searched.extend(rows) or real(rows, *more))
    out = translator.translate(["red dog.", "", "blue cat.", "red dog.", "red dog."])
    assert len(searched) == 2
    assert out[0] == out[3] == out[4]


def test_splitting_keeps_every_token(folder: Path) -> None:
    translator = Translator.load(folder, "cpu")
    line = "red dog sees house. " * 10 + "old cat " * 60
    starts, parts = zip(*translator._parts(line, translator.tokenizer.encode_source([line])[0]), strict=True)
    assert starts[:11] == tuple(20.0 * i for i in range(11))
    assert all(abs(line.index("old", round(start) - 3) - start) <= 8 for start in starts[11:])
    assert all(len(ids) <= translator.trained.max_source_length and ids[-1] == EOS for ids in parts)
    kept = [int(i) for ids in parts for i in ids[:-1]]
    assert kept == translator.tokenizer.encode_source([line.strip()])[0][:-1].tolist()
    assert all(translator.tokenizer.starts_word(ids[0]) for ids in parts)


def fail_for(monkeypatch: pytest.MonkeyPatch, translator: Translator, guilty: list[str], at_once: int = 99) -> None:
    """Lets searches fail that hold a guilty line or too many at once."""
    real = translator.searcher._search_queue
    ids = [list(row) for row in translator.tokenizer.encode_source(guilty)]

    def search(part: Any, n: int, *more: int) -> Any:
        if n > at_once:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: no room")
        if any(list(source) in ids for source, _ in part):
            raise FloatingPointError("not numbers")
        return real(part, n, *more)

    monkeypatch.setattr(translator.searcher, "_search_queue", search)


def test_only_the_guilty_lines_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [*mixed_lines(40), "", "red red red.", "old tree.", "dog " * 60]
    translator = Translator.load(folder, "cpu")
    expected = translator.translate(lines)
    fail_for(monkeypatch, translator, ["red red red.", lines[7]])
    shares: list[float] = []
    monkeypatch.setattr(translator, "tell", shares.append)
    found = translator.translate_each(lines)
    assert [i for i, one in enumerate(found) if one.error] == [7, 41]
    assert found[41].record() == {
        "translation": "", "score": None, "log_prob": None, "split": False, "truncated": False, "failed": True,
        "error": "not numbers",
    }  # fmt: skip
    assert [one.text for one in found] == [t if i not in (7, 41) else "" for i, t in enumerate(expected)]
    assert shares[-1] == 1.0 and all(0 < share <= 1 for share in shares)
    with pytest.raises(FloatingPointError, match="not numbers"):
        translator.translate(lines)


def test_a_line_of_which_a_part_fails_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = Translator.load(folder, "cpu")
    fail_for(monkeypatch, translator, ["old cat."])
    whole, failed = translator.translate_each(["red dog. " * 20, "red dog. " * 20 + "old cat."])
    assert whole.error is None and whole.parts == 20
    assert isinstance(failed.error, FloatingPointError) and failed.text == ""


def test_splitting_cures_a_lack_of_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = mixed_lines(40)
    translator = Translator.load(folder, "cpu")
    expected = translator.translate(lines)
    fail_for(monkeypatch, translator, [], at_once=5)
    assert translator.translate(lines) == expected
    fail_for(monkeypatch, translator, [], at_once=0)
    assert all("no room" in one.reason for one in translator.translate_each(lines))


def test_errors_hold_no_tensors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = Translator.load(folder, "cpu")
    seen = []

    def search(part: Any, n: int, *more: int) -> Any:
        tensor = torch.zeros(3)
        seen.append(weakref.ref(tensor))
        try:
            raise FloatingPointError("inside")
        except FloatingPointError as error:
            raise ModelError("outside") from error

    monkeypatch.setattr(translator.searcher, "_search_queue", search)
    (found,) = translator.translate_each(["red dog."])
    assert isinstance(found.error, ModelError)
    assert [reference() for reference in seen] == [None]


def test_ends_of_long_texts_are_found_stretch_by_stretch() -> None:
    sentences = ["Dr. Smith sees a dog. ", "Is it 3.5 m? ", "Yes! "]
    text = "".join(sentences[i % 3] for i in range(3000)).strip()
    found = split_sentences(text, "en")
    assert "".join(found) == text
    assert [one.strip() for one in found] == [sentences[i % 3].strip() for i in range(3000)]
    started = time.monotonic()
    assert "".join(split_sentences("\u6f22\u5b57\u3002" * 100_000, "ja")) == "\u6f22\u5b57\u3002" * 100_000
    assert time.monotonic() - started < 20  # the whole at once takes the square: minutes


def test_longest_length_is_flagged(folder: Path) -> None:
    translator = Translator.load(folder, "cpu", max_length_ratio=0.01, min_length=EXTRA_LENGTH)
    (translation,) = translator.translate_all(["red dog."])
    assert translation.truncated
    assert len(translation.candidates[0].tokens) == EXTRA_LENGTH


def test_options_are_checked(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"decode.beam_sise: unknown key; did you mean decode.beam_size"):
        Translator.load(folder, "cpu", beam_sise=3)
    with pytest.raises(RecipeError, match=r"decode.max_length_ratio: is .?0.?, must be"):
        Translator.load(folder, "cpu", max_length_ratio=0)


def test_where_a_model_is_looked_for(folder: Path, tmp_path: Path) -> None:
    assert find_model(folder) == folder / "best"
    assert find_model(folder / "best") == folder / "best"
    run = tmp_path / "run"
    for name in ("step-00000002", "step-00000010", "step-00000011.corrupt"):
        shutil.copytree(folder / "best", run / "checkpoints" / name)
    assert find_model(run).name == "step-00000010"
    shutil.copytree(folder / "best", run / ".best.old")  # a trainer is just putting a new one in its place
    assert find_model(run).name == ".best.old"
    with pytest.raises(ModelError, match="no such folder"):
        find_model(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="neither a model folder nor a run folder"):
        find_model(tmp_path / "empty")


def test_model_folder_round_trip_and_damage(folder: Path, tmp_path: Path) -> None:
    loaded = load_model(folder / "best")
    copy = tmp_path / "copy"
    shutil.copytree(folder / "best", copy)
    weights = canonical_weights(load_model(copy).model)
    assert all(torch.equal(value, weights[name]) for name, value in canonical_weights(loaded.model).items())
    assert any(".query." in name for name in weights)
    for name in ("model.safetensors", "config.json", "tokenizer/tokenizer.json", "MANIFEST.json"):
        content = (copy / name).read_bytes()
        for broken in (content[:-1], content[: len(content) // 2], b"", content[:-9] + b"x" + content[-8:]):
            (copy / name).write_bytes(broken)
            with pytest.raises(ModelError):
                load_model(copy)
        (copy / name).write_bytes(content)
    (copy / "README.md").write_text("A note beside the model is nobody's harm.")
    assert load_model(copy).max_source_length == 40
    (copy / "tokenizer/shared.model").unlink()
    with pytest.raises(ModelError, match="shared.model: missing"):
        load_model(copy)


def test_sentences_of_like_length_wait_for_a_place_in_one_queue() -> None:
    lengths = [3] * 100 + [40, 38] + [20] * 5 + [10] * 3
    groups = list(queues(lengths, tokens=40, rows=64))
    assert sorted(i for queue, _ in groups for i in queue) == list(range(len(lengths)))
    assert [(lengths[queue[0]], at_once) for queue, at_once in groups] == [(40, 1), (20, 2), (10, 4), (3, 13)]
    assert list(queues([50], tokens=40, rows=8)) == [([0], 1)]
    assert list(queues([], tokens=40, rows=8)) == []
    assert [at_once for _, at_once in queues(lengths, tokens=4000, rows=16)] == [16]
