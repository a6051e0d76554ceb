"""One scene from a file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from specloom import STAGES, Batch, ConfigError, DataError, Port, Ticket
from specloom_cubes.cube import ALL, Axes, RawCalibration, Reading, Scale, WantedBands
from specloom_cubes.masks import (
    Mask,
    load_mask,
    own_arrays_of,
    own_mask,
    own_mask_name,
    read_mask,
    valid_pixels,
    validity_arrays_of,
)
from specloom_cubes.paths import expand, there
from specloom_cubes.processing.selecting import bin_labels, bin_valid
from specloom_cubes.reading import open_cube
from specloom_cubes.rules.coco_cubes import image_of_cube
from specloom_cubes.rules.masks import ValidityArrays, note_on_rejected
from specloom_cubes.sources.common import (
    CALIBRATED,
    NO_WAVELENGTHS,
    absent_errors,
    batch_of,
    check_fits,
    notes_on,
    require_split,
    warn_once,
)
from specloom_cubes.sources.described_scene import Labels, describe_scene
from specloom_cubes.sources.description import MOST_PIXELS, SplitDescription
from specloom_cubes.sources.mask_options import Masks, mask_options
from specloom_cubes.sources.notes import capture_notes
from specloom_cubes.sources.windows import (
    LargeImageSource,
    RowWindows,
    is_large,
    rows_of_window,
)
from specloom_cubes.valid_files import is_valid_pattern, read_options, valid_file
from specloom_cubes.wavelengths import read_wavelengths, table_notes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from specloom import ImageWindows
    from specloom_cubes.cube import Cube

LABEL = "Scene"

PARAMETERS = (
    "cube",
    "mask",
    "cube_variable",
    "mask_variable",
    "wavelengths",
    "find_mask",
    "valid",
    "valid_variable",
    "axes",
    "shape",
    "scale",
    "masks",
    "calibration",
    "bands",
    "binning",
)
"""What a scene is made from."""


class Scene(LargeImageSource):
    """One scene, as a batch of one, with the SAME pixels in train, val, test and predict.

    This is how anomaly detectors such as RX are evaluated in the literature: statistics and
    scores come from one scene. A figure from a trained detector on it is a fit, not a test;
    ``Blocks`` cuts a scene into splits. Bands that the header marks bad are excluded; "no data"
    is NaN. Paths are relative to the current folder.

    Args:
        cube: The scene: ENVI (either file), .mat, HDF5, .npy, .npz or TIFF.
        mask: Class numbers of the pixels: PNG, BMP, COCO annotations (.json), or any of the formats
            of cubes. By default the only 2-D array of the scene's size in the same file, if there
            is one.
        cube_variable: The array that is the cube, where a file holds several.
        mask_variable: The array that is the mask, where a file holds several; of a COCO file the
            image, by its file name or id, by default the one with the cube's name.
        wavelengths: CSV with a column ``wavelength_nm``, or else its first column of numbers; used
            instead of those in the file.
        find_mask: Whether to look for a mask in the scene's own file where none is named; false
            says that the 2-D array there is something else.
        valid: A file like a mask, not 0 for the pixels that may be used; others are excluded
            from fits and metrics. With ``*``, as in ``*_roi.png``, that is the name of the cube, in
            whose folder the path begins; ``specloom predict`` finds the files of other cubes so.
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
    addresses = ("cube", "mask", "wavelengths", "valid")
    batch_size = 1

    def __init__(
        self,
        cube: str,
        mask: str | None = None,
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
        self.cube_variable = cube_variable
        self.mask_variable = mask_variable
        self.wavelengths = wavelengths
        self.find_mask = find_mask
        self.valid = valid
        self._valid_rule = valid
        if valid is not None and is_valid_pattern(valid):
            self.valid = str(valid_file(expand(cube), valid))
        self.valid_variable = valid_variable
        self.axes = axes
        self.shape = shape
        self.scale = scale
        self.masks = masks
        self.calibration = calibration
        self.bands = bands
        self.binning = binning
        self._opened: Cube | None = None
        self._labels: Labels | None = None
        self._mask_flaws: Sequence[str] = ()
        self._warned = False

    def sizes(self) -> Mapping[str, int]:
        """Rows, columns and good bands from the header; nothing where the file is absent."""
        self._colors()  # so that a wrong colour is an error before anything runs
        if self._opened is None and not there(self.cube):
            return {}
        cube = self.opened()
        return {"H": cube.shape[0], "W": cube.shape[1], "C": len(cube.good_bands)}

    def notes(self) -> list[str]:
        """Files that are not there, whether the cube looks like a picture, and the mask's flaws."""
        notes = [str(error) for error in self.missing()]
        if there(self.cube):
            notes += notes_on(self.opened())
            if self.calibration is None:
                notes += capture_notes([expand(self.cube)])
            if self.wavelengths is not None:
                notes += table_notes(self.wavelengths, self.opened())
            notes += self._notes_on_mask()
        return notes

    def missing(self) -> list[DataError]:
        """An error for each of its files that is not there."""
        files = {"cube": self.cube, "mask": self.mask, "valid": self.valid}
        return absent_errors(**files, wavelengths=self.wavelengths)

    def _notes_on_mask(self) -> list[str]:
        """What a user should know of the mask, or why nothing in the file is one."""
        if self.mask is not None and not there(self.mask):
            return []
        try:
            self.counted_labels()
        except DataError as error:
            return [str(error)]
        return list(self._mask_flaws)

    def read_options(self) -> Mapping[str, Any]:
        """The scale, the valid pixels and the processing, which predictions need too."""
        stated = read_options(self.scale, self._valid_rule, self.valid_variable)
        return {**stated, **self.reading.processing()}

    def splits(self) -> Sequence[str]:
        """All of them."""
        return STAGES

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where the scene has none; nothing where its file is absent."""
        require_split(split)
        if self.mask is not None or not there(self.cube):
            return []
        if self.mask_variable is None and not self.find_mask:
            return ["mask"]
        return ["mask"] if self.mask_array() is None else []

    def absent_outputs(self) -> Mapping[str, str]:
        """``wavelengths`` where nothing states them; nothing where the file is absent."""
        if not there(self.cube) or self.wavelengths is not None:
            return {}
        if self.opened().wavelengths is not None:
            return {}
        return {"wavelengths": NO_WAVELENGTHS}

    def describe(self, split: str) -> SplitDescription | None:
        """The scene; None where a file is absent."""
        require_split(split)
        names = [Path(self.cube).name]
        description = describe_scene(self, split, "scene", names, [(ALL, ALL)])
        if description is None:
            return None
        return replace(description, contents=names)

    def mask_array(self) -> str | None:
        """The array of the scene's own file that is its mask, or None."""
        cube = self.opened().with_masks
        return own_mask_name(cube, self.mask_variable, other_than=self._other())

    def _other(self) -> str | None:
        """The array of the scene's own file that says which pixels count."""
        return self.valid_variable if self.valid is None else None

    def count(self, split: str) -> int:
        """One."""
        return self.items(split)

    def items(self, split: str) -> int:
        """One."""
        require_split(split)
        return 1

    def ticket(self, split: str, number: int) -> Ticket:
        """The parameters of the scene, and the size of its pixels."""
        require_split(split)
        return {**self.parameters(), "bytes": self.opened().good_bytes()}

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The whole scene, without values that are not known."""
        scene = scene_of(ticket, self)
        check_fits(scene.opened())
        warn_once(self, scene.opened())
        return scene.window(ALL, ALL)

    def read_windows(self, ticket: Ticket) -> Batch | ImageWindows:
        """The whole scene, or its windows where it is large."""
        scene = scene_of(ticket, self)
        height, width, _ = scene.opened().shape
        if not is_large(scene.opened(), height, width):
            return self.read_ticket(ticket)
        warn_once(self, scene.opened())
        return scene.windows(slice(0, height), slice(0, width), partial(self.read_ticket, ticket))

    def windows(self, rows: slice, cols: slice, read_whole: Callable[[], Batch]) -> ImageWindows:
        """A part of the scene in windows.

        Args:
            rows: Its rows, with both ends.
            cols: Its columns, with both ends.
            read_whole: Reads the whole part.
        """
        height = rows.stop - rows.start
        width = cols.stop - cols.start

        def read(within: slice) -> Batch:
            return self.window(slice(rows.start + within.start, rows.start + within.stop), cols)

        step = rows_of_window(self.opened(), width)
        return RowWindows(height, width, step, read, read_whole)

    def parameters(self) -> dict[str, Any]:
        """The parameters that the scene was made from."""
        parameters = {name: getattr(self, name) for name in PARAMETERS}
        for name in ("shape", "binning"):
            if parameters[name] is not None:
                parameters[name] = list(parameters[name])  # as it comes back from JSON
        return parameters

    def window(self, rows: slice, cols: slice) -> Batch:
        """The part of the scene in some rows and columns, as a batch of one."""
        cube = self.opened()
        mask, valid = self.labels()
        if not self._warned:
            self._warned = True
            for flaw in self._mask_flaws:
                warnings.warn(flaw, stacklevel=3)
        masks = None
        if mask is not None:
            masks = [mask[rows, cols]]
        parts = None
        if valid is not None:
            parts = [valid[rows, cols]]
        dark = None if cube.dark is None else cube.dark.clean()
        return batch_of([cube.clean(rows, cols)], masks, parts, self.centres(), dark)

    @property
    def reading(self) -> Reading:
        """How the scene is to be read."""
        return Reading.of_source(self)

    def opened(self) -> Cube:
        """The scene, its pixels not yet read."""
        if self._opened is None:
            self._opened = open_cube(self.cube, self.cube_variable, self.reading)
        return self._opened

    def labels(self) -> Labels:
        """Class numbers and which pixels are valid, (H, W) each, or None where nothing is known."""
        if self._labels is None:
            mask = self._read_mask()
            numbers = None
            if mask is not None:
                numbers = mask.numbers
                self._mask_flaws = mask.notes
            elif self.mask_variable is None and self.find_mask:
                rejected = own_arrays_of(self.opened().with_masks, self._other()).rejected
                if rejected:
                    self._mask_flaws = [note_on_rejected(self.cube, rejected)]
            self._labels = self._on_bins(numbers, self._read_valid())
        return self._labels

    def _on_bins(
        self, numbers: NDArray[np.int32] | None, valid: NDArray[np.bool_] | None
    ) -> Labels:
        """Labels of all pixels as those of the bins."""
        if self.binning is None:
            return numbers, valid
        if numbers is not None:
            numbers = bin_labels(numbers, *self.binning)
        if valid is not None:
            valid = bin_valid(valid, *self.binning)
        return numbers, valid

    def counted_labels(self) -> Labels | None:
        """The same, or None where they were not read yet and have very many pixels."""
        height, width, _ = self.opened().shape
        if self._labels is None and height * width > MOST_PIXELS:
            return None
        return self.labels()

    def _read_mask(self) -> Mask | None:
        """The mask with its notes, or None."""
        cube = self.opened().with_masks
        colors = self._colors()
        if self.mask is not None:
            variable = image_of_cube(self.mask, cube.path, self.mask_variable)
            return load_mask(self.mask, cube.shape, variable, colors)
        if self.mask_variable is None and not self.find_mask:
            return None
        name = own_mask_name(cube, self.mask_variable, other_than=self._other())
        if name is None:
            return None
        return load_mask(cube.path, cube.shape, name, colors)

    def _colors(self) -> dict[str, int] | None:
        """The class numbers by colour, as the user wrote them."""
        options = mask_options(self.masks, LABEL)
        if options.folder is not None:
            raise ConfigError(
                f"{LABEL}: masks names the folder {options.folder}, and there is one mask",
                fix="name its file as mask, and colors alone in masks",
            )
        return options.colors

    def _read_valid(self) -> NDArray[np.bool_] | None:
        """Which pixels are valid by the user's file and by the scene's own, (H, W), or None."""
        cube = self.opened().with_masks
        stated = None
        if self.valid is not None:
            stated = read_mask(self.valid, cube.shape, self.valid_variable)
        elif self.valid_variable is not None:
            stated = own_mask(cube, self.valid_variable, parameter="valid_variable")
        valid = valid_pixels(cube, self.validity_arrays())
        if stated is not None and not (stated > 0).any():
            what = f"{self.valid or self.valid_variable} excludes every pixel: it is 0 everywhere"
            raise DataError(what, fix="check it: it is not 0 for the pixels that count")
        if stated is None:
            return None if valid is None else valid(ALL, ALL)
        if valid is None:
            return stated > 0
        return (stated > 0) & valid(ALL, ALL)

    def validity_arrays(self) -> ValidityArrays:
        """The arrays of its own file that say which pixels are valid, where the user names none."""
        is_named = self.valid is not None or self.valid_variable is not None
        if is_named:
            return ValidityArrays()
        return validity_arrays_of(self.opened().with_masks, self.mask_variable)

    def centres(self) -> NDArray[np.float64] | None:
        """Band centres in nm, or None where they are not known."""
        if self.wavelengths is not None and self.reading.wavelengths is None:
            return read_wavelengths(self.wavelengths, self.opened())
        return self.opened().good_wavelengths


def scene_of(ticket: Ticket, opened: Scene) -> Scene:
    """The scene of a ticket: ``opened`` where it has these parameters, or else a new one."""
    parameters = {name: ticket[name] for name in PARAMETERS}
    if opened.parameters() == parameters:
        return opened
    return Scene(**parameters)
