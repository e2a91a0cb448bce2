"""The settings of a run, one frozen class per section of a recipe.

A default stands once, on its field, with its description below it. `--explain`, `--dry-run`, the error messages and the
editor schema are all made from here.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from seq2seq.config.corpora import Corpora, Corpus, HubDataset
from seq2seq.config.section import (
    Count,
    DropRate,
    Language,
    Name,
    OptionalName,
    Precision,
    Section,
    Share,
    conflict,
)


class NoiseSettings(Section):
    """Shares of the training pairs that are changed, anew in each epoch, so that a model stands such text."""

    upper_case: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of pairs whose both sides are written in capitals."""
    title_case: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of pairs of whose both sides each word begins with a capital."""
    no_final_punctuation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of pairs that lose the punctuation at the end of both sides."""
    typing_errors: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of pairs in whose source some letters are missing, doubled, swapped or mistyped."""


class DataSettings(Section):
    """Which text is trained on and tested with."""

    root: OptionalName = ""
    """Prefix of the file names below, relative to where the command is run."""
    source_language: Language
    """Code of the language that is translated from."""
    target_language: Language
    """Code of the language that is translated into."""
    train: Annotated[list[Corpus], Field(min_length=1)]
    """Corpora to train on, one or more."""
    valid: Corpora
    """Corpus that the model is validated with during training, or several: the mean of their scores then counts."""
    test: Corpora | None = None
    """Corpus, or several, that the best model is tested with at the end; null: no test."""
    tags: bool = False
    """Whether a token for the target language stands in front of each source: one model for several directions."""
    temperature: float = Field(default=1.0, ge=1)
    """T in the share of each corpus, (weight * pairs)^(1/T): above 1 small corpora come more often, large ones less."""
    drop_duplicates: bool = False
    """Whether a pair that stands in a corpus more than once is trained on only once."""
    noise: NoiseSettings = NoiseSettings()
    """Changes of the training text that make a model robust."""
    max_length: int = Field(default=256, ge=2)
    """Longest side of a training pair in tokens, end of sentence and tag too; longer ones are dropped and counted."""
    max_ratio: float = Field(default=5.0, ge=1)
    """Pairs whose token counts, end of sentence included, differ by more than this factor are dropped and counted."""
    pool_size: int = Field(default=100_000, ge=1)
    """Pairs that are sorted by length together before they are cut into batches."""
    cache: OptionalName = ""
    """Folder of tokenised corpora; empty: $XDG_CACHE_HOME/seq2seq or ~/.cache/seq2seq."""

    @property
    def streaming(self) -> bool:
        """Whether a training corpus is streamed."""
        return any(isinstance(corpus, HubDataset) and corpus.streaming for corpus in self.train)

    @property
    def valid_corpora(self) -> list[Corpus]:
        """The corpora to validate on."""
        return self.valid if isinstance(self.valid, list) else [self.valid]

    @property
    def test_corpora(self) -> list[Corpus]:
        """The corpora to test on, if any."""
        if self.test is None:
            return []
        return self.test if isinstance(self.test, list) else [self.test]

    def languages(self, corpus: Corpus) -> tuple[str, str]:
        """Returns the source and target language of a corpus."""
        return corpus.source_language or self.source_language, corpus.target_language or self.target_language

    @field_validator("valid", "test")
    @classmethod
    def _only_training_is_streamed(cls, corpora: Corpora | None, info: ValidationInfo) -> Corpora | None:
        for corpus in corpora if isinstance(corpora, list) else [corpora]:
            if isinstance(corpus, HubDataset) and corpus.streaming:
                raise conflict("only training corpora can be streamed; leave streaming out", str(info.field_name))
        return corpora

    @field_validator("temperature", "drop_duplicates")
    @classmethod
    def _needs_all_pairs(cls, value: float, info: ValidationInfo) -> float:
        streams = [c for c in info.data.get("train", []) if isinstance(c, HubDataset) and c.streaming]
        default = cls.model_fields[str(info.field_name)].default
        if streams and value != default:
            reason = f"{info.field_name} needs to know all pairs of a corpus, and {streams[0].dataset} is streamed"
            raise conflict(reason, str(info.field_name))
        return value


class TokenizerSettings(Section):
    """How text is cut into tokens."""

    type: Literal["sentencepiece", "characters"] = "sentencepiece"
    """Kind of tokenizer: subwords, or a token for each character."""
    model: Literal["unigram", "bpe"] = "unigram"
    """Subword model that SentencePiece trains."""
    vocab_size: int = Field(default=8000, ge=16)
    """Tokens in the vocabulary, special ones included, of each side where it is not shared; of characters the most."""
    shared: bool = True
    """Whether both languages share one vocabulary."""
    character_coverage: float = Field(default=1.0, ge=0.9, le=1)
    """Share of the characters of the text that get tokens; 0.9995 suits Chinese and Japanese."""
    training_lines: int = Field(default=1_000_000, ge=1)
    """Lines of each side, drawn at random, on which the tokenizer is trained."""
    sample_alpha: float = Field(default=0.0, ge=0, le=1)
    """Subword sampling in training, 0: none; of unigram the smoothness (0.1 varies most), of bpe the dropout (0.1)."""
    lossless: bool = False
    """Whether decoding gives back every text exactly: no normalisation, bytes for rare characters, whitespace kept."""

    @field_validator("lossless")
    @classmethod
    def _characters_lose_rare_ones(cls, lossless: bool, info: ValidationInfo) -> bool:
        if lossless and info.data.get("type") == "characters":
            raise conflict("type characters cannot keep characters that are not in its vocabulary", "lossless", "type")
        return lossless

    @field_validator("sample_alpha")
    @classmethod
    def _characters_are_never_sampled(cls, alpha: float, info: ValidationInfo) -> float:
        if alpha and info.data.get("type") == "characters":
            raise conflict("sample_alpha samples subwords, and characters have none", "sample_alpha", "type")
        return alpha


class ModelSettings(Section):
    """The Transformer encoder-decoder."""

    layers: int = Field(default=6, ge=1)
    """Layers of the encoder and of the decoder."""
    encoder_layers: Count | None = None
    """Layers of the encoder; null: as layers."""
    decoder_layers: Count | None = None
    """Layers of the decoder; null: as layers."""
    d_model: int = Field(default=512, ge=2, multiple_of=2)
    """Width of embeddings and layers; heads must divide it."""
    heads: int = Field(default=8, ge=1)
    """Attention heads of each layer; must divide d_model."""
    d_feedforward: int = Field(default=2048, ge=1)
    """Inner width of the feed-forward layers."""
    dropout: DropRate = 0.1
    """Share of activations dropped in training, of embeddings and of each sublayer's output."""
    attention_dropout: DropRate = 0.0
    """Share of attention weights dropped in training; above 0 attention is slower."""
    norm: Literal["post", "pre"] = "post"
    """Normalisation after each residual sum, as in the paper, or before each sublayer, which is easier to train."""
    positions: Literal["sinusoidal"] = "sinusoidal"
    """How a token's position is encoded."""
    activation: Literal["relu", "gelu"] = "relu"
    """Activation of the feed-forward layers."""
    tie_embeddings: bool = True
    """Whether output projection and decoder embedding are one, and the encoder's too where the vocabulary is shared."""

    @field_validator("heads")
    @classmethod
    def _heads_divide_width(cls, heads: int, info: ValidationInfo) -> int:
        d_model = info.data.get("d_model")
        if d_model is not None and d_model % heads != 0:
            raise conflict(f"heads ({heads}) must divide d_model ({d_model})", "heads", "d_model")
        return heads


