"""Clauses of the demo corpus: one structure, said in English and in German.

English chooses its auxiliaries (do-support, progressive, modals); German places the finite verb second, first or last
and orders pronouns, time, objects, place, "nicht" and the rest of the verb between its two verbal brackets.
"""

from dataclasses import dataclass

from demo_lexicon import Verb
from demo_phrases import (
    Pair,
    Phrase,
    Word,
    Words,
    english_phrase,
    german_phrase,
    make_words,
    prepositional,
)


@dataclass(frozen=True)
class Clause:
    """What a clause says, before word order.

    ``tense`` is present, progressive, past, future or a name from MODALS. ``often`` is an adverb of frequency,
    ``middle`` one of place or company, ``end`` a complement that German keeps near the end (direction, predicate).
    """

    subject: Phrase
    verb: Verb
    tense: str = "present"
    negated: bool = False
    object: Phrase | None = None
    receiver: Phrase | None = None
    time: Pair | None = None
    often: Pair | None = None
    middle: Pair | None = None
    end: Pair | None = None


# Finite forms for I, you, he, we, you all, they.
IRREGULAR = {
    "sein": "bin bist ist sind seid sind",
    "haben": "habe hast hat haben habt haben",
    "werden": "werde wirst wird werden werdet werden",
    "mögen": "mag magst mag mögen mögt mögen",
    "wissen": "weiß weißt weiß wissen wisst wissen",
    "können": "kann kannst kann können könnt können",
    "müssen": "muss musst muss müssen müsst müssen",
    "wollen": "will willst will wollen wollt wollen",
    "dürfen": "darf darfst darf dürfen dürft dürfen",
    "sollte": "sollte solltest sollte sollten solltet sollten",
    "möchte": "möchte möchtest möchte möchten möchtet möchten",
    "konnte": "konnte konntest konnte konnten konntet konnten",
    "musste": "musste musstest musste mussten musstet mussten",
    "wollte": "wollte wolltest wollte wollten wolltet wollten",
    "war": "war warst war waren wart waren",
    "hatte": "hatte hattest hatte hatten hattet hatten",
}

# English: an auxiliary, or a verb with "to" (its base, then its third person or its past); German affirmed and negated.
MODALS = {
    "can": ("can", "können", "können"),
    "must": ("must", "müssen", "dürfen"),
    "should": ("should", "sollte", "sollte"),
    "could": ("could", "konnte", "konnte"),
    "would like to": ("would", "möchte", "möchte"),
    "want to": ("want wants", "wollen", "wollen"),
    "wanted to": ("want wanted", "wollte", "wollte"),
    "had to": ("have had", "musste", "musste"),
}


def conjugate(verb: Verb, person: int) -> str:
    """The German present of a verb, without its separable prefix."""
    if verb.de in IRREGULAR:
        return IRREGULAR[verb.de].split()[person]
    stem = verb.de[:-2]
    if person == 0:
        return stem + "e"
    if person == 1:
        base = verb.de_3s[:-1]
        return verb.de_3s if base[-1] in "sßz" else base + "st"
    if person == 2:
        return verb.de_3s
    if person == 4:
        return stem + ("et" if stem.endswith(("t", "d", "ffn")) else "t")
    return verb.de


def _english_verb(clause: Clause, *, question: bool) -> tuple[str, str, str]:
    """The auxiliary (or "be"), the main verb, and what joins them ("to" after "want"); "" where there is none."""
    verb, person = clause.verb, clause.subject.person
    third = person == 2
    support = clause.negated or question
    present_be = "am" if person == 0 else "is" if third else "are"
    if clause.tense in MODALS:
        forms = MODALS[clause.tense][0].split()
        if len(forms) == 1:
            return forms[0], verb.en, "like to" if forms[0] == "would" else ""
        past = clause.tense != "want to"
        if support:
            return "did" if past else "does" if third else "do", verb.en, f"{forms[0]} to"
        return "", verb.en, f"{forms[1] if past or third else forms[0]} to"
    if clause.tense == "future":
        return "will", verb.en, ""
    if clause.tense == "progressive":
        return present_be, verb.en_ing, ""
    past = clause.tense == "past"
    if verb.en == "be":
        return ("was" if person in (0, 2) else "were") if past else present_be, "", ""
    if support:
        return "did" if past else "does" if third else "do", verb.en, ""
    return "", verb.en_past if past else verb.en_s if third else verb.en, ""


def _english_tail(clause: Clause, *, objects: bool) -> Words:
    """Objects, particle and adverbials after the English verb."""
    verb = clause.verb
    particle = make_words(verb.particle, "verb")
    words: Words = ()
    if clause.receiver:
        words += english_phrase(clause.receiver, "receiver", subject=False)
    thing = english_phrase(clause.object, "object", subject=False) if clause.object and objects else ()
    split = verb.joint == "+" and clause.object is not None and clause.object.pronoun != ""
    words += thing + particle if split and objects else particle + thing
    for piece in (clause.end, clause.middle, clause.time):
        words += piece.en if piece else ()
    return words


