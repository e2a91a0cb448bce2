"""What is drawn, against all segmentations with their probabilities, and against SentencePiece."""

import io
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise
from random import Random
from time import perf_counter

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from seq2seq.text.codecs import SentencePieceCodec
from seq2seq.text.ids import EOS, UNK
from seq2seq.text.subwords import _BPE, SubwordSampler, _Unigram

SYLLABLES = ["ta", "ki", "ro", "men", "sol", "a", "do", "g", "tar", "en", "li", "s"]


def make_lines() -> list[str]:
    """Of words that can be cut in many ways."""
    random = Random(1)

    def word() -> str:
        return "".join(random.choices(SYLLABLES, k=random.randint(1, 5)))

    return [" ".join(word() for _ in range(random.randint(1, 9))) + "." for _ in range(500)]


LINES = make_lines()
DRAWS = 20_000
Row = tuple[int, ...]


@cache
def content(model: str = "unigram", size: int = 100, symbols: tuple[str, ...] = (), lossless: bool = False) -> bytes:
    """A model file."""
    file = io.BytesIO()
    lossy = {"byte_fallback": True, "remove_extra_whitespaces": False, "normalization_rule_name": "identity"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=file, model_type=model, vocab_size=size + 256 * lossless,
        user_defined_symbols=list(symbols), control_symbols=["<2de>"], minloglevel=2,
        pad_id=0, unk_id=1, bos_id=2, eos_id=3, **(lossy if lossless else {}),
    )  # fmt: skip
    return file.getvalue()


@cache
def opened(content: bytes) -> tuple[sentencepiece.SentencePieceProcessor, SubwordSampler]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    return processor, SubwordSampler(content, processor.normalize)


def segmentations(processor: sentencepiece.SentencePieceProcessor, text: str) -> Iterator[tuple[Row, float]]:
    """All ways to cut a text, with the sums of their scores."""
    ids = [i for i in range(4, processor.get_piece_size()) if not (processor.is_control(i) or processor.is_unused(i))]
    known = {processor.id_to_piece(i): i for i in ids}
    worst = min(processor.get_score(i) for i in ids)
    inner = range(1, len(text))
    for cuts in (cuts for n in range(len(text)) for cuts in combinations(inner, n)):
        parts = [text[start:end] for start, end in pairwise((0, *cuts, len(text)))]
        row = [known.get(part, UNK) for part in parts]
        if all(token != UNK or len(part) == 1 for token, part in zip(row, parts, strict=True)):
            scores = [worst - 10 if token == UNK else processor.get_score(token) for token in row]
            joined = [token for i, token in enumerate(row) if not (token == UNK and i and row[i - 1] == UNK)]
            yield tuple(joined), math.fsum(scores)


def merged(
    processor: sentencepiece.SentencePieceProcessor, parts: tuple[str, ...], alive: frozenset[int], dropout: float
) -> Iterator[tuple[Row, float]]:
    """All outcomes of BPE dropout with their probabilities, some several times; `alive`: left parts of pairs to try."""
    scores = {i: processor.get_score(processor.piece_to_id(parts[i] + parts[i + 1])) for i in alive}
    if not alive:
        yield tuple(map(processor.piece_to_id, parts)), 1.0
        return
    best = min(alive, key=lambda i: (-scores[i], i))
    for row, probability in merged(processor, parts, alive - {best}, dropout):
        yield row, dropout * probability
    joined = (*parts[:best], parts[best] + parts[best + 1], *parts[best + 2 :])
    kept = {i - (i > best) for i in alive if i not in (best - 1, best, best + 1)}
    new = {i for i in (best - 1, best) if 0 <= i < len(joined) - 1 and is_piece(processor, joined[i] + joined[i + 1])}
    for row, probability in merged(processor, joined, frozenset(kept | new), dropout):
        yield row, (1 - dropout) * probability


def is_piece(processor: sentencepiece.SentencePieceProcessor, text: str) -> bool:
    return bool(processor.piece_to_id(text) != UNK)


