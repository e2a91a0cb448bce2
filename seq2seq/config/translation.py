"""The settings of a translation, one frozen class per section of a recipe.

A default stands once, on its field, with its description below it. `--explain`, `--dry-run`, the error messages and the
editor schema are all made from here.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from seq2seq.config.common import (
    AnyDataSettings,
    AnyModelSettings,
    AnySettings,
    AnyTokenizerSettings,
    AnyTrainSettings,
    several,
    streamed,
)
from seq2seq.config.corpora import Corpora, Corpus
from seq2seq.config.section import Count, DecodePrecision, DropRate, Language, Section, Share, conflict


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


class DataSettings(AnyDataSettings):
    """Which text is trained on and tested with."""

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
    context: int = Field(default=0, ge=0)
    """Sentences before a source, of the same document, that stand in front of it, a separator behind each; 0: none."""
    temperature: float = Field(default=1.0, ge=1)
    """T in the share of each corpus, (weight * pairs)^(1/T): above 1 small corpora come more often, large ones less."""
    drop_duplicates: bool = False
    """Whether a pair that stands in a corpus more than once is trained on only once."""
    noise: NoiseSettings = NoiseSettings()
    """Changes of the training text that make a model robust."""
    max_length: int = Field(default=256, ge=2)
    """Longest side of a training pair in tokens, end of sentence and tag too; longer ones are dropped and counted. Of
    a context that makes a source longer the first sentences are left out."""
    max_ratio: float = Field(default=5.0, ge=1)
    """Pairs whose token counts, end of sentence included, differ by more than this factor are dropped and counted."""
    pool_size: int = Field(default=100_000, ge=1)
    """Pairs that are sorted by length together before they are cut into batches."""

    @property
    def streaming(self) -> bool:
        """Whether a training corpus is streamed."""
        return bool(streamed(self.train))

    @property
    def valid_corpora(self) -> list[Corpus]:
        """The corpora to validate on."""
        return several(self.valid)

    @property
    def test_corpora(self) -> list[Corpus]:
        """The corpora to test on, if any."""
        return several(self.test)

    def languages(self, corpus: Corpus) -> tuple[str, str]:
        """Returns the source and target language of a corpus."""
        return corpus.source_language or self.source_language, corpus.target_language or self.target_language

    @field_validator("temperature", "drop_duplicates")
    @classmethod
    def _needs_all_pairs(cls, value: float, info: ValidationInfo) -> float:
        streams = streamed(info.data.get("train", []))
        default = cls.model_fields[str(info.field_name)].default
        if streams and value != default:
            reason = f"{info.field_name} needs to know all pairs of a corpus, and {streams[0].dataset} is streamed"
            raise conflict(reason, str(info.field_name))
        return value


class TokenizerSettings(AnyTokenizerSettings):
    """How text is cut into tokens."""

    type: Literal["sentencepiece", "characters"] = "sentencepiece"
    """Kind of tokenizer: subwords, or a token for each character."""
    shared: bool = True
    """Whether both languages share one vocabulary; else each has one of vocab_size tokens."""
    sample_alpha: float = Field(default=0.0, ge=0, le=1)
    """Subword sampling in training, 0: none; of unigram the smoothness (0.1 varies most), of bpe the dropout (0.1)."""

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


class ModelSettings(AnyModelSettings):
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

    @property
    def stacks(self) -> tuple[int, int]:
        """Layers of the encoder and of the decoder."""
        return self.encoder_layers or self.layers, self.decoder_layers or self.layers


class TrainSettings(AnyTrainSettings):
    """How the model is trained, for how long, and what is kept."""

    label_smoothing: Share = 0.1
    """Share of the probability that the target spreads over the whole vocabulary."""
    r_drop: float = Field(default=0.0, ge=0)
    """Weight of R-Drop, which draws two dropout passes of each pair together (Liang et al. 2021 use 5); 0: one pass."""
    best_metric: Literal["bleu", "chrf", "loss"] = "bleu"
    """Validation metric by which the best model is chosen and patience is counted."""
    shortlist: bool = False
    """Whether a shortlist, which words may translate which, is learnt and kept with the model; see decode.shortlist."""
    valid_samples: int = Field(default=4, ge=0)
    """Validation sentences that are shown with their translation."""


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
    max_length_ratio: float = Field(default=2.0, gt=0, le=100)
    """Longest translation: this times the source's length in tokens, plus 10."""
    patience: float = Field(default=1.0, gt=0, le=100)
    """Times beam_size, how many hypotheses end before a search does (Kasai et al. 2022)."""
    no_repeat_ngram: int = Field(default=0, ge=0)
    """Length in tokens of sequences that no translation holds twice; 0: any may come again."""
    coverage_penalty: float = Field(default=0.0, ge=0)
    """How much source words that get no attention count against a hypothesis (Wu et al. 2016, beta); slower; 0: not."""
    beam_groups: int = Field(default=1, ge=1)
    """Groups of beams that avoid each other's tokens, for n-best lists that differ (Vijayakumar et al. 2018)."""
    diversity: float = Field(default=0.5, ge=0)
    """How much groups of beams avoid each other's tokens, in nats."""
    search: Literal["beam", "sampling"] = "beam"
    """Whether translations are searched for, or drawn from the model's distribution; what is drawn follows from seed
    and source."""
    temperature: float = Field(default=1.0, ge=0)
    """In sampling, what logits are divided by: below 1 probable tokens become more so; 0: greedy."""
    top_k: int = Field(default=0, ge=0)
    """In sampling, the most probable tokens among which the next one is drawn; 0: all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """In sampling, the share of the probability that tokens among which the next one is drawn hold; 1: all."""
    mbr: Literal["none", "chrf", "bleu"] = "none"
    """Minimum Bayes risk: of several translations the one most like all others by this measure; none: off."""
    candidates: int = Field(default=32, ge=2, le=1000)
    """Translations among which mbr chooses: samples, or of beam search the best, at most beam_size."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Source tokens that are translated at once, padding included."""
    shortlist: bool = False
    """Whether translations use only words that the model's shortlist has for their source: less work, not exact."""
    precision: DecodePrecision = "auto"
    """Number format of the products; auto: bf16 where the hardware gains by it, else fp32. int8 is for CPUs, and for
    finished models: training validates as with auto."""

    @field_validator("beam_groups")
    @classmethod
    def _groups_divide_beams(cls, groups: int, info: ValidationInfo) -> int:
        beam_size = info.data.get("beam_size")
        if beam_size is not None and beam_size % groups:
            raise conflict(f"beam_groups ({groups}) must divide beam_size ({beam_size})", "beam_groups", "beam_size")
        return groups


class TranslationSettings(AnySettings):
    """A whole recipe for `task: translation`."""

    task: Literal["translation"] = "translation"
    """What is trained: translation, an encoder-decoder on parallel text."""
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