def english_clause(clause: Clause, *, front: Words = (), question: bool = False, asked: str = "") -> Words:
    """The English clause.

    Args:
        clause: what to say.
        front: words before the subject (a fronted time, a question word, a relative pronoun, a conjunction).
        question: whether the auxiliary comes before the subject.
        asked: "object" if the front stands for the object, "subject" if it stands for the subject.
    """
    auxiliary, main, joint = _english_verb(clause, question=question)
    subject = () if asked == "subject" else english_phrase(clause.subject, "subject", subject=True)
    key = "modal" if clause.tense in MODALS or clause.tense == "future" else "verb"
    helper = make_words(auxiliary, key)
    negation = make_words("not", "not") if clause.negated else ()
    if auxiliary == "can" and negation:
        helper, negation = (Word("cannot", ("modal", "not")),), ()
    often = clause.often.en if clause.often else ()
    rest = negation + often + make_words(joint, "modal") + make_words(main, "verb")
    tail = _english_tail(clause, objects=asked != "object")
    return front + (helper + subject if question else subject + helper) + rest + tail


def english_infinitive(clause: Clause) -> Words:
    """The English infinitive with "to" and what follows it."""
    return make_words("to", "to") + make_words(clause.verb.en, "verb") + _english_tail(clause, objects=True)


def _german_verb(clause: Clause) -> tuple[Words, Words]:
    """The finite verb and the rest of the verb (participle, infinitive) that closes the clause, without the prefix."""
    verb, person = clause.verb, clause.subject.person
    if clause.tense in MODALS or clause.tense == "future":
        negated = 2 if clause.negated else 1
        modal = "werden" if clause.tense == "future" else MODALS[clause.tense][negated]
        return (Word(IRREGULAR[modal].split()[person], ("modal",)),), (Word(verb.prefix + verb.de, ("verb",)),)
    if clause.tense == "past":
        simple = {"sein": "war", "haben": "hatte"}.get(verb.de)
        if simple:
            return (Word(IRREGULAR[simple].split()[person], ("verb",)),), ()
        finite = IRREGULAR[verb.auxiliary].split()[person]
        return (Word(finite, ("verb",)),), (Word(verb.participle, ("verb",)),)
    return (Word(conjugate(verb, person), ("verb",)),), ()


def german_middle(clause: Clause, *, asked: str = "", time: bool = True) -> Words:
    """The German words between the verbal brackets, in the order of the middle field."""
    verb, thing, receiver = clause.verb, clause.object, clause.receiver
    negated = clause.negated
    first: Words = ()  # pronouns and names
    person: Words = ()  # definite objects
    early: Words = ()  # an indefinite object, behind the place
    late: Words = ()  # an object with its preposition
    if receiver:
        words = german_phrase(receiver, "receiver", "dat")
        first, person = (words, ()) if receiver.pronoun or receiver.named else ((), words)
    case = "acc" if verb.case == "both" else verb.case
    if thing and asked != "object":
        if verb.preposition:
            late = prepositional(thing, "object", verb.preposition, case)
        elif thing.indefinite:
            kein = negated and thing.determiner in ("", "a")
            early = german_phrase(thing, "object", case, negated=kein)
            negated = negated and not kein
        elif thing.pronoun or thing.named:
            first += german_phrase(thing, "object", case)
        else:
            person += german_phrase(thing, "object", case)
    when = clause.time.de if clause.time and time else ()
    often = clause.often.de if clause.often else ()
    middle = clause.middle.de if clause.middle else ()
    nicht = make_words("nicht", "not") if negated else ()
    end = clause.end.de if clause.end else ()
    if early:
        return first + when + often + person + middle + early + nicht + late + end
    return first + when + often + person + nicht + middle + late + end


def german_subject(clause: Clause) -> Words:
    """The German subject."""
    return german_phrase(clause.subject, "subject", "nom")


def german_main(clause: Clause, *, front: Words | None = None, asked: str = "") -> Words:
    """A German main clause: the finite verb after ``front`` (the subject if None, nothing at all if empty)."""
    finite, rest = _german_verb(clause)
    prefix = make_words(clause.verb.prefix, "verb")
    closing = rest or prefix
    fronted_time = front is not None and clause.time is not None and front == clause.time.de
    middle = german_middle(clause, asked=asked, time=not fronted_time)
    if front is None:
        return german_subject(clause) + finite + middle + closing
    inner = () if asked == "subject" else german_subject(clause)
    return front + finite + inner + middle + closing


def german_final(clause: Clause, *, front: Words, asked: str = "") -> Words:
    """A German subordinate clause after its conjunction or relative pronoun: the finite verb last."""
    finite, rest = _german_verb(clause)
    if not rest and clause.verb.prefix:
        finite = (Word(clause.verb.prefix + finite[0].text, finite[0].keys),)
    subject = () if asked == "subject" else german_subject(clause)
    return front + subject + german_middle(clause, asked=asked) + rest + finite


def german_infinitive(clause: Clause) -> Words:
    """The German infinitive with "zu", which a separable prefix takes inside."""
    verb = clause.verb
    if verb.prefix:
        closing: Words = (Word(f"{verb.prefix}zu{verb.de}", ("to", "verb")),)
    else:
        closing = (Word("zu", ("to",)), Word(verb.de, ("verb",)))
    return german_middle(clause) + closing


def question_word(clause: Clause) -> Pair:
    """The question word or phrase for the object of a clause, in its German case."""
    assert clause.object is not None
    thing, verb = clause.object, clause.verb
    case = "acc" if verb.case == "both" else verb.case
    en = english_phrase(thing, "object", subject=False)
    if verb.preposition:
        return Pair(en, prepositional(thing, "object", verb.preposition, case))
    return Pair(en, german_phrase(thing, "object", case))
