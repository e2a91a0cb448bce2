"""Plant faults in copies of a parallel corpus and see whether seq2seq-inspect finds them.

    python tools/plant_faults.py train.en train.de [--seed 1] [--fault NAME] [--keep FOLDER] [--json FILE]

Each fault is planted alone, at random places that follow from the seed, in a copy of the corpus with its last pairs
held out as a test set; the copy is inspected, and so is one without any fault. A fault counts as found if a finding of
its kind is there as an error or a warning, with about the right count where that can be told, and it counts as a false
alarm if the clean corpus has an error or a warning. The languages of the sides are taken from the names of the files.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seq2seq.evaluate.doctor.checks import Finding
from seq2seq.evaluate.doctor.examine import TRAIN, Part, examine
from seq2seq.evaluate.doctor.function_words import language_of_file
from seq2seq.evaluate.doctor.reading import FileRows
from seq2seq.text.lines import read_lines

TESTED = 500  # last pairs that are held out, at the most; of small corpora a tenth

# A language that is neither of most corpora's: sentences of our own.
FOREIGN = (
    ("Un homme", "Une femme", "Le petit garçon", "La vieille dame", "Notre voisin", "Cette fille", "Mon frère"),
    ("regarde", "cherche", "trouve", "porte", "achète", "oublie", "dessine"),
    ("une maison", "le chien noir", "un livre ancien", "les fleurs rouges", "sa voiture", "des pommes", "la clé"),
    ("dans la rue.", "avec ses amis.", "près de la rivière.", "pendant que nous dormons.", "sans rien dire."),
)
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxz", "aeiouy"


@dataclass
class Copy:
    """A copy of a corpus that faults are planted in.

    Attributes:
        source: source lines.
        target: target lines.
        test: pairs to test with.
        random: all choices come from it.
        raw: of each side what is written instead of its lines, if that is no UTF-8 text.
    """

    source: list[str]
    target: list[str]
    test: list[tuple[str, str]]
    random: random.Random
    raw: dict[int, bytes]

    def some(self, share: float) -> list[int]:
        """Draws lines, in order."""
        n = len(self.target)
        return sorted(self.random.sample(range(n), max(1, round(share * n))))

    def stretch(self, share: float, least: int = 60) -> range:
        """Draws neighbouring lines."""
        n = len(self.target)
        size = min(n // 2, max(least, round(share * n)))
        begin = self.random.randrange(n // 20, n - size)
        return range(begin, begin + size)

    def somewhere(self) -> int:
        """Draws a line, not among the last ones, at which everything behind goes wrong."""
        return self.random.randrange(len(self.target) * 19 // 20)


Plant = Callable[[Copy], int]  # returns how many lines it changed; 0: that says nothing


def _each(share: float, change: Callable[[Copy, int], None]) -> Plant:
    """Returns what changes a share of the pairs one by one."""

    def plant(copy: Copy) -> int:
        chosen = copy.some(share)
        for i in chosen:
            change(copy, i)
        return len(chosen)

    return plant


def _targets(share: float, change: Callable[[Copy, str], str]) -> Plant:
    """Returns what changes a share of the targets."""

    def one(copy: Copy, i: int) -> None:
        copy.target[i] = change(copy, copy.target[i])

    return _each(share, one)


def _inserted(text: str) -> Callable[[Copy, str], str]:
    """Returns what puts a text between two characters of a line."""

    def change(copy: Copy, line: str) -> str:
        place = copy.random.randint(1, max(1, len(line) - 1))
        return line[:place] + text + line[place:]

    return change


def shift_up(copy: Copy) -> int:
    """A target line is lost: all behind it move up."""
    place = copy.somewhere()
    del copy.target[place]
    copy.source.pop()
    return len(copy.target) - place


def shift_down(copy: Copy) -> int:
    """A target line stands there twice: all behind it move down."""
    place = copy.somewhere()
    copy.target.insert(place, copy.target[place])
    copy.target.pop()
    return len(copy.target) - place


def shift_block(copy: Copy) -> int:
    """The targets of a block stand three lines further down, its last three in front."""
    here = copy.stretch(0.02, 100)
    block = copy.target[here.start : here.stop]
    copy.target[here.start : here.stop] = block[-3:] + block[:-3]
    return len(here)


def swap_some(copy: Copy, i: int) -> None:
    """The sides of a pair are exchanged."""
    copy.source[i], copy.target[i] = copy.target[i], copy.source[i]


def swap_all(copy: Copy) -> int:
    """All sides are exchanged, those of the test set are not."""
    copy.source, copy.target = copy.target, copy.source
    return 0


def swap_everywhere(copy: Copy) -> int:
    """All sides are exchanged, those of the test set too."""
    copy.test = [(target, source) for source, target in copy.test]
    return swap_all(copy)


def copy_source(copy: Copy, i: int) -> None:
    """The target is the source."""
    copy.target[i] = copy.source[i]


def duplicate(copy: Copy) -> int:
    """Pairs stand there again, at random places behind themselves."""
    chosen = copy.some(0.05)
    for i in reversed(chosen):
        place = copy.random.randint(i + 1, len(copy.target))
        copy.source.insert(place, copy.source[i])
        copy.target.insert(place, copy.target[i])
    return len(chosen)


def leak_test(copy: Copy) -> int:
    """A tenth of the test pairs stands in the training text."""
    n = max(1, len(copy.test) // 10)
    for source, target in copy.random.sample(copy.test, n):
        place = copy.random.randrange(len(copy.target))
        copy.source.insert(place, source)
        copy.target.insert(place, target)
    return n


def foreign_block(copy: Copy) -> int:
    """The targets of a block are French."""
    here = copy.stretch(0.02)
    for i in here:
        copy.target[i] = " ".join(map(copy.random.choice, FOREIGN))
    return len(here)


def unknown_block(copy: Copy) -> int:
    """The targets of a block are in a language that nobody knows: letters stand for others."""
    letters: list[str] = []
    for group in (CONSONANTS, VOWELS):
        letters += copy.random.sample(group, len(group))
    code = "".join(letters)
    table = str.maketrans(CONSONANTS + VOWELS + (CONSONANTS + VOWELS).upper(), code + code.upper())
    here = copy.stretch(0.02)
    for i in here:
        copy.target[i] = copy.target[i].translate(table)
    return len(here)


def untranslated_block(copy: Copy) -> int:
    """The targets of a block are other lines of the source."""
    here = copy.stretch(0.02)
    for i in here:
        copy.target[i] = copy.random.choice(copy.source)
    return len(here)


def shuffle_some(copy: Copy) -> int:
    """A tenth of the targets change places."""
    chosen = copy.some(0.1)
    lines = [copy.target[i] for i in chosen]
    lines = lines[1:] + lines[:1]
    for i, line in zip(chosen, lines, strict=True):
        copy.target[i] = line
    return len(chosen)


def truncate(_: Copy, line: str) -> str:
    """The second half is missing."""
    words = line.split(" ")
    return " ".join(words[: (len(words) + 1) // 2]) if len(words) > 1 else line[: (len(line) + 1) // 2]


def lengthen(copy: Copy, i: int) -> None:
    """Many lines stand in one."""
    others = copy.random.choices(range(len(copy.target)), k=80)
    copy.source[i], copy.target[i] = (" ".join(side[j] for j in others) for side in (copy.source, copy.target))


def mangled(text: str) -> str:
    """Returns text whose UTF-8 bytes were read as Windows-1252, or as Latin-1 where that has no such byte."""
    return "".join(_read_wrongly(byte) for byte in text.encode())


def _read_wrongly(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


def _accented(copy: Copy, share: float, change: Callable[[str], str]) -> int:
    """Changes lines that are not plain ASCII; where there are none, lines that are given an accent first."""
    lines = [i for i, line in enumerate(copy.target) if not line.isascii()]
    n = max(1, round(share * len(copy.target)))
    if len(lines) < n:
        lines = list(range(len(copy.target)))
    for i in copy.random.sample(lines, n):
        copy.target[i] = change(copy.target[i] if not copy.target[i].isascii() else copy.target[i] + " café")
    return n


def mojibake(copy: Copy) -> int:
    """UTF-8 was read as Windows-1252."""
    return _accented(copy, 0.01, mangled)


def double_mojibake(copy: Copy) -> int:
    """UTF-8 was read as Windows-1252 twice."""
    return _accented(copy, 0.01, lambda line: mangled(mangled(line)))


def utf16(copy: Copy) -> int:
    """The target file is UTF-16."""
    copy.raw[1] = "".join(line + "\n" for line in copy.target).encode("utf-16")
    return 1


def bom(copy: Copy) -> int:
    """The source file begins with a byte order mark."""
    copy.raw[0] = "".join(line + "\n" for line in copy.source).encode("utf-8-sig")
    return 1


def one_line_more(copy: Copy) -> int:
    """The target has a line more."""
    place = copy.somewhere()
    copy.target.insert(place, copy.target[place])
    return 1


def invalid_utf8(copy: Copy) -> int:
    """Some lines are Latin-1."""
    chosen = set(copy.some(0.001))
    copy.raw[1] = b"".join(
        (line + " caf\xe9\n").encode("latin-1", "replace") if i in chosen else (line + "\n").encode()
        for i, line in enumerate(copy.target)
    )
    return len(chosen)


# Faults, what plants them, and the findings that count as finding them.
FAULTS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "shift_up": (shift_up, ("shifted",)),
    "shift_down": (shift_down, ("shifted",)),
    "shift_block": (shift_block, ("shifted",)),
    "copies": (_each(0.05, copy_source), ("copies",)),
    "swapped_some": (_each(0.1, swap_some), ("swapped_pairs",)),
    "swapped_all": (swap_all, ("sides_swapped",)),
    "swapped_everywhere": (swap_everywhere, ("sides_swapped",)),
    "mojibake": (mojibake, ("mojibake",)),
    "double_mojibake": (double_mojibake, ("double_mojibake",)),
    "duplicates": (duplicate, ("duplicates",)),
    "test_seen": (leak_test, ("test_pairs_seen",)),
    "truncated": (_targets(0.05, truncate), ("cut_off", "short_target")),
    "empty_targets": (_targets(0.01, lambda _, line: ""), ("one_blank",)),
    "french_block": (foreign_block, ("foreign_block",)),
    "unknown_block": (unknown_block, ("foreign_block",)),
    "untranslated_block": (untranslated_block, ("target_looks_wrong",)),
    "html_escapes": (_targets(0.01, _inserted("&quot;")), ("entities",)),
    "control_characters": (_targets(0.01, _inserted("\x02")), ("control",)),
    "lone_cr": (_targets(0.001, _inserted("\r")), ("lone_cr",)),
    "line_separator": (_targets(0.001, _inserted("\u2028")), ("line_separators",)),
    "utf16": (utf16, ("utf16",)),
    "bom": (bom, ("bom",)),
    "one_line_more": (one_line_more, ("unequal_lines",)),
    "invalid_utf8": (invalid_utf8, ("not_utf8",)),
    "long_lines": (_each(0.002, lengthen), ("long_lines",)),
    "joined_words": (_targets(0.02, lambda _, line: line.replace(" ", "")), ("joined_words",)),
    "shuffled": (shuffle_some, ("unrelated",)),
}
ONE = ("utf16", "bom")  # findings that count files


@dataclass(frozen=True)
class Outcome:
    """How it went with one fault.

    Attributes:
        fault: its name; "none": the clean corpus.
        planted: lines that were changed; 0: all, or none.
        counted: lines that the finding has.
        found: whether it was found; of the clean corpus whether there was nothing to find.
        others: other errors and warnings, with their counts.
        seconds: the inspection took.
    """

    fault: str
    planted: int
    counted: int
    found: bool
    others: list[str]
    seconds: float


def read_corpus(source: Path, target: Path, seed: int) -> Copy:
    """Reads a corpus and holds its last pairs out."""
    sides = list(read_lines(source)), list(read_lines(target))
    if len(sides[0]) != len(sides[1]):
        sys.exit(f"{source} and {target}: unequal numbers of lines; faults are planted in clean corpora only")
    n = len(sides[0]) - min(TESTED, len(sides[0]) // 10)
    seen = set(zip(sides[0][:n], sides[1][:n], strict=True))
    test = [pair for pair in zip(sides[0][n:], sides[1][n:], strict=True) if pair not in seen]
    return Copy(sides[0][:n], sides[1][:n], test, random.Random(seed), {})


def write_copy(copy: Copy, folder: Path, suffixes: Sequence[str]) -> list[Part]:
    """Writes a copy and returns its corpora."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"train": (copy.source, copy.target), "test": tuple(map(list, zip(*copy.test, strict=True)))}
    parts = []
    for role, sides in texts.items():
        paths = [folder / f"{role}{suffix}" for suffix in suffixes]
        for side, (path, lines) in enumerate(zip(paths, sides, strict=True)):
            content = "".join(line + "\n" for line in lines).encode()
            path.write_bytes(copy.raw.get(side, content) if role == "train" else content)
        codes = tuple(map(language_of_file, paths))
        parts.append(Part(TRAIN if role == "train" else "test", FileRows(paths, codes, None)))
    return parts


