"""Weights of two runs, compared bit for bit; safetensors files are read without NumPy or torch."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from pathlib import Path

from specloom.contract.errors import IntegrityError

ARRAY_CODES = {
    "F64": "d",
    "F32": "f",
    "I64": "q",
    "I32": "i",
    "I16": "h",
    "I8": "b",
    "U8": "B",
    "BOOL": "B",
}
"""The type of Python's ``array`` for each type of a tensor whose values are compared."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a safetensors file: the type and shape of the header, and the bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises:
        IntegrityError: It is not there, or not such a file.
    """
    from safetensors import SafetensorError, deserialize

    fix = "restore it from where the run was saved"
    try:
        found = deserialize(file.read_bytes())  # type: ignore[no-untyped-call]  # the library's
    except OSError as e:
        raise IntegrityError(f"{file} cannot be read: {e.strerror}", fix=fix) from e
    except SafetensorError as e:
        what = f"{file} cannot be read: it is not a safetensors file"
        raise IntegrityError(what, fix=fix) from e
    return {
        name: Tensor(tensor["dtype"], tuple(tensor["shape"]), bytes(tensor["data"]))
        for name, tensor in found
    }


def differences(first: Path, second: Path) -> dict[str, str]:
    """Describe how each tensor of ``first`` differs in ``second``; equal ones are skipped.

    Raises:
        IntegrityError: A file is not there, or holds no weights.
    """
    before = read_tensors(first)
    after = read_tensors(second)
    found = {}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            found[name] = "is gone"
        elif name not in before:
            found[name] = "is new"
        elif before[name] != after[name]:
            found[name] = _describe_difference(before[name], after[name])
    return found


def _describe_difference(before: Tensor, after: Tensor) -> str:
    if (before.dtype, before.shape) != (after.dtype, after.shape):
        return f"is {after}, was {before}"
    code = ARRAY_CODES.get(before.dtype)
    if code is None:
        return "differs"
    old = array(code, before.data)
    new = array(code, after.data)
    changed = _changed_positions(before.data, after.data, old.itemsize)
    largest = max(abs(new[position] - old[position]) for position in changed)
    verb = "differs" if len(changed) == 1 else "differ"
    summary = f"{len(changed)} of {len(old)} values {verb}"
    if math.isnan(largest):
        return summary
    return f"{summary}, by at most {largest:.2g}"


def _changed_positions(before: bytes, after: bytes, width: int) -> list[int]:
    """Return the positions of the values, of ``width`` bytes each, whose bits differ."""
    starts = range(0, len(before), width)
    return [
        start // width
        for start in starts
        if before[start : start + width] != after[start : start + width]
    ]
