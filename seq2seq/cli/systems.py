"""What is evaluated, as it is written on the command line: [NAME=]ITEM[,ITEM...]."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seq2seq.errors import Seq2SeqError

if TYPE_CHECKING:
    from seq2seq.evaluate.testset import TestSet


@dataclass(frozen=True)
class Spec:
    """A name and what it stands for.

    Attributes:
        name: what it is called; empty: not told.
        items: paths or settings.
    """

    name: str
    items: list[str]


def read_spec(text: str) -> Spec:
    """Reads [NAME=]ITEM[,ITEM...]; a path that exists is one item, whatever letters it has."""
    if Path(text).exists():
        return Spec("", [text])
    first, *rest = text.split(",")
    name, equals, item = first.partition("=")
    if equals and not Path(first).exists():
        return Spec(name, [item, *rest])
    return Spec("", [first, *rest])


def read_model(text: str) -> tuple[str, str, dict[str, str]]:
    """Reads [NAME=]MODEL[,KEY=VALUE...]; returns the name, the model's path and settings for decoding.

    Raises:
        Seq2SeqError: a setting is not KEY=VALUE.
    """
    spec = read_spec(text)
    path, *settings = spec.items
    decode = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise Seq2SeqError(f"{text}: {setting!r} is not KEY=VALUE, such as beam_size=1")
        decode[key] = value
    return spec.name or text, path, decode


def read_files(text: str, n_sets: int) -> tuple[str, list[str]]:
    """Reads [NAME=]FILE[,FILE...]: the translations of a system, a file for each test set; returns name and files.

    Raises:
        Seq2SeqError: there are more or fewer files than test sets.
    """
    spec = read_spec(text)
    if len(spec.items) != n_sets:
        raise Seq2SeqError(
            f"--hypothesis {text}: {_count(len(spec.items), 'file')} for {_count(n_sets, 'test set')}; give one for "
            "each, in their order, with commas between them"
        )
    return spec.name or text, spec.items


def read_test_set(text: str, langpair: str | None, target_language: str = "") -> "TestSet":
    """Returns the test set that --testset names: NAME=SOURCE,REFERENCE[,REFERENCE...], or a name of sacrebleu's.

    Args:
        text: of the option.
        langpair: of a test set of sacrebleu's.
        target_language: of one that lies in files.

    Raises:
        Seq2SeqError: no language pair is given where sacrebleu needs one, or a file is missing.
        DataError: sacrebleu knows no such test set, or a file cannot be read.
    """
    from seq2seq.evaluate.testset import local_test_set, named_test_set

    spec = read_spec(text)
    if spec.name:
        source, *references = spec.items
        if not references or not all(references):
            raise Seq2SeqError(f"--testset {text}: must be a name of sacrebleu's, or NAME=SOURCE,REFERENCE")
        return local_test_set(source or None, references, target_language, spec.name)
    if not langpair:
        raise Seq2SeqError("--testset needs --langpair, such as en-de")
    return named_test_set(text, langpair)


def unique(names: Sequence[str]) -> None:
    """Checks that no two systems bear the same name.

    Raises:
        Seq2SeqError: some do.
    """
    for name in names:
        if names.count(name) > 1:
            raise Seq2SeqError(f"two systems are called {name}: write NAME={name} to tell them apart")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
