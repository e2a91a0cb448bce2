"""Settings of a decoder-only language model."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from seq2seq.config.common import AnyModelSettings
from seq2seq.config.section import DropRate, conflict


class GPTSettings(AnyModelSettings):
    """The decoder-only Transformer."""

    context: int = Field(default=256, ge=1)
    """Tokens in the window: the most that the model reads at once, and of which the next one is predicted."""
    layers: int = Field(default=6, ge=0)
    """Layers; 0: with positions none a bigram model, which looks at the last token only."""
    d_model: int = Field(default=384, ge=2, multiple_of=2)
    """Width of embeddings and layers; heads must divide it."""
    heads: int = Field(default=6, ge=1)
    """Attention heads of each layer; must divide d_model."""
    d_feedforward: Annotated[int, Field(ge=0)] | None = None
    """Inner width of the feed-forward layers; null: 4 times d_model; 0: attention alone, no feed-forward layers."""
    dropout: DropRate = 0.1
    """Share of activations dropped in training, of embeddings and of each sublayer's output."""
    attention_dropout: DropRate = 0.0
    """Share of attention weights dropped in training; above 0 attention is slower."""
    norm: Literal["pre", "post"] = "pre"
    """Normalisation before each sublayer and once at the end, as in GPT-2, or after each residual sum, as in GPT."""
    positions: Literal["learned", "sinusoidal", "rotary", "none"] = "learned"
    """How a token's position is told: a vector added to its embedding, queries and keys turned by it, or not at all."""
    activation: Literal["gelu_tanh", "gelu", "relu"] = "gelu_tanh"
    """Activation of the feed-forward layers; gelu_tanh is GPT-2's approximation of gelu."""
    tie_embeddings: bool = True
    """Whether output projection and token embedding are one."""

    @field_validator("positions")
    @classmethod
    def _rotary_turns_pairs(cls, positions: str, info: ValidationInfo) -> str:
        d_model, heads = info.data.get("d_model"), info.data.get("heads")
        if positions == "rotary" and d_model and heads and d_model // heads % 2:
            reason = f"positions rotary turns pairs of entries, so d_model / heads ({d_model // heads}) must be even"
            raise conflict(reason, "positions", "heads", "d_model")
        return positions
