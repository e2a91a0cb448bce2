"""The words of the demo corpus: nouns, adjectives and verbs of both languages with every irregular form.

One line of a table is one lexeme. A ``_`` in an English verb stands before a preposition that stays with the verb
(``look_for him``), a ``+`` before a particle that a pronoun pushes aside (``pick+up``: ``pick him up``); in a German
verb the ``+`` ends a separable prefix. A word of the last columns is either a noun or a class of nouns.
"""

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun: both languages, singular and plural; ``weak`` is the German ending outside the nominative singular."""

    en: str
    en_plural: str
    de: str
    gender: str
    de_plural: str
    weak: str
    kind: str


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective: ``stem`` takes the German endings; the comparatives are empty where none is used."""

    en: str
    en_more: str
    de: str
    stem: str
    de_more: str
    nouns: tuple[Noun, ...]


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb with its forms and what it governs.

    ``case`` is the case of the object ("" for none, "both" for a dative and an accusative), ``preposition`` the German
    preposition before it; ``places`` are the nouns that may say where it happens.
    """

    en: str
    en_s: str
    en_past: str
    en_ing: str
    joint: str
    particle: str
    prefix: str
    de: str
    de_3s: str
    participle: str
    auxiliary: str
    preposition: str
    case: str
    objects: tuple[Noun, ...]
    places: tuple[Noun, ...]
    subjects: tuple[Noun, ...]


NOUN_TABLE = {
    "person": """
        man men Mann m Männer
        woman women Frau f Frauen
        child children Kind n Kinder
        boy boys Junge m Jungen +n
        girl girls Mädchen n Mädchen
        teacher teachers Lehrer m Lehrer
        doctor doctors Arzt m Ärzte
        student students Student m Studenten +en
        neighbour neighbours Nachbar m Nachbarn +n
        friend friends Freund m Freunde
        guest guests Gast m Gäste
        colleague colleagues Kollege m Kollegen +n
        brother brothers Bruder m Brüder
        sister sisters Schwester f Schwestern
        mother mothers Mutter f Mütter
        father fathers Vater m Väter
        daughter daughters Tochter f Töchter
        son sons Sohn m Söhne
        aunt aunts Tante f Tanten""",
    "name": """
        Anna - Anna f -
        Julia - Julia f -
        Maria - Maria f -
        Paul - Paul m -
        Peter - Peter m -
        Thomas - Thomas m -""",
    "city": """
        Berlin - Berlin n -
        Hamburg - Hamburg n -
        Munich - München n -
        Vienna - Wien n -
        Cologne - Köln n -""",
    "animal": """
        dog dogs Hund m Hunde
        cat cats Katze f Katzen
        horse horses Pferd n Pferde
        bird birds Vogel m Vögel""",
    "food": """
        apple apples Apfel m Äpfel
        egg eggs Ei n Eier
        cake cakes Kuchen m Kuchen
        soup soups Suppe f Suppen
        banana bananas Banane f Bananen
        potato potatoes Kartoffel f Kartoffeln""",
    "mass": """
        bread - Brot n -
        cheese - Käse m -""",
    "drink": """
        coffee - Kaffee m -
        tea - Tee m -
        water - Wasser n -
        milk - Milch f -
        juice - Saft m -""",
    "text": """
        book books Buch n Bücher
        letter letters Brief m Briefe
        newspaper newspapers Zeitung f Zeitungen""",
    "thing": """
        table tables Tisch m Tische
        chair chairs Stuhl m Stühle
        bag bags Tasche f Taschen
        key keys Schlüssel m Schlüssel
        picture pictures Bild n Bilder
        clock clocks Uhr f Uhren
        gift gifts Geschenk n Geschenke
        flower flowers Blume f Blumen""",
    "device": """
        lamp lamps Lampe f Lampen
        radio radios Radio n Radios
        computer computers Computer m Computer""",
    "ride": """
        bicycle bicycles Fahrrad n Fahrräder
        car cars Auto n Autos""",
    "line": """
        bus buses Bus m Busse
        train trains Zug m Züge
        taxi taxis Taxi n Taxis""",
    "clothing": """
        coat coats Mantel m Mäntel
        shirt shirts Hemd n Hemden
        dress dresses Kleid n Kleider
        jacket jackets Jacke f Jacken
        hat hats Hut m Hüte""",
    "part": """
        window windows Fenster n Fenster
        door doors Tür f Türen""",
    "rooms": """
        kitchen kitchens Küche f Küchen
        room rooms Zimmer n Zimmer
        office offices Büro n Büros
        garden gardens Garten m Gärten
        house houses Haus n Häuser""",
    "public": """
        school schools Schule f Schulen
        park parks Park m Parks
        church churches Kirche f Kirchen
        hotel hotels Hotel n Hotels
        shop shops Laden m Läden
        station stations Bahnhof m Bahnhöfe
        restaurant restaurants Restaurant n Restaurants
        museum museums Museum n Museen""",
}

ADJECTIVE_TABLE = """
    old older alt alt älter | person animal text thing device ride clothing rooms public
    young younger jung jung jünger | person animal
    big bigger groß groß größer | animal food thing ride rooms public
    small smaller klein klein kleiner | animal food thing device ride rooms public child boy girl
    new newer neu neu neuer | text thing device ride clothing public teacher neighbour colleague doctor
    beautiful more_beautiful schön schön schöner | animal thing clothing rooms church park hotel museum
    expensive more_expensive teuer teur teurer | thing device ride clothing hotel restaurant
    cheap cheaper billig billig billiger | thing device ride clothing hotel restaurant
    friendly friendlier freundlich freundlich freundlicher | person
    nice nicer nett nett netter | person
    happy happier glücklich glücklich glücklicher | person
    sad sadder traurig traurig trauriger | child boy girl man woman student friend
    tired - müde müd - | person animal
    sick - krank krank - | person animal
    strong stronger stark stark stärker | man woman boy girl horse dog brother son father friend
    famous more_famous berühmt berühmt berühmter | teacher doctor student book picture church hotel museum restaurant
    red - rot rot - | clothing ride apple bag chair lamp flower door
    blue - blau blau - | clothing ride bag chair lamp flower door bird
    black - schwarz schwarz - | clothing ride dog cat horse bird bag table
    white - weiß weiß - | clothing ride dog cat horse house flower door
    hot - heiß heiß - | coffee tea soup milk water
    cold - kalt kalt - | drink soup room
    fresh fresher frisch frisch frischer | food mass milk juice
    good better gut gut besser | food mass drink text teacher doctor friend student hotel restaurant
    heavy heavier schwer schwer schwerer | bag table chair book gift bicycle coat
    interesting more_interesting interessant interessant interessanter | text picture museum teacher
    important more_important wichtig wichtig wichtiger | text guest teacher picture key
    long longer lang lang länger | letter book coat dress
    clean cleaner sauber sauber sauberer | clothing kitchen room car window table hotel
    dirty dirtier schmutzig schmutzig schmutziger | clothing kitchen room car window dog
