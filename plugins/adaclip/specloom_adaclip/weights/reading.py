"""Tensors from a local file of weights of any type, without running pickled code."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from specloom import IntegrityError, UnavailableError
from specloom_adaclip.weights.file_types import START_LENGTH, file_type, why_not_weights
from specloom_adaclip.weights.torchscript import is_torchscript, read_torchscript

FETCH_AGAIN = "fetch it again"
SAVE_STATE_DICT = "save model.state_dict() alone, best as safetensors"


class Weights(NamedTuple):
    """Tensors by name, and the metadata of their file."""

    tensors: dict[str, Tensor]
    metadata: Mapping[str, str]


def read_weights(path: Path) -> Weights:
    """Read the tensors of a safetensors file, a saved state dict or a TorchScript archive.

    Raises:
        IntegrityError: The file is something else, cut off, or a pickle that would run code.
        UnavailableError: It cannot be read.
    """
    start = _read_start(path)
    reason = why_not_weights(start)
    if reason:
        raise IntegrityError(reason, where=str(path), fix=FETCH_AGAIN)
    kind = file_type(start)
    if kind == "safetensors":
        return _read_safetensors(path)
    if kind == "zip":
        return Weights(_read_zip(path), {})
    return Weights(_read_state_dict(path), {})


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(START_LENGTH)
    except OSError as e:
        fix = "check the path and its permissions"
        raise UnavailableError(f"{path} cannot be read: {e.strerror}", fix=fix) from e


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            return Weights(tensors, file.metadata() or {})
    except SafetensorError as e:
        raise _damaged(path, str(e)) from e


def _read_zip(path: Path) -> dict[str, Tensor]:
    try:
        if is_torchscript(path):
            return read_torchscript(path)
        return _read_state_dict(path)
    except zipfile.BadZipFile as e:
        raise _damaged(path, str(e)) from e


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        what = "it is a pickle of more than tensors, which would run code of its own"
        raise IntegrityError(what, where=str(path), fix=SAVE_STATE_DICT) from e
    except Exception as e:
        raise _damaged(path, type(e).__name__) from e
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not _is_state_dict(loaded):
        what = "it holds something else than tensors by name"
        raise IntegrityError(what, where=str(path), fix=SAVE_STATE_DICT)
    return {str(name): value for name, value in loaded.items()}


def _is_state_dict(loaded: Any) -> bool:
    if not isinstance(loaded, Mapping) or not loaded:
        return False
    return all(torch.is_tensor(value) for value in loaded.values())


def _damaged(path: Path, reason: str) -> IntegrityError:
    what = f"the file is damaged or cut off ({reason})"
    return IntegrityError(what, where=str(path), fix=FETCH_AGAIN)
