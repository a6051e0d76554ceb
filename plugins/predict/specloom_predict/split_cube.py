"""One cube on many processes: what each makes of a tile, and how one puts the tiles together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from specloom import IntegrityError
from specloom_predict.tile_files import read_tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_predict.domain import SampledScene
    from specloom_predict.tiled_run import FirstPass, Tile

MAP = "map:"
"""How the names of maps begin in the file of a tile; the rest is ``node.port``."""

KNOWN = "known:"
"""How the names begin of what is known of the pixels that were read."""


class TilesOfCube:
    """The tiles of an open cube, of which this process makes any.

    Args:
        first_pass: Makes their maps.
        scene: Knows what was read.
    """

    def __init__(self, first_pass: FirstPass, scene: SampledScene) -> None:
        self._first_pass = first_pass
        self._scene = scene

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self._first_pass.tiles)

    @property
    def reader_of_bands(self) -> tuple[str, str] | None:
        """The node that needs a whole image of many bands, and that image; None without one."""
        return self._first_pass.reader_of_bands

    def make(self, number: int) -> MadeTile:
        """Make a tile.

        Raises:
            SpecloomError: The cube cannot be read, or does not fit the pipeline.
        """
        started = time.monotonic()
        maps = self._first_pass.make(number)
        arrays = {f"{MAP}{end}": values for end, values in maps.items()}
        inner = self._first_pass.tiles[number].inner
        for name, values in self._scene.part(*inner).items():
            arrays[f"{KNOWN}{name}"] = values
        return MadeTile(arrays, time.monotonic() - started)


class MadeTile(NamedTuple):
    """What was made of a tile.

    Args:
        arrays: The maps, and what is known of the pixels, by name.
        seconds: How long it took.
    """

    arrays: Mapping[str, NDArray[Any]]
    seconds: float


@dataclass
class SplitCube:
    """What other processes made of the tiles of a cube.

    Args:
        folder: The folder of the tiles.
        seconds: How long those took that were read so far.
    """

    folder: Path
    seconds: float = 0.0

    def tiles_for(self, scene: SampledScene) -> _TilesForScene:
        """The tiles, of which a scene takes in what is known of its pixels."""
        return _TilesForScene(self, scene)


class _TilesForScene:
    """The tiles of a cube as ``run_tiled`` reads them.

    Args:
        split: The tiles.
        scene: The scene that they are parts of.
    """

    def __init__(self, split: SplitCube, scene: SampledScene) -> None:
        self._split = split
        self._scene = scene

    def read(self, number: int, tile: Tile) -> Mapping[str, NDArray[Any]]:
        """The maps of a tile without its margin, by ``node.port``.

        Raises:
            IntegrityError: Its file is not there, damaged, or of another tile.
        """
        arrays, seconds = read_tile(self._split.folder, number)
        self._split.seconds += seconds
        maps = {}
        known = {}
        for name, values in arrays.items():
            if name.startswith(MAP):
                maps[name.removeprefix(MAP)] = values
            else:
                known[name.removeprefix(KNOWN)] = values
        rows, columns = tile.inner
        size = (rows.stop - rows.start, columns.stop - columns.start)
        if any(values.shape[1:3] != size for values in maps.values()):
            what = f"tile {number} in {self._split.folder} is of another cube"
            raise IntegrityError(what, fix="predict the cube again")
        self._scene.add_part(rows, columns, known)
        return maps
