"""One open cube through a fitted pipeline: its outputs, and files with its geometry."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import ConfigError, uninterrupted
from specloom_predict.files import write_files
from specloom_predict.georeference import geometry_of
from specloom_predict.measures import decisions_among
from specloom_predict.prediction import Prediction
from specloom_predict.scratch import allocate_files, move_files, scratch_folder

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from specloom_cubes import Cube
    from specloom_predict.fitted_pipeline import FittedPipeline, Outputs
    from specloom_predict.georeference import Geometry
    from specloom_predict.input_state import InputState
    from specloom_predict.rules import Rule
    from specloom_predict.split_cube import SplitCube
    from specloom_predict.writers.layout import Map


@dataclass(frozen=True)
class FileOptions:
    """Which files are written of a cube.

    Args:
        folder: Where they go; None for no files.
        formats: Which: ``npy``, ``envi``, ``geotiff``, ``png``, ``csv``.
        draw_scores: Whether pictures of scores are drawn now, with the scale of this cube alone.
        input_state: The files of the cube as they were before it was opened; None for a cube whose
            files are not looked at.
        record: Called when the files have their names, to write a record; None for no record.
    """

    folder: Path | None = None
    formats: Sequence[str] = ("npy",)
    draw_scores: bool = True
    input_state: InputState | None = None
    record: Callable[[Prediction], None] | None = None


@dataclass(frozen=True)
class RunOptions:
    """How a pipeline runs on a cube.

    Args:
        wavelengths: Band centres in nm, used instead of the cube's own: a CSV file, or an
            array (C,).
        memory: Bytes that nodes may take which need the whole image.
        tile_bytes: Bytes of the cube in one tile.
        split: What other processes made of the cube's tiles; None where this one makes all.

    Raises:
        ConfigError: The memory is below 0, or a tile below 1 byte.
    """

    wavelengths: str | Path | ArrayLike | None = None
    memory: int | None = None
    tile_bytes: int | None = None
    split: SplitCube | None = None

    def __post_init__(self) -> None:
        for name, least in (("memory", 0), ("tile_bytes", 1)):
            size = getattr(self, name)
            if size is not None and size < least:
                raise ConfigError(f"{name} is {size}", fix="set a number of bytes, or leave it out")


def predict_cube(
    fitted: FittedPipeline,
    cube: Cube,
    files: FileOptions,
    options: RunOptions,
    rules: Sequence[Rule],
) -> Prediction:
    """What a pipeline makes of a cube.

    Raises:
        DataError: The cube's bands are not those of the pipeline.
        NodeError: A node needs the whole image, and that would take more than allowed.
        UnavailableError: A file cannot be written.
    """
    started = time.monotonic()
    geometry = geometry_of(cube)
    if files.folder is not None:
        return _with_files(fitted, cube, files, options, geometry, rules, started)
    made = fitted.outputs_of(cube, options.wavelengths, options.memory, options.tile_bytes)
    if files.input_state is not None:
        files.input_state.check()
    seconds = time.monotonic() - started
    return _prediction(fitted, cube, made, geometry, {}, (), rules, seconds)


def _with_files(
    fitted: FittedPipeline,
    cube: Cube,
    files: FileOptions,
    options: RunOptions,
    geometry: Geometry,
    rules: Sequence[Rule],
    started: float,
) -> Prediction:
    """The prediction, with files, which get their names and their record in one go."""
    folder = files.folder
    assert folder is not None, "without a folder no files are written"
    with scratch_folder(folder) as scratch:
        names = {end: name for name, end in fitted.ends.items()}
        allocate = allocate_files(scratch, names)
        made = fitted.outputs_of(
            cube,
            options.wavelengths,
            options.memory,
            options.tile_bytes,
            allocate,
            options.split,
        )
        source = f"{cube.path.name} by the pipeline {fitted.run.metadata['name']}"
        written, notes = write_files(
            scratch,
            made.maps,
            made.others,
            cube,
            geometry,
            files.formats,
            source,
            draw_scores=files.draw_scores,
        )
        if files.input_state is not None:
            files.input_state.check()
        paths = {name: folder / name for name in written}
        seconds = time.monotonic() - started
        if options.split is not None:
            seconds += options.split.seconds
        prediction = _prediction(fitted, cube, made, geometry, paths, notes, rules, seconds)
        if files.record is None:
            move_files(scratch, folder, written)
            return prediction
        _ = prediction.measures  # which takes a while, before the steps that belong together
        with uninterrupted():
            move_files(scratch, folder, written)
            files.record(prediction)
    return prediction


def _prediction(
    fitted: FittedPipeline,
    cube: Cube,
    made: Outputs,
    geometry: Geometry,
    files: Mapping[str, Path],
    notes: Sequence[str],
    rules: Sequence[Rule],
    seconds: float,
) -> Prediction:
    arrays = _arrays(made.maps, made.others)
    unique_notes = dict.fromkeys([*geometry.notes, *made.notes, *notes])
    return Prediction(
        arrays,
        files,
        geometry,
        tuple(unique_notes),
        unjudged=int(made.unjudged.sum()),
        pixels=made.unjudged.size,
        domain=made.domain,
        cube=cube,
        decisions_name=decisions_among(fitted.run.graph, fitted.ends, arrays),
        scores_name=_scores_among(made.maps),
        rules=rules,
        seconds=seconds,
    )


def _scores_among(maps: Sequence[Map]) -> str:
    """The map ``scores``, or the first map of one real number a pixel; empty without one."""
    names = [one.name for one in maps if one.values.dtype.kind == "f" and one.values.ndim == 2]
    if "scores" in names:
        return "scores"
    return next(iter(names), "")


def _arrays(maps: Sequence[Map], others: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: one.values for one in maps} | dict(others)
