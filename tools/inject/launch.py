"""The real command in processes of its own, with one rank or under torchrun."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import seq2seq
from inject.check import Unexpected, expect
from inject.compare import events
from seq2seq.train.monitor import read_status

ROOT = Path(seq2seq.__file__).parents[1]  # what is launched is what has been imported here
PATIENCE = 300.0  # seconds after which a launch that has not ended is taken for hung
POLL = 0.01  # seconds between two looks at a launch
TRAIN = ("-m", "seq2seq.cli.train")


class Launch:
    """A command that is running.

    Args:
        command: with its arguments.
        log: file for what it says on stderr.
        file_size: bytes beyond which it can write no file; None: no limit.
    """

    def __init__(self, command: Sequence[str], log: Path, file_size: int | None = None) -> None:
        self._log = log
        self.started = time.monotonic()
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                start_new_session=True,  # so that what it leaves behind can be ended with it
                preexec_fn=None if file_size is None else lambda: limit_files(file_size),
            )

    @property
    def said(self) -> str:
        """What it has said on stderr so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def last_words(self) -> str:
        """The last message of the command, or else the end of all that was said, in one line."""
        lines = self.said.strip().split("\n")
        errors = [line for line in lines if line.startswith("error: ")]
        return " / ".join(errors[-1:] or lines[-3:])

    def wait(self, seconds: float = PATIENCE) -> int:
        """Returns its exit code when it has ended; negative where a signal killed it.

        Raises:
            Unexpected: it has not ended within some seconds.
        """
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unexpected(f"still running after {seconds:.0f} s: {self.last_words}") from None

    def wait_for(self, what: str, happened: Callable[[], bool]) -> None:
        """Returns when something has happened.

        Raises:
            Unexpected: the command has ended without it, or nothing comes any more.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            ended = self.process.poll()
            if happened():
                return
            expect(ended is None, f"it ended with {ended} before {what}: {self.last_words}")
            time.sleep(POLL)
        raise Unexpected(f"waited {PATIENCE:.0f} s for nothing until {what}: {self.last_words}")

    def workers(self) -> dict[int, int]:
        """Returns the numbers of the processes of a torchrun that live now, by their ranks."""
        found = {}
        with suppress(OSError):  # it has just ended
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
            for pid in map(int, children.split()):
                with suppress(OSError):
                    for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                        name, _, value = variable.partition(b"=")
                        if name == b"RANK":
                            found[int(value)] = pid
        return found

    def close(self) -> None:
        """Ends it, and all that it has started, wherever they are."""
        for pid in [*self.workers().values(), self.process.pid]:  # torchrun's workers are in sessions of their own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def launch(command: Sequence[str], log: Path, file_size: int | None = None) -> Iterator[Launch]:
    """Yields a running command and ends it when the block does; see `Launch`."""
    running = Launch(command, log, file_size)
    try:
        yield running
    finally:
        running.close()


def limit_files(size: int) -> None:
    """Lets this process write no file beyond a size in bytes: a write fails, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def train_command(
    recipe: Path, run: Path, *arguments: str, ranks: int = 1, restarts: int = 0, program: Sequence[str] = TRAIN
) -> list[str]:
    """Returns the command that trains a recipe into a run folder.

    Args:
        recipe: its path.
        run: the run folder; the corpus is prepared beside it.
        arguments: overrides and options besides.
        ranks: with several, torchrun starts them.
        restarts: how often torchrun starts them again.
        program: what each of them runs.
    """
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    launcher += ["--max-restarts", str(restarts)]
    places = [f"output={run}", f"data.cache={run.parent / 'cache'}"]
    command = [sys.executable, *(launcher if ranks > 1 else ()), *program]
    return [*command, str(recipe), *places, *arguments, "--device", "cpu", "--threads", "1"]


def train_to_the_end(command: Sequence[str], run: Path, log: Path) -> float:
    """Trains until the run is finished and returns the seconds that it took.

    Raises:
        Unexpected: it was not.
    """
    with launch(command, log) as running:
        code = running.wait()
        seconds = time.monotonic() - running.started
        expect(code == 0, f"a start that nobody disturbs ends with {code}: {running.last_words}")
    state = read_status(run).get("state")
    expect(state == "finished", f"status.json says {state}")
    return seconds


def trained_to(run: Path, step: int) -> bool:
    """Says whether a run has logged a step."""
    with suppress(ValueError):  # a line is being written
        return any(event["step"] >= step for event in events(run)[-1:])
    return False
