"""What a run starts from: another model's weights, and which parameters stay as they are."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from torch import nn

from seq2seq.config import Settings
from seq2seq.errors import RecipeError
from seq2seq.model.folder import TrainedGPT, TrainedModel, find_model, load_any
from seq2seq.text.tokenizer import Tokenizer

# Settings of a model that weights fit whatever they are.
FREE = frozenset({"dropout", "attention_dropout"})


def initial_model(settings: Settings) -> TrainedModel | TrainedGPT | None:
    """Returns the model that `train.init_from` names; None if the recipe starts from random weights.

    Raises:
        ModelError: there is no usable model.
        RecipeError: its model is of another task or not built as the recipe's.
    """
    if not settings.train.init_from:
        return None
    if Path(settings.train.init_from).resolve() == Path(settings.output).resolve():
        raise RecipeError("train.init_from: is the run's own output; choose another output")
    initial = load_any(find_model(Path(settings.train.init_from)))
    if initial.settings.task != settings.task:
        raise RecipeError(f"train.init_from: {settings.train.init_from} is a model for task {initial.settings.task}")
    has, wants = initial.settings.model.model_dump(), settings.model.model_dump()
    changed = [f"  {key}: {has[key]}" for key in wants if has[key] != wants[key] and key not in FREE]
    if changed:
        rows = "\n".join(changed)
        raise RecipeError(f"train.init_from: {settings.train.init_from} is another model; set in section model\n{rows}")
    return initial


def initial_tokenizer(settings: Settings) -> Tokenizer | None:
    """Returns the tokenizer that a recipe takes along from `train.init_from`, if it does."""
    initial = initial_model(settings)
    return initial.tokenizer if initial else None


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Excludes the parameters whose names match one of the patterns (`*`, `?`, `[...]`) from training.

    Raises:
        RecipeError: a pattern matches no parameter, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        matching = [name for name in parameters if fnmatchcase(name, pattern)]
        if not matching:
            names = "\n".join(f"  {name}" for name in parameters)
            raise RecipeError(f"train.freeze: {pattern} matches no parameter of the model; there are\n{names}")
        for name in matching:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise RecipeError("train.freeze: no parameter is left to train")
