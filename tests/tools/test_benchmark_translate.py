"""The peers of the benchmark translate with the same weights to the same tokens, and what it tells is what happened."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_pairs, write_pairs

from bench.ctranslate2_system import vocabularies
from bench.decoding import Decoding, batches, picture, rows_of, summarize
from bench.first import command, first_line
from bench.plan import Sizes
from bench.translate_data import choose_lines, prepare_system, write_random_model
from bench.translate_peer import PeerTranslator
from bench.translate_plan import LINES, TranslatePlan
from benchmark import parse
from seq2seq.data.batch import Batch
from seq2seq.decode import searcher
from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.beams import LengthPenalty
from seq2seq.decode.stepper import TransformerStepper
from seq2seq.errors import DataError, Seq2SeqError
from seq2seq.files import atomic_folder, write_json
from seq2seq.model.folder import TrainedModel, load_model, save_model
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import BOS, EOS

TOOLS = Path(__file__).resolve().parents[2] / "tools"
VOCABULARY = 60
FAR = 50  # tokens of a translation, which none reaches


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")  # is set by what is tested


def teach(folder: Path, **model: Any) -> TrainedModel:
    """Writes a model of some pairs, briefly trained: it has something to say, and its sentences come to an end."""
    pairs = make_pairs(300)
    write_pairs(folder, "text", pairs)
    path = write_random_model(folder, Sizes(2, 16, 4, 24, VOCABULARY), (folder / "text.en", folder / "text.de"))
    untaught = load_model(path)
    values = untaught.settings.model_dump()
    settings = type(untaught.settings).model_validate({**values, "model": {**values["model"], "dropout": 0, **model}})
    tokenizer = untaught.tokenizer
    torch.manual_seed(5)
    taught = Transformer(settings.model, VOCABULARY, VOCABULARY, tokenizer.shared)
    batch = Batch.from_ids(*(encode(list(side)) for encode, side in zip(
        (tokenizer.encode_source, tokenizer.encode_target), zip(*pairs[:100], strict=True), strict=True)))  # fmt: skip
    optimizer = torch.optim.Adam(taught.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss, n_tokens = taught(batch)
        (loss / n_tokens).backward()
        optimizer.step()
    with atomic_folder(path) as temporary:
        save_model(temporary, TrainedModel(taught, tokenizer, settings, untaught.max_source_length))
    return load_model(path)


@pytest.fixture(scope="module", params=[{}, {"norm": "pre", "activation": "gelu"}, {"tie_embeddings": False}], ids=str)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return teach(tmp_path_factory.mktemp("model"), **request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return teach(tmp_path_factory.mktemp("model"))


def plan_for(trained: TrainedModel, folder: Path, **changes: Any) -> TranslatePlan:
    with atomic_folder(folder / "model") as temporary:
        save_model(temporary, trained)
    lines = [line for line, _ in make_pairs(12, seed=3)]
    limit = changes.get("forced") or FAR
    write_json(folder / LINES, dict.fromkeys(lines, limit))
    values = {"name": "tiny", "folder": folder, "model": folder / "model", "language": "de", "device": "cpu"}
    values |= {"threads": 1, "n_lines": len(set(lines)), "longest": 64, "forced": None, "length_penalty": 1.0}
    return TranslatePlan(**values | {"batch_size": 5} | changes)


def our_rows(trained: TrainedModel, plan: TranslatePlan) -> tuple[list[list[int]], list[float]]:
    """Ids, ending in eos, and scores of our search, in which nothing is forbidden."""
    sources = trained.tokenizer.encode_source(list(plan.limits()), plan.language)
    with torch.inference_mode():
        found = beam_search(
            TransformerStepper(trained.model, sources),
            Search(plan.beam_size, penalty=LengthPenalty("length", plan.length_penalty)),
            max_lengths=[FAR] * len(sources),
            bos=BOS,
            eos=EOS,
        )
    assert not any(hypotheses[0].truncated for hypotheses in found)
    rows = [[*hypotheses[0].tokens, EOS] for hypotheses in found]
    assert len({tuple(row) for row in rows}) > 5 and max(map(len, rows)) > 10
    return rows, [hypotheses[0].score for hypotheses in found]


@pytest.mark.parametrize("beam_size", [1, 5])
def test_ctranslate2_is_the_same_model(trained: TrainedModel, beam_size: int, tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    plan = plan_for(trained, tmp_path, beam_size=beam_size)
    prepare_system(plan, "ctranslate2-float32")
    source, target = vocabularies(trained.tokenizer)
    translator = ctranslate2.Translator(str(plan.peer("ctranslate2-float32")), compute_type="float32")
    sources = trained.tokenizer.encode_source(list(plan.limits()), plan.language)
    found = translator.translate_batch(
        [[source[i] for i in ids] for ids in sources],
        beam_size=beam_size,
        length_penalty=1.0,
        min_decoding_length=0,
        max_decoding_length=FAR + 1,
        return_scores=True,
        return_end_token=True,
    )
    rows, scores = our_rows(trained, plan)
    assert [[target.index(token) for token in result.hypotheses[0]] for result in found] == rows
    np.testing.assert_allclose([result.scores[0] for result in found], scores, atol=1e-4)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_marian_is_the_same_model(trained: TrainedModel, beam_size: int, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    plan = plan_for(trained, tmp_path, beam_size=beam_size)
    model = trained.settings.model
    if model.norm == "pre" or not model.tie_embeddings:
        with pytest.raises(Seq2SeqError, match="MarianMTModel has its norms behind"):
            prepare_system(plan, "transformers-fp32")
        return
    prepare_system(plan, "transformers-fp32")
    theirs = plan.build("transformers-fp32")
    assert isinstance(theirs, PeerTranslator)
    sources = trained.tokenizer.encode_source(list(plan.limits()), plan.language)
    rows, _ = our_rows(trained, plan)
    assert theirs.search([ids.tolist() for ids in sources], [FAR] * len(sources)) == rows


SYSTEMS = ["ours-fp32", "transformers-fp32", "ctranslate2-float32"]


def build(plan: TranslatePlan, name: str) -> Decoding:
    if name != "ours-fp32":
        pytest.importorskip(name.partition("-")[0])
    prepare_system(plan, name)
    system = plan.build(name)
    assert isinstance(system, Decoding)
    return system


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_translates_all_lines(name: str, batch_size: int, plain: TrainedModel, tmp_path: Path) -> None:
    plan = plan_for(plain, tmp_path, batch_size=batch_size)  # beam 1: what is forbidden changes no scores that count
    system = build(plan, name)
    taken = [system.turn() for _ in range(3)]
    facts = system.facts()
    rows, _ = our_rows(plain, plan)
    assert facts["tokens"] == [len(row) for row in rows]
    assert facts["texts"] == plain.tokenizer.decode_target([row[:-1] for row in rows])
    assert [len(calls) for calls in facts["calls"]] == [
        len(rows) if batch_size == 1 else 1
    ] * 2  # the first turn warms up
    assert [sum(calls) for calls in facts["calls"]] == taken[1:]


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize("name", SYSTEMS)
def test_lengths_are_forced(
    name: str, beam_size: int, plain: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "EXTRA_LENGTH", searcher.EXTRA_LENGTH)  # is set by what is tested
    plan = plan_for(plain, tmp_path, forced=7, beam_size=beam_size)
    system = build(plan, name)
    assert [answer.tokens for answer in system.answer(list(plan.limits()))] == [8] * plan.n_lines


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_shortest_script_translates_as_the_system_does(name: str, plain: TrainedModel, tmp_path: Path) -> None:
    plan = plan_for(plain, tmp_path, beam_size=2)
    if name != "ours-fp32":
        pytest.importorskip(name.partition("-")[0])
    prepare_system(plan, name)
    line = next(iter(plan.limits()))
    taken, text = first_line(command(plan, name), line)
    assert taken > 0.05
    rows, _ = our_rows(plain, plan)
    assert [text] == plain.tokenizer.decode_target([rows[0][:-1]])


def test_ratios_compare_the_same_lines() -> None:
    seconds = {"ours-fp32": [1.0, 2.0], "ctranslate2-int8": [3.0, 4.0]}
    facts = {
        "ours-fp32": {
            "texts": ["a", "b"],
            "tokens": [4, 6],
            "calls": [[0.5, 0.5], [0.5, 1.5]],
            "peak_resident_bytes": 0,
        },
        "ctranslate2-int8": {
            "texts": ["a", "b"],
            "tokens": [4, 2],
            "calls": [[1.0, 2.0]] * 2,
            "peak_resident_bytes": 0,
        },
    }
    found = summarize(seconds, facts)
    ours, theirs = found["systems"].values()
    assert ours["tokens_per_second"] == {"median": 7.5, "min": 5.0, "max": 10.0}
    assert theirs["lines_per_second"]["max"] == pytest.approx(2 / 3)
    assert ours["latency"]["p50"] == pytest.approx(750) and ours["latency"]["p95"] == pytest.approx((500 + 1450) / 2)
    assert theirs["token_latency"]["p50"] == pytest.approx((250 + 1000) / 2)
    assert found["ratios"] == {"ours-fp32": {"ctranslate2-int8": {"median": 2.5, "min": 2.0, "max": 3.0}}}
    together = {name: {**values, "calls": [[1.0]] * 2} for name, values in facts.items()}
    assert all("latency" not in system for system in summarize(seconds, together)["systems"].values())
    head, *_ = rows_of(found, "sentences", "latency")
    assert "ms, p95" in head and "BLEU" not in head


def test_batches_are_alike_in_length() -> None:
    rows = [[0] * n for n in (3, 9, 1, 7, 8)]
    assert batches(rows, 2) == [[1, 4], [3, 0], [2]]


def test_lines_that_not_all_treat_alike_are_left_out(plain: TrainedModel, tmp_path: Path) -> None:
    lines = ["red dog.", "", "old cat.", "red dog.", "big " * 300, "new tree.", "blue car."]
    for name, suffix in (("source", ""), ("reference", "!")):
        (tmp_path / name).write_text("".join(f"{line}{suffix}\n" for line in lines), encoding="utf-8")
    found = choose_lines(plain, tmp_path / "source", tmp_path / "reference", 3)
    assert found == (["red dog.", "old cat.", "new tree."], ["red dog.!", "old cat.!", "new tree.!"])
    assert choose_lines(plain, tmp_path / "source", None, 9)[1] == []
    (tmp_path / "reference").write_text("one\n", encoding="utf-8")
    with pytest.raises(DataError, match="source has 7 lines, .*reference has 1"):
        choose_lines(plain, tmp_path / "source", tmp_path / "reference", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--systems", "eole-fp32"], "no 'eole-fp32'; there are ours-fp32"),
        (["model"], "MODEL and --source belong together"),
        (["--source", "a"], "MODEL and --source belong together"),
        (["model", "--source", "a", "--size", "base"], "--size and --vocab-size are those of random weights"),
        (["--reference", "a"], "--reference needs --source"),
        (["--beam-size", "1,0"], "'0' is no number from 1 on"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["translate", *arguments])
    assert message in capsys.readouterr().err


def test_command(plain: TrainedModel, tmp_path: Path) -> None:
    plan_for(plain, tmp_path)
    write_pairs(tmp_path, "test", make_pairs(6, seed=4))
    words = [sys.executable, str(TOOLS / "benchmark.py"), "translate", str(tmp_path / "model"), "--threads", "1"]
    words += ["--source", str(tmp_path / "test.en"), "--reference", str(tmp_path / "test.de"), "--device", "cpu"]
    words += ["--rounds", "2", "--beam-size", "1,2", "--batch-size", "1", "--systems", "ours-fp32"]
    words += ["--first", "1", "--json", str(tmp_path / "new/found.json")]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "new/found.json").read_text(encoding="utf-8"))
    assert [(one["beam_size"], one["batch_size"]) for one in found["tables"]] == [(1, 1), (2, 1)]
    for one in found["tables"]:
        systems = one["summary"]["systems"]
        assert list(systems) == ["ours-fp32"]
        for system in systems.values():
            assert len(system["seconds"]) == 2 and system["lines"] == 6 and system["tokens"] > 12
            assert 0 < system["latency"]["p50"] <= system["latency"]["p95"]
            assert 0 <= system["bleu"] <= 100 and system["peak_resident_bytes"] > 2**26
    assert found["first"]["systems"]["ours-fp32"]["median"] > 0.5
    for said in (
        "6 sentences, real lengths, 2 rounds",
        "beam 2, single sentences",
        "time to first translation, beam 2",
    ):
        assert said in done.stdout
    pytest.importorskip("matplotlib")
    picture(found, tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