def try_fault(fault: str, source: Path, target: Path, seed: int, folder: Path) -> Outcome:
    """Plants a fault in a copy of a corpus, or none, and inspects it."""
    copy = read_corpus(source, target, seed)
    plant, wanted = FAULTS.get(fault, (lambda _: 0, ()))
    planted = plant(copy)
    suffixes = [Path(path.name.removesuffix(".gz")).suffix for path in (source, target)]
    parts = write_copy(copy, folder / fault, suffixes)
    start = time.perf_counter()
    found = [finding for corpus in examine(parts) for finding in corpus.findings if finding.severity != "note"]
    seconds = time.perf_counter() - start
    hits = [finding for finding in found if finding.check in wanted]
    others = [f"{finding.check} {finding.count:,}" for finding in found if finding.check not in wanted]
    return Outcome(fault, planted, *_count(hits, planted), others, seconds) if wanted else Outcome(
        fault, 0, 0, not found, others, seconds
    )  # fmt: skip


def _count(hits: Sequence[Finding], planted: int) -> tuple[int, bool]:
    """Returns the count of the finding that comes nearest to what was planted, and whether that is about right."""
    if not hits:
        return 0, False
    counted = min((hit.count for hit in hits), key=lambda count: abs(count - planted))
    return counted, not planted or planted / 2 <= counted <= 2 * planted + 20


