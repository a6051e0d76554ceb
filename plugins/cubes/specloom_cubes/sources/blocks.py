"""One scene cut into blocks, for training and testing on different parts of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from specloom import STAGES, Batch, ConfigError, DataError, Port, Ticket
from specloom_cubes.cube import (  # noqa: TC001  (resolved from the signature)
    Axes,
    RawCalibration,
    Scale,
    WantedBands,
)
from specloom_cubes.paths import there
from specloom_cubes.sources.common import CALIBRATED, check_batch_size, warn_once
from specloom_cubes.sources.described_scene import describe_scene
from specloom_cubes.sources.mask_options import Masks  # noqa: TC001  (resolved from the signature)
from specloom_cubes.sources.scene import Scene, scene_of
from specloom_cubes.sources.windows import LargeImageSource, is_large
from specloom_cubes.splits import Shares, divide, items_of

if TYPE_CHECKING:
    from specloom import ImageWindows
    from specloom_cubes.sources.description import SplitDescription

Block: TypeAlias = tuple[slice, slice]
"""Rows and columns."""

LABEL = "Blocks"


class Blocks(LargeImageSource):
    """One scene cut into square blocks, each a small cube in one split: no pixel is in two.

    Neighbouring pixels are alike, so a random choice of pixels would test on what was trained on;
    ``gap`` leaves a margin between blocks as well. Blocks at the lower and right edges are smaller
    where the scene is no multiple of ``block``. Everything else is as for ``Scene``.

    Args:
        cube: The scene.
        mask: Class numbers of the pixels; by default from the scene's own file.
        block: Rows and columns of a block.
        gap: Pixels between two blocks, which are in no split.
        split: Shares of the blocks for train, val and test, by default [0.5, 0.25, 0.25]; predict
            is test.
        folds: Instead of ``split``: so many folds, of which one is the test, the next one val.
        fold: Which fold is the test, from 0.
        seed: Shuffles the blocks before they are dealt out.
        batch_size: Blocks in a batch; only blocks of one size share a batch.
        cube_variable: The array that is the cube, where a file holds several.
        mask_variable: The array that is the mask, where a file holds several.
        wavelengths: CSV with the band centres in nm, used instead of those in the file.
        find_mask: Whether to look for a mask in the scene's own file where none is named.
        valid: A file like a mask, not 0 for the pixels that may be used.
        valid_variable: The array that says so, in that file or the scene's own.
        axes: The order of the axes in the file, where it is not as stated or assumed: ``HWC``,
            ``CHW`` or ``HCW`` (H rows, W columns, C bands).
        shape: Rows and columns, where the file holds a matrix of pixels (pixels x bands).
        scale: ``physical``: scale and offset that the file states are applied; ``stored``: the
            stored numbers are used as they are.
        masks: What the colours of the mask mean: ``{colors: {"#ff0000": 1, "#0000ff": 0}}``.
        calibration: Raw counts to reflectance: ``capture`` for the references that the folder of
            the capture has, or ``{white: FILE, dark: FILE, panel: 0.99}``; see the page "From
            camera to cube" for all fields.
        bands: Which bands, and on which grid: ``{ranges: [[450, 900]], water_vapour: true}``,
            ``{resample: bands.csv}``, ``{binning: 2}``.
        binning: Rows and columns that become one pixel, such as ``[2, 2]``; in masks the class of
            most of its pixels counts.
    """

    outputs: ClassVar[Mapping[str, Port]] = CALIBRATED
    addresses = Scene.addresses
    one_size = "use batch_size: 1, or a block size that divides the scene"

    def __init__(
        self,
        cube: str,
        mask: str | None = None,
        block: int = 16,
        gap: int = 0,
        split: Shares | None = None,
        folds: int | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 1,
        cube_variable: str | None = None,
        mask_variable: str | None = None,
        wavelengths: str | None = None,
        find_mask: bool = True,
        valid: str | None = None,
        valid_variable: str | None = None,
        axes: Axes | None = None,
        shape: tuple[int, int] | None = None,
        scale: Scale = "physical",
        masks: Masks | None = None,
        calibration: RawCalibration | None = None,
        bands: WantedBands | None = None,
        binning: tuple[int, int] | None = None,
    ) -> None:
        self.cube = cube
        self.mask = mask
        self.block = block
        self.gap = gap
        self.split = split
        self.folds = folds
        self.fold = fold
        self.seed = seed
        self.batch_size = batch_size
        self.cube_variable = cube_variable
        self.mask_variable = mask_variable
        self.wavelengths = wavelengths
        self.find_mask = find_mask
        self.valid = valid
        self.valid_variable = valid_variable
        self.axes = axes
        self.shape = shape
        self.scale = scale
        self.masks = masks
        self.calibration = calibration
        self.bands = bands
        self.binning = binning
        self._scene: Scene | None = None
        self._ticket_scene: Scene | None = None
        self._cut: list[Block] | None = None
        self._splits: dict[str, list[int]] | None = None

    def sizes(self) -> Mapping[str, int]:
        """Good bands, and rows and columns where all blocks are of one size."""
        if self._scene is None and not there(self.cube):
            return {}
        self._divided()  # so that a wrong split is an error before anything runs
        shapes = {_shape(block) for block in self.blocks()}
        sizes = {"C": len(self._opened().opened().good_bands)}
        if len(shapes) == 1:
            sizes["H"], sizes["W"] = shapes.pop()
        return sizes

    def notes(self) -> list[str]:
        """Files that are not there, and whether the cube looks like a picture."""
        return [*self._opened().notes(), *self._notes_on_blocks()]

    def _notes_on_blocks(self) -> list[str]:
        """That there is one block, where that leaves splits empty."""
        if not there(self.cube) or len(self.blocks()) > 1:
            return []
        rows, cols = self._opened().opened().shape[:2]
        what = (
            f"a block of {self.block} x {self.block} pixels holds the whole scene "
            f"({rows} x {cols}): it is all in one split"
        )
        fix = f"write a smaller block, such as block: {_smaller(rows, cols)}"
        return [str(ConfigError(what, fix=fix))]

    def missing(self) -> list[DataError]:
        """An error for each of its files that is not there."""
        return self._opened().missing()

    def read_options(self) -> Mapping[str, Any]:
        """The scale, and how raw cubes are processed, which predictions need too."""
        return self._opened().read_options()

    def splits(self) -> Sequence[str]:
        """The splits that have blocks; all of them where the scene is absent."""
        if self._scene is None and not there(self.cube):
            return STAGES
        return [split for split, numbers in self._divided().items() if numbers]

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where the scene has none."""
        return self._opened().missing_outputs(split)

    def absent_outputs(self) -> Mapping[str, str]:
        """``wavelengths`` where nothing states them."""
        return self._opened().absent_outputs()

    def describe(self, split: str) -> SplitDescription | None:
        """The blocks of a split; None where a file of the scene is absent."""
        if self._scene is None and not there(self.cube):
            return None
        blocks = self.blocks()
        chosen = [blocks[number] for number in items_of(split, self._divided(), LABEL)]
        names = [_name(block) for block in chosen]
        return describe_scene(self._opened(), split, "block", names, chosen)

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        return len(self._numbers_by_batch(split))

    def batch_numbers(self, split: str) -> Iterator[Sequence[int]]:
        """The blocks of each batch, row by row; batches of smaller blocks come last."""
        yield from self._numbers_by_batch(split)

    def items(self, split: str) -> int:
        """The number of blocks of a split."""
        return len(items_of(split, self._divided(), LABEL))

    def ticket(self, split: str, number: int) -> Ticket:
        """The parameters of the scene, and the rows and columns of a block."""
        chosen = items_of(split, self._divided(), LABEL)
        rows, columns = self.blocks()[chosen[number]]
        cube = self._opened().opened()
        pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
        return {
            **self._opened().parameters(),
            "rows": [rows.start, rows.stop],
            "columns": [columns.start, columns.stop],
            "bytes": pixels * len(cube.good_bands) * cube.dtype.itemsize,
        }

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The block of a ticket; its scene stays open for the next ones."""
        scene = self._scene_of(ticket)
        return scene.window(slice(*ticket["rows"]), slice(*ticket["columns"]))

    def read_windows(self, ticket: Ticket) -> Batch | ImageWindows:
        """The block of a ticket, or its windows where it is large."""
        scene = self._scene_of(ticket)
        rows = slice(*ticket["rows"])
        columns = slice(*ticket["columns"])
        if not is_large(scene.opened(), *_shape((rows, columns))):
            return self.read_ticket(ticket)
        return scene.windows(rows, columns, partial(self.read_ticket, ticket))

    def _scene_of(self, ticket: Ticket) -> Scene:
        """The scene of a ticket, which stays open for the next ones."""
        self._ticket_scene = scene_of(ticket, self._ticket_scene or self._opened())
        warn_once(self, self._ticket_scene.opened())
        return self._ticket_scene

    def blocks(self) -> list[Block]:
        """Rows and columns of every block, row by row.

        Raises:
            ConfigError: ``block`` or ``gap`` is too small.
        """
        if self._cut is None:
            self._cut = self._cut_scene()
        return self._cut

    def _cut_scene(self) -> list[Block]:
        if self.block < 1:
            raise ConfigError(f"{LABEL}: block is {self.block}", fix="write block: 1 or more")
        if self.gap < 0:
            raise ConfigError(f"{LABEL}: gap is {self.gap}", fix="write gap: 0 or more")
        height, width, _ = self._opened().opened().shape
        step = self.block + self.gap
        columns = [slice(x, min(x + self.block, width)) for x in range(0, width, step)]
        blocks: list[Block] = []
        for y in range(0, height, step):
            rows = slice(y, min(y + self.block, height))
            blocks += [(rows, part) for part in columns]
        return blocks

    def _numbers_by_batch(self, split: str) -> list[list[int]]:
        check_batch_size(self.batch_size, LABEL)
        blocks = self.blocks()
        by_shape: dict[tuple[int, int], list[int]] = {}
        for number, block in enumerate(items_of(split, self._divided(), LABEL)):
            by_shape.setdefault(_shape(blocks[block]), []).append(number)
        batches: list[list[int]] = []
        for shape in sorted(by_shape, reverse=True):
            numbers = by_shape[shape]
            starts = range(0, len(numbers), self.batch_size)
            batches += [numbers[first : first + self.batch_size] for first in starts]
        return batches

    def _divided(self) -> dict[str, list[int]]:
        if self._splits is None:
            names = [_name(block) for block in self.blocks()]
            self._splits = divide(names, LABEL, self.split, self.folds, self.fold, seed=self.seed)
        return self._splits

    def _opened(self) -> Scene:
        if self._scene is None:
            self._scene = Scene(
                self.cube,
                self.mask,
                self.cube_variable,
                self.mask_variable,
                self.wavelengths,
                self.find_mask,
                self.valid,
                self.valid_variable,
                self.axes,
                self.shape,
                self.scale,
                self.masks,
                self.calibration,
                self.bands,
                self.binning,
            )
        return self._scene


def _smaller(rows: int, cols: int) -> int:
    """A block of which some dozen lie in a scene."""
    return max(1, min(rows, cols) // 4)


def _name(block: Block) -> str:
    rows, cols = block
    return f"{rows.start:06d}-{cols.start:06d}"


def _shape(block: Block) -> tuple[int, int]:
    rows, cols = block
    return rows.stop - rows.start, cols.stop - cols.start
