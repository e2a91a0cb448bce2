"""Systems that are models: their translations, and what is needed to get the same ones again."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seq2seq.config import settings_to_yaml
from seq2seq.decode.scorer import Scorer
from seq2seq.decode.translator import Translator
from seq2seq.evaluate.evaluation import System
from seq2seq.files import read_manifest
from seq2seq.model.device import choose_device
from seq2seq.model.folder import (
    CHECKPOINT,
    WEIGHTS,
    ModelConfig,
    TrainedModel,
    checkpoint_step,
    find_model,
    load_model,
)
from seq2seq.text.lines import is_blank


def translate_with(
    name: str,
    source: Sequence[str],
    device: str,
    decode: Mapping[str, Any],
    test_language: str = "",
    reference: Sequence[str] | None = None,
) -> System:
    """Translates the source of a test set with a model.

    Args:
        name: model folder or run folder.
        source: raw text.
        device: `auto`, `cpu`, `cuda` ...
        decode: decode settings that replace those of the recipe, and `target_language` if the user names one.
        test_language: of the references, if it is known; a model of several languages translates into it.
        reference: on which the model's loss is computed, if it is.

    Raises:
        ModelError: there is no usable model.
        RecipeError: a decode setting does not exist or has no valid value.
        DataError: the model does not translate into the language.
    """
    folder = find_model(Path(name))
    options = dict(decode)
    language = options.pop("target_language", None)
    trained = load_model(folder, choose_device(device), options)
    if language is None and test_language in trained.tokenizer.languages:
        language = test_language
    trained.prepare()
    translator = Translator(trained, target_language=language)
    loss = None if reference is None else reference_loss(trained, source, reference, language)[0]
    return System(
        name,
        translator.translate(source),
        None,
        _facts(folder, trained, translator.language),
        settings_to_yaml(trained.settings),
        loss=loss,
    )


def reference_loss(
    trained: TrainedModel, source: Sequence[str], reference: Sequence[str], target_language: str | None = None
) -> tuple[float | None, int]:
    """Returns a model's loss on a reference, in nats per token, and its tokens, ends of sentences included.

    Labels are not smoothed, and nothing is split or cut, however long. Lines that are blank on a side do not count, as
    in training. Losses compare models with the same target tokenizer only.

    Args:
        trained: the model, on its device.
        source: raw text.
        reference: raw text, one line for each of the source.
        target_language: language of the reference, see `Translator`.

    Returns:
        None and 0 if no lines count.
    """
    pairs = list(zip(source, reference, strict=True))
    scores = zip(pairs, Scorer(trained, target_language).score_stream(pairs), strict=True)
    counted = [(score.log_prob, len(score.tokens)) for pair, score in scores if not any(map(is_blank, pair))]
    tokens = sum(n for _, n in counted)
    return (-math.fsum(log_prob for log_prob, _ in counted) / tokens if tokens else None), tokens


def _facts(folder: Path, trained: TrainedModel, language: str) -> dict[str, str]:
    """Returns what identifies a model and how it computed."""
    config, files = ModelConfig.load(folder), read_manifest(folder)
    facts = {"Model folder": str(folder)}
    if CHECKPOINT.fullmatch(folder.name):
        facts["Step"] = f"{checkpoint_step(folder):,}"
    return facts | {
        "Parameters": f"{sum(weight.numel() for weight in trained.model.parameters()):,}",
        "Settings hash": config.settings_hash,
        "Tokenizer hash": config.tokenizer_hash,
        "Weights hash": files[WEIGHTS][1],
        "Target language": language,
        "Device": f"{trained.device}, {trained.decode_precision}, CPU threads: {torch.get_num_threads()}",
    }