"""

VERB_TABLE = """
    see sees saw - | sehen sieht gesehen h | acc | person name animal bicycle car house | park garden station
    love loves loved - | lieben liebt geliebt h | acc | person name animal | -
    like likes liked - | mögen mag gemocht h | acc | person name animal food mass drink | -
    know knows knew - | kennen kennt gekannt h | acc | person name hotel restaurant museum church | -
    visit visits visited visiting | besuchen besucht besucht h | acc | person name museum church school | -
    meet meets met meeting | treffen trifft getroffen h | acc | person name | park station restaurant hotel museum
    look_for looks_for looked_for looking_for | suchen sucht gesucht h | acc \
        | name child dog cat text bag key hat coat jacket bicycle hotel | house garden kitchen office
    find finds found - | finden findet gefunden h | acc | text bag key picture clock hat coat cat \
        | house garden kitchen office
    buy buys bought buying | kaufen kauft gekauft h | acc | text thing device ride clothing food mass drink \
        | shop station
    sell sells sold selling | verkaufen verkauft verkauft h | acc \
        | text thing device ride clothing food mass house | shop station
    read reads read reading | lesen liest gelesen h | acc | text | garden park kitchen office school
    write writes wrote writing | schreiben schreibt geschrieben h | acc | letter book | office school hotel
    eat eats ate eating | essen isst gegessen h | acc | food mass | kitchen garden park restaurant
    drink drinks drank drinking | trinken trinkt getrunken h | acc | drink | kitchen garden restaurant hotel
    wash washes washed washing | waschen wäscht gewaschen h | acc | clothing ride dog horse | garden
    wear wears wore wearing | tragen trägt getragen h | acc | clothing | -
    have has had - | haben hat gehabt h | acc \
        | animal text thing device ride clothing brother sister son daughter friend | -
    need needs needed - | brauchen braucht gebraucht h | acc \
        | text thing device ride clothing water milk bread doctor | -
    repair repairs repaired repairing | reparieren repariert repariert h | acc \
        | ride device clock chair table window door | garden house
    lose loses lost - | verlieren verliert verloren h | acc | bag key hat letter gift clock | park station school
    forget forgets forgot - | vergessen vergisst vergessen h | acc | name text bag key gift coat hat | -
    open opens opened opening | öffnen öffnet geöffnet h | acc | part letter bag gift | -
    close closes closed closing | schließen schließt geschlossen h | acc | part bag shop | -
    invite invites invited inviting | ein+laden lädt eingeladen h | acc | person name | -
    call calls called calling | an+rufen ruft angerufen h | acc | person name | -
    pick+up picks+up picked+up picking+up | ab+holen holt abgeholt h | acc | person name | -
    turn+on turns+on turned+on turning+on | an+machen macht angemacht h | acc | device | -
    turn+off turns+off turned+off turning+off | aus+machen macht ausgemacht h | acc | device | -
    tidy+up tidies+up tidied+up tidying+up | auf+räumen räumt aufgeräumt h | acc | kitchen room office house garden | -
    bring+back brings+back brought+back bringing+back | zurück+bringen bringt zurückgebracht h | acc \
        | text ride bag key coat | -
    put+on puts+on put+on putting+on | an+ziehen zieht angezogen h | acc | clothing | -
    help helps helped helping | helfen hilft geholfen h | dat | person name | kitchen garden office house
    thank thanks thanked thanking | danken dankt gedankt h | dat | person name | -
    follow follows followed following | folgen folgt gefolgt s | dat | person name dog horse car | - | animal
    answer answers answered answering | antworten antwortet geantwortet h | dat | person name | -
    listen_to listens_to listened_to listening_to | zu+hören hört zugehört h | dat | person name | -
    give gives gave giving | geben gibt gegeben h | both | food text bag key gift flower picture clothing | -
    show shows showed showing | zeigen zeigt gezeigt h | both | text picture clock room house animal bag bicycle | -
    send sends sent sending | schicken schickt geschickt h | both | letter newspaper gift book picture flower | -
    wait_for waits_for waited_for waiting_for | warten wartet gewartet h auf | acc | line person name | -
    think_of thinks_of thought_of thinking_of | denken denkt gedacht h an | acc | person name | -
    talk_with talks_with talked_with talking_with | sprechen spricht gesprochen h mit | dat | person name | -
    sleep sleeps slept sleeping | schlafen schläft geschlafen h | | | room garden hotel kitchen house | animal
    work works worked working | arbeiten arbeitet gearbeitet h | | \
        | office garden school shop hotel restaurant museum kitchen
    play plays played playing | spielen spielt gespielt h | | | garden park house school room | animal
    dance dances danced dancing | tanzen tanzt getanzt h | | | restaurant hotel park kitchen garden
    live lives lived - | wohnen wohnt gewohnt h | | | city
    travel travels travelled travelling | fahren fährt gefahren s | | | city
    go goes went going | gehen geht gegangen s | | | public
    stay stays stayed staying | bleiben bleibt geblieben s | | | room hotel kitchen garden city
    get+up gets+up got+up getting+up | auf+stehen steht aufgestanden s | | | -
    wake+up wakes+up woke+up waking+up | auf+wachen wacht aufgewacht s | | | - | animal
    fall_asleep falls_asleep fell_asleep - | ein+schlafen schläft eingeschlafen s | | | park garden kitchen | animal
    come+back comes+back came+back coming+back | zurück+kommen kommt zurückgekommen s | | | - | animal
    arrive arrives arrived arriving | an+kommen kommt angekommen s | | | station hotel city | line
