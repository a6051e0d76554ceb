"""What both protocols share: cubes of requests, places for requests, and errors as answers."""

from __future__ import annotations

import logging
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom import SpecloomError, machine_error, printable
from specloom_cubes import array_cube
from specloom_serve.errors import RefusedError, TooManyRequestsError
from specloom_serve.npy_body import check_shape
from specloom_serve.root import file_below

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from specloom_cubes import Cube
    from specloom_predict import Predictor
    from specloom_serve.engine import Engine
    from specloom_serve.metrics import Metrics
    from specloom_serve.settings import Limits

LOG = logging.getLogger("specloom.serve")

HEADER, DATA = "cube.hdr", "cube.img"
"""What the files of an ENVI pair are called that a request holds."""


SCRATCH = "specloom-serve-"
"""What the names of temporary folders begin with."""


@dataclass(frozen=True)
class SentArray:
    """A cube whose pixels a request holds.

    Args:
        values: The pixels (H, W, C).
        wavelengths: Band centres in nm, (C,).
        valid: Which pixels count, bool (H, W).
    """

    values: NDArray[Any]
    wavelengths: NDArray[np.float64] | None = None
    valid: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SentPath:
    """A cube that a request names.

    Args:
        path: The file, relative to the root of the server.
        variable: The array that is the cube, where the file holds several.
    """

    path: str
    variable: str | None = None


@dataclass(frozen=True)
class SentPair:
    """A cube in the format ENVI whose two files a request holds.

    Args:
        folder: Where they were written, as ``HEADER`` and ``DATA``.
    """

    folder: Path


Sent: TypeAlias = SentArray | SentPath | SentPair


class Service:
    """One pipeline, its engine and its limits, whatever the protocol.

    Args:
        engine: What computes.
        limits: The limits on requests.
        root: The folder below which cubes may be named by path; None for no paths.
        metrics: What counts.
    """

    def __init__(self, engine: Engine, limits: Limits, root: Path | None, metrics: Metrics) -> None:
        self.engine = engine
        self.limits = limits
        self.root = root
        self.metrics = metrics
        #: Requests for predictions that are received, wait or are computed.
        self.active = 0
        self._lock = threading.Lock()
        self._hidden = _hidden_folders(root)

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places for requests at the same time.

        Raises:
            TooManyRequestsError: All are taken.
        """
        with self._lock:
            active = self.active
            if active < self.limits.requests:
                self.active += 1
        if active >= self.limits.requests:
            what = f"{active} requests are in progress, and no more may"
            raise TooManyRequestsError(what, fix="try again later")
        try:
            yield
        finally:
            with self._lock:
                self.active -= 1

    def open(self, predictor: Predictor, sent: Sent) -> Cube:
        """The cube of a request.

        Raises:
            SpecloomError: It cannot be opened, is too large, or has other bands.
        """
        if isinstance(sent, SentArray):  # checked as it was received, its bands when predicted
            if sent.valid is None:
                _check_no_valid_files(predictor)
            return array_cube(sent.values, sent.wavelengths, sent.valid, name="the cube")
        if isinstance(sent, SentPair):
            _check_no_valid_files(predictor)
            cube = predictor.open(sent.folder / HEADER)
        else:
            file = file_below(self.root, sent.path, predictor.valid_files)
            cube = predictor.open(file, sent.variable)
        check_shape(cube.shape, self.limits)
        predictor.check_cube(cube)
        return cube

    def as_error(self, error: Exception) -> SpecloomError:
        """Why a request failed, without the insides of the server; its log has them."""
        if isinstance(error, SpecloomError):
            return error
        LOG.error("a request failed", exc_info=error)
        known = machine_error(error)
        if known is not None:
            return RefusedError(503, "the machine lacks something", known.fix)
        return RefusedError(500, "the request failed", "report it with the log of the server")

    def shown(self, error: SpecloomError) -> dict[str, str]:
        """The parts of an error in an answer, without the folders of the server."""
        parts = {"what": error.what, "where": error.where, "fix": error.fix}
        for name, text in parts.items():
            parts[name] = printable(self._hidden.sub("", text))
        return parts


def _check_no_valid_files(predictor: Predictor) -> None:
    """Accept a cube without a mask, where those of the fit had none.

    Raises:
        RefusedError: They had.
    """
    if predictor.valid_files is None:
        return
    what = "the request does not say which pixels count, as files did for the cubes of the fit"
    fix = "send an array with the mask 'valid', or a path below the root"
    raise RefusedError(422, what, fix)


@contextmanager
def pair_folder() -> Iterator[Path]:
    """A folder for the files of an ENVI pair, which is removed in the end."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _hidden_folders(root: Path | None) -> re.Pattern[str]:
    """The folders that answers do not show."""
    scratch = Path(tempfile.gettempdir()) / SCRATCH
    hidden = [f"{re.escape(str(scratch))}[^/]*/"]
    if root is not None:
        hidden.append(re.escape(f"{root.resolve()}/"))
    return re.compile("|".join(hidden))
