import pytest
import torch
from torch import nn

from seq2seq.train.ema import MovingAverage


def test_average_is_the_recursion() -> None:
    model = nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    expected = model.weight.detach().double().clone()
    for step in range(1, 200):
        with torch.no_grad():
            model.weight.add_(torch.full_like(model.weight, 0.01 * step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach().double()
    now = model.weight.detach().clone()
    with average.applied():
        assert torch.allclose(model.weight.double(), expected, rtol=1e-5)
    assert torch.equal(model.weight, now)


def test_applied_gives_the_weights_back_after_an_error() -> None:
    model = nn.Linear(3, 2)
    average = MovingAverage(model, 0.5)
    with torch.no_grad():
        model.weight.zero_()
    with pytest.raises(KeyError), average.applied():
        assert not torch.equal(model.weight, torch.zeros(2, 3))
        raise KeyError
    assert torch.equal(model.weight, torch.zeros(2, 3))
