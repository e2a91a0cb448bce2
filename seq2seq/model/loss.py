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
