"""Translating and scoring with the lines before: the same in chunks of any size, in parts, and when resumed."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_pairs, tiny_recipe

from seq2seq.config import TokenizerSettings, TranslationSettings
from seq2seq.decode.beam import Hypothesis
from seq2seq.decode.bulk import BulkTranslation
from seq2seq.decode.scorer import Scorer
from seq2seq.decode.searcher import EXTRA_LENGTH
from seq2seq.decode.translator import Translator
from seq2seq.files import atomic_folder
from seq2seq.model.folder import TrainedModel, build_model, save_model
from seq2seq.text.ids import EOS, Ids
from seq2seq.text.inputs import open_text, part_of
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(200)
K, LONGEST = 2, 40
# Documents, lines that are blank or too long, and like lines with like and other lines before them.
LINES = [source for source, _ in make_pairs(30, seed=9)]
LINES[4] = LINES[20] = ""
LINES[5:8] = LINES[21:24] = ["old dog.", "red cat.", "red cat."]
LINES[11] = "red dog. " * 30
LINES[15] = " \u200b"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights that looks back two lines."""
    path = tmp_path_factory.mktemp("model")
    settings = TranslationSettings.model_validate(tiny_recipe(path, data={"context": K}))
    tokenizer = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=60), separated=True)
    torch.manual_seed(4)
    model = build_model(settings, tokenizer)
    with torch.no_grad():
        model.target_embedding.tokens.weight[EOS] *= 2.5
    with atomic_folder(path / "best") as temporary:
        save_model(temporary, TrainedModel(model, tokenizer, settings, LONGEST))
    return path


@pytest.fixture(scope="module")
def translator(folder: Path) -> Translator:
    return Translator.load(folder, "cpu", max_length_ratio=0.5)


