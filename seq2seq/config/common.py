"""What recipes of all tasks have in common; each task adds its own keys to these sections."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from seq2seq.config.section import Count, Name, OptionalName, Precision, Section, Share, conflict

Optimizer = Literal["adam", "adamw"]
Schedule = Literal["noam", "inverse_sqrt", "cosine", "constant"]
OnBadUtf8 = Literal["fail", "skip", "replace"]

C = TypeVar("C")


class AnyDataset(Section):
    """A dataset of the Hugging Face hub, or a local folder in its layout."""

    dataset: Name
    """Name on the Hugging Face hub, such as wmt/wmt14, or a folder in its layout below data.root."""
    config: str | None = None
    """Configuration of the dataset, such as de-en; null: its only one."""
    split: Name = "train"
    """Split of the dataset."""
    revision: str | None = None
    """Branch, tag or commit of the dataset; null: the newest."""
    streaming: bool = False
    """Whether it is read as it comes, for what does not fit on disk; it is then never sorted, counted or stored."""


def streamed(corpora: Iterable[object]) -> list[AnyDataset]:
    """Returns those of some corpora that are read as they come."""
    return [corpus for corpus in corpora if isinstance(corpus, AnyDataset) and corpus.streaming]


def several(corpora: C | list[C] | None) -> list[C]:
    """Returns one corpus, some or none as a list."""
    if corpora is None:
        return []
    return corpora if isinstance(corpora, list) else [corpora]


class AnyDataSettings(Section):
    """Which text is trained on and tested with."""

    root: OptionalName = ""
    """Prefix of the file names below, relative to where the command is run."""
    cache: OptionalName = ""
    """Folder of tokenised corpora; empty: $XDG_CACHE_HOME/seq2seq or ~/.cache/seq2seq."""
    on_bad_utf8: OnBadUtf8 = "fail"
    """Lines of training files that are not UTF-8: stop, leave out (pairs whole) or put U+FFFD; held-out text stops."""

    @field_validator("valid", "test", check_fields=False)
    @classmethod
    def _only_training_is_streamed(cls, corpora: Any, info: ValidationInfo) -> Any:
        if streamed(several(corpora)):
            raise conflict("only training corpora can be streamed; leave streaming out", str(info.field_name))
        return corpora


class AnyTokenizerSettings(Section):
    """How text is cut into tokens."""

    type: Literal["sentencepiece", "characters", "bytes", "gpt2"] = "sentencepiece"
    """Kind of tokenizer."""
    model: Literal["unigram", "bpe"] = "unigram"
    """Subword model that SentencePiece trains."""
    vocab_size: int = Field(default=8000, ge=16)
    """Tokens in the vocabulary, special ones included; of characters the most."""
    character_coverage: float = Field(default=1.0, ge=0.9, le=1)
    """Share of the characters of the text that get tokens; 0.9995 suits Chinese and Japanese."""
    training_lines: int = Field(default=1_000_000, ge=1)
    """Lines, of each side where there are two, drawn at random, on which the tokenizer is trained."""
    lossless: bool = False
    """Whether decoding gives back every text exactly: no normalisation, bytes for rare characters, whitespace kept."""


class AnyModelSettings(Section):
    """The model."""

    @field_validator("heads", check_fields=False)
    @classmethod
    def _heads_divide_width(cls, heads: int, info: ValidationInfo) -> int:
        d_model = info.data.get("d_model")
        if d_model is not None and d_model % heads != 0:
            raise conflict(f"heads ({heads}) must divide d_model ({d_model})", "heads", "d_model")
        return heads


class AnyTrainSettings(Section):
    """How the model is trained, for how long, and what is kept."""

    init_from: OptionalName = ""
    """Run or model folder whose weights and tokenizer training starts from; empty: random weights, a new tokenizer."""
    freeze: list[Name] = Field(default=[])
    """Names of parameters that are not trained, such as "*embedding*"; a wrong one is told all names."""
    max_steps: int = Field(default=100_000, ge=1)
    """Optimizer steps after which training ends."""
    max_epochs: Count | None = None
    """Passes over the training data after which training ends; null: no limit."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Minutes of training after which it ends, summed over all resumed runs; null: no limit."""
    batch_tokens: int = Field(default=25_000, ge=1)
    """Real target tokens in one optimizer step, over all ranks and micro-batches."""
    device_tokens: Count | Literal["auto"] = "auto"
    """Tokens a device holds at once, padding included, of pairs their longer side; auto: 8192, on a GPU by trial."""
    optimizer: Optimizer = "adam"
    """Update rule; adamw decays weights apart from the gradient."""
    betas: tuple[Share, Share] = (0.9, 0.98)
    """Decay rates of Adam's averages of the gradient and of its square."""
    epsilon: float = Field(default=1e-9, gt=0)
    """Term in Adam's denominator that keeps it from zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Strength of weight decay; with adam it is an L2 penalty added to the gradient, as in torch, so prefer adamw."""
    learning_rate: float = Field(default=7e-4, gt=0)
    """Peak learning rate; with schedule noam the factor in front of the paper's formula."""
    warmup_steps: int = Field(default=4000, ge=0)
    """Steps in which the learning rate rises to its peak; schedule noam needs at least 1."""
    schedule: Schedule = "inverse_sqrt"
    """Course of the learning rate after the warm-up; noam is the paper's formula."""
    min_learning_rate: float = Field(default=0.0, ge=0)
    """Learning rate at which schedule cosine ends."""
    clip_norm: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient, longer ones are scaled down; 0: no clipping."""
    ema_decay: Share = 0.0
    """Decay of the moving average of the weights that is validated and kept as best, such as 0.999; 0: none."""
    precision: Precision = "auto"
    """Number format of the forward pass; auto: bf16 where the hardware gains by it, else fp32."""
    compile: bool = False
    """Whether torch compiles the training loss: for speed on a GPU; it then takes a minute or more to start."""
    log_every: int = Field(default=100, ge=1)
    """Steps between two log lines."""
    validate_every: int = Field(default=1000, ge=1)
    """Steps between two validations."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Steps between two checkpoints."""
    keep_checkpoints: int = Field(default=5, ge=1)
    """Newest checkpoints that are kept; at least average_last, and never fewer than two."""
    background_save: bool = False
    """Whether training goes on while a checkpoint is written, which holds weights and optimizer twice in memory."""
    max_bad_steps: int = Field(default=3, ge=1)
    """Steps in a row whose loss or gradient is not finite after which training stops; each of them changes nothing."""
    patience: Count | None = 10
    """Validations without improvement after which training ends; null: never."""
    average_last: int = Field(default=5, ge=0)
    """Newest checkpoints that are averaged at the end; 0 or 1: none."""

    @field_validator("schedule")
    @classmethod
    def _noam_needs_warmup(cls, schedule: str, info: ValidationInfo) -> str:
        if schedule == "noam" and info.data.get("warmup_steps") == 0:
            raise conflict("schedule noam needs warmup_steps of at least 1 (is 0)", "warmup_steps", "schedule")
        return schedule

    @field_validator("min_learning_rate")
    @classmethod
    def _end_below_peak(cls, end: float, info: ValidationInfo) -> float:
        peak = info.data.get("learning_rate")
        if peak is not None and end > peak:
            reason = f"min_learning_rate ({end:g}) must be at most learning_rate ({peak:g})"
            raise conflict(reason, "min_learning_rate", "learning_rate")
        return end

    @field_validator("average_last")
    @classmethod
    def _averaged_are_kept(cls, average_last: int, info: ValidationInfo) -> int:
        kept = info.data.get("keep_checkpoints")
        if kept is not None and kept < average_last:
            reason = f"keep_checkpoints ({kept}) must be at least average_last ({average_last})"
            raise conflict(reason, "keep_checkpoints", "average_last")
        return average_last


class AnySettings(Section):
    """A whole recipe."""

    task: Literal["translation", "language_model"]
    """What is trained."""
    output: Name
    """Run folder, relative to where the command is run."""
    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    """Seed of all random choices: the initial model, the order of the data, dropout."""

    @field_validator("train", check_fields=False)
    @classmethod
    def _streams_have_no_epochs(cls, train: AnyTrainSettings, info: ValidationInfo) -> AnyTrainSettings:
        data = info.data.get("data")
        if train.max_epochs is not None and data is not None and data.streaming:
            raise conflict("a streamed corpus has no epochs; set train.max_steps instead", "train.max_epochs")
        return train
