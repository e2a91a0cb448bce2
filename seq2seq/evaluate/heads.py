"""Where every head of every layer looks, to be looked at: an HTML page or a picture."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from torch import Tensor

from seq2seq.decode.attention import attention_of_pairs, attention_of_text
from seq2seq.decode.context import encode, passages
from seq2seq.decode.translator import Translator
from seq2seq.errors import Seq2SeqError
from seq2seq.evaluate import drawing
from seq2seq.evaluate.drawing import FONT, GAP
from seq2seq.evaluate.page import render_page
from seq2seq.model.folder import TrainedGPT, TrainedModel
from seq2seq.text.ids import BOS, EOS, SPECIAL_IDS, Ids
from seq2seq.text.lines import encodable, is_blank
from seq2seq.text.tokenizer import Tokenizer

MOST_TOKENS = 200  # of a side that is shown
MOST_PIXELS = 2**25  # of a picture whose rows and columns have names
SMALL_CELL, MARGIN = 4, 16  # pixels: the sides of a weight without a name, and around heads


@dataclass(frozen=True)
class HeadMaps:
    """The weights of one kind of attention.

    Attributes:
        name: of the kind.
        note: what rows and columns are.
        weights: [L, H, rows, columns] fp32.
        rows: pieces that look.
        columns: pieces that are looked at.
    """

    name: str
    note: str
    weights: npt.NDArray[np.float32]
    rows: list[str]
    columns: list[str]


@dataclass(frozen=True)
class Attentions:
    """All attention weights of a model for one text or sentence pair.

    Attributes:
        texts: what was read, by name.
        kinds: of attention.
    """

    texts: dict[str, str]
    kinds: list[HeadMaps]


def look_at_pair(
    trained: TrainedModel, source: str, target: str | None, language: str | None = None, before: Sequence[str] = ()
) -> Attentions:
    """Returns all attention weights of a sentence pair.

    Args:
        trained: the model.
        source: text.
        target: its translation; None: the model's own.
        language: of the translation, see `Translator`.
        before: sentences in front of the source, for a model with context.

    Raises:
        Seq2SeqError: a side is blank or too long; or there are sentences before, but the model has no context.
    """
    translator = Translator(trained, target_language=language)
    tokenizer = trained.tokenizer
    if before and not translator.context:
        raise Seq2SeqError("the model was trained without context: there can be no sentences before")
    source, *before = map(encodable, (source, *before))
    (passage,) = passages([source], before, translator.context)
    (src,) = encode(trained, [passage], translator.language)
    _check("the source", source, src)
    texts = {"Before": " ".join(passage.context)} if before else {}
    texts["Source"] = source
    if target is None:
        (found,) = translator.translate_all([source], before=before)
        if found.parts > 1 or not found.candidates:
            raise Seq2SeqError(
                "the source is longer than what the model translates at once: give a shorter one, or its translation"
            )
        tgt = np.array([*found.candidates[0].tokens, EOS])
        texts["Translation"] = found.text
        _check_length("the translation", tgt)
    else:
        target = encodable(target)
        (tgt,) = tokenizer.encode_target([target])
        texts["Target (given)"] = target
        _check("the target", target, tgt)
    (weights,) = attention_of_pairs(trained, [src], [tgt])
    sources, written = tokenizer.source_pieces([src])[0], tokenizer.target_pieces([tgt])[0]
    read = tokenizer.target_pieces([np.array([BOS, *tgt[:-1]])])[0]
    return Attentions(
        texts,
        [
            HeadMaps("Cross-attention", "Row: the piece that is written. Column: a piece of the source.",
                     _array(weights.cross), written, sources),
            HeadMaps("Encoder", "Row: a piece of the source. Column: the piece that it looks at.",
                     _array(weights.encoder), sources, sources),
            HeadMaps("Decoder", "Row: the piece that is written. Column: a piece written before.",
                     _array(weights.decoder), written, read),
        ],
    )  # fmt: skip


def look_at_text(trained: TrainedGPT, text: str) -> Attentions:
    """Returns all attention weights of a text that a language model reads, behind the token between documents.

    Raises:
        Seq2SeqError: the text is empty or too long.
    """
    text = encodable(text)
    ids = np.roll(trained.tokenizer.encode_texts([text])[0], 1)  # its end becomes what stands in front of it
    context = trained.settings.model.context
    _check("the text", text, ids)
    if len(ids) > context:
        raise Seq2SeqError(
            f"the text has {len(ids)} tokens, and the model's window holds {context}: give a shorter one"
        )
    pieces = names_of_tokens(trained.tokenizer, ids)
    note = "Row: the piece that was read last. Column: a piece that it looks at."
    weights = _array(attention_of_text(trained, ids.tolist()))
    return Attentions({"Text": text}, [HeadMaps("Self-attention", note, weights, pieces, pieces)])


def names_of_tokens(tokenizer: Tokenizer, ids: Ids) -> list[str]:
    """Returns the tokens of a text as people read them: where bytes make a character, that instead of the piece."""
    pieces = tokenizer.target_pieces([ids])[0]
    texts = ["" if token in SPECIAL_IDS.values() else tokenizer.decode_text([token]) for token in ids.tolist()]
    return [text if text and "\ufffd" not in text else piece for text, piece in zip(texts, pieces, strict=True)]


def _check(name: str, text: str, ids: Ids) -> None:
    """Refuses what cannot be looked at.

    Raises:
        Seq2SeqError: a text is blank or too long.
    """
    if is_blank(text):
        raise Seq2SeqError(f"{name} is blank: there is nothing to look at")
    _check_length(name, ids)


def _check_length(name: str, ids: Ids) -> None:
    if len(ids) > MOST_TOKENS:
        raise Seq2SeqError(f"{name} has {len(ids)} tokens; at most {MOST_TOKENS} can be shown: give a shorter one")


def _array(weights: Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = weights.cpu().numpy()
    return found


def attention_page(found: Attentions, model: str, command: str) -> str:
    """Returns the page: all heads small, one of them large with the weight of each pair of pieces.

    Args:
        found: the weights.
        model: its name.
        command: that made the page.
    """
    kinds = [
        {
            "name": kind.name,
            "note": kind.note,
            "rows": kind.rows,
            "columns": kind.columns,
            "layers": kind.weights.shape[0],
            "heads": kind.weights.shape[1],
            # A byte for each weight: 0 to 255.
            "weights": base64.b64encode((kind.weights * 255).round().clip(0, 255).astype(np.uint8).tobytes()).decode(),
        }
        for kind in found.kinds
    ]
    return render_page(
        "attention.html",
        found=found,
        kinds=kinds,
        scale=drawing.SCALE.tolist(),
        model=model,
        command=command,
    )


def attention_png(found: Attentions) -> bytes:
    """Returns a PNG of all heads: a row for each layer, the kinds one below the other."""
    named = sum(_pixels(kind, drawing.CELL, 120) for kind in found.kinds) <= MOST_PIXELS
    parts = [_heads(kind, named) for kind in found.kinds]
    width = max(part.width for part in parts) + 2 * MARGIN
    canvas = Image.new("RGB", (width, sum(part.height + MARGIN for part in parts) + MARGIN), "white")
    y = MARGIN
    for part in parts:
        canvas.paste(part, (MARGIN, y))
        y += part.height + MARGIN
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _pixels(kind: HeadMaps, cell: int, names: int) -> int:
    heads: int = kind.weights.shape[0] * kind.weights.shape[1]
    return heads * (len(kind.rows) * cell + names) * (len(kind.columns) * cell + names)


def _heads(kind: HeadMaps, named: bool) -> Image.Image:
    """Draws the heads of a kind with its name above them."""
    layers, heads = kind.weights.shape[:2]
    rows, columns = drawing.labels(kind.rows, MOST_TOKENS), drawing.labels(kind.columns, MOST_TOKENS)
    maps = [
        [
            _head(kind.weights[i, j], f"layer {i + 1}, head {j + 1}", (rows, columns) if named else None)
            for j in range(heads)
        ]
        for i in range(layers)
    ]
    width, height = (max(one.size[axis] for row in maps for one in row) for axis in (0, 1))
    title = f"{kind.name}. {kind.note}"
    size = max(heads * (width + MARGIN), drawing.text_width([title])), layers * (height + MARGIN) + FONT + 2 * GAP
    canvas = Image.new("RGB", size, "white")
    ImageDraw.Draw(canvas).text((0, 0), title, "black", drawing.font())
    for i, row in enumerate(maps):
        for j, one in enumerate(row):
            canvas.paste(one, (j * (width + MARGIN), FONT + 2 * GAP + i * (height + MARGIN)))
    return canvas


def _head(
    weights: npt.NDArray[np.float32], caption: str, names: tuple[Sequence[str], Sequence[str]] | None
) -> Image.Image:
    """Draws one head, with the names of rows and columns if they are given."""
    if names:
        rows, columns = names
        return drawing.named_map(weights, caption, columns, rows)
    pixels = drawing.colours(weights).repeat(SMALL_CELL, 0).repeat(SMALL_CELL, 1)
    width = max(pixels.shape[1], drawing.text_width(["layer 99, head 99"]))
    canvas = Image.new("RGB", (width, FONT + GAP + pixels.shape[0]), "white")
    ImageDraw.Draw(canvas).text((0, 0), caption, "dimgray", drawing.font())
    canvas.paste(Image.fromarray(pixels), (0, FONT + GAP))
    return canvas
