"""Tiny models with random weights, whose heads differ."""

from pathlib import Path

import torch
from conftest import make_pairs, tiny_recipe
from torch import nn

from seq2seq.config import LanguageModelSettings, TokenizerSettings, TranslationSettings
from seq2seq.model.folder import TrainedGPT, TrainedModel, build_model
from seq2seq.model.gpt import GPT
from seq2seq.text.codecs import CharacterCodec
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(60)
LAYERS, HEADS = 2, 4


def build(norm: str = "post", precision: str = "fp32", d_model: int = 32, context: int = 0) -> TrainedModel:
    """A translation model."""
    model = {"layers": LAYERS, "heads": HEADS, "norm": norm, "d_model": d_model}
    recipe = tiny_recipe(Path("run"), data={"context": context}, model=model, decode={"precision": precision})
    settings = TranslationSettings.model_validate(recipe)
    tokenizer = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=60), separated=context > 0)
    torch.manual_seed(5)
    trained = TrainedModel(build_model(settings, tokenizer), tokenizer, settings, 100)
    for parameter in trained.model.parameters():  # large enough that heads differ
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5, std=0.3)
    return trained


def language_model(positions: str) -> TrainedGPT:
    """A language model of characters with a window of 12."""
    recipe = {
        "task": "language_model",
        "output": "run",
        "data": {"train": [{"text": "a.txt"}], "valid": {"share": 0.1}},
        "model": {"layers": 2, "d_model": 16, "heads": 2, "context": 12, "dropout": 0.0, "positions": positions},
    }
    settings = LanguageModelSettings.model_validate(recipe)
    tokenizer = Tokenizer([CharacterCodec.train(["abcdefgh "], 100, 1.0, []).content], "characters")
    torch.manual_seed(3)
    model = GPT(settings.model, tokenizer.target_vocab_size)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return TrainedGPT(model, tokenizer, settings)
