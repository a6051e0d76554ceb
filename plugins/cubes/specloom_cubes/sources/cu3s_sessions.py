"""Sessions of Cubert cameras: how they are opened, their masks, and the numbers of a split."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from specloom import ConfigError, DataError, UnavailableError
from specloom_cubes.paths import advice
from specloom_cubes.rules import coco

LABEL = "SingleCu3sDataModule"

PICTURES = (".png", ".bmp", ".npy")
"""Endings of the mask beside a session of one measurement."""

Mode: TypeAlias = Literal["Raw", "DarkSubtract", "Reflectance", "SpectralRadiance"]

Item: TypeAlias = tuple[Path, int]
"""A session and the number of a measurement in it."""


class MaskOfMeasurement(NamedTuple):
    """Where the mask of a measurement is.

    Args:
        path: The file.
        image: The id of the image, where it is a COCO file.
    """

    path: Path
    image: str | None


class Sessions:
    """Opens sessions through ``cuvis``, and holds the last one open.

    A session has thousands of measurements, and opening it takes longer than reading one.
    """

    def __init__(self) -> None:
        self._opened: tuple[str, Mode] | None = None
        self._session: Any = None
        self._context: Any = None

    def read(self, path: Path, number: int, mode: Mode) -> Any:
        """The image of a measurement, with its ``array`` and ``wavelength``."""
        if self._opened != (str(path), mode):
            cuvis = import_cuvis()
            self._opened = None
            self._session = cuvis.SessionFile(str(path))
            self._context = cuvis.ProcessingContext(self._session)
            self._context.processing_mode = getattr(cuvis.ProcessingMode, mode)
            self._opened = (str(path), mode)
        return self._context.apply(self._session.get_measurement(number)).data["cube"]


def import_cuvis() -> Any:
    """The package of the camera's maker.

    Raises:
        UnavailableError: It is not installed, or its library cannot be loaded.
    """
    try:
        return importlib.import_module("cuvis")
    except (ImportError, OSError) as error:
        raise UnavailableError(
            f"reading .cu3s needs the package cuvis, which cannot be imported ({error})",
            fix="pip install cuvis, or export to ENVI or MATLAB, which need nothing more",
        ) from error


def list_sessions(root: Path) -> list[Path]:
    """A session itself, or those in a folder, in the order of their names."""
    if root.is_file():
        return [root]
    return sorted(root.glob("*.cu3s"))


def no_session(root: Path, parameter: str) -> DataError:
    """The error of a folder without sessions, with the folder within it that has some."""
    fix = f"check {parameter}"
    within = next(root.rglob("*.cu3s"), None)
    if within is not None:
        fix = f"write {parameter}: {within.parent}"
    return DataError(f"{root} holds no .cu3s file", fix=fix)


def count_measurements(path: Path) -> int:
    """The number of measurements of a session."""
    return int(import_cuvis().SessionFile(str(path)).get_size())


def masks_of_session(
    session: Path, count: int, annotations: Path | None
) -> dict[Item, MaskOfMeasurement]:
    """The masks of the measurements of a session.

    Args:
        session: The session.
        count: The number of its measurements.
        annotations: The COCO file of it; by default the one of its name beside it.

    Raises:
        DataError: The COCO file is absent or does not fit, two files may be the mask, or a picture
            lies beside a session of several measurements.
    """
    pictures = [session.with_suffix(suffix) for suffix in PICTURES]
    pictures = [picture for picture in pictures if picture.is_file()]
    beside = session.with_suffix(coco.SUFFIX)
    if annotations is None and coco.is_coco(beside):
        annotations = beside
        if pictures:
            raise DataError(
                f"{session} has several masks: {pictures[0].name}, {beside.name}",
                fix="remove one, or name the COCO file as annotation_json_path",
            )
    if annotations is not None:
        if not annotations.is_file():
            fix = advice(annotations)
            raise DataError(f"there is no COCO file {annotations}", fix=fix)
        images = coco.images_of_measurements(coco.read_coco(annotations), count, str(session))
        masks = {}
        for number, image in images.items():
            masks[session, number] = MaskOfMeasurement(annotations, image)
        return masks
    if not pictures:
        return {}
    _check_owner(pictures[0], session, count)
    return {(session, 0): MaskOfMeasurement(pictures[0], None)}


def unused_annotations(sessions: Iterable[Path]) -> list[str]:
    """A text for each COCO file beside sessions that has the name of none of them."""
    sessions = list(sessions)
    own = {session.with_suffix(coco.SUFFIX) for session in sessions}
    texts = []
    for folder in dict.fromkeys(session.parent for session in sessions):
        for path in sorted(folder.glob(f"*{coco.SUFFIX}")):
            if path not in own and coco.is_coco(path):
                what = f"{path} is no mask: it has the name of no session beside it"
                fix = "give each session a COCO file of its name, or remove the file"
                texts.append(str(DataError(what, fix=fix)))
    return texts


def check_numbers(
    numbers: Mapping[str, Sequence[int]], session: Path, count: int
) -> dict[str, list[int]]:
    """The measurements of each split as they are listed; predict is test.

    Args:
        numbers: The measurements of train, val and test.
        session: The session.
        count: The number of its measurements.

    Raises:
        ConfigError: There is no such measurement, or it is listed twice.
    """
    for split, listed in numbers.items():
        for number in listed:
            if not 0 <= number < count:
                raise ConfigError(
                    f"{LABEL}: {split}_ids has {number}, and {session} has the measurements "
                    f"0 to {count - 1}",
                    fix="correct the number; they are counted from 0",
                )
        if len(set(listed)) < len(listed):
            twice = next(number for number in listed if listed.count(number) > 1)
            raise ConfigError(f"{LABEL}: {split}_ids has {twice} twice", fix="list it once")
    for split in ("val", "test"):
        both = sorted({*numbers["train"]} & {*numbers[split]})
        if both:
            raise ConfigError(
                f"{LABEL}: measurement {both[0]} is in train_ids and in {split}_ids",
                fix="list it once: what was trained on is no test",
            )
    chosen = {split: list(listed) for split, listed in numbers.items()}
    return {**chosen, "predict": chosen["test"]}


def _check_owner(mask: Path, session: Path, count: int) -> None:
    """Refuse one mask for several measurements: it cannot be right for each of them."""
    if count > 1:
        raise DataError(
            f"{session} holds {count} measurements and one mask, {mask.name}, lies beside it: "
            "nothing says which measurement it belongs to",
            fix="annotate them in a COCO file, or save each with a mask to a .cu3s file of its own",
        )
