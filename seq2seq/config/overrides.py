"""Arguments KEY=VALUE of a command, which win over the recipe."""

from typing import Any

from seq2seq.config.schema import KeyPath
from seq2seq.config.tree import DEEPEST, Fault, Place, RecipeFaults, Tree, dotted, read_value

COMMAND_LINE = "command line"


def override(tree: Tree, argument: str, number: int) -> None:
    """Sets one value of a tree; what is wrong with the argument joins the tree's faults.

    Args:
        tree: the recipe, changed in place.
        argument: KEY=VALUE; the key has dots and, for entries of a list, their number from 0; the value is YAML.
        number: place of the argument among the others, from 0.
    """
    place = Place(COMMAND_LINE, (1, number), argument)
    key, equals, text = argument.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        form = "must have the form KEY=VALUE, such as train.learning_rate=6e-4"
        tree.faults.append(Fault(place, "", form))
        return
    if len(parts) > DEEPEST:
        tree.faults.append(Fault(place, "", f"its key has {len(parts):,} parts: no recipe is so deep"))
        return
    try:
        value, added = read_value(text, place)
    except RecipeFaults as error:
        tree.faults += error.faults
        return
    try:
        path = _put(tree.root, parts, value)
    except LookupError as error:
        tree.faults.append(Fault(place, "", str(error.args[0])))
        return
    tree.faults += added.faults
    tree.places = {other: was for other, was in tree.places.items() if other[: len(path)] != path}
    tree.places[path] = place
    tree.places |= {(*path, *below): place for below in added.places}


def _put(root: dict[str, Any], parts: list[str], value: Any) -> KeyPath:
    """Stores a value below a recipe's root and return the path to it, list numbers as int."""
    path: KeyPath = ()
    holder: Any = root
    for depth, part in enumerate(parts):
        step = _step(holder, part, path)
        path = (*path, step)
        if depth == len(parts) - 1:
            holder[step] = value
        else:
            if isinstance(holder, dict) and holder.get(part) is None:
                holder[part] = {}
            holder = holder[step]
    return path


def _step(holder: Any, part: str, path: KeyPath) -> str | int:
    if isinstance(holder, dict):
        return part
    if not isinstance(holder, list):
        raise LookupError(f"{dotted(path)} is no section in the recipe, so nothing below it can be set")
    if part not in map(str, range(len(holder))):
        numbers = f"the numbers 0 to {len(holder) - 1}" if len(holder) > 1 else "the number 0" if holder else "none"
        raise LookupError(f"{dotted(path)} is a list; its entries in the recipe have {numbers}, not '{part}'")
    return int(part)
