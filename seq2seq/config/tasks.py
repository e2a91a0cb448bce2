"""What a recipe may be for: each task has its own class of settings."""

from seq2seq.config.language import LanguageModelSettings
from seq2seq.config.translation import TranslationSettings

Settings = TranslationSettings | LanguageModelSettings

TASKS: dict[str, type[TranslationSettings] | type[LanguageModelSettings]] = {
    "translation": TranslationSettings,
    "language_model": LanguageModelSettings,
}
DEFAULT_TASK = "translation"  # of a recipe that names none
