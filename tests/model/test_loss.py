import pytest
import torch
import torch.nn.functional as F

from seq2seq.config import ModelSettings
from seq2seq.data.batch import Batch
from seq2seq.model import loss as module
from seq2seq.model.loss import projected_loss, r_drop_loss
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import PAD


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_loss_and_gradient_of_a_projection(label_smoothing: float, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: torch's own loss of all scores at once."""
    monkeypatch.setattr(module, "ROWS", rows)
    torch.manual_seed(0)
    hidden, weight = (torch.randn(size, requires_grad=True) for size in ((11, 8), (30, 8)))
    targets = torch.randint(PAD + 1, 30, (11,))
    targets[[2, 10]] = PAD
    scores, real = hidden @ weight.t(), targets != PAD
    expected = F.cross_entropy(scores[real], targets[real], reduction="sum", label_smoothing=label_smoothing)
    found = projected_loss(hidden, weight, targets, label_smoothing)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(3 * expected, (hidden, weight))
    torch.testing.assert_close(torch.autograd.grad(3 * found, (hidden, weight)), wanted)
    with torch.no_grad():
        torch.testing.assert_close(projected_loss(hidden, weight, targets, label_smoothing), expected)


def test_bf16_changes_only_rounding() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(64, 32, requires_grad=True), torch.randn(100, 32, requires_grad=True)
    targets = torch.randint(PAD + 1, 100, (64,))
    exact = projected_loss(hidden, weight, targets, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = projected_loss(hidden, weight, targets, 0.1)
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=5e-3)
    for a, b in zip(*(torch.autograd.grad(x, (hidden, weight)) for x in (rounded, exact)), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 1e-2 * b.norm()


def test_r_drop_is_half_of_the_papers_equation() -> None:
    """Oracle: the equation written with torch's own losses."""
    torch.manual_seed(0)
    logits = torch.randn(2, 7, 11, requires_grad=True)
    targets = torch.randint(11, (7,))
    p, q = F.log_softmax(logits, dim=-1)
    divergence = F.kl_div(q, p, reduction="sum", log_target=True) + F.kl_div(p, q, reduction="sum", log_target=True)
    losses = F.nll_loss(p, targets, reduction="sum") + F.nll_loss(q, targets, reduction="sum")
    expected = (losses + 5 / 2 * divergence) / 2
    found = r_drop_loss(logits, targets, 0.0, 5.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(found, logits)
    (wanted,) = torch.autograd.grad(expected, logits)
    assert torch.allclose(gradient, wanted, atol=1e-6)


def test_r_drop_without_dropout_is_the_plain_loss() -> None:
    settings = ModelSettings(layers=1, d_model=16, heads=2, d_feedforward=32, dropout=0.0)
    model = Transformer(settings, 20, 20, shared=True)
    tokens = [torch.randint(4, 20, (length,)).numpy() for length in (3, 6, 4)]
    batch = Batch.from_ids(tokens, tokens[::-1])
    plain, n = model(batch, 0.1)
    doubled, again = model(batch, 0.1, 5.0)
    assert n == again == 13
    assert doubled.item() == pytest.approx(plain.item(), rel=1e-6)


def test_r_drop_draws_two_passes_with_different_dropout() -> None:
    settings = ModelSettings(layers=1, d_model=16, heads=2, d_feedforward=32, dropout=0.5)
    model = Transformer(settings, 20, 20, shared=True)
    tokens = [torch.arange(4, 10).numpy()]
    losses = []
    for weight in (1e-9, 5.0):
        torch.manual_seed(1)
        losses.append(model(Batch.from_ids(tokens, tokens), 0.0, weight)[0].item())
    assert losses[1] > losses[0] + 0.1
