"""Checks that lossless tokenizers give back random strings, whatever they hold: decode(encode(s)) = s.

    python tools/fuzz/roundtrip.py [--strings N] [--seed S] [--json FILE]

SentencePiece's unigram and BPE are trained on the demo corpus, of sentence pairs and of running text; bytes need none.
Each string goes through one of the five, in turn. The strings follow from the seed alone. Ends with 1 if one did not
come back, has a special id in it, or could not be encoded or decoded.
"""

import argparse
import gzip
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from seq2seq.config import GPTTokenizerSettings, TokenizerSettings
from seq2seq.files import write_json
from seq2seq.text.ids import EOS, SPECIAL_IDS
from seq2seq.text.tokenizer import Tokenizer

DEMO = Path(__file__).resolve().parents[2] / "recipes/demo"
TRAINED_ON = 4000  # lines of each side of the demo corpus
VOCAB_SIZE = 1000
BATCH = 2000  # strings that are encoded together
LONGEST = 24  # parts of a string
SHOWN = 10  # failures

BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\n\n\n", " \n ", "\n\t"]
SPACES = [" ", "  ", "   ", "\t", "\xa0", "\u1680", *map(chr, range(0x2000, 0x2010)), "\u202f", "\u205f", "\u2060",
          "\u3000", "\ufeff", "\xad", "\u180e", "\u3164", "\uffa0"]  # fmt: skip
MARKS = ["\u2581", "\u2581\u2581", "\ue000", "\ue001", "\ue002", "\ue000\ue001", "\ue000\ue002", "\ue000\ue000", "<s>",
         "</s>", "<pad>", "<unk>", "<bos>", "<eos>", "<0x0A>", "<0xE2>", "<2de>", "\ufffd", "\uffff"]  # fmt: skip
EMOJIS = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea",
          "\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\u200d", "\ufe0f"]  # fmt: skip
RIGHT_TO_LEFT = ["\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u202e", "\u202c", "\u2067", "\u2069",
                 "\u200f", "\u061c", "\u0640", "\u064b", "\ufdfa", "\ufb2a"]  # fmt: skip
COMPOSED = ["\ufb01", "\uff21", "\u2460", "\xbd", "\xe9", "\u1e9b\u0323", "\uac00", "\u1100\u1161", "\u6f22", "\u0e33"]
CONTROLS = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0))]
COMBINING = [*map(chr, range(0x300, 0x370)), *map(chr, range(0x20D0, 0x20F1)), "\u0e31", "\u093c", "\u3099"]
KINDS = [SPACES, BREAKS, MARKS, EMOJIS, RIGHT_TO_LEFT, COMPOSED, CONTROLS, COMBINING]
SURROGATES = range(0xD800, 0xE000)


@dataclass
class Failure:
    """A string that did not come back.

    Attributes:
        tokenizer: its name.
        text: the string.
        found: what came back instead, or what went wrong.
    """

    tokenizer: str
    text: str
    found: str


@dataclass
class Outcome:
    """What came of all strings.

    Attributes:
        strings: their number.
        characters: of all of them.
        seconds: training of the tokenizers not counted.
        failures: in the order in which they were found.
    """

    strings: int = 0
    characters: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)


def train_tokenizers() -> tuple[dict[str, Tokenizer], list[str]]:
    """Returns lossless tokenizers by name, and words of the text on which they were trained."""
    sides = [_demo_lines("en"), _demo_lines("de")]
    running = [line + "\n" for side in sides for line in side]
    tokenizers = {"bytes": Tokenizer([b""], "bytes", lossless=True)}
    for model in ("unigram", "bpe"):
        options = {"model": model, "vocab_size": VOCAB_SIZE, "lossless": True}
        pairs = TokenizerSettings.model_validate(options)
        tokenizers[f"{model}, pairs"] = Tokenizer.train(zip(*sides, strict=True), pairs)
        text = GPTTokenizerSettings.model_validate(options)
        tokenizers[f"{model}, running text"] = Tokenizer.train_on_text(running, text)
    return tokenizers, sorted({word for side in sides for line in side[:500] for word in line.split()})


