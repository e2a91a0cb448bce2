"""Several systems, several references."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seq2seq.errors import DataError
from seq2seq.evaluate import testset
from seq2seq.evaluate.comet import CometScores
from seq2seq.evaluate.evaluation import Evaluation, System, evaluate
from seq2seq.evaluate.frequency import read_training
from seq2seq.evaluate.metrics import Metrics, sentence_chrf
from seq2seq.evaluate.tables import FORMATS, text
from seq2seq.evaluate.testset import TextFile

SOURCE = ["Der Hund biss den Mann.", "Es war nicht überraschend.", "Der Mann hatte ihn gerade gebissen."]
FIRST = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
SECOND = ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."]
GOOD = ["The dog bit the man.", "No one was surprised.", "The man had just bitten him."]
BAD = ["the dog the man .", "it surprised &quot; me .", ""]


def file(name: str, lines: list[str]) -> TextFile:
    return TextFile(name, lines, "")


def evaluation(*names: str, target_language: str = "") -> Evaluation:
    test = testset.TestSet("a test", [file("one", FIRST), file("two", SECOND)], file("source", SOURCE), target_language)
    lines = {"good": GOOD, "bad": BAD}
    return evaluate(test, [System(name, lines[name]) for name in names])


def test_sentences_are_compared_with_the_nearest_reference() -> None:
    from sacrebleu.metrics.chrf import CHRF

    for i, hypothesis in enumerate(GOOD):
        together = CHRF().sentence_score(hypothesis, [FIRST[i], SECOND[i]]).score
        assert max(sentence_chrf(hypothesis, [FIRST[i], SECOND[i]])) == pytest.approx(together)


def test_scores_do_not_depend_on_the_other_systems() -> None:
    alone = [evaluation(name).scores[0] for name in ("good", "bad")]
    assert evaluation("good", "bad").scores == alone
    assert evaluation("bad", "good").scores == alone[::-1]


def test_records_of_one_and_of_several_systems(tmp_path: Path) -> None:
    record = evaluation("good").record()
    assert (record["system"], record["lines"], record["warnings"]) == ("good", 3, [])
    assert {"score", "signature", "mean", "margin"} == set(record["metrics"]["chrF++"])
    assert record["draws"] == {"bs": 1000, "ar": 10000, "seed": 12345}
    assert [file["name"] for file in record["test"]["files"]] == ["source", "one", "two"]
    assert "differences" not in record
    both = evaluation("good", "bad").record()
    assert both["systems"][0] == {key: record[key] for key in ("system", "metrics", "exact", "lines", "errors")}
    assert both["systems"][1]["errors"]["empty"] == [3]
    assert [warning.split(":")[0] for warning in both["warnings"]] == ["bad"] * 4
    assert {each["metric"] for each in both["differences"]} == {"BLEU", "chrF", "chrF++", "TER"}
    assert {(each["system"], each["against"]) for each in both["differences"]} == {("bad", "good")}
    (tmp_path / "train").write_text(FIRST[1] + "\n")
    test = testset.TestSet("a test", [file("one", FIRST)])
    overlaps, frequency = read_training([tmp_path / "train"], test, [GOOD])
    found = evaluate(test, [System("good", GOOD)], overlaps, frequency).record()
    assert found["train"] == [{"file": str(tmp_path / "train"), "lines": 1, "sources": None, "references": 1}]
    assert found["warnings"] == [f"1 of 3 references also stand in {tmp_path / 'train'}"]
    assert found["frequency"]["buckets"][0]["label"] == "0"
    json.dumps([record, both, found], allow_nan=False)


def test_records_are_json_whatever_a_model_finds_impossible() -> None:
    test = testset.TestSet("a test", [file("one", FIRST)])
    for loss in (800.0, float("inf"), float("nan")):
        record = evaluate(test, [System("good", GOOD, loss=loss)]).record()
        assert record["perplexity"] is None and record["loss"] in (None, 800.0)
        json.dumps(record, allow_nan=False)


def test_scores_of_groups_are_those_of_their_lines_alone() -> None:
    found = evaluation("good", "bad")
    lengths = found.grouped[0].groups
    assert sum(group.lines for group in lengths) == 3
    rows = [i for i, line in enumerate(SOURCE) if 5 < len(line.replace(".", " .").split()) <= 10]
    alone = Metrics([[lines[i] for i in rows] for lines in (FIRST, SECOND)]).score([GOOD[i] for i in rows])
    group = next(group for group in lengths if group.lines == len(rows))
    assert [score.value for score in group.scores[0]] == [score.value for score in alone.metrics]


def test_chrf_of_sentences() -> None:
    found = evaluation("good").sentence_chrf[0]
    expected = [max(sentence_chrf(GOOD[i], [FIRST[i], SECOND[i]])) for i in range(3)]
    assert found == pytest.approx(expected)


def test_comet_is_one_more_metric() -> None:
    def score(source: list[str], lines: list[str], references: list[list[str]]) -> CometScores:
        assert (source, references) == (SOURCE, [FIRST, SECOND])
        return CometScores([0.9 if line else 0.1 for line in lines], "model:some")

    comet: Any = SimpleNamespace(score=score)
    test = testset.TestSet("a test", [file("one", FIRST), file("two", SECOND)], file("source", SOURCE))
    found = evaluate(test, [System("good", GOOD), System("bad", BAD)], comet=comet)
    assert found.scores[0]["COMET"] == pytest.approx(90)
    assert found.scores[1]["COMET"] == pytest.approx(100 * (0.9 + 0.9 + 0.1) / 3)
    assert found.scores[1].metrics[-1].signature == "model:some"
    difference = found.difference("COMET", 0, 1)
    assert difference is not None and difference.value == pytest.approx(-80 / 3)
    for form in FORMATS.values():
        assert "COMET" in form(found) and "model:some" in form(found)
    with pytest.raises(DataError, match="COMET reads the source too, and a test has none"):
        evaluate(replace(test, source=None), [System("good", GOOD)], comet=comet)


def test_the_target_language_chooses_the_tokenizer() -> None:
    assert "tok:zh" in text(evaluation("good", target_language="zh"))
    assert "tok:13a" in text(evaluation("good", target_language="de"))


def test_a_language_whose_tokenizer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sacrebleu.metrics.bleu

    def missing(_: str) -> None:
        raise RuntimeError('Please install sacrebleu["ja"]')

    monkeypatch.setattr(sacrebleu.metrics.bleu, "_get_tokenizer", missing)
    with pytest.raises(DataError, match="BLEU for target language 'ja': Please install"):
        evaluation("good", target_language="ja")


def test_tokenised_text_makes_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    assert Metrics([FIRST * 50]).score(BAD * 50).lines == 150
    assert capfd.readouterr() == ("", "")


def test_unequal_numbers_of_lines_are_refused() -> None:
    with pytest.raises(DataError, match="2 references for 3 references"):
        Metrics([FIRST, SECOND[:2]])
    with pytest.raises(DataError, match="1 translations for 3 references"):
        Metrics([FIRST, SECOND]).score(GOOD[:1])
