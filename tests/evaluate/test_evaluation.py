"""Several systems, several references."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.errors import DataError
from seq2seq.evaluate import testset
from seq2seq.evaluate.evaluation import Evaluation, System, evaluate
from seq2seq.evaluate.guards import count_overlap
from seq2seq.evaluate.metrics import Metrics, sentence_chrf
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


def test_several_references_as_the_sacrebleu_command(tmp_path: Path) -> None:
    for name, lines in (("hypothesis", GOOD), ("first", FIRST), ("second", SECOND)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    command = [sys.executable, "-m", "sacrebleu", "first", "second", "-i", "hypothesis", "-w", "8"]
    out = subprocess.run(
        [*command, "-m", "bleu", "chrf", "ter"], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    scores = Metrics([FIRST, SECOND]).score(GOOD)
    for expected, found in zip(json.loads(out), scores.metrics, strict=True):
        assert found.value == pytest.approx(expected["score"], abs=1e-7)
        assert found.signature == expected["signature"]
    assert scores.exact == pytest.approx(2 / 3)
    assert "equal to one of their 2 references" in scores.text()


def test_sentences_are_compared_with_the_nearest_reference() -> None:
    from sacrebleu.metrics.chrf import CHRF

    for i, hypothesis in enumerate(GOOD):
        together = CHRF().sentence_score(hypothesis, [FIRST[i], SECOND[i]]).score
        assert max(sentence_chrf(hypothesis, [FIRST[i], SECOND[i]])) == pytest.approx(together)


def test_scores_do_not_depend_on_the_other_systems() -> None:
    alone = [evaluation(name).scores[0] for name in ("good", "bad")]
    assert evaluation("good", "bad").scores == alone
    assert evaluation("bad", "good").scores == alone[::-1]


def test_text_of_one_and_of_several_systems() -> None:
    one = evaluation("good")
    assert one.text() == one.scores[0].text()
    text = evaluation("good", "bad", "good").text().split("\n")
    assert text[0].split() == ["system", "BLEU", "chrF", "TER", "exact"]
    assert [line.split()[0] for line in text[1:4]] == ["good", "bad", "good"]
    assert [line.split()[0] for line in text[5:]] == ["BLEU", "chrF", "TER", "exact"]
    assert all("nrefs:2|" in line and "version:" in line for line in text[5:8])
    assert len({len(line) for line in text[:4]}) == 1


def test_records_of_one_and_of_several_systems(tmp_path: Path) -> None:
    record = evaluation("good").record()
    assert list(record) == ["system", "metrics", "exact", "lines", "warnings"]
    assert (record["system"], record["lines"], record["warnings"]) == ("good", 3, [])
    both = evaluation("good", "bad").record()
    assert list(both) == ["systems", "warnings"]
    assert both["systems"][0] == {key: record[key] for key in ("system", "metrics", "exact", "lines")}
    assert [warning.split(":")[0] for warning in both["warnings"]] == ["bad"] * 4
    (tmp_path / "train").write_text(FIRST[1] + "\n")
    overlap = count_overlap(tmp_path / "train", [FIRST])
    test = testset.TestSet("a test", [file("one", FIRST)])
    found = evaluate(test, [System("good", GOOD)], [overlap]).record()
    assert found["train"] == [{"file": str(tmp_path / "train"), "lines": 1, "sources": None, "references": 1}]
    assert found["warnings"] == [f"1 of 3 references also stand in {tmp_path / 'train'}"]


def test_the_target_language_chooses_the_tokenizer() -> None:
    assert "tok:zh" in evaluation("good", target_language="zh").text()
    assert "tok:13a" in evaluation("good", target_language="de").text()


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
