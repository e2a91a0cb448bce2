"""What makes scores misleading: tokenised, lower-cased, escaped, empty or untranslated text, tests seen in training.

A guard looks at translations beside their references and says, in one sentence, what seems wrong, or nothing. It never
changes a score. Shares are of lines.
"""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seq2seq.evaluate.words import CJK
from seq2seq.files import sha256
from seq2seq.text.lines import is_blank, read_lines

NOTABLE = 0.05  # share of lines from which on something is no accident
MOST = 0.5
SUBWORD_MARKS = {
    "\u2581": re.compile("\u2581"),  # SentencePiece
    "@@": re.compile(r"@@(?=\s|$)"),  # subword-nmt
    "##": re.compile(r"(?:^|\s)##(?=\w)"),  # WordPiece
}
PUNCTUATION = re.compile("[.,\u3001\u3002\uff0c](?=\\s|$)")  # full stops and commas, Chinese and Japanese ones too
SPACED_PUNCTUATION = re.compile(rf"\s{PUNCTUATION.pattern}")
ESCAPE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")

Lines = Sequence[str]


@dataclass(frozen=True)
class Overlap:
    """How much of a test set stands, line for line, in a file of training text.

    Attributes:
        name: the file, as the user gave it.
        lines: of the file.
        sha256: of the file's bytes, hex digits; empty for what can be read only once.
        sources: test sources that stand in the file; None if the sources are not known.
        references: lines of the test set of which a reference stands in the file.
        tested: lines of the test set.
    """

    name: str
    lines: int
    sha256: str
    sources: int | None
    references: int
    tested: int

    def warnings(self) -> list[str]:
        """Says what was found."""
        found = [(self.sources or 0, "test sources"), (self.references, "references")]
        return [f"{n:,} of {self.tested:,} {what} also stand in {self.name}" for n, what in found if n]


def check_translations(hypotheses: Lines, references: Sequence[Lines], source: Lines | None = None) -> list[str]:
    """Returns what seems wrong with the translations of a system.

    Args:
        hypotheses: its translations.
        references: one list of references or several, each as long.
        source: what was translated, if it is known.
    """
    found = [guard(hypotheses, references) for guard in (letter_case, tokenised, escaped, empty)]
    if source is not None:
        found.append(untranslated(hypotheses, references, source))
    return subword_marks(hypotheses, references) + [warning for warning in found if warning]


def unspaced(references: Sequence[Lines], signature: str) -> list[str]:
    """Finds references without spaces between words, and BLEU by a tokenizer that needs them.

    Args:
        references: one list or several.
        signature: of BLEU.
    """
    lines = references[0]
    n = sum(2 * len(CJK.findall(line)) > len(line) for line in lines)
    if "tok:13a" not in signature or n < MOST * len(lines):
        return []
    told = f"{n:,} of {len(lines):,} references are written without spaces, and BLEU counted words between spaces"
    return [f"{told}: name the languages, such as --langpair en-zh"]


def subword_marks(hypotheses: Lines, references: Sequence[Lines]) -> list[str]:
    """Finds subwords that were not joined to words."""
    warnings = []
    for mark, pattern in SUBWORD_MARKS.items():
        n = _holding(pattern, hypotheses)
        if n >= NOTABLE * len(hypotheses) and n > 4 * max(_holding(pattern, lines) for lines in references):
            warnings.append(
                f"{_lines(n, hypotheses)} hold the subword mark {mark}, unlike the references: join the subwords"
            )
    return warnings


def letter_case(hypotheses: Lines, references: Sequence[Lines]) -> str | None:
    """Finds text that is lower-cased on one side only."""
    ours, theirs = _capitals(hypotheses), _capitals([line for lines in references for line in lines])
    if ours is None or theirs is None:
        return None
    if ours <= NOTABLE and theirs >= MOST:
        return "the translations are lower-cased and the references are not: the scores mind capitals"
    if theirs <= NOTABLE and ours >= MOST:
        return "the references are lower-cased and the translations are not: the scores mind capitals"
    return None


