"""Pictures show the weights that they are given, and reach TensorBoard."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_pairs, tiny_recipe
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seq2seq.config import TokenizerSettings, TranslationSettings
from seq2seq.evaluate import drawing
from seq2seq.evaluate.drawing import CELL, colours
from seq2seq.model.folder import TrainedModel, build_model
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.monitor import MAX_BINS, Monitor
from seq2seq.train.pictures import MAX_TOKENS, WELL_SHOWN, attention_picture, draw_attention, shown_pair
from seq2seq.train.prepare import HeldOut

PAIRS = make_pairs(200)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    path = tmp_path_factory.mktemp("model")
    settings = TranslationSettings.model_validate(tiny_recipe(path, model={"layers": 2}))
    tokenizer = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=60))
    torch.manual_seed(4)
    return TrainedModel(build_model(settings, tokenizer), tokenizer, settings, 40)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without fonts."""
    monkeypatch.setattr(drawing, "FONTS", ())
    monkeypatch.setattr(drawing, "font", drawing.font.__wrapped__)
    monkeypatch.setattr(drawing, "installed_font", drawing.installed_font.__wrapped__)


def lightness(colour: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """CIELAB lightness of sRGB colours [..., 3], from 0 to 100."""
    scaled = colour / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.asarray(116 * np.cbrt(luminance) - 16)


def one_hot(row: int, column: int) -> npt.NDArray[np.float32]:
    weights = np.zeros((1, 4, 6), dtype=np.float32)
    weights[0, row, column] = 1
    return weights


def darkest(picture: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Row and column of the leftmost pixel in the colour of weight 1: small panels stand on the right."""
    columns, rows = np.nonzero((picture == colours(np.ones((), dtype=np.float32))).all(-1).T)
    return int(rows[0]), int(columns[0])


def test_colours_darken_evenly() -> None:
    values = lightness(colours(np.linspace(0, 1, 21, dtype=np.float32)))
    steps = -np.diff(values)
    assert values[0] > 95 and values[-1] < 20
    assert steps.min() > 0.75 * steps.mean() and steps.max() < 1.25 * steps.mean()


def test_rows_are_targets_and_columns_sources() -> None:
    sources, targets = list("abcdef"), list("wxyz")
    row, column = darkest(draw_attention(one_hot(0, 0), sources, targets))
    assert darkest(draw_attention(one_hot(2, 0), sources, targets)) == (row + 2 * CELL, column)
    assert darkest(draw_attention(one_hot(0, 5), sources, targets)) == (row, column + 5 * CELL)


def test_large_map_is_the_last_layer() -> None:
    names = list("abcdef"), list("wxyz")
    lower, last = one_hot(3, 3), one_hot(0, 0)
    alone = draw_attention(last, *names)
    both = draw_attention(np.concatenate([lower, last]), *names)
    assert darkest(both) == darkest(alone)


def test_a_space_is_not_drawn_unless_it_is_all_there_is() -> None:
    def drawn(name: str) -> npt.NDArray[np.uint8]:
        return draw_attention(one_hot(0, 0), [name, *"bcdef"], list("wxyz"))

    assert np.array_equal(drawn("\u2581dog"), drawn("dog"))
    assert np.array_equal(drawn("\u2581"), drawn(" "))
    assert not np.array_equal(drawn("\u2581"), drawn("dog"))


def test_only_the_beginning_of_long_sentences_is_shown() -> None:
    random = np.random.default_rng(0)

    def drawn(length: int) -> npt.NDArray[np.uint8]:
        return draw_attention(weights[:, :length, :length], ["dog"] * length, ["cat"] * length)

    weights = random.random((6, 300, 300), dtype=np.float32)
    assert np.array_equal(drawn(300), drawn(MAX_TOKENS + 1))
    assert drawn(300).shape[0] == drawn(MAX_TOKENS).shape[0] + CELL  # the ellipsis
    assert drawn(300).dtype == np.uint8


@pytest.mark.usefixtures("bare_machine")
def test_without_fonts_letters_lose_their_accents() -> None:
    def drawn(names: list[str]) -> npt.NDArray[np.uint8]:
        return draw_attention(one_hot(1, 1), names, names[:4])

    accented = ["Füße", "œuvre", "ça", "kůň", "žluťoučký", "..."]
    assert np.array_equal(drawn(accented), drawn(["Fusse", "oeuvre", "ca", "kun", "zlutoucky", "..."]))


@pytest.mark.parametrize("name", ["\x00", "\ud800", "中文", "\u202e\u05d0", "\U0001f600", "<0xE4>", "a\u0301" * 20])
def test_nothing_that_a_piece_holds_stops_a_run(name: str) -> None:
    assert draw_attention(one_hot(0, 0), [name] * 6, [name] * 4).ndim == 3


def test_picture_changes_with_the_weights_alone(trained: TrainedModel) -> None:
    trained.model.train()
    state = torch.get_rng_state()
    first = attention_picture(trained, *PAIRS[0], "de")
    assert first.dtype == np.uint8 and first.shape[2] == 3
    assert np.array_equal(attention_picture(trained, *PAIRS[0], "de"), first)
    assert trained.model.training and torch.equal(torch.get_rng_state(), state)
    attention = trained.model.decoder[1].cross_attention
    with torch.no_grad():
        attention.qkv.weight.mul_(8)
    after = attention_picture(trained, *PAIRS[0], "de")
    assert after.shape == first.shape and not np.array_equal(after, first)


def test_shown_pair_is_the_first_of_a_good_length(trained: TrainedModel) -> None:
    def shown(pairs: list[tuple[str, str]]) -> tuple[str, str, str]:
        return shown_pair(HeldOut("valid", ("en", "de"), pairs), trained.tokenizer)

    def fits(pair: tuple[str, str]) -> bool:
        ids = trained.tokenizer.encode_source([pair[0]]) + trained.tokenizer.encode_target([pair[1]])
        return all(WELL_SHOWN[0] <= len(row) <= WELL_SHOWN[1] for row in ids)

    first, second = [pair for pair in PAIRS if fits(pair)][:2]
    blank, long, longer = ("", "DOG"), ("red dog. " * 20, "DOG RED! " * 20), ("red dog. " * 30, "DOG RED! " * 30)
    assert shown([blank, long, first, second]) == (*first, "de")
    assert shown([blank, longer, long]) == (*long, "de")


def test_tensorboard_gets_pictures_and_histograms(tmp_path: Path) -> None:
    picture = draw_attention(one_hot(0, 0), list("abcdef"), list("wxyz"))
    lengths = np.array([3, 5, 5, 12, 12, 12])
    for folder in (tmp_path, None):  # another rank has no folder
        monitor = Monitor(folder, 0, 10)
        monitor.histogram(0, "data/lengths", lengths)
        monitor.histogram(0, "data/long", np.arange(10 * MAX_BINS + 3))
        monitor.image(7, "valid/attention", picture)
        monitor.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (image,) = events.Images("valid/attention")
    assert image.step == 7
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), picture)
    (histogram,) = events.Histograms("data/lengths")
    value = histogram.histogram_value
    assert (histogram.step, value.num, value.sum) == (0, 6, lengths.sum())
    limits = np.array(value.bucket_limit)
    assert {int(limit): n for limit, n in zip(limits, value.bucket, strict=True) if n} == {3: 1, 5: 2, 12: 3}
    (histogram,) = events.Histograms("data/long")
    counts = histogram.histogram_value.bucket[1:]  # an empty one stands in front
    assert len(counts) <= MAX_BINS and set(counts[:-1]) == {11}
