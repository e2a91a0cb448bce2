from pathlib import Path

import pytest
from conftest import make_pairs

from seq2seq.config import TokenizerSettings
from seq2seq.errors import DataError, ModelError
from seq2seq.text.ids import EOS, UNK
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(300)


def train(languages: tuple[str, ...] = (), **changes: object) -> Tokenizer:
    settings = TokenizerSettings.model_validate({"vocab_size": 60, **changes})
    return Tokenizer.train(PAIRS, settings, languages)


@pytest.mark.parametrize("shared", [True, False])
def test_characters_are_read_back_exactly(tmp_path: Path, shared: bool) -> None:
    tokenizer = train(("de",), type="characters", shared=shared)
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert loaded.hash() == tokenizer.hash()
    targets = [target for _, target in PAIRS]
    rows = loaded.encode_target(targets)
    assert [len(row) for row in rows] == [len(target) + 1 for target in targets]
    assert loaded.decode_target([row[:-1].tolist() for row in rows]) == targets
    assert loaded.source_vocab_size <= 60
    assert loaded.source_pieces(loaded.encode_source(["dog"], "de")) == [["<2de>", "d", "o", "g", "<eos>"]]


def test_rare_characters_are_unknown() -> None:
    tokenizer = train(type="characters", vocab_size=16)
    assert tokenizer.source_vocab_size == 16
    row = tokenizer.encode_target(["AQ"])[0].tolist()
    assert UNK in row
    assert tokenizer.decode_target([[UNK]]) == ["\ufffd"]
    every = train(type="characters", vocab_size=500)
    most = train(type="characters", vocab_size=500, character_coverage=0.97)
    assert most.source_vocab_size < every.source_vocab_size
    text = "".join(source + target for source, target in PAIRS)
    known = sum(UNK not in row[:-1] for row in most.encode_target(list(text)))
    assert known / len(text) >= 0.97


def test_a_damaged_character_file_is_refused(tmp_path: Path) -> None:
    train(type="characters").save(tmp_path / "tokenizer")
    for content in (b"[", b'"x"\n', b""):
        (tmp_path / "tokenizer/characters.txt").write_bytes(content)
        with pytest.raises(ModelError):
            Tokenizer.load(tmp_path / "tokenizer")


@pytest.mark.parametrize("kind", ["sentencepiece", "characters"])
def test_a_tag_is_one_token_that_no_text_can_make(tmp_path: Path, kind: str) -> None:
    tokenizer = train(("de", "fr"), type=kind, vocab_size=75)
    plain, german, french = (
        tokenizer.encode_source(["dog <2de>"], language)[0].tolist() for language in ("de", "de", "fr")
    )
    assert plain == german
    assert german[1:] == french[1:]
    assert german[0] != french[0]
    assert german[0] not in german[1:]
    assert {german[0], french[0]} <= set(tokenizer.unspoken)
    assert tokenizer.encode_target(["DOG"])[0][0] not in tokenizer.unspoken
    with pytest.raises(DataError, match="no tag for the target language cs; it has de, fr"):
        tokenizer.encode_source(["dog"], "cs")
    tokenizer.save(tmp_path / "tokenizer")
    assert Tokenizer.load(tmp_path / "tokenizer").languages == ("de", "fr")
    assert train(vocab_size=75).encode_source(["dog"], "cs")[0][-1] == EOS  # without tags every language will do


@pytest.mark.parametrize(("model", "alpha"), [("unigram", 0.1), ("bpe", 0.3)])
def test_sampled_subwords_vary_and_say_the_same(model: str, alpha: float) -> None:
    tokenizer = train(model=model, vocab_size=78)
    pair = max(PAIRS, key=lambda pair: len(pair[1]))
    samples = [tokenizer.sample(pair, None, alpha, seed) for seed in range(50)]
    assert len({tuple(target.tolist()) for _, target in samples}) > 10
    assert all(target[-1] == EOS for _, target in samples)
    assert {tokenizer.decode_target([target[:-1].tolist()])[0] for _, target in samples} == {pair[1]}
    again = [tokenizer.sample(pair, None, alpha, seed) for seed in reversed(range(50))]
    assert [target.tolist() for _, target in again] == [target.tolist() for _, target in reversed(samples)]
