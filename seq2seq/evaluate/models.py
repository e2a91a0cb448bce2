"""Systems that are models: their translations, and what is needed to get the same ones again."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seq2seq.config import settings_to_yaml
from seq2seq.decode.alignment import Aligner
from seq2seq.decode.scorer import Scorer
from seq2seq.decode.translator import Translator
from seq2seq.evaluate.evaluation import System
from seq2seq.evaluate.testset import TestSet
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
    name: str, path: str, tests: Sequence[TestSet], device: str, decode: Mapping[str, Any], align: bool = False
) -> list[System]:
    """Translates the sources of test sets with a model, and computes its loss on their first references.

    Args:
        name: what the system is called.
        path: model folder or run folder.
        tests: test sets with a source; a model of several languages translates into the language of the references.
        device: `auto`, `cpu`, `cuda` ...
        decode: decode settings that replace those of the recipe, and `target_language` if the user names one.
        align: whether translations are aligned with their sources.

    Raises:
        ModelError: there is no usable model.
        RecipeError: a decode setting does not exist or has no valid value.
        DataError: the model does not translate into the language.
    """
    folder = find_model(Path(path))
    options = dict(decode)
    wanted = options.pop("target_language", None)
    trained = load_model(folder, choose_device(device), options)
    trained.prepare()
    settings = settings_to_yaml(trained.settings)
    systems = []
    for test in tests:
        known = test.target_language if test.target_language in trained.tokenizer.languages else None
        translator = Translator(trained, target_language=wanted or known)
        source = test.source_lines or []
        loss = reference_loss(trained, source, test.reference_lines[0], translator.language)[0]
        hypotheses = translator.translate(source)
        pairs = zip(source, hypotheses, strict=True)
        alignments = list(Aligner(trained, translator.language).align_stream(pairs)) if align else []
        facts = _facts(folder, trained, translator.language)
        systems.append(System(name, hypotheses, None, facts, settings, loss, alignments))
    return systems


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