def _demo_lines(language: str) -> list[str]:
    with gzip.open(DEMO / f"train.{language}.gz", "rt", encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\n") for line, _ in zip(file, range(TRAINED_ON), strict=False)]


def random_strings(n: int, seed: int, words: Sequence[str]) -> Iterator[str]:
    """Yields strings of several kinds: of any code points, of what programs stumble over, of words, and of all mixed.

    Args:
        n: their number.
        seed: decides alone.
        words: of some language.
    """
    draw = Random(seed)
    for _ in range(n):
        length = int(draw.random() ** 2 * (LONGEST + 1))
        match draw.randrange(6):
            case 0:
                parts = [_any_character(draw) for _ in range(length)]
            case 1:
                parts = draw.choices(draw.choice(KINDS), k=length)
            case 2:
                parts = draw.choices(words, k=length)
                parts = [part for word in parts for part in (word, draw.choice(draw.choice(KINDS[:2])))]
            case 3:
                parts = [draw.choice(draw.choice(KINDS[:3])) for _ in range(length)]
            case _:
                parts = [_any_part(draw, words) for _ in range(length)]
        yield "".join(parts)


def _any_part(draw: Random, words: Sequence[str]) -> str:
    kind = draw.randrange(len(KINDS) + 2)
    if kind < len(KINDS):
        return draw.choice(KINDS[kind])
    return draw.choice(words) if kind == len(KINDS) else _any_character(draw)


def _any_character(draw: Random) -> str:
    """Returns a character of any plane, often one of the first; no surrogate."""
    code = draw.randrange(draw.choice((0x80, 0x800, 0x3000, 0x10000, 0x20000, sys.maxunicode + 1)))
    return " " if code in SURROGATES else chr(code)


def check(tokenizers: dict[str, Tokenizer], strings: Iterator[str]) -> Outcome:
    """Sends strings through tokenizers, batch by batch in turn."""
    outcome, started = Outcome(), time.monotonic()
    names = list(tokenizers)
    turn = 0
    while batch := [text for _, text in zip(range(BATCH), strings, strict=False)]:
        name = names[turn % len(names)]
        outcome.failures += _check_batch(name, tokenizers[name], batch)
        outcome.strings += len(batch)
        outcome.characters += sum(map(len, batch))
        turn += 1
    outcome.seconds = time.monotonic() - started
    return outcome


def _check_batch(name: str, tokenizer: Tokenizer, texts: Sequence[str]) -> list[Failure]:
    """Returns the strings that do not come back; where an error stops them all, each is tried alone."""
    try:
        found = [_round_trip(tokenizer, ids.tolist()) for ids in tokenizer.encode_target(texts)]
        if len(found) != len(texts):
            raise ValueError(f"{len(found)} texts came back of {len(texts)}")
    except Exception as error:  # of whatever kind: it is what is looked for
        if len(texts) == 1:
            return [Failure(name, texts[0], f"{type(error).__name__}: {error}")]
        return [failure for text in texts for failure in _check_batch(name, tokenizer, [text])]
    return [Failure(name, text, back) for text, back in zip(texts, found, strict=True) if text != back]


def _round_trip(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Returns the text of ids that end in eos.

    Raises:
        ValueError: they hold a special id elsewhere, or do not end so.
    """
    if ids[-1] != EOS or min(ids[:-1], default=len(SPECIAL_IDS)) < len(SPECIAL_IDS):
        raise ValueError(f"special ids in {ids}")
    return tokenizer.decode_text(ids[:-1])


def report(outcome: Outcome, seed: int) -> str:
    """Returns in one line what came of it, and in further ones the first failures."""
    line = (
        f"{outcome.strings:,} strings, {outcome.characters:,} characters, {len(outcome.failures):,} failures, "
        f"{outcome.seconds:.0f} s, seed {seed}"
    )
    shown = [f"{each.tokenizer}: {each.text!r} came back as {each.found!r}" for each in outcome.failures[:SHOWN]]
    return "\n".join([line, *shown])


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--strings", type=int, default=1_000_000, metavar="N", help="how many (default: %(default)s)")
    add("--seed", type=int, default=1, metavar="S", help="of the strings (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write all that was found here too")
    options = parser.parse_args(arguments)
    tokenizers, words = train_tokenizers()
    outcome = check(tokenizers, random_strings(options.strings, options.seed, words))
    print(report(outcome, options.seed))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        failures = [vars(failure) for failure in outcome.failures]
        write_json(options.json, {**vars(outcome), "failures": failures, "seed": options.seed})
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
