import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from lines import LONG_EVERY, compare, many_lines, nasty_lines, random_model, try_killed, try_stub, write_lines

TOOL = Path(__file__).resolve().parents[2] / "tools/lines.py"


def options(**values: object) -> argparse.Namespace:
    return argparse.Namespace(**{"seed": 1, "suffix": "", "stub": True, "model": None, **values})


def test_lines_are_nasty_and_the_same_again() -> None:
    lines = list(nasty_lines(LONG_EVERY, seed=1))
    content = b"".join(lines)
    assert content == b"".join(nasty_lines(LONG_EVERY, seed=1)) != b"".join(nasty_lines(LONG_EVERY, seed=2))
    assert content.count(b"\n") == LONG_EVERY - 1 and all(b"\n" not in line[:-1] for line in lines)
    for what in (b"\x00", b"\r\n", b"\xff", "\u2028".encode(), "\u3000".encode(), "\u202e".encode(), b"<2de>", b"</s>"):
        assert what in content
    assert max(map(len, lines)) > 5_000
    assert content.decode(errors="replace") != content.decode(errors="ignore")


def test_comparing_sees_what_is_lost_and_moved(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out.gz"
    write_lines(source, many_lines(40, seed=1))
    plain = [b"line %d of a text that is translated\n" % i if i % 16 < 15 else b"?\n" for i in range(40)]
    write_lines(output, iter(plain))
    assert compare(source, output) == (0, 2)
    write_lines(output, iter([*plain[:3], plain[4], plain[3], *plain[5:-1]]))
    assert compare(source, output) == (1, 4)


def test_lines_through_the_command_and_through_a_killed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_model(tmp_path)
    assert try_stub(options(lines=20_000, suffix=".gz"), tmp_path)
    assert "0 lost, 0 moved" in capsys.readouterr().out
    assert try_killed(options(lines=150, kills=1, stub=False, model=model), tmp_path)
    assert "0 lost, 0 moved, the outputs are the same" in capsys.readouterr().out


@pytest.mark.slow
def test_many_nasty_lines_through_a_command_killed_often(tmp_path: Path) -> None:
    command = [sys.executable, TOOL, "killed", "--lines", "30000", "--kills", "20", "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"killed 20 times: 0 lost, 0 moved, the outputs are the same" in done.stdout
