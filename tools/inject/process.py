"""Processes that are forked from this one for a trial: torch is imported once, not a thousand times."""

import os
import sys
import traceback
from collections.abc import Callable

Say = Callable[[bytes], object]


def fork(act: Callable[[Say], None]) -> tuple[int, int]:
    """Starts a copy of this process that does one thing and ends.

    Args:
        act: what it does, given a function that sends bytes to this process.

    Returns:
        Its number, and the descriptor from which what it sends is read.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        os.close(reading)
        act(lambda content: os.write(writing, content))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # what else the parent has to do at its end is not the copy's business


def wait(pid: int, reading: int) -> tuple[int, bytes]:
    """Returns the exit code of a process, negative where a signal killed it, and what it has sent."""
    with open(reading, "rb") as pipe:
        sent = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), sent
