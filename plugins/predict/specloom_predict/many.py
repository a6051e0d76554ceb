"""Many cubes through a saved pipeline into one folder: resumable, and one bad file stops no other.

Each input has a folder of its own; ``predict.json`` in it is written last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import DataError, Problems, SpecloomError, machine_error
from specloom_predict import record
from specloom_predict.domain import NOT_COMPARED
from specloom_predict.files import check_formats
from specloom_predict.inputs import Input, find_inputs, folders
from specloom_predict.prediction import predict
from specloom_predict.predictor import Predictor, pipeline_file
from specloom_predict.scratch import write_errors

if TYPE_CHECKING:
    from specloom_predict.predictor import Scale


@dataclass
class Summary:
    """What became of the inputs.

    Args:
        done: For each input that was predicted: input, folder, files, notes and geometry.
        skipped: For each that was complete already: input and folder.
        failed: For each that failed: input and error.
        strict: Whether a cube that is unlike those of the fit makes the exit code 1.
        notes: What concerns all of the cubes.
        unexpected: The first error that is a bug, to be raised when the others are reported.
    """

    done: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[str, SpecloomError]] = field(default_factory=list)
    unexpected: Exception | None = None
    strict: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or that of the worst error; with ``strict``, 1 where a cube is unlike the fit's."""
        codes = [error.exit_code for _, error in self.failed]
        if self.strict and self.unlike():
            codes.append(1)
        return max(codes, default=0)

    def unlike(self) -> list[dict[str, Any]]:
        """The cubes, of this call and complete before it, that are unlike those of the fit."""
        found = []
        for one in [*self.done, *self.skipped]:
            domain = one.get("domain")
            if domain and domain["reasons"]:
                found.append(one)
        return found

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        failed = [
            {"input": name, "error": str(error), "exit_code": error.exit_code}
            for name, error in self.failed
        ]
        return {"done": self.done, "skipped": self.skipped, "failed": failed}


def predict_all(
    pipeline: str | Path,
    inputs: Sequence[str | Path],
    out: str | Path,
    formats: Sequence[str] = ("npy",),
    *,
    outputs: Sequence[str] = (),
    device: str = "auto",
    variable: str | None = None,
    wavelengths: str | Path | None = None,
    memory: int | None = None,
    tile_bytes: int | None = None,
    observed: bool = False,
    scale: Scale | None = None,
    strict: bool = False,
) -> Summary:
    """Apply a saved pipeline to many cubes and write what it makes of each into a folder.

    What is complete for this pipeline and input is skipped: ``predict.json`` in its folder names
    the hash of the pipeline, and the size and time of the input's files.

    Args:
        pipeline: The ``pipeline.yaml`` that a run wrote, or that run's folder.
        inputs: Files, folders, patterns such as ``flights/*/*.hdr``, and addresses that a plugin
            opens.
        out: Where results go, a folder for each input.
        formats: As for ``predict``, as is every other option.
        observed: Whether observers of plugins watch, such as the console's progress.
        strict: Whether a cube that is unlike what the pipeline was fitted on makes the exit code 1.

    Raises:
        SpecloomError: Nothing can be predicted at all: the pipeline or an option is wrong.
    """
    check_formats(formats)
    predictor = Predictor(pipeline, outputs, device, observed, scale)
    out = Path(out)
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    cubes, errors = find_inputs(inputs, out)
    table = None if wavelengths is None else file_digest(Path(wavelengths))
    result_options = {"outputs": sorted(outputs), "variable": variable, "wavelengths": table}
    if scale is not None:
        result_options["scale"] = scale
    one_cube = _OneCube(
        predictor,
        formats,
        pipeline_digest=file_digest(pipeline_file(Path(pipeline))),
        result_options=result_options,
        variable=variable,
        options={"wavelengths": wavelengths, "memory": memory, "tile_bytes": tile_bytes},
    )
    summary = Summary(failed=errors, strict=strict)
    if not predictor.run.graph.fitted_on:
        summary.notes.append(NOT_COMPARED)
    with predictor.watched():
        _predict_each(one_cube, list(folders(cubes, out)), summary)
    return summary


@dataclass
class _OneCube:
    """Predicts one input after another with the same pipeline and options.

    Args:
        predictor: What makes the outputs.
        formats: The formats of files.
        pipeline_digest: The hash of the pipeline.
        result_options: The options that change results.
        variable: The array that is the cube, where a file holds several.
        options: The other options of ``predict``.
    """

    predictor: Predictor
    formats: Sequence[str]
    pipeline_digest: str
    result_options: dict[str, Any]
    variable: str | None
    options: dict[str, Any]

    def predict(self, one: Input, folder: Path) -> dict[str, Any] | None:
        """What was made of an input, as in ``Summary.done``; None where it was complete."""
        stamped = record.stamp(one.files(), self.pipeline_digest, self.result_options)
        if record.complete(record.read(folder), stamped, self.formats, folder):
            return None
        cube = self.predictor.open(one.address, self.variable)
        before = record.claim(folder, one.key, stamped)
        try:
            made = predict(self.predictor, cube, folder, self.formats, **self.options)
        except Exception:
            record.release(folder)
            raise
        geometry = {"transform": made.geometry.transform, "crs": made.geometry.crs}
        more: dict[str, Any] = {"notes": list(made.notes), "geometry": geometry}
        more |= {"pixels": made.pixels, "unjudged": made.unjudged, "domain": None}
        if made.domain is not None:
            more["domain"] = made.domain.as_json()
        entries = {**more, **self.predictor.origin()}
        with write_errors(folder):
            record.finish(
                folder, one.key, stamped, self.formats, made.files.values(), before, entries
            )
        return {"files": sorted(made.files), **more}


def _predict_each(
    one_cube: _OneCube, inputs: Sequence[tuple[Input, Path]], summary: Summary
) -> None:
    """Predict each input into its folder; an error of one ends no other."""
    run = one_cube.predictor.run
    for at, (one, folder) in enumerate(inputs):
        run.hook.progress(run=run, what="inputs", done=at, total=len(inputs))
        entry = {"input": one.address, "folder": str(folder)}
        try:
            made = one_cube.predict(one, folder)
        except Exception as error:
            _add_failure(summary, one, error)
            continue
        if made is None:
            domain = record.read(folder).get("domain")
            summary.skipped.append({**entry, "domain": domain})
        else:
            summary.done.append({**entry, **made})
    run.hook.progress(run=run, what="inputs", done=len(inputs), total=len(inputs))


def _add_failure(summary: Summary, one: Input, error: Exception) -> None:
    reported = error if isinstance(error, SpecloomError) else machine_error(error)
    if reported is not None:
        summary.failed.append((one.address, with_address(reported, one.address)))
        return
    if summary.unexpected is None:
        summary.unexpected = error
    what = f"specloom failed on it: {type(error).__name__}: {error}"
    summary.failed.append((one.address, SpecloomError(what, where=one.address)))


def with_address(error: SpecloomError, address: str) -> SpecloomError:
    """``error`` with the input that it is about, where it does not name it."""
    if isinstance(error, Problems):
        return Problems([with_address(one, address) for one in error.errors])
    if Path(address).name in str(error):
        return error
    where = f"{address}, {error.where}" if error.where else address
    return type(error)(error.what, where=where, fix=error.fix)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}",
            fix="check the path and its permissions",
        ) from error
