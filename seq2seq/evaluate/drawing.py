"""Attention weights and words as pixels: what all pictures of attention have in common."""

import math
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]  # [height, width, 3], red, green, blue

# Colours of weights from 0 to 1, from light to dark: their CIELAB lightness falls by 16 from one to the next.
SCALE = np.array([(250, 250, 244), (143, 219, 198), (18, 176, 196), (21, 127, 178), (49, 77, 147), (48, 34, 92)])

CELL, FONT, GAP = 18, 13, 6  # pixels: the sides of a weight that has names, the height of these, and around them

# The fonts of Linux, macOS and Windows that know most scripts; the one that Pillow brings along knows only ASCII.
FONTS = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "DejaVuSans.ttf", "LiberationSans-Regular.ttf")
LIKE_ASCII = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l"})


def colours(weights: npt.NDArray[np.float32]) -> Picture:
    """Maps weights [...] from 0 to 1 to colours [..., 3]."""
    anchors = np.linspace(0, 1, len(SCALE))
    channels = [np.interp(weights, anchors, channel) for channel in SCALE.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def named_map(
    weights: npt.NDArray[np.float32], caption: str, columns: Sequence[str], rows: Sequence[str]
) -> Image.Image:
    """Draws weights [T, S] with names of columns above and names of rows to the left."""
    left_names = name_image(rows, align_right=True)
    above = name_image(columns).transpose(Image.Transpose.ROTATE_90)
    left, top = max(left_names.width, text_width([caption])) + GAP, max(above.height, FONT) + GAP
    pixels = colours(weights).repeat(CELL, 0).repeat(CELL, 1)  # [T, S, 3] -> [T * CELL, S * CELL, 3]
    pixels[CELL - 1 :: CELL] = pixels[:, CELL - 1 :: CELL] = 255  # lines that lead the eye
    picture = Image.new("RGB", (left + above.width, top + left_names.height), "white")
    picture.paste(left_names, (left - GAP - left_names.width, top))
    picture.paste(above, (left, top - GAP - above.height))
    picture.paste(Image.fromarray(pixels), (left, top))
    ImageDraw.Draw(picture).text((0, 0), caption, "dimgray", font())
    return picture


def labels(pieces: Sequence[str], most: int) -> list[str]:
    """Returns pieces as people read them, `most` of them, and an ellipsis for those that are not shown."""
    # SentencePiece writes a space as U+2581; where a piece is nothing else, or a line break, it must still be seen.
    shown = [piece.replace("\n", "\\n").replace("\u2581", " ").strip() or "_" for piece in pieces[:most]]
    if installed_font() is None:
        decomposed = (unicodedata.normalize("NFKD", label.translate(LIKE_ASCII)) for label in shown)
        shown = ["".join(char for char in label if not unicodedata.combining(char)) for label in decomposed]
    return shown + ["..."] * (len(pieces) > most)


def name_image(shown: Sequence[str], align_right: bool = False) -> Image.Image:
    """Writes labels below each other, `CELL` pixels apart."""
    width = text_width(shown)
    picture = Image.new("RGB", (width, len(shown) * CELL), "white")
    pen = ImageDraw.Draw(picture)
    for i, label in enumerate(shown):
        x, anchor = (width, "rm") if align_right else (0, "lm")
        pen.text((x, i * CELL + CELL // 2), label, "black", font(), anchor)
    return picture


def text_width(shown: Sequence[str]) -> int:
    """Returns the pixels that the longest label needs."""
    return max(math.ceil(font().getlength(label)) for label in shown)


@cache
def font() -> ImageFont.FreeTypeFont:
    """Returns what labels are written with."""
    return installed_font() or cast(ImageFont.FreeTypeFont, ImageFont.load_default(FONT))


@cache
def installed_font() -> ImageFont.FreeTypeFont | None:
    """Returns the first of `FONTS` that this machine has, if any."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, FONT)
        except OSError:
            continue
    return None
