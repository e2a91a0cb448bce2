"""Measure the word alignments of a model against true ones: alignment error rate (Och & Ney 2003).

    python tools/make_demo.py --alignments runs/demo/test.align
    python tools/alignment_error.py runs/demo --alignments runs/demo/test.align [--all]

AER = 1 - 2 |A & G| / (|A| + |G|): links found A, true links G, all of them sure. 0 is perfect. With `--all` it measures
the ways not taken too: each layer alone, all layers, the row that has read a token instead of the one that predicts it,
and other ways to make links of weights.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seq2seq.decode.alignment import Aligner, Link, Pair, no_alignment
from seq2seq.decode.attention import attention_of_pairs
from seq2seq.decode.context import encode, passages
from seq2seq.text.corpora import aligned_lines
from seq2seq.text.lines import in_chunks, read_lines

Weights = npt.NDArray[np.float32]

TOGETHER = 64  # pairs


class Errors(NamedTuple):
    """How well links agree with true ones: AER, precision and recall, from 0 to 1, and the number of links."""

    aer: float
    precision: float
    recall: float
    links: int


def alignment_error(found: Sequence[set[Link]], true: Sequence[set[Link]]) -> Errors:
    """Compares the links of sentence pairs with the true ones."""
    n, m = sum(map(len, found)), sum(map(len, true))
    right = sum(len(a & b) for a, b in zip(found, true, strict=True))
    return Errors(1 - 2 * right / max(1, n + m), right / max(1, n), right / max(1, m), n)


def read_links(line: str) -> set[Link]:
    """Reads "0-0 1-2".

    Raises:
        ValueError: it is something else.
    """
    pairs = [link.split("-") for link in line.split()]
    return {(int(i), int(j)) for i, j in pairs}


def to_source(weights: Weights) -> set[Link]:
    """Each target word with the source word that it takes most from."""
    return {(int(i), j) for j, i in enumerate(weights.argmax(1))}


def to_target(weights: Weights) -> set[Link]:
    """Each source word with the target word that takes most from it."""
    return {(i, int(j)) for i, j in enumerate(weights.argmax(0))}


WAYS: dict[str, Callable[[Weights], set[Link]]] = {
    "both": lambda weights: to_source(weights) | to_target(weights),
    "target words": to_source,
    "source words": to_target,
    "agreed": lambda weights: to_source(weights) & to_target(weights),
    "above 1/4": lambda weights: {(int(i), int(j)) for j, i in np.argwhere(weights > 0.25)},
}


def every_weighting(aligner: Aligner, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[Weights]]]:
    """Yields the word weights of pairs by each layer, by the upper half and by all, by both kinds of rows."""
    trained, tokenizer = aligner.trained, aligner.trained.tokenizer
    sources, targets = zip(*pairs, strict=True)
    src, tgt = (
        encode(trained, passages(sources, (), aligner.context), aligner.language),
        tokenizer.encode_target(targets),
    )
    where = [Pair.of(tokenizer, *row) for row in zip(sources, targets, src, tgt, strict=True)]
    crosses: list[Weights] = []  # [L, T, S] of each
    for chunk in in_chunks(zip(src, tgt, strict=True), TOGETHER):
        crosses += [one.cross.mean(1).cpu().numpy() for one in attention_of_pairs(trained, *zip(*chunk, strict=True))]
    n = len(crosses[0])
    layers = {f"layer {i + 1}": slice(i, i + 1) for i in range(n)}
    for name, chosen in {**layers, "upper half": slice(n // 2, n), "all layers": slice(0, n)}.items():
        for row, rows in (("predicts", slice(0, -1)), ("has read", slice(1, None))):
            means = [cross[chosen].mean(0)[rows] for cross in crosses]
            found = [pair.alignment(mean) if pair else no_alignment() for pair, mean in zip(where, means, strict=True)]
            yield f"{name}, {row}", [one.weights for one in found]


def main() -> int:
    """Prints the errors of a model; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure a model's word alignments against true ones (AER).")
    parser.add_argument("model", type=Path, help="run folder or model folder")
    parser.add_argument("--source", type=Path, default=Path("recipes/demo/test.en.gz"))
    parser.add_argument("--target", type=Path, default=Path("recipes/demo/test.de.gz"))
    parser.add_argument("--alignments", type=Path, required=True, help="true ones, as Moses writes them, a line each")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "int8"], default="fp32")
    parser.add_argument("--all", action="store_true", help="also the ways not taken")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    pairs = list(aligned_lines(options.source, options.target))
    true = [read_links(line) for line in read_lines(options.alignments)]
    if len(true) != len(pairs):
        print(f"{len(true)} alignments, but {len(pairs)} sentence pairs", file=sys.stderr)
        return 2
    aligner = Aligner.load(options.model, "cpu", precision=options.precision)
    results = {"aligned": alignment_error([set(one.links()) for one in aligner.align_stream(pairs)], true)}
    if options.all:
        for name, weights in every_weighting(aligner, pairs):
            for way, links in WAYS.items():
                results[f"{name}, {way}"] = alignment_error(
                    [links(one) if one.size else set() for one in weights], true
                )
    if options.json:
        print(json.dumps({name: errors._asdict() for name, errors in results.items()}, indent=2))
        return 0
    width = max(map(len, results))
    for name, errors in results.items():
        print(f"{name:{width}}  AER {errors.aer:6.2%}  precision {errors.precision:6.2%}  recall {errors.recall:6.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
