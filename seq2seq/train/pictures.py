"""Pictures of a model for TensorBoard: where in the source each target token looks."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from seq2seq.data.batch import Batch
from seq2seq.evaluate import drawing
from seq2seq.evaluate.drawing import FONT, GAP, Picture, colours
from seq2seq.model.device import evaluating
from seq2seq.model.folder import TrainedModel
from seq2seq.text.lines import is_blank
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.prepare import HeldOut

WELL_SHOWN = 8, 32  # tokens of each side, eos included: more than a word or two, and the picture fits on a screen
LOOKED_AT = 1000  # pairs among which one is chosen
MAX_TOKENS = 40  # of each side that a picture shows

SMALL_CELL, MARGIN = 5, 12  # pixels: the sides of a weight in the panels beside the heat map, and around them


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
    columns, rows = drawing.labels(source_pieces, MAX_TOKENS), drawing.labels(target_pieces, MAX_TOKENS)
    last = drawing.named_map(weights[-1], f"layer {len(weights)}", columns, rows)
    panels = _panels(weights, last.height)
    size = last.width + panels.width + 4 * MARGIN, max(last.height, panels.height) + 2 * MARGIN
    canvas = Image.new("RGB", size, "white")
    canvas.paste(last, (MARGIN, MARGIN))
    canvas.paste(panels, (last.width + 3 * MARGIN, MARGIN))
    return np.asarray(canvas)


def _panels(weights: npt.NDArray[np.float32], height: int) -> Image.Image:
    """Draws weights [L, T, S] below each other, and side by side where `height` is used up."""
    captions = [f"layer {number}" for number in range(1, len(weights) + 1)]
    n_rows, n_columns = weights.shape[1:]
    step_x = max(n_columns * SMALL_CELL, drawing.text_width(captions)) + MARGIN
    step_y = FONT + GAP + n_rows * SMALL_CELL + MARGIN
    stacked = min(len(weights), max(1, (height + MARGIN) // step_y))
    picture = Image.new("RGB", (-(-len(weights) // stacked) * step_x - MARGIN, stacked * step_y - MARGIN), "white")
    pen = ImageDraw.Draw(picture)
    for i, (caption, panel) in enumerate(zip(captions, weights, strict=True)):
        x, y = i // stacked * step_x, i % stacked * step_y
        pen.text((x, y), caption, "dimgray", drawing.font())
        pixels = colours(panel).repeat(SMALL_CELL, 0).repeat(SMALL_CELL, 1)
        picture.paste(Image.fromarray(pixels), (x, y + FONT + GAP))
    return picture
