"""A folder of cubes with masks beside them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from specloom import STAGES, Batch, DataError, Port, Ticket
from specloom_cubes.contents import content_ids
from specloom_cubes.cube import ALL, Axes, RawCalibration, Reading, Scale, WantedBands
from specloom_cubes.cube_files import cube_name, files_of_cube, find_cubes, find_masks
from specloom_cubes.formats import named_arrays
from specloom_cubes.masks import (
    load_mask,
    only_mask,
    own_arrays_of,
    own_mask_name,
    valid_pixels,
    valid_source,
    validity_arrays_of,
)
from specloom_cubes.paths import advice, expand, there
from specloom_cubes.processing.selecting import bin_labels, bin_valid
from specloom_cubes.reading import absolute_files, files_of_references, open_cube
from specloom_cubes.rules import coco, coco_cubes
from specloom_cubes.rules.class_numbers import UNLABELLED
from specloom_cubes.rules.masks import (
    MaskFinding,
    Rejected,
    ValidityArrays,
    note_on_rejected,
)
from specloom_cubes.sources.common import (
    CALIBRATED,
    NO_WAVELENGTHS,
    absent,
    absent_errors,
    batch_of,
    check_batch_size,
    notes_on,
    warn_once,
)
from specloom_cubes.sources.description import (
    ClassCounts,
    CubeSummary,
    MaskDescription,
    SplitDescription,
    describe_cubes,
    mask_pattern,
    summarise,
    wavelength_range,
)
from specloom_cubes.sources.grid import check_same_grid
from specloom_cubes.sources.mask_options import MaskOptions, Masks, mask_options
from specloom_cubes.sources.notes import capture_notes, mask_notes, scale_notes
from specloom_cubes.sources.windows import (
    LargeImageSource,
    RowWindows,
    is_large,
    rows_of_window,
)
from specloom_cubes.splits import Ids, Shares, divide, items_of
from specloom_cubes.valid_files import (
    check_pattern,
    check_valid_files,
    read_options,
    stated_valid,
    valid_file,
    without_valid_files,
)
from specloom_cubes.wavelengths import read_wavelengths, table_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom import ImageWindows
    from specloom_cubes.cube import Cube

LABEL = "Folder"
AXES = ("rows", "columns", "bands")
Place: TypeAlias = tuple[str, str | None]
"""The file of a mask, and the array in it."""


MASKS_READ = 8
"""How many masks are read to report what is wrong with them before a run."""

NAMES_LISTED = 4
"""How many notes on masks are given."""


class Folder(LargeImageSource):
    """The cubes of a folder, in the order of their names, with the masks beside them.

    A cube's name is its path within the folder without the ending. Its mask is a file of that
    name with another ending, or with ``_gt``, ``_mask`` or ``_label`` after it, in the same folder
    or in ``masks``; or an image of its name in a COCO file there; or else the only array of class
    numbers of its size in its own file. A picture of many colours or grey levels that has the
    cube's name is a preview and no mask. Where some cubes of a split have masks, those without are
    unlabelled (-1). White and dark references and hidden files are no cubes. Pixels that a cube's
    own file marks invalid are excluded. All cubes must have one band grid: as many bands, and
    wavelengths within 0.5 nm where they state them. Paths are relative to the current folder. The
    folder is listed and divided once: files that come later are not read, and reading one that has
    gone, or is of another size, is an error.

    Args:
        path: The folder.
        masks: A folder of masks: within ``path``, or beside it, or any other; or one COCO file,
            whose ``images`` have the names of cubes; or
            ``{folder: FOLDER, colors: {"#ff0000": 1, "#0000ff": 0}}``, where ``colors`` are the
            class numbers by colour, with or without a folder.
        pattern: Which files are cubes, such as ``*.tif`` or ``**/*.hdr``.
        split: Shares of the cubes for train, val and test, by default [0.5, 0.25, 0.25], or the
            names for each: {train: [a, b], val: [c], test: [d]}. Predict is test unless named.
        folds: Instead of ``split``: so many folds, of which one is the test, the next one val.
        fold: Which fold is the test, from 0.
        group: A regular expression: cubes in whose names it finds the same (its first group, if
            it has one) stay in one split.
        seed: Shuffles the cubes, or groups, before they are dealt out.
        batch_size: Cubes in a batch; more than 1 needs cubes of one size.
        cube_variable: The array that is the cube, where a file holds several.
        mask_variable: The array that is the mask, where a file holds several.
        wavelengths: CSV with the band centres in nm, used instead of those in the files.
        find_mask: Whether to look for masks where ``masks`` names no folder.
        axes: The order of the axes in the file, where it is not as stated or assumed: ``HWC``,
            ``CHW`` or ``HCW`` (H rows, W columns, C bands).
        shape: Rows and columns, where the file holds a matrix of pixels (pixels x bands).
        scale: ``physical``: scale and offset that the file states are applied; ``stored``: the
            stored numbers are used as they are.
        valid: A file for each cube, like a mask and not 0 for the pixels that may be used, such as
            ``*_roi.png``: ``*`` is the name of the cube, in whose folder the path begins. Other
            pixels, such as the background, are excluded from fits and metrics, and by
            ``specloom predict``, which finds the files of new cubes in the same way.
        valid_variable: The array that says so, in that file or the cube's own.
        calibration: Raw counts to reflectance: ``capture`` for the references that the folder of
            the capture has, or ``{white: FILE, dark: FILE, panel: 0.99}``; see the page "From
            camera to cube" for all fields.
        bands: Which bands, and on which grid: ``{ranges: [[450, 900]], water_vapour: true}``,
            ``{resample: bands.csv}``, ``{binning: 2}``.
        binning: Rows and columns that become one pixel, such as ``[2, 2]``; in masks the class of
            most of its pixels counts.
    """

    outputs: ClassVar[Mapping[str, Port]] = CALIBRATED
    addresses = ("cube", "mask", "valid_file")

    def __init__(
        self,
        path: str,
        masks: str | Masks | None = None,
        pattern: str = "*",
        split: Shares | Ids | None = None,
        folds: int | None = None,
        fold: int = 0,
        group: str | None = None,
        seed: int = 0,
        batch_size: int = 1,
        cube_variable: str | None = None,
        mask_variable: str | None = None,
        wavelengths: str | None = None,
        find_mask: bool = True,
        axes: Axes | None = None,
        shape: tuple[int, int] | None = None,
        scale: Scale = "physical",
        valid: str | None = None,
        valid_variable: str | None = None,
        calibration: RawCalibration | None = None,
        bands: WantedBands | None = None,
        binning: tuple[int, int] | None = None,
    ) -> None:
        self.path = path
        self.masks = masks
        self.pattern = pattern
        self.split = split
        self.folds = folds
        self.fold = fold
        self.group = group
        self.seed = seed
        self.batch_size = batch_size
        self.cube_variable = cube_variable
        self.mask_variable = mask_variable
        self.wavelengths = wavelengths
        self.find_mask = find_mask
        self.axes = axes
        self.shape = shape
        self.scale = scale
        self.valid = valid
        self.valid_variable = valid_variable
        self.calibration = calibration
        self.bands = bands
        self.binning = binning
        # Listed and divided once, so that a read takes as long in a large folder as in a small one.
        self._found: dict[str, Path] | None = None
        self._files: list[Path] = []
        self._splits: dict[str, list[int]] | None = None
        self._masks: dict[Path, MaskFinding] | None = None
        self._rejected: dict[Path, tuple[Rejected, ...]] = {}
        self._unused: list[str] = []
        self._has_valid: set[Path] = set()
        self._valid_splits: dict[str, bool] = {}
        self._mask_flaws: dict[Place, tuple[str, ...]] = {}
        self._warned = False
        self._warned_of_rejected = False
        self._missing_outputs: dict[str, list[str]] = {}
        self._sizes: dict[str, int] | None = None
        self._shapes: dict[Path, tuple[int, int, int]] = {}
        self._mask_shapes: dict[Path, tuple[int, int, int]] = {}
        self._bytes: dict[Path, int] = {}
        self._grid: NDArray[np.float64] | None = None
        self._summaries: dict[Path, CubeSummary] = {}
        self._class_counts = ClassCounts()
        self._contents: dict[Path, str] | None = None

    def sizes(self) -> Mapping[str, int]:
        """Good bands, and rows and columns where all cubes are of one size, from the headers."""
        check_batch_size(self.batch_size, LABEL)
        check_pattern(self.valid, LABEL)
        self._mask_options()  # so that a wrong colour is an error before anything runs
        if self._sizes is None:
            if not there(self.path):
                return {}
            self._divided()  # so that a wrong split is an error before anything runs
            self._sizes = self._read_headers()
        return self._sizes

    def notes(self) -> list[str]:
        """What is not there, whether the cubes look like pictures, and the flaws of masks."""
        missing = absent(folder=self.path)
        if missing:
            return missing
        self.sizes()
        cubes = self._files
        notes = absent(wavelengths=self.wavelengths)
        notes += notes_on(self._open(cubes[0]))
        if self.calibration is None:
            notes += capture_notes(cubes)
        if self.wavelengths is not None:
            notes += table_notes(self.wavelengths, self._open(cubes[0]))
        notes += scale_notes(self._summaries)
        try:
            notes += self._notes_on_masks()
        except DataError as error:
            notes.append(str(error))
        return notes

    def missing(self) -> list[DataError]:
        """An error for the folder and the table of wavelengths, where they are not there."""
        return absent_errors(folder=self.path, wavelengths=self.wavelengths)

    def _notes_on_masks(self) -> list[str]:
        """Which cubes have no mask and which masks no cube, and what the first masks hold."""
        folder = self._mask_folder()
        if not self.find_mask and self.mask_variable is None and folder is None:
            return []
        masks = self._found_masks()
        notes = self._notes_on_rejected()
        if self.mask_variable is None:
            notes += mask_notes(self._files, masks.keys(), folder)
        for path in list(masks)[:MASKS_READ]:
            if _place(masks[path]) not in self._mask_flaws:
                self._load_mask(masks[path], self._mask_shapes[path])
        flaws = [flaw for found in self._mask_flaws.values() for flaw in found]
        return notes + flaws[:NAMES_LISTED]

    def _notes_on_rejected(self) -> list[str]:
        """COCO files of no cube, and what is not taken as the masks of cubes that have none."""
        rejected = [one for found in self._rejected.values() for one in found]
        if not rejected:
            return self._unused
        first = next(iter(self._rejected))
        if len(self._rejected) == 1:
            return [*self._unused, note_on_rejected(first, rejected)]
        return [
            *self._unused,
            note_on_rejected(f"{first} and {len(self._rejected) - 1} more", rejected),
        ]

    def _warn_of_rejected(self, split: str) -> None:
        """Warn once of what may look like the masks of a split that has none."""
        if not self._warned_of_rejected and self.missing_outputs(split):
            self._warned_of_rejected = True
            for note in self._notes_on_rejected():
                warnings.warn(note, stacklevel=4)

    def read_options(self) -> Mapping[str, Any]:
        """The scale, the valid pixels and the processing, which predictions need too."""
        stated = read_options(self.scale, self.valid, self.valid_variable)
        return {**stated, **self._reading.processing()}

    def splits(self) -> Sequence[str]:
        """The splits that have cubes; all of them where the folder is absent."""
        if not there(self.path):
            return STAGES
        return [split for split, numbers in self._divided().items() if numbers]

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where no cube of the split has one; nothing where the folder is absent."""
        if not there(self.path):
            return []
        if split not in self._missing_outputs:
            masks = self._found_masks()
            files = list(self.cubes().values())
            numbers = items_of(split, self._divided(), LABEL)
            labelled = any(files[number] in masks for number in numbers)
            self._missing_outputs[split] = [] if labelled else ["mask"]
        return self._missing_outputs[split]

    def absent_outputs(self) -> Mapping[str, str]:
        """``wavelengths`` where nothing states them; nothing where the folder is absent."""
        if not there(self.path) or self.wavelengths is not None:
            return {}
        self.sizes()
        if self._grid is not None:
            return {}
        return {"wavelengths": NO_WAVELENGTHS}

    def describe(self, split: str) -> SplitDescription | None:
        """The cubes of a split; None where the folder or the table of wavelengths is absent.

        Raises:
            DataError: A mask cannot be used, or the table does not fit.
        """
        if absent(folder=self.path, wavelengths=self.wavelengths):
            return None
        self.sizes()
        names = list(self.cubes())
        numbers = items_of(split, self._divided(), LABEL)
        paths = [self._files[number] for number in numbers]
        table_range = None
        if self.wavelengths is not None:
            table_range = wavelength_range(self._wavelengths())
        description = describe_cubes(
            "cube",
            [names[number] for number in numbers],
            [self._summaries[path] for path in paths],
            self._describe_masks(paths),
            table=self.wavelengths,
            table_range=table_range,
        )
        return replace(description, contents=self._contents_of(paths))

    def _contents_of(self, cubes: Sequence[Path]) -> list[str]:
        """What stands for the pixels of cubes, equal for files with the same contents."""
        if self._contents is None:
            data = {cube: files_of_cube(cube)[-1] for cube in self._files}
            ids = content_ids(list(data.values()))
            self._contents = {cube: ids[file] for cube, file in data.items()}
        return [self._contents[cube] for cube in cubes]

    def _describe_masks(self, cubes: Sequence[Path]) -> MaskDescription:
        """The masks of some cubes; those that were not read yet are, up to a number of pixels."""
        masks = self._found_masks()
        used: list[Place] = []
        sources: list[str] = []
        unmasked_pixels = 0
        without: list[str] = []
        for path in cubes:
            mask = masks.get(path)
            size = self._mask_shapes[path]
            if mask is None:
                unmasked_pixels += size[0] * size[1]
                without.append(cube_name(path))
                continue
            read = partial(self._load_mask, mask, size)
            place = _place(mask)
            self._class_counts.count(place, size[:2], read)
            used.append(place)
            sources.append(self._mask_source(path, mask))
        source = " and ".join(dict.fromkeys(sources))
        names = coco.names_of_classes(file for file, _ in used)
        description = self._class_counts.describe(source, used, names)
        if not used:
            return description
        return replace(description, unmasked_pixels=unmasked_pixels, without=without)

    def _mask_source(self, cube: Path, mask: MaskFinding) -> str:
        assert mask.path is not None, "only cubes with masks come here"
        if mask.path == cube:
            return f"the array {mask.variable!r} of each file"
        if coco.is_json(mask.path) and not coco_cubes.is_named_after(mask.path, cube):
            return mask.path.name
        folder = None
        if self._mask_options().folder is not None:
            folder = mask.path.parent
        return mask_pattern(mask.path, cube_name(cube), folder)

    def _load_mask(self, mask: MaskFinding, size: Sequence[int]) -> NDArray[np.int32]:
        """The class numbers of a mask; what a user should know of them is noted."""
        assert mask.path is not None, "only cubes with masks come here"
        colors = self._mask_options().colors
        read = load_mask(mask.path, tuple(size), mask.variable, colors)
        self._mask_flaws[_place(mask)] = read.notes
        return read.numbers

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        check_batch_size(self.batch_size, LABEL)
        return super().count(split)

    def batches(self, split: str) -> Iterator[Batch]:
        """The cubes of a split, in the order of their names."""
        check_batch_size(self.batch_size, LABEL)
        return super().batches(split)

    def items(self, split: str) -> int:
        """The number of cubes of a split."""
        return len(items_of(split, self._divided(), LABEL))

    def ticket(self, split: str, number: int) -> Ticket:
        """The files of a cube and of its mask, and what their headers say.

        ``labelled`` is whether any cube of the split has a mask, ``valid`` whether the file of any
        marks pixels invalid; ``shape`` has the good bands only.
        """
        masks = self._found_masks()
        self.sizes()
        self._warn_of_rejected(split)
        chosen = items_of(split, self._divided(), LABEL)
        path = self._files[chosen[number]]
        mask_file = None
        mask_variable = None
        if path in masks:
            mask_file = str(masks[path].path)
            mask_variable = masks[path].variable
        wavelengths = None
        grid = self._wavelengths()
        if grid is not None:
            wavelengths = grid.tolist()
        return {
            "cube": str(path),
            "cube_variable": self._variable(path),
            "mask": mask_file,
            "mask_variable": mask_variable,
            "labelled": not self.missing_outputs(split),
            "colors": self._mask_options().colors,
            "valid": self._split_has_valid(split),
            "valid_file": self._valid_file(path),
            "valid_variable": self.valid_variable,
            "find_mask": self.find_mask,
            "wavelengths": wavelengths,
            "shape": list(self._shapes[path]),
            "reading": asdict(absolute_files(self._reading)),
            "bytes": self._bytes[path],
        }

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The cube of a ticket.

        Raises:
            DataError: A file cannot be read, or the cube is of another size than in the ticket.
        """
        read = self._reader(self._open_ticket(ticket), ticket)
        return read(ALL)

    def read_windows(self, ticket: Ticket) -> Batch | ImageWindows:
        """The cube of a ticket, or its windows where it is large.

        Raises:
            DataError: A file cannot be read, or the cube is of another size than in the ticket.
        """
        cube = self._open_ticket(ticket)
        height, width, _ = cube.shape
        read = self._reader(cube, ticket)
        if not is_large(cube, height, width):
            return read(ALL)
        return RowWindows(height, width, rows_of_window(cube, width), read, partial(read, ALL))

    def _open_ticket(self, ticket: Ticket) -> Cube:
        """The cube of a ticket, its pixels not yet read.

        Raises:
            DataError: It cannot be opened, or is of another size than in the ticket.
        """
        reading = Reading(**ticket["reading"])
        cube = open_cube(ticket["cube"], ticket["cube_variable"], reading)
        _check_unchanged(cube, ticket["shape"])
        warn_once(self, cube)
        return cube

    def _reader(self, cube: Cube, ticket: Ticket) -> Callable[[slice], Batch]:
        """What reads some rows of a cube, with its labels, which are read once."""

        @cache
        def labels() -> NDArray[np.int32] | None:
            return self._read_labels(cube, ticket) if ticket["labelled"] else None

        @cache
        def valid() -> NDArray[np.bool_] | None:
            return _read_valid(cube, ticket) if ticket["valid"] else None

        wavelengths = None
        if ticket["wavelengths"] is not None:
            wavelengths = np.array(ticket["wavelengths"], np.float64)

        dark = None if cube.dark is None else cube.dark.clean()

        def read(rows: slice) -> Batch:
            pixels = cube.clean(rows, ALL)
            return batch_of(
                [pixels], _rows_of(labels(), rows), _rows_of(valid(), rows), wavelengths, dark
            )

        return read

    def cubes(self) -> dict[str, Path]:
        """The files by name; of an ENVI pair the header.

        Raises:
            DataError: There is no such folder, or no cube in it.
        """
        if self._found is None:
            root = expand(self.path)
            if root.is_file():
                fix = "give the folder that holds it, or use cubes.Scene for one scene"
                raise DataError(f"{root} is a file, not a folder", fix=fix)
            if not root.is_dir():
                raise DataError(f"there is no folder {root}", fix=advice(root))
            masks = self._mask_folder()
            by_name = find_cubes(root, self.pattern)
            if self.valid is not None:
                by_name = without_valid_files(by_name, self.valid)
            if self.calibration is not None:
                references = files_of_references(by_name.values(), self._reading)
                by_name = {name: path for name, path in by_name.items() if path not in references}
            if masks is not None and not masks.samefile(root):
                for name, path in list(by_name.items()):
                    if path.is_relative_to(masks):
                        del by_name[name]
            if not by_name:
                raise DataError(
                    f"{root} holds no cube that fits {self.pattern!r}",
                    fix="check path and pattern; '**/*' includes folders within",
                )
            self._found = by_name
            self._files = list(by_name.values())
        return self._found

    def _mask_options(self) -> MaskOptions:
        return mask_options(self.masks, LABEL)

    def _mask_folder(self) -> Path | None:
        named = self._mask_options().folder
        if named is None:
            return None
        root = expand(self.path)
        masks = expand(named)
        for folder in (root / masks, root.parent / masks, masks):
            if folder.is_dir() or coco.is_json(folder):
                return folder
        raise DataError(
            f"there is no folder {masks} of masks within {root} or beside it",
            fix="name the folder that holds the masks",
        )

    def _read_headers(self) -> dict[str, int]:
        """Compare the headers of all cubes, note their shapes, and give the sizes they share."""
        paths = list(self.cubes().values())
        if self.valid is not None:
            check_valid_files(paths, self.valid)
        cubes = [self._open(path) for path in paths]
        self._grid = check_same_grid(
            cubes, same_size=self.batch_size > 1, wavelengths=self.wavelengths is None
        )
        for path, cube in zip(paths, cubes, strict=True):
            self._shapes[path] = _good_shape(cube)
            self._mask_shapes[path] = _good_shape(cube.with_masks)
            self._bytes[path] = cube.good_bytes()
            valid_from = self._valid_source(cube)
            self._summaries[path] = replace(summarise(cube), valid_from=valid_from)
            if valid_from:
                self._has_valid.add(path)
        sizes = {"C": len(cubes[0].good_bands)}
        for at, axis in enumerate("HW"):
            if len({cube.shape[at] for cube in cubes}) == 1:
                sizes[axis] = cubes[0].shape[at]
        return sizes

    def _wavelengths(self) -> NDArray[np.float64] | None:
        """The wavelengths that all cubes share, from their headers or from the table."""
        if self._grid is None and self.wavelengths is not None:
            self._grid = read_wavelengths(self.wavelengths, self._open(self._files[0]))
        return self._grid

    def _found_masks(self) -> dict[Path, MaskFinding]:
        """Where the mask of each cube is that has one."""
        if self._masks is None:
            self._masks = self._find_masks()
        return self._masks

    def _find_masks(self) -> dict[Path, MaskFinding]:
        cubes = list(self.cubes().values())
        folder = self._mask_folder()
        findings: dict[Path, MaskFinding] = {}
        if folder is not None or (self.find_mask and self.mask_variable is None):
            findings = self._masks_in_files(cubes, folder)
        if folder is None and (self.find_mask or self.mask_variable is not None):
            for path in cubes:
                if path not in findings or findings[path].path is None:
                    own = self._own_mask(path)
                    earlier = findings.get(path, MaskFinding(None, None, ""))
                    findings[path] = replace(own, rejected=(*earlier.rejected, *own.rejected))
        masks = {path: one for path, one in findings.items() if one.path is not None}
        for path, finding in findings.items():
            if path not in masks and finding.rejected:
                self._rejected[path] = finding.rejected
        if folder is not None and not masks:
            raise DataError(
                f"{folder} holds no mask of any cube in {self.path}",
                fix="name each mask like its cube, with _gt or _mask after it if you like",
            )
        return masks

    def _masks_in_files(self, cubes: list[Path], folder: Path | None) -> dict[Path, MaskFinding]:
        """The masks in files of their own."""
        if folder is not None and folder.is_file():
            return self._masks_in_coco_file(cubes, folder)
        findings = find_masks(cubes, folder, self._valid_files(cubes))
        for path, finding in findings.items():
            has_arrays = finding.path is not None and named_arrays(finding.path) is not None
            if has_arrays and self.mask_variable is not None:
                findings[path] = replace(finding, variable=self.mask_variable)
        return findings | self._masks_in_coco_files(cubes, folder, findings)

    def _masks_in_coco_file(self, cubes: list[Path], file: Path) -> dict[Path, MaskFinding]:
        """The masks in the COCO file that the user has named."""
        images = coco_cubes.images_of_cubes(coco.read_coco(file), cubes)
        return {path: MaskFinding(file, image, file.name) for path, image in images.items()}

    def _masks_in_coco_files(
        self, cubes: list[Path], folder: Path | None, findings: Mapping[Path, MaskFinding]
    ) -> dict[Path, MaskFinding]:
        """The masks in COCO files among the masks or beside the cubes."""
        folders = [expand(self.path), *(path.parent for path in cubes)]
        if folder is not None:
            folders = [folder]
        others = {path: one.path for path, one in findings.items() if one.path is not None}
        found = coco_cubes.find_coco_masks(cubes, folders, others)
        self._unused = coco_cubes.note_unused(folders, [file for file, _ in found.values()])
        return {path: MaskFinding(file, image, file.name) for path, (file, image) in found.items()}

    def _own_mask(self, path: Path) -> MaskFinding:
        """The mask among the arrays of a cube's own file."""
        if named_arrays(path) is None:
            return MaskFinding(None, None, "")
        cube = self._open(path).with_masks
        if self.mask_variable is not None:
            name = own_mask_name(cube, self.mask_variable)
            return MaskFinding(path, name, f"the array {name} of the cube's file")
        arrays = own_arrays_of(cube)
        name = only_mask(path, arrays.masks)
        if name is None:
            return MaskFinding(None, None, "", arrays.rejected)
        return MaskFinding(path, name, f"the array {name} of the cube's file")

    def _validity_arrays(self, cube: Cube) -> ValidityArrays:
        """The arrays of a cube's own file that say which pixels are valid."""
        return validity_arrays_of(cube, self.mask_variable)

    def _valid_source(self, cube: Cube) -> str:
        """Where it is stated which pixels of a cube are valid; empty where it is not."""
        sources = []
        if self.valid is not None:
            sources.append(self.valid)
        elif self.valid_variable is not None:
            sources.append(f"the array {self.valid_variable!r} of the file")
        own = valid_source(cube.with_masks, self._validity_arrays(cube.with_masks))
        if own and own not in sources:
            sources.append(own)
        return " and ".join(sources)

    def _valid_files(self, cubes: Sequence[Path]) -> list[Path]:
        """The files of valid pixels, which are no masks of classes."""
        if self.valid is None:
            return []
        return [valid_file(cube, self.valid) for cube in cubes]

    def _valid_file(self, cube: Path) -> str | None:
        """The file of the valid pixels of a cube."""
        if self.valid is None:
            return None
        return str(valid_file(cube, self.valid))

    def _split_has_valid(self, split: str) -> bool:
        """Whether any cube of the split states which of its pixels are valid."""
        self.sizes()
        if split not in self._valid_splits:
            numbers = items_of(split, self._divided(), LABEL)
            has_valid = any(self._files[number] in self._has_valid for number in numbers)
            self._valid_splits[split] = has_valid
        return self._valid_splits[split]

    def _read_labels(self, cube: Cube, ticket: Ticket) -> NDArray[np.int32]:
        """Class numbers (H, W) of the cube of a ticket, -1 everywhere where it has no mask."""
        if ticket["mask"] is None:
            return np.full(cube.shape[:2], UNLABELLED, np.int32)
        size = cube.with_masks.shape
        labels = load_mask(ticket["mask"], size, ticket["mask_variable"], ticket["colors"])
        if labels.notes and not self._warned:
            self._warned = True
            for note in labels.notes:
                warnings.warn(note, stacklevel=3)
        self._class_counts.add((ticket["mask"], ticket["mask_variable"]), labels.numbers)
        block = cube.reading.binning
        return labels.numbers if block is None else bin_labels(labels.numbers, *block)

    def _divided(self) -> dict[str, list[int]]:
        if self._splits is None:
            names = list(self.cubes())
            self._splits = divide(
                names, LABEL, self.split, self.folds, self.fold, self.group, self.seed
            )
        return self._splits

    def _open(self, path: Path) -> Cube:
        # Not stored: an open cube may hold its pixels.
        return open_cube(path, self._variable(path), self._reading)

    @property
    def _reading(self) -> Reading:
        """How the cubes are to be read."""
        return Reading.of_source(self)

    def _variable(self, path: Path) -> str | None:
        """The array to take from a file, where its format has several."""
        return None if named_arrays(path) is None else self.cube_variable


