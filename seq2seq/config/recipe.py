"""Recipes: a YAML file and overrides become checked settings that know where each value came from."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seq2seq.config.advice import advice
from seq2seq.config.check import check
from seq2seq.config.overrides import COMMAND_LINE, override
from seq2seq.config.schema import KeyPath, nearest
from seq2seq.config.tasks import Settings
from seq2seq.config.tree import MOST, Fault, Place, RecipeFaults, Tree, dotted, read_tree

_LARGEST = 200_000  # bytes; what is larger is a corpus or model named by mistake

MOST_STORED = 2 * MOST  # values of a recipe in which all defaults are written out


@dataclass(frozen=True)
class Recipe:
    """Settings, where each of their values came from, and what looks senseless about them.

    `sources` has an entry for each key of `leaves`: "default", "command line" or "recipes/demo.yaml:12".
    """

    settings: Settings
    sources: dict[str, str]
    warnings: list[str]


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe.

    Args:
        path: YAML file.
        overrides: arguments KEY=VALUE, which win over the file.

    Raises:
        RecipeError: with every fault of the file and the overrides, each with its line.
    """
    label = str(path)
    tree = read_tree(_read_text(Path(path), label), label)
    for number, argument in enumerate(overrides):
        override(tree, argument, number)
    settings = check(tree)
    return Recipe(settings, _sources(settings, tree), advice(settings))


def settings_from_dict(values: Mapping[str, Any], label: str = "settings") -> Settings:
    """Checks settings that were stored as JSON, such as those of a model folder.

    Args:
        values: the settings as nested mappings.
        label: what messages name as the place of faults, such as the path of the file.

    Raises:
        RecipeError: in the same words as for a recipe.
    """
    place = Place(label)
    if not isinstance(values, Mapping):
        raise RecipeFaults([Fault(place, "", "must be a mapping of keys to values")])
    if _n_values(values) > MOST_STORED:
        raise RecipeFaults([Fault(place, "", f"holds more than {MOST_STORED:,} values, which no recipe does")])
    return check(Tree(dict(values), {(): place}))


def _n_values(value: object) -> int:
    """Returns how many values there are in one, itself included."""
    left, count = [value], 0
    while left:
        inner = left.pop()
        count += 1
        left.extend(inner.values() if isinstance(inner, Mapping) else inner if isinstance(inner, list) else ())
    return count


def settings_to_yaml(settings: Settings, defaults: bool = True) -> str:
    """Writes settings, all of them or those that are no defaults, as a recipe that reads back as the same settings."""
    values = settings.model_dump(mode="json", exclude_defaults=not defaults)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def settings_hash(settings: Settings) -> str:
    """Returns the SHA-256, in hexadecimal, of the settings as JSON with sorted keys."""
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def leaves(settings: Settings) -> dict[str, object]:
    """Returns all single values by full key, such as `train.betas` or `data.train.0.source`."""
    return {dotted(path): value for path, value in _leaves(settings.model_dump(), ())}


def differences(old: Settings, new: Settings) -> list[tuple[str, object, object]]:
    """Returns (key, old value, new value) for every key that differs; None stands for a key that one of them lacks."""
    before, after = leaves(old), leaves(new)
    pairs = [(key, before.get(key), after.get(key)) for key in before | after]
    return [(key, was, now) for key, was, now in pairs if was != now]


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, value


def _sources(settings: Settings, tree: Tree) -> dict[str, str]:
    sources = {}
    for path, _ in _leaves(settings.model_dump(), ()):
        places = [place.where for other, place in tree.places.items() if other[: len(path)] == path]
        source = COMMAND_LINE if COMMAND_LINE in places else places[0] if places else "default"
        sources[dotted(path)] = source
    return sources


def _read_text(path: Path, label: str) -> str:
    """Reads a recipe's file, or say what stands in the way and which recipe may have been meant."""
    place = Place(label)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise RecipeFaults([Fault(place, "", f"no such file{_nearby(path)}")]) from None
    except OSError as error:
        reason = "is a folder, not a recipe" if path.is_dir() else f"cannot be read: {error.strerror}"
        raise RecipeFaults([Fault(place, "", f"{reason}{_nearby(path) if path.is_dir() else ''}")]) from None
    if len(content) > _LARGEST:
        raise RecipeFaults([Fault(place, "", f"is no recipe: it is larger than {_LARGEST} bytes")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeFaults([Fault(Place(f"{label}:{line}"), "", "is not UTF-8; save it in that encoding")]) from None


def _nearby(path: Path) -> str:
    folders = dict.fromkeys((path.parent, Path("recipes")))
    recipes = [recipe for folder in folders for recipe in sorted(folder.glob("*.y*ml"))]
    by_name = {recipe.stem.lower(): recipe for recipe in reversed(recipes)}
    name = path.stem if path.suffix in (".yaml", ".yml") else path.name
    near = nearest(name.lower(), list(by_name))
    return f"; did you mean {by_name[near[0]]}?" if near else ""
