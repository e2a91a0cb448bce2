"""How long a fresh process takes from its start to the first translated line."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.options import leave_out, say
from bench.report import align, ratios, spread
from bench.translate_plan import TranslatePlan
from seq2seq.decode.searcher import EXTRA_LENGTH
from seq2seq.errors import Seq2SeqError
from seq2seq.text.tokenizer import Tokenizer

HERE = Path(__file__).parent
SCRIPTS = {"transformers": "first_marian.py", "ctranslate2": "first_ctranslate2.py"}
FORMATS = {"fp32": "float32", "bf16": "bfloat16"}  # as the peers call them


def first_translations(plan: TranslatePlan, names: Sequence[str], times: int) -> dict[str, Any]:
    """Measures all systems in turns, after one run of each, which brings its files into memory.

    Args:
        plan: what is translated.
        names: of the systems.
        times: that each is measured; 0: not at all.

    Returns:
        `systems`: for each the spread of its seconds; `ratios`: see `report.ratios`; nothing if nothing was measured.
    """
    line = next(iter(plan.limits()))
    known = {}
    for name in names if times else ():
        try:
            known[name] = command(plan, name)
        except Seq2SeqError as error:
            leave_out(f"the first translation of {name}", error)
    seconds: dict[str, list[float]] = {name: [] for name in known}
    for name in known:
        first_line(known[name], line)
    for i in range(times):
        for name in list(known) if i % 2 == 0 else list(known)[::-1]:
            seconds[name].append(first_line(known[name], line)[0])
            say(f"first translation, {i + 1} of {times}: {name} {seconds[name][-1]:.2f} s")
    if not known:
        return {}
    return {"systems": {name: spread(taken) for name, taken in seconds.items()}, "ratios": ratios(seconds)}


def command(plan: TranslatePlan, name: str) -> list[str]:
    """Returns the command line by which a system translates a line from stdin to stdout.

    Where lengths are forced, ours can be made to write `EXTRA_LENGTH` tokens by its options, so all do.

    Raises:
        Seq2SeqError: our command is not installed, or the tokenizer is none that the peers' scripts can read.
    """
    family, _, precision = name.partition("-")
    if family == "ours":
        ours = Path(sys.executable).with_name("seq2seq-translate")
        if not ours.exists():
            raise Seq2SeqError("seq2seq-translate is not installed beside this Python; pip install -e .")
        decode = plan.decode(precision) | ({"min_length": EXTRA_LENGTH} if plan.forced else {})
        options = {**decode, "device": plan.device, "threads": plan.threads}
        return [
            str(ours),
            str(plan.model),
            *(word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))),
        ]
    tokenizer = plan.model / "tokenizer"
    sides = {side: tokenizer / f"{side}.model" for side in ("source", "target")}
    if (tokenizer / "shared.model").exists():
        sides = dict.fromkeys(sides, tokenizer / "shared.model")
    if not all(path.exists() for path in sides.values()):
        raise Seq2SeqError("the tokenizer is not SentencePiece's")
    line, limit = next(iter(plan.limits().items()))
    loaded = Tokenizer.load(tokenizer)
    (ids,) = loaded.encode_source([line], plan.language)
    asked = {
        "model": str(plan.peer(name)),
        **{side: str(path) for side, path in sides.items()},
        "tag": ids[: loaded.tag_length].tolist(),
        "device": plan.device,
        "threads": plan.threads,
        "format": FORMATS.get(precision, precision),
        "beam_size": plan.beam_size,
        "length_penalty": plan.length_penalty,
        "shortest": EXTRA_LENGTH + 1 if plan.forced else 0,
        "longest": EXTRA_LENGTH + 1 if plan.forced else limit + 1,
    }
    return [sys.executable, "-P", str(HERE / SCRIPTS[family]), json.dumps(asked)]


def first_line(words: Sequence[str], line: str) -> tuple[float, str]:
    """Returns the seconds from the start of a command to the translation of a line, and the translation.

    Raises:
        Seq2SeqError: it wrote none.
    """
    started = time.perf_counter()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(f"{line}\n".encode())
        process.stdin.close()
        written = process.stdout.readline()
        taken = time.perf_counter() - started
        said = process.stderr.read().decode(errors="replace")
    if process.returncode or not written.endswith(b"\n"):
        raise Seq2SeqError(f"{' '.join(words)}: {said}")
    return taken, written.decode().rstrip("\n")


def first_table(first: Mapping[str, Any], beam_size: int) -> str:
    """Returns what was found as text."""
    compared = first["ratios"]
    rows = [["", "seconds", "min", "max", *(f"{name} is x times" for name in compared)]]
    for name, seconds in first["systems"].items():
        cells = [f"{seconds[key]:.2f}" for key in ("median", "min", "max")]
        cells += [f"{compared[one][name]['median']:.2f}" if name != one else "" for one in compared]
        rows.append([name, *cells])
    return "\n".join([f"time to first translation, beam {beam_size}", *align(rows)])
