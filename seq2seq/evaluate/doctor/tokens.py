"""How a tokenizer cuts a corpus: tokens a word, characters it does not know, what becomes too long."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seq2seq.config import DataSettings, TranslationSettings
from seq2seq.data.store import LENGTH_RATIO, TOO_LONG, Limits, drop_reasons
from seq2seq.evaluate.doctor.checks import SHOWN, Finding, find
from seq2seq.evaluate.doctor.rows import examples_of, side_name
from seq2seq.evaluate.doctor.scan import Scanned
from seq2seq.files import verify_manifest
from seq2seq.model.folder import TOKENIZER, ModelConfig, find_model
from seq2seq.text.ids import UNK, IdRows
from seq2seq.text.tokenizer import Tokenizer

CUT = 50_000  # rows of a sample that are cut at the most
LISTED = 12  # unknown characters that are named


@dataclass(frozen=True)
class Cutter:
    """A tokenizer and the limits of training.

    Attributes:
        name: where the tokenizer comes from.
        tokenizer: cuts.
        limits: on tokens.
    """

    name: str
    tokenizer: Tokenizer
    limits: Limits


@dataclass(frozen=True)
class _UsualLimits:
    max_length: int
    max_ratio: float


def usual_limits() -> Limits:
    """Returns the limits of a recipe that names none."""
    fields = DataSettings.model_fields
    return _UsualLimits(fields["max_length"].default, fields["max_ratio"].default)


def find_cutter(path: str) -> Cutter:
    """Returns the tokenizer of a run, model or tokenizer folder, and the limits that its model was trained with.

    Raises:
        ModelError: there is none that is usable.
    """
    folder, limits = Path(path), usual_limits()
    if not (folder / "tokenizer.json").is_file():
        model = find_model(folder)
        verify_manifest(model)
        settings = ModelConfig.load(model).recipe(model)
        limits = settings.data if isinstance(settings, TranslationSettings) else limits
        folder = model / TOKENIZER
    return Cutter(path, Tokenizer.load(folder), limits)


def check_tokens(scanned: Scanned, cutter: Cutter) -> tuple[list[tuple[str, str]], list[Finding]]:
    """Returns facts about the tokens of a corpus, and what is wrong with them."""
    sample, tokenizer = scanned.sample, cutter.tokenizer
    step = -(-len(sample) // CUT) or 1
    places, texts = sample.places[::step], [lines[::step] for lines in sample.texts]
    if not len(places):
        return [], []
    cut = [tokenizer.target_rows(texts[-1])]
    if len(texts) == 2:
        wanted = scanned.rows.languages[1]
        language = wanted if wanted in tokenizer.languages else next(iter(tokenizer.languages), None)
        cut.insert(0, tokenizer.source_rows(texts[0], language))
    facts, found = [("tokenizer", cutter.name)], []
    for side, rows in enumerate(cut):
        name = side_name(scanned, side)
        words = max(1, sum(len(line.split()) for line in texts[side]))
        longest = int(rows.lengths.argmax())
        facts.append(
            (
                f"{name} tokens".strip(),
                f"{rows.lengths.sum() / words:.2f} a word, {rows.lengths.mean():.1f} a line, at most "
                f"{rows.lengths[longest]:,} ({scanned.rows.place(int(places[longest]), side)})",
            )
        )
        found += _unknown(scanned, side, rows, texts[side], places, tokenizer)
    if len(cut) == 2:
        reasons = drop_reasons(cut[0].lengths, cut[1].lengths, cutter.limits)
        limits = cutter.limits
        for check, reason, detail in (
            ("too_many_tokens", TOO_LONG, f"data.max_length is {limits.max_length}"),
            ("token_ratio", LENGTH_RATIO, f"data.max_ratio is {limits.max_ratio:g}"),
        ):
            flags = reasons == reason
            examples = examples_of(scanned, places[flags])
            found += find(check, int(flags.sum()), len(places), "pairs", detail, examples)
    return facts, found


def _unknown(
    scanned: Scanned, side: int, rows: IdRows, lines: list[str], places: np.ndarray[tuple[int], np.dtype[np.int64]],
    tokenizer: Tokenizer,
) -> list[Finding]:  # fmt: skip
    """Looks for characters that become the unknown token."""
    owners = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    wrong = np.unique(owners[rows.ids == UNK])
    chars = Counter(char for i in wrong[:1000].tolist() for char in lines[i] if not char.isspace())
    known = list(chars)
    if side == len(scanned.sides) - 1:
        cut = tokenizer.encode_target(known)
    else:
        cut = tokenizer.encode_source(known, next(iter(tokenizer.languages), None))
    unknown = Counter({char: chars[char] for char, ids in zip(known, cut, strict=True) if UNK in ids})
    detail = ": ".join(filter(None, [side_name(scanned, side), " ".join(c for c, _ in unknown.most_common(LISTED))]))
    examples = examples_of(scanned, places[wrong[:SHOWN]], side)
    return find("unknown_characters", len(wrong), len(lines), "lines", detail, examples)