class TrainSettings(Section):
    """How the model is trained, for how long, and what is kept."""

    init_from: OptionalName = ""
    """Run or model folder whose weights and tokenizer training starts from; empty: random weights, a new tokenizer."""
    freeze: list[Name] = Field(default=[])
    """Names of parameters that are not trained, such as encoder.* or "*embedding*"; a wrong one is told all names."""
    max_steps: int = Field(default=100_000, ge=1)
    """Optimizer steps after which training ends."""
    max_epochs: Count | None = None
    """Passes over the training data after which training ends; null: no limit."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Minutes of training after which it ends, summed over all resumed runs; null: no limit."""
    batch_tokens: int = Field(default=25_000, ge=1)
    """Real target tokens in one optimizer step, over all ranks and micro-batches."""
    device_tokens: Count | Literal["auto"] = "auto"
    """Tokens of the longer side, padding included, that a device holds at once; auto: 8192 on a CPU, 16384 on a GPU."""
    optimizer: Literal["adam", "adamw"] = "adam"
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
    schedule: Literal["noam", "inverse_sqrt", "cosine", "constant"] = "inverse_sqrt"
    """Course of the learning rate after the warm-up; noam is the paper's formula."""
    min_learning_rate: float = Field(default=0.0, ge=0)
    """Learning rate at which schedule cosine ends."""
    clip_norm: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient, longer ones are scaled down; 0: no clipping."""
    label_smoothing: Share = 0.1
    """Share of the probability that the target spreads over the whole vocabulary."""
    r_drop: float = Field(default=0.0, ge=0)
    """Weight of R-Drop, which draws two dropout passes of each pair together (Liang et al. 2021 use 5); 0: one pass."""
    ema_decay: Share = 0.0
    """Decay of the moving average of the weights that is validated and kept as best, such as 0.999; 0: none."""
    precision: Precision = "auto"
    """Number format of the forward pass; auto: bf16 where the hardware gains by it, else fp32."""
    log_every: int = Field(default=100, ge=1)
    """Steps between two log lines."""
    validate_every: int = Field(default=1000, ge=1)
    """Steps between two validations."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Steps between two checkpoints."""
    keep_checkpoints: int = Field(default=5, ge=1)
    """Newest checkpoints that are kept; at least average_last."""
    patience: Count | None = 10
    """Validations without improvement after which training ends; null: never."""
    best_metric: Literal["bleu", "chrf", "loss"] = "bleu"
    """Validation metric by which the best model is chosen and patience is counted."""
    average_last: int = Field(default=5, ge=0)
    """Newest checkpoints that are averaged at the end; 0 or 1: none."""
    valid_samples: int = Field(default=4, ge=0)
    """Validation sentences that are shown with their translation."""

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


