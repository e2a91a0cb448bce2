"""What is looked for in corpora: what each finding means, what to do, and from which share on it is serious."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
SHOWN = 4  # examples of a finding
SHOWN_LENGTH = 160  # characters of an example
ANY = 0.0  # share of a single one
SINGULAR = {"corpora": "corpus"}
LEAST = 3  # of a fault that only many make serious


@dataclass(frozen=True)
class Check:
    """A kind of fault.

    Attributes:
        title: a few words.
        advice: what it means and what to do.
        warning: share from which on it is a warning; below it is a note.
        error: share from which on it is an error.
    """

    title: str
    advice: str
    warning: float = inf
    error: float = inf


@dataclass(frozen=True)
class Example:
    """A place to look at.

    Attributes:
        place: file and line.
        texts: what stands there, one for each side that matters; invisible characters are written out.
        note: what is to be seen.
    """

    place: str
    texts: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", tuple(map(_short, self.texts)))


@dataclass(frozen=True)
class Finding:
    """What was found of one kind.

    Attributes:
        check: key of `CHECKS`.
        severity: how bad it is.
        count: how often.
        total: of how many; 0: a share would mean nothing.
        unit: what is counted.
        detail: what this corpus alone has to tell, if anything.
        examples: some places.
    """

    check: str
    severity: Severity
    count: int
    total: int
    unit: str
    detail: str = ""
    examples: Sequence[Example] = ()

    @property
    def title(self) -> str:
        """The kind of fault in a few words."""
        return CHECKS[self.check].title

    @property
    def advice(self) -> str:
        """What it means and what to do."""
        return CHECKS[self.check].advice

    @property
    def share(self) -> float | None:
        """Count over total."""
        return self.count / self.total if self.total else None

    @property
    def amount(self) -> str:
        """Count and share in words."""
        unit = SINGULAR.get(self.unit, self.unit.removesuffix("s")) if self.count == 1 else self.unit
        if self.share is None:
            return f"{self.count:,} {unit}"
        percent = 100 * self.share
        return f"{self.count:,} {unit} ({f'{percent:.1f}' if percent >= 0.1 else f'{percent:.1g}'} %)"

    def record(self) -> dict[str, Any]:
        """Returns the finding for JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "count": self.count,
            "share": self.share,
            "unit": self.unit,
            "title": self.title,
            "detail": self.detail,
            "advice": self.advice,
            "examples": [{"place": e.place, "texts": e.texts, "note": e.note} for e in self.examples],
        }


def find(
    check: str,
    count: int,
    total: int,
    unit: str = "lines",
    detail: str = "",
    examples: Sequence[Example] = (),
    at_most: Severity = "error",
) -> list[Finding]:
    """Returns what was found, as serious as its share makes it; nothing if nothing was found.

    Args:
        check: key of `CHECKS`.
        count: how often.
        total: of how many; 0: every single one counts.
        unit: what is counted.
        detail: what this corpus alone has to tell.
        examples: some places.
        at_most: the worst that it may be here.
    """
    if not count:
        return []
    rule, share = CHECKS[check], count / total if total else 1.0
    if total and count < LEAST and rule.warning > ANY:  # of few lines one is a large share
        at_most = "note"
    severity: Severity = "error" if share >= rule.error else "warning" if share >= rule.warning else "note"
    worst = max(severity, at_most, key=SEVERITIES.index)
    return [Finding(check, worst, count, total, unit, detail, list(examples)[:SHOWN])]


def _short(text: str) -> str:
    shown = "".join(char if char.isprintable() else f"[U+{ord(char):04X}]" for char in text[: SHOWN_LENGTH + 1])
    return shown if len(text) <= SHOWN_LENGTH else shown[:SHOWN_LENGTH] + "…"


