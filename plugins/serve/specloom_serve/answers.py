"""What clients send and get, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes import files_of_cube
from specloom_serve.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Answer:
    """What a server made of one cube.

    Args:
        arrays: The outputs by name, as ``specloom predict`` writes them as NPY.
        result: Verdict, reason, measures, objects, domain and notes, as plain values.
    """

    arrays: Mapping[str, NDArray[Any]]
    result: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """``accept``, ``reject`` or ``unjudged``."""
        return str(self.result["verdict"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An output.

        Raises:
            KeyError: There is none of that name.
        """
        return self.arrays[name]


@dataclass(frozen=True)
class Upload:
    """A cube in the format ENVI on this machine, whose two files are sent.

    Args:
        header: The header; the data file has the same name, as ``specloom predict`` finds it.
    """

    header: str | Path

    def files(self) -> tuple[bytes, bytes]:
        """The bytes of the header and of the data.

        Raises:
            DataError: A file is not there.
        """
        header = Path(self.header)
        files = files_of_cube(header)
        if len(files) != 2 or not header.is_file():
            what = f"{header} is no header of an ENVI pair"
            raise DataError(what, fix="name the file .hdr; its data file lies in the same folder")
        return files[0].read_bytes(), files[1].read_bytes()


@dataclass(frozen=True)
class Question:
    """One cube that is sent.

    Args:
        cube: An array (H, W, C), a path relative to the root of the server, or an ``Upload``.
        variable: The array that is the cube, where its file holds several.
        wavelengths: Of an array: band centres in nm.
        valid: Of an array: which pixels count, bool (H, W).
    """

    cube: NDArray[Any] | str | Path | Upload
    variable: str | None = None
    wavelengths: Sequence[float] | None = None
    valid: NDArray[Any] | None = None

    def check(self) -> None:
        """Accept options that belong to the kind of the cube.

        Raises:
            DataError: One does not.
        """
        is_path = isinstance(self.cube, str | Path)
        if self.variable is not None and not is_path:
            what = f"the variable {self.variable!r} is only for paths"
            raise DataError(what, fix="leave it out")
        if not is_path and not isinstance(self.cube, Upload):
            return
        for name in ("wavelengths", "valid"):
            if getattr(self, name) is not None:
                what = f"{name} is only for arrays"
                raise DataError(what, fix="leave it out: the file has its own, or send an array")


def numbers_of(cube: Any) -> NDArray[Any]:
    """An array of numbers, little-endian.

    Raises:
        DataError: It holds objects.
    """
    values = np.asarray(cube)
    if values.dtype.hasobject:
        raise DataError("the array holds objects", fix="pass an array of numbers")
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def refusal(status: int, parts: Any) -> AnswerError:
    """The error that a server describes.

    Args:
        status: The status of HTTP.
        parts: What the answer holds under ``error``; anything where it is not from specloom.
    """
    what = f"the server answers {status}"
    fix = "see the log of the server"
    if isinstance(parts, dict):
        what = f"{what}: {parts.get('what')}"
        fix = str(parts.get("fix") or fix)
    return AnswerError(status, what, fix)


def no_answer(url: str, reason: str) -> AnswerError:
    """The error of a server that does not answer."""
    what = f"{url} does not answer: {reason}"
    return AnswerError(0, what, "check the address, and whether the server runs")


def late_answer(url: str, seconds: float, status: int = 0) -> AnswerError:
    """The error of a server that does not answer within the time of the client."""
    what = f"{url} did not answer within {seconds:g} s"
    return AnswerError(status, what, "try again later, or with a longer timeout")
