"""``Predictor``, the one way to apply a fitted pipeline to cubes, and ``predict`` for one cube."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import ConfigError
from specloom_cubes import Cube, files_of_cube, is_address
from specloom_predict.array_prediction import predict_array
from specloom_predict.cube_prediction import FileOptions, RunOptions, predict_cube
from specloom_predict.files import check_formats
from specloom_predict.fitted_pipeline import FittedPipeline
from specloom_predict.input_state import InputState
from specloom_predict.measures import has_decisions
from specloom_predict.verdicts import read_rules

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from specloom import Pipeline, Run
    from specloom.torch import CubeLike
    from specloom_predict.fitted_pipeline import Scale
    from specloom_predict.prediction import Prediction


class Predictor(FittedPipeline):
    """The one way to apply a fitted pipeline to cubes: command, Python, servers and workers use it.

    It loads the pipeline once, and stays ready for one cube after another. Calls of ``predict``
    from several threads wait for each other.

    Args:
        pipeline: The ``pipeline.yaml`` that a run wrote, that run's folder, a fitted pipeline, or
            a run. Of the latter two, without declared outputs, all maps count that no node reads,
            and those that are called scores.
        outputs: The names of those wanted; all that are declared where empty.
        device: ``auto``, ``cpu`` or ``cuda``; by default that of the run, or ``auto``.
        observed: Whether observers of plugins watch, such as the console's progress.
        scale: ``physical`` or ``stored``; by default as the pipeline was fitted.
        valid: The files that say which pixels count, as of ``FittedPipeline``.
        reject_when: Rules such as ``objects > 0``: a cube for which one holds is rejected. Without
            any, ``objects > 0`` where the pipeline makes decisions.

    Raises:
        ConfigError: There is no such pipeline, it declares no output of that name, there is no
            such scale, or a rule is none.
        IntegrityError: The pipeline's files are not what they say they are.
    """

    def __init__(
        self,
        pipeline: str | Path | Pipeline | Run,
        outputs: Sequence[str] = (),
        device: str | None = None,
        observed: bool = False,
        scale: Scale | None = None,
        reject_when: Sequence[str] = (),
        valid: str | None = None,
    ) -> None:
        super().__init__(pipeline, outputs, device, observed, scale, valid)
        graph = self.run.graph
        #: The rules that reject a cube.
        self.rules = read_rules(reject_when, has_decisions(graph, self.ends), bool(graph.fitted_on))
        self._lock = threading.RLock()

    def predict(
        self,
        cube: str | Path | Cube | CubeLike,
        folder: str | Path | None = None,
        formats: Sequence[str] = ("npy",),
        *,
        variable: str | None = None,
        wavelengths: str | Path | ArrayLike | None = None,
        valid: Any = None,
        memory: int | None = None,
        tile_bytes: int | None = None,
        draw_scores: bool = True,
    ) -> Prediction:
        """The outputs for one cube, tile by tile, and files of them where a folder is given.

        The values equal those of ``specloom predict`` bit for bit, whatever the tiles.

        Args:
            cube: A file that ``open_cube`` reads, an address that a plugin opens, an open cube, or
                an array (H, W, C) or (B, H, W, C) of NumPy, torch or xarray, whose kind the outputs
                then have. Of several images each is predicted on its own.
            folder: Where files go, as ``predict`` writes them; only of one cube.
            formats: Which: ``npy``, ``envi``, ``geotiff``, ``png``, ``csv``.
            variable: The array that is the cube, where its file holds several.
            wavelengths: Band centres in nm, used instead of the cube's own: a CSV file, or one
                number for each band in a list, a tuple, an array or a tensor.
            valid: Of an array: which pixels count, bool (H, W) or (B, H, W).
            memory: Bytes that nodes may take which need the whole image; by default half of what
                is free.
            tile_bytes: Bytes of the cube in one tile; 16 MiB by default.
            draw_scores: As for ``predict``.

        Raises:
            DataError: The cube cannot be read, or its bands are not those of the pipeline.
            ConfigError: ``valid`` or ``variable`` does not apply to the cube.
            PortError: The array does not fit the pipeline.
            NodeError: A node needs the whole image, and that would take more than ``memory``.
            UnavailableError: A file cannot be written.
        """
        check_formats(formats)
        place = None if folder is None else Path(folder)
        state = None
        if isinstance(cube, str | Path) and not is_address(cube):
            state = InputState.of(str(cube), files_of_cube(Path(cube)))
        files = FileOptions(place, formats, draw_scores, state)
        options = RunOptions(wavelengths, memory, tile_bytes)
        if variable is not None and not isinstance(cube, str | Path):
            what = "'variable' is only for files: an array is the cube itself"
            raise ConfigError(what, fix="leave it out, or pass the file of the cube")
        with self._lock:
            if not isinstance(cube, str | Path | Cube):
                return predict_array(self, cube, files, options, valid, self.rules)
            if valid is not None:
                what = "'valid' is only for arrays: a file says itself which pixels count"
                fix = "leave it out, pass the cube as an array, or use Predictor(valid='*_roi.png')"
                raise ConfigError(what, fix=fix)
            opened = cube
            if isinstance(opened, str | Path):
                opened = self.open(opened, variable)
            return predict_cube(self, opened, files, options, self.rules)


def predict(
    pipeline: str | Path | Pipeline | Predictor,
    cube: str | Path | Cube,
    folder: str | Path | None = None,
    formats: Sequence[str] = ("npy",),
    *,
    outputs: Sequence[str] = (),
    device: str = "auto",
    variable: str | None = None,
    wavelengths: str | Path | ArrayLike | None = None,
    memory: int | None = None,
    tile_bytes: int | None = None,
    scale: Scale | None = None,
    valid: str | None = None,
    draw_scores: bool = True,
) -> Prediction:
    """Apply a fitted pipeline to one cube, tile by tile, and write its outputs if wanted.

    The outputs are those that the pipeline declares (``outputs:`` of its run file), equal bit for
    bit to what the run made. With a ``folder`` each is written there as ``<output>.<ending>``:
    ``.npy``, ``.img`` with ``.hdr`` (ENVI), ``.tif`` (GeoTIFF) and ``.png``, and
    ``<output>_objects.csv`` for decisions. Files appear there when they are complete. Without
    a folder nothing is written.

    Args:
        pipeline: ``pipeline.yaml`` or its run's folder, a fitted ``Pipeline``, or a ``Predictor``,
            which saves loading the pipeline again for each of many cubes.
        cube: A file that ``open_cube`` reads, an address that a plugin opens, or an open cube.
        folder: Where files go.
        formats: Which: ``npy``, ``envi``, ``geotiff``, ``png``, ``csv``.
        outputs: The names of the outputs that are wanted; all where empty.
        device: ``auto``, ``cpu`` or ``cuda``.
        variable: The array that is the cube, where its file holds several.
        wavelengths: Band centres in nm, used instead of those in the file: a CSV file, or one
            number for each band.
        memory: Bytes that nodes may take which need the whole image; by default half of what is
            free.
        tile_bytes: Bytes of the cube in one tile; 16 MiB by default.
        scale: ``physical`` or ``stored``; by default as the pipeline was fitted, and ``stored``
            where it was saved before pipelines said so. A ``Predictor`` and an open cube have
            their own.
        valid: The files that say which pixels count: a pattern such as ``*_roi.png``, with ``*``
            for the name of a cube, in whose folder it begins; one file; or ``all`` for no file. By
            default those of the fit; a ``Predictor`` has its own.
        draw_scores: Whether pictures of scores are drawn now, with the scale of this cube alone.
            ``predict_all`` draws them later, with one scale for all cubes.

    Raises:
        DataError: The cube cannot be read, or its bands are not those of the pipeline.
        NodeError: A node needs the whole image, and that would take more than ``memory``.
        UnavailableError: A file cannot be written, or GeoTIFF is wanted without rasterio.
    """
    predictor = pipeline
    if not isinstance(predictor, Predictor):
        predictor = Predictor(predictor, outputs, device, scale=scale, valid=valid)
    return predictor.predict(
        cube,
        folder,
        formats,
        variable=variable,
        wavelengths=wavelengths,
        memory=memory,
        tile_bytes=tile_bytes,
        draw_scores=draw_scores,
    )
