"""From text to the batches of a benchmark, by the ways of our own training."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from bench.plan import BATCHES, CLIP_NORM, LABEL_SMOOTHING, RECIPE, SEED, Plan
from seq2seq.config import TranslationSettings
from seq2seq.data.blocks import BlockStep
from seq2seq.data.order import PairStep, Step, by_length
from seq2seq.data.permutation import Indices, shuffled
from seq2seq.data.pools import Pool, Position
from seq2seq.text.ids import SPECIAL_IDS
from seq2seq.text.lines import read_lines
from seq2seq.train.translation import TranslationTask

VALID_LINES = 100  # a recipe must name text to validate with; it is never looked at
PAIRS, WORDS = 20_000, 20_000  # of made-up text


def prepare_plan(plan: Plan, text: tuple[Path, Path] | None) -> Plan:
    """Writes recipe and batches into a plan's folder and returns the plan as it can be carried out.

    Args:
        plan: what is to be measured.
        text: files of source and target lines; None: made-up text. Language models are given random ids.

    Raises:
        DataError: the text cannot be read or does not support the vocabulary.
    """
    if plan.sizes.context:
        _write_recipe(plan, language_model_recipe(plan))
    else:
        source, target = text or write_made_up_text(plan.folder)
        for side, path in (("source", source), ("target", target)):
            lines = islice(read_lines(path), VALID_LINES)
            (plan.folder / f"valid.{side}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        recipe = translation_recipe(plan, source.resolve(), target.resolve())
        _write_recipe(plan, recipe)
        task = translation_task(plan)
        plan = replace(plan, sizes=replace(plan.sizes, vocab_size=task.tokenizer.target_vocab_size))
    steps: Sequence[Step] = text_steps(plan) if plan.sizes.context else pair_steps(plan, translation_task(plan))
    tensors: dict[str, Tensor] = {}
    for i, step in enumerate(steps):
        batch = step.batch(0)
        tensors |= {f"{i}.{f.name}": getattr(batch, f.name) for f in fields(batch) if f.name != "n_tokens"}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, plan.folder / BATCHES)
    return plan


def translation_task(plan: Plan) -> TranslationTask:
    """Returns the task of a plan's recipe, its data prepared."""
    settings = plan.settings()
    assert isinstance(settings, TranslationSettings)
    return TranslationTask(settings, None)


def pair_steps(plan: Plan, task: TranslationTask) -> list[PairStep]:
    """Returns steps of one micro-batch each: pairs of like length, as many as a device holds, of all lengths."""
    pool, following = task.data(plan.device_tokens, 1).pools.pool(Position())
    batches = list(full_batches(pool, plan.device_tokens))
    chosen = shuffled(np.arange(len(batches)), len(batches), SEED)[: plan.n_batches]
    return [PairStep(pool, [batches[i]], int(pool.target_lengths[batches[i]].sum()), following) for i in chosen]


def full_batches(pool: Pool, device_tokens: int) -> Iterator[Indices]:
    """Yields pairs in the order of their lengths, as many together as do not pass `device_tokens` with padding."""
    batch: list[int] = []
    widest = 0
    widths = np.maximum(pool.source_lengths, pool.target_lengths)
    for row in by_length(pool).tolist():
        widest = max(widest, int(widths[row]))
        if batch and (len(batch) + 1) * widest > device_tokens:
            yield np.array(batch)
            batch, widest = [], int(widths[row])
        batch.append(row)
    yield np.array(batch)


def text_steps(plan: Plan) -> list[BlockStep]:
    """Returns the steps of a language model: windows of random ids, as many as a batch may hold."""
    random, sizes = np.random.default_rng(SEED), plan.sizes
    n = max(1, plan.device_tokens // sizes.context)
    steps = []
    for _ in range(plan.n_batches):
        ids = random.integers(len(SPECIAL_IDS), sizes.vocab_size, (n, sizes.context + 1), dtype=np.int32)
        steps.append(BlockStep(list(ids), [np.arange(n)], n * sizes.context, Position()))
    return steps


def translation_recipe(plan: Plan, source: Path, target: Path) -> dict[str, Any]:
    """Returns our recipe for an encoder-decoder."""
    corpus, common = {"source": str(source), "target": str(target)}, _common_recipe(plan)
    return {
        **common,
        "data": {
            "source_language": "en",
            "target_language": "de",
            "train": [corpus],
            "valid": {side: str(plan.folder / f"valid.{side}") for side in corpus},
        },
        "tokenizer": {"vocab_size": plan.sizes.vocab_size},
        "train": {**common["train"], "label_smoothing": LABEL_SMOOTHING},
    }


def language_model_recipe(plan: Plan) -> dict[str, Any]:
    """Returns our recipe for a language model; it names a text that is never opened."""
    common = _common_recipe(plan)
    return {
        **common,
        "task": "language_model",
        "data": {"train": [{"text": "random ids"}], "valid": {"share": 0.1}},
        "tokenizer": {"type": "bytes"},
        "model": {**common["model"], "context": plan.sizes.context},
    }


def _common_recipe(plan: Plan) -> dict[str, Any]:
    """Returns what our recipes of both kinds have in common."""
    return {
        "output": str(plan.folder / "run"),
        "seed": SEED,
        "model": plan.sizes.model(),
        "train": {
            "batch_tokens": plan.device_tokens,
            "device_tokens": plan.device_tokens,
            "clip_norm": CLIP_NORM,
        },
    }


def write_made_up_text(folder: Path) -> tuple[Path, Path]:
    """Writes lines of made-up words and returns the files of both sides.

    Lengths are like those of image captions, words as frequent as in text (their rank times their frequency is
    constant), and enough of them for thousands of subwords, which the demo corpus with its few hundred words is not.
    """
    random = np.random.default_rng(SEED)
    lengths = np.exp(random.normal(np.log(11.0), 0.35, PAIRS)).round().clip(3, 40)
    sides = lengths, (lengths * random.normal(0.95, 0.15, PAIRS)).round().clip(3, 40)
    paths = folder / "made_up.source", folder / "made_up.target"
    for path, counts in zip(paths, sides, strict=True):
        words = _made_up_words(random)
        with open(path, "w", encoding="utf-8") as file:
            for count in counts.astype(int).tolist():
                ranks = (WORDS ** random.random(count)).astype(int) - 1
                file.write(" ".join(words[rank] for rank in ranks) + ".\n")
    return paths


def _made_up_words(random: np.random.Generator) -> list[str]:
    """Returns words of one to four syllables."""
    syllables = [
        first + vowel + last for first in "bdfghklmnprstvw" for vowel in "aeiou" for last in ("", "n", "r", "s")
    ]
    counts = random.integers(1, 5, WORDS)
    return ["".join(random.choice(syllables, count)) for count in counts.tolist()]


def _write_recipe(plan: Plan, recipe: dict[str, Any]) -> None:
    (plan.folder / RECIPE).write_text(json.dumps(recipe), encoding="utf-8")


def count_tokens(plan: Plan) -> dict[str, int]:
    """Returns how many tokens the batches of a turn hold on each side, real ones and with padding."""
    counts = {}
    batches = plan.batches()
    sides = {"target": "targets"} if plan.sizes.context else {"source": "src", "target": "tgt_out"}
    for side, name in sides.items():
        tensors = [getattr(batch, name) for batch in batches]
        counts[f"{side}_tokens"] = sum(int(tensor.count_nonzero()) for tensor in tensors)  # pad is 0
        counts[f"{side}_tokens_padded"] = sum(tensor.numel() for tensor in tensors)
    return counts
