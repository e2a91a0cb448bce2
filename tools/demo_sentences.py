"""Sentences of one clause in the demo corpus: statements, questions, predicates and comparisons."""

from collections.abc import Sequence
from dataclasses import replace

from demo_clauses import (
    Clause,
    english_clause,
    german_final,
    german_main,
    question_word,
)
from demo_draw import STATIVE, Draw, verb_name
from demo_lexicon import SPECIAL, VERBS, Noun, choose_nouns, suiting_adjectives
from demo_phrases import (
    Pair,
    Phrase,
    Word,
    english_phrase,
    german_phrase,
    join_pairs,
    make_adverbial,
    make_pair,
    number_words,
    rename_keys,
)

COMMA = Pair((Word(","),), (Word(","),))


# Building blocks of the templates


def say(clause: Clause, draw: Draw, *, front: float = 0.3) -> Pair:
    """A main clause in both languages, sometimes with its time in front."""
    if clause.time and draw.chance(front):
        later = replace(clause, time=None)
        return Pair(english_clause(later, front=clause.time.en), german_main(clause, front=clause.time.de))
    return Pair(english_clause(clause), german_main(clause))


def subordinate(conjunction: tuple[str, str], clause: Clause, key: str = "conj") -> Pair:
    """A subordinate clause with its conjunction, the German verb last; keys of its own."""
    en, de = make_pair(*conjunction, key)
    return rename_keys(Pair(english_clause(clause, front=en), german_final(clause, front=de)), "sub.")


def end_with(pair: Pair, mark: str) -> Pair:
    """The sentence with its final punctuation."""
    return Pair((*pair.en, Word(mark)), (*pair.de, Word(mark)))


def plain(draw: Draw, noun: Noun) -> Phrase:
    """A definite noun phrase without an adjective."""
    phrase = draw.phrase(noun, definite=True)
    return replace(phrase, adjective=None)


# Templates


def statement(draw: Draw) -> Pair:
    """A main clause."""
    return end_with(say(draw.event(), draw), ".")


def yes_no_question(draw: Draw) -> Pair:
    """A question without question word."""
    clause = draw.event(negation=0)
    return end_with(Pair(english_clause(clause, question=True), german_main(clause, front=())), "?")


def subject_question(draw: Draw) -> Pair:
    """Who does something? Which teacher does it?"""
    subject, verb = Phrase(pronoun="who"), draw.pick(tuple(VERBS.values()))
    if draw.chance(0.4):
        noun = draw.pick(choose_nouns("person"))
        draw.combine("subject", verb_name(verb), noun.en)
        subject = Phrase(noun, determiner="which", plural=draw.chance(0.3))
    clause = draw.event(verb=verb, subject=subject)
    en = english_phrase(clause.subject, "subject", subject=True)
    de = german_phrase(clause.subject, "subject", "nom")
    return end_with(
        Pair(english_clause(clause, front=en, asked="subject"), german_main(clause, front=de, asked="subject")), "?"
    )


def object_question(draw: Draw) -> Pair:
    """Whom or what, which thing, how many things?"""
    verb = draw.pick([verb for verb in VERBS.values() if verb.case])
    personal = any(noun.kind == "name" for noun in verb.objects)
    wanted = Phrase(pronoun="who" if personal else "what")
    if not personal and draw.chance(0.5):
        noun = draw.pick(verb.objects)
        draw.combine("object", verb_name(verb), noun.en)
        wanted = Phrase(noun, determiner="which")
        if noun.en_plural != "-":
            plural = draw.chance(0.6)
            wanted = replace(wanted, plural=plural, determiner="how many" if plural and draw.chance(0.7) else "which")
    clause = draw.event(verb=verb, object=wanted, negation=0)
    if verb.case == "both":
        clause = replace(clause, object=wanted)
    front = question_word(clause)
    en = english_clause(clause, front=front.en, question=True, asked="object")
    return end_with(Pair(en, german_main(clause, front=front.de, asked="object")), "?")


ASK_TIME = {"when": "wann", "why": "warum", "how often": "wie oft", "at what time": "um wie viel Uhr"}


def adverb_question(draw: Draw) -> Pair:
    """When, why, where, how often?"""
    clause = replace(draw.event(negation=0), often=None)
    if clause.verb.places and draw.chance(0.4):
        de = "wohin" if clause.verb.en in ("go", "travel") else "wo"
        word = make_pair("where", de, "where")
        clause = replace(clause, middle=None, end=None)
    else:
        en = "why" if clause.verb.en in STATIVE else draw.pick(tuple(ASK_TIME))
        word = make_pair(en, ASK_TIME[en], "when")
        clause = clause if en == "why" else replace(clause, time=None)
    en_words = english_clause(clause, front=word.en, question=True)
    return end_with(Pair(en_words, german_main(clause, front=word.de)), "?")