CHECKS = {
    # Files.
    "unreadable": Check(
        "cannot be read to its end", "Mend the file or fetch it again; what follows is unknown.", 0, ANY
    ),
    "utf16": Check("is UTF-16", "Convert it to UTF-8 (iconv -f UTF-16 -t UTF-8); nothing else was looked at.", 0, ANY),
    "not_utf8": Check(
        "is not UTF-8", "Training stops at such bytes. Convert the file, or remove the lines on both sides.", 0, ANY
    ),
    "bad_row": Check(
        "rows that are no pairs", "Training stops at such a row. Mend the file or remove the rows.", 0, ANY
    ),
    "unequal_lines": Check(
        "unequal numbers of lines",
        "Line by line the files cannot be each other's translation, and training stops. Find the line that is missing "
        "or too many; never cut the longer file.",
        0,
        ANY,
    ),
    "no_text": Check("no text", "There is nothing to train on or to test with.", 0, ANY),
    "bom": Check(
        "begins with a byte order mark", "It is dropped here, but other programs read it as a letter. Remove it.", ANY
    ),
    "crlf": Check("lines end in \\r\\n", "The \\r is dropped here; other programs may keep it. dos2unix removes it."),
    # Characters.
    "lone_cr": Check(
        "\\r inside lines",
        "Other programs end a line there and shift all that follows. Replace it by a space on both sides alike.",
        ANY,
    ),
    "line_separators": Check(
        "line separators inside lines",
        "U+2028, U+0085, \\v, \\f and the like: Python's splitlines and others end a line there and shift all that "
        "follows. Replace them by spaces.",
        ANY,
    ),
    "control": Check("control characters", "They are no text: remove them.", 0.001),
    "mojibake": Check(
        "mojibake",
        "UTF-8 that was read as another encoding, such as Ã¼ for ü. Convert it back.",
        0.001,
    ),
    "double_mojibake": Check(
        "doubly wrong encoding",
        "UTF-8 that was read as another encoding twice, such as ÃƒÂ¼ for ü. Convert it back.",
        0.001,
    ),
    "replacement": Check("U+FFFD", "Characters that were lost in a conversion. Convert the original again.", 0.001),
    "bidi": Check("bidirectional controls", "Invisible marks of writing direction; rarely wanted in training.", 0.01),
    "invisible": Check(
        "invisible characters", "Zero-width characters and soft hyphens make unlike what looks alike.", 0.01
    ),
    "tabs": Check("tabs", "Tabs inside lines: perhaps a table, of which only one column was meant.", 0.1),
    "entities": Check("HTML escapes", "Such as &quot; or &amp;. Unescape them, or the model will write them.", 0.002),
    "tags": Check("markup", "HTML or XML tags. Remove them unless the model shall translate markup.", 0.005),
    # Lines.
    "one_blank": Check(
        "one side is blank", "Training drops such pairs. Many of them mean that something was lost.", 0.001
    ),
    "both_blank": Check("both sides are blank", "Training drops such pairs.", 0.05),
    "blank": Check("blank lines", "They carry nothing.", 0.05),
    "copies": Check(
        "source and target are the same",
        "Untranslated pairs teach the model to copy (Ott et al. 2018 saw harm from 2 % on). Remove them.",
        0.01,
    ),
    "duplicates": Check(
        "pairs that stand there before",
        "They count more than others. data.drop_duplicates: true trains on each once.",
        0.01,
    ),
    "repeated_lines": Check("lines that stand there before", "They count more than others.", 0.2),
    "repeated_source": Check(
        "sources with several targets", "Common where translations are free; the model averages them."
    ),
    "repeated_target": Check("targets with several sources", "Common where sentences are short or formulaic."),
    "short_target": Check(
        "targets far too short", "Compared with what sources of this length have. Something may be missing.", 0.01
    ),
    "long_target": Check(
        "targets far too long", "Compared with what sources of this length have. Something may have been added.", 0.01
    ),
    "cut_off": Check(
        "targets that seem cut off", "Short, and without the punctuation at the end that the source has.", 0.01
    ),
    "long_lines": Check(
        "very long lines", "Perhaps several lines in one. Training drops what is longer than data.max_length.", 0.0002
    ),
    "joined_words": Check(
        "words without spaces between them", "Spaces were lost; the tokenizer cannot see words.", 0.002
    ),
    # Test sets.
    "test_pairs_seen": Check(
        "what is tested with stands in the training text",
        "Scores on them tell what was learnt by heart. Remove them from it.",
        0.002,
    ),
    "test_sources_seen": Check(
        "sources that stand in the training text", "With other translations. Scores may be a little too good.", 0.05
    ),
    # Languages.
    "sides_swapped": Check(
        "source and target are swapped", "Each side is in the other's language. Exchange the two.", 0, ANY
    ),
    "unexpected_language": Check(
        "another language than it should be",
        "By its most frequent words or its script, which tell common languages only.",
        ANY,
    ),
    "same_language": Check(
        "both sides look like one language",
        "Their letters do not tell the sides apart, so swapped sides and wrong languages cannot be found.",
    ),
    "swapped_pairs": Check(
        "pairs with swapped sides", "The source looks like the target side and the target like the source side.", 0.005
    ),
    "source_looks_wrong": Check(
        "sources in the language of the target", "By their letters; the target looks right. Perhaps copies.", 0.005
    ),
    "target_looks_wrong": Check(
        "targets in the language of the source",
        "By their letters; the source looks right. Perhaps untranslated.",
        0.005,
    ),
    "foreign": Check(
        "lines unlike their side", "Letters as in none of the two languages: another language, a code, or noise.", 0.005
    ),
    "foreign_block": Check(
        "a block unlike the rest of its side", "Another language, or text of another kind. Look at it.", ANY
    ),
    # Alignment.
    "shifted": Check(
        "lines out of step",
        "Each line is the translation of another line than the one it stands beside: a line is missing or too many "
        "where this begins. Mend it; a model learns nothing from such pairs.",
        0,
        ANY,
    ),
    "unrelated_block": Check(
        "a block of pairs that do not belong together",
        "No shift of a few lines mends it. Look at it, or remove it.",
        ANY,
    ),
    "unrelated": Check(
        "pairs that do not seem to belong together",
        "By words that elsewhere translate each other, and by length; an estimate. Free translations count too.",
        0.02,
        0.5,
    ),
    # Tokens.
    "unknown_characters": Check(
        "characters that the tokenizer does not know",
        "They are all the same to the model, or a byte each. Perhaps the tokenizer was trained on other text.",
        0.01,
    ),
    "too_many_tokens": Check(
        "longer than data.max_length", "Training drops such pairs. Raise it, or split them.", 0.01
    ),
    "token_ratio": Check("numbers of tokens differ too much", "Training drops such pairs (data.max_ratio).", 0.01),
}
