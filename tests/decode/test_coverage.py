"""The coverage of search against attention weights of forced decoding."""

import numpy as np
import pytest
import torch
from decode.stored import LINES, stored
from tiny_models import build
from torch import Tensor

from seq2seq.data.batch import Batch
from seq2seq.decode.beams import LengthPenalty
from seq2seq.decode.coverage import LEAST, CoveringStepper
from seq2seq.decode.searcher import Searcher
from seq2seq.decode.translator import PLAIN_DEMAND
from seq2seq.model.folder import TrainedModel
from seq2seq.text.ids import BOS, EOS, Ids

BETA = 0.4


def forced(trained: TrainedModel, source: Ids, tokens: list[int]) -> float:
    """The coverage of a whole translation: what its tokens and the end have taken from each source token but eos."""
    batch = Batch.from_ids([source], [np.array([*tokens, EOS])])
    with torch.no_grad():
        weights: Tensor = trained.model.cross_attention(batch.src, batch.tgt_in)[-1, 0].mean(0)  # [T, S]
    attended = weights[: len(tokens) + 1, : len(source) - 1].sum(0)
    return float(attended.clamp(LEAST, 1.0).log().sum())


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_scores_hold_the_coverage_of_forced_decoding(batch_size: int, beam_size: int) -> None:
    deep = build()  # of several layers, the last of which counts
    for trained, lines in ((stored(), LINES[:10]), (deep, ["red dog.", "old cat sees house.", "a", "tree " * 9])):
        decode = trained.settings.decode.model_copy(
            update={"coverage_penalty": BETA, "beam_size": beam_size, "max_length_ratio": 0.7}
        )
        trained.model.eval()
        searcher = Searcher([trained], batch_size, decode=decode)
        sources = trained.tokenizer.encode_source(lines)
        found = searcher.search(sources, [PLAIN_DEMAND] * len(lines), beam_size)
        penalty = LengthPenalty(decode.length_norm, decode.length_penalty)
        lengths = set()
        for source, hypotheses in zip(sources, found, strict=True):
            assert not isinstance(hypotheses, Exception) and hypotheses
            for one in hypotheses:
                coverage = forced(trained, source, one.tokens)
                assert coverage <= 0
                expected = one.log_prob / penalty(len(one.tokens) + 1) + BETA * coverage
                assert one.score == pytest.approx(expected, abs=1e-4)
                lengths.add(len(one.tokens))
        assert len(lengths) > 1


def test_the_stepper_knows_the_coverage_of_each_row_in_whatever_place() -> None:
    trained = build()
    trained.model.eval()
    sources = sorted(trained.tokenizer.encode_source(["old cat sees house.", "red dog.", "a"]), key=len, reverse=True)
    rows = [[5, 6, 7], [8, 9, 10]]  # of each source two
    stepper = CoveringStepper(trained.model, sources, at_once=1)
    with torch.inference_mode():
        assert stepper.start(2) == 1
        for i, source in enumerate(sources):
            if i:
                stepper.refill([0])
            assert stepper.coverage().tolist() == pytest.approx([np.log(LEAST) * (len(source) - 1)] * 2, rel=1e-5)
            for t in range(4):
                stepper.step(torch.tensor([([BOS, *row])[t] for row in rows]))
            found = stepper.coverage().tolist()
            assert found == pytest.approx([forced(trained, source, row) for row in rows], abs=1e-4)
            stepper.reorder(torch.tensor([1, 1]))
            assert stepper.coverage().tolist() == pytest.approx([found[1]] * 2)


def test_coverage_changes_what_is_found() -> None:
    trained = stored()
    sources = trained.tokenizer.encode_source(LINES)
    best = []
    for beta in (0.0, 2.0):
        decode = trained.settings.decode.model_copy(update={"coverage_penalty": beta})
        found = Searcher([trained], decode=decode).search(sources, [PLAIN_DEMAND] * len(LINES), 1)
        tokens = [one[0].tokens for one in found if not isinstance(one, Exception)]
        best.append(sum(forced(trained, *each) for each in zip(sources, tokens, strict=True)))
    assert best[1] > best[0]
