"""Texts about settings: what a key means, what a recipe resolves to, and the schema that editors complete from."""

import json

from seq2seq.config.recipe import Recipe, leaves
from seq2seq.config.schema import Key, keys, nearest_key, number_text, shape_at
from seq2seq.config.settings import Settings
from seq2seq.errors import RecipeError


def explain(key: str) -> str:
    """Says what a key of a recipe means, what it may be and what it is by default; for a section, which keys it has.

    Args:
        key: full name such as `train.warmup_steps`, or a section's such as `train`, or "" for all sections.

    Raises:
        RecipeError: there is no such key.
    """
    if not key:
        return "\n".join(_line(entry) for entry in keys() if "." not in entry.name)
    path = key.split(".")
    known = shape_at(path)[1]
    if len(known) < len(path):
        near = nearest_key((*known, path[len(known)]))
        raise RecipeError(f"{key}: unknown key" + (f"; did you mean {near}?" if near else ""))
    name = ".".join("N" if part.isdecimal() else part for part in path)
    listed = _listed(name)
    lines = [name, *(f"  {line}" for line in _entry_lines(listed))]
    below = [_line(entry) for entry in keys() if entry.name.startswith(f"{listed}.")]
    return "\n".join([*lines, "", *below] if below else lines)


def _listed(name: str) -> str:
    """Returns the name by which `keys` lists a key: of sections with the same keys only the first one has them."""
    for entry in keys():
        below = name.removeprefix(f"{entry.name}.").removeprefix("N.")
        if entry.same_as and name.startswith(f"{entry.name}.") and below != "N":
            return f"{entry.same_as}.{below}"
    return name


def _entry_lines(name: str) -> list[str]:
    entries = [entry for entry in keys() if entry.name == name]
    if entries:
        return [line for entry in entries for line in (_facts(entry), _description(entry))]
    (whole,) = [entry for entry in keys() if entry.name == name.removesuffix(".N")]  # the list that the entry is of
    return [whole.shape.item.expected if whole.shape.item else "", _description(whole)]


def _facts(entry: Key) -> str:
    return f"{entry.shape.expected}; {_default(entry)}"


def _default(entry: Key) -> str:
    name = entry.name.rpartition(".")[2]
    if name in entry.kinds:
        return "required for this kind"
    kinds = f" with {' or '.join(entry.kinds)}" if entry.kinds else ""
    if entry.info.is_required():
        return f"required{kinds}"
    if entry.shape.sections and entry.info.default is not None:
        return "optional"
    return f"default {value_text(entry.info.default)}{',' if kinds else ''}{kinds}"


def _description(entry: Key) -> str:
    below = f" Its keys are those of {entry.same_as}." if entry.same_as else ""
    return f"{entry.info.description}{below}"


def _line(entry: Key) -> str:
    return f"  {entry.name}: {_facts(entry)}. {_description(entry)}"


def value_text(value: object) -> str:
    """Writes a value as it would stand in a recipe."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    return number_text(value) if value != "" else "''"


def describe(recipe: Recipe) -> str:
    """Returns a table of every key, its value and where it was set."""
    rows = [(key, value_text(value), recipe.sources[key]) for key, value in leaves(recipe.settings).items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{key:{widths[0]}}  {value:{widths[1]}}  {source}" for key, value, source in rows)


def editor_schema() -> str:
    """Returns the JSON schema of recipes, from which editors complete and check them."""
    return json.dumps(Settings.model_json_schema(), indent=2)
