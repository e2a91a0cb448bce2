"""The doctor finds what was planted, and nothing in a clean corpus; tools/plant_faults.py is what plants."""

import gzip
from pathlib import Path

import pytest

from plant_faults import FAULTS, Outcome, try_fault

DEMO = Path(__file__).parents[2] / "recipes/demo"
QUICK = ["shift_up", "swapped_everywhere", "french_block", "truncated", "shuffled"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The first pairs of the demo corpus."""
    folder = tmp_path_factory.mktemp("planted")
    paths = folder / "train.en", folder / "train.de"
    for path in paths:
        lines = gzip.decompress((DEMO / f"{path.name}.gz").read_bytes()).split(b"\n")[:2500]
        path.write_bytes(b"\n".join(lines) + b"\n")
    return paths


def outcome(fault: str, corpus: tuple[Path, Path], folder: Path, seed: int = 1) -> Outcome:
    return try_fault(fault, *corpus, seed, folder)


def test_the_clean_corpus_has_no_errors_and_no_warnings(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    clean = outcome("none", corpus, tmp_path)
    assert (clean.found, clean.others) == (True, [])


@pytest.mark.parametrize("fault", QUICK)
def test_a_fault_is_found(corpus: tuple[Path, Path], tmp_path: Path, fault: str) -> None:
    found = outcome(fault, corpus, tmp_path)
    assert found.found, found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(corpus: tuple[Path, Path], tmp_path: Path, fault: str, seed: int) -> None:
    found = outcome(fault, corpus, tmp_path, seed)
    assert found.found, found
