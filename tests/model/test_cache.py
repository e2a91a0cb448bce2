"""What is kept between steps, against computing everything anew."""

import random

import pytest
import torch

from seq2seq.config import ModelSettings
from seq2seq.data.batch import pad_rows
from seq2seq.model.attention import Layout, MultiHeadAttention
from seq2seq.model.cache import DecoderCache, KeyValueCache
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import BOS, EOS, Ids

V = 30


def test_keys_and_values_are_those_of_all_positions_and_follow_their_rows() -> None:
    torch.manual_seed(1)
    attention = MultiHeadAttention(16, 2)
    x, rows = torch.randn(4, 40, 16), torch.tensor([0, 1, 2, 3])
    cache, start = KeyValueCache(), 0
    with torch.no_grad():
        for length, order in ((2, [2, 0, 1]), (1, [0, 1, 2]), (30, [0, 2, 2, 1]), (1, [3, 1]), (6, [1, 0])):
            end = start + length
            layout = Layout.causal(length, x.device, past=start)
            expected = attention(x[rows, :end], Layout.causal(end, x.device))[:, start:]
            torch.testing.assert_close(attention(x[rows, start:end], layout, cache), expected)
            cache.reorder(torch.tensor(order))
            rows, start = rows[order], end


class Sentences:
    """Sentences in places and the hypotheses of each, which a model without a cache reads from their begin."""

    def __init__(self, model: Transformer, beam_size: int, sources: list[Ids], seed: int) -> None:
        self.model, self.beam_size, self.random = model, beam_size, random.Random(seed)
        self.cache = DecoderCache(len(model.decoder), beam_size, torch.device("cpu"))
        self.sources: list[Ids] = [[] for _ in sources]
        self.beams: list[list[list[int]]] = [[] for _ in sources]
        self.put(range(len(sources)), sources)

    def put(self, places: range | list[int], sources: list[Ids]) -> None:
        self.cache.put(places, self.model.start(pad_rows(sources)).keys_values, [len(ids) for ids in sources])
        for place, ids in zip(places, sources, strict=True):
            self.sources[place], self.beams[place] = ids, [[BOS] for _ in range(self.beam_size)]

    def check(self) -> None:
        """Takes a step, and compares it with reading everything anew."""
        tokens = torch.tensor([[beam[-1] for beam in beams] for beams in self.beams])
        hidden = self.model.step(tokens, self.cache)
        for place, (source, beams) in enumerate(zip(self.sources, self.beams, strict=True)):
            src = pad_rows([source] * self.beam_size)
            expected = self.model.decode(torch.tensor(beams), self.model.start(src))[:, -1]
            torch.testing.assert_close(hidden[place], expected, atol=1e-5, rtol=1e-5)

    def go_on(self, order: list[int]) -> None:
        """Continues random beams with random tokens; the sentences of some places stay, in this order."""
        rows, beams = [], []
        for place in order:
            parents = [self.random.randrange(self.beam_size) for _ in range(self.beam_size)]
            rows += [place * self.beam_size + parent for parent in parents]
            beams.append([[*self.beams[place][parent], self.random.randrange(4, V)] for parent in parents])
        self.sources, self.beams = [self.sources[place] for place in order], beams
        self.cache.reorder(torch.tensor(rows))


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_beams_of_sentences_that_come_and_go_are_decoded_as_if_alone(norm: str, beam_size: int) -> None:
    torch.manual_seed(0)
    sizes = ModelSettings(layers=2, d_model=16, heads=2, d_feedforward=32, dropout=0.0, norm=norm)  # type: ignore[arg-type]
    model = Transformer(sizes, V, V, shared=True).eval().requires_grad_(False)
    draw = random.Random(1)

    def sources(n: int, longest: int) -> list[Ids]:
        lengths = [longest, *(draw.randrange(1, longest + 1) for _ in range(n - 1))]
        return [[*(draw.randrange(4, V) for _ in range(length - 1)), EOS] for length in lengths]

    sentences = Sentences(model, beam_size, sources(5, 12), seed=2)
    for step in range(45):
        sentences.check()
        places = list(range(len(sentences.sources)))
        if step in (30, 38):  # one leaves, and the last one takes its place
            places = [0, places[-1], *places[2:-1]]
        sentences.go_on(places)
        # One sentence stays from the first step to the last: the ring must grow. The others come and go.
        new = [place for place in places[1 : len(places)] if place < len(places) and draw.random() < 0.15]
        if new and step < 30:
            sentences.put(new, sources(len(new), max(2, 12 - step // 4)))
    assert len(sentences.beams[0][0]) > 3 * 8
