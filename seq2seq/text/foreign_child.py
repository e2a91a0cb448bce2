"""The child process of `foreign.try_in_child`: a program that imports nothing of ours, since it must start fast.

It reads a tokenizer's file from stdin and lets the library that its argument names open it, encode all characters of
the Basic Multilingual Plane, some beyond and all pieces, and decode all pieces. It fails as the library does.
"""

import resource
import sys
from collections.abc import Iterator

LEAST, TIMES = 64 * 2**20, 8  # bytes of memory that a file may take, and times its own size in addition
CPU_SECONDS = 50
CHUNK = 1000  # pieces that are used together
CHARACTERS = [chr(code) for code in (*range(1, 0xD800), *range(0xE000, 0x10000), 0x1F600, 0x20000, 0xE0041, 0x10FFFF)]


def limit(size: int) -> None:
    """Limits the time and, from here on, the memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[5]) * resource.getpagesize()
    memory = used + LEAST + TIMES * size
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def texts(pieces: list[str]) -> Iterator[str]:
    """Yields texts of characters and pieces, with and without spaces between them."""
    for items in (CHARACTERS, pieces):
        for start in range(0, len(items), CHUNK):
            yield "".join(items[start : start + CHUNK])
            yield " ".join(items[start : start + CHUNK])


def use_sentencepiece(content: bytes) -> None:
    """Uses all of a SentencePiece model."""
    import sentencepiece

    limit(len(content))
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    for text in texts([processor.id_to_piece(i) for i in range(processor.get_piece_size())]):
        processor.decode(processor.encode(text))
    for text in texts([]):
        processor.encode(text, enable_sampling=True, alpha=0.1, nbest_size=-1)
    for i in range(processor.get_piece_size()):
        processor.decode([i])


def use_tokenizers(content: bytes) -> None:
    """Uses all of a `tokenizer.json`."""
    import tokenizers

    limit(len(content))
    tokenizer = tokenizers.Tokenizer.from_str(content.decode())
    for text in texts(list(tokenizer.get_vocab())):
        tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids)
    for i in tokenizer.get_vocab().values():
        tokenizer.decode([i])


if __name__ == "__main__":
    {"sentencepiece": use_sentencepiece, "tokenizers": use_tokenizers}[sys.argv[1]](sys.stdin.buffer.read())
