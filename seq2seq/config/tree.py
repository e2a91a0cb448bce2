"""Recipes as text: YAML becomes nested mappings and lists of text, and each key remembers where it was set.

Scalars stay text, so YAML 1.1's guesses (`no` is false, `010` is 8, `6e-4` is text) never apply: the type of a setting
says what its text means.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from seq2seq.config.schema import KeyPath
from seq2seq.errors import RecipeError

Value = str | None | list[Any] | dict[str, Any]

MOST = 10_000  # keys, values and beginnings and ends of lists; PyYAML reads some ten thousand a second
_SHOWN = 100  # faults that a message tells
DEEPEST = 20  # levels; a recipe has 4, and a composer that recurses would meet Python's limit at some hundred


@dataclass(frozen=True)
class Place:
    """Where a value was set: a line of a file or an argument of the command; sorts in that order."""

    where: str
    order: tuple[int, int] = (0, 0)
    argument: str = ""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a recipe."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        """Writes it as `where: key: message`."""
        named = [self.place.argument] if self.place.argument else []
        if self.key and not self.place.argument.startswith(f"{self.key}="):
            named.append(self.key)
        return ": ".join([self.place.where, *named, self.message])


class RecipeFaults(RecipeError):
    """Faults of a recipe, in the order of the file; `faults` and `errors` hold them one by one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Sort the faults and join them to a message of one line each."""
        ordered = sorted(faults, key=lambda fault: fault.place.order)
        self.faults = ordered
        self.errors = [str(fault) for fault in ordered]
        more = [f"and {len(ordered) - _SHOWN:,} more"] if len(ordered) > _SHOWN else []
        super().__init__("\n".join(self.errors[:_SHOWN] + more))


@dataclass
class Tree:
    """A recipe before its values have types."""

    root: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: KeyPath) -> Place:
        """Returns where a key was set; else where one below it was; else where the section around it begins."""
        if path not in self.places:
            for other, place in self.places.items():
                if other[: len(path)] == path:
                    return place
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


def dotted(path: KeyPath) -> str:
    """Writes a path of keys as a recipe's user does: `data.train.0.source`."""
    return ".".join(map(str, path))


def read_tree(text: str, label: str) -> Tree:
    """Reads the text of a recipe.

    Args:
        text: YAML.
        label: name of the file for messages.

    Returns:
        The keys and values, and the faults that leave the rest readable, such as a key that is set twice.

    Raises:
        RecipeError: the text is not YAML, or uses more of it than a recipe may.
    """
    node = _compose(text, lambda line: Place(f"{label}:{line}", (0, line)))
    start = Place(f"{label}:1", (0, 1))
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        raise RecipeFaults([Fault(start, "", "the recipe is empty; it needs at least output and data")])
    start = Place(f"{label}:{node.start_mark.line + 1}", (0, node.start_mark.line + 1))
    if not isinstance(node, yaml.MappingNode):
        raise RecipeFaults([Fault(start, "", "a recipe is a mapping of keys to values, such as output: runs/demo")])
    tree = Tree()
    tree.places[()] = start
    tree.root = _plain(node, (), tree, label)
    return tree


def read_value(text: str, place: Place) -> tuple[Value, Tree]:
    """Reads the VALUE of an argument KEY=VALUE; all of it is placed at that argument."""
    node = _compose(text, lambda _: place)
    part = Tree()
    value = None if node is None else _plain(node, (), part, "")
    part.places = dict.fromkeys(part.places, place)
    part.faults = [Fault(place, fault.key, fault.message) for fault in part.faults]
    return value, part


def _compose(text: str, place_of_line: Any) -> yaml.Node | None:
    """Parses YAML after a look at its events, which finds what must not be composed: aliases, tags, deep nests."""
    try:
        faults = [Fault(place_of_line(line), "", message) for line, message in _unwanted(text)]
        if not faults:
            return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults = [Fault(place_of_line(line), "", f"not valid YAML: {error.problem or error.context}")]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"not valid YAML: the character {chr(error.character)!r} must not stand in it"
        faults = [Fault(place_of_line(line), "", message)]
    raise RecipeFaults(faults)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _unwanted(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    depth = documents = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        line = _line(event)
        if number == MOST:
            return [*found, (line, f"holds more than {MOST} keys and values, which no recipe does")]
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > DEEPEST:
            return [*found, (line, "nested too deeply")]
        if documents > 1:
            return [*found, (line, "a second document begins here; a recipe is one")]
        if isinstance(event, yaml.AliasEvent):
            found.append((line, f"alias *{event.anchor}: aliases are not read; write the value out"))
        elif tag := getattr(event, "tag", None):
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            found.append((line, f"tag {tag}: tags are not read; the key says what its value means"))
    return found


def _plain(node: yaml.Node, path: KeyPath, tree: Tree, label: str) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag.endswith(":null") else node.value
    if isinstance(node, yaml.SequenceNode):
        items = []
        for number, item in enumerate(node.value):
            line = item.start_mark.line + 1
            tree.places[(*path, number)] = Place(f"{label}:{line}", (0, line))
            items.append(_plain(item, (*path, number), tree, label))
        return items
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        place = Place(f"{label}:{line}", (0, line))
        if not isinstance(key_node, yaml.ScalarNode):
            tree.faults.append(Fault(place, dotted(path), "a key must be a word, not a list or mapping"))
            continue
        key = (*path, key_node.value)
        if key in tree.places:
            first = f"; first on line {tree.places[key].order[1]}" if label else ""
            tree.faults.append(Fault(place, dotted(key), f"set twice{first}"))
            continue
        tree.places[key] = place
        mapping[key_node.value] = _plain(value_node, key, tree, label)
    return mapping