def _good_shape(cube: Cube) -> tuple[int, int, int]:
    return cube.shape[0], cube.shape[1], len(cube.good_bands)


def _rows_of(values: NDArray[Any] | None, rows: slice) -> list[NDArray[Any]] | None:
    """Some rows of what is known of the pixels of one image."""
    return None if values is None else [values[rows]]


def _check_unchanged(cube: Cube, before: Sequence[int]) -> None:
    """Refuse a cube that is of another size than when the folder was listed."""
    for axis, now, size in zip(AXES, _good_shape(cube), before, strict=True):
        if now != size:
            raise DataError(
                f"{cube.path} has {now} {axis}, and had {size} when the folder was listed",
                fix="do not change the folder while it is read; start again",
            )


def _read_valid(cube: Cube, ticket: Ticket) -> NDArray[np.bool_]:
    """Which pixels (H, W) of the cube of a ticket are valid, True where no file says anything."""
    arrays = validity_arrays_of(cube.with_masks, ticket["mask_variable"])
    valid = valid_pixels(cube.with_masks, arrays)
    if valid is None:
        counts = np.ones(cube.shape[:2], bool)
    elif cube.reading.binning is None:
        counts = valid(ALL, ALL)
    else:
        counts = bin_valid(valid(ALL, ALL), *cube.reading.binning)
    stated = stated_valid(cube, ticket["valid_file"], ticket["valid_variable"])
    if stated is None:
        return counts
    return counts & stated


def _place(mask: MaskFinding) -> Place:
    return str(mask.path), mask.variable
