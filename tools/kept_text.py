"""What comes through a translation unchanged: numbers, addresses, placeholders and tags, with `keep` and without.

    python tools/kept_text.py MODEL SOURCE [--seed S] [--threads N]

Puts one to three of them at random places into each line, translates the lines with `keep` of all kinds and without,
and counts those that stand in the translation as often as in the source.
"""

import argparse
import time
from collections import Counter
from pathlib import Path
from random import Random

import torch

from seq2seq import Translator
from seq2seq.decode.protected import Kind, find_protected, lost
from seq2seq.decode.steering import Steering
from seq2seq.text.lines import read_lines

KINDS: dict[Kind, list[str]] = {
    "number": ["7", "42", "1,000", "3.14", "12:30", "2026-11-20", "1.234.567", "99", "0.5", "300"],
    "placeholder": ["{name}", "{0}", "%s", "${price}", "{{ user }}", "%(count)d"],
    "url": ["https://example.org/a?b=1", "www.example.org", "http://example.org/~x/"],
    "email": ["info@example.org", "a.b+c@example.org"],
    "tag": ["<b>", "<br/>", "</b>"],
}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("source", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    random = Random(given.seed)
    sources = [planted(line, random) for line in read_lines(given.source)]
    everything = frozenset(KINDS)
    print(f"{len(sources):,} lines\n| kept | {' | '.join(KINDS)} | all | lines/s |\n|---|{'--:|' * (len(KINDS) + 2)}")
    for name, steering in (("without", Steering()), ("with", Steering(keep=everything))):
        translator = Translator.load(given.model, "cpu", steering=steering)
        started = time.monotonic()
        found = translator.translate(sources)
        seconds = time.monotonic() - started
        there, kept = count(sources, found)
        cells = [f"{kept[kind]:,} of {there[kind]:,}" for kind in KINDS]
        print(f"| {name} | {' | '.join(cells)} | {kept.total() / there.total():.2%} | {len(sources) / seconds:.1f} |")


def planted(line: str, random: Random) -> str:
    """Returns a line with one to three things in it that must stay."""
    words = line.split()
    for _ in range(random.randint(1, 3)):
        words.insert(random.randint(0, len(words)), random.choice(KINDS[random.choice(list(KINDS))]))
    return " ".join(words)


def count(sources: list[str], translations: list[str]) -> tuple[Counter[Kind], Counter[Kind]]:
    """Returns how many of each kind stand in the sources, and how many of them in the translations."""
    there, kept = Counter[Kind](), Counter[Kind]()
    for source, translation in zip(sources, translations, strict=True):
        missing = Counter(lost(source, translation))
        for span in find_protected(source):
            there[span.kind] += 1
            kept[span.kind] += not missing[span.text]
            missing[span.text] -= missing[span.text] > 0
    return there, kept


if __name__ == "__main__":
    main()
