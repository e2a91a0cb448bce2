"""Which settings of a recipe are no defaults."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticUndefined

from seq2seq.config.explain import value_text
from seq2seq.config.recipe import leaves
from seq2seq.config.tasks import Settings

REQUIRED = "required"


def chosen_settings(settings: Settings) -> list[tuple[str, object, str]]:
    """Returns (key, value, default) of all settings that differ from their default or have none."""
    found = [(key, value, _default(settings, key.split("."))) for key, value in leaves(settings).items()]
    return [(key, value, default) for key, value, default in found if value_text(value) != default]


def _default(value: Any, path: Sequence[str]) -> str:
    """Returns the default of a key as it would stand in a recipe; of keys below a value that has one, theirs."""
    for part in path[:-1]:
        value = value[int(part)] if isinstance(value, Sequence) else getattr(value, part)
    default = type(value).model_fields[path[-1]].get_default(call_default_factory=True)
    return REQUIRED if default is PydanticUndefined else value_text(default)
