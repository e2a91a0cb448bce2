"""Tables for a terminal, for Markdown and for LaTeX, and what is said in words; from made scores."""

import re
from dataclasses import replace

import pytest

from seq2seq.evaluate.evaluation import Evaluation, System, evaluate
from seq2seq.evaluate.tables import latex, markdown, scores_text, text
from seq2seq.evaluate.testset import TestSet, TextFile
from seq2seq.evaluate.verdict import verdict

REFERENCE = [f"The {colour} {animal} sees a small house." for colour in ("red", "old") for animal in ("dog", "cat")] * 6
GOOD = [line.replace("small", "little") if i % 6 == 0 else line for i, line in enumerate(REFERENCE)]
POOR = [line.replace("sees", "seas").replace("The", "A") for line in REFERENCE]
SHORT = [line[:12] for line in REFERENCE]


def made(**systems: list[str]) -> Evaluation:
    test = TestSet("test_1 & 2", [TextFile("r", REFERENCE, "")])
    return evaluate(test, [System(name, lines) for name, lines in systems.items()])


def columns(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r" \| |\| | \|", line)][1:-1]


@pytest.fixture(scope="module")
def three() -> Evaluation:
    return made(poor=POOR, good=GOOD, cut_short=SHORT)


def test_text_of_several_systems(three: Evaluation) -> None:
    lines = text(three).split("\n")
    assert lines[0].split() == ["system", "BLEU", "chrF", "chrF++", "TER", "exact"]
    assert [line.split()[0] for line in lines[1:4]] == ["poor", "good", "cut_short"]
    assert len({len(line) for line in lines[:4]}) == 1
    heads = [line for line in lines if line.startswith("against ")]
    assert [" ".join(line.split()[:2]) for line in heads] == ["against poor", "against good"]
    for name in ("BLEU", "chrF", "chrF++", "TER"):
        assert sum(line.startswith(f"{name} ") and "version:" in line for line in lines) == 1
    row = next(line for line in lines if line.startswith("good") and "(" in line)
    difference = three.difference("BLEU", 0, 1)
    assert difference is not None and difference.is_significant
    assert f"+{difference.value:.2f} (<0.001, <0.001)*" in row
    assert "lines with  too short" in text(three)


def test_text_of_one_system() -> None:
    one = made(good=GOOD)
    assert text(one).startswith(scores_text(one.scores[0]))
    assert "against" not in text(one) and "seed 12345" in text(one)
    with_loss = replace(one, systems=[replace(one.systems[0], loss=0.5)])
    assert "loss   0.5000 nats per token of the reference, perplexity 1.65" in text(with_loss)


def test_scores_without_intervals() -> None:
    one = made(good=GOOD).scores[0]
    plain = replace(one, metrics=[replace(score, mean=None, margin=None) for score in one.metrics])
    assert "±" in scores_text(one) and "±" not in scores_text(plain)


def test_markdown(three: Evaluation) -> None:
    lines = markdown(three).split("\n")
    assert lines[0] == r"test\_1 & 2, 24 lines"
    head, rule, *rows = (columns(line) for line in lines if line.startswith("|"))
    assert head == ["System", "BLEU ↑", "chrF ↑", "chrF++ ↑", "TER ↓", "Exact, % ↑"]
    assert set(rule) == {":---", "---:"}
    assert [row[0] for row in rows] == ["poor", "good", r"cut\_short"]
    bleu = three.scores[1].metrics[0]
    assert rows[1][1] == rf"**{bleu.value:.1f} ± {bleu.margin:.1f}**\*"
    assert rows[1][4].startswith("**") and not rows[0][4].startswith("**")  # less is better
    assert rows[1][5] == "**83.3**"
    assert all(f"- {score.name}: `{score.signature}`" in lines for score in three.scores[0].metrics)
    assert "different from poor by both paired tests" in markdown(three)


def test_latex(three: Evaluation) -> None:
    table = latex(replace(three, systems=[replace(three.systems[0], name="50%_{x}~^\\"), *three.systems[1:]]))
    rows = [line for line in table.split("\n") if line.endswith(r"\\")]
    assert rows[0].startswith(r"System & BLEU $\uparrow$ & ")
    assert rows[1].startswith(r"50\%\_\{x\}\textasciitilde{}\textasciicircum{}\textbackslash{} & ")
    assert rows[2].startswith(r"good & \textbf{") and "$^*$" in rows[2]
    assert all(row.count(" & ") == 5 for row in rows)
    assert r"\caption{test\_1 \& 2, 24 lines." in table
    assert table.count(r"\texttt{nrefs:1|") == 4 and "±" not in table
    assert table.count("{") == table.count("}")


def test_perplexity_is_a_column_where_a_model_is(three: Evaluation) -> None:
    some = replace(three, systems=[replace(three.systems[0], loss=0.0), *three.systems[1:]])
    assert text(some).split("\n")[0].split()[-1] == "perplexity"
    assert [line.split()[-1] for line in text(some).split("\n")[1:4]] == ["1.00", "-", "-"]
    assert columns(markdown(some).split("\n")[4])[-1] == "1.0"
    assert " &  \\\\" in latex(some)


def test_the_verdict(three: Evaluation) -> None:
    first, second, third = verdict(three)
    assert first.startswith("good has the highest BLEU, ")
    assert "; poor is next, " in first
    assert first.endswith("the difference is significant (p < 0.001 by paired bootstrap, p < 0.001 by approximate "
                          "randomisation).")  # fmt: skip
    assert second == "It is best by chrF, chrF++ and TER too."
    assert third == "Against poor, the first one, by BLEU and p < 0.05: better: good; worse: cut_short."


def test_the_verdict_on_systems_that_do_not_differ() -> None:
    other = [line.replace("small", "little") if i % 6 == 1 or i == 2 else line for i, line in enumerate(REFERENCE)]
    first, *_ = verdict(made(one=GOOD, two=other))
    assert "two is next" in first and "but the difference is not significant: it may be chance (p = " in first
    first, *_ = verdict(made(one=GOOD, two=[GOOD[0] + "!", *GOOD[1:]]))
    assert first.endswith("lower, but only 1 line differs by it: too few to tell whether that is chance.")


def test_of_equal_systems_none_is_the_best() -> None:
    two, three = made(one=GOOD, two=GOOD), made(one=GOOD, two=GOOD, three=GOOD)
    assert len(verdict(two)) == 1 and verdict(two)[0].endswith("; so has two.")
    assert verdict(three)[0].endswith("; so have two, three.") and "too" not in " ".join(verdict(three))
    assert next(line for line in text(three).split("\n") if "the same" in line).count("the same") == 4
    difference = two.difference("TER", 1, 0)
    assert difference and f"{difference.value:+.2f}" == "+0.00"
    for found in (two, made(one=GOOD)):
        assert "**" not in markdown(found) and r"\textbf" not in latex(found)


def test_the_verdict_on_one_system() -> None:
    (told,) = verdict(made(good=GOOD))
    assert re.fullmatch(r"good reaches BLEU [\d.]+ \(± [\d.]+\), chrF .* on the 24 lines of test_1 & 2\.", told)


def test_metrics_that_disagree() -> None:
    found = made(one=POOR, two=GOOD)
    worse = replace(found.scores[1], metrics=[found.scores[1].metrics[0], *found.scores[0].metrics[1:]])
    better = replace(found.scores[0], metrics=[found.scores[0].metrics[0], *found.scores[1].metrics[1:]])
    told = " ".join(verdict(replace(found, scores=[better, worse])))
    assert "By chrF one is ahead of it, " in told and "By TER one is ahead of it" in told
    assert "best by" not in told
