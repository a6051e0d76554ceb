"""One cube through a saved pipeline: arrays, and files with the cube's geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom_predict.files import check_formats, write_files
from specloom_predict.georeference import Geometry, geometry_of
from specloom_predict.predictor import Predictor
from specloom_predict.scratch import allocate_files, move_files, scratch_folder

if TYPE_CHECKING:
    from specloom import Pipeline
    from specloom_cubes import Cube
    from specloom_predict.predictor import Outputs, Scale
    from specloom_predict.writers.layout import Map
    from specloom_statistics import DomainMeasure


@dataclass(frozen=True)
class Prediction:
    """What a pipeline makes of one cube.

    Args:
        arrays: The outputs by name: maps as (H, W) or (H, W, K), others with their batch axis.
        files: What was written, by file name.
        geometry: Where the cube lies.
        unjudged: How many pixels could not be judged: no data, not valid, or a score of NaN.
        pixels: How many pixels the cube has.
        domain: How the cube compares with what the pipeline was fitted on; None where nothing can
            be compared.
        notes: What the user should know: outputs that are no maps, geometry that a format lacks.
    """

    arrays: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, Path]
    geometry: Geometry
    notes: tuple[str, ...] = ()
    unjudged: int = 0
    pixels: int = 0
    domain: DomainMeasure | None = None


def predict(
    pipeline: str | Path | Pipeline | Predictor,
    cube: str | Path | Cube,
    folder: str | Path | None = None,
    formats: Sequence[str] = ("npy",),
    *,
    outputs: Sequence[str] = (),
    device: str = "auto",
    variable: str | None = None,
    wavelengths: str | Path | None = None,
    memory: int | None = None,
    tile_bytes: int | None = None,
    scale: Scale | None = None,
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
        wavelengths: CSV with the band centres, used instead of those in the file.
        memory: Bytes that nodes may take which need the whole image; by default half of what is
            free.
        tile_bytes: Bytes of the cube in one tile; 16 MiB by default.
        scale: ``physical`` or ``stored``; by default as the pipeline was fitted, and ``stored``
            where it was saved before pipelines said so. A ``Predictor`` and an open cube have
            their own.
        draw_scores: Whether pictures of scores are drawn now, with the scale of this cube alone.
            ``predict_all`` draws them later, with one scale for all cubes.

    Raises:
        DataError: The cube cannot be read, or its bands are not those of the pipeline.
        NodeError: A node needs the whole image, and that would take more than ``memory``.
        UnavailableError: A file cannot be written, or GeoTIFF is wanted without rasterio.
    """
    check_formats(formats)
    predictor = pipeline
    if not isinstance(predictor, Predictor):
        predictor = Predictor(predictor, outputs, device, scale=scale)
    opened = cube
    if isinstance(opened, str | Path):
        opened = predictor.open(opened, variable)
    geometry = geometry_of(opened)
    if folder is None:
        made = predictor.outputs_of(opened, wavelengths, memory, tile_bytes)
        return _prediction(made, {}, geometry, [])
    with scratch_folder(Path(folder)) as scratch:
        names = {end: name for name, end in predictor.ends.items()}
        allocate = allocate_files(scratch, names)
        made = predictor.outputs_of(opened, wavelengths, memory, tile_bytes, allocate)
        source = f"{opened.path.name} by the pipeline {predictor.run.metadata['name']}"
        written, more = write_files(
            scratch,
            made.maps,
            made.others,
            opened,
            geometry,
            formats,
            source,
            draw_scores=draw_scores,
        )
        files = move_files(scratch, Path(folder), written)
    return _prediction(made, files, geometry, more)


def _prediction(
    made: Outputs, files: Mapping[str, Path], geometry: Geometry, notes: Sequence[str]
) -> Prediction:
    unique_notes = dict.fromkeys([*geometry.notes, *made.notes, *notes])
    return Prediction(
        _arrays(made.maps, made.others),
        files,
        geometry,
        tuple(unique_notes),
        unjudged=int(made.unjudged.sum()),
        pixels=made.unjudged.size,
        domain=made.domain,
    )


def _arrays(maps: Sequence[Map], others: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: one.values for one in maps} | dict(others)