def tokenised(hypotheses: Lines, references: Sequence[Lines]) -> str | None:
    """Finds punctuation that is split off from its word, as tokenizers do it."""
    n = _holding(SPACED_PUNCTUATION, hypotheses)
    if n < NOTABLE * len(hypotheses) or n < MOST * _holding(PUNCTUATION, hypotheses):
        return None
    for lines in references:
        if _holding(SPACED_PUNCTUATION, lines) > NOTABLE * _holding(PUNCTUATION, lines):
            return None
    return f"{_lines(n, hypotheses)} have spaces before full stops or commas, unlike the references: detokenise them"


def escaped(hypotheses: Lines, references: Sequence[Lines]) -> str | None:
    """Finds characters written as HTML does it, such as `&quot;`."""
    n = sum(map(_has_escape, hypotheses))
    if not n or any(_has_escape(line) for lines in references for line in lines):
        return None
    return f"{_lines(n, hypotheses)} hold HTML escapes such as &quot; and no reference does: unescape them"


def empty(hypotheses: Lines, references: Sequence[Lines]) -> str | None:
    """Counts lines that were not translated at all."""
    rows = zip(hypotheses, *references, strict=True)
    n = sum(is_blank(hypothesis) and not all(map(is_blank, lines)) for hypothesis, *lines in rows)
    return f"{_lines(n, hypotheses)} are empty where the reference is not" if n else None


def untranslated(hypotheses: Lines, references: Sequence[Lines], source: Lines) -> str | None:
    """Finds translations that repeat the source, where the references do not."""
    n = 0
    for line, hypothesis, *others in zip(source, hypotheses, *references, strict=True):
        same = line.strip() == hypothesis.strip() and not is_blank(line)
        n += same and all(line.strip() != other.strip() for other in others)
    return f"{_lines(n, hypotheses)} repeat the source" if n and n >= NOTABLE * len(hypotheses) else None


def count_overlap(
    path: str | Path,
    references: Sequence[Lines],
    source: Lines | None = None,
    see: Callable[[str], None] | None = None,
) -> Overlap:
    """Counts the lines of a test set that also stand in a file of training text, of either language.

    The file is read as a stream; blank lines, and spaces at a line's ends, do not count.

    Args:
        path: of the file.
        references: one list of references or several, each as long.
        source: the test sources, if they are known.
        see: is handed each line of the file, as it is read once.

    Raises:
        DataError: the file cannot be read or is not UTF-8.
    """
    tested = {line.strip() for lines in [*references, source or []] for line in lines} - {""}
    seen = set()
    n_lines = 0
    for line in read_lines(Path(path)):
        n_lines += 1
        if see:
            see(line)
        if (stripped := line.strip()) in tested:
            seen.add(stripped)
    in_references = sum(any(line.strip() in seen for line in lines) for lines in zip(*references, strict=True))
    in_source = None if source is None else sum(line.strip() in seen for line in source)
    digest = sha256(Path(path)) if Path(path).is_file() else ""
    return Overlap(str(path), n_lines, digest, in_source, in_references, len(references[0]))


def _lines(n: int, lines: Lines) -> str:
    return f"{n:,} of {len(lines):,} translations"


def _holding(pattern: re.Pattern[str], lines: Lines) -> int:
    """Returns how many lines hold a pattern."""
    return sum(pattern.search(line) is not None for line in lines)


def _capitals(lines: Lines) -> float | None:
    """Returns the share of lines with a capital among those with letters that could be one."""
    cased = [line for line in lines if line.lower() != line.upper()]
    return sum(line != line.lower() for line in cased) / len(cased) if cased else None


def is_escape(text: str) -> bool:
    """Says whether what `ESCAPE` matches stands for a character."""
    return html.unescape(text) != text


def _has_escape(line: str) -> bool:
    return any(map(is_escape, ESCAPE.findall(line)))
