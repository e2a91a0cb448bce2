r"""Every fault of text in every kind of source: what is kept, what is dropped as a pair, what is refused by name.

Sources are read as a training reads them: from the recipe to token ids of characters and back. What only `read_lines`
and `TextInput` do is tested beside them.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from conftest import make_pairs, text_recipe, tiny_recipe

from lines import random_model
from seq2seq.cli import evaluate, score, translate
from seq2seq.config import LanguageModelSettings, TranslationSettings, settings_from_dict
from seq2seq.data.pools import Position
from seq2seq.errors import DataError
from seq2seq.model import attention
from seq2seq.text.compression import compressed
from seq2seq.text.ids import EOS
from seq2seq.text.lines import LINE_BREAKS, forgiving_lines, json_line, one_line
from seq2seq.train.language_model import LanguageModelTask
from seq2seq.train.prepare import Prepared, prepare

Pairs = list[tuple[str, str]]

BREAKS = ["\r", "\u2028", "\u2029", "\x85", "\v", "\f", "\x1c", "\x1d", "\x1e"]
ODD = ["\x00", "\x07", "\x1b", "\x7f", "\t", "\u200b", "\u2060", "\ufeff", "\u202e", "\u2066", "\ufffd", "\U0001f600"]
GOOD = make_pairs(6, seed=5)
NASTY = [(f"{source} {char}{i}", f"{i}{char} {target}") for i, char in enumerate(BREAKS + ODD)
         for source, target in GOOD[:1]]  # fmt: skip
BLANK = [("", "blank"), ("blank", " "), ("\u3000", "\u200b"), ("\ufeff\u200d", "blank"), ("", "")]
JSON_BREAKS = [("a\nb", "a b"), ("\n", "x")]

FILES = ["plain", ".gz", ".zst", "tsv", "tsv.gz", "jsonl", "jsonl.gz"]
DATASETS = ["parquet", "parquet streamed", "jsonl dataset", "jsonl dataset streamed"]
UTF16 = "Ã¼ text\n".encode("utf-16")


def object_line(pair: tuple[str, str]) -> str:
    return json.dumps({"translation": {"en": pair[0], "de": pair[1]}}) + "\n"


def write(root: Path, kind: str, pairs: Pairs, change: Callable[[bytes], bytes] = bytes) -> dict[str, Any]:
    """Writes pairs as a kind of source, bytes of its text changed (of two files the source's); returns its entry."""
    root.mkdir(exist_ok=True)
    kind, streamed, _ = kind.partition(" streamed")
    kind, in_folder, _ = kind.partition(" dataset")
    base, _, suffix = kind.partition(".")
    suffix = suffix and f".{suffix}"
    if base == "parquet" or in_folder:
        (root / "set").mkdir()
        if base == "parquet":
            rows = pa.table({"translation": [{"en": source, "de": target} for source, target in pairs]})
            pq.write_table(rows, root / "set/train.parquet")
        else:
            (root / "set/train.jsonl").write_bytes(change("".join(map(object_line, pairs)).encode()))
        return {"dataset": "set", "streaming": bool(streamed)}
    match base:
        case "tsv":
            texts = {"x.tsv": "".join(f"{source}\t{target}\n" for source, target in pairs)}
            entry = {"tsv": f"x.tsv{suffix}"}
        case "jsonl":
            texts = {"x.jsonl": "".join(map(object_line, pairs))}
            entry = {"jsonl": f"x.jsonl{suffix}"}
        case _:
            texts = {
                f"x.{name}": "".join(pair[side] + "\n" for pair in pairs) for side, name in enumerate(("en", "de"))
            }
            entry = {"source": f"x.en{suffix}", "target": f"x.de{suffix}"}
    for i, (name, text) in enumerate(texts.items()):
        path = root / f"{name}{suffix}"
        path.write_bytes(compressed(text.encode() if i else change(text.encode()), path))
    return entry


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


def prepared(folder: Path, train: dict[str, Any], **data: Any) -> Prepared:
    """Prepares a training on a source; validation is on the same text unless it is a stream, which it cannot be."""
    valid = {key: value for key, value in train.items() if key != "streaming"}
    base = {"root": str(folder / "data"), "train": [train], "valid": valid, "cache": str(folder / "cache")}
    more = {"source_language": "en", "target_language": "de", "max_ratio": 100, "pool_size": 1000}
    tokenizer = {"type": "characters", "vocab_size": 200}
    recipe = {**tiny_recipe(folder), "data": base | more | data, "tokenizer": tokenizer}
    settings = settings_from_dict(recipe, "test")
    assert isinstance(settings, TranslationSettings)
    return prepare(settings)


def trained_on(found: Prepared, n: int) -> Counter[tuple[str, str]]:
    """Returns the first `n` pairs that are trained on, as the tokenizer decodes them."""
    pool, _ = found.pools.pool(Position())
    ids = [pool.ids(i) for i in range(n)]
    sides = [found.tokenizer.decode_target([pair[side][:-1] for pair in ids]) for side in (0, 1)]
    return Counter(zip(*sides, strict=True))


def in_file(kind: str, pair: tuple[str, str]) -> bool:
    """Says whether a kind of source can hold a pair at all: a tab ends a column."""
    return not (kind.startswith("tsv") and any("\t" in side for side in pair))


@pytest.mark.parametrize("kind", FILES + DATASETS)
def test_pairs_stay_pairs_whatever_they_hold(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Odd characters are kept, blank sides drop the pair, which is counted; validation has every line."""
    named = kind not in FILES or kind.startswith("jsonl")  # columns in which even a line feed may stand
    pairs = [pair for pair in [*GOOD, *NASTY, *(JSON_BREAKS if named else []), *BLANK, GOOD[0]] if in_file(kind, pair)]
    blank = len(BLANK) + named
    kept = Counter((one_line(source), one_line(target)) for source, target in pairs)
    for source, target in [*BLANK, *JSON_BREAKS[1:]]:
        del kept[one_line(source), one_line(target)]
    with caplog.at_level("INFO"):
        found = prepared(tmp_path, write(tmp_path / "data", kind, pairs), pool_size=kept.total())
        assert trained_on(found, kept.total()) == kept
    assert f": {len(pairs):,} pairs, {blank} blank dropped" in caplog.text
    read = [(one_line(source), one_line(target)) for source, target in pairs] if named else pairs
    assert found.valid[0].pairs == read


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.removesuffix(b"\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").removesuffix(b"\r\n"),
    ],
    ids=["no final newline", "BOM", "CRLF", "all three"],
)
def test_ends_and_beginnings_of_files(tmp_path: Path, kind: str, change: Callable[[bytes], bytes]) -> None:
    pairs = [*GOOD, ("\ufeffinside", "stays"), ("last", "pair")]
    found = prepared(tmp_path, write(tmp_path / "data", kind, pairs, change))
    assert found.valid[0].pairs == pairs
    assert trained_on(found, len(pairs)) == Counter(pairs)


@pytest.mark.parametrize("kind", FILES)
def test_blank_lines_at_the_end(tmp_path: Path, kind: str) -> None:
    """They are no rows of a table; of two files they are lines like all others, which one file must not have alone."""
    entry = write(tmp_path / "data", kind, GOOD, lambda text: text + b"\n\n")
    if "source" not in entry:
        assert prepared(tmp_path, entry).valid[0].pairs == GOOD
        return
    with pytest.raises(DataError, match=r"x\.en\S* has 8 lines and \S*x\.de\S* has 6: each line must be"):
        prepared(tmp_path, entry)
    found = prepared(tmp_path, write(tmp_path / "data", kind, [*GOOD, ("", ""), ("", "")]))
    assert (len(found.valid[0].pairs), found.stores[0].counts["blank"]) == (8, 2)


REFUSED = {
    "UTF-8": (lambda text: re.sub(rb"(\n[^.]+)", b"\\1\xff", text, count=1), r"x\.\S+:2: byte \d+ .*0xff"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "is UTF-16; convert it to UTF-8 first"),
}


@pytest.mark.parametrize("kind", FILES + DATASETS[2:])
@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_not_utf8_is_refused(tmp_path: Path, kind: str, fault: str) -> None:
    """By file, line and byte; of a dataset by its name and the text."""
    change, message = REFUSED[fault]
    if kind not in FILES:
        message = "dataset .*set train: cannot be " + ("read: byte 0xff in" if fault == "UTF-8" else "loaded: .*JSON")
        message = message.replace("loaded", "read") if "streamed" in kind else message
    entry = write(tmp_path / "data", kind, GOOD, change)
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, entry)
    if kind in FILES:  # as text to validate with, too
        good = write(tmp_path / "data/good", kind, GOOD)
        with pytest.raises(DataError, match=message):
            prepared(tmp_path, {key: f"good/{name}" for key, name in good.items()}, valid=entry)


@pytest.mark.parametrize("streaming", [False, True])
def test_bad_bytes_in_a_parquet_file_are_shown(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "data/set").mkdir(parents=True)
    raw = pa.array([b"fine", b"t\xffo"], pa.binary())
    table = pa.table({"en": pa.Array.from_buffers(pa.string(), 2, raw.buffers()), "de": ["gut", "zwei"]})
    pq.write_table(table, tmp_path / "data/set/train.parquet")
    with pytest.raises(DataError, match=r"set train: cannot be read: byte 0xff in 't\ufffdo' is not UTF-8"):
        prepared(tmp_path, {"dataset": "set", "streaming": streaming}, valid={"dataset": "set"})


@pytest.mark.parametrize("kind", [".gz", "tsv.gz", "jsonl.gz", ".zst"])
def test_compressed_files_that_are_torn_or_named_otherwise(tmp_path: Path, kind: str) -> None:
    entry = write(tmp_path / "data", kind, GOOD * 50)
    key = next(iter(entry))
    path = tmp_path / "data" / entry[key]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{path.name}: cannot be read: .*(truncated|ended|end)"):
        prepared(tmp_path, entry)
    (tmp_path / "data/x.txt").write_bytes(whole)
    with pytest.raises(DataError, match=rf"x.txt: is compressed by \w+: decompress it, or name it \*{path.suffix}"):
        prepared(tmp_path, {**entry, key: "x.txt"})


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("surplus", [1, -1, 2, 1000])
def test_files_of_unequal_length_are_refused(tmp_path: Path, suffix: str, surplus: int) -> None:
    entry = write(tmp_path / "data", suffix or "plain", GOOD)
    path = tmp_path / "data" / entry["target"]
    path.write_bytes(compressed(b"line\n" * (6 + surplus), path))
    with pytest.raises(DataError, match=rf"x.en{suffix} has 6 lines and \S+x.de{suffix} has {6 + surplus:,}:"):
        prepared(tmp_path, entry)


@pytest.mark.parametrize("kind", ["plain", "jsonl", "parquet", "parquet streamed"])
def test_lines_too_long_and_duplicates_are_dropped_and_counted(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [*GOOD, ("a" * 1_000_000, "b"), *GOOD, ("b", "b " * 50_000)]
    entry = write(tmp_path / "data", kind, pairs)
    options = {} if "streamed" in kind else {"drop_duplicates": True}
    with caplog.at_level("INFO"):
        found = prepared(tmp_path, entry, max_ratio=1e9, max_length=100, pool_size=12, **options)
        assert trained_on(found, 6 if options else 12) == Counter(GOOD * (1 if options else 2))
    assert ("14 pairs, 6 duplicate and 2 too long dropped" if options else "pairs, 1 too long dropped") in caplog.text


# Text of language models


def text_task(folder: Path, train: dict[str, Any], valid: dict[str, Any] | None = None) -> LanguageModelTask:
    recipe = text_recipe(folder, data={"root": str(folder / "data"), "train": [train], "valid": valid or train})
    settings = settings_from_dict({**recipe, "tokenizer": {"type": "bytes"}}, "test")
    assert isinstance(settings, LanguageModelSettings)
    return LanguageModelTask(settings, None)


TEXT = "".join(f"{i}{char}x\n" for i, char in enumerate(BREAKS + ODD)) + "\n\u3000\n\u200b\nno end"


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("documents", ["file", "lines"])
def test_text_files_are_kept_to_the_byte(tmp_path: Path, suffix: str, documents: str) -> None:
    """But for a BOM in front and, where lines are documents, blank ones."""
    (tmp_path / "data").mkdir()
    path = tmp_path / f"data/x{suffix}"
    path.write_bytes(compressed(b"\xef\xbb\xbf" + TEXT.encode(), path))
    task = text_task(tmp_path, {"text": path.name, "documents": documents})
    wanted = (
        [TEXT] if documents == "file" else [line for line in TEXT.split("\n") if line not in ("", "\u3000", "\u200b")]
    )
    assert texts(task, task.stores[0].ids.tolist()) == wanted


def texts(task: LanguageModelTask, ids: list[int]) -> list[str]:
    """Returns the documents between the first and the last end of one."""
    ends = [i for i, token in enumerate(ids) if token == EOS]
    return [task.tokenizer.decode_text(ids[a + 1 : b]) for a, b in pairwise(ends)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x", b"fine\nbad \xff\n", "x:2: byte 5 of the line .0xff. is not UTF-8"),
        ("x", UTF16, "x: is UTF-16"),
        ("x.gz", gzip.compress(TEXT.encode() * 9, mtime=0)[:-9], "x.gz: cannot be read: the file is truncated"),
        ("x.txt", gzip.compress(b"text", mtime=0), r"x.txt: is compressed by gzip: decompress it, or name it \*.gz"),
    ],
)
@pytest.mark.parametrize("documents", ["file", "lines"])
def test_text_that_is_refused(tmp_path: Path, name: str, content: bytes, message: str, documents: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        text_task(tmp_path, {"text": name, "documents": documents})


# Commands that read text


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("model"))


def run(command: Any, *arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command.main, list(map(str, arguments)), input=stdin)


FAULTY = {
    "utf8": ("f.txt", b"fine\nbad \xff\n", "f.txt:2: byte 5 of the line (0xff) is not UTF-8"),
    "utf16": ("f.txt", UTF16, "f.txt: is UTF-16"),
    "torn": ("f.gz", gzip.compress(b"line\n" * 99, mtime=0)[:-9], "f.gz: cannot be read: the file is truncated"),
    "named": (
        "f.txt",
        gzip.compress(b"text\n", mtime=0),
        "f.txt: is compressed by gzip: decompress it, or name it *.gz",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize(
    ("command", "arguments", "is_forgiving"),
    [
        (score, "{model} --source {bad} --target {good}", False),
        (score, "{model} --source {good} --target {bad}", False),
        (evaluate, "--hypothesis {bad} --reference {good}", False),
        (evaluate, "--hypothesis {good} --reference {bad}", False),
        (evaluate, "--hypothesis {good} --reference {good} --train {bad}", False),
        (evaluate, "{model} --source {bad} --reference {good}", False),
        (translate, "{model} --input {bad} --beam-size 1 --max-length-ratio 0.1", True),
        (translate, "{model} --input {bad} --beam-size 1 --max-length-ratio 0.1 --shard 2/2 --output {out}", True),
    ],
)
def test_commands_refuse_what_is_no_text(
    tmp_path: Path, model: Path, command: Any, arguments: str, is_forgiving: bool, fault: str
) -> None:
    """With exit code 2 and the file's name; only translating takes bad bytes, as it loses no line."""
    name, content, message = FAULTY[fault]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "good").write_text("one\ntwo\n")
    places = {"model": model, "bad": tmp_path / name, "good": tmp_path / "good", "out": tmp_path / "out"}
    out = run(command, *arguments.format(**places).split())
    if is_forgiving and fault == "utf8":
        assert out.exit_code == 0, out.output
    else:
        assert (out.exit_code, message in out.stderr) == (2, True), out.output


def test_stdin_that_is_utf16_is_refused(model: Path) -> None:
    out = run(translate, model, stdin=UTF16)
    assert (out.exit_code, "error: stdin: is UTF-16" in out.stderr) == (2, True), out.output


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_scores_of_nasty_lines(tmp_path: Path, model: Path, suffix: str) -> None:
    """One line for each pair, in step: that of the last pair is what it is alone; nothing in a line breaks it."""
    pairs = [*NASTY, *BLANK, GOOD[0]]
    write(tmp_path / "many", suffix or "plain", pairs, lambda text: b"\xef\xbb\xbf" + text.removesuffix(b"\n"))
    write(tmp_path / "one", "plain", [GOOD[0]])
    many = run(score, model, "--source", tmp_path / f"many/x.en{suffix}", "--target", tmp_path / f"many/x.de{suffix}")
    assert many.exit_code == 0, many.output
    alone = run(score, model, "--source", tmp_path / "one/x.en", "--target", tmp_path / "one/x.de")
    assert len(many.stdout.splitlines()) == len(pairs)
    assert float(many.stdout.splitlines()[-1]) == pytest.approx(float(alone.stdout), abs=1e-4)
    assert f"{len(pairs)} lines, " in many.stderr


def test_a_huge_pair_is_scored(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel that holds no product of lengths in memory; its score is that of the other one."""
    write(tmp_path, "plain", [("red dog " * 700, "rot hund " * 700), GOOD[0]])
    found = []
    for limit in (attention.LONG, 2**40):
        monkeypatch.setattr(attention, "LONG", limit)
        out = run(score, model, "--source", tmp_path / "x.en", "--target", tmp_path / "x.de", "--format", "jsonl")
        found.append([json.loads(line) for line in out.stdout.splitlines()])
    (long, short), (plain, _) = found
    assert len(long["tokens"]) ** 2 > 2**22 > len(short["tokens"])
    assert long["token_log_probs"] == pytest.approx(plain["token_log_probs"], abs=1e-4)


def test_nothing_in_a_line_of_json_ends_it() -> None:
    """Tokens of a lossless tokenizer may be line separators; generated text too."""
    for char in [*BREAKS, "\n"]:
        text = json_line({"tokens": [char, f"a{char}b"]})
        assert not LINE_BREAKS.search(text)
        assert json.loads(text) == {"tokens": [char, f"a{char}b"]}


def test_prompts_in_utf16_are_refused() -> None:
    with pytest.raises(DataError, match="stdin: is UTF-16"):
        list(forgiving_lines([UTF16], "stdin"))


def test_scores_of_translations_with_nasty_lines(tmp_path: Path) -> None:
    """Files that are equal score 100, so they are in step; each line of the one is a line of the other."""
    lines = [target for _, target in [*NASTY, *BLANK, *GOOD]]
    (tmp_path / "a").write_bytes("\n".join(lines).encode())
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode()))
    out = run(evaluate, "--hypothesis", tmp_path / "a", "--reference", tmp_path / "b.gz", "--json",
              "--report", tmp_path / "page.html", "--train", tmp_path / "a")  # fmt: skip
    assert out.exit_code == 0, out.output
    record = json.loads(out.stdout)
    assert record["metrics"]["BLEU"]["score"] == pytest.approx(100)
    assert record["metrics"]["TER"]["score"] == 0
    shorter = tmp_path / "c"
    shorter.write_bytes("\n".join([*lines, "", ""]).encode())  # one line more: a blank one at the end
    out = run(evaluate, "--hypothesis", shorter, "--reference", tmp_path / "b.gz")
    assert out.exit_code == 2
    assert f"c has {len(lines) + 1} lines and {tmp_path / 'b.gz'} has {len(lines)}" in out.stderr
