"""Files that libraries in C++ or Rust read, and that may be a stranger's: they are opened in a child process first.

A damaged or hostile one may crash such a library, and the process with it.
"""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

from seq2seq.errors import ModelError

PROGRAM = Path(__file__).with_name("foreign_child.py")
SECONDS = 60.0  # after which the child is ended; the largest vocabularies take it about 3
_tried: set[str] = set()  # hashes of the files that a child of this process has opened


def try_in_child(library: str, content: bytes) -> None:
    """Opens a tokenizer's file in a child process, which uses all of its pieces there.

    What a child has stood before is not tried again.

    Args:
        library: that reads it, `sentencepiece` or `tokenizers`.
        content: the file.

    Raises:
        ModelError: the library refuses it, crashes, takes too long or too much memory.
    """
    digest = hashlib.sha256(library.encode() + content).hexdigest()
    if digest in _tried:
        return
    command = [sys.executable, "-P", str(PROGRAM), library]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise ModelError(f"{library} did not come to an end with it in {SECONDS:.0f} s") from None
    if done.returncode < 0:
        raise ModelError(f"{library} crashed on it: {signal.Signals(-done.returncode).name}")
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ModelError(f"{library} does not take it: {lines[-1][:300] if lines else f'exit {done.returncode}'}")
    _tried.add(digest)
