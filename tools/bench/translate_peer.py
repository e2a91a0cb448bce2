"""What the translators of all peers have in common; it needs no torch."""

from abc import abstractmethod
from collections.abc import Sequence

from bench.decoding import Answer, Decoding
from bench.translate_plan import TranslatePlan
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer


class PeerTranslator(Decoding):
    """A peer's search between our encoding and decoding of text."""

    def __init__(self, plan: TranslatePlan) -> None:
        self.plan = plan
        self.limits = plan.limits()
        self.tokenizer = Tokenizer.load(plan.model / "tokenizer")
        super().__init__(list(self.limits), plan.batch_size)

    @abstractmethod
    def search(self, sources: Sequence[list[int]], limits: Sequence[int]) -> list[list[int]]:
        """Returns the ids of a translation of each source, ending in eos unless it was cut off.

        Args:
            sources: ids ending in eos.
            limits: tokens that each translation may have, eos not counted.
        """

    def answer(self, lines: Sequence[str]) -> list[Answer]:
        """Returns a translation of each line."""
        sources = [ids.tolist() for ids in self.tokenizer.encode_source(lines, self.plan.language)]
        rows = self.search(sources, [self.limits[line] for line in lines])
        texts = self.tokenizer.decode_target([row[:-1] if row[-1:] == [EOS] else row for row in rows])
        return [Answer(text, len(row)) for text, row in zip(texts, rows, strict=True)]
