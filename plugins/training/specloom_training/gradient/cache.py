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
    """Values by key, up to a bound in memory and another one on disk.

    Args:
        run: The run; its runtime writes and reads the files.
        memory_mb: How much to keep in memory.
        disk_mb: How much to keep on disk, in a folder that is removed in the end.
    """

    def __init__(self, run: Run, memory_mb: int, disk_mb: int) -> None:
        self.run, self.limits = run, (memory_mb * MB, disk_mb * MB)
        self.used = [0, 0]
        self._kept: dict[Hashable, Mapping[str, Any] | Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> dict[str, Any]:
        """The values under ``key``, on the device of the run."""
        found = self._kept[key]
        if isinstance(found, Path):
            found = self.run.runtime.load(found.read_bytes())[0]
        device = self.run.runtime.device
        return {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in found.items()
        }

    def put(self, key: Hashable, values: Mapping[str, Any]) -> None:
        """Keep ``values`` if there is room."""
        values = {n: v.cpu() if isinstance(v, Tensor) else v for n, v in values.items()}
        size = sum(v.nbytes for v in values.values() if isinstance(v, Tensor))
        if self.used[0] + size <= self.limits[0]:
            self.used[0] += size
            self._kept[key] = values
        elif self.used[1] + size <= self.limits[1] and _plain(values):
            try:
                self._kept[key] = self._write(values)
                self.used[1] += size
            except (OSError, SpecloomError):  # a full disk costs time only
                self.limits = (self.limits[0], 0)

    def _write(self, values: Mapping[str, Any]) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(
                prefix=PREFIX, dir=self.run.folder, ignore_cleanup_errors=True
            )
        path = Path(self._folder.name) / f"{len(self._kept)}.safetensors"
        path.write_bytes(self.run.runtime.dump(values, {}))
        return path

    def close(self) -> None:
        """Forget everything, and remove the folder."""
        self._kept.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _plain(values: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Tensor) for value in values.values())
