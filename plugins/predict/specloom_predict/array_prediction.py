"""Arrays through a fitted pipeline: outputs of the kind of the array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import ConfigError, GraphError, Port
from specloom_cubes import array_cube
from specloom_predict.cube_prediction import FileOptions, RunOptions, predict_cube
from specloom_predict.tile_plan import is_map
from specloom_predict.tiled_run import to_array

if TYPE_CHECKING:
    from specloom_cubes import Cube
    from specloom_predict.fitted_pipeline import FittedPipeline
    from specloom_predict.prediction import Prediction
    from specloom_predict.rules import Rule


def predict_array(
    fitted: FittedPipeline,
    array: Any,
    files: FileOptions,
    options: RunOptions,
    valid: Any,
    rules: Sequence[Rule],
) -> Prediction:
    """What a pipeline makes of an array (H, W, C), or of each image of (B, H, W, C).

    Raises:
        GraphError: The pipeline reads no cube.
        PortError: The array does not fit the pipeline.
        ConfigError: Files are wanted of several images.
        DataError: As ``predict_cube``.
    """
    wavelengths = options.wavelengths
    is_file = isinstance(wavelengths, str | Path)
    others = {"valid": valid, "wavelengths": None if is_file else wavelengths}
    graph = fitted.run.graph
    if "cube" not in graph.batch:
        fix = "connect it: pipeline.connect('batch.cube', node.data)"
        raise GraphError("no node of the pipeline reads 'cube' from the data", fix=fix)
    offered = fitted.run.source.outputs
    wavelengths_port = Port("C", dtype="real", unit="nm", host=True)
    ports = {
        "cube": graph.batch["cube"],
        "valid": offered["valid"],
        "wavelengths": wavelengths_port,
    }
    label = f"the pipeline {fitted.run.metadata['name']!r}"
    taken = fitted.run.runtime.take_batch(ports, array, others, label)
    if taken.first.batched and len(taken.values["cube"]) > 1 and files.folder is not None:
        what = f"{len(taken.values['cube'])} images would be written into one folder"
        raise ConfigError(what, fix="predict each image into a folder of its own")
    for_each = replace(options, wavelengths=wavelengths if is_file else None)
    made = [
        predict_cube(fitted, cube, files, for_each, rules)
        for cube in _cubes(taken.values, graph.batch["cube"])
    ]
    arrays = {}
    for name in made[0].arrays:
        port = graph.port(fitted.ends[name])
        values = [np.asarray(one.arrays[name]) for one in made]
        if not is_map(port):
            arrays[name] = values[0] if len(values) == 1 else np.concatenate(values)
            continue
        stacked = np.stack(values)
        if port.names[-1:] == ("1",):
            stacked = stacked[..., None]
        arrays[name] = taken.first.give(stacked, port)
    return _joined(made, arrays)


def _joined(made: Sequence[Prediction], arrays: dict[str, Any]) -> Prediction:
    """The predictions of images as one, with the arrays of all."""
    first = made[0]
    if len(made) == 1:
        return replace(first, arrays=arrays)
    notes: list[str] = []
    for one in made:
        notes += one.notes
    return replace(
        first,
        arrays=arrays,
        notes=tuple(dict.fromkeys(notes)),
        unjudged=sum(one.unjudged for one in made),
        pixels=sum(one.pixels for one in made),
        seconds=sum(one.seconds for one in made),
        domain=None,
        cube=None,
        images=tuple(made),
    )


def _cubes(values: Any, port: Any) -> Iterator[Cube]:
    """Each image as a cube in memory, in an element type that the pipeline takes."""
    images = values["cube"]
    if not port.takes_dtype(str(images.dtype).removeprefix("torch.")):
        images = images.float()
    wavelengths = None
    if "wavelengths" in values:
        wavelengths = to_array(values["wavelengths"])
    for number, image in enumerate(images):
        valid = None
        if "valid" in values:
            valid = to_array(values["valid"][number])
        row = wavelengths
        if row is not None and row.ndim == 2:
            row = row[number]
        name = "the array" if len(images) == 1 else f"image {number}"
        yield array_cube(to_array(image.detach()), row, valid, name=name)