def is_drawn(sampler: SubwordSampler, line: str, alpha: float, expected: dict[Row, float]) -> bool:
    """Chi-square, rare outcomes together: ten standard deviations, and the seeds are always the same."""
    found = Counter(tuple(sampler.sample(line, alpha, seed)) for seed in range(DRAWS))
    assert set(found) <= set(expected)
    assert math.fsum(expected.values()) == pytest.approx(1)
    cells = [(found[row], DRAWS * share) for row, share in expected.items() if DRAWS * share >= 10]
    cells.append((DRAWS - sum(n for n, _ in cells), max(DRAWS - math.fsum(n for _, n in cells), 1)))
    freedom = len(cells) - 1
    assert freedom >= 2
    return sum((n - mean) ** 2 / mean for n, mean in cells) < freedom + 10 * math.sqrt(2 * freedom)


def added(outcomes: Iterator[tuple[Row, float]]) -> dict[Row, float]:
    total: dict[Row, float] = {}
    for row, share in outcomes:
        total[row] = total.get(row, 0) + share
    return total


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("line", ["dogtar en", "kimen.", "doQ?gasol"])
def test_segmentations_are_as_frequent_as_they_are_probable(line: str, alpha: float) -> None:
    processor, sampler = opened(content())
    every = list(segmentations(processor, processor.normalize(line)))
    total = math.fsum(math.exp(alpha * score) for _, score in every)
    assert is_drawn(sampler, line, alpha, added((row, math.exp(alpha * score) / total) for row, score in every))


@pytest.mark.parametrize("dropout", [0.1, 0.5])
@pytest.mark.parametrize("line", ["dogtar en", "kimen.", "rosolmen"])
def test_merges_are_left_out_as_often_as_asked_for(line: str, dropout: float) -> None:
    processor, sampler = opened(content("bpe"))
    parts = tuple(processor.normalize(line))
    alive = frozenset(i for i in range(len(parts) - 1) if is_piece(processor, parts[i] + parts[i + 1]))
    assert is_drawn(sampler, line, dropout, added(merged(processor, parts, alive, dropout)))


@pytest.mark.parametrize(("model", "alpha"), [("unigram", 0.1), ("unigram", 0.5), ("bpe", 0.1), ("bpe", 0.5)])
@pytest.mark.parametrize("line", ["dogtar en", "kimQQtas"])
def test_sentencepiece_draws_the_same_as_often(model: str, alpha: float, line: str) -> None:
    processor, sampler = opened(content(model))
    theirs = Counter(
        tuple(processor.encode(line, enable_sampling=True, alpha=alpha, nbest_size=-1)) for _ in range(DRAWS)
    )
    ours = Counter(tuple(sampler.sample(line, alpha, seed)) for seed in range(DRAWS))
    # Theirs differ from process to process. By chance the sum of this many differences stays far below the bound.
    common = [row for row, n in (theirs + ours).items() if n >= 20]
    noise = sum(math.sqrt(theirs[row] + ours[row]) for row in common)
    assert len(common) > 2
    assert sum(abs(theirs[row] - ours[row]) for row in common) < 1.5 * noise


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(("model", "alpha"), [("unigram", 1e6), ("bpe", 0.0)])
def test_without_chance_it_is_the_plain_segmentation(model: str, alpha: float, lossless: bool) -> None:
    processor, sampler = opened(content(model, symbols=("\n",), lossless=lossless))
    lines = [
        *LINES,
        "",
        " ",
        "  two  spaces ",
        "Ünknown 漢字\U0001f600",
        "a\nb\n",
        "<2de> </s> <unk> <0x41>",
        "\x00",
        "QZX",
    ]
    for line in lines:
        assert sampler.sample(line, alpha, 1) == processor.encode(line), line


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(("model", "alpha"), [("unigram", 0.1), ("bpe", 0.3)])
def test_every_sample_says_the_same(model: str, alpha: float, lossless: bool) -> None:
    codec = SentencePieceCodec(content(model, lossless=lossless), lossless)
    for line in [*LINES[:100], "", " ", " a  b ", "Ünknown 漢字\U0001f600", "\u2581\ue000", "<2de> </s>\x00", "QZXdog"]:
        for seed in range(5):
            row = codec.sample(line, alpha, seed)
            assert row[-1] == EOS
            assert codec.decode([row[:-1]]) == codec.decode([codec.encode([line])[0][:-1]])
            assert codec.decode([row[:-1]]) == [line] or not lossless


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_symbols_stay_whole_and_control_symbols_are_text(model: str) -> None:
    processor, sampler = opened(content(model, size=70, symbols=("dog", "do", "\n")))
    dog, do, line_break, tag = map(processor.piece_to_id, ("dog", "do", "\n", "<2de>"))
    for seed in range(200):
        row = sampler.sample("hotdogs do\n<2de>", 0.1, seed)
        assert [token for token in row if token in (dog, do, line_break, tag)] == [dog, do, line_break]


