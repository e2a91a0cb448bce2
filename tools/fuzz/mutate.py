"""Files made from good ones, wrong in the ways in which files are wrong by accident or on purpose."""

import re
from collections.abc import Callable
from random import Random

LARGEST = 2**20  # bytes; what grows beyond is cut
DEEP = 3000  # nested brackets

# What parsers of text trip over: JSON, YAML, names of files, Unicode, numbers.
TOKENS = [
    b"null", b"true", b"[]", b"{}", b'""', b"-1", b"0", b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 400,
    b"9" * 5000, b"1" * 19, b"0.1", b"\\ud800", b"\\u0000", b"\xff", b"\x00", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b"\r\n", b"\xe2\x80\xa8", b"\t", b"../", b"/etc/passwd", b"..\\",
    b"&a ", b"*a", b"<<: ", b"!!python/object/apply:os.system ", b"!!binary ", b"---\n", b"%YAML 9.9\n", b"? ", b"- ",
    b": ", b"#", b"|\n", b">-\n", b"[" * DEEP, b'{"a":' * DEEP, b"(" * DEEP, b"x" * 70_000, b"- " * DEEP, b"'", b'"',
    b",", b"__class__", b"12:30", b"010", b"no", b"1_000", b"0x10", b"2026-01-01", b"%s%n", b"{0.__class__}",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 255, 256, 65_535, 2**31 - 1, 2**31, 2**32, 2**40, 2**53, 2**63 - 1, 2**63, 2**64, 10**30]
Mutation = Callable[[bytes, Random], bytes]
DIGITS = re.compile(rb"-?\d+(\.\d+)?")


def mutate(content: bytes, random: Random) -> bytes:
    """Returns a file with one or a few things changed, up to `LARGEST` bytes of it."""
    for _ in range(random.choice([1, 1, 1, 2, 3, 8])):
        kind: Mutation = random.choice(KINDS)
        content = kind(content, random)[:LARGEST]
    return content


def _span(content: bytes, random: Random) -> tuple[int, int]:
    """Returns a part of a file, most often a short one near its beginning, where heads and settings are."""
    length = len(content) if random.random() < 0.5 else min(len(content), 400)
    start = random.randint(0, length)
    return start, start + min(len(content) - start, int(2 ** random.uniform(0, 10)))


def _flip(content: bytes, random: Random) -> bytes:
    at = _span(content, random)[0]
    return (
        content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :] if content[at:] else content
    )


def _noise(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + random.randbytes(random.choice([end - start, 1, 8])) + content[end:]


def _cut(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] if random.random() < 0.3 else content[:start] + content[end:]


def _copy(content: bytes, random: Random) -> bytes:
    (start, end), (at, _) = _span(content, random), _span(content, random)
    return content[:at] + content[start:end] * random.choice([1, 1, 2, 50]) + content[at:]


def _move(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    part, rest = content[start:end], content[:start] + content[end:]
    at = _span(rest, random)[0]
    return rest[:at] + part + rest[at:]


def _token(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    token: bytes = random.choice(TOKENS)
    return content[:start] + token + content[start if random.random() < 0.5 else end :]


def _number(content: bytes, random: Random) -> bytes:
    """Changes a number that is written in digits."""
    found = list(DIGITS.finditer(content[: 2**16]))
    if not found:
        return _integer(content, random)
    one = random.choice(found)
    new = random.choice(
        [str(random.choice(NUMBERS)), str(-random.choice(NUMBERS)), "0.5", "1e400", "null", '"7"', "[1]"]
    )
    return content[: one.start()] + new.encode() + content[one.end() :]


def _integer(content: bytes, random: Random) -> bytes:
    """Overwrites some bytes with an integer as files in binary have it."""
    size = random.choice([1, 2, 4, 8])
    at = random.choice([0, _span(content, random)[0]])
    value: int = (random.choice(NUMBERS) + random.choice([-1, 0, 0, 1])) % 2 ** (8 * size)
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]


def _value(content: bytes, random: Random) -> bytes:
    """Replaces what stands between two marks of JSON or YAML."""
    marks = [match.start() for match in re.finditer(rb'[:,{}\[\]"\n ]', content[: 2**16])]
    if len(marks) < 2:
        return _token(content, random)
    first = random.randrange(len(marks) - 1)
    token: bytes = random.choice(TOKENS)
    return content[: marks[first] + 1] + token + content[marks[first + 1] :]


def _many(content: bytes, random: Random) -> bytes:
    """Repeats a short part very often: parsers whose time or memory grows faster than the file show here."""
    start, _ = _span(content, random)
    part = content[start : start + random.randint(1, 40)] or b"a"
    return content[:start] + part * random.choice([1000, 20_000]) + content[start:]


KINDS = [_flip, _flip, _noise, _cut, _copy, _move, _token, _number, _number, _integer, _value, _value, _many]
