"""Scores of tokens: their sum is that of search, of whatever lines, and words have those of their pieces."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import make_pairs
from tiny_models import build

from seq2seq.cli import translate
from seq2seq.decode.token_scores import TokenScorer
from seq2seq.decode.translation import Translation
from seq2seq.decode.translator import Translator
from seq2seq.files import atomic_folder
from seq2seq.model.folder import TrainedModel, save_model

LINES = [source for source, _ in make_pairs(20, seed=3)]


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return dataclasses.replace(build(), max_source_length=40)


def total(scores: list[tuple[str, float]]) -> float:
    return math.fsum(value for _, value in scores)


def test_they_sum_to_what_search_says(trained: TrainedModel) -> None:
    lines = [*LINES, "", " \t", LINES[0], " ".join(LINES)]
    translations = Translator(trained).translate_all(lines)
    found = TokenScorer([trained])(translations)
    assert translations[-1].parts > 1
    for translation, scores in zip(translations, found, strict=True):
        if not translation.candidates:
            assert scores.record() == {"tokens": [], "words": []}
            continue
        assert total(scores.tokens) == pytest.approx(translation.candidates[0].log_prob, abs=1e-4)
        assert len(scores.tokens) == len(translation.candidates[0].tokens) + translation.parts
        assert scores.tokens[-1][0] == "</s>"
        ends = total([one for one in scores.tokens if one[0] == "</s>"])
        assert total(scores.words) + ends == pytest.approx(total(scores.tokens))
        assert [word for word, _ in scores.words] == translation.text.split()
    assert found[0] == found[22] and found[0].tokens


def test_of_several_models_probabilities_are_averaged(trained: TrainedModel) -> None:
    other = dataclasses.replace(build(), max_source_length=40)
    other.model.eval()
    with torch.no_grad():
        other.model.output.weight.mul_(0.5)
    translator = Translator(trained, others=[other])
    for translation in translator.translate_all(LINES):
        (scores,) = TokenScorer(translator.searcher.models)([translation])
        assert total(scores.tokens) == pytest.approx(translation.candidates[0].log_prob, abs=1e-4)


def test_lines_that_failed_have_none(trained: TrainedModel) -> None:
    failed = Translation("", [], error=ValueError("no"))
    assert TokenScorer([trained])([failed, failed])[1].tokens == TokenScorer([trained])([failed])[0].words == []
    assert TokenScorer([trained])([]) == []


def test_the_command_tells_them(trained: TrainedModel, tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "model") as folder:
        save_model(folder, trained)

    def run(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(
            translate.main, [str(tmp_path / "model"), "--device", "cpu", *options], input=f"{LINES[0]}\n\n{LINES[1]}\n"
        )
        return result.exit_code, result.stdout if result.exit_code == 0 else result.stderr

    code, out = run("--format", "jsonl", "--token-scores", "--precision", "fp32")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    for record in (records[0], records[2]):
        assert sum(value for _, value in record["tokens"]) == pytest.approx(record["log_prob"], abs=1e-4)
        assert " ".join(word for word, _ in record["words"]) == " ".join(record["translation"].split())
        assert "confidence" not in record
    assert (records[1]["tokens"], records[1]["words"]) == ([], [])
    assert run("--token-scores") == (2, "error: --token-scores needs --format jsonl\n")
    assert "tokens" not in json.loads(run("--format", "jsonl")[1].splitlines()[0])
