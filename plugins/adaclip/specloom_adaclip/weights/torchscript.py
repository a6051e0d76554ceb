"""The tensors of a TorchScript archive, read without running anything that it holds.

Such a file (OpenAI's CLIP weights are some) is a zip of plain numbers, of a pickle that says which
tensors they are, and of code. ``torch.jit.load`` would compile that code, and pickles may call
what they like; here the pickle may name a handful of things, and all of them are inert.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specloom import IntegrityError

STORAGES = {
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
LISTS = {"build_intlist", "build_tensorlist", "build_doublelist", "build_boollist"}


class Inert:
    """Stands for an object of the archive: it keeps its attributes and does nothing."""

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}


class Reader(pickle.Unpickler):
    """An unpickler for which only tensors and inert objects exist."""

    def __init__(self, data: bytes, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(data))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        """Inert objects, tensors and lists; everything else is refused."""
        if module.partition(".")[0] == "__torch__":
            return Inert
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch.jit._pickle" and (name in LISTS or name == "restore_type_tag"):
            return _first
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        """The numbers of one storage."""
        _, dtype, key, *_ = pid
        data = bytearray(self.archive.read(f"{self.root}/data/{key}"))
        return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


def archived_tensors(path: Path) -> dict[str, Tensor]:
    """The parameters and buffers of the archived module, by name.

    Raises:
        IntegrityError: The archive asks for something else than tensors, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = archive.namelist()[0].partition("/")[0]
            top = Reader(archive.read(f"{root}/data.pkl"), archive, root).load()
        return dict(_walk(top, ""))
    except (pickle.UnpicklingError, LookupError, ValueError, TypeError, RuntimeError) as e:
        fix = "take the file from its publisher, or convert it to safetensors"
        what = f"it is no TorchScript archive of plain tensors ({e})"
        raise IntegrityError(what, where=str(path), fix=fix) from e


def is_archive(path: Path) -> bool:
    """Whether a zip is a TorchScript archive: it holds code, which a saved state dict does not."""
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2].startswith("code/") for name in archive.namelist())


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _first(value: Any, *_: object) -> Any:
    return value


def _walk(one: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(one, Tensor):
        yield prefix, one
    for name, value in one.state.items() if isinstance(one, Inert) else ():
        yield from _walk(value, f"{prefix}.{name}" if prefix else str(name))
