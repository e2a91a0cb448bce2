"""Noun phrases of the demo corpus in both languages: number, gender, case, articles and adjective endings.

Every word carries the keys of what it says, so that an English and a German word that share a key translate each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from demo_lexicon import Adjective, Noun


class Word(NamedTuple):
    """One word or punctuation mark with the keys it shares with its translation; no key, no counterpart."""

    text: str
    keys: tuple[str, ...] = ()


Words = tuple[Word, ...]


class Pair(NamedTuple):
    """A piece of a sentence in both languages."""

    en: Words
    de: Words


@dataclass(frozen=True)
class Phrase:
    """A noun phrase before its case is known: a pronoun, or a noun with determiner, adjective, number and a tail.

    The tail (a relative clause) carries its own commas; ``tail`` holds them in both languages.
    """

    noun: Noun | None = None
    pronoun: str = ""
    determiner: str = ""
    adjective: Adjective | None = None
    plural: bool = False
    tail: Pair | None = None

    @property
    def person(self) -> int:
        """The row of a conjugation table: I, you, he, we, you all, they and the formal you."""
        if self.pronoun:
            return PRONOUNS[self.pronoun][0]
        return 5 if self.plural else 2

    @property
    def gender(self) -> str:
        """m, f, n, or p for every plural."""
        if self.noun is None:
            return self.pronoun[-1]
        return "p" if self.plural else self.noun.gender

    @property
    def named(self) -> bool:
        """Whether it is the name of a person."""
        return self.noun is not None and self.noun.kind == "name"

    @property
    def indefinite(self) -> bool:
        """Whether German negates the phrase with "kein" and moves it behind an adverb of place."""
        definite = ("the", "this", "my", "du", "his", "her", "our", "ihr", "their", "Sie", "which", "how many")
        return self.noun is not None and self.noun.kind not in ("name", "city") and self.determiner not in definite


# Row of the conjugation tables, English subject and object, German nominative, accusative and dative.
PRONOUNS = {
    "I": (0, "I me ich mich mir"),
    "du": (1, "you you du dich dir"),
    "he": (2, "he him er ihn ihm"),
    "she": (2, "she her sie sie ihr"),
    "we": (3, "we us wir uns uns"),
    "ihr": (4, "you you ihr euch euch"),
    "they": (5, "they them sie sie ihnen"),
    "Sie": (5, "you you Sie Sie Ihnen"),
    "it:m": (2, "it it er ihn ihm"),
    "it:f": (2, "it it sie sie ihr"),
    "it:n": (2, "it it es es ihm"),
    "who": (2, "who who wer wen wem"),
    "what": (2, "what what was was was"),
    "rel:m": (2, "who that der den dem"),
    "rel:f": (2, "who that die die der"),
    "rel:n": (2, "who that das das dem"),
    "rel:p": (5, "who that die die denen"),
}

CASES = ("nom", "acc", "dat")

# Endings by gender, one word for each case in the order of CASES.
STRONG = {"m": "er en em", "f": "e e er", "n": "es es em", "p": "e e en"}
EIN = {"m": "- en em", "f": "e e er", "n": "- - em", "p": "e e en"}
ARTICLE = {"m": "der den dem", "f": "die die der", "n": "das das dem", "p": "die die den"}
ADJECTIVE = {
    "weak": {"m": "e en en", "f": "e e en", "n": "e e en", "p": "en en en"},
    "mixed": {"m": "er en en", "f": "e e en", "n": "es es en", "p": "en en en"},
    "strong": STRONG,
}

# Determiners that decline: English singular and plural, German stem, its endings and those of the adjective.
DECLINED: dict[str, tuple[str, str, str, dict[str, str], str]] = {
    "this": ("this", "these", "dies", STRONG, "weak"),
    "which": ("which", "which", "welch", STRONG, "weak"),
    "a": ("a", "", "ein", EIN, "mixed"),
    "my": ("my", "my", "mein", EIN, "mixed"),
    "du": ("your", "your", "dein", EIN, "mixed"),
    "ihr": ("your", "your", "euer", EIN, "mixed"),
    "Sie": ("your", "your", "Ihr", EIN, "mixed"),
    "his": ("his", "his", "sein", EIN, "mixed"),
    "her": ("her", "her", "ihr", EIN, "mixed"),
    "our": ("our", "our", "unser", EIN, "mixed"),
    "their": ("their", "their", "ihr", EIN, "mixed"),
    "no": ("", "", "kein", EIN, "mixed"),
    "many": ("", "many", "viel", STRONG, "strong"),
    "some": ("", "some", "einig", STRONG, "strong"),
}

UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
EINHEITEN = ["ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty"]
ZEHNER = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig"]
NUMERALS = {"2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9, "10": 10, "11": 11, "12": 12}
DIGITS = ("15", "20", "25", "30", "50", "100")


def number_words(number: int) -> tuple[str, str]:
    """A number from 1 to 12 or from 20 to 69 in words, English and German ("twenty-one", "einundzwanzig")."""
    if number <= 12:
        return UNITS[number - 1], EINHEITEN[number - 1]
    ten, unit = number // 10 - 2, number % 10
    if unit == 0:
        return TENS[ten], ZEHNER[ten]
    return f"{TENS[ten]}-{UNITS[unit - 1]}", f"{EINHEITEN[unit - 1]}und{ZEHNER[ten]}"


def make_words(text: str, *keys: str) -> Words:
    """The words of a text, all with the same keys."""
    return tuple(Word(word, keys) for word in text.split())


def make_pair(en: str, de: str, key: str) -> Pair:
    """A fixed expression and its translation."""
    return Pair(make_words(en, key), make_words(de, key))


def join_pairs(pairs: Iterable[Pair]) -> Pair:
    """Pieces one after another."""
    pieces = list(pairs)
    return Pair(tuple(w for p in pieces for w in p.en), tuple(w for p in pieces for w in p.de))


def english_phrase(phrase: Phrase, role: str, *, subject: bool) -> Words:
    """The English words of a noun phrase; ``role`` names it in the keys."""
    if phrase.pronoun:
        return (Word(PRONOUNS[phrase.pronoun][1].split()[0 if subject else 1], (role,)),)
    assert phrase.noun is not None
    noun = phrase.noun.en_plural if phrase.plural else phrase.noun.en
    words = [Word(phrase.adjective.en, (f"{role}.adj",))] if phrase.adjective else []
    words.append(Word(noun, (f"{role}.noun",)))
    if phrase.determiner in DECLINED:
        singular, plural, *_ = DECLINED[phrase.determiner]
        determiner = plural if phrase.plural else singular
    else:
        determiner = (
            number_words(NUMERALS[phrase.determiner])[0] if phrase.determiner in NUMERALS else phrase.determiner
        )
    if determiner == "a" and words[0].text[0] in "aeiou":
        determiner = "an"
    front = make_words(determiner, f"{role}.det")
    return front + tuple(words) + (phrase.tail.en if phrase.tail else ())


def decline_noun(noun: Noun, case: str, *, plural: bool) -> str:
    """The German noun in a case: weak masculines and the -n of the dative plural."""
    if plural:
        return noun.de_plural + ("n" if case == "dat" and noun.de_plural[-1] not in "ns" else "")
    return noun.de + ("" if case == "nom" else noun.weak)


def _decline_determiner(determiner: str, gender: str, case: str) -> tuple[str, str]:
    """The German determiner and the adjective endings that follow it."""
    index = CASES.index(case)
    if determiner == "the":
        return ARTICLE[gender].split()[index], "weak"
    if determiner in DECLINED:
        _, _, stem, endings, adjective = DECLINED[determiner]
        ending = endings[gender].split()[index].replace("-", "")
        return ("eur" if stem == "euer" and ending else stem) + ending, adjective
    if determiner in NUMERALS:
        return number_words(NUMERALS[determiner])[1], "strong"
    return ("wie viele" if determiner == "how many" else determiner), "strong"


def german_phrase(phrase: Phrase, role: str, case: str, *, negated: bool = False) -> Words:
    """The German words of a noun phrase in a case; ``negated`` makes "ein" and the missing article into "kein"."""
    index = CASES.index(case)
    if phrase.pronoun:
        return (Word(PRONOUNS[phrase.pronoun][1].split()[2 + index], (role,)),)
    assert phrase.noun is not None
    gender = phrase.gender
    determiner, kind = _decline_determiner("no" if negated else phrase.determiner, gender, case)
    words = make_words(determiner, f"{role}.det", *(("not",) if negated else ()))
    if phrase.adjective:
        ending = ADJECTIVE[kind][gender].split()[index]
        words += (Word(phrase.adjective.stem + ending, (f"{role}.adj",)),)
    words += (Word(decline_noun(phrase.noun, case, plural=phrase.plural), (f"{role}.noun",)),)
    return words + (phrase.tail.de if phrase.tail else ())


CONTRACTED = {
    ("in", "dem"): "im",
    ("in", "das"): "ins",
    ("an", "dem"): "am",
    ("von", "dem"): "vom",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
}


def prepositional(phrase: Phrase, role: str, preposition: str, case: str, *, negated: bool = False) -> Words:
    """German preposition and noun phrase, contracted with the article where German does so ("im", "zur")."""
    words = german_phrase(phrase, role, case, negated=negated)
    contracted = CONTRACTED.get((preposition, words[0].text)) if phrase.determiner == "the" else None
    if contracted:
        return (Word(contracted, (f"{role}.prep", *words[0].keys)), *words[1:])
    return (Word(preposition, (f"{role}.prep",)), *words)


def make_adverbial(phrase: Phrase, role: str, en: str, de: str, case: str) -> Pair:
    """A preposition with its noun phrase in both languages."""
    front = make_words(en, f"{role}.prep")
    return Pair(front + english_phrase(phrase, role, subject=False), prepositional(phrase, role, de, case))


def rename_keys(pair: Pair, prefix: str) -> Pair:
    """The same words with keys of their own, so that two clauses of a sentence stay apart."""
    en, de = (tuple(w._replace(keys=tuple(prefix + k for k in w.keys)) for w in side) for side in pair)
    return Pair(en, de)
