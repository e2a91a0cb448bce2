"""Continuing and scoring texts: the same whatever the batch, the cache and the way it is asked for."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seq2seq.config import LanguageModelSettings
from seq2seq.decode.generator import Continuation, Generator
from seq2seq.decode.scorer import TextScorer, token_log_probs
from seq2seq.decode.stepper import GPTStepper
from seq2seq.decode.windows import window_start, windows
from seq2seq.errors import ModelError, Seq2SeqError
from seq2seq.model.dropout import Dropout
from seq2seq.model.folder import TrainedGPT
from seq2seq.model.gpt import GPT
from seq2seq.text.codecs import CharacterCodec
from seq2seq.text.ids import EOS, UNK
from seq2seq.text.tokenizer import Tokenizer

CONTEXT, LETTERS = 16, "abcdefgh é\n日"
PROMPTS = ["abc", "", "h", "ab\nba", "cab", "é日é" * 9, "a" * 16, "b" * 17, "dab" * 30, " "]
GREEDY: dict[str, Any] = {"temperature": 0.0}


def build(context: int = CONTEXT, positions: str = "learned", **decode: Any) -> TrainedGPT:
    """A tiny model with random weights, which writes anything; `decode` are its settings."""
    recipe = {
        "task": "language_model",
        "output": "run",
        "data": {"train": [{"text": "a.txt"}], "valid": {"share": 0.1}},
        "model": {"layers": 2, "d_model": 16, "heads": 2, "context": context, "dropout": 0.0, "positions": positions},
        "decode": {"max_new_tokens": 60, **decode},
    }
    settings = LanguageModelSettings.model_validate(recipe)
    tokenizer = Tokenizer([CharacterCodec.train([LETTERS], 100, 1.0, []).content], "characters")
    torch.manual_seed(3)
    model = GPT(settings.model, tokenizer.target_vocab_size)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():  # so that texts end at different lengths
        model.token_embedding.weight[EOS] *= 0.3
    return TrainedGPT(model.eval(), tokenizer, settings)


def flat(found: list[list[Continuation]]) -> list[Continuation]:
    return [continuation for row in found for continuation in row]


def same(found: list[list[Continuation]], expected: list[list[Continuation]]) -> bool:
    """Says whether texts are the same; log-probabilities may differ by rounding."""
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert (a.prompt, a.text, a.ids, a.tokens, a.end) == (b.prompt, b.text, b.ids, b.tokens, b.end)
        assert a.token_log_probs == pytest.approx(b.token_log_probs, abs=1e-4)
    return True


def test_the_window_after_reading_one_by_one() -> None:
    for context in (1, 2, 3, 7, 8):
        start = read = 0
        for length in range(1, 60):
            if read - start == context:
                start = read - context // 2
            read = length
            assert start == window_start(length, context)


def test_windows_predict_every_token_once_from_what_generating_sees() -> None:
    for context in (1, 2, 3, 7, 8):
        for length in range(60):
            seen = [
                (target, start)
                for start, old in windows(length, context)
                for target in range(start + old + 1, min(start + context + 1, length))
            ]
            assert seen == [(target, window_start(target, context)) for target in range(1, length)]


@pytest.mark.parametrize("positions", ["learned", "rotary", "sinusoidal", "none"])
@pytest.mark.parametrize("decode", [GREEDY, {}, {"repetition_penalty": 1.2}, {"beam_size": 3}], ids=str)
def test_cached_is_uncached_over_several_windows(positions: str, decode: dict[str, Any]) -> None:
    trained = build(positions=positions, **decode)
    cached, uncached = (Generator(trained, cached=cached).generate(PROMPTS) for cached in (True, False))
    assert same(cached, uncached)
    assert max(len(continuation.ids) for continuation in flat(cached)) > 3 * CONTEXT


@pytest.mark.parametrize("context", [1, 2, 5])
def test_small_and_odd_windows(context: int) -> None:
    trained = build(context)
    for (a,), (b,) in zip(*(Generator(trained, cached=c).generate(PROMPTS) for c in (True, False)), strict=True):
        assert a.ids == b.ids
        row = np.array([*(trained.tokenizer.encode_texts([a.prompt])[0][:-1].tolist() or [EOS]), *a.ids])
        scores = token_log_probs(trained.model, [row], 10)[0]
        assert scores[-len(a.ids) :] == pytest.approx(a.token_log_probs, abs=1e-4)


def test_a_step_is_the_model_on_the_window() -> None:
    model, rows = build().model, torch.randint(4, 15, (3, 50), generator=torch.Generator().manual_seed(1))
    stepper = GPTStepper(model, rows[:, :5].tolist())
    with torch.no_grad():
        assert stepper.start(1) == 3
        for n in range(5, 50):
            window = rows[:, window_start(n, CONTEXT) : n]
            expected = model.logits(model.hidden(window)[:, -1])
            torch.testing.assert_close(stepper.step(rows[:, n - 1]), expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="the same number of tokens"):
        GPTStepper(model, [[4, 5], [4]])
    GPTStepper(model, [[4] * 16, [4] * 24])  # both see 15 tokens


@pytest.mark.parametrize("decode", [{}, {"beam_size": 3}], ids=str)
def test_batches_do_not_change_texts(decode: dict[str, Any]) -> None:
    trained = build(**decode)
    expected = Generator(trained, batch_size=1).generate(PROMPTS, 3)
    assert len({continuation.text for continuation in flat(expected)}) > 20
    for size in (2, 7, 100):
        assert same(Generator(trained, batch_size=size).generate(PROMPTS[::-1], 3)[::-1], expected)
    generator = Generator(trained)
    assert same([generator.generate([prompt], 3)[0] for prompt in PROMPTS], expected)
    assert same(list(generator.generate_stream(iter(PROMPTS), 3, at_once=4)), expected)


def test_seeds_prompts_and_numbers_draw_each_for_themselves() -> None:
    generator = Generator(build())
    first = generator.generate(["abc", "abd", "abc"], 2, seed=1)
    assert first == generator.generate(["abc", "abd", "abc"], 2, seed=1)
    assert first[0] == first[2] and first[0][0].text != first[0][1].text
    assert same(generator.generate(["abc"], 1, seed=1), [first[0][:1]])
    assert generator.generate(["abc"], 2, seed=2)[0][0].text not in (first[0][0].text, first[0][1].text)


def test_greedy_is_a_beam_of_one() -> None:
    greedy = Generator(build(temperature=0.0)).generate(PROMPTS)
    assert same(Generator(build(beam_size=1)).generate(PROMPTS), greedy)
    with pytest.raises(Seq2SeqError, match="2 continuations are more than the beam size, 1"):
        Generator(build(beam_size=1)).generate(["a"], 2)


def test_a_wide_beam_is_exhaustive() -> None:
    trained = build(beam_size=200)
    letters = range(UNK + 3, trained.tokenizer.target_vocab_size)
    texts = [[], *([a] for a in letters), *([a, b] for a in letters for b in letters)]
    for prompt in ("abc", "b" * 17):
        start = trained.tokenizer.encode_texts([prompt])[0][:-1].tolist()
        rows = [np.array([*start, *text, EOS]) for text in texts]
        # A text that is cut off has not ended: it is as probable as its tokens.
        found_log_probs = [row[len(start) - 1 :] for row in token_log_probs(trained.model, rows, 10**6)]
        totals = [sum(row[:2]) for row in found_log_probs]
        best = sorted(range(len(texts)), key=lambda i: -totals[i])[:60]
        found = Generator(trained).generate([prompt], 60, max_new_tokens=2)[0]
        assert [continuation.ids for continuation in found] == [[*texts[i], EOS][:2] for i in best]
        assert [continuation.log_prob for continuation in found] == pytest.approx([totals[i] for i in best], abs=1e-4)


def test_a_prompt_without_tokens_is_the_beginning_of_a_text() -> None:
    trained = build(**GREEDY)
    (found,) = Generator(trained).generate([""], max_new_tokens=1)[0]
    with torch.no_grad():
        logits = trained.model.logits(trained.model.hidden(torch.tensor([[EOS]]))[0, -1])
    logits[: UNK + 2] = -math.inf
    assert found.ids == [int(logits.argmax())]
    assert Generator(trained).generate(["\udcff"]) == Generator(trained).generate(["?"])


def test_the_same_words_begin_a_text_or_stand_in_one() -> None:
    trained = build(max_new_tokens=30)
    generator, scorer = Generator(trained), TextScorer(trained)
    (within,), (begun,) = (generator.generate(["cab"], begin=begin)[0] for begin in (False, True))
    assert within.ids != begun.ids and begun.prompt == "cab"
    assert "".join(generator.stream("cab", begin=True)) == begun.text
    assert generator.generate([""], begin=True) == generator.generate([""])
    # Lines are scored as the beginnings of texts, through all windows.
    scored = scorer.score(["cab" + begun.text])[0].token_log_probs[3:]
    assert len(scored) > CONTEXT
    assert scored == pytest.approx(begun.token_log_probs[: len(scored)], abs=1e-4)


def test_prompts_of_all_lengths_are_continued_together(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []

    class Counted(GPTStepper):
        def __init__(self, model: GPT, prompts: list[list[int]], **options: Any) -> None:
            batches.append(len(prompts))
            super().__init__(model, prompts, **options)

    prompts = ["abcdefgh"[: n % 8 + 1] * (n // 8 + 1) for n in range(60)]
    trained = build(repetition_penalty=1.3)
    alone = Generator(trained, batch_size=1).generate(prompts)
    monkeypatch.setattr("seq2seq.decode.generator.GPTStepper", Counted)
    assert same(Generator(trained).generate(prompts), alone)
    assert sum(batches) == len(set(prompts)) and len(batches) < 5


@pytest.mark.parametrize("decode", [{}, {"beam_size": 2}], ids=str)
def test_a_text_ends_in_front_of_a_stop_string(decode: dict[str, Any]) -> None:
    generator = Generator(build(**decode))
    free = flat(generator.generate(PROMPTS, 2))
    for stops in (["a"], ["日é", "b", "ab"], ["\n", "hh", "gh"], ["never written"]):
        for whole, found in zip(free, flat(generator.generate(PROMPTS, 2, stop=stops)), strict=True):
            if not any(stop in whole.text for stop in stops):
                assert same([[found]], [[whole]])
                continue
            ended = min(whole.text.find(stop) + len(stop) for stop in stops if stop in whole.text)
            longest = max(len(stop) for stop in stops if whole.text[:ended].endswith(stop))
            assert (found.text, found.end) == (whole.text[: ended - longest], "stop")
            assert found.ids == whole.ids[:ended] and len(found.token_log_probs) == len(found.tokens) == ended
    with pytest.raises(Seq2SeqError, match="a stop string must have a character"):
        generator.generate(["a"], stop=[""])
    with pytest.raises(TypeError, match="stop takes a list of strings"):
        generator.generate(["a"], stop="ab")


@pytest.mark.parametrize("decode", [{}, GREEDY, {"beam_size": 2}], ids=str)
@pytest.mark.parametrize("stop", [[], ["a", "日日"], ["gé"]], ids=str)
def test_streamed_pieces_are_the_text(decode: dict[str, Any], stop: list[str]) -> None:
    generator = Generator(build(**decode))
    for prompt in PROMPTS[:6]:
        for number in range(2):
            pieces = list(generator.stream(prompt, number, seed=4, stop=stop))
            assert "".join(pieces) == generator.generate([prompt], 2, seed=4, stop=stop)[0][number].text
            assert all(pieces) or pieces == [""]


def test_a_stream_leaves_no_mode_behind() -> None:
    generator = Generator(build())
    generator.model.train()
    stream = generator.stream("abc")
    next(stream)
    assert generator.model.training and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    stream.close()
    assert generator.model.training


@pytest.mark.parametrize("decode", [{}, {"beam_size": 2}], ids=str)
def test_a_model_that_is_being_trained_writes_without_dropout(decode: dict[str, Any]) -> None:
    trained = build(**decode)
    expected = Generator(trained).generate(PROMPTS)
    for layer in trained.model.modules():
        if isinstance(layer, Dropout):
            layer.probability = 0.9
    trained.model.train()
    assert same(Generator(trained).generate(PROMPTS), expected)


def test_the_score_of_a_text_is_its_own_log_probability() -> None:
    trained = build(max_new_tokens=50)
    found = Generator(trained).generate([""], 60)[0]
    scores = TextScorer(trained).score([continuation.text for continuation in found])
    assert max(len(continuation.ids) for continuation in found) == 50 > 3 * CONTEXT
    for score, continuation in zip(scores, found, strict=True):
        n = len(score.tokens)
        assert n == len(continuation.ids) - (continuation.end == "eos")
        assert score.tokens == continuation.tokens[:n]
        assert score.token_log_probs == pytest.approx(continuation.token_log_probs[:n], abs=1e-4)
        assert score.log_prob == pytest.approx(sum(continuation.token_log_probs[:n]), abs=1e-3)
        assert score.perplexity == pytest.approx(math.exp(-score.log_prob / n)) if n else score.perplexity is None


def test_scores_do_not_depend_on_batches() -> None:
    lines = ["", *PROMPTS, "日" * 500]
    expected = TextScorer(build()).score(lines)
    for tokens in (1, 40, 300):
        for a, b in zip(TextScorer(build(batch_tokens=tokens)).score_stream(lines), expected, strict=True):
            assert a.tokens == b.tokens
            assert a.token_log_probs == pytest.approx(b.token_log_probs, abs=1e-4)
    assert expected[0].record() == {"log_prob": 0, "perplexity": None, "tokens": [], "token_log_probs": []}


def test_what_a_record_holds() -> None:
    (found,) = Generator(build()).generate(["ab"], max_new_tokens=4)[0]
    assert found.record() == {
        "prompt": "ab",
        "text": found.text,
        "end": found.end,
        "log_prob": pytest.approx(sum(found.token_log_probs)),
        "tokens": found.tokens,
        "token_log_probs": found.token_log_probs,
    }
    assert "".join(found.tokens).removesuffix("<eos>") == found.text


def test_weights_that_are_no_numbers_are_said_to_be() -> None:
    for decode in ({}, {"beam_size": 2}):
        trained = build(**decode)
        trained.model.norm.weight.data.fill_(math.nan)
        with pytest.raises(ModelError, match="weights are unusable"):
            Generator(trained).generate(["a"])
