"""Recipes: typed, checked settings from a YAML file and the command line."""

from seq2seq.config.corpora import Corpus, HubDataset, JsonlFile, ParallelFiles, TsvFile
from seq2seq.config.explain import describe, editor_schema, explain, value_text
from seq2seq.config.recipe import (
    Recipe,
    differences,
    leaves,
    load_recipe,
    settings_from_dict,
    settings_hash,
    settings_to_yaml,
)
from seq2seq.config.schema import is_key
from seq2seq.config.settings import (
    DataSettings,
    DecodeSettings,
    ModelSettings,
    NoiseSettings,
    Settings,
    TokenizerSettings,
    TrainSettings,
)
from seq2seq.config.tree import RecipeFaults

__all__ = [
    "Corpus",
    "DataSettings",
    "DecodeSettings",
    "HubDataset",
    "JsonlFile",
    "ModelSettings",
    "NoiseSettings",
    "ParallelFiles",
    "Recipe",
    "RecipeFaults",
    "Settings",
    "TokenizerSettings",
    "TrainSettings",
    "TsvFile",
    "describe",
    "differences",
    "editor_schema",
    "explain",
    "is_key",
    "leaves",
    "load_recipe",
    "settings_from_dict",
    "settings_hash",
    "settings_to_yaml",
    "value_text",
]
