"""What is allowed in a recipe but seldom meant."""

from seq2seq.config.common import AnyTrainSettings
from seq2seq.config.language import LanguageModelSettings
from seq2seq.config.tasks import Settings
from seq2seq.config.translation import TranslationSettings


def advice(settings: Settings) -> list[str]:
    """Returns one warning for each thing that looks senseless, with the key and what to do about it."""
    found = _training(settings.train)
    if settings.model.norm == "post" and settings.model.layers and settings.train.warmup_steps == 0:
        found.append(
            "train.warmup_steps is 0 and model.norm is post: without a warm-up such a model often does not learn; "
            "set train.warmup_steps to some thousand or model.norm to pre"
        )
    own = _translation(settings) if isinstance(settings, TranslationSettings) else _language_model(settings)
    return found + own


def _training(train: AnyTrainSettings) -> list[str]:
    found = _learning_rate(train.learning_rate, train.schedule)
    if train.warmup_steps >= train.max_steps:
        found.append(
            f"train.warmup_steps ({train.warmup_steps}) is not below train.max_steps ({train.max_steps}): training "
            "ends before the learning rate reaches its peak; lower train.warmup_steps"
        )
    if train.validate_every > train.max_steps:
        found.append(
            f"train.validate_every ({train.validate_every}) is above train.max_steps ({train.max_steps}): nothing is "
            "validated before the end; lower train.validate_every"
        )
    if train.freeze and not train.init_from:
        found.append("train.freeze is set without train.init_from: what is frozen stays random")
    return found


def _translation(settings: TranslationSettings) -> list[str]:
    model, train, found = settings.model, settings.train, []
    if train.label_smoothing >= 0.5:
        found.append(
            f"train.label_smoothing is {train.label_smoothing:g}: most of each target would be noise; "
            "0.1 is usual, 0 turns it off"
        )
    if train.r_drop and not (model.dropout or model.attention_dropout):
        found.append("train.r_drop is set, but without dropout both passes are the same; set model.dropout")
    languages = sorted({settings.data.languages(corpus)[1] for corpus in settings.data.train})
    if len(languages) > 1 and not settings.data.tags:
        found.append(f"the training corpora have the target languages {', '.join(languages)}; set data.tags to true")
    return found


def _language_model(settings: LanguageModelSettings) -> list[str]:
    model, train, found = settings.model, settings.train, []
    if model.layers == 0 and model.positions != "none":
        found.append(
            f"model.layers is 0 and model.positions is {model.positions}: without layers a model sees the last token "
            "alone, and where that stands says little; set model.positions to none"
        )
    if train.batch_tokens < model.context:
        found.append(
            f"train.batch_tokens ({train.batch_tokens}) is below model.context ({model.context}): a step trains on "
            "one whole window all the same; raise train.batch_tokens"
        )
    return found


def _learning_rate(rate: float, schedule: str) -> list[str]:
    if schedule == "noam":
        low, high, usual = 0.05, 20.0, "with schedule noam it is a factor, usually 1 or 2"
    else:
        low, high, usual = 1e-6, 1e-2, "it is usually from 1e-4 to 1e-3"
    if low <= rate <= high:
        return []
    return [f"train.learning_rate is {rate:g}, which is very {'low' if rate < low else 'high'}: {usual}"]
