"""From a tree of texts to settings, or to all that is wrong with it in a user's words."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from seq2seq.config.schema import (
    ROOTS,
    KeyPath,
    Shape,
    choice,
    field_shape,
    kind_key,
    limit_text,
    nearest,
    nearest_key,
    shape_at,
)
from seq2seq.config.tasks import DEFAULT_TASK, TASKS, Settings
from seq2seq.config.tree import Fault, RecipeFaults, Tree, dotted

_EXPLAINED = 300  # errors; whoever has more has not written a recipe
_LIMITS = {
    "greater_than_equal": "ge",
    "greater_than": "gt",
    "less_than_equal": "le",
    "less_than": "lt",
    "multiple_of": "multiple_of",
}


def check(tree: Tree) -> Settings:
    """Gives the values of a tree their types, those of the settings of its task.

    Raises:
        RecipeError: with every fault of the tree, those found while it was read included.
    """
    settings, faults = None, list(tree.faults)
    task = tree.root.get("task", DEFAULT_TASK)
    if task not in list(TASKS):
        tasks = choice(list(TASKS))
        message = f"is {_quoted(task)}, must be {tasks.expected}{_hint(task, tasks)}"
        faults.append(Fault(tree.place(("task",)), "task", message))
        task, *_ = nearest(str(task).lower(), tasks.choices) or [""]
        if not task:  # nobody knows what the other keys should be
            raise RecipeFaults(faults)
    try:
        values = _without_null_sections(tree.root, ROOTS[task])
        settings = TASKS[task].model_validate(values | {"task": task})
    except ValidationError as error:
        faults += _faults(error, tree, task)
    if settings is None or faults:
        raise RecipeFaults(faults)
    return settings


def _without_null_sections(values: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Treats a section whose keys are all commented out as one that sets nothing."""
    result = dict(values)
    for name, info in shape.fields().items():
        inner = field_shape(info)
        if len(inner.sections) == 1 and name in values:
            value = {} if values[name] is None else values[name]
            result[name] = _without_null_sections(value, inner) if isinstance(value, dict) else value
    return result


def _faults(error: ValidationError, tree: Tree, task: str) -> list[Fault]:
    """Returns one fault for each key, though a union reports one error for each of its members; the first of many."""
    found: dict[KeyPath, tuple[int, Fault]] = {}
    for details in error.errors(include_url=False)[:_EXPLAINED]:
        rank, path, message = _describe(details, tree, task)
        if path not in found or rank < found[path][0]:
            found[path] = (rank, Fault(tree.place(path), dotted(path), message))
    return [fault for _, fault in found.values()]


def _describe(details: ErrorDetails, tree: Tree, task: str) -> tuple[int, KeyPath, str]:
    """Returns how much an error says (less is more), the key it is about, and what it says in words."""
    kind, location, value, context = details["type"], details["loc"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        section, above = shape_at(location[:-1], task)
        path = (*above, location[-1])
        return 0, path, _unknown(path, section, task)
    shape, path = shape_at(location, task)
    if kind == "conflict":
        blamed: list[KeyPath] = [(*path[:-1], *key.split(".")) for key in context["keys"]]
        return 0, next((key for key in blamed if key in tree.places), blamed[0]), context["reason"]
    if kind == "missing":
        return 0, path, f"missing; it must be {shape.expected}"
    if kind in _LIMITS:
        limit = _LIMITS[kind]
        return 0, path, f"is {value}, must be {limit_text(limit, context[limit])}"
    return 1, path, f"is {_quoted(value)}, must be {shape.expected}{_hint(value, shape)}"


def _unknown(path: KeyPath, section: Shape, task: str) -> str:
    kinds = shape_at(path[:-1], task)[0].kinds(str(path[-1]))
    if kinds:
        (kind,) = map(kind_key, section.sections)
        return f"does not go with {kind}, only with {' or '.join(kinds)}: a corpus is of one kind"
    others = [other for other in TASKS if shape_at(path, other)[1] == path]
    if others:
        return f"is a key of task {others[0]}, not of {task}"
    *sections, name = str(path[-1]).split(".")
    if len(path) == 1 and sections and dotted(shape_at([*sections, name], task)[1]) == path[0]:
        return f"unknown key; write {name} below {'.'.join(sections)} instead"
    near = nearest_key(path, task, section)
    return f"unknown key; did you mean {near}?" if near else f"unknown key; valid are {', '.join(section.fields())}"


def _quoted(value: object) -> str:
    if value is None or value in ("", []):
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if len(value) > 1 else "a list"
    text = str(value)
    return f"'{text}'" if len(text) <= 60 else f"'{text[:60]}...'"


def _hint(value: object, shape: Shape) -> str:
    if not isinstance(value, str):
        return ""
    near = nearest(value.lower(), shape.choices)
    if near and near[0] != shape.expected:
        return f"; did you mean '{near[0]}'?"
    try:
        number = float(value)
    except ValueError:
        return ""
    whole = shape.expected.startswith("a whole number") and abs(number) < 1e15 and number.is_integer()
    return f"; write {int(number)}" if whole else ""
