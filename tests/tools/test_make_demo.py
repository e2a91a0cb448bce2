import gzip
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "recipes" / "demo"

# Read by hand; each line shows one phenomenon of the grammar.
PAIRS = {
    "separable verb and half hour": ("The father gets up at half past seven.", "Der Vater steht um halb acht auf."),
    "quarter to": ("Who gets up at quarter to eight?", "Wer steht um Viertel vor acht auf?"),
    "weekday, one o'clock": (
        "We fall asleep on Wednesday at one o'clock.",
        "Wir schlafen am Mittwoch um ein Uhr ein.",
    ),
    "number in words": ("The doctor is twenty-one years old.", "Der Arzt ist einundzwanzig Jahre alt."),
    "number in digits": ("He will invite 30 women.", "Er wird 30 Frauen einladen."),
    "dative relative clause": ("The brother that Peter follows is sick.", "Der Bruder, dem Peter folgt, ist krank."),
    "dative plural": ("Does the key belong to many women?", "Gehört der Schlüssel vielen Frauen?"),
    "gender of it": (
        "These children will wear the hat because it is new.",
        "Diese Kinder werden den Hut tragen, weil er neu ist.",
    ),
    "wem": ("Who must the mother thank in the morning?", "Wem muss die Mutter am Morgen danken?"),
    "wen": ("Who did Anna pick up?", "Wen hat Anna abgeholt?"),
    "must not": ("My child must not work in this hotel.", "Mein Kind darf nicht in diesem Hotel arbeiten."),
    "kein": ("Maria does not write a letter.", "Maria schreibt keinen Brief."),
    "nicht": ("Who did not turn on the lamps?", "Wer hat die Lampen nicht angemacht?"),
    "separable infinitive": ("Julia tries to turn off the radios.", "Julia versucht, die Radios auszumachen."),
    "verb-final clause": (
        "Peter buys the letters although the man dances.",
        "Peter kauft die Briefe, obwohl der Mann tanzt.",
    ),
    "comparison": ("My horse is bigger than our bird.", "Mein Pferd ist größer als unser Vogel."),
    "adjective without article": ("Is Paul drinking cold milk?", "Trinkt Paul kalte Milch?"),
    "direction": ("I went into the kitchen on Saturday.", "Ich bin am Samstag in die Küche gegangen."),
    "adjective after kein": (
        "The sick guest did not put on an expensive coat.",
        "Der kranke Gast hat keinen teuren Mantel angezogen.",
    ),
    "indirect question": (
        "Does Anna know whether the cats had to wake up?",
        "Weiß Anna, ob die Katzen aufwachen mussten?",
    ),
    "verb second": (
        "Tomorrow the student must put on the hat.",
        "Morgen muss der Student den Hut anziehen.",
    ),
    "clause in front": ("If it is raining, Peter gets up.", "Wenn es regnet, steht Peter auf."),
    "formal imperative": ("Please listen to Thomas, Mrs. Weber.", "Bitte hören Sie Thomas zu, Frau Weber."),
    "formal you": (
        "Mr. Becker, you never buy nine soups for my sons.",
        "Herr Becker, Sie kaufen nie neun Suppen für meine Söhne.",
    ),
    "two objects": ("The son showed the women the dog.", "Der Sohn hat den Frauen den Hund gezeigt."),
    "perfect with sein": ("The doctors followed his car.", "Die Ärzte sind seinem Auto gefolgt."),
}

Corpus = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import make_demo
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return make_demo


@pytest.fixture(scope="module")
def splits(tool: ModuleType) -> dict[str, list[Any]]:
    return dict(tool.make_splits())


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return {split: list(zip(read(split, "en"), read(split, "de"), strict=True)) for split in ("train", "valid", "test")}


def read(split: str, language: str) -> list[str]:
    text = gzip.decompress((DEMO / f"{split}.{language}.gz").read_bytes()).decode()
    assert text.endswith("\n") and "\r" not in text
    return text[:-1].split("\n")


def words(text: str) -> list[str]:
    return [word.strip(".,?") for word in text.split()]


def test_tool_makes_exactly_the_shipped_files(tool: ModuleType, splits: dict[str, list[Any]]) -> None:
    files = tool.make_files(splits)
    assert tool.find_difference(files, DEMO) is None
    assert sorted(files) == sorted(path.name for path in DEMO.iterdir() if path.suffix in (".gz", ".md"))


def test_difference_is_named(tool: ModuleType, tmp_path: Path) -> None:
    files = {"train.en.gz": b"One.\nTwo.\n"}
    assert "missing" in tool.find_difference(files, tmp_path)
    tool.write_files(files, tmp_path)
    assert tool.find_difference(files, tmp_path) is None
    assert "line 2" in tool.find_difference({"train.en.gz": b"One.\nThree.\n"}, tmp_path)


def test_compressed_files_carry_no_time_or_name(tool: ModuleType, tmp_path: Path) -> None:
    tool.write_files({"a.gz": b"text\n"}, tmp_path)
    tool.write_files({"b.gz": b"text\n"}, tmp_path)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert (DEMO / "test.en.gz").read_bytes()[3:8] == bytes(5)


def test_sizes(corpus: Corpus) -> None:
    assert len(corpus["train"]) >= 20_000
    assert len(corpus["valid"]) == 500
    assert len(corpus["test"]) == 1_000


