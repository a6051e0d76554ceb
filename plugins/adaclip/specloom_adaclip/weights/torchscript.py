"""The tensors of a TorchScript archive, read without running anything that it holds.

Such a file (OpenAI's CLIP weights are some) is a zip of plain numbers, of a pickle that says which
tensors they are, and of code. ``torch.jit.load`` would compile that code, and is deprecated;
``torch.load(weights_only=True)`` of torch 2.13 refuses such archives. Here the pickle may name a
few things, and none of them does anything.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specloom import IntegrityError

DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
#: Functions of ``torch.jit._pickle`` that mark the type of their first argument.
TYPE_MARKS = {
    "build_intlist",
    "build_tensorlist",
    "build_doublelist",
    "build_boollist",
    "restore_type_tag",
}


class ArchivedObject:
    """An object of the archive: its attributes, and no code."""

    def __init__(self, *_: object) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.attributes = state


class TensorUnpickler(pickle.Unpickler):
    """An unpickler for which only tensors and objects without code exist.

    Args:
        data: The pickle.
        archive: The zip with the numbers of the tensors.
        root: The folder within the zip.
    """

    def __init__(self, data: bytes, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(data))
        self._archive = archive
        self._root = root

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a class or function.

        Raises:
            UnpicklingError: It is none of those that an archive of tensors has.
        """
        if module.partition(".")[0] == "__torch__":
            return ArchivedObject
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module == "torch.jit._pickle" and name in TYPE_MARKS:
            return _first_argument
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        """Return the numbers of one storage."""
        _, dtype, key, *_ = pid
        data = bytearray(self._archive.read(f"{self._root}/data/{key}"))
        if not data:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Return the parameters and buffers of the archived module by name.

    Raises:
        IntegrityError: The archive holds something else than tensors, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = archive.namelist()[0].partition("/")[0]
            data = archive.read(f"{root}/data.pkl")
            module = TensorUnpickler(data, archive, root).load()
        return dict(_named_tensors(module, ""))
    except (pickle.UnpicklingError, LookupError, ValueError, TypeError, RuntimeError) as e:
        fix = "get the file from its publisher, or convert it to safetensors"
        what = f"it is no TorchScript archive of plain tensors ({e})"
        raise IntegrityError(what, where=str(path), fix=fix) from e


def is_torchscript(path: Path) -> bool:
    """Return whether a zip is a TorchScript archive: it has code, a saved state dict has none."""
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    return any(name.startswith("code/") for name in names)


def _rebuild_tensor(
    storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: object
) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _first_argument(value: Any, *_: object) -> Any:
    return value


def _named_tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors within an object, named as in a state dict."""
    if isinstance(value, Tensor):
        yield name, value
    if isinstance(value, ArchivedObject):
        for attribute, one in value.attributes.items():
            yield from _named_tensors(one, f"{name}.{attribute}".removeprefix("."))
