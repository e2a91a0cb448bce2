"""A second look at translations: what is flagged, and which of two tries is taken."""

from typing import Any

import pytest
from decode.stored import LINES, translator

from seq2seq.config import DecodeSettings
from seq2seq.decode.guard import SECOND_TRY, Guard, second_try
from seq2seq.decode.tally import Tally
from seq2seq.decode.translation import BLANK, Candidate, Translation

LINE = "We see 5 red dogs and 7 blue cats in the garden."
GOOD = "Wir sehen 5 rote Hunde und 7 blaue Katzen im Garten."
LOST = "Wir sehen rote Hunde und 7 blaue Katzen im Garten."
LOOP = "Wir sehen " + "rote rote rote " * 6


def made(text: str) -> Translation:
    return Translation(text, [Candidate(text, -1.0, -1.0, [4, 5])])


def kinds(translation: Translation) -> list[str]:
    return [flag.kind for flag in translation.flags]


def test_what_seems_wrong_is_flagged() -> None:
    guard = Guard()
    assert kinds(guard.flag(LINE, made(GOOD))) == []
    assert kinds(guard.flag(LINE, made(LOST))) == ["lost"]
    assert "repetition" in kinds(guard.flag(LINE, made(LOOP)))
    assert kinds(guard.flag(LINE, made(LINE))) == ["copy"]
    assert kinds(Guard(same_language=True).flag(LINE, made(LINE))) == []
    assert kinds(guard.flag("It is 1,000.5 m.", made("Es sind 1.000,5 m."))) == []
    assert kinds(Guard(protect="exact").flag("It is 1,000.5 m.", made("Es sind 1.000,5 m."))) == ["lost"]
    failed = Translation("", [], error=ValueError("no"))
    assert guard.flag(LINE, failed) is failed


@pytest.mark.parametrize(
    ("second", "taken"),
    [(made(GOOD), True), (made(LOST), True), (made(LOOP), False), (Translation("", [], error=ValueError("no")), False)],
)
def test_the_second_try_is_taken_where_it_is_better(second: Translation, taken: bool) -> None:
    asked: list[list[int]] = []

    def again(wrong: list[int]) -> list[Translation]:
        asked.append(wrong)
        return [second]

    first = made(LOOP)
    found = Guard().guarded([LINE, LINE, LINE], [made(GOOD), first, made(GOOD)], again)
    assert asked == [[1]]
    assert found[0] == found[2] == made(GOOD)
    assert found[1].text == (second.text if taken else first.text)
    assert found[1].retried and found[1].error is None
    assert found[1].flags == Guard().flag(LINE, second if taken else first).flags


def test_nothing_is_tried_again_where_nothing_is_wrong() -> None:
    assert Guard().guarded([LINE], [made(GOOD)], lambda _: pytest.fail("asked")) == [made(GOOD)]
    assert Guard().guarded([], [], lambda _: pytest.fail("asked")) == []


@pytest.mark.parametrize(
    "decode",
    [{}, {"beam_size": 1000}, {"beam_size": 6, "beam_groups": 3}, {"search": "sampling", "mbr": "chrf"}],
)
def test_the_second_try_has_valid_settings(decode: dict[str, Any]) -> None:
    first = DecodeSettings.model_validate(decode)
    second = second_try(first)
    assert DecodeSettings.model_validate(second.model_dump()) == second
    assert second.beam_size == min(1000, max(8, 2 * first.beam_size))
    assert {name: getattr(second, name) for name in SECOND_TRY} == SECOND_TRY
    assert second.batch_tokens == first.batch_tokens


@pytest.mark.parametrize("decode", [{"beam_size": 1}, {"search": "sampling", "candidates": 2}])
def test_a_translator_looks_twice(decode: dict[str, Any]) -> None:
    lines = ["See 5 boats and {name}.", *LINES[:10], "", "The man has 12 cars."]
    plain = translator(**decode).translate_all(lines)
    guarded = translator(options={"guard": True}, **decode)
    assert guarded.guard == Guard()
    found = guarded.translate_all(lines)
    tally = Tally()
    for line, one, before in zip(lines, found, plain, strict=True):
        tally.add(one)
        was = Guard().flag(line, before).flags if line else ()
        assert one.retried == bool(was)
        if not one.retried:
            assert one.text == before.text and "flags" not in one.record()
            continue
        assert len(one.flags) <= len(was)
        assert (one.text == before.text and one.flags == was) or len(one.flags) < len(was)
        record = one.record()
        assert record["retried"] is True
        assert record["flags"] == {flag.kind: flag.detail for flag in one.flags}
    assert found[11] == BLANK
    assert found[0].retried and kinds(found[0])
    assert tally.lines == 13 and tally.translated == 12
    assert tally.retried == sum(one.retried for one in found) < 13
    assert tally.flags["lost"] == sum("lost" in kinds(one) for one in found)
    assert sum(tally.flags.values()) == sum(len(one.flags) for one in found)
