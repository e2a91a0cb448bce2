"""What ways to search are worth: BLEU, chrF and tokens a second of one model, of two together, and of samples.

    python tools/search_table.py MODEL OTHER SOURCE REFERENCE [--threads N] [--rounds N]

OTHER is a model with the same tokenizer, for the ensemble. Rounds go through all systems by turns; speeds are medians.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import sacrebleu
import torch

from seq2seq import Translator
from seq2seq.text.lines import read_lines

SAMPLED = {"search": "sampling", "candidates": 32, "temperature": 0.7}
SYSTEMS: dict[str, dict[str, Any]] = {
    "greedy": {"beam_size": 1},
    "beam 5": {"beam_size": 5},
    "beam 5, groups of 1, diversity 0.5": {"beam_size": 5, "beam_groups": 5},
    "beam 5, patience 2": {"beam_size": 5, "patience": 2.0},
    "beam 5, no 3 tokens twice": {"beam_size": 5, "no_repeat_ngram": 3},
    "beam 5, coverage penalty 0.2": {"beam_size": 5, "coverage_penalty": 0.2},
    "beam 32, minimum Bayes risk, chrF": {"beam_size": 32, "candidates": 32, "mbr": "chrf"},
    "32 samples, minimum Bayes risk, chrF": {**SAMPLED, "mbr": "chrf"},
    "32 samples, minimum Bayes risk, BLEU": {**SAMPLED, "mbr": "bleu"},
    "1 sample": {**SAMPLED, "candidates": 2},
    "two models, beam 5": {"beam_size": 5, "others": True},
}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "other"):
        parser.add_argument(name)
    for name in ("source", "reference"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sources, references = list(read_lines(given.source)), list(read_lines(given.reference))
    seconds: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    rows: dict[str, tuple[float, float, int]] = {}
    for _ in range(given.rounds):
        for name, options in SYSTEMS.items():
            others = [given.other] if "others" in options else []
            decode = {key: value for key, value in options.items() if key != "others"}
            translator = Translator.load(given.model, "cpu", others=others, **decode)
            started = time.monotonic()
            found = translator.translate_all(sources)
            seconds[name].append(time.monotonic() - started)
            texts = [translation.text for translation in found]
            tokens = sum(len(one.candidates[0].tokens) + 1 for one in found if one.candidates)
            bleu, chrf = sacrebleu.corpus_bleu(texts, [references]), sacrebleu.corpus_chrf(texts, [references])
            rows[name] = bleu.score, chrf.score, tokens
    print("| search | BLEU | chrF | tokens/s |\n|---|--:|--:|--:|")
    for name, (of_words, of_letters, tokens) in rows.items():
        print(f"| {name} | {of_words:.2f} | {of_letters:.2f} | {tokens / median(seconds[name]):,.0f} |")


if __name__ == "__main__":
    main()
