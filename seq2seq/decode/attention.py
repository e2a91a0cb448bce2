"""What a model looks at while it reads given text: the attention weights of every layer and head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.data.batch import Batch
from seq2seq.model.attention import Layout
from seq2seq.model.device import autocast, evaluating
from seq2seq.model.folder import TrainedGPT, TrainedModel
from seq2seq.text.ids import PAD, Ids


@dataclass(frozen=True)
class Attention:
    """Attention weights of a sentence pair, fp32, on the model's device, the lowest layer first; rows sum to 1.

    Row t of the decoder belongs to the step that predicts target token t: it has read bos and the target tokens before
    that one, so its keys are bos and all target tokens but the last. In bf16 weights are rounded to 8 bits, and a sum
    is 1 to as much.

    Attributes:
        encoder: [L, H, S, S].
        decoder: [L, H, T, T], 0 above the diagonal.
        cross: [L, H, T, S].
    """

    encoder: Tensor
    decoder: Tensor
    cross: Tensor


def attention_of_pairs(trained: TrainedModel, sources: Sequence[Ids], targets: Sequence[Ids]) -> list[Attention]:
    """Returns the attention weights of sentence pairs, computed together.

    Args:
        trained: the model; it may be prepared for decoding.
        sources: ids of each source, ending in eos.
        targets: ids of its translation, ending in eos.
    """
    model, batch = trained.model, Batch.from_ids(sources, targets).to(trained.device)
    encoder: list[Tensor] = []  # of each layer [B, H, S, S]
    decoder: list[Tensor] = []
    cross: list[Tensor] = []
    with evaluating(model), autocast(trained.decode_precision, trained.device):
        memory = replace(model.start(batch.src, encoder), layout=Layout.padded(batch.src != PAD, cross))
        model.decode(batch.tgt_in, memory, decoder)
        kinds = [torch.stack(seen, dim=1) for seen in (encoder, decoder, cross)]  # [B, L, H, queries, keys]
    found = []
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        n, m = len(source), len(target)
        found.append(Attention(kinds[0][i, ..., :n, :n], kinds[1][i, ..., :m, :m], kinds[2][i, ..., :m, :n]))
    return found


def attention_of_text(trained: TrainedGPT, ids: Sequence[int]) -> Tensor:
    """Returns the attention weights of a language model that reads a text.

    Args:
        trained: the model; it may be prepared for decoding.
        ids: what it reads, at least one token, at most as many as its window holds.

    Returns:
        [L, H, T, T] fp32, the lowest layer first: row t is where the model looks when it has read token t; 0 above the
        diagonal.

    Raises:
        ValueError: there are more tokens than the window holds.
    """
    seen: list[Tensor] = []
    with evaluating(trained.model), autocast(trained.decode_precision, trained.device):
        trained.model.hidden(torch.tensor([list(map(int, ids))], device=trained.device), seen=seen)
        return torch.stack(seen)[:, 0]