def unused(content: bytes, *texts: str) -> bytes:
    """The model with pieces that may not be used."""
    changed = sentencepiece_model_pb2.ModelProto.FromString(content)
    for piece in changed.pieces:
        if piece.piece in texts:
            piece.type = piece.UNUSED
    return bytes(changed.SerializeToString())


@pytest.mark.parametrize(("model", "alpha"), [("unigram", 1e6), ("bpe", 0.0)])
def test_unused_pieces_are_steps_only(model: str, alpha: float) -> None:
    processor, sampler = opened(unused(content(model), "ta", "en", "ol", "\u2581a", "ro", "li"))
    for line in LINES[:50]:
        assert sampler.sample(line, alpha, 1) == processor.encode(line)


def test_a_character_may_be_unknown_and_yet_part_of_a_piece() -> None:
    processor, sampler = opened(unused(content(), "o", "e"))
    every = list(segmentations(processor, processor.normalize("tasolendo")))
    total = math.fsum(math.exp(0.1 * score) for _, score in every)
    assert is_drawn(sampler, "tasolendo", 0.1, added((row, math.exp(0.1 * score) / total) for row, score in every))


def test_another_process_draws_the_same() -> None:
    program = (
        "import sys; from seq2seq.text.codecs import SentencePieceCodec as C; "
        "c = C(sys.stdin.buffer.read()); print([c.sample('tarenli dogs a kimenta rosol', 0.1, s) for s in range(20)])"
    )
    for model in ("unigram", "bpe"):
        codec = SentencePieceCodec(content(model))
        here = str([codec.sample("tarenli dogs a kimenta rosol", 0.1, seed) for seed in range(20)])
        for _ in range(2):
            there = subprocess.run(
                [sys.executable, "-c", program], input=content(model), capture_output=True, check=True
            )
            assert there.stdout.decode().strip() == here


def test_what_is_drawn_stays_the_same_in_all_versions() -> None:
    pieces = ["a", "b", "ab", "ba", "aba", "abab"]
    ids = {piece: i for i, piece in enumerate(pieces, 4)}
    scores = [0.0] * 4 + [-1.5, -1.6, -2.5, -2.6, -3.5, -4.5]
    unigram, bpe = _Unigram(ids, scores), _BPE(ids, scores, set())
    drawn = [
        ["|".join(piece for piece, _ in model.cut("ababbab", 0.5, Random(i))) for i in range(4)]
        for model in (unigram, bpe)
    ]
    assert drawn == [
        ["abab|ba|b", "a|ba|b|ba|b", "abab|ba|b", "a|b|a|b|b|ab"],
        ["abab|b|a|b", "a|b|ab|b|ab", "abab|b|a|b", "a|b|ab|ba|b"],
    ]


@pytest.mark.parametrize(("model", "alpha"), [("unigram", 0.1), ("bpe", 0.1)])
def test_time_is_linear_in_the_length(model: str, alpha: float) -> None:
    processor, sampler = opened(content(model))
    text = " ".join(LINES)
    seconds = []
    for length in (1000, 10_000):
        times = []
        for seed in range(5):
            start = perf_counter()
            row = sampler.sample(text[:length], alpha, seed)
            times.append(perf_counter() - start)
            assert processor.decode(row) == text[:length].strip()
        seconds.append(min(times))
    assert seconds[1] < 40 * seconds[0]  # 100 times if it were quadratic
    assert len(sampler.sample("tar" * 3333, alpha, 1)) > 3333
