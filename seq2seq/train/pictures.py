"""Pictures of a model for TensorBoard: where in the source each target token looks."""

import math
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from seq2seq.data.batch import Batch
from seq2seq.model.device import evaluating
from seq2seq.model.folder import TrainedModel
from seq2seq.text.lines import is_blank
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.prepare import HeldOut

Picture = npt.NDArray[np.uint8]  # [height, width, 3], red, green, blue

WELL_SHOWN = 8, 32  # tokens of each side, eos included: more than a word or two, and the picture fits on a screen
LOOKED_AT = 1000  # pairs among which one is chosen
MAX_TOKENS = 40  # of each side that a picture shows

# Colours of weights from 0 to 1, from light to dark: their CIELAB lightness falls by 16 from one to the next.
SCALE = np.array([(250, 250, 244), (143, 219, 198), (18, 176, 196), (21, 127, 178), (49, 77, 147), (48, 34, 92)])

# Pixels.
CELL, SMALL_CELL = 18, 5  # sides of a weight in the heat map of the last layer, and in the panels beside it
FONT, GAP, MARGIN = 13, 6, 12

# The fonts of Linux, macOS and Windows that know most scripts; the one that Pillow brings along knows only ASCII.
FONTS = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "DejaVuSans.ttf", "LiberationSans-Regular.ttf")
LIKE_ASCII = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l"})


def shown_pair(held_out: HeldOut, tokenizer: Tokenizer) -> tuple[str, str, str]:
    """Chooses the pair whose picture a run shows: the first one of a good length, else the one nearest to it.

    Args:
        held_out: pairs, at least one of them with text on both sides.
        tokenizer: measures them.

    Returns:
        Source, target and target language.
    """
    visible = (pair for pair in held_out.pairs if not (is_blank(pair[0]) or is_blank(pair[1])))
    pairs, language = list(islice(visible, LOOKED_AT)), held_out.languages[1]
    sources = tokenizer.encode_source([source for source, _ in pairs], language)
    targets = tokenizer.encode_target([target for _, target in pairs])
    low, high = WELL_SHOWN
    misfits = [
        sum(max(low - len(ids), 0, len(ids) - high) for ids in sides) for sides in zip(sources, targets, strict=True)
    ]
    source, target = pairs[misfits.index(min(misfits))]
    return source, target, language


def attention_picture(trained: TrainedModel, source: str, target: str, language: str) -> Picture:
    """Draws where a model looks in a source while it reads a given translation; see `draw_attention`.

    Args:
        trained: the model.
        source: text.
        target: its translation, so that the words are the same whatever the model has learnt.
        language: of the translation.
    """
    tokenizer = trained.tokenizer
    sources, targets = tokenizer.encode_source([source], language), tokenizer.encode_target([target])
    batch = Batch.from_ids(sources, targets).to(trained.device)
    with evaluating(trained.model):
        weights = trained.model.cross_attention(batch.src, batch.tgt_in)  # [L, 1, H, T, S]
    mean = weights.mean(dim=2)[:, 0].cpu().numpy()  # [L, T, S]
    return draw_attention(mean, tokenizer.source_pieces(sources)[0], tokenizer.target_pieces(targets)[0])


def draw_attention(
    weights: npt.NDArray[np.float32], source_pieces: Sequence[str], target_pieces: Sequence[str]
) -> Picture:
    """Draws attention weights: the last layer with the names of its rows and columns, and beside it all layers small.

    Args:
        weights: [L, T, S], from 0 to 1.
        source_pieces: S names of columns.
        target_pieces: T names of rows.

    Returns:
        [height, width, 3]; of a side that is too long only the beginning is shown.
    """
    weights = weights[:, :MAX_TOKENS, :MAX_TOKENS]
    last = _named_map(weights[-1], f"layer {len(weights)}", _labels(source_pieces), _labels(target_pieces))
    panels = _panels(weights, last.height)
    size = last.width + panels.width + 4 * MARGIN, max(last.height, panels.height) + 2 * MARGIN
    canvas = Image.new("RGB", size, "white")
    canvas.paste(last, (MARGIN, MARGIN))
    canvas.paste(panels, (last.width + 3 * MARGIN, MARGIN))
    return np.asarray(canvas)


