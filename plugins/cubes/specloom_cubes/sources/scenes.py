"""Several scenes from files, each with all of its pixels in every split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from specloom import STAGES, Batch, ConfigError, Port, Ticket
from specloom_cubes.cube import RawCalibration, Reading, Scale, WantedBands
from specloom_cubes.paths import there
from specloom_cubes.sources.common import CALIBRATED, require_split
from specloom_cubes.sources.description import (
    ClassCounts,
    SplitDescription,
    describe_cubes,
    summarise,
    wavelength_range,
)
from specloom_cubes.sources.grid import check_same_grid
from specloom_cubes.sources.scene import Scene
from specloom_cubes.sources.windows import LargeImageSource
from specloom_cubes.valid_files import check_pattern, read_options

if TYPE_CHECKING:
    from specloom import ImageWindows

LABEL = "Scenes"


class Scenes(LargeImageSource):
    """Scenes from files, one in each batch, with the SAME pixels in train, val, test and predict.

    It is ``Scene`` for several files: a detector is fitted on all of them together, and scores
    each. All must have one band grid. A figure from it is a fit, not a test. Paths are relative to
    the current folder.

    Args:
        cubes: The scenes: ENVI (either file), .mat, HDF5, .npy, .npz or TIFF.
        masks: A mask for each scene, in their order; none by default. Masks within the scenes'
            own files are not looked for.
        variable: The array that is the cube, where a file holds several.
        wavelengths: CSV with the band centres, used instead of those in the files.
        scale: ``physical``: scale and offset that the files state are applied; ``stored``: the
            stored numbers are used as they are.
        calibration: Raw counts to reflectance, as of ``Folder``.
        bands: Which bands, and on which grid, as of ``Folder``.
        binning: Rows and columns that become one pixel, as of ``Folder``.
        valid: The pattern of the files that say which pixels count, as of ``Folder``.

    Raises:
        ConfigError: There is no scene, another number of masks, or one file of valid pixels.
    """

    outputs: ClassVar[Mapping[str, Port]] = CALIBRATED
    addresses = ("cube", "mask", "wavelengths", "valid")
    batch_size = 1

    def __init__(
        self,
        cubes: list[str],
        masks: list[str] | None = None,
        variable: str | None = None,
        wavelengths: str | None = None,
        scale: Scale = "physical",
        calibration: RawCalibration | None = None,
        bands: WantedBands | None = None,
        binning: tuple[int, int] | None = None,
        valid: str | None = None,
    ) -> None:
        self.cubes = cubes
        self.masks = masks
        self.variable = variable
        self.wavelengths = wavelengths
        self.scale = scale
        self.calibration = calibration
        self.bands = bands
        self.binning = binning
        self.valid = valid
        self._made: list[Scene] = []

    def scenes(self) -> list[Scene]:
        """The scenes.

        Raises:
            ConfigError: There is none, another number of masks, or one file of valid pixels.
        """
        if self._made:
            return self._made
        if not self.cubes:
            raise ConfigError(f"{LABEL}: cubes is empty", fix="name one file at least")
        self._reading()  # so that a wrong scale is an error before anything is opened
        check_pattern(self.valid, LABEL)
        masks: Sequence[str | None] = [None] * len(self.cubes)
        if self.masks is not None:
            masks = self.masks
        if len(masks) != len(self.cubes):
            what = f"{LABEL}: there are {len(self.cubes)} cubes and {len(masks)} masks"
            raise ConfigError(what, fix="name one mask for each cube, in the order of the cubes")
        made = []
        for cube, mask in zip(self.cubes, masks, strict=True):
            scene = Scene(
                cube,
                mask,
                self.variable,
                wavelengths=self.wavelengths,
                find_mask=False,
                valid=self.valid,
                scale=self.scale,
                calibration=self.calibration,
                bands=self.bands,
                binning=self.binning,
            )
            made.append(scene)
        self._made = made
        return made

    def sizes(self) -> Mapping[str, int]:
        """Good bands, and rows and columns where all scenes have the same; none without files.

        Raises:
            DataError: The scenes have different bands, wavelengths or scales.
        """
        scenes = self.scenes()
        if not all(there(scene.cube) for scene in scenes):
            return {}
        cubes = [scene.opened() for scene in scenes]
        check_same_grid(cubes, same_size=False, wavelengths=self.wavelengths is None)
        sizes = {"C": len(cubes[0].good_bands)}
        shapes = {cube.shape[:2] for cube in cubes}
        if len(shapes) == 1:
            sizes["H"], sizes["W"] = cubes[0].shape[:2]
        return sizes

    def notes(self) -> list[str]:
        """What a user should know of each scene."""
        found: list[str] = []
        for scene in self.scenes():
            found += scene.notes()
        return list(dict.fromkeys(found))

    def read_options(self) -> Mapping[str, Any]:
        """The scale, the valid pixels and the processing, which predictions need too."""
        return {**read_options(self.scale, self.valid, None), **self._reading().processing()}

    def _reading(self) -> Reading:
        return Reading(
            scale=self.scale,
            calibration=self.calibration,
            bands=self.bands,
            binning=self.binning,
        )

    def splits(self) -> Sequence[str]:
        """All of them."""
        return STAGES

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where there are none."""
        require_split(split)
        if self.masks is None:
            return ["mask"]
        return []

    def absent_outputs(self) -> Mapping[str, str]:
        """``wavelengths`` where a scene states none."""
        for scene in self.scenes():
            absent = scene.absent_outputs()
            if absent:
                return absent
        return {}

    def describe(self, split: str) -> SplitDescription | None:
        """The scenes; None where a file is absent."""
        require_split(split)
        scenes = self.scenes()
        files = [self.wavelengths, *self.cubes]
        if self.masks is not None:
            files += self.masks
        if not all(there(file) for file in files if file is not None):
            return None
        counts = ClassCounts()
        keys = []
        if self.masks is not None:
            for number, scene in enumerate(scenes):
                keys.append(number)
                labels = scene.counted_labels()
                if labels is not None and labels[0] is not None:
                    counts.add(number, labels[0])
        table_range = None
        if self.wavelengths is not None:
            table_range = wavelength_range(scenes[0].centres())
        return describe_cubes(
            "scene",
            [Path(cube).name for cube in self.cubes],
            [summarise(scene.opened()) for scene in scenes],
            counts.describe("the masks that are named", keys),
            table=self.wavelengths,
            table_range=table_range,
        )

    def items(self, split: str) -> int:
        """The number of scenes."""
        require_split(split)
        return len(self.cubes)

    def ticket(self, split: str, number: int) -> Ticket:
        """How a scene is read."""
        return self.scenes()[number].ticket(split, 0)

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The whole scene."""
        return self._scene_of(ticket).read_ticket(ticket)

    def read_windows(self, ticket: Ticket) -> Batch | ImageWindows:
        """The whole scene, or its windows where it is large."""
        return self._scene_of(ticket).read_windows(ticket)

    def _scene_of(self, ticket: Ticket) -> Scene:
        """The scene of a ticket, or else the first one, which reads any ticket."""
        for scene in self.scenes():
            if scene.cube == ticket["cube"]:
                return scene
        return self.scenes()[0]
