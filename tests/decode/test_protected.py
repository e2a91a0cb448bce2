"""What must come through unchanged: found as a whole, in any text, in linear time."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import nasty_lines

from seq2seq.decode.protected import find_protected, lost, plain_number

FOUND = {
    "1,000.5 3.14 12:30 2026-11-20 50% £5 -7": "n:1,000.5 n:3.14 n:12:30 n:2026-11-20 n:50 n:5 n:7",
    "1st A4 1990s 10-20 20/11/2026 24.12.2026.": "n:1 n:4 n:1990 n:10 n:20 n:20 n:11 n:2026 n:24.12.2026",
    "1'000 1'00 1\u202f000 1,2,3, 5.": "n:1'000 n:1 n:00 n:1\u202f000 n:1,2,3 n:5",
    "٣٫١٤ and ５０": "n:٣٫١٤ n:５０",
    "12026-11-20 2026-11-200": "n:12026 n:11 n:20 n:2026 n:11 n:200",
    "see (https://x.org/a_(b)), www.x.org. Or HTTP://X": "u:https://x.org/a_(b) u:www.x.org u:HTTP://X",
    "ftp://a.b/c?d=1&e=%20#f! http:// www. http://)": "u:ftp://a.b/c?d=1&e=%20#f",
    "https://x.org/{id}": "u:https://x.org/ p:{id}",
    "请看http://x.org/a。谢谢 awww.x": "u:http://x.org/a",
    "a.b+c@d-e.co.uk, x@y mailto:me@x.de. 联系a1@b2.com": "e:a.b+c@d-e.co.uk e:me@x.de e:a1@b2.com",
    "{0} {} {name:.2f} ${x} %{n} #{n}": "p:{0} p:{} p:{name:.2f} p:${x} p:%{n} p:#{n}",
    "{{x}}, {{ user.name }}": "p:{{x}} p:{{ user.name }}",
    "%s %d%% %1$s %(name)s %05.2f %@ %ld %dms": "p:%s p:%d p:%1$s p:%(name)s p:%05.2f p:%@ p:%ld p:%d",
    "50% discount, 100%ige, 10 %-ige, 10 %ige, 50%s, 5 % der": "n:50 n:100 n:10 n:10 n:50 n:5",
    "{n, plural, one {ein Hund}} and {a b}": "",
    "<b>x</b><br/> <a href='https://x.org/5'>5</a>": "t:<b> t:</b> t:<br/> t:<a href='https://x.org/5'> n:5 t:</a>",
    "a < b > c <3 <b and c>": "n:3",
    "no such thing here": "",
}  # fmt: skip


@pytest.mark.parametrize("text", FOUND)
def test_what_is_protected(text: str) -> None:
    assert " ".join(f"{span.kind[0]}:{span.text}" for span in find_protected(text)) == FOUND[text]


@given(text=nasty_lines | st.text("aw.:/@{}%$<>s(1,'-)\u2019 0", max_size=60))
def test_spans_are_pieces_of_the_text(text: str) -> None:
    spans = find_protected(text)
    assert all(text[span.start : span.end] == span.text != "" for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    digits = {i for i, char in enumerate(text) if char.isdecimal()}
    numbers = {i for span in spans if span.kind == "number" for i in range(span.start, span.end)}
    assert not any(char.isdecimal() for i, char in enumerate(text) if i - 1 in numbers and i not in numbers)
    assert "://" in text or "www." in text or digits <= {i for span in spans for i in range(span.start, span.end)}
    assert lost(text, text) == lost(text, text, "any") == []
    assert lost(text, "") == [span.text for span in spans]


def test_only_what_stands_as_a_whole_is_kept() -> None:
    source = "The 5 dogs cost 1,000.5 at https://x.org/5 for {name}."
    assert lost(source, "{name}: 1,000.5, 5 (https://x.org/5)") == []
    assert lost(source, "Die 15 Hunde, 5.5, 51, 1.000,5, https://x.org, {names}") == [
        "5",
        "1,000.5",
        "https://x.org/5",
        "{name}",
    ]
    assert lost("no numbers", "7 of them") == []
    assert lost("5 and 5 and 5", "5 only") == ["5", "5"]
    assert lost("5 and 5", "5, 5 and 5") == []


def test_separators_of_other_languages() -> None:
    source = "1,000.5 km, 1,234,567 people, 3.14, at 12:30"
    german = "1.000,5 km, 1.234.567 Menschen, 3,14, um 12.30 Uhr"
    assert lost(source, german) == ["1,000.5", "1,234,567", "3.14", "12:30"]
    assert lost(source, german, "any") == []
    assert lost("1,5 or 1.50", "15 or 1,5", "any") == ["1.50"]
    assert lost("1000", "1.000", "any") == lost("1,000", "1'000", "any") == lost("５０", "50", "any") == []


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("7", "7"), ("1,000.5", "1000.5"), ("1.000,5", "1000.5"), ("1'000", "1000"), ("3,14", "3.14"),
        ("1,234.567", "1234.567"), ("1.234.567", "1234567"), ("24.12.2026", "24.12.2026"), ("12:30:15", "12.30.15"),
        ("2026-11-20", "2026-11-20"), ("٣٫١٤", "3.14"), ("1,2,3", "1.2.3"),
    ],
)  # fmt: skip
def test_plain_numbers(text: str, plain: str) -> None:
    assert plain_number(text) == plain


@pytest.mark.parametrize(
    "unit",
    [
        "a", "1", "1,", "a@", "a.", "a@a.", "a@b.", "{", "{{a", "{ ", "%", "%0", "%1$", "%(", "%{ ", "<", "<a ",
        "http://", "http://)", "https://(", "www.", "1'0", "2026-11-", "1\u00a0", " ", "w", "http:/", "(<&{%1@.", ")",
        "<a b=",
    ],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    started = time.process_time()
    for begin in ("", "http://x", "%(", "<a b", "a@"):
        find_protected(begin + text)
    assert time.process_time() - started < 10  # a tenth of that is used; were it quadratic, minutes would be
