"""Session files of Cubert cameras, through the optional package ``cuvis``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from specloom import Batch, ConfigError, DataError, Port, Ticket, UnavailableError
from specloom_cubes.masks import UNLABELLED, read_mask
from specloom_cubes.paths import expand
from specloom_cubes.sources.base import TicketedSource
from specloom_cubes.sources.common import PORTS
from specloom_cubes.splits import items_of, split_ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

MASKS = (".png", ".bmp", ".npy")
"""Endings of the mask beside a session of one measurement."""

Mode: TypeAlias = Literal["Raw", "DarkSubtract", "Reflectance", "SpectralRadiance"]


class SingleCu3sDataModule(TicketedSource):
    """The measurements of ``.cu3s`` files, in the order of file name and number.

    A thin adapter over the camera maker's package, written from its published interface and
    tested against a stand-in: it was never run against the real one, which needs the maker's
    runtime library. The mask of a file with one measurement may lie beside it as ``.png``,
    ``.bmp`` or ``.npy`` of the same name; beside a file with several it is an error.
    Where some measurements of a split have masks, those without are unlabelled (-1). Export to
    ENVI needs nothing of this. Folder and files are listed once.

    Args:
        data_dir: A folder of ``.cu3s`` files, or one such file.
        batch_size: Measurements in a batch.
        num_workers: 0: measurements are read in this process.
        processing_mode: ``Raw``, ``DarkSubtract``, ``Reflectance`` or ``SpectralRadiance``.
        split: Shares of the measurements for train, val and test; predict is test.

    Raises:
        UnavailableError: When data is read and ``cuvis`` is not installed.
        DataError: When data is read and one mask lies beside a file of several measurements.
    """

    outputs: ClassVar[Mapping[str, Port]] = PORTS

    def __init__(
        self,
        data_dir: str,
        batch_size: int = 1,
        num_workers: int = 0,
        processing_mode: Mode = "Reflectance",
        split: tuple[float, float, float] = (0.5, 0.25, 0.25),
    ) -> None:
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.processing_mode = processing_mode
        self.split = split
        self._listed: list[tuple[Path, int]] | None = None
        self._masks: dict[Path, Path] = {}
        self._parts: dict[str, list[tuple[Path, int]]] = {}
        self._masked: dict[str, bool] = {}

    def setup(self, stage: str = "fit") -> None:
        """Fail now rather than later where ``cuvis`` or the data is missing."""
        self.sizes()

    def sizes(self) -> Mapping[str, int]:
        """The sizes of the first measurement; nothing where there is no file."""
        cuvis = self._cuvis()
        items = self._items(cuvis)
        if not items:
            return {}
        path, number = items[0]
        image = _read_image(cuvis, path, number, self.processing_mode)
        return dict(zip("HWC", image.array.shape, strict=True))

    def splits(self) -> Sequence[str]:
        """Train, val, test and predict."""
        return list(split_ranges(0, self.split, "SingleCu3sDataModule"))

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where no measurement of the split has one; nothing where there is no file."""
        cuvis = self._cuvis()
        if not self._items(cuvis) or self._has_masks(cuvis, split):
            return []
        return ["mask"]

    def items(self, split: str) -> int:
        """The number of measurements of a split."""
        return len(self._part(self._cuvis(), split))

    def ticket(self, split: str, number: int) -> Ticket:
        """The files of a measurement and its mask, and how the measurement is processed.

        ``labelled`` is whether any measurement of the split has a mask.
        """
        cuvis = self._cuvis()
        path, measurement = self._part(cuvis, split)[number]
        mask = self._masks.get(path)
        mask_file = None
        if mask is not None:
            mask_file = str(mask)
        return {
            "cube": str(path),
            "measurement": measurement,
            "processing_mode": self.processing_mode,
            "mask": mask_file,
            "labelled": self._has_masks(cuvis, split),
        }

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The measurement of a ticket."""
        image = _read_image(
            self._cuvis(), Path(ticket["cube"]), ticket["measurement"], ticket["processing_mode"]
        )
        batch = {"cube": np.asarray(image.array)[None]}
        if ticket["labelled"]:
            batch["mask"] = _read_labels(ticket["mask"], image.array.shape[:2])[None]
        if image.wavelength is not None:
            batch["wavelengths"] = np.asarray(image.wavelength, np.float32)
        return batch

    def _has_masks(self, cuvis: Any, split: str) -> bool:
        if split not in self._masked:
            part = self._part(cuvis, split)
            self._masked[split] = any(path in self._masks for path, _ in part)
        return self._masked[split]

    def _part(self, cuvis: Any, split: str) -> list[tuple[Path, int]]:
        if split not in self._parts:
            items = self._items(cuvis)
            if not items:
                raise DataError(f"{self.data_dir} holds no .cu3s file", fix="check data_dir")
            ranges = split_ranges(len(items), self.split, "SingleCu3sDataModule")
            chosen = items_of(split, ranges, "SingleCu3sDataModule")
            self._parts[split] = [items[at] for at in chosen]
        return self._parts[split]

    def _items(self, cuvis: Any) -> list[tuple[Path, int]]:
        """Each measurement by its file and number; every file is opened once for this.

        Raises:
            DataError: A mask lies beside a file of several measurements.
        """
        if self._listed is None:
            root = expand(self.data_dir)
            listed: list[tuple[Path, int]] = []
            paths = [root]
            if not root.is_file():
                paths = sorted(root.glob("*.cu3s"))
            for path in paths:
                count = cuvis.SessionFile(str(path)).get_size()
                mask = _mask_file(path)
                if mask is not None:
                    _check_owner(mask, path, count)
                    self._masks[path] = mask
                listed += [(path, number) for number in range(count)]
            self._listed = listed or None  # an empty folder is looked at again
            return listed
        return self._listed

    def _cuvis(self) -> Any:
        if self.num_workers != 0:
            raise ConfigError(
                f"SingleCu3sDataModule: num_workers is {self.num_workers}, but "
                "measurements are read in this process",
                fix="write num_workers: 0",
            )
        try:
            return importlib.import_module("cuvis")
        except (ImportError, OSError) as error:
            raise UnavailableError(
                f"reading .cu3s needs the package cuvis, which cannot be imported ({error})",
                fix="pip install cuvis, or export to ENVI or MATLAB, which need nothing more",
            ) from error


def _read_image(cuvis: Any, path: Path, number: int, mode: Mode) -> Any:
    session = cuvis.SessionFile(str(path))
    context = cuvis.ProcessingContext(session)
    context.processing_mode = getattr(cuvis.ProcessingMode, mode)
    return context.apply(session.get_measurement(number)).data["cube"]


def _read_labels(mask: str | None, size: tuple[int, int]) -> NDArray[np.int32]:
    """The mask beside a session; -1 everywhere, which is unlabelled, where it has none."""
    if mask is None:
        return np.full(size, UNLABELLED, np.int32)
    return read_mask(mask, size)


def _mask_file(path: Path) -> Path | None:
    """The first file beside a session that may be its mask."""
    for suffix in MASKS:
        mask = path.with_suffix(suffix)
        if mask.is_file():
            return mask
    return None


def _check_owner(mask: Path, session: Path, count: int) -> None:
    """Refuse one mask for several measurements: it cannot be right for each of them."""
    if count > 1:
        raise DataError(
            f"{session} holds {count} measurements and one mask, {mask.name}, lies beside it: "
            "nothing says which measurement it belongs to",
            fix="save each measurement with a mask to a .cu3s file of its own, or remove the mask",
        )
