"""Search among the words of a shortlist: the model's own scores, among fewer words."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_pairs, tiny_recipe

from seq2seq.config import TokenizerSettings, TranslationSettings
from seq2seq.data.batch import Batch
from seq2seq.data.lexicon import learn_shortlist
from seq2seq.decode.constraints import Demand
from seq2seq.decode.steering import Glossary, Steering
from seq2seq.decode.stepper import TransformerStepper
from seq2seq.decode.translator import Translator
from seq2seq.errors import ModelError
from seq2seq.model.folder import TrainedModel, build_model
from seq2seq.text import shortlist as module
from seq2seq.text.ids import BOS, EOS
from seq2seq.text.shortlist import Choice, Shortlist
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(200)
LINES = [source for source, _ in make_pairs(40, seed=9)]


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "separate"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model with random weights whose shortlist has about a quarter of the words for each sentence."""
    recipe = tiny_recipe(tmp_path_factory.mktemp("model"), decode={"shortlist": True, "beam_size": 3})
    settings = TranslationSettings.model_validate(recipe)
    size = 70 if request.param else 40
    tokenizer = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=size, shared=request.param))
    torch.manual_seed(4)
    model = build_model(settings, tokenizer)
    with torch.no_grad():  # so that hypotheses end at different lengths
        model.target_embedding.tokens.weight[EOS] *= 2.5
    sources = tokenizer.source_rows([source for source, _ in PAIRS])
    targets = tokenizer.target_rows([target for _, target in PAIRS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seq2seq.data.lexicon.FREQUENT", 2)
        patch.setattr("seq2seq.data.lexicon.PER_TOKEN", 2)
        shortlist = learn_shortlist(sources, targets, tokenizer)
    return TrainedModel(model.eval(), tokenizer, settings, 60, shortlist)


def without(trained: TrainedModel) -> TrainedModel:
    decode = trained.settings.decode.model_copy(update={"shortlist": False})
    return replace(trained, settings=trained.settings.model_copy(update={"decode": decode}))


def test_translations_have_only_listed_words(trained: TrainedModel) -> None:
    assert trained.shortlist
    sources = trained.tokenizer.source_rows(LINES)
    allowed = trained.shortlist.allowed(sources)
    assert 0 < allowed.sum(axis=1).mean() < 0.5 * allowed.shape[1]
    outside = 0
    for translator, all_listed in ((Translator(trained), True), (Translator(without(trained)), False)):
        for row, translation in zip(allowed, translator.translate_all(LINES, n_best=3), strict=True):
            assert len(translation.candidates) == 3
            for candidate in translation.candidates:
                assert candidate.text == trained.tokenizer.decode_target([candidate.tokens])[0]
                assert row[candidate.tokens].all() or not all_listed
                outside += not row[candidate.tokens].all()
    assert outside


def test_a_score_is_that_of_the_model_among_listed_words(trained: TrainedModel) -> None:
    assert trained.shortlist
    for translation, line in zip(Translator(trained).translate_all(LINES[:8], n_best=2), LINES, strict=False):
        source = trained.tokenizer.encode_source([line])[0]
        (row,) = trained.shortlist.allowed(trained.tokenizer.source_rows([line]))
        for candidate in translation.candidates:
            batch = Batch.from_ids([source], [np.array([*candidate.tokens, EOS])])
            with torch.no_grad():
                logits = trained.model.logits(trained.model.decode(batch.tgt_in, trained.model.start(batch.src)))[0]
            listed = logits.masked_fill(~torch.from_numpy(row), -torch.inf).log_softmax(dim=-1)
            expected = listed.gather(1, batch.tgt_out[0, :, None]).sum()
            assert candidate.log_prob == pytest.approx(float(expected), abs=1e-4)


def test_batches_do_not_change_translations(trained: TrainedModel) -> None:
    expected = Translator(trained, batch_size=1).translate_all(LINES)
    assert len({len(translation.candidates[0].tokens) for translation in expected}) > 3
    for batch_size in (7, 40):
        for a, b in zip(Translator(trained, batch_size=batch_size).translate_all(LINES), expected, strict=True):
            assert a.candidates[0].tokens == b.candidates[0].tokens
            assert a.candidates[0].score == pytest.approx(b.candidates[0].score, abs=1e-4)


def test_the_whole_vocabulary_listed_is_none(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both where nothing is chosen and where all is: to the last bit."""
    expected = Translator(without(trained)).translate_all(LINES, n_best=3)
    everything = np.arange(trained.tokenizer.target_vocab_size)
    monkeypatch.setattr(
        Shortlist, "choose", lambda _, rows: Choice(everything, np.ones((len(rows), len(everything)), dtype=bool))
    )
    assert Translator(trained).translate_all(LINES, n_best=3) == expected
    monkeypatch.undo()
    monkeypatch.setattr(module, "LARGEST", 0.0)
    assert Translator(trained).translate_all(LINES, n_best=3) == expected


def test_sentences_that_leave_take_their_words_along(trained: TrainedModel) -> None:
    assert trained.shortlist
    rows = trained.tokenizer.encode_source(LINES[:4])
    choice = trained.shortlist.choose(rows)
    assert choice is not None
    stepper = TransformerStepper(trained.model, rows, choice=choice)
    with torch.no_grad():
        stepper.start(2)
        first = stepper.step(torch.full((8,), BOS)).view(4, 2, -1)
        stepper.reorder(torch.tensor([3, 2, 6, 6]))  # of the sentences 1 and 3
        second = stepper.step(torch.full((4,), EOS)).view(2, 2, -1)
    for found, kept in ((first, [0, 1, 2, 3]), (second, [1, 3])):
        assert torch.equal(found.isfinite()[:, 0], torch.from_numpy(choice.allowed[kept]))


def test_bf16_products_are_those_of_the_whole_matrix(trained: TrainedModel) -> None:
    everything = np.arange(trained.tokenizer.target_vocab_size)
    rows = trained.tokenizer.encode_source(LINES[:4])
    found = []
    for choice in (None, Choice(everything, np.ones((4, len(everything)), dtype=bool))):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            stepper = TransformerStepper(trained.model, rows, choice=choice)
            stepper.start(2)
            found.append(stepper.step(torch.full((8,), BOS)))
    assert torch.equal(*found)


def test_asked_for_where_there_is_none(trained: TrainedModel) -> None:
    with pytest.raises(ModelError, match=r"no shortlist \(decode.shortlist\); learn one .*\n  seq2seq-shortlist MODEL"):
        Translator(replace(trained, shortlist=None))
    assert Translator(replace(without(trained), shortlist=None)).translate(LINES[:1])
    (found,) = Translator(trained).searcher.search(trained.tokenizer.encode_source(["dog"]), [Demand()], 1)
    assert not isinstance(found, Exception) and found[0].tokens


def test_what_is_asked_of_other_lines_changes_nothing(trained: TrainedModel) -> None:
    term = LINES[0].split()[0]
    lines = [line for line in LINES if term.lower() not in line.lower()][:8]
    steered = Translator(trained, steering=Steering(Glossary({term: ("y",)})))
    expected = [one.candidates[0].tokens for one in Translator(trained).translate_all(lines)]
    assert expected != [one.candidates[0].tokens for one in Translator(without(trained)).translate_all(lines)]
    together = steered.translate_all([*lines, LINES[0]])
    assert [one.candidates[0].tokens for one in together[:-1]] == expected
    assert "y" in together[-1].text
