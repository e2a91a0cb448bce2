import random
from pathlib import Path

import pytest
from conftest import make_pairs

from seq2seq.config import TokenizerSettings
from seq2seq.errors import DataError, ModelError
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(300)
NASTY = [
    "  two  spaces ",
    "tab\there",
    "\u2581 itself",
    "\ue000\ue001",
    "\u00a0",
    "e\u0301",
    "\U0001f600\u200d",
    "",
    "ﬁ ＡＢ",
]


def train(**changes: object) -> Tokenizer:
    return Tokenizer.train(PAIRS, TokenizerSettings.model_validate({"vocab_size": 60, **changes}))


@pytest.mark.parametrize("model", ["unigram", "bpe"])
@pytest.mark.parametrize("shared", [True, False])
def test_round_trip(tmp_path: Path, model: str, shared: bool) -> None:
    tokenizer = train(model=model, shared=shared, vocab_size=60 if shared else 40)
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert loaded.hash() == tokenizer.hash()
    assert loaded.shared == shared
    targets = [target for _, target in PAIRS[:50]]
    encoded = loaded.encode_target(targets)
    assert all(ids[-1] == EOS and EOS not in ids[:-1] for ids in encoded)
    assert loaded.decode_target([ids[:-1].tolist() for ids in encoded]) == targets


def test_lossless_keeps_every_text() -> None:
    tokenizer = train(lossless=True, vocab_size=330)
    strings = [*NASTY, "a literal </s> <pad> stays text"]
    generator = random.Random(0)
    for _ in range(2000):
        length = generator.randrange(12)
        strings.append("".join(chr(generator.choice([generator.randrange(32, 127), generator.randrange(0x2000, 0x2100),
                                                      generator.randrange(0x2570, 0x2590), 0xE000, 0xE001, 0xE002]))
                               for _ in range(length)))  # fmt: skip
    from seq2seq.text.lines import one_line

    decoded = tokenizer.decode_target([ids[:-1].tolist() for ids in tokenizer.encode_target(strings)])
    assert decoded == [one_line(text) for text in strings]


def test_training_is_repeatable() -> None:
    assert train().hash() == train().hash()
    assert train().hash() != train(model="bpe").hash()


def test_vocabulary_too_large_for_the_text() -> None:
    with pytest.raises(DataError, match=r"tokenizer.vocab_size=5000: .*Vocabulary size too high"):
        train(vocab_size=5000)


def test_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    tokenizer = train()
    tokenizer.save(tmp_path / "tokenizer")
    other = train(model="bpe")
    other.save(tmp_path / "other")
    (tmp_path / "tokenizer/shared.model").write_bytes((tmp_path / "other/shared.model").read_bytes())
    with pytest.raises(ModelError, match="do not match the hash"):
        Tokenizer.load(tmp_path / "tokenizer")
    (tmp_path / "tokenizer/shared.model").unlink()
    with pytest.raises(ModelError, match="not a usable tokenizer"):
        Tokenizer.load(tmp_path / "tokenizer")