def test_every_source_is_there_once(corpus: Corpus) -> None:
    sources = [en for pairs in corpus.values() for en, _ in pairs]
    assert len(set(sources)) == len(sources)


def test_words_of_test_are_known_from_training(corpus: Corpus) -> None:
    for side in (0, 1):
        known = Counter(word for pair in corpus["train"] for word in words(pair[side]))
        for split in ("valid", "test"):
            assert all(known[word] >= 5 for pair in corpus[split] for word in words(pair[side]))


def test_held_out_combinations_never_occur_in_training(tool: ModuleType, splits: dict[str, list[Any]]) -> None:
    trained = {combination for sentence in splits["train"] for combination in sentence.combinations}
    assert not any(tool.is_held_out(combination) for combination in trained)
    for split in ("valid", "test"):
        assert all(set(sentence.combinations) - trained for sentence in splits[split])


def test_held_out_adjectives_never_meet_their_nouns_in_training(tool: ModuleType, corpus: Corpus) -> None:
    """The same from the text alone, for adjectives before nouns."""
    lexicon = sys.modules["demo_lexicon"]
    held_out = {
        (adjective.en, form)
        for adjective in lexicon.ADJECTIVES
        for noun in adjective.nouns
        for form in (noun.en, noun.en_plural)
        if tool.is_held_out(("adjective", adjective.en, noun.en))
    }
    neighbours = {pair for en, _ in corpus["train"] for pair in zip(words(en), words(en)[1:], strict=False)}
    assert len(held_out) > 20
    assert not held_out & neighbours


def test_lengths_and_templates_of_test_are_those_of_training(tool: ModuleType, splits: dict[str, list[Any]]) -> None:
    shares = {split: Counter(map(tool.stratum, splits[split])) for split in splits}
    for split in ("valid", "test"):
        for stratum, count in shares["train"].items():
            expected = count * len(splits[split]) / len(splits["train"])
            assert abs(shares[split][stratum] - expected) < 1
        assert set(shares[split]) <= set(shares["train"])


def test_sentences_are_written_as_sentences(corpus: Corpus) -> None:
    for pairs in corpus.values():
        for en, de in pairs:
            assert 4 <= len(en.split()) <= 14
            assert en[-1] == de[-1] and en[-1] in ".?"
            for text in (en, de):
                assert (
                    (text[0].isupper() or text[0].isdigit())
                    and "  " not in text
                    and " ," not in text
                    and ",." not in text
                )


def test_address_of_the_hearer_can_be_read_off_the_source(corpus: Corpus) -> None:
    for pairs in corpus.values():
        for en, de in pairs:
            if any(word in ("du", "dich", "dir", "Du") for word in words(de)):
                assert "Mr." not in en and "Mrs." not in en and ", children" not in en
            if any(word in ("euch", "euer", "eure", "eurem", "euren") for word in words(de)):
                assert "hildren" in en


@pytest.mark.parametrize("phenomenon", PAIRS)
def test_hand_checked_pairs(corpus: Corpus, phenomenon: str) -> None:
    assert PAIRS[phenomenon] in corpus["train"] + corpus["valid"] + corpus["test"]


def test_words_carry_their_alignment(splits: dict[str, list[Any]]) -> None:
    grammar = sys.modules["demo_grammar"]
    sentence = next(s for split in splits.values() for s in split if s.en == PAIRS["nicht"][0])
    assert grammar.align(sentence.words) == [
        (0, 0),
        (1, 1),
        (1, 5),
        (2, 4),
        (3, 1),
        (3, 5),
        (4, 1),
        (4, 5),
        (5, 2),
        (6, 3),
    ]


# Sentences of PAIRS and which words translate which, by hand.
ALIGNED = {
    "number in digits": "0-0 1-1 2-4 3-2 4-3",
    "wem": "0-0 1-1 2-2 3-3 4-6 5-4 5-5 6-4 6-5 7-4 7-5",
    "comparison": "0-0 1-1 2-2 3-3 4-4 5-5 6-6",
    "kein": "0-0 1-1 2-2 3-1 4-2 5-3",
    "separable infinitive": "0-0 1-1 2-4 3-4 4-4 5-2 6-3",
    "clause in front": "0-0 1-1 1-2 2-1 2-2 3-1 3-2 4-4 5-3 5-5 6-3 6-5",
    "two objects": "0-0 1-1 2-2 2-7 3-3 4-4 5-5 6-6",
}


@pytest.mark.parametrize("phenomenon", ALIGNED)
def test_true_alignments(tool: ModuleType, splits: dict[str, list[Any]], phenomenon: str) -> None:
    sentence = next(s for split in splits.values() for s in split if (s.en, s.de) == PAIRS[phenomenon])
    assert tool.make_alignments([sentence]).decode() == ALIGNED[phenomenon] + "\n"


def test_alignments_count_the_words_between_spaces(tool: ModuleType, splits: dict[str, list[Any]]) -> None:
    lines = tool.make_alignments(splits["test"]).decode().splitlines()
    assert len(lines) == 1_000
    for sentence, line in zip(splits["test"], lines, strict=True):
        links = [tuple(map(int, link.split("-"))) for link in line.split(" ")]
        assert links == sorted(set(links))
        n, m = len(sentence.en.split()), len(sentence.de.split())
        unaligned = set(range(m)) - {j for _, j in links}
        assert max(i for i, _ in links) < n and max(j for _, j in links) < m
        assert len(unaligned) <= 2, (sentence.en, sentence.de)
