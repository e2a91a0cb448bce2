"""The settings of a language model, one frozen class per section of a recipe; `model` is in gpt.py."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from seq2seq.config.common import (
    AnyDataset,
    AnyDataSettings,
    AnySettings,
    AnyTokenizerSettings,
    AnyTrainSettings,
    Optimizer,
    Schedule,
    several,
    streamed,
)
from seq2seq.config.gpt import GPTSettings
from seq2seq.config.section import DecodePrecision, Name, Section, Share, Words, conflict


class AnyTextCorpus(Section):
    """What every corpus of text has."""

    weight: float = Field(default=1.0, gt=0)
    """How often its text is drawn, in relation to its length; of streamed corpora the share of the text."""


class TextFile(AnyTextCorpus):
    """A text file, plain, .gz or .zst."""

    text: Name
    """File of text, below data.root."""
    documents: Literal["file", "lines"] = "file"
    """What a document is, behind which an end-of-document token stands: the whole file, or each of its lines."""


class TextDataset(AnyDataset, AnyTextCorpus):
    """A dataset of the Hugging Face hub, or a local folder in its layout, whose rows are documents."""

    column: Name = "text"
    """Name of the column with the text."""


class HeldOutShare(Section):
    """Text to validate with that is taken from the training text."""

    share: float = Field(gt=0, lt=1)
    """Share of each training corpus, its last part, that is not trained on but validated with."""


def _is(section: type[Section], key: str, value: object) -> bool:
    """Says whether a value is of a class, or is meant to be, told by the key that only this class has."""
    return key in value if isinstance(value, dict) else isinstance(value, section)


TextCorpus = Annotated[
    Annotated[TextFile, Tag("TextFile")] | Annotated[TextDataset, Tag("TextDataset")],
    Discriminator(lambda value: "TextDataset" if _is(TextDataset, "dataset", value) else "TextFile"),
    Words("a corpus, {text: FILE} or {dataset: NAME}"),
]

TextCorpora = Annotated[
    Annotated[TextCorpus, Tag("one")] | Annotated[list[TextCorpus], Field(min_length=1), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list | tuple) else "one"),
    Words("a corpus, {text: FILE} or {dataset: NAME}, or a list of them"),
]

HeldOutText = Annotated[
    Annotated[HeldOutShare, Tag("HeldOutShare")] | Annotated[TextCorpora, Tag("corpora")],
    Discriminator(lambda value: "HeldOutShare" if _is(HeldOutShare, "share", value) else "corpora"),
    Words("{share: NUMBER}, or a corpus, {text: FILE} or {dataset: NAME}, or a list of corpora"),
]


class GPTDataSettings(AnyDataSettings):
    """Which text is trained on and tested with."""

    train: Annotated[list[TextCorpus], Field(min_length=1)]
    """Corpora to train on, one or more."""
    valid: HeldOutText
    """What the model is validated with during training: a share of the training text, or a corpus, or several."""
    test: TextCorpora | None = None
    """Corpus, or several, that the best model is tested with at the end; null: no test."""

    @property
    def streaming(self) -> bool:
        """Whether a training corpus is streamed."""
        return bool(streamed(self.train))

    @property
    def valid_share(self) -> float:
        """Share of each training corpus, its last part, that is validated with; 0: none, but `valid_corpora`."""
        return self.valid.share if isinstance(self.valid, HeldOutShare) else 0.0

    @property
    def valid_corpora(self) -> list[TextCorpus]:
        """The corpora to validate on; none where it is a share of the training text."""
        return [] if isinstance(self.valid, HeldOutShare) else several(self.valid)

    @property
    def test_corpora(self) -> list[TextCorpus]:
        """The corpora to test on, if any."""
        return several(self.test)

    @field_validator("train")
    @classmethod
    def _whole_files_are_not_skipped(cls, train: list[TextCorpus], info: ValidationInfo) -> list[TextCorpus]:
        whole = [corpus.text for corpus in train if isinstance(corpus, TextFile) and corpus.documents == "file"]
        if whole and info.data.get("on_bad_utf8") == "skip":
            reason = f"skip leaves out lines, and {whole[0]} is one document: choose replace, or documents: lines"
            raise conflict(reason, "on_bad_utf8", "train")
        return train

    @field_validator("valid")
    @classmethod
    def _streams_have_no_last_part(cls, valid: HeldOutText, info: ValidationInfo) -> HeldOutText:
        streams = streamed(info.data.get("train", []))
        if isinstance(valid, HeldOutShare) and streams:
            raise conflict(f"{streams[0].dataset} is streamed, so its last part is not known; name a corpus", "valid")
        return valid


class GPTTokenizerSettings(AnyTokenizerSettings):
    """How text is cut into tokens."""

    type: Literal["sentencepiece", "characters", "bytes", "gpt2"] = "sentencepiece"
    """Kind of tokenizer: subwords, a token for each character or byte, or GPT-2's, which comes with its model only."""
    lossless: bool = True
    """Whether decoding sentencepiece gives back every text exactly, its line breaks too; bytes and gpt2 always do."""


