"""A GPT with random weights, for ours and for transformers, and prompts."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch

from bench.data import language_model_recipe
from bench.generate import TEXTS
from bench.generate_plan import PROMPTS, GeneratePlan
from bench.gpt2_model import save_gpt2
from bench.plan import RECIPE, SEED, SIZES, Plan, Sizes
from seq2seq.config import LanguageModelSettings, settings_from_dict
from seq2seq.files import atomic_folder, write_json
from seq2seq.model.device import choose_device
from seq2seq.model.folder import TrainedGPT, build_model, save_model
from seq2seq.text.codecs import CharacterCodec
from seq2seq.text.ids import SPECIAL_IDS
from seq2seq.text.tokenizer import Tokenizer


def prepare_plan(folder: Path, options: argparse.Namespace, names: Sequence[str]) -> GeneratePlan:
    """Writes what the systems need and returns the plan of a command line.

    Args:
        folder: for what they need.
        options: of the command.
        names: of the systems.
    """
    sizes = SIZES[options.size]
    if options.vocab_size:
        sizes = replace(sizes, vocab_size=options.vocab_size)
    plan = GeneratePlan(
        name=options.size,
        folder=folder,
        device=str(choose_device(options.device)),
        threads=options.threads or torch.get_num_threads(),
        prompt_tokens=options.prompt_tokens,
        new_tokens=options.new_tokens,
        temperature=options.temperature,
    )
    trained = random_model(sizes, folder)
    with atomic_folder(plan.model) as temporary:
        save_model(temporary, trained)
    if any(name.startswith("transformers-") for name in names):
        save_gpt2(trained, plan.gpt2)
    random = np.random.default_rng(SEED)
    letters = alphabet(sizes.vocab_size)
    n = options.texts or max(*options.batch_size, TEXTS)
    prompts = ["".join(random.choice(letters, plan.prompt_tokens)) for _ in range(n)]
    write_json(folder / PROMPTS, prompts)
    return plan


def random_model(sizes: Sizes, folder: Path) -> TrainedGPT:
    """Returns a model with random weights, each of whose tokens is a character."""
    recipe = language_model_recipe(Plan(sizes, folder, "cpu", None, 4096, 1))
    recipe["tokenizer"] = {"type": "characters", "vocab_size": sizes.vocab_size}
    settings = settings_from_dict(recipe, RECIPE)
    assert isinstance(settings, LanguageModelSettings)
    codec = CharacterCodec.train(alphabet(sizes.vocab_size), sizes.vocab_size, 1.0, [])
    tokenizer = Tokenizer([codec.content], "characters")
    torch.manual_seed(SEED)
    return TrainedGPT(build_model(settings, tokenizer), tokenizer, settings)


def alphabet(vocab_size: int) -> list[str]:
    """Returns as many characters as a vocabulary holds: Chinese ones, of which there are enough."""
    unified = chain(range(0x4E00, 0x9FFF), range(0x20000, 0x2A6DF))
    return list(map(chr, islice(unified, vocab_size - len(SPECIAL_IDS))))
