"""What the settings classes say about a key: its type in words, its choices, its default, its neighbours."""

import difflib
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from seq2seq.config.section import Words
from seq2seq.config.tasks import TASKS

KeyPath = tuple[str | int, ...]

# What other toolkits call a key of ours and no measure of likeness would find.
_SYNONYMS = {
    "batch_size": "batch_tokens",
    "dim": "d_model",
    "ffn_dim": "d_feedforward",
    "hidden_size": "d_model",
    "lr": "learning_rate",
    "num_heads": "heads",
    "num_layers": "layers",
    "epochs": "max_epochs",
    "steps": "max_steps",
    "grad_clip": "clip_norm",
    "early_stopping": "patience",
    "block_size": "context",
    "n_embd": "d_model",
    "n_head": "heads",
    "n_layer": "layers",
}


@dataclass(frozen=True)
class Shape:
    """What a value may be: a scalar in words, a list of shapes, or a section of one or several classes."""

    expected: str
    choices: tuple[str, ...] = ()
    item: "Shape | None" = None
    sections: tuple[type[BaseModel], ...] = ()

    def fields(self) -> dict[str, FieldInfo]:
        """Returns the keys of a section, those of all its classes together."""
        return {name: info for section in self.sections for name, info in section.model_fields.items()}

    def narrowed(self, name: str) -> "Shape | None":
        """Returns the section of the one of its classes that has this name, if there is one."""
        section = [section for section in self.sections if section.__name__ == name]
        return replace(self, item=None, sections=tuple(section)) if section else None

    def kinds(self, key: str) -> list[str]:
        """Returns those of its classes that have a key, each named by the key that tells it from the others."""
        return [kind_key(section) for section in self.sections if key in section.model_fields]


def kind_key(section: type[BaseModel]) -> str:
    """Returns the key that tells a class of sections from others that may stand in the same place: its first one."""
    return next(name for name, info in section.model_fields.items() if info.is_required())


@dataclass(frozen=True)
class Key:
    """One key of a recipe with all that is known about it.

    Attributes:
        name: in full; `N` stands for the number of a list entry.
        shape: what its value may be.
        info: its field.
        kinds: where only some of the classes of its section have it, the keys that tell these from the others.
        same_as: name of a section whose keys this one has too; they are not listed again.
    """

    name: str
    shape: Shape
    info: FieldInfo
    kinds: tuple[str, ...] = ()
    same_as: str = ""


ROOTS = {task: Shape("a mapping of keys", sections=(settings,)) for task, settings in TASKS.items()}


def number_text(value: object) -> str:
    """Writes a limit or default briefly: 1 instead of 1.0."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def field_shape(info: FieldInfo) -> Shape:
    """Returns what the value of a field may be."""
    return _shape(info.annotation, tuple(info.metadata))


def _shape(annotation: Any, metadata: tuple[Any, ...] = ()) -> Shape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = tuple(
            m for entry in arguments[1:] for m in (entry.metadata if isinstance(entry, FieldInfo) else [entry])
        )
        return _shape(arguments[0], inner + metadata)
    if origin in (Union, types.UnionType):
        shape = _union(arguments, metadata)
    elif origin is Literal:
        shape = choice(arguments)
    elif origin is list:
        item = _shape(arguments[0])
        shape = Shape(f"a list, each entry {item.expected}", item=item)
    elif origin is tuple:
        item = _shape(arguments[0])
        shape = Shape(f"a list of {len(arguments)} values, each {item.expected}", item=item)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        shape = Shape("a section of keys", sections=(annotation,))
    else:
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        shape = Shape(names[annotation] + _range(metadata))
    words = [entry.text for entry in metadata if isinstance(entry, Words)]
    return Shape(words[0], shape.choices, shape.item, shape.sections) if words else shape


def _union(arguments: Sequence[Any], metadata: tuple[Any, ...]) -> Shape:
    shapes = [_shape(argument, metadata) for argument in arguments if argument is not type(None)]
    words = [shape.expected for shape in shapes] + (["null"] if type(None) in arguments else [])
    return Shape(
        ", or ".join(dict.fromkeys(words)),
        choices=tuple(choice for shape in shapes for choice in shape.choices),
        item=next((shape.item for shape in shapes if shape.item), None),
        sections=tuple(section for shape in shapes for section in shape.sections),
    )


def choice(words: Sequence[str]) -> Shape:
    """Returns the shape of a value that is one of some words."""
    return Shape(words[0] if len(words) == 1 else "one of " + ", ".join(words), choices=tuple(words))


def limit_text(name: str, limit: object) -> str:
    """Says a limit of a number in words, such as 'at least 1' for ge and 1."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of"}
    return f"{words[name]} {number_text(limit)}"


