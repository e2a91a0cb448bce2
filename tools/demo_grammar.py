"""The sentences of the demo corpus: a synchronous English-German grammar.

``Grammar`` draws one sentence after another. The German side is a function of the English one: whatever German has to
choose (gender, case, formal or informal address, the place of the verb) can be read off the English words.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from demo_clauses import (
    Clause,
    english_clause,
    english_infinitive,
    german_final,
    german_infinitive,
    german_main,
)
from demo_draw import PAST_TENSES, STATIVE, Combination, Draw, verb_name
from demo_lexicon import SPECIAL, VERBS, choose_nouns
from demo_phrases import (
    Pair,
    Phrase,
    Words,
    german_phrase,
    join_pairs,
    make_pair,
    make_words,
    rename_keys,
)
from demo_sentences import (
    COMMA,
    adverb_question,
    comparison,
    copula,
    end_with,
    object_question,
    predicate,
    say,
    statement,
    subject_question,
    subordinate,
    yes_no_question,
)

FEWEST_WORDS = 4
MOST_WORDS = 14

# Persons whom both languages call "he" or "she" (a child is "it" in German, a girl either).
GENDERED = choose_nouns(
    "man woman boy teacher doctor student neighbour friend guest colleague "
    "brother sister mother father daughter son aunt name"
)
THING_KINDS = ("text", "thing", "device", "ride", "clothing")
THING_ADJECTIVES = ("old", "new", "beautiful", "expensive", "cheap", "heavy", "important", "long", "small", "big")
NAMES = {"Mr. Weber": "Herr Weber", "Mrs. Weber": "Frau Weber", "Mr. Becker": "Herr Becker"} | {
    "Mrs. Becker": "Frau Becker",
    "Mrs. Klein": "Frau Klein",
}

# Weather and light: English, then German with the verb last.
WEATHER = {
    "it is raining": "es regnet",
    "it is snowing": "es schneit",
    "it is late": "es spät ist",
    "it is dark": "es dunkel ist",
    "it is cold": "es kalt ist",
}
PAST_WEATHER = {
    "it was raining": "es geregnet hat",
    "it was snowing": "es geschneit hat",
    "it was late": "es spät war",
    "it was dark": "es dunkel war",
    "it was cold": "es kalt war",
}
CONJUNCTIONS = {"because": "weil", "although": "obwohl", "if": "wenn", "when": "wenn", "before": "bevor"}

PRESENT_GROUP = ("present", "can", "must", "want to", "should")
PAST_GROUP = PAST_TENSES


class Sentence(NamedTuple):
    """A sentence pair, the word alignment its words carry, the combinations of words it shows and its template."""

    en: str
    de: str
    words: Pair
    combinations: tuple[Combination, ...]
    template: str


def write_sentence(words: Words) -> str:
    """The text of a sentence: spaces, commas that do not pile up, a capital at the start."""
    text = ""
    for position, word in enumerate(words):
        if word.text == "," and position + 1 < len(words) and words[position + 1].text in (",", ".", "?"):
            continue
        text += word.text if word.text in (",", ".", "?") or not text else f" {word.text}"
    return text[0].upper() + text[1:]


def align(words: Pair) -> list[tuple[int, int]]:
    """The positions (English, German) of words that translate each other, counted from 0, punctuation left out."""
    english, german = ([word for word in side if word.text not in (",", ".", "?")] for side in words)
    return [
        (i, j) for i, word in enumerate(english) for j, other in enumerate(german) if set(word.keys) & set(other.keys)
    ]


def cause(draw: Draw) -> Pair | None:
    """A main clause with a subordinate clause after or before it."""
    main = draw.event(light=True, tenses=(*PRESENT_GROUP, *PAST_GROUP, "future"))
    past = main.tense in PAST_TENSES
    en = draw.pick(("because", "because", "although", "when", "before", "if"))
    en = "when" if past and en == "if" else en
    if en not in ("because", "although"):
        main = replace(main, often=None)
    de = "als" if past and en == "when" else CONJUNCTIONS[en]
    if en in ("because", "although") and draw.chance(0.4):
        clause = _about(draw, main, "past" if past else "present")
        if clause is None:
            return None
        sub, front = subordinate((en, de), clause), False
    elif en in ("when", "before") and main.verb.en in STATIVE:
        return None
    elif draw.chance(0.25) and en != "before":
        weather = PAST_WEATHER if past else WEATHER
        said = draw.pick(tuple(weather))
        sub = rename_keys(join_pairs((make_pair(en, de, "conj"), make_pair(said, weather[said], "weather"))), "sub.")
        front = draw.chance(0.35)
    else:
        negation = 0.0 if en == "before" else 0.15
        clause = draw.event(light=True, tenses=PAST_GROUP if past else PRESENT_GROUP, negation=negation)
        if en in ("when", "before") and clause.verb.en in STATIVE:
            return None
        clause = clause if en in ("because", "although") else replace(clause, often=None)
        sub, front = subordinate((en, de), clause), draw.chance(0.35)
    if front:
        lead = Pair((*sub.en, *COMMA.en), (*sub.de, *COMMA.de))
        pair = Pair(lead.en + english_clause(main), german_main(main, front=lead.de))
    else:
        pair = Pair(english_clause(main) + sub.en, german_main(main) + COMMA.de + sub.de)
    return end_with(pair, ".")


def _about(draw: Draw, main: Clause, tense: str) -> Clause | None:
    """What a later clause says about the person or the thing of the main clause, now a pronoun of its gender."""
    thing = main.object
    if thing and thing.noun and thing.noun.kind in THING_KINDS and main.verb.case != "dat" and not main.negated:
        end = predicate(draw, thing.noun, only=THING_ADJECTIVES)
        pronoun = "they" if thing.plural else f"it:{thing.gender}"
    elif main.subject.noun in GENDERED and main.subject.noun:
        end = predicate(draw, main.subject.noun, only=("tired", "sick", "happy", "sad"))
        pronoun = "they" if main.subject.plural else "she" if main.subject.gender == "f" else "he"
    else:
        return None
    return draw.be(Phrase(pronoun=pronoun), end, tense=tense, negation=0.1) if end else None


def content(draw: Draw) -> Pair | None:
    """Somebody says, thinks, knows that something happens, or asks whether, why, when or where it does."""
    verb = SPECIAL[draw.pick(("say", "say", "think", "know", "hope"))]
    subject = draw.subject(verb)
    asked = verb.en == "know" and draw.chance(0.7)
    words = {"whether": "ob", "why": "warum", "when": "wann", "where": "wo"} if asked else {"that": "dass"}
    en = draw.pick(tuple(words))
    tense = "present" if asked else draw.pick(("present", "present", "past"))
    matrix = Clause(subject, verb, tense, negated=asked and draw.chance(0.5))
    question = asked and not matrix.negated
    clause = draw.event(light=True, tenses=PAST_GROUP if tense == "past" else (), negation=0.0 if asked else 0.15)
    de = words[en]
    if en == "where":
        de = "wohin" if clause.verb.en in ("go", "travel") else "wo"
        if not clause.verb.places:
            return None
        clause = replace(clause, middle=None, end=None)
    sub = subordinate((en, de), clause)
    head_en = english_clause(matrix, question=question)
    head_de = german_main(matrix, front=() if question else None)
    return end_with(Pair(head_en + sub.en, head_de + COMMA.de + sub.de), "?" if question else ".")


def two_events(draw: Draw) -> Pair | None:
    """Two main clauses with "and" or "but"."""
    en, de = draw.pick((("and", "und"), ("but", "aber")))
    clauses = [draw.event(light=True), draw.event(light=True)]
    first, second = say(clauses[0], draw), rename_keys(say(clauses[1], draw), "sub.")
    joint = make_pair(en, de, "conj")
    if en == "but":
        joint = join_pairs((COMMA, joint))
    return end_with(join_pairs((first, joint, second)), ".")


def relative(draw: Draw) -> Pair | None:
    """A subject with a relative clause, and what it is or does."""
    plural = draw.chance(0.2)
    if draw.chance(0.5):
        noun = draw.pick(choose_nouns("person"))
        pronoun = Phrase(pronoun=f"rel:{'p' if plural else noun.gender}")
        verb = draw.pick(tuple(VERBS.values()))
        draw.combine("subject", verb_name(verb), noun.en)
        clause = draw.event(
            verb=verb, subject=pronoun, light=True, tenses=("present", "past", "progressive"), negation=0.1
        )
        front = Pair(make_words("who", "rel"), german_phrase(pronoun, "rel", "nom"))
        asked = "subject"
    else:
        verb = draw.pick([v for v in VERBS.values() if v.case in ("acc", "dat") and not v.preposition])
        noun = draw.pick(verb.objects)
        if noun.en_plural == "-":
            return None
        draw.combine("object", verb_name(verb), noun.en)
        pronoun = Phrase(pronoun=f"rel:{'p' if plural else noun.gender}")
        clause = draw.event(verb=verb, object=pronoun, light=True, tenses=("present", "past", "can"), negation=0.1)
        front = Pair(make_words("that", "rel"), german_phrase(pronoun, "rel", verb.case))
        asked = "object"
    end = predicate(draw, noun)
    if end is None:
        return None
    en = english_clause(clause, front=front.en, asked=asked)
    de = COMMA.de + german_final(clause, front=front.de, asked=asked) + COMMA.de
    head = Phrase(noun, determiner="the", plural=plural, tail=rename_keys(Pair(en, de), "rel."))
    return end_with(say(draw.be(head, end, negation=0.1), draw), ".")


def attempt(draw: Draw) -> Pair | None:
    """Somebody tries or hopes to do something."""
    verb = SPECIAL[draw.pick(("try", "try", "hope"))]
    doing = draw.pick([v for v in VERBS.values() if v.en_ing or v.en == "find"])
    subject = draw.subject(verb)
    clause = replace(draw.event(verb=doing, subject=subject, light=True, negation=0), often=None)
    tense = draw.pick(("present", "past", "progressive" if verb.en_ing else "present"))
    matrix = Clause(subject, verb, tense)
    inner = rename_keys(Pair(english_infinitive(clause), german_infinitive(clause)), "inf.")
    return end_with(Pair(english_clause(matrix) + inner.en, german_main(matrix) + COMMA.de + inner.de), ".")


def command(draw: Draw) -> Pair | None:
    """A polite request."""
    draw.address, draw.addressed = "Sie", True
    verb = draw.pick([v for v in VERBS.values() if v.en_ing and v.en not in ("fall", "wake", "arrive", "lose")])
    clause = draw.event(verb=verb, subject=Phrase(pronoun="Sie"), tenses=("present",), negation=0, light=True)
    clause = replace(clause, often=None)
    front = make_words("please", "please") + english_infinitive(clause)[1:]
    german = german_main(clause, front=make_words("bitte", "please"))
    return end_with(Pair(front, german), ".")


TEMPLATES: tuple[tuple[int, Callable[[Draw], Pair | None]], ...] = (
    (30, statement),
    (10, yes_no_question),
    (4, subject_question),
    (6, object_question),
    (5, adverb_question),
    (10, copula),
    (4, comparison),
    (13, cause),
    (7, content),
    (3, two_events),
    (6, relative),
    (4, attempt),
    (3, command),
)


def _address(pair: Pair, draw: Draw) -> Pair:
    """The sentence with its hearer's name, which tells the formal and the plural "you" from the familiar one."""
    if not draw.addressed or draw.address == "du":
        return pair
    if draw.address == "ihr":
        name = make_pair("children", "Kinder", "hearer")
    else:
        en = draw.pick(tuple(NAMES))
        name = make_pair(en, NAMES[en], "hearer")
    if draw.chance(0.4):
        return Pair((*name.en, *COMMA.en, *pair.en), (*name.de, *COMMA.de, *pair.de))
    en_end, de_end = pair.en[-1:], pair.de[-1:]
    return Pair(pair.en[:-1] + COMMA.en + name.en + en_end, pair.de[:-1] + COMMA.de + name.de + de_end)


def _repeats_noun(words: Words) -> bool:
    """Whether a noun comes twice ("Peter visits Peter")."""
    nouns = [word.text.removesuffix("s") for word in words if any(key.endswith(".noun") for key in word.keys)]
    return len(set(nouns)) < len(nouns)


def draw_sentence(draw: Draw) -> Sentence | None:
    """The next sentence, or None where the draw gave one too short, too long or without a combination to hold out."""
    draw.reset()
    template = draw.pick([function for weight, function in TEMPLATES for _ in range(weight)])
    pair = template(draw)
    if pair is None:
        return None
    pair = _address(pair, draw)
    if _repeats_noun(pair.en):
        return None
    length = sum(word.text not in (",", ".", "?") for word in pair.en)
    if not draw.combinations or not FEWEST_WORDS <= length <= MOST_WORDS:
        return None
    combinations = tuple(dict.fromkeys(draw.combinations))
    return Sentence(write_sentence(pair.en), write_sentence(pair.de), pair, combinations, template.__name__)
