"""What an inspection shows: one page of text, JSON, or one HTML file that needs nothing else."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.evaluate.doctor.checks import SEVERITIES, Finding
from seq2seq.evaluate.doctor.examine import Examined
from seq2seq.evaluate.doctor.folder import Folder
from seq2seq.evaluate.page import render_page

WIDTH = 110  # characters of a line of text
INDENT = " " * 11


@dataclass(frozen=True)
class Inspection:
    """Corpora that were examined.

    Attributes:
        title: what was inspected.
        corpora: what was found of each.
        notes: what was not done, and why.
        command: the command line.
    """

    title: str
    corpora: Sequence[Examined]
    notes: Sequence[str]
    command: str

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        found = Counter(finding.severity for corpus in self.corpora for finding in corpus.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def summary(self) -> str:
        """One sentence with the result."""
        counted = [f"{n} {severity}{'s' * (n != 1)}" for severity, n in self.counts.items() if n]
        rows = sum(corpus.n for corpus in self.corpora)
        corpora = f"{len(self.corpora)} corp{'us' if len(self.corpora) == 1 else 'ora'}, {rows:,} rows"
        return f"{corpora}: {', '.join(counted) or 'nothing found'}."

    def record(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {
            "title": self.title,
            "counts": self.counts,
            "corpora": [corpus.record() for corpus in self.corpora],
            "notes": list(self.notes),
            "command": self.command,
        }

    def text(self) -> str:
        """Returns it as text."""
        blocks = [_corpus_text(corpus) for corpus in self.corpora]
        notes = [textwrap.fill(note, WIDTH) for note in self.notes]
        return "\n\n".join([*blocks, *notes, self.summary])

    def html(self) -> str:
        """Returns it as one HTML page."""
        return render_page("inspection.html", inspection=self, command=self.command)


def _corpus_text(corpus: Examined) -> str:
    width = max((len(name) for name, _ in corpus.facts), default=0)
    lines = [f"{corpus.role}: {corpus.name}", *(f"  {name:<{width}}  {value}" for name, value in corpus.facts)]
    notes = [finding for finding in corpus.findings if finding.severity == "note"]
    for finding in corpus.findings:
        if finding not in notes:
            lines += ["", *_finding_text(finding)]
    return "\n".join([*lines, *([""] if notes else []), *map(_note_text, notes)])


def _finding_text(finding: Finding) -> list[str]:
    head = f"  {finding.severity.upper():<7}  {finding.title}: {finding.amount}"
    lines = [head, *_wrapped(finding.detail), *_wrapped(finding.advice)]
    for example in finding.examples:
        note = f"  ({example.note})" if example.note else ""
        lines += _wrapped(f"· {example.place}{note}")
        lines += [f"{INDENT}    {text}" for text in example.texts]
    return lines


def _note_text(finding: Finding) -> str:
    """Returns a finding that is no fault in one line; the other forms of a report say more."""
    parts = [f"{finding.title}: {finding.amount}", finding.detail, *(e.place for e in finding.examples[:1])]
    return f"  note     {', '.join(filter(None, parts))}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False
    )


def folder_text(folder: Folder) -> str:
    """Returns what was found of a model folder as text."""
    total = sum(folder.parameters.values())
    facts = {**folder.facts}
    if folder.parameters:
        parts = ", ".join(f"{name} {n:,}" for name, n in folder.parameters.items())
        facts["parameters"] = f"{total:,}: {parts}"
    width = max([len(name) for name in facts] or [0])
    lines = [str(folder.path)]
    for name, value in facts.items():
        indent = " " * (width + 4)
        lines += textwrap.wrap(
            f"  {name:<{width}}  {value}",
            WIDTH,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    lines += ["", "  files"]
    name_width = max([len(file.name) for file in folder.files] or [0])
    for file in folder.files:
        size = "-" if file.size is None else f"{file.size:,}"
        lines.append(f"    {file.name:<{name_width}}  {size:>13}  {file.sha256[:16]:<16}  {file.state}")
    if folder.models:
        lines += ["", "  models of the run"]
        lines += [f"    {name}  {verdict}" for name, verdict in folder.models.items()]
    if folder.chosen:
        lines += ["", "  settings that are no defaults", textwrap.indent(folder.chosen.rstrip(), "    ")]
    lines += ["", *(f"error: {fault}" for fault in folder.faults)] if folder.faults else ["", "whole: every byte is as "
              "MANIFEST.json says"]  # fmt: skip
    return "\n".join(lines)


def folder_html(folder: Folder, command: str) -> str:
    """Returns what was found of a model folder as one HTML page."""
    return render_page("folder.html", folder=folder, command=command)