def colours(weights: npt.NDArray[np.float32]) -> Picture:
    """Maps weights [...] from 0 to 1 to colours [..., 3]."""
    anchors = np.linspace(0, 1, len(SCALE))
    channels = [np.interp(weights, anchors, channel) for channel in SCALE.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _named_map(
    weights: npt.NDArray[np.float32], caption: str, columns: Sequence[str], rows: Sequence[str]
) -> Image.Image:
    """Draws weights [T, S] with names of columns above and names of rows to the left."""
    names = _names(rows, align_right=True)
    above = _names(columns).transpose(Image.Transpose.ROTATE_90)
    left, top = max(names.width, _width([caption])) + GAP, max(above.height, FONT) + GAP
    pixels = colours(weights).repeat(CELL, 0).repeat(CELL, 1)  # [T, S, 3] -> [T * CELL, S * CELL, 3]
    pixels[CELL - 1 :: CELL] = pixels[:, CELL - 1 :: CELL] = 255  # lines that lead the eye
    picture = Image.new("RGB", (left + above.width, top + names.height), "white")
    picture.paste(names, (left - GAP - names.width, top))
    picture.paste(above, (left, top - GAP - above.height))
    picture.paste(Image.fromarray(pixels), (left, top))
    ImageDraw.Draw(picture).text((0, 0), caption, "dimgray", _font())
    return picture


def _panels(weights: npt.NDArray[np.float32], height: int) -> Image.Image:
    """Draws weights [L, T, S] below each other, and side by side where `height` is used up."""
    captions = [f"layer {number}" for number in range(1, len(weights) + 1)]
    n_rows, n_columns = weights.shape[1:]
    step_x = max(n_columns * SMALL_CELL, _width(captions)) + MARGIN
    step_y = FONT + GAP + n_rows * SMALL_CELL + MARGIN
    stacked = min(len(weights), max(1, (height + MARGIN) // step_y))
    picture = Image.new("RGB", (-(-len(weights) // stacked) * step_x - MARGIN, stacked * step_y - MARGIN), "white")
    pen = ImageDraw.Draw(picture)
    for i, (caption, panel) in enumerate(zip(captions, weights, strict=True)):
        x, y = i // stacked * step_x, i % stacked * step_y
        pen.text((x, y), caption, "dimgray", _font())
        pixels = colours(panel).repeat(SMALL_CELL, 0).repeat(SMALL_CELL, 1)
        picture.paste(Image.fromarray(pixels), (x, y + FONT + GAP))
    return picture


def _labels(pieces: Sequence[str]) -> list[str]:
    """Returns pieces as people read them, and an ellipsis for those that are not shown."""
    # SentencePiece writes a space as U+2581; where a piece is nothing else it must still be seen.
    labels = [piece.replace("\u2581", " ").strip() or "_" for piece in pieces[:MAX_TOKENS]]
    if _installed_font() is None:
        decomposed = (unicodedata.normalize("NFKD", label.translate(LIKE_ASCII)) for label in labels)
        labels = ["".join(char for char in label if not unicodedata.combining(char)) for label in decomposed]
    return labels + ["..."] * (len(pieces) > MAX_TOKENS)


def _names(labels: Sequence[str], align_right: bool = False) -> Image.Image:
    """Writes labels below each other, `CELL` pixels apart."""
    width = _width(labels)
    picture = Image.new("RGB", (width, len(labels) * CELL), "white")
    pen = ImageDraw.Draw(picture)
    for i, label in enumerate(labels):
        x, anchor = (width, "rm") if align_right else (0, "lm")
        pen.text((x, i * CELL + CELL // 2), label, "black", _font(), anchor)
    return picture


def _width(labels: Sequence[str]) -> int:
    """Returns the pixels that the longest label needs."""
    return max(math.ceil(_font().getlength(label)) for label in labels)


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Returns what labels are written with."""
    return _installed_font() or cast(ImageFont.FreeTypeFont, ImageFont.load_default(FONT))


@cache
def _installed_font() -> ImageFont.FreeTypeFont | None:
    """Returns the first of `FONTS` that this machine has, if any."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, FONT)
        except OSError:
            continue
    return None
