"""Weights by their canonical names, and the safetensors files that hold them."""

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from seq2seq.errors import ModelError
from seq2seq.files import check_head

FUSED, SEPARATE = ".qkv.", (".query.", ".key.", ".value.")


def canonical_weights(model: nn.Module) -> dict[str, Tensor]:
    """Returns the parameters by their canonical names, tied ones once, query, key and value separate."""
    weights = {}
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise ValueError(f"weight {name} is gone: a model that is prepared for decoding can only decode")
        value = parameter.detach().cpu()
        for canonical, part in zip(_names(name), value.chunk(len(_names(name))), strict=True):
            weights[canonical] = part.clone()
    return weights


def canonical_shapes(model: nn.Module) -> dict[str, list[int]]:
    """Returns the shapes of `canonical_weights`, of a model that need not hold any."""
    shapes = {}
    for name, parameter in model.named_parameters():
        for canonical in _names(name):
            shapes[canonical] = [parameter.shape[0] // len(_names(name)), *parameter.shape[1:]]
    return shapes


def _names(name: str) -> Sequence[str]:
    """Returns the canonical names of a parameter."""
    return [name.replace(FUSED, separate) for separate in SEPARATE] if FUSED in name else [name]


@torch.no_grad()
def set_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copies canonically named weights into a model.

    Raises:
        ModelError: names or shapes are not exactly those of the model.
    """
    _compare(canonical_shapes(model), {name: list(value.shape) for name, value in weights.items()})
    for name, parameter in model.named_parameters():
        names = _names(name)
        parameter.copy_(torch.cat([weights[each] for each in names]) if len(names) > 1 else weights[name])


def _compare(expected: Mapping[str, list[int]], found: Mapping[str, list[int]]) -> None:
    for name in sorted(expected.keys() ^ found.keys()):
        raise ModelError(f"weight {name}: {'missing' if name in expected else 'not part of this model'}")
    for name, shape in expected.items():
        if found[name] != shape:
            raise ModelError(f"weight {name}: has shape {found[name]}, must have {shape}")


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Writes tensors into a safetensors file.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    try:
        save_file(tensors, path)
        path.chmod(path.parent.stat().st_mode & 0o666)  # safetensors makes files that nobody else can read
    except SafetensorError as error:
        raise OSError(errno.EIO, f"{error} ({shutil.disk_usage(path.parent).free:,} bytes free)", str(path)) from error


def read_shapes(path: Path) -> dict[str, list[int]]:
    """Returns the names and shapes of the tensors of a safetensors file, from its head alone.

    Raises:
        ModelError: it is unreadable, its head is too large, or a tensor is not float32.
    """
    with _reading(path):
        check_head(path)
        with safe_open(path, framework="pt") as tensors:
            shapes = {}
            for name in tensors.keys():  # noqa: SIM118 (it is no mapping)
                head = tensors.get_slice(name)
                if head.get_dtype() != "F32":
                    raise ModelError(f"weight {name}: has dtype {head.get_dtype()}, must have F32")
                shapes[name] = head.get_shape()
            return shapes


def check_shapes(path: Path, expected: Mapping[str, list[int]]) -> None:
    """Checks that a file has exactly the tensors expected, by name, shape and dtype, before any of them is loaded.

    Raises:
        ModelError: it has not, or is unreadable.
    """
    found = read_shapes(path)
    with _reading(path):
        _compare(expected, found)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file, float32, mapped into memory.

    Raises:
        ModelError: it is unreadable, its head is too large, or a tensor is not float32.
    """
    read_shapes(path)
    with _reading(path):
        return load_file(path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Reads weights from a safetensors file into a model.

    Raises:
        ModelError: the file is unreadable or does not fit the model, or one of its numbers is not finite.
    """
    check_shapes(path, canonical_shapes(model))
    weights = load_tensors(path)
    for name, value in weights.items():
        if not value.isfinite().all():
            raise ModelError(f"{path}: weight {name}: holds numbers that are not finite")
    set_weights(model, weights)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Names the file that the block reads in what goes wrong there."""
    try:
        yield
    except (OSError, ValueError, SafetensorError, ModelError) as error:
        raise ModelError(f"{path}: {error}") from error
