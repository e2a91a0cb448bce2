"""transformers' GPT-2 of the benchmark writes the same texts as ours, all of the length that was asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.decoding import Decoding
from bench.generate_data import alphabet, prepare_plan
from bench.generate_plan import SYSTEMS, GeneratePlan
from bench.plan import SIZES, Sizes
from benchmark import parse

TOOLS = Path(__file__).resolve().parents[2] / "tools"
TINY = Sizes(2, 16, 2, 32, 80, context=40)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GeneratePlan:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")  # is set by what is tested
    monkeypatch.setitem(SIZES, "gpt-10m", TINY)
    options = ["--size", "gpt-10m", "--prompt-tokens", "5", "--new-tokens", "30", "--texts", "7", "--device", "cpu"]
    pytest.importorskip("transformers")
    return prepare_plan(tmp_path, parse(["generate", *options]), SYSTEMS)


def changed(plan: GeneratePlan, **values: Any) -> GeneratePlan:
    return GeneratePlan(**{**vars(plan), "n_texts": 7, **values})


def build(plan: GeneratePlan, name: str) -> Decoding:
    system = plan.build(name)
    assert isinstance(system, Decoding)
    return system


@pytest.mark.parametrize("batch_size", [1, 3])
def test_gpt2_is_the_same_model(plan: GeneratePlan, batch_size: int) -> None:
    plan = changed(plan, batch_size=batch_size)
    found = []
    for name in ("ours-fp32", "transformers-fp32"):
        system = build(plan, name)
        system.turn()
        facts = system.facts()
        assert facts["tokens"] == [30] * 7 and [len(text) for text in facts["texts"]] == [30] * 7
        found.append(facts["texts"])
    assert found[0] == found[1]
    assert len(set(found[0])) > 1


@pytest.mark.parametrize("name", SYSTEMS)
def test_texts_never_end(plan: GeneratePlan, name: str) -> None:
    system = build(changed(plan, temperature=1.0, batch_size=7), name)  # of 76 tokens eos would come up in 210 draws
    answers = system.answer(changed(plan).prompts())
    assert [answer.tokens for answer in answers] == [30] * 7
    assert set("".join(answer.text for answer in answers)) <= set(alphabet(TINY.vocab_size))


def test_alphabet_is_large_enough() -> None:
    letters = alphabet(SIZES["gpt-124m"].vocab_size)
    assert len(set(letters)) == len(letters) == 50257 - 4


def test_text_must_fit_into_the_window(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["generate", "--new-tokens", "1000"])
    assert "--prompt-tokens and --new-tokens must fit into the window of 1024 tokens" in capsys.readouterr().err


def test_command(tmp_path: Path) -> None:
    command = [sys.executable, str(TOOLS / "benchmark.py"), "generate", "--size", "gpt-10m", "--new-tokens", "4"]
    command += ["--systems", "ours-fp32", "--rounds", "2", "--batch-size", "1,2", "--threads", "1", "--device", "cpu"]
    done = subprocess.run([*command, "--json", str(tmp_path / "found.json")], capture_output=True, text=True,
                          env=os.environ)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    single, together = (one["summary"]["systems"]["ours-fp32"] for one in found["tables"])
    assert single["tokens"] == together["tokens"] == 4 * 8
    assert single["token_latency"]["p50"] == pytest.approx(single["latency"]["p50"] / 4)
    assert "latency" not in together
    for words in ("generation, gpt-10m: 4 tokens behind 32, greedily, 2 rounds", "single texts", "ms/token, p95"):
        assert words in done.stdout
