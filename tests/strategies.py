"""What hypothesis draws: text and bytes as nasty as they come."""

from hypothesis import strategies as st

# Everything that some program takes for the end of a line, a space, nothing at all, or a mark of its own.
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
SPACES = [" ", "  ", "\t", "\xa0", "\u2003", "\u3000", "\u200b", "\u200d", "\ufeff", "\u2060", "\xad", "\x00", "\x1f"]
MARKS = ["\u2581", "\ue000", "\ue001", "\ue002", "</s>", "<s>", "<pad>", "<eos>", "<unk>", "<0x0A>", "<2de>", "\ufffd"]
OTHERS = [
    "a",
    "b",
    "e\u0301",
    "\u0301",
    "\u05d0",
    "\u202e",
    "\U0001f468\u200d\U0001f469",
    "\ufb01",
    "\u6f22",
    "\U0010ffff",
]
WORDS = ["red", "the dog", " house", "TREE!", "sees."]
BROKEN = [b"\xff", b"\xc3", b"\xe2\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x8a", b"\x80", b"\xef\xbb"]


def _joined(parts: list[str], max_size: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts) | st.characters(codec="utf-8"), max_size=max_size).map("".join)


nasty_texts = _joined([*BREAKS, *SPACES, *MARKS, *OTHERS, *WORDS], 25) | st.text()
nasty_lines = nasty_texts.map(lambda text: text.replace("\n", " "))

# Bytes of whole files. What begins as UTF-16 or as compressed text does is refused, and tested elsewhere.
_pieces = [piece.encode() for piece in ["\n", "\n", "\r\n", "\n\ufeff", *BREAKS, "\ufeff", "\x00", *OTHERS, *WORDS]]
nasty_bytes = (
    st.lists(st.sampled_from([*_pieces, *BROKEN]) | st.binary(max_size=3), max_size=25).map(b"".join) | st.binary()
).filter(lambda content: not content.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))


def expected_lines(content: bytes) -> list[str]:
    r"""The lines of a file by the rule: only `\n` ends one, a `\r` before it and a BOM at the start are dropped."""
    rows = [row.removesuffix(b"\r").decode(errors="replace") for row in content.split(b"\n")]
    rows[0] = rows[0].removeprefix("\ufeff")
    return rows if content and not content.endswith(b"\n") else rows[:-1]
