import math

import pytest
import torch

from seq2seq.config import ModelSettings
from seq2seq.model.dropout import Dropout, dropout
from seq2seq.model.layers import Residual
from seq2seq.model.positions import sinusoids
from seq2seq.model.transformer import Transformer


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.9])
def test_dropout_has_its_probability_and_keeps_the_expectation(probability: float) -> None:
    torch.manual_seed(0)
    out = dropout(torch.ones(1_000_003), probability)
    zeros = float((out == 0).double().mean())
    deviation = math.sqrt(probability * (1 - probability) / out.numel())
    assert abs(zeros - probability) < 6 * deviation + 2**-16
    kept = out[out != 0]
    assert torch.equal(kept, kept[0].expand_as(kept))
    exact = round(probability * 2**16) / 2**16
    assert float(kept[0]) == pytest.approx(1 / (1 - exact), rel=1e-6)


def test_dropout_entries_are_independent_of_each_other() -> None:
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(400_000), 0.5) == 0).float().view(-1, 4)  # four entries share a random word
    correlation = torch.corrcoef(dropped.T) - torch.eye(4)
    assert correlation.abs().max() < 6 / math.sqrt(100_000)


def test_dropout_gradient_is_its_mask() -> None:
    x = torch.ones(1000, requires_grad=True)
    out = dropout(x, 0.3)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())


def test_dropout_is_off_in_evaluation() -> None:
    layer = Dropout(0.5).eval()
    x = torch.randn(10)
    assert layer(x) is x


@pytest.mark.parametrize("probability", [0.0, 0.4])
def test_sum_and_norm_in_one_go(probability: float) -> None:
    """Oracle: torch's parts one after another, with the same dropout."""
    torch.manual_seed(0)
    residual, linear = Residual(8, probability, "post"), torch.nn.Linear(8, 8)
    torch.nn.init.normal_(residual.norm.weight)
    x = torch.randn(5, 3, 8, requires_grad=True)
    parameters = [x, *linear.parameters(), *residual.parameters()]
    torch.manual_seed(1)
    found = residual(x, linear)
    torch.manual_seed(1)
    expected = residual.norm(x + dropout(linear(x), probability)) if probability else residual.norm(x + linear(x))
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(found)
    for a, b in zip(*(torch.autograd.grad(out, parameters, direction) for out in (found, expected)), strict=True):
        torch.testing.assert_close(a, b)


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(torch.arange(300), 8)
    for position in (0, 1, 77, 299):
        for i in range(4):
            angle = position / 10000 ** (2 * i / 8)
            assert float(table[position, 2 * i]) == pytest.approx(math.sin(angle), abs=1e-6)
            assert float(table[position, 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-6)


def test_initialisation_follows_its_table() -> None:
    torch.manual_seed(0)
    model = Transformer(ModelSettings(layers=1, d_model=128, heads=4, d_feedforward=512), 1000, 1000, True)
    embedding = model.target_embedding.tokens.weight.detach()
    assert float(embedding.std()) == pytest.approx(128**-0.5, rel=0.02)
    layer = model.encoder[0]
    for linear in (layer.self_attention.qkv, layer.feed_forward.inner, layer.feed_forward.outer):
        assert float(linear.weight.detach().abs().max()) == pytest.approx(linear.in_features**-0.5, rel=0.01)
    assert not layer.self_attention.qkv.bias.any()
    assert torch.equal(layer.feed_forward_residual.norm.weight, torch.ones(128))
