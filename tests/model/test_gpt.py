"""Parity with transformers' GPT-2 and GPT by copied weights, and what holds for every kind of GPT."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from bench.gpt2_model import copy_to_gpt2, gpt2_config, gpt2_pairs
from seq2seq.config import GPTSettings
from seq2seq.data.batch import TokenBatch
from seq2seq.model.gpt import GPT
from seq2seq.model.positions import rotate, sinusoids
from seq2seq.text.ids import PAD

V, D, H, L, CONTEXT = 40, 16, 4, 3, 12
KINDS = [(positions, norm) for positions in ("learned", "sinusoidal", "rotary", "none") for norm in ("pre", "post")]


def build(**changes: Any) -> GPT:
    torch.manual_seed(7)
    sizes = {"layers": L, "d_model": D, "heads": H, "context": CONTEXT, "dropout": 0.0}
    model = GPT(GPTSettings.model_validate(sizes | changes), V)
    for parameter in model.parameters():  # as large as after training, no bias 0 and no gain 1: nothing stays hidden
        nn.init.normal_(parameter, mean=0.5 if parameter.dim() == 1 else 0.0, std=0.3)
    return model.eval()


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(1, V, (3, CONTEXT), generator=torch.Generator().manual_seed(1))


def build_theirs(norm: str) -> Any:
    transformers = pytest.importorskip("transformers")
    if norm == "pre":
        config = gpt2_config(build().settings, V, attn_implementation="eager")
        return transformers.GPT2LMHeadModel(config).eval()
    sizes = {"vocab_size": V, "n_positions": CONTEXT, "n_embd": D, "n_layer": L, "n_head": H}
    rates = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**sizes, **rates)).eval()


@pytest.mark.parametrize("norm", ["pre", "post"])  # GPT-2 and GPT
def test_parity_with_transformers(norm: str, tokens: Tensor) -> None:
    ours, theirs = build(norm=norm), build_theirs(norm)
    matched = list(gpt2_pairs(ours, theirs))
    assert len(matched) == len(list(ours.parameters())) == len(list(theirs.parameters()))
    copy_to_gpt2(ours, theirs)
    logits = theirs(tokens).logits
    torch.testing.assert_close(ours.logits(ours.hidden(tokens)), logits, atol=1e-5, rtol=0)
    targets = tokens.roll(-1, dims=1)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="mean")
    our_loss, n_tokens = ours(TokenBatch(tokens, targets, targets.numel()))
    torch.testing.assert_close(our_loss / n_tokens, loss, atol=1e-6, rtol=0)
    loss.backward()
    (our_loss / n_tokens).backward()
    for a, b, transposed in matched:
        assert a.grad is not None
        torch.testing.assert_close(a.grad, b.grad.T if transposed else b.grad, atol=1e-5, rtol=1e-5)


def test_parity_with_transformers_cache(tokens: Tensor) -> None:
    ours, theirs = build(), build_theirs("pre")
    copy_to_gpt2(ours, theirs)
    with torch.no_grad():
        state, cache = ours.start(), None
        for piece in tokens.split([5, 3, 1, 1, 1, 1], dim=1):
            out = theirs(piece, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            torch.testing.assert_close(ours.logits(ours.hidden(piece, state)), out.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("positions", "norm"), KINDS)
def test_a_later_token_never_changes_an_earlier_logit(positions: str, norm: str, tokens: Tensor) -> None:
    model = build(positions=positions, norm=norm)
    with torch.no_grad():
        logits = model.logits(model.hidden(tokens))
        for t in range(CONTEXT):
            changed = tokens.clone()
            changed[:, t] = changed[:, t] % (V - 1) + 1
            others = model.logits(model.hidden(changed))
            assert torch.equal(others[:, :t], logits[:, :t])
            assert not torch.isclose(others[:, t:], logits[:, t:]).all(dim=-1).any()


@pytest.mark.parametrize(("positions", "norm"), KINDS)
def test_cached_equals_uncached_over_a_full_window(positions: str, norm: str, tokens: Tensor) -> None:
    model = build(positions=positions, norm=norm)
    with torch.no_grad():
        expected = model.hidden(tokens)
        for pieces in ([1] * CONTEXT, [5, *[1] * (CONTEXT - 5)], [4, 3, 5]):
            state = model.start()
            found = torch.cat([model.hidden(piece, state) for piece in tokens.split(pieces, dim=1)], dim=1)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
            assert state.length == CONTEXT
            with pytest.raises(ValueError, match="13 tokens do not fit into a window of 12"):
                model.hidden(tokens[:, :1], state)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_reordered_state_continues_the_rows_it_was_made_of(positions: str, tokens: Tensor) -> None:
    model = build(positions=positions)
    state, written = model.start(), tokens[:, :4]
    with torch.no_grad():
        model.hidden(written, state)
        for rows in ([0, 0, 1, 1, 2, 2], [1, 0, 3, 3, 5, 4], [2, 0]):  # beams, then a sentence leaves
            state.reorder(torch.tensor(rows))
            written = torch.cat([written[rows], torch.arange(len(rows))[:, None] + 7], dim=1)
            found = model.hidden(written[:, -1:], state)
            torch.testing.assert_close(found, model.hidden(written)[:, -1:], atol=1e-5, rtol=1e-5)


def test_embeddings_are_scaled_with_sinusoids_alone(tokens: Tensor) -> None:
    positions = torch.arange(CONTEXT)
    models = {kind: build(positions=kind) for kind in ("learned", "sinusoidal", "rotary", "none")}
    expected = {kind: model.token_embedding(tokens) for kind, model in models.items()}
    expected["learned"] = expected["learned"] + models["learned"].position_embedding.weight
    expected["sinusoidal"] = expected["sinusoidal"] * math.sqrt(D) + sinusoids(positions, D)
    for kind, model in models.items():
        torch.testing.assert_close(model.embed(tokens, positions, tokens.shape[1]), expected[kind])


def test_rotation_is_a_product_of_complex_numbers() -> None:
    x, positions = torch.randn(2, H, 9, 8), torch.arange(100, 109)
    angles = positions[:, None] * 10000.0 ** (-torch.arange(0, 8, 2) / 8)  # [T, E/2]
    numbers = torch.view_as_complex(x.unflatten(-1, (-1, 2))) * torch.polar(torch.ones_like(angles), angles)
    found = rotate(x, sinusoids(positions, 8))
    torch.testing.assert_close(found, torch.view_as_real(numbers).flatten(-2), atol=1e-4, rtol=0)
    assert rotate(x.bfloat16(), sinusoids(positions, 8)).dtype == torch.bfloat16


def test_rotary_scores_depend_on_the_distance_only() -> None:
    q, k = torch.randn(2, 1, 1, 20, 8, dtype=torch.float64)
    q, k = q[:, :, :1].expand(1, 1, 20, 8), k[:, :, :1].expand(1, 1, 20, 8)  # one query, one key, at all positions
    rotation = sinusoids(torch.arange(20), 8)
    scores = (rotate(q, rotation) @ rotate(k, rotation).transpose(-2, -1))[0, 0]  # [20, 20]
    for distance in range(-19, 20):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0)
    assert scores[0].std() > 1e-2


def test_no_layers_is_a_bigram(tokens: Tensor) -> None:
    model = build(layers=0, positions="none")
    with torch.no_grad():
        logits = model.logits(model.hidden(tokens))
        alone = model.logits(model.hidden(torch.arange(V)[:, None]))[:, 0]  # [V, V]
        state = model.start()
        for t in range(CONTEXT):
            torch.testing.assert_close(model.logits(model.hidden(tokens[:, t : t + 1], state))[:, 0], logits[:, t])
    torch.testing.assert_close(logits, alone[tokens])
    assert {name for name, _ in model.named_parameters()} == {"token_embedding.weight", "norm.weight", "norm.bias"}


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("d_feedforward", [None, 0, 24])
@pytest.mark.parametrize(("positions", "norm"), [("learned", "pre"), ("rotary", "post")])
def test_gradient_flows_to_all_parameters(positions: str, norm: str, d_feedforward: int | None, tie: bool) -> None:
    model = build(positions=positions, norm=norm, d_feedforward=d_feedforward, tie_embeddings=tie).train()
    rows = torch.arange(V).view(4, 10).tolist()
    loss, _ = model(TokenBatch.from_ids([np.array([*row, 5, 6, 7]) for row in rows]))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        if name != "token_embedding.weight" and parameter.dim() == 2:
            assert (parameter.grad.abs().sum(dim=1) > 0).float().mean() > 0.9, name
    width = 4 * D if d_feedforward is None else d_feedforward
    feed_forward = model.layers[0].feed_forward
    assert feed_forward.inner.out_features == width if width else feed_forward is None


def test_padded_rows_add_up(tokens: Tensor) -> None:
    model = build()
    rows = [row[:n].numpy() for row, n in zip(tokens, (9, 12, 2), strict=True)]
    batch = TokenBatch.from_ids(rows)
    assert batch.tokens.shape == batch.targets.shape == (3, 11)
    assert batch.n_tokens == 8 + 11 + 1 == int((batch.targets != PAD).sum())
    assert torch.equal(batch.tokens[0, 1:8], batch.targets[0, :7])
    loss, n_tokens = model(batch.to(torch.device("cpu")))
    assert n_tokens == batch.n_tokens
    alone = sum(model(TokenBatch.from_ids([row]))[0] for row in rows)
    torch.testing.assert_close(loss, alone, atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize(("d_feedforward", "sublayers"), [(None, 8), (0, 4)])
def test_initialisation_follows_its_table(d_feedforward: int | None, sublayers: int) -> None:
    torch.manual_seed(0)
    model = GPT(GPTSettings(layers=4, d_model=128, heads=4, d_feedforward=d_feedforward, context=400), 1000)
    into_stream = {"self_attention.out.weight", "feed_forward.outer.weight"}
    for name, parameter in model.named_parameters():
        value = parameter.detach()
        if value.dim() == 2:
            deviation = 0.02 / math.sqrt(sublayers) if name.split(".", 2)[-1] in into_stream else 0.02
            assert float(value.std()) == pytest.approx(deviation, rel=0.03), name
            assert abs(float(value.mean())) < 5 * deviation / math.sqrt(value.numel()), name
        else:
            assert torch.equal(value, torch.full_like(value, float(name.endswith("norm.weight")))), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 30, "heads": 4}, r"heads \(4\) must divide d_model \(30\)"),
        ({"d_model": 12, "heads": 4, "positions": "rotary"}, r"d_model / heads \(3\) must be even"),
        ({"layers": -1}, "greater than or equal to 0"),
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GPTSettings.model_validate(changes)
