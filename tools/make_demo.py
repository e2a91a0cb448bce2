"""Write the demo corpus of recipes/demo: English-German sentence pairs from a grammar of our own.

    python tools/make_demo.py [--output recipes/demo] [--check]
    python tools/make_demo.py --alignments test.align [--split test]     # which words translate which, instead

Validation and test hold out combinations of words: about every twelfth pair of a verb and a noun, an adjective and a
noun, a verb and a time never occurs in training, and each held-out sentence shows at least one such pair. Words,
templates and lengths are those of training.
"""

import argparse
import gzip
import sys
import zlib
from collections import Counter
from pathlib import Path

from demo_draw import Combination, Draw
from demo_grammar import Sentence, align, draw_sentence

SEED = 20260
SIZES = {"train": 24_000, "valid": 500, "test": 1_000}
LANGUAGES = ("en", "de")
HELD_OUT_OF = 12
HELD_OUT_POOL = 12_000  # held-out sentences to draw, so that every template and length has enough of them
FEWEST_OCCURRENCES = 10  # of each word of valid and test in train

README = """\
# Demo corpus

{train} training, {valid} validation and {test} test pairs of English and German sentences, all different. They come
from a synchronous grammar of this project, not from any other corpus, and carry the project's licence (MIT).

`python tools/make_demo.py` writes these files; `python tools/make_demo.py --check` compares them with what it would
write. One sentence a line, UTF-8, compressed with gzip.

The grammar covers gender, case and number, articles and adjective endings, weak nouns, pronouns and the formal and
informal "you", the word order of main, subordinate, relative and infinitive clauses, questions, separable verbs, modal
verbs, the perfect, negation with "nicht" and "kein", comparison, numbers, weekdays and clock times. Each English
sentence has one German translation.

Validation and test hold out combinations of words: each of their sentences has a pair of words (verb and noun,
adjective and noun, verb and time) that no training sentence has. Each single word, each kind of sentence and each
length is known from training.

Some test pairs:

| English | German |
|---|---|
{samples}
"""


def is_held_out(combination: Combination) -> bool:
    """Whether a combination of words stays out of training; a checksum decides, the same on every machine."""
    return zlib.crc32(" ".join(combination).encode()) % HELD_OUT_OF == 0


def stratum(sentence: Sentence) -> tuple[str, int]:
    """The template and the English length of a sentence: what training and test share in distribution."""
    return sentence.template, len(sentence.en.split())


def draw_corpus() -> tuple[list[Sentence], list[Sentence]]:
    """Distinct sentences: those for training, and those with a held-out combination, as many as came up meanwhile.

    Raises:
        ValueError: an English sentence came up with two German ones.
    """
    draw = Draw(SEED)
    seen: dict[str, str] = {}
    train: list[Sentence] = []
    held_out: list[Sentence] = []
    while len(train) < SIZES["train"] or len(held_out) < HELD_OUT_POOL:
        sentence = draw_sentence(draw)
        if sentence is None:
            continue
        known = seen.setdefault(sentence.en, sentence.de)
        if known != sentence.de:
            raise ValueError(f"two translations of {sentence.en!r}: {known!r} and {sentence.de!r}")
        if known is not sentence.de:
            continue
        (held_out if any(map(is_held_out, sentence.combinations)) else train).append(sentence)
    return train[: SIZES["train"]], held_out


