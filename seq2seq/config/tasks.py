"""What a recipe may be for: each task has its own class of settings."""

from seq2seq.config.language import LanguageModelSettings
from seq2seq.config.translation import TranslationSettings
from seq2seq.errors import RecipeError

Settings = TranslationSettings | LanguageModelSettings

TASKS: dict[str, type[TranslationSettings] | type[LanguageModelSettings]] = {
    "translation": TranslationSettings,
    "language_model": LanguageModelSettings,
}
DEFAULT_TASK = "translation"  # of a recipe that names none


def as_translation(settings: Settings) -> TranslationSettings:
    """Returns settings that are a translation's as what they are.

    Raises:
        RecipeError: they are another task's.
    """
    if isinstance(settings, TranslationSettings):
        return settings
    raise RecipeError(f"task: is {settings.task}, must be translation")