class GPTTrainSettings(AnyTrainSettings):
    """How the model is trained, for how long, and what is kept."""

    batch_tokens: int = Field(default=16_384, ge=1)
    """Tokens predicted in one optimizer step, over all ranks and micro-batches: its windows times model.context."""
    optimizer: Optimizer = "adamw"
    """Update rule; adamw decays weights apart from the gradient."""
    betas: tuple[Share, Share] = (0.9, 0.95)
    """Decay rates of Adam's averages of the gradient and of its square."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Strength of weight decay; with adam it is an L2 penalty added to the gradient, as in torch, so prefer adamw."""
    schedule: Schedule = "cosine"
    """Course of the learning rate after the warm-up; noam is the paper's formula."""
    best_metric: Literal["loss"] = "loss"
    """Validation metric by which the best model is chosen and patience is counted."""
    valid_samples: int = Field(default=1, ge=0)
    """Texts that the model writes at each validation, to be looked at."""


class GenerateSettings(Section):
    """How text is continued, for samples in training and by default with the finished model."""

    temperature: float = Field(default=1.0, ge=0)
    """What the logits are divided by: below 1 probable tokens become more so; 0: always the most probable one."""
    top_k: int = Field(default=0, ge=0)
    """Most probable tokens among which the next one is drawn; 0: all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability that the most probable tokens, among which the next one is drawn, hold; 1: all."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Times that a token must be as probable as the best one to be drawn; 0: none is left out."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """By how much tokens that have occurred already become less probable (Keskar et al. 2019); 1: not at all."""
    max_new_tokens: int = Field(default=256, ge=1, le=1_000_000)
    """Longest continuation in tokens."""
    beam_size: int = Field(default=0, ge=0, le=1000)
    """Hypotheses followed at once in search for the most probable text; 1: greedy search; 0: tokens are drawn."""
    batch_tokens: int = Field(default=16_384, ge=1)
    """Tokens that are read at once when lines are scored, or that the windows of texts written at once may hold."""
    precision: DecodePrecision = "auto"
    """Number format of the products; auto: bf16 where the hardware gains by it, else fp32. int8 is for CPUs, and for
    finished models: training validates as with auto."""


class LanguageModelSettings(AnySettings):
    """A whole recipe for `task: language_model`."""

    task: Literal["language_model"]
    """What is trained: a language model, a decoder-only Transformer on text."""
    data: GPTDataSettings
    """Which text is trained on and tested with."""
    tokenizer: GPTTokenizerSettings = GPTTokenizerSettings()
    """How text is cut into tokens."""
    model: GPTSettings = GPTSettings()
    """The decoder-only Transformer."""
    train: GPTTrainSettings = GPTTrainSettings()
    """How the model is trained, for how long, and what is kept."""
    decode: GenerateSettings = GenerateSettings()
    """How text is continued, for samples in training and by default with the finished model."""

    @field_validator("train")
    @classmethod
    def _gpt2_is_never_trained(cls, train: GPTTrainSettings, info: ValidationInfo) -> GPTTrainSettings:
        tokenizer = info.data.get("tokenizer")
        if tokenizer is not None and tokenizer.type == "gpt2" and not train.init_from:
            reason = "type gpt2 cannot be trained, only taken along from an imported model: set train.init_from"
            raise conflict(reason, "tokenizer.type", "train.init_from")
        return train
