"""Glossaries, forbidden words, kept text and prefixes: read from files, asked of search, found in the output."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from decode.stored import LINES, stored, translator

from seq2seq.decode.protected import lost
from seq2seq.decode.searcher import target_pieces
from seq2seq.decode.steering import Glossary, Kept, PhraseBook, Steering, Wish
from seq2seq.errors import DataError, Seq2SeqError

KINDS: Any = ["number", "url", "email", "placeholder", "tag"]


def read(tmp_path: Path, content: str) -> Glossary:
    path = tmp_path / "terms.tsv"
    path.write_bytes(content.encode())
    return Glossary.read(path)


def found(glossary: Glossary, text: str) -> list[tuple[str, str]]:
    """Where terms stand, and the first wish."""
    return [(text[start:end], wish[0]) for start, end, wish in glossary.find(text)]


def test_a_glossary_is_read_with_alternatives(tmp_path: Path) -> None:
    glossary = read(tmp_path, "\ufeffRed  Dog\troter  Hund\n\n \t \r\ncat\tKatze\r\nred dog\tHund\ncat\tKatze\n")
    assert glossary.terms == {"red dog": ("roter Hund", "Roter Hund", "Hund"), "cat": ("Katze",)}


@pytest.mark.parametrize("row", ["no tab", "\ttarget", "source\t ", "a\tb\tc"])
def test_rows_that_are_none_are_told_by_file_and_line(tmp_path: Path, row: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'terms.tsv'}:3: must be a source term, a tab and")):
        read(tmp_path, f"cat\tKatze\n\n{row}\n")


def test_a_glossary_without_terms_and_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"terms\.tsv: has no terms"):
        read(tmp_path, "\ufeff\n  \n")
    with pytest.raises(DataError, match=r"none\.tsv"):
        Glossary.read(tmp_path / "none.tsv")


def test_terms_are_found_as_whole_words_longest_first(tmp_path: Path) -> None:
    rows = ["cat\tKatze", "black cat\tRappe", "C++\tC++", "Straße\tstreet", "Éa\tx", "a.b\tab"]
    glossary = read(tmp_path, "\n".join(rows))
    assert found(glossary, "A CAT, cats, bobcat; a Black \t cat and cat.") == [
        ("CAT", "Katze"), ("Black \t cat", "Rappe"), ("cat", "Katze"),
    ]  # fmt: skip
    assert found(glossary, "c++ C+ (C++) aCb a.b axb") == [("c++", "C++"), ("C++", "C++"), ("a.b", "ab")]
    assert found(glossary, "Die straße, STRAßE, éa") == [("straße", "street"), ("STRAßE", "street"), ("éa", "x")]
    assert found(glossary, "") == []


def test_terms_are_found_whatever_their_script_and_spelling() -> None:
    for term, text, where in [
        ("Dog", "the DOG", "DOG"), ("İstanbul", "in İstanbul", "İstanbul"), ("ſun", "Sun", "Sun"),
        ("Café", "a cafe\u0301, caf\u00e9s", "cafe\u0301"), ("cafe", "CAFÉ cafe\u0301 Cafe", "Cafe"),
        ("狗", "大狗很", "狗"), ("GPU", "用GPU练", "GPU"), ("straße", "STRASSE", "STRASSE"), ("が", "かが", "が"),
        ("(a|b)*", "x (A|B)* y", "(A|B)*"), ("new  york", "New\u00a0York", "New\u00a0York"),
    ]:  # fmt: skip
        assert found(Glossary({term: ("x",)}), text) == [(where, "x")], term
    assert found(Glossary({}), "any") == []


def test_a_term_may_be_in_kept_text_or_around_it() -> None:
    glossary = Glossary({"cat": ("Katze",), "room 1": ("Raum eins",), "at 5": ("um fünf",)})
    for text, expected in [
        ("see cat.org/cat, www.cat.org/a", ["Katze", "Katze", "www.cat.org/a"]),
        ("room 1,000 or room 1", ["1,000", "Raum eins"]),
        ("at 5 in room 1 with 5", ["um fünf", "Raum eins", "5"]),
    ]:
        assert [wish[0] for wish in Steering(glossary, keep=frozenset(KINDS)).wishes(text)] == expected


def test_what_is_forbidden_translates_no_term() -> None:
    glossary = Glossary({"dog": ("Hund", "Dackel"), "cat": ("rote Katze",)})
    assert Steering(glossary, ("HUND", "Katze rote")).wishes("A dog.") == (("Dackel",),)
    with pytest.raises(DataError, match="term 'cat' has no translation that is not forbidden"):
        Steering(glossary, ("hund", "Katze"))


LONG = "The student sees the dog of Mr. Blue. Ask Yahoo! Answers about it. " * 5


def test_terms_are_honoured_where_a_line_is_split() -> None:
    glossary = Glossary({"yahoo! answers": ("Quarzuhr",), "it. the": ("Rappe",)})
    (one,) = translator(options={"steering": Steering(glossary)}).translate_all([LONG])
    assert one.parts > 1 and times(one.text, ("Quarzuhr",)) == 5 and times(one.text, ("Rappe",)) == 4


def test_no_phrase_is_put_together_from_parts() -> None:
    (plain,) = translator().translate_all([LONG])
    ends = [translator().tokenizer.decode_target([one.tokens])[0].split() for one in plain.searched]
    phrase = " ".join(re.sub(r"\W", "", word) for word in (ends[0][-1], ends[1][0]))
    assert phrase.lower() in re.sub(r"[^\w ]", "", plain.text).lower()
    (one,) = translator(options={"steering": Steering(forbidden=(phrase,))}).translate_each([LONG])
    assert one.text == "" and one.reason == "its parts together hold what is forbidden"


def test_wishes_come_in_order_and_never_twice_for_a_place(tmp_path: Path) -> None:
    glossary = read(tmp_path, "room 5\tZimmer fünf\ncat\tKatze\n")
    text = "See 7 cats, room 5, a cat at http://cat.org/9 and {cat}, 5 times."
    kept = Steering(glossary, keep=frozenset(["number", "placeholder"]))
    wishes = [wish[0] for wish in kept.wishes(text)]
    assert wishes == ["7", "Zimmer fünf", "Katze", "Katze", "{cat}", "5"]
    everything = Steering(keep=frozenset(KINDS)).wishes(text)
    assert everything == (("7",), ("5",), ("http://cat.org/9",), ("{cat}",), ("5",))
    assert Steering().wishes(text) == ()
    assert not Steering().is_needed and kept.is_needed
    assert kept.fingerprint != Steering(glossary).fingerprint


def test_letters_that_the_tokenizer_does_not_know_come_out_as_they_are() -> None:
    tokenizer = stored().tokenizer
    book = PhraseBook(tokenizer, target_pieces(tokenizer))

    def ids(text: str) -> list[int]:
        row: list[int] = tokenizer.target_rows([text]).rows[0].tolist()[:-1]
        return row

    for literal in ("ΩΨ", "7%Ω", "http://a.b/?q=Ω&x=[1]", "漢字 Ω"):
        demand = book.demand([(literal,), ("Katze",)])
        spaced, bare = (demand.phrases[0].ways * 2)[:2]
        katze = demand.phrases[1].ways[0]
        assert book.text([*ids("Die Frau"), *spaced, *katze, *ids("hat.")], demand) == f"Die Frau {literal} Katze hat."
        assert book.text([*spaced, *katze], demand) == f"{literal} Katze"
        assert book.text([*katze, *spaced], demand) == f"Katze {literal}"
        if bare != spaced:
            assert book.text([*katze, *ids("-")[1:], *bare], demand) == f"Katze-{literal}"
    demand = book.demand([("Ω1",), ("Ψ1",)])
    one, other = (phrase.ways[0] for phrase in demand.phrases)
    assert one == other  # the first is the first
    assert book.text([*one, *other], demand) == "Ω1 Ψ1"


def times(text: str, wish: Wish) -> int:
    alternatives = "|".join(map(re.escape, sorted(wish, key=len, reverse=True)))
    return len(re.findall(rf"(?<!\w)(?:{alternatives})(?!\w)", text))


def same_for_all_batches(steering: Steering, lines: Sequence[str], beam_size: int) -> list[str]:
    options = {"steering": steering}
    together = translator(64, options=options, beam_size=beam_size).translate_all(lines)
    alone = translator(1, options=options, beam_size=beam_size).translate_all(lines)
    assert [one.text for one in together] == [one.text for one in alone]
    return [one.text for one in together]


TARGETS = ["Quarzuhr", "sehr gute Uhr", "Haus", "über-mut", "XYZ", "der Äpfel", "Jo", "km/h", "Kaffee & Tee"]


@pytest.mark.parametrize("beam_size", [1, 5])
def test_each_wish_stands_in_the_translation_as_often_as_asked(beam_size: int) -> None:
    draw = random.Random(3)
    for _ in range(15):
        lines = draw.sample(LINES, 2)
        words = sorted({word.strip(".,?").lower() for line in lines for word in line.split()})
        targets = draw.sample(TARGETS, 3)
        terms = {word: (target,) for word, target in zip(draw.sample(words, 3), targets, strict=True)}
        steering = Steering(Glossary(terms))
        for line, text in zip(lines, same_for_all_batches(steering, lines, beam_size), strict=True):
            for wish, n in Counter(steering.wishes(line)).items():
                assert times(text, wish) >= n, (line, text, wish)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_a_term_that_stands_twice_comes_twice_in_one_of_its_ways(beam_size: int) -> None:
    steering = Steering(Glossary({"student": ("Schüler", "Lernende"), "old car": ("Oldtimer",)}))
    lines = ["The student sees the student and a Student.", "An old car, an OLD  car."]
    first, second = same_for_all_batches(steering, lines, beam_size)
    assert times(first, ("Schüler", "Lernende")) >= 3
    assert times(second, ("Oldtimer",)) >= 2


KEPT = [
    "Call 030 12345 at 12:30, room 5, before 2026-11-20.",
    "See https://a.example/x?y=1&z=[2] or write to me@b.example.",
    "Hello {name}, you have %d letters and ${n} euros.",
    "The <b>happy</b> man has 5 children and 5 dogs for 1,000.50 euros.",
    "3 and 3.5 and 35 and 3",
]


@pytest.mark.parametrize("beam_size", [1, 5])
def test_what_is_kept_comes_through_unchanged(beam_size: int) -> None:
    texts = same_for_all_batches(Steering(keep=frozenset(KINDS)), KEPT, beam_size)
    assert [lost(line, text, "exact") for line, text in zip(KEPT, texts, strict=True)] == [[]] * len(KEPT)
    plain = translator(beam_size=beam_size).translate(KEPT)
    assert all(lost(line, text, "exact") for line, text in zip(KEPT, plain, strict=True))


def test_what_may_stand_beside_kept_text_leaves_it_as_it_is() -> None:
    def phrases(text: str) -> list[str]:
        wishes = Steering(keep=frozenset(KINDS)).wishes(text)
        return [phrase.apart for phrase in PhraseBook(stored().tokenizer, pieces).demand(wishes).phrases]

    pieces = target_pieces(stored().tokenizer)
    for text in ("50", "1,000.50", "https://x.org/a_(b", "www.x.org", "me@x.org", "{x}", "%s", "<b>"):
        (behind,) = phrases(text)
        for signs in (sign + other for sign in behind for other in ("", *behind)):
            assert lost(text, f"({text}{signs} x") == [], signs
    assert "%" in phrases("50")[0] and "%" not in phrases("www.x.org")[0]
    assert ")" in phrases("www.x.org")[0] and ")" not in phrases("https://x.org/a_(b")[0]


def test_a_kept_text_is_no_term_of_the_same_letters() -> None:
    tokenizer = stored().tokenizer
    book = PhraseBook(tokenizer, target_pieces(tokenizer))
    for _ in range(2):
        term, kept = book.demand([("12",), Kept(("12",))]).phrases
        assert term.apart == "" and "." in kept.apart


@pytest.mark.parametrize("beam_size", [1, 5])
def test_forbidden_words_stand_in_no_translation(beam_size: int) -> None:
    lines = LINES[:12]
    plain = translator(beam_size=beam_size).translate(lines)
    counts = Counter(word.lower() for text in plain for word in re.findall(r"\w+", text))
    words = tuple(word for word, _ in counts.most_common(5))
    steering = Steering(forbidden=(*words[:-1], words[-1].upper(), "wie  oft"))
    texts = same_for_all_batches(steering, lines, beam_size)
    assert "wie oft" in " ".join(plain).lower()
    for text in texts:
        assert not {*words} & {word.lower() for word in re.findall(r"\w+", text)}
        assert not re.search(r"\bwie oft\b", text.lower())


def test_a_translation_begins_with_its_prefix() -> None:
    lines = LINES[:6]
    prefixes = ["", "Heute", "Meine Tante", "Ich möch", "Ja, er", ""]
    for beam_size in (1, 5):
        plain = translator(beam_size=beam_size).translate(lines)
        for batch_size in (1, 64):
            out = translator(batch_size, beam_size=beam_size).translate_all(lines, prefixes=prefixes)
            texts = [one.text for one in out]
            assert all(text.startswith(prefix) for text, prefix in zip(texts, prefixes, strict=True))
            assert texts[0] == plain[0] and texts[5] == plain[5] and texts[1] != plain[1]


@pytest.mark.parametrize("decode", [{"beam_size": 1}, {"beam_size": 4, "beam_groups": 2}, {"no_repeat_ngram": 1}])
def test_any_text_can_be_a_prefix(decode: dict[str, Any]) -> None:
    prefixes = ["Ω und", "\ufb01ne  Sache:", "ja ja ja ja", "Er ist 漢字,", " Heute ", "  "]
    out = translator(**decode).translate_all(LINES[:6], prefixes=prefixes)
    for one, prefix in zip(out, prefixes, strict=True):
        assert one.text.startswith(prefix.strip()) and len(one.text) > len(prefix)
    assert out[5].text == translator(**decode).translate(LINES[5:6])[0]


def test_unknown_letters_of_a_prefix_pass_for_no_kept_text() -> None:
    options = {"steering": Steering(keep=frozenset(KINDS))}
    (one,) = translator(options=options).translate_all(["The {Ψ1} has {Ω}."], prefixes=["ΩΨ und"])
    assert one.text.startswith("ΩΨ und") and one.text.count("{Ψ1}") == one.text.count("{Ω}") == 1


def test_a_prefix_with_a_forbidden_word_has_no_translation() -> None:
    options = {"steering": Steering(forbidden=("hat",))}
    out = translator(options=options).translate_each(LINES[:3], prefixes=["Er hat", "Er hat es", "Er hatte"])
    assert [bool(one.text) for one in out] == [True, False, True]  # the first may become another word
    assert not any(re.search(r"\bhat\b", one.text) for one in out)


def test_samples_have_no_prefix() -> None:
    with pytest.raises(Seq2SeqError, match="prefixes need beam search"):
        translator(search="sampling").translate_all(LINES[:1], prefixes=["Heute"])


def test_all_of_it_goes_together_with_a_prefix() -> None:
    steering = Steering(Glossary({"student": ("Schüler",)}), ("hat",), frozenset(KINDS))
    lines = ["The student has 5 letters.", "Our student reads 7 books in the garden."]
    out = translator(options={"steering": steering}).translate_all(lines, prefixes=["Der", "Mein Lehrer"])
    for text, start, number in zip([one.text for one in out], ("Der", "Mein Lehrer"), "57", strict=True):
        assert text.startswith(start)
        assert times(text, ("Schüler",)) and times(text, (number,)) and not times(text.lower(), ("hat",))


@pytest.mark.parametrize("decode", [{"search": "sampling"}, {"beam_groups": 5}])
def test_other_kinds_of_search_refuse_to_be_steered(decode: dict[str, Any]) -> None:
    for steering in (Steering(forbidden=("hat",)), Steering(keep=frozenset(KINDS))):
        with pytest.raises(Seq2SeqError, match="need plain beam search"):
            translator(options={"steering": steering}, **decode)
    assert translator(**decode).steering == Steering()
