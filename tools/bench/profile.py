"""Where the time of a step goes, told by what it is spent on.

torch's profiler knows the operators. What they are for is told by their names where these are clear (`aten::mm`), and
else by what they run in: a module that bears a label, a custom function, or the backward pass of an operator that did.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, record_function
from torch.profiler import profile as torch_profile

PRODUCTS, ATTENTION, DROPOUT = "matrix products", "attention products and softmax", "dropout"
NORM, ACTIVATION, COPIES, LOSS = "normalisation", "activation", "casts and copies", "loss"
OPTIMIZER, EMBEDDING, OTHER, DATA = "optimizer and clipping", "embedding", "other operators", "data"
OUTSIDE = "between operators"  # Python and, on a GPU, waiting
GROUPS = (PRODUCTS, ATTENTION, DROPOUT, NORM, ACTIVATION, COPIES, LOSS, OPTIMIZER, EMBEDDING, OTHER, DATA, OUTSIDE)

WHOLE = "benchmark: steps"  # around all that is profiled
LABEL = "benchmark: "  # in front of the name of a group
MODULES = {"Dropout": DROPOUT, "LayerNorm": NORM, "Embedding": EMBEDDING, "MultiHeadAttention": ATTENTION}

# Operators whose names say what they are for, wherever they run. The first match counts.
OPERATORS = [
    (PRODUCTS, r"(mm|addmm|_addmm_activation|mkldnn_linear\w*|_scaled_mm)$"),
    (ATTENTION, r"(bmm|baddbmm|_?(safe_)?softmax|_softmax_backward_data|\w*_attention\w*)$"),
    (DROPOUT, r"(\w*dropout\w*|bernoulli_?|random_)$"),
    (NORM, r"\w*(layer|rms)_?norm\w*$"),
    (ACTIVATION, r"(relu_?|clamp_min|threshold_backward|gelu|gelu_backward)$"),
    (LOSS, r"(_?log_softmax\w*|nll_loss\w*|cross_entropy\w*|logsumexp)$"),
    (EMBEDDING, r"embedding\w*$"),
    (OPTIMIZER, r"(_fused_adamw?_?|_foreach_\w+|linalg_vector_norm)$"),
    (COPIES, r"(copy_|_to_copy|clone|contiguous|cat|stack)$"),
]
# What operators run in whose own names say nothing: custom functions and nodes of the backward pass.
SURROUNDINGS = [
    (OPTIMIZER, r"Optimizer\."),
    (DROPOUT, r"\w*[Dd]ropout"),
    (ATTENTION, r"\w*([Aa]ttention|[Ss]oftmaxBackward)"),
    (NORM, r"\w*Norm"),
    (LOSS, r"\w*Loss"),
    (EMBEDDING, r"\w*Embedding"),
]
BACKWARD = "autograd::engine::evaluate_function: "


def profile(run: Callable[[], object], n_steps: int, device: torch.device) -> dict[str, Any]:
    """Runs some steps and says where their time went.

    Returns:
        The number of `steps`, `seconds` per step (as they ran under the profiler, which costs a little), and for each
        of `groups` its `share` of the time and the shares of its longest `operators`.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with torch_profile(activities=activities) as profiler:
        started = time.perf_counter()
        with record_function(WHOLE):
            run()
            if on_gpu:
                torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
    spent = group_times(profiler.events() or [], on_gpu)
    spent[OUTSIDE] = Counter({"": max(0.0, seconds - sum(sum(times.values()) for times in spent.values()))})
    groups = {}
    for name in GROUPS:
        times = spent[name]
        operators = {operator: time / seconds for operator, time in times.most_common(4) if operator}
        groups[name] = {"share": sum(times.values()) / seconds, "operators": operators}
    return {"steps": n_steps, "seconds": seconds / n_steps, "groups": groups}


def group_times(events: Iterable[Any], on_gpu: bool) -> defaultdict[str, Counter[str]]:
    """Returns the seconds of each operator, its inner ones not counted, in the group that it belongs to.

    Args:
        events: of torch's profiler.
        on_gpu: whether the time on the GPU counts rather than that on the CPU.
    """
    spent: defaultdict[str, Counter[str]] = defaultdict(Counter)
    on_cpu = [event for event in events if event.device_type == DeviceType.CPU]
    forward = {  # what the operator was for that the backward pass belongs to
        event.sequence_nr: _surroundings(event, {})
        for event in sorted(on_cpu, key=lambda event: event.time_range.start)
        if event.sequence_nr >= 0 and not _is_backward(event)
    }
    for event in on_cpu:
        if event.name.startswith(LABEL) and event.name != LABEL + DATA:
            continue  # what is spent there between operators
        microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        spent[group_of(event, forward)][event.name.removeprefix("aten::")] += microseconds / 1e6
    return spent


def group_of(event: Any, forward: dict[int, str | None]) -> str:
    """Returns the group of an operator.

    Args:
        event: of torch's profiler.
        forward: for the numbers of operators in the forward pass what surrounded them.
    """
    around = _surroundings(event, forward)
    if around in (DATA, OPTIMIZER):
        return around
    own = event.name.removeprefix("aten::")
    for group, pattern in OPERATORS:
        if re.match(pattern, own):
            return group
    return around or OTHER


def _surroundings(event: Any, forward: dict[int, str | None]) -> str | None:
    """Returns the group of the nearest thing around an operator that has one."""
    while event is not None:
        name = event.name.removeprefix(BACKWARD)
        if name.startswith(LABEL) and name != WHOLE:
            return str(name.removeprefix(LABEL))
        if not name.startswith("aten::"):
            for group, pattern in SURROUNDINGS:
                if re.match(pattern, name):
                    return group
        if _is_backward(event) and event.sequence_nr in forward:
            return forward[event.sequence_nr]
        event = event.cpu_parent
    return None


def _is_backward(event: Any) -> bool:
    return bool(event.name.startswith(BACKWARD) or event.scope == 1)


@contextmanager
def labelled(model: nn.Module) -> Iterator[None]:
    """Has the modules of a model whose class stands in `MODULES` show in profiles while the block runs."""
    opened: list[ExitStack] = []
    hooks = []

    def enter(name: str) -> None:
        opened.append(ExitStack())
        opened[-1].enter_context(record_function(LABEL + name))

    def leave() -> None:
        opened.pop().close()

    for module in model.modules():
        group = MODULES.get(type(module).__name__)
        if group:
            hooks.append(module.register_forward_pre_hook(lambda *_, group=group: enter(group)))
            hooks.append(module.register_forward_hook(lambda *_: leave()))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