@pytest.fixture
def echo(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> Translator:
    """The translator, whose search finds the source itself, context included: what it was given shows."""

    def search(sources: list[Ids], demands: object, n_best: int) -> list[list[Hypothesis]]:
        return [[Hypothesis(ids[:-1].tolist(), -1.0, -1.0, False)] for ids in sources]

    monkeypatch.setattr(translator.searcher, "search", search)
    return translator


def oracle(tokenizer: Tokenizer, lines: list[str], i: int) -> list[int]:
    """The ids of a line, put together one by one."""
    (own,) = tokenizer.encode_source([lines[i]])
    found = own.tolist()
    for line in reversed(lines[max(0, i - K) : i]):
        if not line.strip(" \u200b"):
            break
        front = [*tokenizer.encode_source([line])[0].tolist()[:-1], tokenizer.separator]
        if len(front) + len(found) > LONGEST:
            break
        found = front + found
    return found


def searched(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> list[Ids]:
    rows: list[Ids] = []
    real = translator.searcher.search
    monkeypatch.setattr(translator.searcher, "search", lambda ids, *more: rows.extend(ids) or real(ids, *more))
    return rows


def test_each_line_is_searched_for_with_the_lines_before_it(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = searched(translator, monkeypatch)
    found = translator.translate_all(LINES)
    assert [translation.text == "" for translation in found] == [not line.strip(" \u200b") for line in LINES]
    short = [i for i, line in enumerate(LINES) if found[i].parts == 1 and found[i].text]
    assert len(short) == 26
    wanted = {tuple(oracle(translator.tokenizer, LINES, i)) for i in short}
    assert wanted <= {tuple(ids.tolist()) for ids in rows}
    assert max(ids.count(translator.tokenizer.separator) for ids in wanted) == K
    assert all(len(ids) <= LONGEST for ids in rows)
    # What is too long even alone is split as without context, and is nobody's context.
    assert found[11].parts == 30
    assert translator.tokenizer.separator not in oracle(translator.tokenizer, LINES, 12)


def test_like_lines_are_translated_once_if_what_is_before_them_is_alike(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = searched(translator, monkeypatch)
    found = translator.translate_all(["", "red cat.", "red cat.", "", "red cat.", "red cat.", "red cat."])
    assert len(rows) == 3
    assert found[1] == found[4] and found[2] == found[5]
    translator.translate_all(["red cat."], before=["red cat.", ""])
    translator.translate_all(["red cat."], before=["", "red cat."])
    assert [ids.tolist() for ids in rows[3:]] == [oracle(translator.tokenizer, ["red cat."] * n, n - 1) for n in (1, 2)]


@pytest.mark.parametrize("at_once", [1, 2, 7, 29])
def test_chunks_of_any_size_give_the_same(echo: Translator, at_once: int) -> None:
    whole = echo.translate(LINES)
    assert [one.text for one in echo.translate_stream(iter(LINES), at_once=at_once)] == whole
    assert whole[5:8] == whole[21:24] == ["old dog.", "old dog. red cat.", "old dog. red cat. red cat."]


def test_a_translation_is_as_long_as_its_own_source_allows(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    from seq2seq.decode import searcher as module

    real = module.beam_search

    def search(*arguments: Any, **options: Any) -> Any:
        limits.extend(options["max_lengths"])
        return real(*arguments, **options)

    monkeypatch.setattr(module, "beam_search", search)
    translator.translate_all(["red dog.", "red dog.", "red dog."])
    assert set(limits) == {len(translator.tokenizer.encode_source(["red dog."])[0]) // 2 + EXTRA_LENGTH}


def test_scores_are_those_of_the_search(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.decode.scorer.STREAM_LINES", 4)
    translator, scorer = Translator.load(folder, "cpu"), Scorer.load(folder, "cpu")
    lines = [line for line in LINES if len(line) < 100]
    found = translator.translate_all(lines)
    tokens = [one.candidates[0].tokens if one.candidates else [] for one in found]
    scorer.trained.tokenizer.encode_target = lambda targets: [  # type: ignore[method-assign]
        np.array([*map(int, target.split()), EOS]) for target in targets
    ]
    pairs = zip(lines, (" ".join(map(str, row)) for row in tokens), strict=True)
    for score, one in zip(scorer.score_stream(pairs), found, strict=True):
        assert not one.candidates or score.log_prob == pytest.approx(one.candidates[0].log_prob, abs=1e-4)


class Quiet:
    def show(self, *progress: object) -> None:
        pass

    def failed(self, line: int, reason: str) -> None:
        raise AssertionError(reason)


def bulk(translator: Translator, path: Path, state: Any = None, part: Any = None, at_once: int = 3) -> list[Any]:
    """Returns the blocks and states of a translation, or of the rest of one, or of a part of the text."""
    blocks: list[Any] = []
    with open_text(path, part_of(path, *part)[0] if part else None, translator.context) as text:
        work = BulkTranslation(translator, text, 1, False, at_once)
        assert state is None or work.go_on(state)
        work.run(lambda block, state: blocks.append((block, state)), Quiet())
    return blocks


@pytest.fixture(params=["text", "text.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    content = ("\ufeff" + "\n".join(LINES) + "\n").encode()
    (tmp_path / request.param).write_bytes(gzip.compress(content) if "gz" in request.param else content)
    return tmp_path / str(request.param)


def test_resumed_anywhere_it_gives_the_same(echo: Translator, path: Path) -> None:
    whole = bulk(echo, path)
    expected = b"".join(block for block, _ in whole)
    assert expected.decode().split("\n")[:-1] == echo.translate(LINES)
    for n, (_, state) in enumerate(whole[:-1], 1):
        done = b"".join(block for block, _ in whole[:n])
        assert done + b"".join(block for block, _ in bulk(echo, path, state, at_once=4)) == expected


@pytest.mark.parametrize("parts", [2, 3, 7, 40])
def test_parts_joined_give_the_same(echo: Translator, path: Path, parts: int) -> None:
    """A part reads the lines in front of it, and so does one that is resumed."""
    whole = b"".join(block for block, _ in bulk(echo, path))
    joined = b""
    for i in range(1, parts + 1):
        blocks = bulk(echo, path, part=(i, parts), at_once=2)
        joined += b"".join(block for block, _ in blocks)
        for n, (_, state) in enumerate(blocks[:-1], 1):
            rest = bulk(echo, path, state, (i, parts))
            assert b"".join(block for block, _ in blocks[n:]) == b"".join(block for block, _ in rest)
    assert joined == whole
