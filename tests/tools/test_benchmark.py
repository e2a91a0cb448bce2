"""The benchmark measures what it says: the same architecture, the same batches, all of the products."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import make_pairs, write_pairs

from seq2seq.data.batch import Batch, TokenBatch
from seq2seq.model.transformer import Transformer

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SIZES = {"layers": 2, "d_model": 16, "heads": 2, "d_feedforward": 24, "vocab_size": 60}
TEXT = {"device_tokens": 150, "n_batches": 3, "device": "cpu", "threads": None}


@pytest.fixture(scope="module")
def tools() -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(TOOLS))
    try:
        names = [f"bench.{path.stem}" for path in (TOOLS / "bench").glob("[a-z]*.py")] + ["benchmark"]
        yield SimpleNamespace(**{name.removeprefix("bench."): importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(TOOLS))


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")  # is set by what is tested


@pytest.fixture
def plan(tools: SimpleNamespace, tmp_path: Path) -> Any:
    """A plan for pairs of lines, its batches made."""
    write_pairs(tmp_path, "text", make_pairs(300))
    plan = tools.plan.Plan(tools.plan.Sizes(**SIZES), tmp_path, **TEXT)
    return tools.data.prepare_plan(plan, (tmp_path / "text.en", tmp_path / "text.de"))


@pytest.fixture
def text_plan(tools: SimpleNamespace, tmp_path: Path) -> Any:
    """A plan for a language model, its batches made."""
    plan = tools.plan.Plan(tools.plan.Sizes(**SIZES, context=12), tmp_path, **TEXT)
    return tools.data.prepare_plan(plan, None)


def ragged() -> Batch:
    return Batch.from_ids([[5, 6, 3], [7, 3]], [[8, 3], [9, 10, 11, 3]])  # type: ignore[list-item]


@pytest.mark.parametrize("family", ["torch", "transformers", "transformers-eager"])
def test_peers_are_the_same_model(tools: SimpleNamespace, plan: Any, family: str) -> None:
    pytest.importorskip("transformers")
    settings = plan.settings()
    ours = Transformer(settings.model, 60, 60, shared=True)
    theirs = tools.peers.build_peer(plan.sizes, family)
    trained = [p for p in theirs.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == sum(p.numel() for p in ours.parameters())
    assert settings.model.dropout == 0.1 and settings.model.attention_dropout == 0
    for module in theirs.modules():
        if isinstance(module, torch.nn.MultiheadAttention):
            assert module.dropout == 0


def test_peers_count_real_tokens_only(tools: SimpleNamespace, plan: Any) -> None:
    batch = ragged()
    wider = Batch(
        *(torch.nn.functional.pad(t, (0, 3)) for t in (batch.src, batch.tgt_in, batch.tgt_out)), batch.n_tokens
    )
    pytest.importorskip("transformers")
    for family in ("torch", "transformers"):
        model = tools.peers.build_peer(plan.sizes, family).eval()
        torch.testing.assert_close(model(wider), model(batch), atol=1e-5, rtol=1e-5)


def test_batches_are_full_and_alike_in_length(tools: SimpleNamespace, plan: Any) -> None:
    steps = tools.data.pair_steps(plan, tools.data.translation_task(plan))
    batches = plan.batches()
    assert len(batches) == len(steps) == 3
    for step, batch in zip(steps, batches, strict=True):
        made = step.batch(0)
        assert len(step.micro_batches) == 1
        assert batch.n_tokens == made.n_tokens == step.n_tokens
        for name in ("src", "tgt_in", "tgt_out"):
            assert torch.equal(getattr(batch, name), getattr(made, name))
        assert 0.5 * 150 < max(made.src.numel(), made.tgt_out.numel()) <= 150
    counts = tools.data.count_tokens(plan)
    assert counts["target_tokens"] == sum(batch.n_tokens for batch in batches)
    assert counts["source_tokens"] < counts["source_tokens_padded"] == sum(batch.src.numel() for batch in batches)


@pytest.mark.parametrize("task", ["plan", "text_plan"])
@pytest.mark.parametrize("system", ["ours", "transformers", "torch"])
def test_every_system_is_trained(
    tools: SimpleNamespace, system: str, task: str, request: pytest.FixtureRequest
) -> None:
    plan = request.getfixturevalue(task)
    if system == "transformers":
        pytest.importorskip("transformers")
    if system == "torch" and task == "text_plan":
        assert tools.train.choose_systems(["torch-fp32", "ours-fp32"], language_model=True) == ["ours-fp32"]
        return
    trained = tools.ours.Ours(plan, "fp32") if system == "ours" else tools.peers.Peer(plan, system, "fp32")
    before = [p.detach().clone() for p in trained.model.parameters() if p.requires_grad]
    assert trained.turn() > 0
    assert trained.facts()["parameters"] == sum(p.numel() for p in before)
    after = [p for p in trained.model.parameters() if p.requires_grad]
    assert all(p.isfinite().all() for p in after)
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_batches_of_ours_are_prepared_within_the_turn(
    tools: SimpleNamespace, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tools.ours.Ours(plan, "fp32")
    prepared, trained = list[Any](), list[Any]()
    real = ours.updater.loss
    monkeypatch.setattr(ours.updater, "prepare", lambda batch: prepared.append(batch) or batch)
    monkeypatch.setattr(ours.updater, "loss", lambda batch: trained.append(batch) or real(batch))
    assert ours.turn() > 0
    assert [batch.n_tokens for batch in trained] == [ours.steps[i].n_tokens for i in (2, 0, 1, 2)]
    assert len(prepared) == 4
    ours.profile(1)
    assert len(prepared) == len(trained) == 5


def test_windows_are_full(text_plan: Any) -> None:
    batches = text_plan.batches()
    assert all(isinstance(batch, TokenBatch) for batch in batches)
    assert {tuple(batch.tokens.shape) for batch in batches} == {(12, 12)}  # 150 tokens hold 12 windows of 12
    assert {batch.n_tokens for batch in batches} == {144}
    assert len({tuple(batch.tokens.flatten().tolist()) for batch in batches}) == 3


def test_products_are_those_of_a_step(tools: SimpleNamespace) -> None:
    sizes = tools.plan.Sizes(**SIZES)
    layers, d, f, v = sizes.layers, sizes.d_model, sizes.d_feedforward, sizes.vocab_size
    s, t = 5, 6  # tokens of both sides of `ragged`
    pairs = 9 + 4, 4 + 16, 3 * 2 + 2 * 4  # of the encoder, of the decoder, from one to the other
    projections = s * layers * (4 * d * d + 2 * d * f) + t * layers * (4 * d * d + 2 * d * f)
    projections += t * layers * 2 * d * d + s * layers * 2 * d * d + t * d * v
    expected = 6 * projections + 12 * layers * d * sum(pairs)
    products = tools.ceiling.step_products(sizes, ragged())
    assert sum(product.flops for product in products) == pytest.approx(expected)
    padded = sum(product.call.flops * product.times for product in products)
    assert padded > 1.2 * expected


def test_products_are_multiplied(tools: SimpleNamespace, text_plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.ceiling, "LARGE", {"cpu": 32})
    monkeypatch.setattr(tools.ceiling, "LONG_ENOUGH", 0)
    ceiling = tools.ceiling.Ceiling(text_plan, "bf16")
    for product in ceiling.products:
        call = product.call
        made = ceiling._multiply(call)()
        assert made.dtype == torch.bfloat16
        assert made.shape[-2:] == (call.rows, call.columns) and made.numel() == call.n * call.rows * call.columns
    assert ceiling.turn() > 0
    facts = ceiling.facts()
    assert facts["flops"] == pytest.approx(sum(part["flops"] for part in facts["parts"].values()))
    assert {"layers self-attention products", "output projection"} < set(facts["parts"])


def test_ratios_are_those_of_rounds(tools: SimpleNamespace) -> None:
    seconds = {"ours-bf16": [1.0, 2.0, 4.0], "torch-bf16": [3.0, 4.0, 8.0], "ceiling-bf16": [0.5, 1.0, 3.0]}
    summary = tools.train_report.summarize(seconds, tokens=12)
    assert summary["systems"]["ours-bf16"]["tokens_per_second"] == {"median": 6.0, "min": 3.0, "max": 12.0}
    assert summary["ratios"] == {"ours-bf16": {"torch-bf16": {"median": 2.0, "min": 2.0, "max": 3.0}}}
    assert summary["ceiling"]["bf16"]["share"]["ours-bf16"]["median"] == 0.5
    assert "ceiling-bf16" not in summary["systems"]


def test_systems_take_turns(tools: SimpleNamespace, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []

    class Fake(SimpleNamespace):
        def turn(self) -> float:
            order.append(self.name)
            return 1.0

        def facts(self) -> dict[str, Any]:
            return {"flops": 1.0, "large_product": {"flops_per_second": 1.0}}

    @contextmanager
    def workers(names: list[str], plan: Any) -> Iterator[list[Fake]]:
        yield [Fake(name=name) for name in names]

    monkeypatch.setattr(tools.train, "workers", workers)
    found = tools.train.measure(plan, ["ours-fp32", "torch-fp32"], rounds=2)
    one = ["ours-fp32", "torch-fp32", "ceiling-fp32"]
    assert order == [*one, *one, *one[::-1]]  # the first turns warm up
    assert found["summary"]["systems"]["torch-fp32"]["seconds"] == [1.0, 1.0]


def test_profile_accounts_for_all_time(tools: SimpleNamespace, plan: Any) -> None:
    ours = tools.ours.Ours(plan, "bf16")
    ours.turn()
    found = ours.profile(2)
    groups = found["groups"]
    assert sum(group["share"] for group in groups.values()) == pytest.approx(1, abs=0.02)
    assert set(groups) == set(tools.profile.GROUPS)
    assert all(group["share"] > 0 for group in groups.values()), groups
    assert "where the time of ours goes" in tools.train_report.profile_table("ours", found)


def event(name: str, parent: Any = None, number: int = -1, scope: int = 0, start: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        name=name, cpu_parent=parent, sequence_nr=number, scope=scope, self_cpu_time_total=1e6,
        device_type=torch.autograd.DeviceType.CPU, time_range=SimpleNamespace(start=start),
    )  # fmt: skip


def test_operators_are_told_by_what_they_run_in(tools: SimpleNamespace) -> None:
    profile = tools.profile
    whole = event(profile.WHOLE)
    drop = event(profile.LABEL + profile.DROPOUT, whole)
    backward = event(profile.BACKWARD + "MulBackward0", whole, number=7, scope=1)
    optimizer = event("Optimizer.step#Adam.step", whole)
    data = event(profile.LABEL + profile.DATA, whole)
    expected = {
        profile.PRODUCTS: [event("aten::addmm", whole), event("aten::mm", backward)],
        profile.DROPOUT: [
            event("aten::mul", drop, number=7),
            event("aten::mul", event("MulBackward0", backward, 7, 1)),
        ],
        profile.OPTIMIZER: [event("aten::mul", optimizer), event("aten::copy_", optimizer)],
        profile.DATA: [data, event("aten::copy_", data)],
        profile.LOSS: [event("aten::add", event("_SmoothedLoss", whole)), event("aten::_log_softmax", whole)],
        profile.ATTENTION: [event("aten::bmm", whole), event("aten::_softmax", whole)],
        profile.OTHER: [event("aten::add", whole)],
    }
    every = [whole, drop, *(one for events in expected.values() for one in events)]
    spent = profile.group_times(every, on_gpu=False)
    assert {group: sum(times.values()) for group, times in spent.items()} == {
        group: len(events) for group, events in expected.items()
    }


def test_missing_peers_are_left_out(
    tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools.options, "find_spec", lambda name: None)
    chosen = tools.train.choose_systems(None, language_model=False)
    assert chosen == ["ours-bf16", "torch-bf16", "ours-fp32", "torch-fp32"]
    said = capsys.readouterr().err
    assert "transformers-fp32 is left out: transformers is not installed; pip install -e '.[bench]'" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--systems", "eole-fp32"], "no 'eole-fp32'; there are ours-bf16"),
        (["train", "--source", "a"], "--source and --target belong together"),
        (["train", "--batches", "0"], "'0' is no number from 1 on"),
    ],
)
def test_mistakes_are_named(
    tools: SimpleNamespace, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        tools.benchmark.parse(arguments)
    assert message in capsys.readouterr().err


def test_made_up_text_supports_the_vocabulary(tools: SimpleNamespace, tmp_path: Path) -> None:
    paths = tools.data.write_made_up_text(tmp_path)
    sides = [path.read_text(encoding="utf-8").split("\n")[:-1] for path in paths]
    assert len(sides[0]) == len(sides[1]) == tools.data.PAIRS
    assert 10 < sum(len(line.split()) for line in sides[0]) / len(sides[0]) < 14
    assert len({word for line in sides[0] for word in line.split()}) > 8000


def test_command(tmp_path: Path, tools: SimpleNamespace) -> None:
    write_pairs(tmp_path, "text", make_pairs(300))
    command = [sys.executable, str(TOOLS / "benchmark.py"), "train", "--size", "tiny", "--vocab-size", "60"]
    command += ["--source", str(tmp_path / "text.en"), "--target", str(tmp_path / "text.de"), "--threads", "1"]
    command += ["--device-tokens", "100", "--batches", "2", "--rounds", "2", "--device", "cpu", "--profile"]
    command += ["--systems", "ours-fp32,torch-fp32", "--json", str(tmp_path / "new/found.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "new/found.json").read_text(encoding="utf-8"))
    systems = found["summary"]["systems"]
    assert list(systems) == ["ours-fp32", "torch-fp32"]
    for system in systems.values():
        assert len(system["seconds"]) == 2 and system["peak_resident_bytes"] > 2**26
    assert systems["ours-fp32"]["parameters"] == systems["torch-fp32"]["parameters"]
    assert found["summary"]["ceiling"]["fp32"]["share"]["ours-fp32"]["median"] > 0
    assert found["settings"]["rounds"] == 2 and found["machine"]["threads"] == 1
    for word in ("ours-fp32 is x times", "ceiling, fp32", "peak memory", "matrix products", "MFLOP per target token"):
        assert word in done.stdout
    pytest.importorskip("matplotlib")
    tools.train_report.picture(found, tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_text_too_small_for_the_vocabulary_is_refused(tools: SimpleNamespace, tmp_path: Path) -> None:
    write_pairs(tmp_path, "text", make_pairs(50))
    plan = tools.plan.Plan(replace(tools.plan.SIZES["tiny"], vocab_size=8000), tmp_path, **TEXT)
    with pytest.raises(Exception, match=r"tokenizer.vocab_size=8000"):
        tools.data.prepare_plan(plan, (tmp_path / "text.en", tmp_path / "text.de"))
