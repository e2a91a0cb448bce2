"""Texts about settings: what a key means, what a recipe resolves to, and the schema that editors complete from."""

import json
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Discriminator, TypeAdapter

from seq2seq.config.recipe import Recipe, leaves
from seq2seq.config.schema import Key, keys, nearest_key, number_text, shape_at
from seq2seq.config.tasks import TASKS, Settings
from seq2seq.errors import RecipeError


def explain(key: str, tasks: Sequence[str] = tuple(TASKS)) -> str:
    """Says what a key of a recipe means, what it may be and what it is by default; for a section, which keys it has.

    Args:
        key: full name such as `train.warmup_steps`, or a section's such as `train`, or "" for all sections.
        tasks: whose recipes are meant; what does not hold for all of them stands below the name of its task.

    Raises:
        RecipeError: none of the tasks has such a key.
    """
    if not key:
        return "\n\n".join(_by_task(tasks, lambda task: [_line(entry) for entry in keys(task) if _is_top(entry)]))
    path = key.split(".")
    having = [task for task in tasks if len(shape_at(path, task)[1]) == len(path)]
    if not having:
        raise RecipeError(f"{key}: unknown key{_meant(path, tasks)}")
    name = ".".join("N" if part.isdecimal() else part for part in path)
    head = _by_task(tasks, lambda task: _entries(_listed(name, task), task) if task in having else [])
    below = _by_task(tasks, lambda task: _below(_listed(name, task), task) if task in having else [])
    return "\n\n".join(["\n".join([name, *head]), *below])


def _is_top(entry: Key) -> bool:
    return "." not in entry.name


def _meant(path: Sequence[str], tasks: Sequence[str]) -> str:
    for task in tasks:
        known = shape_at(path, task)[1]
        near = nearest_key((*known, path[len(known)]), task)
        if near:
            return f"; did you mean {near}?"
    return ""


def _by_task(tasks: Sequence[str], told: Callable[[str], list[str]]) -> list[str]:
    """Returns what is said of all tasks, then what is said of one alone below its name."""
    texts = {task: told(task) for task in tasks}
    common = [text for text in texts[tasks[0]] if all(text in of_task for of_task in texts.values())]
    groups = [common]
    for task, of_task in texts.items():
        own = [text for text in of_task if text not in common]
        groups.append([f"  with task {task}:", *own] if own else [])
    return ["\n".join(group) for group in groups if group]


def _listed(name: str, task: str) -> str:
    """Returns the name by which `keys` lists a key: of sections with the same keys only the first one has them."""
    entries = list(keys(task))
    for entry in entries:
        below = name.removeprefix(f"{entry.name}.").removeprefix("N.")
        if entry.same_as and name.startswith(f"{entry.name}.") and below != "N":
            return name if name in [other.name for other in entries] else f"{entry.same_as}.{below}"
    return name


def _entries(name: str, task: str) -> list[str]:
    entries = [entry for entry in keys(task) if entry.name == name]
    if entries:
        return [f"  {_facts(entry)}\n  {_description(entry)}" for entry in entries]
    (whole,) = [entry for entry in keys(task) if entry.name == name.removesuffix(".N")]  # the list it is an entry of
    return [f"  {whole.shape.item.expected if whole.shape.item else ''}\n  {_description(whole)}"]


def _below(name: str, task: str) -> list[str]:
    """Returns a text for each key of a section, which says what is below that key too."""
    texts: list[str] = []
    for entry in keys(task):
        inner = entry.name.removeprefix(f"{name}.")
        if inner != entry.name and "." in inner and texts:
            texts[-1] += f"\n{_line(entry)}"
        elif inner != entry.name:
            texts.append(_line(entry))
    return texts


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
    below = f" It has the keys of {entry.same_as}." if entry.same_as else ""
    # A docstring may have several lines; here each key has one.
    return f"{' '.join(str(entry.info.description).split())}{below}"


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
    recipe: TypeAdapter[Settings] = TypeAdapter(Annotated[Settings, Discriminator("task")])
    return json.dumps(recipe.json_schema(), indent=2)
