"""Weights of two runs, compared bit for bit; safetensors files are read with Python alone."""

from __future__ import annotations

import math
import struct
from array import array
from pathlib import Path
from typing import Any

from specloom.contract.errors import IntegrityError
from specloom_registry.base.faults import parse_json

CODES = {
    "F64": "d",
    "F32": "f",
    "I64": "q",
    "I32": "i",
    "I16": "h",
    "I8": "b",
    "U8": "B",
    "BOOL": "B",
}


def tensors(file: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of each tensor of a safetensors file.

    Raises:
        IntegrityError: It is not there, or no such file.
    """
    try:
        data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header: dict[str, Any] = parse_json(data[8 : 8 + length])
        header.pop("__metadata__", None)
        found, start = {}, 8 + length
        for name, one in header.items():
            low, high = one["data_offsets"]
            found[name] = (one["dtype"], tuple(one["shape"]), data[start + low : start + high])
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as e:
        what = f"{file} cannot be read: {getattr(e, 'strerror', None) or 'it is no safetensors'}"
        raise IntegrityError(what, fix="restore it from where the run was saved") from e


def differences(first: Path, second: Path) -> dict[str, str]:
    """How each tensor of ``first`` differs in ``second``, in a few words; equal ones are left out.

    Raises:
        IntegrityError: A file is not there, or holds no weights.
    """
    was, now = tensors(first), tensors(second)
    told = {}
    for name in sorted(was.keys() | now.keys()):
        if name not in now:
            told[name] = "is gone"
        elif name not in was:
            told[name] = "is new"
        elif was[name] != now[name]:
            told[name] = _told(was[name], now[name])
    return told


def _told(was: tuple[str, tuple[int, ...], bytes], now: tuple[str, tuple[int, ...], bytes]) -> str:
    if was[:2] != now[:2]:
        return f"is {now[0]} {list(now[1])}, was {was[0]} {list(was[1])}"
    if (code := CODES.get(was[0])) is None:
        return "differs"
    before, after = array(code, was[2]), array(code, now[2])
    width = before.itemsize
    changed = [
        i
        for i in range(len(before))
        if was[2][i * width : (i + 1) * width] != now[2][i * width : (i + 1) * width]
    ]
    most = max(abs(after[i] - before[i]) for i in changed)
    size = "" if math.isnan(most) else f", by at most {most:.2g}"
    verb = "differs" if len(changed) == 1 else "differ"
    return f"{len(changed)} of {len(before)} values {verb}{size}"
