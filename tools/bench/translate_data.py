"""From a model, or random weights, and text to what all systems translate with and what they translate."""

import argparse
import importlib
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from bench.ctranslate2_model import save_ctranslate2
from bench.data import translation_recipe, write_made_up_text
from bench.marian_model import save_marian
from bench.plan import RECIPE, SEED, SIZES, Plan, Sizes
from bench.translate_plan import LINES, TranslatePlan
from seq2seq.config import TranslationSettings, settings_from_dict
from seq2seq.decode.searcher import EXTRA_LENGTH
from seq2seq.decode.translator import Translator
from seq2seq.errors import DataError, Seq2SeqError
from seq2seq.files import atomic_folder, write_json
from seq2seq.model.device import choose_device
from seq2seq.model.folder import TrainedModel, build_model, find_model, load_model, save_model
from seq2seq.text.lines import is_blank, read_lines
from seq2seq.text.tokenizer import Tokenizer

LONGEST = 256  # tokens of a source, for a model that has not been trained


def prepare_plan(folder: Path, options: argparse.Namespace) -> tuple[TranslatePlan, list[str]]:
    """Returns the plan of a command line, and the references of its lines if there are any.

    Args:
        folder: for what the systems need.
        options: of the command.

    Raises:
        Seq2SeqError: the model or the text cannot be used.
    """
    from bench.translate import FORCED

    if options.model:
        model, forced = find_model(options.model), options.forced
        name, source, reference = str(options.model), options.source, options.reference
    else:
        size = options.size or "base"
        sizes = replace(SIZES[size], vocab_size=options.vocab_size or SIZES[size].vocab_size)
        source, _ = text = write_made_up_text(folder)
        model, forced, name, reference = write_random_model(folder, sizes, text), options.forced or FORCED, size, None
    trained = load_model(model)
    lines, references = choose_lines(trained, source, reference, options.sentences)
    language = trained.target_language(None)
    lengths = [len(ids) for ids in trained.tokenizer.encode_source(lines, language)]
    ratio = trained.settings.decode.max_length_ratio
    limits = [forced or int(ratio * length) + EXTRA_LENGTH for length in lengths]  # as Translator sets them
    write_json(folder / LINES, dict(zip(lines, limits, strict=True)))
    plan = TranslatePlan(
        name=name,
        folder=folder,
        model=model,
        language=language,
        device=str(choose_device(options.device)),
        threads=options.threads or torch.get_num_threads(),
        n_lines=len(lines),
        longest=max(*lengths, *(limit + 1 for limit in limits)),
        forced=forced,
        length_penalty=options.length_penalty,
    )
    return plan, references


def write_random_model(folder: Path, sizes: Sizes, text: tuple[Path, Path]) -> Path:
    """Writes a model folder with random weights and a tokenizer trained on some text, and returns it."""
    recipe = translation_recipe(Plan(sizes, folder, "cpu", None, 4096, 1), *text)
    settings = settings_from_dict(recipe, RECIPE)
    assert isinstance(settings, TranslationSettings)
    pairs = zip(*(read_lines(path) for path in text), strict=True)
    tokenizer = Tokenizer.train(pairs, settings.tokenizer)
    torch.manual_seed(SEED)
    trained = TrainedModel(build_model(settings, tokenizer), tokenizer, settings, LONGEST)
    with atomic_folder(folder / "model") as temporary:
        save_model(temporary, trained)
    return folder / "model"


def choose_lines(trained: TrainedModel, source: Path, reference: Path | None, n: int) -> tuple[list[str], list[str]]:
    """Returns the first `n` lines that all systems translate alike, and their references.

    Ours translates like lines once, blank ones without the model, and splits those longer than any it was trained on.

    Raises:
        DataError: there are none, or the files do not fit each other.
    """
    sources = list(read_lines(source))
    references = list(read_lines(reference)) if reference else [""] * len(sources)
    if len(references) != len(sources):
        raise DataError(f"{source} has {len(sources):,} lines, {reference} has {len(references):,}")
    language = trained.target_language(None)
    pairs = {line: other for line, other in zip(sources, references, strict=True) if not is_blank(line)}
    encoded = trained.tokenizer.encode_source(list(pairs), language)
    fitting = (pair for pair, ids in zip(pairs.items(), encoded, strict=True) if len(ids) <= trained.max_source_length)
    chosen = dict(islice(fitting, n))
    if not chosen:
        raise DataError(f"{source}: no line that could be translated")
    return list(chosen), list(chosen.values()) if reference else []


def prepare_system(plan: TranslatePlan, name: str) -> None:
    """Writes what a system needs.

    Raises:
        Seq2SeqError: it cannot translate with this model, on this device or in this precision.
    """
    family, _, precision = name.partition("-")
    folder = plan.peer(name)
    if family == "ours":
        Translator.load(plan.model, plan.device, **plan.decode(precision))
    elif family == "transformers":
        if not folder.exists():
            save_marian(load_model(plan.model), plan.longest, folder)
    else:
        known = importlib.import_module("ctranslate2").get_supported_compute_types(plan.device.partition(":")[0])
        if precision not in known:
            raise Seq2SeqError(f"CTranslate2 computes in {', '.join(sorted(known))} here")
        save_ctranslate2(load_model(plan.model), plan.longest, folder, precision)
