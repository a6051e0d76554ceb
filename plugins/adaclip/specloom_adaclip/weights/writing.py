"""Adapters as a file that others can read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from specloom import write_file

PICKLED = (".pth", ".pt")


def write_adapters(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write adapters under the names of public checkpoints, in one step.

    Args:
        path: ``.pth`` and ``.pt`` are written as torch does, all else as safetensors.
        tensors: The adapters by name.

    Raises:
        UnavailableError: The file cannot be written.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    if path.suffix in PICKLED:
        content = io.BytesIO()
        torch.save(plain, content)
        write_file(path, content.getvalue())
        return
    from safetensors.torch import save

    write_file(path, save(plain))
