"""Which settings are no defaults."""

from pathlib import Path

import pytest
from conftest import text_recipe, tiny_recipe

from seq2seq.config import chosen_settings, settings_from_dict


@pytest.mark.parametrize("recipe", [tiny_recipe, text_recipe])
def test_settings_that_are_no_defaults(tmp_path: Path, recipe: object) -> None:
    values = recipe(tmp_path)  # type: ignore[operator]
    given = {f"{section}.{key}" for section, inside in values.items() if isinstance(inside, dict) for key in inside}
    found = {key: (value, default) for key, value, default in chosen_settings(settings_from_dict(values))}
    below = {".".join(key.split(".")[:2]) for key in found}
    assert below <= given | {"output", "task"}
    assert found["output"] == (str(tmp_path / "run"), "required")
    assert found["train.max_steps"] == (20, "100000")
    assert found["data.pool_size" if recipe is tiny_recipe else "model.context"][1] in ("100000", "256")
    more = settings_from_dict({**values, "train": {**values["train"], "betas": [0.9, 0.5], "max_steps": 100000}})
    again = {key: default for key, _, default in chosen_settings(more)}
    assert again["train.betas"].startswith("[0.9, ") and "train.max_steps" not in again
