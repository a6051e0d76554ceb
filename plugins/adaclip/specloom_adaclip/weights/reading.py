"""Tensors from a local file of weights, whatever its form, without running pickled code."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from specloom import IntegrityError, UnavailableError
from specloom_adaclip.weights.file_types import form, not_weights
from specloom_adaclip.weights.torchscript import archived_tensors, is_archive

AGAIN = "fetch it again"


class Weights(NamedTuple):
    """What a file of weights holds: tensors by name, and what it says about them."""

    tensors: dict[str, Tensor]
    about: Mapping[str, str]


def read_weights(path: Path) -> Weights:
    """Tensors of a safetensors file, a saved state dict or a TorchScript archive.

    Raises:
        IntegrityError: The file is something else, cut off, or a pickle that wants to run code.
        UnavailableError: It cannot be read.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as e:
        fix = "check the path and its permissions"
        raise UnavailableError(f"{path} cannot be read: {e.strerror}", fix=fix) from e
    if reason := not_weights(start):
        raise IntegrityError(reason, where=where, fix=AGAIN)
    if (kind := form(start)) == "zip":
        try:
            return Weights(archived_tensors(path) if is_archive(path) else _state_dict(path), {})
        except zipfile.BadZipFile as e:
            what = f"the file is damaged or cut off ({e})"
            raise IntegrityError(what, where=where, fix=AGAIN) from e
    if kind == "pickle":
        return Weights(_state_dict(path), {})
    return _safetensors(path, start)


def _safetensors(path: Path, start: bytes) -> Weights:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with path.open("rb") as file:
            header = json.loads(file.read(8 + int.from_bytes(start[:8], "little"))[8:])
        return Weights(load_file(path), header.get("__metadata__", {}))
    except (SafetensorError, ValueError, AttributeError, RecursionError) as e:
        what = f"the file is damaged or cut off ({e})"
        raise IntegrityError(what, where=str(path), fix=AGAIN) from e


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        what = "it is a pickle of more than tensors, which would run code of its own"
        fix = "save model.state_dict() alone, best as safetensors"
        raise IntegrityError(what, where=str(path), fix=fix) from e
    except Exception as e:
        what = f"the file is damaged or cut off ({type(e).__name__})"
        raise IntegrityError(what, where=str(path), fix=AGAIN) from e
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    named = isinstance(found, Mapping) and found and all(map(torch.is_tensor, found.values()))
    if not named:
        what = "it holds something else than tensors by name"
        fix = "save model.state_dict() alone, best as safetensors"
        raise IntegrityError(what, where=str(path), fix=fix)
    return {str(name): value for name, value in found.items()}
