"""The training loss."""

import torch.nn.functional as F
from torch import Tensor


def label_smoothed_loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Returns the summed cross-entropy with the target distribution smoothed over the whole vocabulary.

    *Rethinking the Inception Architecture*, section 7: a share `label_smoothing` of the probability is spread evenly
    over all V entries, the true one included.

    Args:
        logits: [N, V] float; the softmax runs in fp32.
        targets: [N] int64, real tokens only.
        label_smoothing: in [0, 1).

    Returns:
        Scalar float32, nats, summed over the N tokens.
    """
    return F.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=label_smoothing)


def r_drop_loss(logits: Tensor, targets: Tensor, label_smoothing: float, weight: float) -> Tensor:
    """Returns the loss of two dropout passes over the same tokens, drawn together: R-Drop (Liang et al. 2021).

    Half of the paper's equation 4, so that it compares with the loss of one pass: the mean of both cross-entropies
    plus weight / 4 times the sum of the Kullback-Leibler divergences in both directions.

    Args:
        logits: [2, N, V] float, of the two passes.
        targets: [N] int64, real tokens only.
        label_smoothing: of the cross-entropies, in [0, 1).
        weight: alpha of the paper.

    Returns:
        Scalar float32, nats, summed over the N tokens.
    """
    cross_entropy = label_smoothed_loss(logits.flatten(0, 1), targets.repeat(2), label_smoothing) / 2
    first, second = F.log_softmax(logits.float(), dim=-1)  # [N, V] each
    divergence = ((first.exp() - second.exp()) * (first - second)).sum()  # of both directions
    total: Tensor = cross_entropy + weight / 4 * divergence
    return total
