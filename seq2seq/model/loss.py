"""The training loss."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq.model.device import in_precision
from seq2seq.text.ids import PAD

ROWS = 512  # whose scores over the vocabulary are computed together


@torch.compiler.disable  # type: ignore[untyped-decorator]  # its loop would be compiled for each number of rows
def projected_loss(hidden: Tensor, weight: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Returns the summed cross-entropy of hidden @ weight^T, the target distribution smoothed over the vocabulary.

    *Rethinking the Inception Architecture*, section 7: a share `label_smoothing` of the probability is spread evenly
    over all V entries, the true one included. Scores are computed for some rows at a time, and with them at once the
    gradient: those of all tokens are never there together.

    Args:
        hidden: [N, D] float.
        weight: [V, D] float, of the output projection.
        targets: [N] int64; pad: nothing to predict.
        label_smoothing: in [0, 1).

    Returns:
        Scalar float32, nats, summed over the tokens; softmax and loss run in fp32.
    """
    hidden = in_precision(hidden)
    loss: Tensor = _ProjectedLoss.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, label_smoothing, torch.is_grad_enabled()
    )
    return loss


class _ProjectedLoss(torch.autograd.Function):
    """Loss and gradient in one go."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, label_smoothing: float, differentiate: bool
    ) -> Tensor:
        real = (targets != PAD).to(hidden.dtype)[:, None]  # [N, 1], 1 or 0
        rows, matrix = hidden * real, weight.to(hidden.dtype)
        total = torch.zeros((), device=hidden.device)
        d_rows, d_weight = (torch.empty_like(rows), torch.zeros_like(weight)) if differentiate else (rows, weight)
        smoothed = label_smoothing / len(weight)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(rows), ROWS):
                part = slice(start, start + ROWS)
                scores = (rows[part] @ matrix.t()).float()  # [rows, V]
                true = targets[part, None]
                log_probs = scores.log_softmax(-1)
                loss = (label_smoothing - 1) * log_probs.gather(-1, true) - smoothed * log_probs.sum(-1, keepdim=True)
                total += (loss * real[part]).sum()
                if not differentiate:
                    continue
                change = log_probs.exp_().sub_(smoothed)  # the gradient of the scores, but for the true tokens
                change.scatter_add_(-1, true, change.new_full(true.shape, label_smoothing - 1))
                change = change.to(rows.dtype)
                d_rows[part] = change @ matrix
                d_weight += change.t() @ rows[part]
        if differentiate:
            ctx.save_for_backward(d_rows.mul_(real), d_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        d_rows, d_weight = ctx.saved_tensors
        return d_rows * outer[0].to(d_rows.dtype), d_weight * outer[0], None, None, None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # as `projected_loss`
def r_drop_loss(logits: Tensor, targets: Tensor, label_smoothing: float, weight: float) -> Tensor:
    """Returns the loss of two dropout passes over the same tokens, drawn together: R-Drop (Liang et al. 2021).

    Half of the paper's equation 4, so that it compares with the loss of one pass: the mean of both cross-entropies
    plus weight / 4 times the sum of the Kullback-Leibler divergences in both directions.

    Args:
        logits: [2, N, V] float, of the two passes; computed in fp32, some rows at a time.
        targets: [N] int64, real tokens only.
        label_smoothing: of the cross-entropies, in [0, 1).
        weight: alpha of the paper.

    Returns:
        Scalar float32, nats, summed over the N tokens.
    """
    loss: Tensor = _RDropLoss.apply(logits, targets, label_smoothing, weight)  # type: ignore[no-untyped-call]
    return loss


class _RDropLoss(torch.autograd.Function):
    """Loss and gradient in one go: of all that has the size of the vocabulary only the gradient is kept."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, label_smoothing: float, weight: float) -> Tensor:
        total = torch.zeros((), device=logits.device)
        gradient = torch.empty_like(logits)
        smoothed = label_smoothing / logits.shape[-1]
        for start in range(0, len(targets), ROWS):
            rows = slice(start, start + ROWS)
            log_p = F.log_softmax(logits[:, rows].float(), dim=-1)  # [2, rows, V]
            p = log_p.exp()
            true = targets[rows].expand(2, -1)[:, :, None]  # [2, rows, 1]
            cross_entropy = -(1 - label_smoothing) * log_p.gather(-1, true).sum() - smoothed * log_p.sum()
            change = p - smoothed  # the cross-entropies' gradient
            change.scatter_add_(-1, true, change.new_full(true.shape, label_smoothing - 1))
            ratio = log_p - log_p.flip(0)  # of each pass to the other
            divergence = (p * ratio).sum(-1, keepdim=True)  # [2, rows, 1]
            total += cross_entropy / 2 + weight / 4 * divergence.sum()
            gradient[:, rows] = (change / 2 + weight / 4 * (p * (ratio - divergence) + p - p.flip(0))).to(logits.dtype)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0].to(gradient.dtype), None, None, None
