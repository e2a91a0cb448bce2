"""Which language a text is in, told from its script and its most frequent words: rough, small, and honest about it."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# Words that hold a language together; those that several languages share count for none.
_WORDS = {
    "bg": "и на да се за от не че са по това ще като има беше при след или също които този",
    "ca": "els les amb per una és són dels aquest aquesta més però també molt seva quan perquè hi ha",
    "cs": "je na se že to do jsem ale jako jsou byl při které který být by pro také ještě když nebo protože",
    "da": "og det jeg ikke af til er på med som har den de var havde blev efter også fra være hun kunne",
    "de": "der die das und ist nicht ein eine einen einem mit auf für von zu den dem sich auch im wird sind ich "
    "wir in es an er sie so wie bei aus als nach hat am",
    "en": "the and of to is that it for with are this be on was his her they you have from at by not which a in "
    "an i he we as do my me can what",
    "es": "el los las una con por para que está son del pero como más muy su sus hay fue cuando también y esto "
    "de la en se un",
    "et": "ja on ei see et ta ma oli kui ka mis aga kes oma nad seda või siis väga",
    "fi": "ja on ei se että oli hän mutta kun ovat joka myös kuin tämä niin minä olen tai sitä ole",
    "fr": "le les des une est et dans pour qui que sur avec pas du au il elle sont cette ne plus par nous vous "
    "de la en on ce se",
    "hr": "je se na da su za nije što kao ali sam bio ili od kako samo bila jer još koji koja",
    "hu": "a az és egy hogy nem van meg volt mint csak is már vagy ezt azt lesz kell nagyon",
    "id": "yang dan di dengan untuk tidak dari ini itu dalam pada adalah akan saya ada orang seorang oleh kami",
    "it": "il gli una di che è con per non sono della delle nel alla dei anche più come ma questo suo si ha la "
    "le in un a",
    "lt": "ir yra kad tai su bet buvo kaip jo jos iš ar aš ne už po labai nuo šis",
    "lv": "un ir ka no ar bet tas par bija kas vai viņš es nav ļoti pie šis uz",
    "nl": "de het een en van is niet op dat met zijn voor aan ook maar er naar wordt bij hij ze deze",
    "no": "og det jeg ikke av til er på med som har en et var hadde ble etter også fra være hun kunne noe",
    "pl": "i w na nie się że jest do to z jak ale co był są przez przy tym dla tak czy który została",
    "pt": "o os uma com por para que está são do da mas como mais não seu sua em ao foi também quando isso",
    "ro": "și este în cu pe care nu o un sunt din mai la fi a fost pentru dar această lui ale",
    "ru": "и в не на что он с как это по но она было все так его из за бы у для от мы был только",
    "sk": "je na sa že to do som ale ako sú bol pri ktoré ktorý byť by pre tiež ešte keď alebo pretože",
    "sl": "je in se na da so za ni kot pa sem bil ali tudi ki po bila še ker lahko",
    "sv": "och det jag inte av till är på med som har en ett var hade blev efter också från vara hon kunde för",
    "tr": "ve bir bu için ile de da çok ne ama olarak var daha gibi kadar o değil olan sonra",
    "uk": "і в не на що він з як це та але вона було все так його із за б у для від ми був тільки є",
    "vi": "và là của không có trong được cho một với này người đã các những tôi để đang trên",
}
_SCRIPTS = {
    "el": "\u0370-\u03ff",
    "he": "\u0590-\u05ff",
    "ar": "\u0600-\u06ff",
    "hi": "\u0900-\u097f",
    "th": "\u0e00-\u0e7f",
    "ko": "\uac00-\ud7af",
    "ja": "\u3040-\u30ff",
    "zh": "\u4e00-\u9fff",
}
# Other languages are written in these scripts too, so a text in one does not contradict another code ...
_SHARED_SCRIPTS = {"ar": "ar fa ur ps ku ug sd", "hi": "hi mr ne sa", "he": "he yi", "zh": "zh yue wuu"}
_SAME = {"nb": "no", "nn": "no", "sr": "hr", "bs": "hr", "iw": "he", "in": "id", "ms": "id"}  # too like to be told

WORD = re.compile(r"[^\W\d_]+")
_SCRIPT = re.compile("|".join(f"(?P<{code}>[{letters}])" for code, letters in _SCRIPTS.items()))
LEAST_SHARE = 0.05  # of the words of a text that must be function words of its language
TIMES = 1.5  # as many as of the next language
LEAST_DIFFERENT = 5  # of them that must occur
IN_SCRIPT = 0.3  # share of the letters from which on a script tells the language
LEAST_HITS = 3  # different function words by which a single line may tell

_COUNTS = Counter(word for words in _WORDS.values() for word in words.split())
LANGUAGE_OF = {word: code for code, words in _WORDS.items() for word in words.split() if _COUNTS[word] == 1}
_ALL = {code: frozenset(words.split()) for code, words in _WORDS.items()}


def known(code: str) -> str:
    """Returns the code under which a language is told from others here, such as `de` for `de_AT`; "" if it is not."""
    short = re.split("[-_]", code.lower())[0]
    short = _SAME.get(short, short)
    return short if short in _WORDS or short in _SCRIPTS else ""


def language_of_file(path: Path) -> str:
    """Returns the language that a file's name ends in, such as that of `train.de.gz`; "" if it is none."""
    code = path.name.removesuffix(".gz").rpartition(".")[2]
    return code if known(code) and len(code) <= len("de-AT") else ""


def guess_language(lines: Iterable[str]) -> str:
    """Returns the code of the language that a text looks like; "" where that is not clear."""
    text = " ".join(lines).lower()
    scripts = Counter(str(found.lastgroup) for found in _SCRIPT.finditer(text))
    letters = sum(map(str.isalpha, text))
    if scripts["ja"] > 0.1 * scripts["zh"] > 0:  # Japanese has Chinese characters too
        scripts["ja"] += scripts.pop("zh")
    if scripts and scripts.most_common(1)[0][1] > IN_SCRIPT * letters:
        return scripts.most_common(1)[0][0]
    words = Counter(WORD.findall(text))
    hits = {code: sum(words[word] for word in found) for code, found in _ALL.items()}
    (best, most), (_, second) = Counter(hits).most_common(2)
    several = len(_ALL[best] & words.keys()) >= LEAST_DIFFERENT
    return best if several and most >= LEAST_SHARE * words.total() and most >= TIMES * max(1, second) else ""


def contradicts(code: str, guessed: str) -> bool:
    """Says whether a text that looks like one language cannot be in that of a code."""
    wanted = known(code)
    return bool(wanted and guessed and wanted != guessed and wanted not in _SHARED_SCRIPTS.get(guessed, "").split())


def other_language(line: str, own: str) -> str:
    """Returns the language that a line's function words tell, if it is not its side's; "" if none is clear."""
    hits = Counter(LANGUAGE_OF[word] for word in set(WORD.findall(line.lower())) if word in LANGUAGE_OF)
    if not hits:
        return ""
    best, n = hits.most_common(1)[0]
    return best if best != own and n >= LEAST_HITS and n > 2 * hits[own] else ""
