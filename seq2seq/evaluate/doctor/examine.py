"""Corpora examined together: training text first, what is tested with beside it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seq2seq.evaluate.doctor.alignment import ENOUGH, Aligner, Alignment, Segment
from seq2seq.evaluate.doctor.checks import SEVERITIES, Example, Finding, find
from seq2seq.evaluate.doctor.languages import Profile, check_languages, learn_profile
from seq2seq.evaluate.doctor.plots import Plots, draw
from seq2seq.evaluate.doctor.reading import Rows
from seq2seq.evaluate.doctor.rows import check_overlap, check_rows, log_ratios, side_name
from seq2seq.evaluate.doctor.scan import Scanned, scan
from seq2seq.evaluate.doctor.tokens import Cutter, check_tokens

log = logging.getLogger(__name__)

TRAIN = "train"
UNLIKELY = -5.0  # nats of evidence below which a pair is shown as one that does not belong together


@dataclass(frozen=True)
class Part:
    """A corpus to examine.

    Attributes:
        role: `train`, `valid` or `test`.
        rows: its text.
        running: whether it is running text, in which blank and repeated lines mean nothing.
    """

    role: str
    rows: Rows
    running: bool = False


@dataclass(frozen=True)
class Examined:
    """What is to be said of a corpus.

    Attributes:
        role: `train`, `valid` or `test`.
        name: of the corpus.
        n: rows read.
        facts: names and values.
        findings: the worst first.
        plots: what can be drawn.
    """

    role: str
    name: str
    n: int
    facts: list[tuple[str, str]]
    findings: list[Finding]
    plots: Plots

    def record(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {
            "role": self.role,
            "name": self.name,
            "rows": self.n,
            "facts": dict(self.facts),
            "findings": [finding.record() for finding in self.findings],
            "plots": self.plots.record(),
        }


@dataclass(frozen=True)
class _Taught:
    """What a training corpus taught about its two languages."""

    scanned: Scanned
    profile: Profile
    aligner: Aligner | None


def examine(parts: Sequence[Part], cutter: Cutter | None = None) -> list[Examined]:
    """Examines corpora.

    Args:
        parts: those that are trained on and those that are tested with.
        cutter: cuts them, if there is a tokenizer.
    """
    scanned = []
    for part in parts:
        log.info("%s: reading", part.rows.name)
        scanned.append(scan(part.rows))
    training = [each for part, each in zip(parts, scanned, strict=True) if part.role == TRAIN]
    # Of several training corpora with the same languages the largest one teaches.
    taught: dict[tuple[str, ...], _Taught] = {}
    for each in sorted(training, key=lambda each: -each.n):
        if each.n and each.rows.languages not in taught:
            taught[each.rows.languages] = _teach(each)
    examined = []
    for part, each in zip(parts, scanned, strict=True):
        log.info("%s: looking for faults", part.rows.name)
        teacher = taught.get(each.rows.languages) or _teach(each)
        others = [] if part.role == TRAIN else training
        examined.append(_examine(part, each, teacher, others, cutter))
    return examined


def _teach(scanned: Scanned) -> _Taught:
    sample = scanned.sample
    alignable = len(scanned.sides) == 2 and len(sample) >= ENOUGH
    return _Taught(scanned, learn_profile(sample), Aligner(sample) if alignable else None)


def _examine(
    part: Part, scanned: Scanned, teacher: _Taught, training: Sequence[Scanned], cutter: Cutter | None
) -> Examined:
    own = teacher.scanned is scanned
    found = [*scanned.findings, *check_rows(scanned, part.running), *check_overlap(scanned, training)]
    facts = _facts(scanned)
    alignment = None
    if scanned.n:
        languages = check_languages(scanned, teacher.profile, own)
        found += languages.findings
        if any(languages.guessed):
            seen = [f"{side_name(scanned, i)} {code or 'unclear'}".strip() for i, code in enumerate(languages.guessed)]
            facts.append(("looks like", ", ".join(seen)))
        if languages.swapped and not own:  # what the other side's words have taught does not help here
            teacher, own = _teach(scanned), True
        if teacher.aligner:
            alignment = teacher.aligner.align(None if own else scanned.sample)
            facts.append(("in step", _in_step(alignment)))
            found = [*_parting(scanned, found, alignment), *_misaligned(scanned, alignment)]
        if cutter:
            more, faults = check_tokens(scanned, cutter)
            facts += more
            found += faults
    found.sort(key=lambda finding: (SEVERITIES.index(finding.severity), -(finding.share or 1.0)))
    return Examined(part.role, part.rows.name, scanned.n, facts, found, draw(scanned, alignment))


def _facts(scanned: Scanned) -> list[tuple[str, str]]:
    """Returns how many rows there are and how long they are."""
    facts = [("pairs" if len(scanned.sides) > 1 else "lines", f"{scanned.n:,}")]
    for number, side in enumerate(scanned.sides):
        if text := (~side.blank).any():
            chars, words = side.chars[~side.blank], side.words[~side.blank]
            low, high = np.percentile(chars, [1, 99])
            facts.append(
                (
                    side_name(scanned, number) or "length",
                    f"{words.mean():.1f} words, {chars.mean():.1f} characters a line "
                    f"(1 %: {low:.0f}, 99 %: {high:.0f}, longest {chars.max():,})",
                )
            )
        if number and text:
            low, middle, high = np.exp(np.percentile(log_ratios(scanned), [1, 50, 99]))
            facts.append(("target/source", f"{middle:.2f} times the characters (1 %: {low:.2f}, 99 %: {high:.2f})"))
    if not scanned.sample.whole:
        facts.append(("sample", f"{len(scanned.sample):,} rows in stretches, for languages, alignment and tokens"))
    return facts


def _in_step(alignment: Alignment) -> str:
    apart = sum(segment.size for segment in alignment.segments)
    share = 100 * (1 - apart / len(alignment.evidence)) * (1 - alignment.unrelated)
    return f"{share:.1f} % of the pairs seem to belong together ({alignment.evidence.mean():+.1f} nats a pair)"


def _parting(scanned: Scanned, found: list[Finding], alignment: Alignment) -> list[Finding]:
    """Adds to unequal numbers of lines where the files seem to part."""
    first = next((segment for segment in alignment.segments if segment.shift), None)
    where = (
        f"they seem to part at about {_at(scanned, first.begin)}"
        if first
        else "they are in step as far as both go: the shorter one seems to lack its last lines"
    )
    return [
        replace(finding, detail=f"{finding.detail}; {where}") if finding.check == "unequal_lines" else finding
        for finding in found
    ]


def _at(scanned: Scanned, place: int) -> str:
    """Names a place of the sample, or the last one in front of it too if what lies between is not in the sample."""
    places = scanned.sample.places
    here = scanned.rows.place(int(places[place]))
    if place and not scanned.sample.next_to[place - 1]:
        return f"{here}, or somewhat before, but behind {scanned.rows.place(int(places[place - 1]))}"
    return here


def _misaligned(scanned: Scanned, alignment: Alignment) -> list[Finding]:
    """Returns stretches that are out of step, blocks and single pairs that do not belong together."""
    shifted = [segment for segment in alignment.segments if segment.shift]
    blocks = [segment for segment in alignment.segments if not segment.shift]
    n = len(scanned.sample)
    found = []
    for check, segments in (("shifted", shifted), ("unrelated_block", blocks)):
        examples = [_segment_example(scanned, segment) for segment in segments]
        found += find(check, sum(segment.size for segment in segments), n, "pairs", "", examples)
    worst = np.argsort(alignment.mended, kind="stable")[: int(np.ceil(alignment.unrelated * n))]
    worst = worst[alignment.mended[worst] < UNLIKELY]
    examples = [_example(scanned, place) for place in worst[:4].tolist()]
    return found + find("unrelated", round(alignment.unrelated * n), n, "pairs", "", examples)


def _example(scanned: Scanned, place: int, shift: int = 0, note: str = "") -> Example:
    texts = scanned.sample.texts
    where = scanned.rows.place(int(scanned.sample.places[place]))
    return Example(where, (texts[0][place], texts[1][place + shift]), note)


def _segment_example(scanned: Scanned, segment: Segment) -> Example:
    """Shows the beginning of a segment: the first source and the target that belongs to it."""
    n, shift = len(scanned.sample), segment.shift or 0
    last = scanned.rows.place(int(scanned.sample.places[segment.end]))
    to = "to the end" if segment.end + max(0, shift) >= n - 1 else f"to about {last}"
    stretch = f"from about {_at(scanned, segment.begin)} {to}"
    if not shift:
        return _example(scanned, segment.begin, note=stretch)
    lines = f"{abs(shift)} line{'s' * (abs(shift) != 1)} {'further down' if shift > 0 else 'further up'}"
    place = segment.begin + (3 if segment.size > 6 else 0)  # where it begins is known to a few lines only
    note = f"{stretch}: the target of each source stands {lines}, as shown"
    return _example(scanned, min(max(place, -shift), n - 1 - max(0, shift)), shift, note)
