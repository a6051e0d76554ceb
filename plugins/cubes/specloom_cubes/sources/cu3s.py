"""Session files of Cubert cameras, through the optional package ``cuvis``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from specloom import Batch, ConfigError, DataError, Port, SpecloomWarning, Ticket
from specloom_cubes.cube import RawCalibration, Reading, WantedBands
from specloom_cubes.masks import read_mask
from specloom_cubes.paths import expand
from specloom_cubes.rules import coco
from specloom_cubes.rules.class_numbers import UNLABELLED
from specloom_cubes.sources.array_images import image_cube, read_image
from specloom_cubes.sources.base import TicketedSource
from specloom_cubes.sources.common import CALIBRATED, absent_errors, check_batch_size
from specloom_cubes.sources.cu3s_sessions import (
    LABEL,
    Item,
    MaskOfMeasurement,
    Mode,
    Sessions,
    check_numbers,
    count_measurements,
    import_cuvis,
    list_sessions,
    masks_of_session,
    no_session,
    unused_annotations,
)
from specloom_cubes.sources.description import (
    ClassCounts,
    MaskDescription,
    SplitDescription,
    wavelength_range,
)
from specloom_cubes.splits import items_of, split_ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_SPLIT = (0.5, 0.25, 0.25)


class FirstMeasurement(NamedTuple):
    """What the first measurement says of all.

    Args:
        shape: Rows, columns and bands, as they are given.
        stored_size: Rows and columns of the session, which masks have.
        wavelengths: The least and the greatest band centre in nm, or None.
        notes: What a user should know of the calibration.
    """

    shape: tuple[int, int, int]
    stored_size: tuple[int, int]
    wavelengths: tuple[float, float] | None
    notes: Sequence[str]


class SingleCu3sDataModule(TicketedSource):
    """The measurements of ``.cu3s`` files, in the order of file name and number.

    A thin adapter over the camera maker's package, written from its published interface and
    tested against a stand-in: it was never run against the real one, which needs the maker's
    runtime library. Masks are in a COCO file: the ``id`` of an image is the number of its
    measurement, from 0, and pixels that no annotation covers are class 0. It is named, or has the
    name of the session and lies beside it. Of a session with one measurement the mask may also be a
    ``.png``, ``.bmp`` or ``.npy`` of the same name; beside one with several it is an error.
    Where some measurements of a split have masks, those without are unlabelled (-1). Export to
    ENVI needs nothing of this. Folder and files are listed once.

    Args:
        data_dir: A folder of ``.cu3s`` files, or one such file.
        batch_size: Measurements in a batch.
        num_workers: Has no effect: measurements are read in this process.
        processing_mode: ``Raw``, ``DarkSubtract``, ``Reflectance`` or ``SpectralRadiance``.
        split: Shares of the measurements for train, val and test; predict is test.
        cu3s_file_path: Instead of ``data_dir``: one ``.cu3s`` file.
        annotation_json_path: The COCO file of the session; there must be one session only.
        train_ids: Instead of ``split``: the measurements for training, by their numbers from 0.
        val_ids: The measurements for validation.
        test_ids: The measurements for the test.
        calibration: Raw counts to reflectance, as of ``Folder``, instead of the camera's own: with
            ``processing_mode: Raw``. References are cubes of other formats, with the columns and
            bands of a measurement.
        bands: Which bands, and on which grid, as of ``Folder``.
        binning: Rows and columns that become one pixel, as of ``Folder``.

    Raises:
        ConfigError: Parameters exclude each other, or a measurement is listed that is not there.
        UnavailableError: When data is read and ``cuvis`` is not installed.
        DataError: When data is read and masks do not fit the measurements.
    """

    outputs: ClassVar[Mapping[str, Port]] = CALIBRATED

    def __init__(
        self,
        data_dir: str | None = None,
        batch_size: int = 1,
        num_workers: int = 0,
        processing_mode: Mode = "Reflectance",
        split: tuple[float, float, float] | None = None,
        cu3s_file_path: str | None = None,
        annotation_json_path: str | None = None,
        train_ids: list[int] | None = None,
        val_ids: list[int] | None = None,
        test_ids: list[int] | None = None,
        calibration: RawCalibration | None = None,
        bands: WantedBands | None = None,
        binning: tuple[int, int] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.processing_mode = processing_mode
        self.split = split
        self.cu3s_file_path = cu3s_file_path
        self.annotation_json_path = annotation_json_path
        self.train_ids = train_ids
        self.val_ids = val_ids
        self.test_ids = test_ids
        self.calibration = calibration
        self.bands = bands
        self.binning = binning
        self._sessions = Sessions()
        self._listed: list[Item] | None = None
        self._masks: dict[Item, MaskOfMeasurement] = {}
        self._divided: Mapping[str, Sequence[int]] | None = None
        self._masked: dict[str, bool] = {}
        self._warned = False
        self._first: FirstMeasurement | None = None
        self._class_counts = ClassCounts()

    def notes(self) -> list[str]:
        """Files that are not there, and parameters that have no effect."""
        self._check_parameters()
        return [*map(str, self.missing()), *self._advice()]

    def missing(self) -> list[DataError]:
        """An error for the session or the folder, where it is not there."""
        return absent_errors(session=self.cu3s_file_path, folder=self.data_dir)

    def sizes(self) -> Mapping[str, int]:
        """The sizes of the first measurement; nothing where there is no file."""
        self._check_parameters()
        import_cuvis()
        items = self._items()
        if not items:
            return {}
        if self._numbers() is not None:
            self._splits()
        return dict(zip("HWC", self._first_measurement(items).shape, strict=True))

    def splits(self) -> Sequence[str]:
        """Those that measurements are listed for; without lists train, val, test and predict."""
        self._check_parameters()
        numbers = self._numbers()
        if numbers is None:
            return list(split_ranges(0, self._shares(), LABEL))
        listed = [split for split, chosen in numbers.items() if chosen]
        if numbers["test"]:
            listed.append("predict")
        return listed

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where no measurement of the split has one; nothing where there is no file."""
        import_cuvis()
        if not self._items() or self._has_masks(split):
            return []
        return ["mask"]

    def items(self, split: str) -> int:
        """The number of measurements of a split."""
        import_cuvis()
        return len(self._part(split))

    def describe(self, split: str) -> SplitDescription | None:
        """The measurements of a split; None where there is no file.

        Raises:
            DataError: A mask cannot be used.
        """
        import_cuvis()
        items = self._items()
        if not items:
            return None
        first = self._first_measurement(items)
        part = self._part(split)
        return SplitDescription(
            "measurement",
            [f"{path.name}[{number}]" for path, number in part],
            self._describe_masks(part, first.stored_size),
            first.wavelengths,
            "the session",
            self._scale(),
            bands=first.shape[2],
        )

    def batches(self, split: str) -> Iterator[Batch]:
        """The batches of a split, in their order."""
        if not self._warned:
            self._warned = True
            for message in [*self._advice(), *self._notes_on_processing()]:
                warnings.warn(message, SpecloomWarning, stacklevel=2)
        return super().batches(split)

    def ticket(self, split: str, number: int) -> Ticket:
        """The files of a measurement and its mask, and how the measurement is processed.

        ``labelled`` is whether any measurement of the split has a mask.
        """
        import_cuvis()
        path, measurement = self._part(split)[number]
        mask = self._masks.get((path, measurement))
        mask_file = None
        mask_image = None
        if mask is not None:
            mask_file = str(mask.path)
            mask_image = mask.image
        return {
            "cube": str(path),
            "measurement": measurement,
            "processing_mode": self.processing_mode,
            "mask": mask_file,
            "mask_image": mask_image,
            "labelled": self._has_masks(split),
            **self._reading().processing(),
        }

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The measurement of a ticket."""
        path = Path(ticket["cube"])
        image = self._measurement(path, ticket["measurement"], ticket["processing_mode"])
        if ticket["labelled"]:
            image["mask"] = _read_labels(ticket, image["cube"].shape[:2])
        reading = Reading.of_options(ticket, "physical")
        if reading.processing():
            image = read_image(image, image_cube(image, reading, str(path)))
        return {
            name: value if name == "wavelengths" else value[None] for name, value in image.items()
        }

    def read_options(self) -> Mapping[str, Any]:
        """The processing, which predictions with a fitted pipeline need too."""
        return self._reading().processing()

    def _reading(self) -> Reading:
        return Reading(calibration=self.calibration, bands=self.bands, binning=self.binning)

    def _measurement(self, path: Path, number: int, mode: Mode) -> dict[str, NDArray[Any]]:
        """The cube of a measurement, (H, W, C), with its wavelengths where it has any."""
        read = self._sessions.read(path, number, mode)
        # A copy: the camera's library may reuse its memory for the next measurement.
        image = {"cube": np.array(read.array)}
        if read.wavelength is not None:
            image["wavelengths"] = np.asarray(read.wavelength, np.float32)
        return image

    def _scale(self) -> str:
        if self.calibration is not None:
            return "reflectance by the calibration"
        return f"values of the mode {self.processing_mode}"

    def _notes_on_processing(self) -> Sequence[str]:
        """What a user should know of the calibration and the bands of the first measurement."""
        items = self._items()
        if not items or not self._reading().processing():
            return []
        return self._first_measurement(items).notes

    def _describe_masks(self, part: Sequence[Item], size: tuple[int, int]) -> MaskDescription:
        """The masks of some measurements; they are read, up to a number of pixels."""
        masks = [self._masks[item] for item in part if item in self._masks]
        for mask in masks:
            read = partial(read_mask, mask.path, size, mask.image)
            self._class_counts.count(mask, size, read)
        files = dict.fromkeys(mask.path for mask in masks)
        source = " and ".join(file.name for file in files)
        description = self._class_counts.describe(source, masks, coco.names_of_classes(files))
        if not masks:
            return description
        unmasked = len(part) - len(masks)
        return replace(description, unmasked_pixels=unmasked * size[0] * size[1])

    def _first_measurement(self, items: Sequence[Item]) -> FirstMeasurement:
        """The size and the wavelengths of the first measurement, which is read once for them."""
        if self._first is None:
            path, number = items[0]
            image = self._measurement(path, number, self.processing_mode)
            cube = image_cube(image, self._reading(), str(path))
            wavelengths = None
            if cube.good_wavelengths is not None:
                wavelengths = wavelength_range(cube.good_wavelengths)
            height, width, _ = image["cube"].shape
            self._first = FirstMeasurement(
                (*cube.shape[:2], len(cube.good_bands)),
                (height, width),
                wavelengths,
                [] if cube.check is None else cube.check(),
            )
        return self._first

    def _has_masks(self, split: str) -> bool:
        if split not in self._masked:
            self._masked[split] = any(item in self._masks for item in self._part(split))
        return self._masked[split]

    def _part(self, split: str) -> list[Item]:
        items = self._items()
        if not items:
            raise no_session(self._root(), self._named())
        return [items[at] for at in items_of(split, self._splits(), LABEL)]

    def _splits(self) -> Mapping[str, Sequence[int]]:
        """The items of each split; they are divided once."""
        if self._divided is None:
            items = self._items()
            numbers = self._numbers()
            if numbers is None:
                self._divided = split_ranges(len(items), self._shares(), LABEL)
            else:
                sessions = self._only_session("train_ids, val_ids and test_ids are")
                self._divided = check_numbers(numbers, sessions, len(items))
        return self._divided

    def _items(self) -> list[Item]:
        """Each measurement by its file and number; every file is opened once for this.

        Raises:
            DataError: The masks do not fit the measurements.
        """
        if self._listed is not None:
            return self._listed
        annotations = None
        if self.annotation_json_path is not None:
            annotations = expand(self.annotation_json_path)
        listed: list[Item] = []
        paths = list_sessions(self._root())
        if annotations is not None and len(paths) > 1:
            self._only_session("annotation_json_path is")
        for path in paths:
            count = count_measurements(path)
            self._masks |= masks_of_session(path, count, annotations)
            listed += [(path, number) for number in range(count)]
        self._listed = listed or None  # an empty folder is looked at again
        return listed

    def _only_session(self, what: str) -> Path:
        sessions = list_sessions(self._root())
        if len(sessions) > 1:
            raise ConfigError(
                f"{LABEL}: {what} of one session, and {self._root()} holds {len(sessions)}",
                fix="name the session as cu3s_file_path",
            )
        return sessions[0]

    def _root(self) -> Path:
        return expand(self.cu3s_file_path or self.data_dir or "")

    def _named(self) -> str:
        if self.cu3s_file_path is not None:
            return "cu3s_file_path"
        return "data_dir"

    def _shares(self) -> tuple[float, float, float]:
        return self.split or DEFAULT_SPLIT

    def _numbers(self) -> dict[str, list[int]] | None:
        """The measurements that are listed for each split; None where none are."""
        lists = {"train": self.train_ids, "val": self.val_ids, "test": self.test_ids}
        if all(listed is None for listed in lists.values()):
            return None
        return {split: listed or [] for split, listed in lists.items()}

    def _check_parameters(self) -> None:
        """Accept parameters that do not exclude each other."""
        if (self.data_dir is None) == (self.cu3s_file_path is None):
            raise ConfigError(
                f"{LABEL}: either data_dir or cu3s_file_path says where the measurements are",
                fix="write one of the two",
            )
        if self.split is not None and self._numbers() is not None:
            raise ConfigError(
                f"{LABEL}: split and train_ids, val_ids, test_ids exclude each other",
                fix="remove split, or the lists",
            )
        if self.num_workers < 0:
            raise ConfigError(
                f"{LABEL}: num_workers is {self.num_workers}", fix="write num_workers: 0"
            )
        check_batch_size(self.batch_size, LABEL)
        self._reading()
        if self.calibration is not None and self.processing_mode != "Raw":
            raise ConfigError(
                f"{LABEL}: calibration is of raw counts, and processing_mode is "
                f"{self.processing_mode}",
                fix="write processing_mode: Raw, or remove calibration",
            )

    def _advice(self) -> list[str]:
        """What the user should change, though it works."""
        texts = []
        if self.num_workers > 0:
            error = ConfigError(
                f"{LABEL}: num_workers: {self.num_workers} has no effect: measurements are read in "
                "this process",
                fix="write num_workers: 0",
            )
            texts.append(str(error))
        if self.cu3s_file_path is None and self.annotation_json_path is None:
            texts += unused_annotations(list_sessions(self._root()))
        both = sorted({*(self.val_ids or [])} & {*(self.test_ids or [])})
        if both:
            error = ConfigError(
                f"{LABEL}: measurement {both[0]} is in val_ids and in test_ids: what is chosen on "
                "it is also tested on it",
                fix="list it once",
            )
            texts.append(str(error))
        return texts


def _read_labels(ticket: Ticket, size: tuple[int, int]) -> NDArray[np.int32]:
    """The mask of a measurement; -1 everywhere, which is unlabelled, where it has none."""
    if ticket["mask"] is None:
        return np.full(size, UNLABELLED, np.int32)
    return read_mask(ticket["mask"], size, ticket["mask_image"])
