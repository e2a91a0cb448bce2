"""The house rules that a linter does not know."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


SEARCH = ["beam", "beams", "constraints", "continuations", "forbidden", "pieces", "sampling"]


@pytest.mark.parametrize("name", SEARCH)
def test_search_knows_no_model_and_no_text(name: str) -> None:
    found = imports(ROOT / f"seq2seq/decode/{name}.py") - {f"seq2seq.decode.{each}" for each in SEARCH}
    assert not {name for name in found if name.startswith("seq2seq") or name in ("numpy", "sentencepiece")}


def test_model_uses_of_data_only_its_batches() -> None:
    found = set().union(*map(imports, (ROOT / "seq2seq/model").glob("*.py")))
    assert {name for name in found if name.startswith("seq2seq.data")} == {"seq2seq.data.batch"}


@pytest.mark.parametrize("path", sorted((ROOT / "seq2seq").rglob("*.py")), ids=str)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if len(node.body) > 1 and ast.get_docstring(node) else node.body[0]
            assert node.end_lineno is not None
            assert node.end_lineno - first.lineno < 60, node.name


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=str)
def test_every_test_asserts(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            assert re.search(r"Assert\(|'raises'|assert_close", ast.dump(node)), node.name


def test_every_recipe_loads() -> None:
    from seq2seq.config import load_recipe

    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    assert len(recipes) >= 4
    for path in recipes:
        assert load_recipe(path).warnings == []
