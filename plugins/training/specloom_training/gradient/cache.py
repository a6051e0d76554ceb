"""What was computed once and is used again in every epoch: in memory, then on disk, bounded."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from specloom import Run, SpecloomError

MB = 2**20
PREFIX = ".cache-"


class Cache:
    """Values by key, up to a limit in memory and another one on disk.

    Args:
        run: The run; its runtime writes and reads the files.
        memory_mb: The limit in memory.
        disk_mb: The limit on disk, in a folder that is removed in the end.
    """

    def __init__(self, run: Run, memory_mb: int, disk_mb: int) -> None:
        self.run = run
        self._free_memory = memory_mb * MB
        self._free_disk = disk_mb * MB
        self._entries: dict[Hashable, Mapping[str, Any] | Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> dict[str, Any]:
        """The values under ``key``, on the device of the run."""
        values = self._entries[key]
        if isinstance(values, Path):
            values = self.run.runtime.load(values.read_bytes())[0]
        device = self.run.runtime.device
        return {name: _on_device(value, device) for name, value in values.items()}

    def put(self, key: Hashable, values: Mapping[str, Any]) -> None:
        """Store ``values`` if there is room."""
        values = {name: _on_device(value, "cpu") for name, value in values.items()}
        size = sum(value.nbytes for value in values.values() if isinstance(value, Tensor))
        if size <= self._free_memory:
            self._free_memory -= size
            self._entries[key] = values
        elif size <= self._free_disk and _only_tensors(values):
            try:
                self._entries[key] = self._write(values)
                self._free_disk -= size
            except (OSError, SpecloomError):  # a full disk costs time only
                self._free_disk = 0

    def _write(self, values: Mapping[str, Any]) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix=PREFIX, dir=self.run.folder, ignore_cleanup_errors=True
            )
        path = Path(self._folder.name) / f"{len(self._entries)}.safetensors"
        path.write_bytes(self.run.runtime.dump(values, {}))
        return path

    def close(self) -> None:
        """Forget everything, and remove the folder."""
        self._entries.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _on_device(value: Any, device: str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return value


def _only_tensors(values: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Tensor) for value in values.values())
