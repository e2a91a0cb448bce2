"""Several models that translate together, against what their logits say by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from conftest import make_pairs
from decode.stored import LINES, stored
from torch import Tensor

from seq2seq.config import DecodeSettings, TokenizerSettings
from seq2seq.data.batch import Batch
from seq2seq.decode.beams import LengthPenalty
from seq2seq.decode.ensemble import Ensemble
from seq2seq.decode.searcher import Searcher
from seq2seq.decode.translator import Translator
from seq2seq.errors import ModelError
from seq2seq.model.folder import TrainedModel, build_model
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer


def another(seed: int, noise: float = 0.1) -> TrainedModel:
    """The stored model with noise, so that it is another one that translates nearly as well."""
    own = stored()
    model = build_model(own.settings, own.tokenizer)
    model.load_state_dict(own.model.state_dict())
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += noise * parameter.std(correction=0) * torch.randn_like(parameter)
    return TrainedModel(model.eval(), own.tokenizer, own.settings, own.max_source_length)


class Fixed:
    """A stepper with the same logits at each step."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.calls: list[object] = []

    def start(self, beam_size: int) -> int:
        return len(self.logits)

    def step(self, tokens: Tensor) -> Tensor:
        return self.logits

    def reorder(self, rows: Tensor) -> None:
        self.calls.append(rows.tolist())

    def refill(self, places: list[int]) -> None:
        self.calls.append(places)

    def coverage(self) -> Tensor:
        return self.logits[:, 0]


def test_a_step_is_the_mean_of_probabilities() -> None:
    first = torch.tensor([[0.0, 1.0, -2.0], [3.0, 3.0, -math.inf]])
    second = torch.tensor([[5.0, 5.0, 7.0], [0.0, 1.0, 2.0]])
    steppers = [Fixed(first), Fixed(second)]
    ensemble = Ensemble(steppers)
    assert ensemble.start(1) == 2
    expected = (first.softmax(-1) + second.softmax(-1)) / 2
    for found in (ensemble.step(torch.zeros(2)), ensemble.step(torch.zeros(2)) - math.log(2)):
        assert torch.allclose(found.softmax(-1), expected, atol=1e-6)
    ensemble.reorder(torch.tensor([1, 0]))
    ensemble.refill([1])
    assert [each.calls for each in steppers] == [[[1, 0], [1]]] * 2
    assert torch.allclose(ensemble.coverage(), (first[:, 0] + second[:, 0]) / 2)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_a_model_with_itself_is_the_model(beam_size: int) -> None:
    own = stored(beam_size=beam_size)
    expected = Translator(own).translate_all(LINES, n_best=beam_size)
    found = Translator(own, others=[own, own]).translate_all(LINES, n_best=beam_size)
    for one, other in zip(found, expected, strict=True):
        assert [c.tokens for c in one.candidates] == [c.tokens for c in other.candidates]
        assert [c.score for c in one.candidates] == pytest.approx([c.score for c in other.candidates], abs=1e-5)


def forced(models: Sequence[TrainedModel], line: str, tokens: Sequence[int]) -> float:
    """The log-probability of tokens and eos by the mean of the models' probabilities."""
    (source,) = models[0].tokenizer.encode_source([line])
    ids = [*tokens, EOS]
    batch = Batch.from_ids([source], [np.array(ids)])
    with torch.no_grad():
        probabilities = []
        for each in models:
            hidden = each.model.decode(batch.tgt_in, each.model.start(batch.src))
            probabilities.append(each.model.logits(hidden).view(-1, each.tokenizer.target_vocab_size).softmax(-1))
    mean = torch.stack(probabilities).mean(0)
    return sum(float(mean[t, token].log()) for t, token in enumerate(ids))


def test_the_score_of_two_models_is_the_forced_one_in_whatever_order() -> None:
    models = [stored(), another(1)]
    lines = LINES[:12]
    found = Translator(models[0], 5, others=models[1:]).translate_all(lines, n_best=2)
    turned = Translator(models[1], 5, others=models[:1]).translate_all(lines, n_best=2)
    alone = [Translator(each).translate(lines) for each in models]
    penalty = LengthPenalty()
    for line, one, other in zip(lines, found, turned, strict=True):
        assert [c.tokens for c in one.candidates] == [c.tokens for c in other.candidates]
        for candidate in one.candidates:
            expected = forced(models, line, candidate.tokens)
            assert candidate.log_prob == pytest.approx(expected, abs=1e-4)
            assert candidate.score == pytest.approx(expected / penalty(len(candidate.tokens) + 1), abs=1e-4)
    texts = [one.text for one in found]
    assert texts != alone[0] and texts != alone[1]


def test_other_tokenizers_are_refused() -> None:
    own = stored()
    tokenizer = Tokenizer.train(make_pairs(60), TokenizerSettings(vocab_size=60))
    other = TrainedModel(build_model(own.settings, tokenizer), tokenizer, own.settings, 40)
    with pytest.raises(ModelError, match="must have the same tokenizer"):
        Translator(own, others=[other])


def test_all_models_search_in_evaluation_mode_and_go_back() -> None:
    own, other = stored(), another(2)
    seen: list[list[bool]] = []
    other.model.register_forward_pre_hook(lambda *_: None)
    other.model.train()
    searcher = Searcher([own, other], decode=DecodeSettings(beam_size=1))
    real = searcher._beam_search

    def watched(*arguments: object) -> object:
        seen.append([each.model.training for each in searcher.models])
        return real(*arguments)  # type: ignore[arg-type]

    searcher._beam_search = watched  # type: ignore[method-assign, assignment]
    from seq2seq.decode.constraints import Demand

    (found,) = searcher.search(own.tokenizer.encode_source(LINES[:1]), [Demand()], 1)
    assert not isinstance(found, Exception) and found[0].tokens
    assert seen == [[False, False]]
    assert [own.model.training, other.model.training] == [False, True]
