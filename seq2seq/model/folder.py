"""Model folders: model.safetensors, config.json, tokenizer/ and MANIFEST.json. Nothing else is needed to translate.

A translation model may have shortlist.safetensors and calibration.json too.
"""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, overload

import torch
from pydantic import BaseModel, NonNegativeInt, ValidationError
from torch import Tensor, nn

from seq2seq.config import (
    GPTSettings,
    LanguageModelSettings,
    Settings,
    TranslationSettings,
    first_fault,
    settings_from_dict,
    settings_hash,
)
from seq2seq.errors import DataError, ModelError, RecipeError
from seq2seq.files import MANIFEST, fingerprint, lock, read_json, replaced, verify_manifest, write_json
from seq2seq.model.calibration import CALIBRATION, Calibration
from seq2seq.model.device import DECODING_WIDTH, Precision, choose_precision
from seq2seq.model.gpt import GPT
from seq2seq.model.linear import Linear, prepare_for_decoding
from seq2seq.model.transformer import Transformer
from seq2seq.model.weights import (
    canonical_shapes,
    canonical_weights,
    check_shapes,
    load_weights,
    read_shapes,
    save_tensors,
)
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import Tokenizer

CHECKPOINT = re.compile(r"step-\d{8,}")
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer"
FIRST = ".0."  # in the names of the weights of a stack's first layer


@dataclass(frozen=True)
class AnyTrained:
    """A model of any task and what belongs to it.

    Attributes:
        model: the weights, fp32; once prepared for decoding in what form its products want them.
        tokenizer: the one the model was trained with.
        settings: the resolved recipe.
    """

    model: nn.Module
    tokenizer: Tokenizer
    settings: Settings

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def decode_precision(self) -> Precision:
        """What `decode.precision` stands for on the device; int8 is for prepared models, others go by `auto`."""
        wanted = self.settings.decode.precision
        return self._chosen("auto" if wanted == "int8" and not cast(Linear, self.model.output).products else wanted)

    def _chosen(self, precision: Literal["auto"] | Precision) -> Precision:
        return choose_precision(precision, self.device, self.settings.model.d_model, DECODING_WIDTH)

    def prepare(self) -> None:
        """Readies the model for decoding alone, faster and in less memory: it can then neither be trained nor saved.

        Raises:
            Seq2SeqError: `decode.precision` is int8, and the device has no instructions for it.
        """
        prepare_for_decoding(self.model, self._chosen(self.settings.decode.precision))


@dataclass(frozen=True)
class TrainedModel(AnyTrained):
    """A translation model: all that translating, scoring or, unless it is prepared, saving it needs.

    Attributes:
        max_source_length: tokens of the longest source the model was trained on, eos included.
        shortlist: which words may translate which, if that has been learnt.
        calibration: how good translations with these weights are, if that has been measured; it is not saved with
            others.
    """

    model: Transformer
    settings: TranslationSettings
    max_source_length: int
    shortlist: Shortlist | None = None
    calibration: Calibration | None = None

    def target_language(self, wanted: str | None) -> str:
        """Returns the language to translate into.

        Args:
            wanted: one of those the model was trained on; None: the recipe's `data.target_language`.

        Raises:
            DataError: the model does not translate into it.
        """
        default = self.settings.data.target_language
        known = self.tokenizer.languages or (default,)
        language = wanted or (known[0] if len(known) == 1 else default)
        if language not in known:
            raise DataError(f"the model does not translate into {language}, but into {', '.join(known)}")
        return language

    def source_language(self, target_language: str) -> str:
        """Returns the language that is translated from into another: that of the first such training corpus."""
        data = self.settings.data
        pairs = (data.languages(corpus) for corpus in data.train)
        return next((source for source, target in pairs if target == target_language), data.source_language)


@dataclass(frozen=True)
class TrainedGPT(AnyTrained):
    """A language model: all that continuing text, scoring or, unless it is prepared, saving it needs."""

    model: GPT
    settings: LanguageModelSettings