class DecodeSettings(Section):
    """How translations are searched for, in validation and by default with the finished model."""

    beam_size: int = Field(default=5, ge=1, le=1000)
    """Hypotheses kept at each step; 1: greedy search."""
    length_norm: Literal["gnmt", "length", "none"] = "gnmt"
    """How scores of different lengths are compared: Wu et al.'s penalty, a power of the length, or not at all."""
    length_penalty: float = Field(default=0.6, ge=0, le=10)
    """Exponent of length_norm; larger values favour longer translations."""
    min_length: int = Field(default=0, ge=0)
    """Shortest translation in tokens, end of sentence not counted."""
    max_length_ratio: float = Field(default=2.0, gt=0)
    """Longest translation: this times the source's length in tokens, plus 10."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Source tokens that are translated at once, padding included."""
    precision: Precision = "auto"
    """Number format of the model; auto: bf16 where the hardware gains by it, else fp32."""


class Settings(Section):
    """A whole recipe for `task: translation`. Another task is another class, and recipes a union on `task`."""

    task: Literal["translation"] = "translation"
    """What is trained: translation, an encoder-decoder on parallel text."""
    output: Name
    """Run folder, relative to where the command is run."""
    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    """Seed of all random choices: the initial model, the order of the data, dropout."""
    data: DataSettings
    """Which text is trained on and tested with."""
    tokenizer: TokenizerSettings = TokenizerSettings()
    """How text is cut into tokens."""
    model: ModelSettings = ModelSettings()
    """The Transformer encoder-decoder."""
    train: TrainSettings = TrainSettings()
    """How the model is trained, for how long, and what is kept."""
    decode: DecodeSettings = DecodeSettings()
    """How translations are searched for, in validation and by default with the finished model."""

    @field_validator("train")
    @classmethod
    def _streams_have_no_epochs(cls, train: TrainSettings, info: ValidationInfo) -> TrainSettings:
        data = info.data.get("data")
        if train.max_epochs is not None and data is not None and data.streaming:
            raise conflict("a streamed corpus has no epochs; set train.max_steps instead", "train.max_epochs")
        return train
