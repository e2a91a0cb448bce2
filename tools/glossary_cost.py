"""What a glossary costs: terms honoured, BLEU, chrF and speed with it and without.

    python tools/glossary_cost.py MODEL SOURCE REFERENCE tools/glossary_en_de.tsv [--threads N] [--rounds N]

Translates all lines by turns without the glossary and with it, counts in how many lines each term stands as often as
its source term does, and scores both with sacrebleu.
"""

import argparse
import re
import time
from pathlib import Path
from statistics import median

import sacrebleu
import torch

from seq2seq import Translator
from seq2seq.decode.steering import Glossary, Steering
from seq2seq.text.lines import read_lines


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    for name in ("source", "reference", "glossary"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sources, references = list(read_lines(given.source)), list(read_lines(given.reference))
    glossary = Glossary.read(given.glossary)
    systems = {
        "without": Translator.load(given.model, "cpu"),
        "with": Translator.load(given.model, "cpu", steering=Steering(glossary)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    outputs: dict[str, list[str]] = {}
    for _ in range(given.rounds):
        for name, translator in systems.items():
            started = time.monotonic()
            outputs[name] = translator.translate(sources)
            seconds[name].append(time.monotonic() - started)
    wanted = sum(len(list(glossary.find(source))) for source in sources)
    print(f"{len(glossary.terms)} terms, {wanted:,} times in {len(sources):,} lines")
    print("| glossary | honoured | BLEU | chrF | lines/s |\n|---|--:|--:|--:|--:|")
    for name, found in outputs.items():
        honoured = sum(count(glossary, *pair) for pair in zip(sources, found, strict=True))
        bleu = sacrebleu.corpus_bleu(found, [references]).score
        chrf = sacrebleu.corpus_chrf(found, [references]).score
        speed = len(sources) / median(seconds[name])
        print(f"| {name} | {honoured:,} ({honoured / wanted:.2%}) | {bleu:.2f} | {chrf:.2f} | {speed:.1f} |")


def count(glossary: Glossary, source: str, translation: str) -> int:
    """Returns how many of the terms in a source are honoured: each occurrence needs one of its own."""
    wishes = [wish for _, _, wish in glossary.find(source)]
    found = 0
    for wish in dict.fromkeys(wishes):
        pattern = "|".join(rf"(?<!\w){re.escape(term)}(?!\w)" for term in wish)
        found += min(wishes.count(wish), len(re.findall(pattern, translation)))
    return found


if __name__ == "__main__":
    main()
