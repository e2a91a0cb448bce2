"""Random choices of the demo corpus: which noun phrases, times, places and tenses a clause gets.

A ``Draw`` also writes down what it combined: every pair of content words (verb and noun, adjective and noun, verb and
time) that the splits of the corpus may hold out.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

from demo_clauses import Clause
from demo_lexicon import NOUNS, SPECIAL, VERBS, Adjective, Noun, Verb, choose_nouns, suiting_adjectives
from demo_phrases import DIGITS, NUMERALS, Pair, Phrase, join_pairs, make_adverbial, make_pair, number_words

Combination = tuple[str, str, str]
Choice = TypeVar("Choice")

PAST_TENSES = ("past", "could", "wanted to", "had to")
STATIVE = ("know", "love", "like", "have", "need", "belong")
PLAIN_TENSES = ("present",) * 5 + ("progressive",) * 2 + ("past",) * 6 + ("future",) * 2
MODAL_TENSES = ("can", "must", "should", "could", "would like to", "want to", "wanted to", "had to")
MASS_KINDS = ("mass", "drink")
PROPER_KINDS = ("name", "city")
OWNERS = ("my", "his", "her", "our", "their", "du", "ihr", "Sie")
UNOWNED = ("man", "woman", "boy", "girl")
FAMILY = ("brother", "sister", "mother", "father", "daughter", "son", "aunt")

DAYS = {
    "Monday": "Montag",
    "Tuesday": "Dienstag",
    "Wednesday": "Mittwoch",
    "Thursday": "Donnerstag",
    "Friday": "Freitag",
    "Saturday": "Samstag",
    "Sunday": "Sonntag",
}
PARTS = {"in the morning": "am Morgen", "in the afternoon": "am Nachmittag", "in the evening": "am Abend"}
PRESENT_TIMES = {"today": "heute", "every day": "jeden Tag"}
NOW = {"now": "jetzt"}
PAST_TIMES = {"yesterday": "gestern", "last week": "letzte Woche", "last year": "letztes Jahr"}
FUTURE_TIMES = {"tomorrow": "morgen", "next week": "nächste Woche", "soon": "bald", "today": "heute"}
OFTEN = {"often": "oft", "always": "immer", "never": "nie", "sometimes": "manchmal"}
MINUTES = {"five past": "fünf nach", "ten past": "zehn nach", "quarter past": "Viertel nach"} | {
    "five to": "fünf vor",
    "ten to": "zehn vor",
    "quarter to": "Viertel vor",
}


def verb_name(verb: Verb) -> str:
    """The English name of a verb with its particle."""
    return f"{verb.en} {verb.particle}".strip()


class Draw:
    """A source of phrases and clauses for one sentence after another.

    Attributes:
        address: how the sentence speaks to its hearer: "du", "ihr" or "Sie".
        addressed: whether it does so.
        combinations: the pairs of content words drawn so far.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.reset()

    def reset(self) -> None:
        """Begin a new sentence."""
        self.address = self.pick(("du", "du", "ihr", "Sie"))
        self.addressed = False
        self.combinations: list[Combination] = []

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random.random() < probability

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of the choices; a longer share of the sequence is a likelier one."""
        return choices[int(self._random.random() * len(choices))]

    def combine(self, kind: str, first: str, second: str) -> None:
        """Writes down a combination of two content words."""
        self.combinations.append((kind, first, second))

    # Noun phrases

    def you(self) -> str:
        """The pronoun and determiner code for the hearer."""
        self.addressed = True
        return self.address

    def possessive(self) -> str:
        """A possessive determiner."""
        choice = self.pick(("my", "my", "his", "her", "our", "their", "you"))
        return self.you() if choice == "you" else choice

    def adjective(self, noun: Noun, probability: float = 0.3) -> Adjective | None:
        """Sometimes an adjective that suits the noun."""
        choices = suiting_adjectives(noun)
        if not choices or not self.chance(probability):
            return None
        adjective = self.pick(choices)
        self.combine("adjective", adjective.en, noun.en)
        return adjective

    def phrase(self, noun: Noun, *, definite: bool = False, counted: bool = True) -> Phrase:
        """A noun phrase; ``definite`` asks for an article or the like, ``counted`` allows "three" and "many"."""
        if noun.kind in PROPER_KINDS:
            return Phrase(noun)
        adjective = self.adjective(noun)
        roll = self._random.random()
        if noun.kind in MASS_KINDS:
            determiner = "" if roll < 0.5 and not definite else "this" if roll > 0.9 else "the"
            return Phrase(noun, determiner=determiner, adjective=adjective)
        plural = self.chance(0.25)
        if definite:
            determiner = "the" if roll < 0.55 else "this" if roll < 0.65 else self.possessive()
        elif roll < 0.36:
            determiner = "the"
        elif roll < 0.58:
            determiner = "" if plural else "a"
        elif roll < 0.8:
            determiner = self.possessive()
        elif roll < 0.87 or not counted:
            determiner = "this"
        else:
            plural = True
            determiner = self.pick((*NUMERALS, *NUMERALS, *DIGITS, *("many", "some") * 4))
        if noun.en in FAMILY and (determiner in ("", "a") or determiner in DIGITS):
            determiner = "my"
        if determiner in OWNERS and (noun.en in UNOWNED or noun.kind in ("public", "line")):
            determiner = "the"
        if noun.en in ("mother", "father"):
            determiner, plural = determiner if determiner in OWNERS else "the", False
        return Phrase(noun, determiner=determiner, adjective=adjective, plural=plural)

    def pronoun(self) -> Phrase:
        """A personal pronoun other than "it"."""
        choice = self.pick(("I", "I", "you", "you", "he", "she", "we", "they"))
        return Phrase(pronoun=self.you() if choice == "you" else choice)

    def subject(self, verb: Verb) -> Phrase:
        """A subject for a verb."""
        if self.chance(0.35):
            return self.pronoun()
        noun = self.pick(verb.subjects)
        self.combine("subject", verb_name(verb), noun.en)
        return self.phrase(noun, definite=self.chance(0.8))

    def person(self, verb: Verb, subject: Phrase, nouns: Sequence[Noun], *, counted: bool = True) -> Phrase:
        """One of the nouns as an object, sometimes a pronoun in its place, but never the subject's own."""
        if self.chance(0.25):
            phrase = self.pronoun()
            ours = ("I", "we")
            if phrase.pronoun != subject.pronoun and not (phrase.pronoun in ours and subject.pronoun in ours):
                return phrase
        noun = self.pick(nouns)
        self.combine("object", verb_name(verb), noun.en)
        return self.phrase(noun, counted=counted)

    def object(self, verb: Verb, subject: Phrase, *, negated: bool) -> Phrase:
        """An object for a verb; a negated one has no number, for whose scope English and German differ."""
        if any(noun.kind == "name" for noun in verb.objects):
            return self.person(verb, subject, verb.objects, counted=not negated)
        noun = self.pick(verb.objects)
        self.combine("object", verb_name(verb), noun.en)
        return self.phrase(noun, counted=not negated)

    # Adverbials

    def place(self, verb: Verb, noun: Noun) -> Pair:
        """The place of an event."""
        self.combine("place", verb_name(verb), noun.en)
        if noun.kind == "city":
            return make_adverbial(Phrase(noun), "place", "in", "in", "dat")
        phrase = Phrase(noun, determiner=self.pick(("the", "the", "the", "this")), adjective=self.adjective(noun, 0.2))
        if noun.en == "station":
            return make_adverbial(phrase, "place", "at", "an", "dat")
        return make_adverbial(phrase, "place", "in", "in", "dat")

    def direction(self, verb: Verb) -> Pair:
        """Where somebody goes ("zum Bahnhof", "in die Küche") or travels ("nach Wien", "mit dem Zug nach Wien")."""
        if verb.en == "travel":
            noun = self.pick(verb.places)
            self.combine("place", verb.en, noun.en)
            goal = make_adverbial(Phrase(noun), "goal", "to", "nach", "dat")
            if not self.chance(0.4):
                return goal
            vehicle = self.pick([NOUNS[name] for name in ("bus", "train", "taxi", "car")])
            self.combine("object", verb.en, vehicle.en)
            means = make_adverbial(Phrase(vehicle, determiner="the"), "means", "", "mit", "dat")
            return Pair(goal.en + make_pair("by", "", "means.prep").en + means.en[1:], means.de + goal.de)
        if self.chance(0.3):
            noun = self.pick([NOUNS[name] for name in ("kitchen", "garden", "house", "office", "room")])
            phrase = Phrase(noun, determiner="the", adjective=self.adjective(noun, 0.2))
            self.combine("place", verb.en, noun.en)
            return make_adverbial(phrase, "goal", "into", "in", "acc")
        noun = self.pick((*verb.places, NOUNS["doctor"], NOUNS["neighbour"], NOUNS["teacher"]))
        self.combine("place", verb.en, noun.en)
        phrase = Phrase(noun, determiner="the", adjective=self.adjective(noun, 0.2))
        return make_adverbial(phrase, "goal", "to", "zu", "dat")

    def with_or_for(self, verb: Verb) -> tuple[str, Pair] | None:
        """Sometimes company ("with", after verbs of doing) or somebody it is for: the clause's slot and the words."""
        if verb.en in ("play", "dance", "work") and self.chance(0.3):
            noun = self.pick(choose_nouns("person"))
            self.combine("with", verb.en, noun.en)
            return "middle", make_adverbial(self.phrase(noun, definite=True), "with", "with", "mit", "dat")
        if verb.en in ("buy", "write", "cook", "repair") and self.chance(0.2):
            noun = self.pick(VERBS["invite"].objects)
            self.combine("for", verb.en, noun.en)
            return "end", make_adverbial(self.phrase(noun, definite=True), "for", "for", "für", "acc")
        return None

    def clock(self, verb: Verb) -> Pair:
        """A time of day: German counts the half hour towards the next hour."""
        number = 1 + int(self._random.random() * 12)
        en, de = number_words(number)
        roll = self._random.random()
        if roll < 0.4:
            pair = Pair(make_pair(f"at {en} o'clock", "", "hour").en, make_pair("", f"um {de} Uhr", "hour").de)
        elif roll < 0.65:
            later = number_words(number % 12 + 1)[1]
            pair = make_pair(f"at half past {en}", f"um halb {'eins' if later == 'ein' else later}", "hour")
        else:
            minutes = self.pick(tuple(MINUTES))
            hour = "eins" if number == 1 else de
            pair = join_pairs(
                (
                    make_pair("at", "um", "hour"),
                    make_pair(minutes, MINUTES[minutes], "minutes"),
                    make_pair(en, hour, "hour"),
                )
            )
        self.combine("time", verb_name(verb), en)
        return pair

    def time(self, verb: Verb, tense: str, *, negated: bool, clock: float) -> Pair:
        """A time that suits the tense."""
        words = PAST_TIMES if tense in PAST_TENSES else PRESENT_TIMES if tense == "present" else FUTURE_TIMES
        words = NOW if tense == "progressive" else words
        if negated:
            # "Not every day" and "every day not" differ, and English leaves open which is meant.
            words = {en: de for en, de in words.items() if en != "every day"}
        pieces = []
        roll = self._random.random()
        if roll < clock and tense != "progressive":
            pieces = [self.clock(verb)]
            if self.chance(0.6):
                return pieces[0]
        if self.chance(0.4) and tense != "progressive":
            day = self.pick(tuple(DAYS))
            self.combine("time", verb_name(verb), day)
            return join_pairs([make_pair(f"on {day}", f"am {DAYS[day]}", "day"), *pieces])
        choices = words if pieces else words | PARTS if tense != "progressive" else words
        if pieces:
            choices = {en: de for en, de in words.items() if " " not in en and en != "soon"} or words
        en = self.pick(tuple(choices))
        self.combine("time", verb_name(verb), en)
        return join_pairs([make_pair(en, choices[en], "time"), *pieces])

    # Clauses

    def tense(self, verb: Verb) -> str:
        """A tense or modal verb that suits the verb."""
        unwilled = verb.en in (*STATIVE, "lose", "forget")
        if not unwilled and self.chance(0.25):
            return self.pick(MODAL_TENSES)
        tense = self.pick(PLAIN_TENSES)
        if (tense == "progressive" and not verb.en_ing) or (tense == "future" and unwilled):
            return "present"
        return tense

    def event(
        self,
        *,
        verb: Verb | None = None,
        subject: Phrase | None = None,
        tenses: Sequence[str] = (),
        light: bool = False,
        negation: float = 0.18,
        object: Phrase | None = None,
    ) -> Clause:
        """A clause around a full verb; ``light`` leaves out what is not needed, so that two clauses fit a sentence."""
        verb = verb or self.pick(tuple(VERBS.values()))
        tense = self.tense(verb)
        if tenses and tense not in tenses:
            tense = tenses[0]
        subject = subject or self.subject(verb)
        negated = self.chance(negation)
        if verb.en_past == verb.en and tense == "past" and not negated and subject.person != 2:
            # "They read", "I put on": English leaves the tense open, so no single German form is right.
            tense = "present" if not tenses or "present" in tenses else "had to"
        slots: dict[str, Pair] = {}
        receiver = None
        if verb.case == "both":
            receiver = self.person(verb, subject, VERBS["invite"].objects, counted=False)
            object = object or self.phrase(self._object_noun(verb), definite=self.chance(0.5))
            if object.determiner == "":
                object = Phrase(object.noun, determiner="the", adjective=object.adjective, plural=object.plural)
        elif verb.case and not object:
            object = self.object(verb, subject, negated=negated)
        if verb.en in ("go", "travel"):
            slots["end"] = self.direction(verb)
        elif verb.en in ("live", "stay"):
            at_home = verb.en == "stay" and self.chance(0.4)
            slots["end"] = (
                make_pair("at home", "zu Hause", "home") if at_home else self.place(verb, self.pick(verb.places))
            )
        extra = None if light or negated else self.with_or_for(verb)
        if extra and extra[0] not in slots:
            slots[extra[0]] = extra[1]
        elif verb.places and "end" not in slots and not (negated and object) and self.chance(0.15 if light else 0.4):
            slots["middle"] = self.place(verb, self.pick(verb.places))
        needs_time = verb.prefix and not verb.case
        if verb.en in (*STATIVE, "live"):
            light = True
        if not light and self.chance(0.75 if needs_time else 0.45):
            slots["time"] = self.time(
                verb, tense, negated=negated, clock=0.7 if needs_time or verb.en in ("sleep", "work") else 0.2
            )
        elif tense in ("present", "past") and not negated and verb.en not in STATIVE and self.chance(0.2):
            often = self.pick(tuple(OFTEN))
            slots["often"] = make_pair(often, OFTEN[often], "often")
        return Clause(subject, verb, tense, negated, object, receiver, **slots)

    def _object_noun(self, verb: Verb) -> Noun:
        noun = self.pick(verb.objects)
        self.combine("object", verb_name(verb), noun.en)
        return noun

    def be(self, subject: Phrase, end: Pair, *, tense: str = "", negation: float = 0.18) -> Clause:
        """A clause with "be" and a predicate."""
        tense = tense or self.pick(("present", "present", "past"))
        return Clause(subject, SPECIAL["be"], tense, self.chance(negation), end=end)