def main() -> None:
    """Plants all faults, one at a time, and prints what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", action="append", choices=[*FAULTS, "none"], help="plant only this; again for more")
    parser.add_argument("--keep", type=Path, help="folder for the copies")
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp())
    outcomes = []
    print(f"{'fault':<20} {'planted':>8} {'counted':>8}  {'':<6} {'seconds':>7}  other errors and warnings")
    try:
        for fault in arguments.fault or ["none", *FAULTS]:
            outcome = try_fault(fault, arguments.source, arguments.target, arguments.seed, folder)
            verdict = (
                ("clean" if outcome.found else "ALARM") if fault == "none" else "found" if outcome.found else "MISSED"
            )
            print(
                f"{fault:<20} {outcome.planted:>8,} {outcome.counted:>8,}  {verdict:<6} {outcome.seconds:>7.1f}  "
                f"{', '.join(outcome.others)}",
                flush=True,
            )
            outcomes.append(outcome)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)
    planted = [outcome for outcome in outcomes if outcome.fault != "none"]
    print(f"{sum(outcome.found for outcome in planted)} of {len(planted)} faults found")
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(outcome) for outcome in outcomes], indent=2) + "\n")
    sys.exit(not all(outcome.found for outcome in outcomes))


if __name__ == "__main__":
    main()