class ModelConfig(BaseModel, strict=True):
    """What config.json of a model folder says.

    Attributes:
        settings: the resolved recipe as JSON; `recipe` checks it.
        settings_hash: of the settings as they were saved.
        tokenizer_hash: of the tokenizer that the model was trained with.
        source_vocab_size: tokens of the source side.
        target_vocab_size: tokens of the target side.
        max_source_length: tokens of the longest source that a translation model was trained on, eos included.
    """

    settings: dict[str, Any]
    settings_hash: str
    tokenizer_hash: str
    source_vocab_size: NonNegativeInt
    target_vocab_size: NonNegativeInt
    max_source_length: NonNegativeInt = 0

    @classmethod
    def load(cls, folder: Path) -> "ModelConfig":
        """Reads it.

        Raises:
            ModelError: it is unreadable, or not what it should be.
        """
        path = folder / CONFIG
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise ModelError(f"{path}: not usable: {first_fault(error)}") from error
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: not usable: {error}") from error

    def recipe(self, folder: Path) -> Settings:
        """Returns the settings, checked.

        Raises:
            ModelError: they are not valid.
        """
        try:
            return settings_from_dict(self.settings, str(folder / CONFIG))
        except RecipeError as error:
            raise ModelError(f"{folder / CONFIG}: not usable: {error}") from error


@overload
def build_model(settings: TranslationSettings, tokenizer: Tokenizer) -> Transformer: ...
@overload
def build_model(settings: LanguageModelSettings, tokenizer: Tokenizer) -> GPT: ...
def build_model(settings: Settings, tokenizer: Tokenizer) -> Transformer | GPT:
    """Returns a freshly initialised model of a recipe's sizes."""
    if isinstance(settings, LanguageModelSettings):
        return GPT(settings.model, tokenizer.target_vocab_size)
    return Transformer(settings.model, tokenizer.source_vocab_size, tokenizer.target_vocab_size, tokenizer.shared)


def save_model(folder: Path, trained: AnyTrained, weights: dict[str, Tensor] | None = None) -> None:
    """Writes a model's files into an empty folder (inside `files.atomic_folder`, which adds the manifest).

    Args:
        folder: the folder.
        trained: the model.
        weights: by canonical names, instead of those that the model has now.
    """
    settings, tokenizer = trained.settings, trained.tokenizer
    save_tensors(weights or canonical_weights(trained.model), folder / WEIGHTS)
    tokenizer.save(folder / TOKENIZER)
    config = ModelConfig(
        settings=settings.model_dump(mode="json"),
        settings_hash=settings_hash(settings),
        tokenizer_hash=tokenizer.hash(),
        source_vocab_size=tokenizer.source_vocab_size,
        target_vocab_size=tokenizer.target_vocab_size,
    )
    if isinstance(trained, TrainedModel):
        config.max_source_length = trained.max_source_length
        if trained.shortlist:
            trained.shortlist.save(folder)
    write_json(folder / CONFIG, config.model_dump(exclude_unset=True))


def load_model(
    folder: Path,
    device: torch.device | None = None,
    decode: Mapping[str, Any] | None = None,
    calibrated: bool = True,
) -> TrainedModel:
    """Reads the folder of a translation model; see `load_any`.

    Raises:
        ModelError: it is a language model, or unusable.
    """
    trained = load_any(folder, device, decode, calibrated)
    if not isinstance(trained, TrainedModel):
        raise ModelError(
            f"{folder}: is a language model, which continues text (seq2seq-generate) and does not translate"
        )
    return trained


def load_gpt(folder: Path, device: torch.device | None = None, decode: Mapping[str, Any] | None = None) -> TrainedGPT:
    """Reads the folder of a language model; see `load_any`.

    Raises:
        ModelError: it is a translation model, or unusable.
    """
    trained = load_any(folder, device, decode)
    if not isinstance(trained, TrainedGPT):
        raise ModelError(f"{folder}: is a translation model, which cannot continue text; use seq2seq-translate")
    return trained


def load_any(
    folder: Path,
    device: torch.device | None = None,
    decode: Mapping[str, Any] | None = None,
    calibrated: bool = True,
) -> TrainedModel | TrainedGPT:
    """Reads a model folder after checking every byte of it against its manifest.

    Args:
        folder: the model folder.
        device: where the model shall be; None: the CPU.
        decode: decode settings that replace those of the recipe, such as `beam_size`.
        calibrated: whether a calibration is read, too.

    Raises:
        ModelError: it is damaged, incomplete, or its parts do not belong together.
        RecipeError: a decode setting does not exist or has no valid value.
    """
    names = verify_manifest(folder)
    config = ModelConfig.load(folder)
    settings = config.recipe(folder)
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    if tokenizer.hash() != config.tokenizer_hash:
        raise ModelError(f"{folder}: the model was trained with another tokenizer than the one beside it")
    _check_sizes(settings, tokenizer, folder)
    if decode:
        values = settings.model_dump()
        settings = settings_from_dict({**values, "decode": {**values["decode"], **decode}}, "options")
    if isinstance(settings, LanguageModelSettings):
        gpt = build_model(settings, tokenizer)
        load_weights(gpt, folder / WEIGHTS)
        return TrainedGPT(gpt.to(device).eval(), tokenizer, settings)
    model = build_model(settings, tokenizer)
    load_weights(model, folder / WEIGHTS)
    shortlist = Shortlist.load(folder, tokenizer) if SHORTLIST in names else None
    calibration = Calibration.load(folder) if calibrated and CALIBRATION in names else None
    longest = config.max_source_length
    return TrainedModel(model.to(device).eval(), tokenizer, settings, longest, shortlist, calibration)