def share_out(train: list[Sentence], size: int) -> Counter[tuple[str, int]]:
    """How many of ``size`` sentences each stratum gets, in proportion to training (largest remainders)."""
    counts = Counter(map(stratum, train))
    quotas = Counter({key: count * size // len(train) for key, count in counts.items()})
    remainders = sorted(counts, key=lambda key: (-(counts[key] * size % len(train)), key))
    for key in remainders[: size - quotas.total()]:
        quotas[key] += 1
    return quotas


def count_words(sentences: list[Sentence]) -> Counter[tuple[str, str]]:
    """How often each word of each language occurs, punctuation apart and letter case as written."""
    words: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        words.update(sentence_words(sentence))
    return words


def sentence_words(sentence: Sentence) -> list[tuple[str, str]]:
    """The words of a sentence pair with their language."""
    sides = (("en", sentence.en), ("de", sentence.de))
    return [(language, word.strip(".,?")) for language, text in sides for word in text.split()]


def make_splits() -> dict[str, list[Sentence]]:
    """The sentences of each split."""
    train, held_out = draw_corpus()
    words = count_words(train)
    known = [s for s in held_out if all(words[word] >= FEWEST_OCCURRENCES for word in sentence_words(s))]
    splits = {"train": train}
    for split in ("test", "valid"):
        quotas = share_out(train, SIZES[split])
        chosen, rest = [], []
        for sentence in known:
            key = stratum(sentence)
            if quotas[key]:
                quotas[key] -= 1
                chosen.append(sentence)
            else:
                rest.append(sentence)
        if quotas.total():
            raise ValueError(f"too few held-out sentences: {quotas.total()} of {split} missing")
        splits[split], known = chosen, rest
    return splits


def make_files(splits: dict[str, list[Sentence]]) -> dict[str, bytes]:
    """The content of every file by name, before compression."""
    files = {}
    for split in SIZES:
        for language in LANGUAGES:
            lines = (getattr(sentence, language) + "\n" for sentence in splits[split])
            files[f"{split}.{language}.gz"] = "".join(lines).encode()
    samples = "\n".join(f"| {s.en} | {s.de} |" for s in splits["test"][:8])
    sizes = {split: len(splits[split]) for split in SIZES}
    files["README.md"] = README.format(samples=samples, **sizes).encode()
    return files


def make_alignments(sentences: list[Sentence]) -> bytes:
    """The true word alignments of sentences, a line each: "i-j" for English word i and German word j, from 0.

    Words are what stands between spaces; a punctuation mark belongs to the word that it is written behind.
    """
    return "".join(" ".join(f"{i}-{j}" for i, j in align(s.words)) + "\n" for s in sentences).encode()


def read_content(path: Path) -> bytes:
    """The content of a file of the corpus, decompressed where it is compressed."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Writes the files; a gzip header without name or time keeps them the same from run to run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            if name.endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed:
                    packed.write(content)
            else:
                file.write(content)


def find_difference(files: dict[str, bytes], folder: Path) -> str | None:
    """The first difference between the folder and the content it should have, in words, or None."""
    for name, content in files.items():
        path = folder / name
        if not path.exists():
            return f"{path} is missing"
        found, wanted = read_content(path).split(b"\n"), content.split(b"\n")
        for number, (one, other) in enumerate(zip(found, wanted, strict=False), start=1):
            if one != other:
                return f"{path}, line {number}: {one.decode(errors='replace')!r} should be {other.decode()!r}"
        if len(found) != len(wanted):
            return f"{path} has {len(found) - 1} lines and should have {len(wanted) - 1}"
    return None


def report(splits: dict[str, list[Sentence]]) -> None:
    """Print the counts of the corpus to stderr."""
    for split in SIZES:
        sentences = splits[split]
        sides = []
        for language in LANGUAGES:
            words = [word for s in sentences for side, word in sentence_words(s) if side == language]
            sides.append(f"{language}: {len(set(words))} words, {len(words) / len(sentences):.2f} a sentence")
        print(f"{split}: {len(sentences)} pairs; {'; '.join(sides)}", file=sys.stderr)


def main() -> int:
    """Writes the corpus or check it; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Write the demo corpus: English-German pairs from a grammar of our own."
    )
    parser.add_argument("--output", type=Path, default=Path("recipes/demo"), help="folder of the corpus")
    parser.add_argument("--check", action="store_true", help="compare with the files there instead of writing them")
    parser.add_argument("--alignments", type=Path, help="write only the true word alignments of a split, in this file")
    parser.add_argument("--split", choices=SIZES, default="test", help="whose alignments (default: test)")
    options = parser.parse_args()
    splits = make_splits()
    if options.alignments:
        options.alignments.write_bytes(make_alignments(splits[options.split]))
        return 0
    files = make_files(splits)
    if options.check:
        difference = find_difference(files, options.output)
        print(difference or f"{options.output} holds exactly this corpus", file=sys.stderr)
        return 1 if difference else 0
    write_files(files, options.output)
    report(splits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
