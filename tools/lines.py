"""Proves that seq2seq-translate neither loses nor moves a line, however many and nasty they are, and killed or not.

    python tools/lines.py nasty --lines 100000 > nasty.txt       # lines that break programs
    python tools/lines.py stub --lines 10000000 [--suffix .gz]   # the command with its model replaced by an identity
    python tools/lines.py killed [MODEL] --lines 100000 --kills 20

`stub` measures seconds and memory, and compares each line. `killed` translates nasty lines twice, once undisturbed and
once killed (SIGKILL) at random moments and resumed; it compares the outputs byte by byte, and some lines with what
they become alone. Without MODEL it takes a tiny one with random weights. Exit status 0: nothing was lost or moved.
"""

import argparse
import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import BinaryIO

from seq2seq.text.lines import decode_line, is_blank, one_line, read_raw

ROOT = Path(__file__).resolve().parents[1]
WORDS = ["red", "blue", "old", "new", "big", "small", "dog", "cat", "house", "tree", "car", "sees", "finds", "takes"]
SPACES = ["", " ", "\t", "\u3000", "\u00a0", "\u200b", "\u2003\u2028", "\x00", "\r", "\x0b\x0c", "\ufeff", "\u2060"]
BREAKS = ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
BROKEN = [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe2\x82", b"\x80"]
OTHERS = [
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "e" + "\u0301" * 30, "\u202eleft\u202c", "\u05e9\u05dc",
    "\u0645\u0631", "\u6f22\u5b57\u3002", "\u2581\u2581", "\ue000\ue002", "<2de>", "<s>", "</s>", "<unk>", "<0x0A>",
    "&amp;", '{"a": "\\n"}', "\\n", "\ufffd", "\U0010ffff", "x\x00y", "\x1b[31m",
]  # fmt: skip
LONG_EVERY = 2_000  # lines


def nasty_lines(n: int, seed: int) -> Iterator[bytes]:
    """Yields lines with their ends, which only the last one lacks."""
    draw = random.Random(seed)
    for i in range(n):
        text = b"" if i else "\ufeff".encode()
        match draw.randrange(8):
            case 0:
                text += "".join(draw.choices(SPACES, k=draw.randrange(4))).encode()
            case 1:
                text += draw.choice(BREAKS).join(_words(draw)).encode()
            case 2:
                text += draw.choice(BROKEN).join(word.encode() for word in _words(draw))
            case 3 | 4:
                text += " ".join(draw.sample([*_words(draw), *draw.choices(OTHERS, k=3)], k=3)).encode()
            case _:
                text += (" ".join(_words(draw)) + f" {i}.").encode()
        if i % LONG_EVERY == LONG_EVERY // 2:
            text += (draw.choice(["a", "red dog. ", "red ", "\u6f22\u3002", "(!", "Dr. "]) * 5_000).encode()
        yield text + (b"" if i == n - 1 else draw.choice([b"\n", b"\n", b"\n", b"\r\n"]))


def _words(draw: random.Random) -> list[str]:
    return draw.choices(WORDS, k=draw.randrange(1, 9))


def many_lines(n: int, seed: int) -> Iterator[bytes]:
    """Yields lines with their ends, each with its number, nasty ones among them."""
    nasty = list(nasty_lines(LONG_EVERY // 2, seed))[:-1]
    for i in range(n):
        yield nasty[i // 16 % len(nasty)] if i % 16 == 15 else b"line %d of a text that is translated\n" % i


def write_lines(path: Path, lines: Iterator[bytes]) -> None:
    """Writes lines into a file, compressed if its name ends in `.gz`."""
    with gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else open(path, "wb") as file:
        while block := b"".join(islice(lines, 100_000)):
            file.write(block)


def compare(source: Path, output: Path) -> tuple[int, int]:
    """Returns how many lines the output of an identity lacks or has too many, and how many differ from their source."""
    lost = moved = 0
    for number, (line, found) in enumerate(zip_longest(read_raw(source), read_raw(output)), 1):
        if line is None or found is None:
            lost += 1
            continue
        text = decode_line(line, number == 1, "replace")
        expected = "" if is_blank(text) else one_line(text)
        moved += found != expected.encode() + b"\n"
    return lost, moved


def run_stub(arguments: Sequence[str]) -> None:
    """Runs seq2seq-translate with each translation replaced by its source."""
    from seq2seq.cli.translate import main as translate
    from seq2seq.decode.translation import BLANK, Candidate, Translation
    from seq2seq.decode.translator import Translator

    def identity(
        self: Translator,
        lines: Sequence[str],
        n_best: int = 1,
        before: Sequence[str] = (),
        prefixes: Sequence[str] = (),
    ) -> list[Translation]:
        texts = map(one_line, lines)
        return [BLANK if is_blank(text) else Translation(text, [Candidate(text, 0.0, 0.0, [])]) for text in texts]

    Translator.translate_each = identity  # type: ignore[method-assign]
    translate(list(arguments))


def command(stub: bool, *arguments: object) -> list[str]:
    """Returns the command line of seq2seq-translate, or of the stub of it."""
    program = ["-c", "from seq2seq.cli.translate import main; main()"]
    if stub:
        program = [str(Path(__file__).resolve()), "run-stub", "--"]
    return [sys.executable, *program, *map(str, arguments)]


def random_model(folder: Path) -> Path:
    """Writes a tiny model with random weights."""
    from bench.plan import Sizes
    from bench.translate_data import write_random_model

    demo = ROOT / "recipes/demo"
    return write_random_model(folder, Sizes(1, 32, 2, 64, 400), (demo / "test.en.gz", demo / "test.de.gz"))


def try_stub(options: argparse.Namespace, folder: Path) -> bool:
    """Sends many lines through the stub; says whether none was lost or moved."""
    source, output = folder / f"in.txt{options.suffix}", folder / f"out.txt{options.suffix}"
    subprocess.run(
        [sys.executable, __file__, "random-model", "--folder", folder], check=True
    )  # keeps torch out of here
    write_lines(source, many_lines(options.lines, options.seed))
    started = time.monotonic()
    process = subprocess.Popen(command(True, folder / "model", "--input", source, "--output", output))
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    lost, moved = compare(source, output)
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{options.lines:,} lines, {source.stat().st_size:,} bytes: {seconds:.0f} s, {cpu:.0f} s of CPU, "
          f"{usage.ru_maxrss / 1024:,.0f} MiB at the most, {lost:,} lost, {moved:,} moved")  # fmt: skip
    return status == lost == moved == 0


def try_killed(options: argparse.Namespace, folder: Path) -> bool:
    """Translates nasty lines undisturbed, and killed again and again; says whether both give the same."""
    model = options.model or random_model(folder)
    source, whole, killed = folder / "in.txt", folder / "whole.txt", folder / "killed.txt"
    write_lines(source, nasty_lines(options.lines, options.seed))
    arguments = [model, "--input", source, "--beam-size", 1, "--device", "cpu", "--threads", 1, "--precision", "fp32"]
    write_lines(folder / "nothing.txt", iter([]))
    start = timed(command(options.stub, model, "--input", folder / "nothing.txt", "--output", folder / "nothing"))
    seconds = timed(command(options.stub, *arguments, "--output", whole))
    resume = command(options.stub, *arguments, "--output", killed, "--resume")
    life = start + 2 * max(0.0, seconds - start) / max(1, options.kills)
    deaths = kill_and_resume(resume, options.kills, life, random.Random(options.seed))
    same = whole.read_bytes() == killed.read_bytes()
    lines = [decode_line(line, i == 0, "replace") for i, line in enumerate(read_raw(source))]
    found = [line.decode().removesuffix("\n") for line in read_raw(whole)]
    moved = sum(compare(source, whole)) if options.stub else count_moved(model, lines, found, options.seed)
    lost = abs(len(lines) - len(found))
    print(f"{len(lines):,} nasty lines in {seconds:.0f} s, then killed {deaths} times: {lost:,} lost, {moved:,} moved, "
          f"the outputs {'are the same' if same else 'DIFFER'}")  # fmt: skip
    return same and lost == moved == 0 and not list(folder.glob("*.part*"))


def timed(program: Sequence[str]) -> float:
    """Returns how many seconds a program takes."""
    started = time.monotonic()
    subprocess.run(program, check=True)
    return time.monotonic() - started


def kill_and_resume(resume: Sequence[str], kills: int, life: float, draw: random.Random) -> int:
    """Runs a command to its end after killing it at random moments; returns how often it died.

    Args:
        resume: the command, which goes on where it was killed.
        kills: how often it is killed, if it does not come to its end before.
        life: seconds of the longest life.
        draw: chooses the moments.
    """
    for death in range(kills):
        process = subprocess.Popen(resume)
        try:
            process.wait(draw.uniform(0.0, life))
            return death
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    subprocess.run(resume, check=True)
    return kills


def count_moved(model: Path, lines: Sequence[str], found: Sequence[str], seed: int) -> int:
    """Returns how many lines are not what they become alone, as far as some samples and the blank lines tell."""
    from seq2seq.decode.translator import Translator

    translator = Translator.load(model, "cpu", beam_size=1, precision="fp32")
    sample = random.Random(seed).sample(range(len(lines)), min(200, len(lines) // 5))
    moved = sum(translator.translate([lines[i]]) != [found[i]] for i in sample)
    return moved + sum(is_blank(line) and text != "" for line, text in zip(lines, found, strict=False))


def main() -> int:
    """Runs what the command line asks for; returns the exit status."""
    if sys.argv[1:3] == ["run-stub", "--"]:
        run_stub(sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["nasty", "stub", "killed", "random-model"])
    parser.add_argument("model", nargs="?", type=Path, help="folder of the model that is killed")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suffix", default="", help="of input and output of the stub, such as .gz")
    parser.add_argument("--stub", action="store_true", help="kill the stub instead of a model")
    parser.add_argument("--folder", type=Path, help="where files are written and kept")
    options = parser.parse_args()
    if options.command == "nasty":
        output: BinaryIO = sys.stdout.buffer
        output.writelines(nasty_lines(options.lines, options.seed))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.command == "random-model":
            return 0 if random_model(folder).exists() else 1
        return 0 if {"stub": try_stub, "killed": try_killed}[options.command](options, folder) else 1


if __name__ == "__main__":
    sys.exit(main())