def predicate(draw: Draw, noun: Noun, *, only: Sequence[str] = ()) -> Pair | None:
    """A predicate adjective that suits a noun."""
    choices = [a for a in suiting_adjectives(noun) if not only or a.en in only]
    if not choices:
        return None
    adjective = draw.pick(choices)
    draw.combine("adjective", adjective.en, noun.en)
    return make_pair(adjective.en, adjective.de, "pred")


def copula(draw: Draw) -> Pair | None:
    """Something is red, seven years old, in the kitchen; it costs twenty euros; it belongs to somebody."""
    kind = draw.pick(("adjective",) * 4 + ("age", "price", "place", "place", "belong"))
    mark = "?" if draw.chance(0.2) else "."
    if kind == "adjective":
        noun = draw.pick(choose_nouns("person animal food text thing device ride clothing rooms public"))
        end = predicate(draw, noun)
        clause = draw.be(plain(draw, noun), end) if end else None
    elif kind == "age":
        noun = draw.pick(choose_nouns("person name"))
        draw.combine("subject", "be old", noun.en)
        number = _draw_number(draw)
        if noun.kind == "person" and noun.en not in ("child", "boy", "girl", "son", "daughter", "brother", "sister"):
            number += 20 if number < 20 else 0
        en, de = number_words(number)
        subject = Phrase(noun) if noun.kind == "name" else replace(plain(draw, noun), plural=False)
        end = join_pairs(
            [make_pair(en, de, "number"), make_pair("years", "Jahre", "years"), make_pair("old", "alt", "old")]
        )
        clause = draw.be(subject, end, tense="present", negation=0)
    elif kind == "price":
        noun = draw.pick(choose_nouns("text thing device ride clothing"))
        draw.combine("subject", "cost", noun.en)
        en, de = number_words(_draw_number(draw))
        end = join_pairs([make_pair(en, de, "number"), make_pair("euros", "Euro", "euro")])
        clause = Clause(draw.phrase(noun, definite=True), SPECIAL["cost"], end=end)
    elif kind == "place":
        clause = _located(draw)
    else:
        noun = draw.pick(choose_nouns("text bag key picture clock gift device ride clothing house animal"))
        draw.combine("subject", "belong to", noun.en)
        clause = draw.event(verb=SPECIAL["belong to"], subject=draw.phrase(noun, definite=True), light=True)
        clause = replace(clause, tense="past" if clause.tense == "past" else "present", often=None)
    if clause is None:
        return None
    if mark == "?":
        clause = replace(clause, negated=False)
        return end_with(Pair(english_clause(clause, question=True), german_main(clause, front=())), "?")
    return end_with(say(clause, draw), ".")


def _draw_number(draw: Draw) -> int:
    number = draw.pick(range(2, 62))
    return number if number <= 12 or number >= 20 else number - 10


BESIDE = {"under": "unter", "next to": "neben", "behind": "hinter", "in front of": "vor"}


def _located(draw: Draw) -> Clause:
    """Where a thing or an animal is."""
    noun = draw.pick(choose_nouns("dog cat text bag key gift flower hat bicycle"))
    if draw.chance(0.5):
        place = draw.pick(choose_nouns("kitchen room office garden house" + (" bag" if noun.kind == "text" else "")))
        en, de = "in", "in"
    else:
        place = draw.pick(choose_nouns("table chair window door car house church"))
        en = draw.pick(tuple(BESIDE) if place.en in ("table", "chair", "car") else ("next to", "behind", "in front of"))
        de = BESIDE[en]
    draw.combine("place", noun.en, place.en)
    where = Phrase(
        place, determiner=draw.pick(("the", "the", draw.possessive())), adjective=draw.adjective(place, 0.15)
    )
    return draw.be(plain(draw, noun), make_adverbial(where, "place", en, de, "dat"))


def comparison(draw: Draw) -> Pair | None:
    """One is bigger than the other, or (not) as big."""
    kind = draw.pick(("person", "person name", "animal", "thing device ride", "clothing", "text", "public", "rooms"))
    nouns = choose_nouns(kind)
    first, second = draw.pick(nouns), draw.pick(nouns)
    choices = [a for a in suiting_adjectives(first) if a.en_more and (second in a.nouns or second.kind == "name")]
    if first is second or not choices:
        return None
    adjective = draw.pick(choices)
    for noun in (first, second):
        draw.combine("adjective", adjective.en, noun.en)
    other_phrase = plain(draw, second)
    other = Pair(english_phrase(other_phrase, "other", subject=True), german_phrase(other_phrase, "other", "nom"))
    if draw.chance(0.65):
        pieces = [make_pair(adjective.en_more, adjective.de_more, "pred"), make_pair("than", "als", "than"), other]
    else:
        as_, middle = make_pair("as", "so", "so"), make_pair(adjective.en, adjective.de, "pred")
        pieces = [as_, middle, make_pair("as", "wie", "than"), other]
    clause = draw.be(plain(draw, first), join_pairs(pieces), negation=0.2)
    return end_with(say(clause, draw), ".")
