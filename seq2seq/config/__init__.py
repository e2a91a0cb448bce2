"""Recipes: typed, checked settings from a YAML file and the command line."""

from seq2seq.config.common import AnyDataset, AnyDataSettings, AnyTokenizerSettings, AnyTrainSettings, OnBadUtf8
from seq2seq.config.corpora import Corpus, HubDataset, JsonlFile, ParallelFiles, TsvFile
from seq2seq.config.defaults import chosen_settings
from seq2seq.config.explain import describe, editor_schema, explain, value_text
from seq2seq.config.gpt import GPTSettings
from seq2seq.config.language import (
    GenerateSettings,
    GPTDataSettings,
    GPTTokenizerSettings,
    GPTTrainSettings,
    HeldOutShare,
    LanguageModelSettings,
    TextCorpus,
    TextDataset,
    TextFile,
)
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
from seq2seq.config.section import first_fault
from seq2seq.config.tasks import TASKS, Settings
from seq2seq.config.translation import (
    DataSettings,
    DecodeSettings,
    ModelSettings,
    NoiseSettings,
    TokenizerSettings,
    TrainSettings,
    TranslationSettings,
)
from seq2seq.config.tree import RecipeFaults

__all__ = [
    "TASKS",
    "AnyDataSettings",
    "AnyDataset",
    "AnyTokenizerSettings",
    "AnyTrainSettings",
    "Corpus",
    "DataSettings",
    "DecodeSettings",
    "GPTDataSettings",
    "GPTSettings",
    "GPTTokenizerSettings",
    "GPTTrainSettings",
    "GenerateSettings",
    "HeldOutShare",
    "HubDataset",
    "JsonlFile",
    "LanguageModelSettings",
    "ModelSettings",
    "NoiseSettings",
    "OnBadUtf8",
    "ParallelFiles",
    "Recipe",
    "RecipeFaults",
    "Settings",
    "TextCorpus",
    "TextDataset",
    "TextFile",
    "TokenizerSettings",
    "TrainSettings",
    "TranslationSettings",
    "TsvFile",
    "chosen_settings",
    "describe",
    "differences",
    "editor_schema",
    "explain",
    "first_fault",
    "is_key",
    "leaves",
    "load_recipe",
    "settings_from_dict",
    "settings_hash",
    "settings_to_yaml",
    "value_text",
]
