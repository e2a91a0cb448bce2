"""Writes docs/recipe.md and docs/recipe.schema.json from the settings classes, where keys and defaults stand.

python tools/make_docs.py [--check]
"""

import argparse
import sys
from pathlib import Path

from seq2seq.config import TASKS, editor_schema, explain

DOCS = Path(__file__).resolve().parents[1] / "docs"

INTRODUCTION = """\
# Recipes: all keys

Made by `python tools/make_docs.py` from the settings classes; `seq2seq-train --explain KEY` says the same. Editors that
know YAML schemas complete and check recipes when this is their first line:

    # yaml-language-server: $schema=docs/recipe.schema.json

Any key can be replaced on the command line, as in `seq2seq-train recipe.yaml train.learning_rate=1e-3`.

`task` says what is trained and so which keys there are: a [translation](#task-translation), which a recipe without
`task` is too, or a [language model](#task-language_model).
"""


def pages() -> dict[str, str]:
    """Returns the generated files by name."""
    recipe = "\n".join([INTRODUCTION, *(part(task) for task in TASKS)])
    return {"recipe.md": recipe.rstrip() + "\n", "recipe.schema.json": editor_schema() + "\n"}


def part(task: str) -> str:
    """Returns what is to be said about the recipes of a task."""
    lines = [f"## `task: {task}`\n"]
    for line in explain("", [task]).splitlines():
        key = line.strip().partition(":")[0]
        lines.append(f"### `{key}`\n")
        head, _, below = explain(key, [task]).partition("\n\n")
        lines.extend(f"{text.strip()}  " for text in head.splitlines()[1:])
        if below:
            lines.append("")
        for entry in below.splitlines():
            name, _, text = entry.strip().partition(": ")
            lines.append(f"- `{name}`: {text}")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Writes the files, or says with exit code 1 which are not as they would be written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    if parser.parse_args().check:
        stale = [name for name, text in pages().items() if (DOCS / name).read_text(encoding="utf-8") != text]
        sys.exit(f"out of date: {', '.join(stale)}; run python tools/make_docs.py" if stale else 0)
    DOCS.mkdir(exist_ok=True)
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
