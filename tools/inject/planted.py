"""The training command, with losses or gradients in it that are not finite; a program, see `not_finite`.

    python planted.py PLAN ARGUMENTS ...

PLAN is a JSON object: `rank`, the one that is hit; `steps`, in which; `what`, its loss or its gradient; `trace`, the
beginning of the names of files in which each rank notes, a line a step, the step's number and a hash of the weights
before and after it.
"""

import hashlib
import json
import os
import sys
from typing import Any

import torch
from torch import Tensor

from seq2seq.cli.train import main
from seq2seq.data.order import Step
from seq2seq.train.update import Update, Updater

RANK = int(os.environ.get("RANK", 0))


def plant(plan: dict[str, Any]) -> None:
    """Changes what a step does in this process."""
    real = Updater.take

    def take(self: Updater, step: Step, number: int) -> Update:
        before = weights(self)
        undo = spoil(self, plan["what"]) if number in plan["steps"] and plan["rank"] == RANK else None
        try:
            return real(self, step, number)
        finally:
            if undo:
                undo()
            with open(f"{plan['trace']}-{RANK}", "a", encoding="utf-8") as trace:
                trace.write(f"{number} {before} {weights(self)}\n")

    setattr(Updater, "take", take)  # noqa: B010 (a method is replaced)


def weights(updater: Updater) -> str:
    """Returns a hash of a model's weights."""
    found = hashlib.sha256()
    for parameter in updater.model.parameters():
        found.update(parameter.detach().numpy().tobytes())
    return found.hexdigest()


def spoil(updater: Updater, what: str) -> Any:
    """Makes the loss, or only the gradient, not finite, until what is returned is called."""
    if what == "gradient":
        parameter: Any = next(updater.model.parameters())  # torch has no types for hooks
        return parameter.register_hook(lambda gradient: gradient * torch.inf).remove
    real = updater.loss

    def loss(batch: Any) -> Tensor:
        return real(batch) * torch.nan

    updater.loss = loss
    return lambda: setattr(updater, "loss", real)


if __name__ == "__main__":
    plant(json.loads(sys.argv.pop(1)))
    main()