def _check_sizes(settings: Settings, tokenizer: Tokenizer, folder: Path) -> None:
    """Compares what the settings imply with the weights that are there, before memory is taken for a model.

    Raises:
        ModelError: they do not belong together.
    """
    path, model = folder / WEIGHTS, settings.model
    if isinstance(model, GPTSettings):
        stacks, one_each = {"layers": model.layers}, {"layers": min(1, model.layers)}
    else:
        stacks = dict(zip(("encoder", "decoder"), model.stacks, strict=True))
        one_each = {"encoder_layers": 1, "decoder_layers": 1}
    n_tensors = len(read_shapes(path))
    try:
        small = settings.model_copy(update={"model": model.model_copy(update=one_each)})
        with torch.device("meta"):
            shapes = canonical_shapes(build_model(small, tokenizer))
    except (RuntimeError, OverflowError, TypeError) as error:  # numbers that no tensor can have
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{folder / CONFIG}: not usable: no model has these sizes: {reason}") from error
    if sum(stacks[name.partition(FIRST)[0]] for name in shapes if FIRST in name) > n_tensors:
        raise ModelError(f"{path}: holds {n_tensors} weights, too few for {sum(stacks.values()):,} layers")
    check_shapes(path, _repeated(shapes, stacks))


def _repeated(shapes: Mapping[str, list[int]], stacks: Mapping[str, int]) -> dict[str, list[int]]:
    """Returns the shapes of a model's weights by those of one with a layer in each stack: they are alike."""
    repeated = {}
    for name, shape in shapes.items():
        stack, first, rest = name.partition(FIRST)
        names = [f"{stack}.{i}.{rest}" for i in range(stacks[stack])] if first else [name]
        repeated.update(dict.fromkeys(names, shape))
    return repeated


def find_model(path: Path) -> Path:
    """Returns the model folder that a user's MODEL stands for: itself, a run's best model, or its newest checkpoint.

    Raises:
        ModelError: there is none.
    """
    path = path.resolve()
    best = path / "best"
    for folder in (path, best, replaced(best), *reversed(checkpoint_folders(path))):
        if (folder / MANIFEST).exists():
            return folder
    if not path.exists():
        raise ModelError(f"{path}: no such folder; give a run folder or a model folder")
    raise ModelError(f"{path}: neither a model folder nor a run folder with a model or checkpoint in it")


def lock_of_run(folder: Path, advice: str = "") -> AbstractContextManager[None]:
    """Holds the run folder that a model is part of, if it is: training would write another model in its place.

    Args:
        folder: of the model.
        advice: what to do else than to wait for the end of a training.

    Raises:
        RunError: on entering, the run is being trained.
    """
    run = folder.parents[1] if CHECKPOINT.fullmatch(folder.name) else folder.parent
    if not (run / "status.json").exists():
        return nullcontext()
    return lock(run, ", ".join(filter(None, [f"{run}: is being trained; wait for its end", advice])))


def model_hash(folder: Path) -> str:
    """Returns a SHA-256, hex digits, of all files of a model folder by what its manifest says of them."""
    return fingerprint(read_json(folder / MANIFEST)["files"])


def checkpoint_folders(run: Path) -> list[Path]:
    """Returns the checkpoints of a run folder, oldest first."""
    found = [path for path in run.glob("checkpoints/step-*") if CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=checkpoint_step)


def checkpoint_folder(run: Path, step: int) -> Path:
    """Returns where a run folder's checkpoint of an optimizer step is, if there is one."""
    return run / "checkpoints" / f"step-{step:08d}"


def checkpoint_step(folder: Path) -> int:
    """Returns the optimizer step at which a checkpoint was written."""
    return int(folder.name.removeprefix("step-"))