def _range(metadata: tuple[Any, ...]) -> str:
    """Says the limits of a number so that they follow 'a number', such as ' of at least 1'."""
    names = ("ge", "gt", "le", "lt", "multiple_of")
    limits = [(name, getattr(entry, name)) for entry in metadata for name in names if hasattr(entry, name)]
    if [name for name, _ in limits] == ["ge", "le"]:
        return f" from {number_text(limits[0][1])} to {number_text(limits[1][1])}"
    text = " and ".join(limit_text(name, limit) for name, limit in limits)
    return (" of " if text.startswith("at ") else " ") + text if text else ""


def shape_at(path: Sequence[str | int], task: str) -> tuple[Shape, KeyPath]:
    """Follows a path of keys as far as the settings of a task know it.

    Args:
        path: keys and numbers of list entries; the name of a class says which of a section's classes is meant.
            Whatever the settings do not know (such as pydantic's other names for members of a union) is left out.
        task: one of `TASKS`.

    Returns:
        The last shape that was reached and the path to it.
    """
    shape = ROOTS[task]
    known: KeyPath = ()
    for part in path:
        fields = shape.fields()
        if part in fields:
            shape, known = field_shape(fields[str(part)]), (*known, part)
        elif shape.item and (isinstance(part, int) or part.isdecimal() or part == "N"):
            shape, known = shape.item, (*known, part)
        else:
            shape = shape.narrowed(str(part)) or shape
    return shape, known


def is_key(name: str, task: str) -> bool:
    """Says whether a full name such as `train.freeze.0` is that of a task's key, or of an entry of a list."""
    parts = name.split(".")
    return len(shape_at(parts, task)[1]) == len(parts)


def keys(task: str) -> Iterator[Key]:
    """Lists every key of a task's recipes, in the order of the classes."""
    return _keys(ROOTS[task], ROOTS[task].sections, "", {})


def _keys(
    shape: Shape, sections: Sequence[type[BaseModel]], prefix: str, listed: dict[type[BaseModel], str]
) -> Iterator[Key]:
    """Lists the keys of those classes of a section that are not listed yet."""
    found: dict[tuple[str, str | None], tuple[FieldInfo, list[type[BaseModel]]]] = {}
    for section in sections:
        for name, info in section.model_fields.items():
            found.setdefault((name, info.description), (info, []))[1].append(section)
    for (name, _), (info, having) in found.items():
        kinds = () if len(having) == len(shape.sections) else tuple(map(kind_key, having))
        inner = field_shape(info)
        below = inner.item if inner.item and not inner.sections else inner
        new = [section for section in below.sections if section not in listed]
        same_as = next((listed[section] for section in below.sections if section in listed), "")
        yield Key(prefix + name, inner, info, kinds, same_as)
        place = f"{prefix}{name}{'.N' if below is inner.item else ''}"
        listed |= dict.fromkeys(new, place)
        yield from _keys(below, new, f"{place}.", listed)


def nearest_key(path: KeyPath, task: str, section: Shape | None = None) -> str | None:
    """Returns the full name of the key that was probably meant by an unknown one.

    The section where the unknown key stands is searched first, then all the others.

    Args:
        path: the unknown key.
        task: whose keys it may be.
        section: the section, where its class is known.
    """
    whole, known = shape_at(path[:-1], task)
    name = str(path[-1])
    prefix = "".join(f"{part}." for part in known)
    everywhere: dict[str, str] = {}
    for key in keys(task):
        everywhere.setdefault(key.name.rpartition(".")[2], key.name)
    neighbours = [{field: prefix + field for field in shape.fields()} for shape in (section or whole, whole)]
    for candidates, cutoff in ((neighbours[0], 0.65), (neighbours[1], 0.65), (everywhere, 0.7)):
        near = candidates.get(_SYNONYMS.get(name, name)) or _nearest_full_name(name, candidates, cutoff)
        if near:
            return near
    return None


def _nearest_full_name(name: str, candidates: dict[str, str], cutoff: float) -> str | None:
    begins = [
        key for key in candidates if len(name) > 3 and len(key) > 3 and (key.startswith(name) or name.startswith(key))
    ]
    near = sorted(begins, key=lambda key: abs(len(key) - len(name))) or nearest(name, list(candidates), cutoff)
    return candidates[near[0]] if near else None


def nearest(word: str, words: Sequence[str], cutoff: float = 0.6) -> list[str]:
    """Returns the one of some words that is most like a given one, or nothing if none is like it."""
    return difflib.get_close_matches(word, words, n=1, cutoff=cutoff)
