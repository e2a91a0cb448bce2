"""Our own training, measured as it is: the optimizer steps of `train.update` on the steps of `data.order`."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.profiler import record_function

from bench.data import pair_steps, text_steps, translation_task
from bench.plan import Plan
from bench.profile import DATA, LABEL, labelled, profile
from bench.turns import Trained
from seq2seq.cli.common import prepare_torch
from seq2seq.config import LanguageModelSettings
from seq2seq.data.ahead import ready_steps
from seq2seq.data.batch import AnyBatch, TokenBatch
from seq2seq.data.order import Step
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import choose_device
from seq2seq.model.gpt import GPT
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import RELEASE_EVERY
from seq2seq.train.update import Updater


class Ours(Trained):
    """Batches are made from the stored ids and prepared while steps are taken, as in training.

    All of that happens in the turn: none is ready when it starts, and nothing goes on when it has ended.
    """

    def __init__(self, plan: Plan, precision: Literal["fp32", "bf16"]) -> None:
        prepare_torch(plan.threads)
        super().__init__(plan.n_batches, choose_device(plan.device))
        settings = plan.settings()
        torch.manual_seed(settings.seed)
        self.steps: list[Step]
        if isinstance(settings, LanguageModelSettings):
            model: torch.nn.Module = GPT(settings.model, plan.sizes.vocab_size).to(self.device)
            self.steps = list[Step](text_steps(plan))

            def loss(batch: AnyBatch) -> Tensor:
                summed: Tensor = model(cast(TokenBatch, batch))[0]
                return summed
        else:
            task = translation_task(plan)
            model = task.build(self.device, None).model
            self.steps = list[Step](pair_steps(plan, task))
            loss = task.loss
        self.model = model.train()
        self.updater = Updater(model, settings, Ranks(self.device), precision, loss)
        self.n_parameters = sum(parameter.numel() for parameter in self.updater.trained)
        self.numbers = itertools.count(1)
        self.batch_tokens = plan.device_tokens

    def take(self, numbers: Sequence[int]) -> None:
        """Takes optimizer steps on batches, by their numbers."""
        steps = (self.steps[number] for number in numbers)
        with closing(ready_steps(steps, self.batch_tokens, 0, 1, self.updater.prepare)) as ready:
            for step in ready:
                self._take(step)

    def _take(self, step: Step) -> None:
        number = next(self.numbers)
        self.updater.take(step, number)
        if number % RELEASE_EVERY == 0:  # as the loop does
            release_freed_memory()

    def profile(self, n_steps: int) -> dict[str, Any]:
        """Says where the time of some steps goes, each with its batch made in it; see `bench.profile.profile`."""
        prepare = self.updater.prepare
        steps = [cast(Step, _Watched(self.steps[i % self.n_batches], prepare)) for i in range(n_steps)]

        def run() -> None:
            for step in steps:
                self._take(step)

        with labelled(self.model):
            return profile(run, n_steps, self.device)


class _Watched:
    """A step of which a profile shows how long its batch takes to make."""

    def __init__(self, step: Step, prepare: Callable[[AnyBatch], AnyBatch]) -> None:
        self._step = step
        self._prepare = prepare

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def batch(self, number: int) -> AnyBatch:
        with record_function(LABEL + DATA):
            return self._prepare(self._step.batch(number))
