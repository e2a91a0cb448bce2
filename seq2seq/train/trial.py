"""How many padded tokens a GPU holds at once: found by trying, before training starts."""

import logging
import math
from collections.abc import Callable, Iterable

import torch

from seq2seq.data.batch import AnyBatch
from seq2seq.errors import Seq2SeqError
from seq2seq.model.device import AUTO_DEVICE_TOKENS
from seq2seq.train.checkpoint import Progress
from seq2seq.train.task import Task
from seq2seq.train.update import Updater

log = logging.getLogger(__name__)

# What is tried is so many times as large as what is then taken: as steps of ever other shapes come and go, free memory
# falls into pieces that cannot all be used.
SPARE = 1.1
# Numbers for each trained parameter that training holds and a trial does not: Adam's two moments, and the gradient
# summed over micro-batches.
STATE = 3
# Padded tokens of the longer side for each target token of a step, at the most: more would never be used.
PADDED = 2
FINENESS = 16  # the search ends when it knows the largest number that fits to one part in so many


def settle_device_tokens(task: Task, updater: Updater, progress: Progress) -> int:
    """Returns how many padded tokens of the longer side a device holds at once, on all ranks the same.

    Where the recipe leaves it open, it is found by trial on a GPU. On a CPU it is a constant, so that a run is the same
    on every machine. It decides how steps are cut into micro-batches, and with them rounding and dropout: what was
    once found, also by running out of memory, is kept in the progress of the run and taken again.

    Raises:
        Seq2SeqError: a GPU does not even hold one example.
    """
    asked, ranks = updater.settings.train.device_tokens, updater.ranks
    if progress.device_tokens is None and asked != "auto":
        return asked
    if progress.device_tokens is None and ranks.device.type == "cuda":
        found = tokens_that_fit(task, updater)
        progress.device_tokens = -ranks.largest(-found)  # the smallest of all
        log.info("device_tokens: %s found by trial", f"{progress.device_tokens:,}")
    return progress.device_tokens or AUTO_DEVICE_TOKENS[ranks.device.type]


def tokens_that_fit(task: Task, updater: Updater) -> int:
    """Tries micro-batches until it is known how large they may be on this rank's device.

    Raises:
        Seq2SeqError: not even one example fits.
    """

    def probe(tokens: int) -> None:
        run_batches(updater, task.trial_batches(math.ceil(SPARE * tokens)))

    limit = PADDED * updater.settings.train.batch_tokens
    found = largest_that_fits(probe, AUTO_DEVICE_TOKENS["cuda"], limit)
    torch.cuda.empty_cache()
    if not found:
        raise Seq2SeqError(
            f"out of memory: not even one of the longest examples fits on {updater.ranks.device}; "
            "make them shorter (data.max_length, model.context) or the model smaller"
        )
    return found


def largest_that_fits(probe: Callable[[int], None], first: int, limit: int) -> int:
    """Returns the largest number from 1 to `limit` with which a probe finds memory, to one part in `FINENESS`.

    From `first` on numbers are doubled as long as they fit; then the gap between those that do and do not is halved.

    Args:
        probe: raises `torch.OutOfMemoryError` for all numbers above some number.
        first: is tried first.
        limit: larger ones are of no use.

    Returns:
        A number with which the probe has found memory; 0: it never has.
    """
    fitting, failing = 0, limit + 1
    tried = min(first, limit)
    while fitting < limit and (failing > limit or failing - fitting > max(1, fitting // FINENESS)):
        try:
            probe(tried)
            fitting = tried
        except torch.OutOfMemoryError:
            failing = tried
        tried = min(2 * fitting, limit) if failing > limit else (fitting + failing) // 2
    return fitting


def run_batches(updater: Updater, batches: Iterable[AnyBatch]) -> None:
    """Goes forward and backward through micro-batches as training does, beside memory for what it holds later on.

    Weights, gradients (there are none) and random state are the same afterwards.

    Raises:
        torch.OutOfMemoryError: they do not fit.
    """
    device = updater.ranks.device
    torch.cuda.empty_cache()  # of what the probe before has left in pieces
    state = STATE * sum(parameter.nbytes for parameter in updater.trained)
    updater.model.train()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        later = torch.empty(state, dtype=torch.uint8, device=device)
        try:
            for batch in batches:
                updater.add_gradient(updater.prepare(batch))
                updater.optimizer.zero_grad(set_to_none=True)
        finally:
            updater.optimizer.zero_grad(set_to_none=True)
            del later
