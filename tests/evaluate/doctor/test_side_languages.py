"""Languages of sides, blocks and lines."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from seq2seq.evaluate.doctor.function_words import contradicts, guess_language, known, language_of_file, other_language
from seq2seq.evaluate.doctor.languages import check_languages, learn_profile
from seq2seq.evaluate.doctor.reading import FileRows
from seq2seq.evaluate.doctor.scan import Scanned, scan

DEMO = Path(__file__).parents[3] / "recipes/demo"
N = 1200
SENTENCES = {
    "en": "The house that he bought is not as old as the one which they have seen from the river.",
    "de": "Das Haus, das er gekauft hat, ist nicht so alt wie das, das sie vom Fluss aus gesehen haben.",
    "fr": "La maison qu'il a achetée n'est pas aussi vieille que celle qui est dans la rue avec les arbres.",
    "es": "La casa que compró no es tan vieja como la que está cerca del río, pero también es muy bonita.",
    "nl": "Het huis dat hij heeft gekocht is niet zo oud als dat van de buren, maar ook niet zo mooi.",
    "pl": "Dom, który kupił, nie jest tak stary jak ten przy rzece, ale jest bardzo ładny i tani.",
    "fi": "Talo, jonka hän osti, ei ole yhtä vanha kuin se, joka on joen rannalla, mutta se on kaunis.",
    "ru": "Дом, который он купил, не такой старый, как тот у реки, но он был очень красивым.",
    "el": "Το σπίτι που αγόρασε δεν είναι τόσο παλιό.",
    "ja": "彼が買った家は川の家ほど古くありません。",
    "zh": "他买的房子没有河边的那么旧。",
    "ko": "그가 산 집은 강가의 집만큼 오래되지 않았다.",
}


def demo(side: str) -> list[str]:
    return gzip.decompress((DEMO / f"train.{side}.gz").read_bytes()).decode().split("\n")[:N]


SOURCE, TARGET = demo("en"), demo("de")


@pytest.fixture
def check(tmp_path: Path):  # type: ignore[no-untyped-def]
    def of(source: list[str], target: list[str], codes: tuple[str, str] = ("", ""), by: Scanned | None = None):  # type: ignore[no-untyped-def]
        for name, lines in (("s", source), ("t", target)):
            (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        scanned = scan(FileRows([tmp_path / "s", tmp_path / "t"], codes, None))
        languages = check_languages(scanned, learn_profile((by or scanned).sample), by is None)
        return scanned, {each.check: each.count for each in languages.findings}, languages

    return of


@pytest.mark.parametrize("code", SENTENCES)
def test_the_language_of_a_text(code: str) -> None:
    assert guess_language([SENTENCES[code]] * 3) == code
    assert not contradicts(code, code) and contradicts("en" if code != "en" else "de", code)


def test_what_is_not_known_contradicts_nothing() -> None:
    assert guess_language(["12 34", "Xyzzy plugh"]) == ""
    assert not contradicts("tlh", "en") and not contradicts("de", "") and not contradicts("fa", "ar")
    assert (known("de_AT"), known("nb"), known("txt")) == ("de", "no", "")
    assert language_of_file(Path("a/train.de.gz")) == "de" and language_of_file(Path("train.txt")) == ""
    assert other_language(SENTENCES["fr"], "de") == "fr" and other_language(SENTENCES["de"], "de") == ""


def test_clean_sides(check) -> None:  # type: ignore[no-untyped-def]
    _, found, languages = check(SOURCE, TARGET, ("en", "de"))
    assert (found, languages.guessed, languages.swapped) == ({}, ["en", "de"], False)


def test_swapped_pairs_are_found_exactly(check) -> None:  # type: ignore[no-untyped-def]
    chosen = set(range(0, N, 10))
    source = [TARGET[i] if i in chosen else SOURCE[i] for i in range(N)]
    target = [SOURCE[i] if i in chosen else TARGET[i] for i in range(N)]
    _, found, languages = check(source, target, ("en", "de"))
    assert found == {"swapped_pairs": len(chosen)}
    (finding,) = languages.findings
    assert [example.place.rpartition(":")[2] for example in finding.examples] == ["1", "11", "21", "31"]


def test_swapped_sides_by_the_languages_asked_for_and_by_the_training_text(check) -> None:  # type: ignore[no-untyped-def]
    assert check(TARGET, SOURCE, ("en", "de"))[1] == {"sides_swapped": 1}
    assert check(SOURCE, TARGET, ("fr", "de"))[1] == {"unexpected_language": 1}
    training, _, _ = check(SOURCE, TARGET)
    training.sample.texts  # noqa: B018 (read before the files are written anew)
    _, found, languages = check(TARGET[:300], SOURCE[:300], by=training)
    assert found == {"sides_swapped": 1} and languages.swapped


def test_targets_in_the_language_of_the_source_and_in_a_third_one(check) -> None:  # type: ignore[no-untyped-def]
    target = [*TARGET[:400], *SOURCE[700:760], *TARGET[460:800], *[SENTENCES["fr"]] * 80, *TARGET[880:]]
    _, found, languages = check(SOURCE, target, ("en", "de"))
    assert abs(found["target_looks_wrong"] - 60) <= 6
    (block,) = [finding for finding in languages.findings if finding.check == "foreign_block"]
    assert (block.count, block.detail) == (80, "target")
    assert block.examples[0].place.endswith(":801")


def test_sides_of_one_language_are_not_told_apart(check) -> None:  # type: ignore[no-untyped-def]
    order = np.random.default_rng(0).permutation(N)
    assert check(SOURCE, [SOURCE[i] for i in order])[1] == {"same_language": 1}