"""

# Sums, belongings and mental states take subjects or complements of their own; the grammar builds their clauses itself.
SPECIAL_TABLE = """
    be is was - | sein ist gewesen s | | | -
    cost costs cost - | kosten kostet gekostet h | | | -
    belong_to belongs_to belonged_to - | gehören gehört gehört h | dat | person name | -
    know knows knew - | wissen weiß gewusst h | | | -
    think thinks thought - | glauben glaubt geglaubt h | | | -
    say says said - | sagen sagt gesagt h | | | -
    hope hopes hoped - | hoffen hofft gehofft h | | | -
    try tries tried trying | versuchen versucht versucht h | | | -
"""


def _read_nouns() -> dict[str, Noun]:
    nouns: dict[str, Noun] = {}
    for kind, table in NOUN_TABLE.items():
        for line in table.split("\n"):
            if line.strip():
                en, en_plural, de, gender, de_plural, *weak = line.split()
                nouns[en] = Noun(en, en_plural, de, gender, de_plural, weak[0][1:] if weak else "", kind)
    return nouns


NOUNS = _read_nouns()


@cache
def choose_nouns(words: str) -> tuple[Noun, ...]:
    """The nouns that a list of nouns and classes of nouns names, each once, in its order."""
    found: dict[str, Noun] = {}
    for word in words.replace("-", "").split():
        for noun in NOUNS.values():
            if word in (noun.en, noun.kind):
                found[noun.en] = noun
    return tuple(found.values())


def _read_adjectives() -> tuple[Adjective, ...]:
    adjectives = []
    for line in ADJECTIVE_TABLE.strip().split("\n"):
        forms, nouns = line.split("|")
        en, en_more, de, stem, de_more = ("" if form == "-" else form.replace("_", " ") for form in forms.split())
        adjectives.append(Adjective(en, en_more, de, stem, de_more, choose_nouns(nouns)))
    return tuple(adjectives)


def _split_particle(form: str) -> tuple[str, str]:
    """The verb itself and the particle or preposition after it."""
    for joint in "_+":
        if joint in form:
            word, particle = form.split(joint)
            return word, particle
    return ("" if form == "-" else form), ""


def _read_verbs(table: str) -> dict[str, Verb]:
    verbs = {}
    for line in table.strip().split("\n"):
        english, german, case, objects, places, *subjects = (column.strip() for column in line.split("|"))
        en, en_s, en_past, en_ing = (_split_particle(form)[0] for form in english.split())
        infinitive, third, participle, auxiliary, *preposition = german.split()
        prefix, _, stem = infinitive.rpartition("+")
        name = english.split()[0]
        verbs[name.replace("_", " ").replace("+", " ")] = Verb(
            en,
            en_s,
            en_past,
            en_ing,
            "+" if "+" in name else "_" if "_" in name else "",
            _split_particle(name)[1],
            prefix,
            stem,
            third,
            participle,
            {"h": "haben", "s": "sein"}[auxiliary],
            preposition[0] if preposition else "",
            case,
            choose_nouns(objects),
            choose_nouns(places),
            choose_nouns("person name " + (subjects[0] if subjects else "")),
        )
    return verbs


ADJECTIVES = _read_adjectives()
VERBS = _read_verbs(VERB_TABLE)
SPECIAL = _read_verbs(SPECIAL_TABLE)


@cache
def suiting_adjectives(noun: Noun) -> tuple[Adjective, ...]:
    """The adjectives that may describe a noun."""
    return tuple(adjective for adjective in ADJECTIVES if noun in adjective.nouns)
