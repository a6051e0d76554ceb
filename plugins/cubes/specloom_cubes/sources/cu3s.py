"""Session files of Cubert cameras, through the optional package ``cuvis``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from specloom import Batch, ConfigError, DataError, Port, SpecloomWarning, Ticket
from specloom_cubes.masks import UNLABELLED, read_mask
from specloom_cubes.paths import expand
from specloom_cubes.rules import coco
from specloom_cubes.sources.base import TicketedSource
from specloom_cubes.sources.common import PORTS, absent_errors, check_batch_size
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
        shape: Rows, columns and bands.
        wavelengths: The least and the greatest band centre in nm, or None.
    """

    shape: tuple[int, int, int]
    wavelengths: tuple[float, float] | None


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

    Raises:
        ConfigError: Parameters exclude each other, or a measurement is listed that is not there.
        UnavailableError: When data is read and ``cuvis`` is not installed.
        DataError: When data is read and masks do not fit the measurements.
    """

    outputs: ClassVar[Mapping[str, Port]] = PORTS

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
            self._describe_masks(part, first.shape[:2]),
            first.wavelengths,
            "the session",
            f"values of the mode {self.processing_mode}",
            bands=first.shape[2],
        )

    def batches(self, split: str) -> Iterator[Batch]:
        """The batches of a split, in their order."""
        if not self._warned:
            self._warned = True
            for message in self._advice():
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
        }

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The measurement of a ticket."""
        image = self._sessions.read(
            Path(ticket["cube"]), ticket["measurement"], ticket["processing_mode"]
        )
        # A copy: the camera's library may reuse its memory for the next measurement.
        batch = {"cube": np.array(image.array)[None]}
        if ticket["labelled"]:
            batch["mask"] = _read_labels(ticket, image.array.shape[:2])[None]
        if image.wavelength is not None:
            batch["wavelengths"] = np.asarray(image.wavelength, np.float32)
        return batch

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
            image = self._sessions.read(path, number, self.processing_mode)
            wavelengths = None
            if image.wavelength is not None:
                wavelengths = wavelength_range(np.asarray(image.wavelength, np.float64))
            self._first = FirstMeasurement(image.array.shape, wavelengths)
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
