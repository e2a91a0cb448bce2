"""GPT-2's byte-level BPE, through the `tokenizers` library."""

from collections.abc import Sequence
from types import ModuleType

from seq2seq.errors import ModelError, Seq2SeqError
from seq2seq.files import parse_json
from seq2seq.text.codecs import SPACE
from seq2seq.text.ids import EOS, SPECIAL_IDS

# The tokens that take our special ids. GPT-2 has one special token of its own, which stands between documents. Its 256
# one-byte tokens hold bytes that occur in no UTF-8 text: three of them, 0xC0, 0xC1 and 0xF5, serve as pad, unk and bos.
SPECIAL_TOKENS = {"pad": "\xc0", "unk": "\xc1", "bos": "\xf5", "eos": "<|endoftext|>"}


# What a text goes through; a pattern of somebody else's could take for ever on some text.
PARTS = {"normalizer": None, "pre_tokenizer": "ByteLevel", "model": "BPE", "decoder": "ByteLevel"}


def library() -> ModuleType:
    """Returns the package `tokenizers`, which is installed where it is asked for.

    Raises:
        Seq2SeqError: it is not installed.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise Seq2SeqError("GPT-2's tokenizer needs one more package: pip install 'seq2seq[gpt2]'") from error
    return tokenizers


class GPT2Codec:
    """Byte-level BPE (Radford et al. 2019, section 2.2): every text has tokens and comes back exactly.

    Our ids are GPT-2's, but for those that change places so that ours begin with pad, unk, bos and eos. None is added,
    so a softmax over them is GPT-2's own; see `SPECIAL_TOKENS`.

    Args:
        content: `tokenizer.json` as `tokenizers` writes it.

    Attributes:
        theirs: GPT-2's id of each of our ids.

    Raises:
        ModelError: it is another tokenizer than GPT-2's.
        Seq2SeqError: `tokenizers` is not installed.
        ValueError: it is no such file.
    """

    cut = SPACE  # it takes a space to the word behind it before it looks for pairs to merge

    def __init__(self, content: bytes) -> None:
        tokenizers = library()
        self.content = content
        whole = parse_json(content.decode())
        for part, kind in PARTS.items():
            if (whole.get(part) or {}).get("type") != kind:
                raise ModelError(f"tokenizer: not GPT-2's: its {part} is not {kind}")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(content.decode())
        except Exception as error:  # the library has no class for its errors
            raise ValueError(f"not a tokenizer.json: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "<|endoftext|>" in a text is text
        self.vocab_size: int = self._tokenizer.get_vocab_size()
        if set(self._tokenizer.get_vocab().values()) != set(range(self.vocab_size)):
            raise ModelError("tokenizer: not GPT-2's: its ids are not those from 0 on, each once")
        self.theirs = list(range(self.vocab_size))
        for name, ours in SPECIAL_IDS.items():
            found = self._tokenizer.token_to_id(SPECIAL_TOKENS[name])
            if found is None:
                raise ModelError(f"tokenizer: not GPT-2's: it has no token {SPECIAL_TOKENS[name]!r}")
            place = self.theirs.index(found)
            self.theirs[ours], self.theirs[place] = self.theirs[place], self.theirs[ours]
        self._ours = {theirs: ours for ours, theirs in enumerate(self.theirs)}

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, ending in eos."""
        encodings = self._tokenizer.encode_batch(list(lines), add_special_tokens=False)
        return [[*(self._ours[i] for i in encoding.ids), EOS] for encoding in encodings]

    def sample(self, line: str, alpha: float, seed: int) -> list[int]:
        """Returns the ids of a line: it is cut in one way only."""
        return self.encode([line])[0]

    def decode(self, rows: Sequence[list[int]]) -> list[str]:
        """Returns the text of each row of ids; bytes that are no UTF-8 become U+FFFD, special ids nothing."""
        texts = [[self.theirs[i] for i in row if i >= len(SPECIAL_IDS)] for row in rows]
        decoded: list[str] = self._tokenizer.decode_batch(texts)
        return decoded

    def piece(self, token: int) -> str:
        """Returns the piece of an id; GPT-2 writes each byte as a letter, a space as U+0120."""
        if token < len(SPECIAL_IDS):
            return f"<{list(SPECIAL_IDS)[token]}>"
        return str(self._tokenizer.id_to_token(self.theirs[token]))

    def starts_word(self, token: int) -> bool:
        """Says whether a piece begins with a space."""
        return self.piece(token).startswith("\u0120")
