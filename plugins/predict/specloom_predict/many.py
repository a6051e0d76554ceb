"""Many cubes through a saved pipeline into one folder: resumable, and one bad file stops no other.

Each input has a folder of its own; ``predict.json`` in it is written last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specloom import DataError, Problems, SpecloomError, machine_error
from specloom_predict import record
from specloom_predict.files import check_formats
from specloom_predict.inputs import Input, find_inputs, folders
from specloom_predict.mapped import writing
from specloom_predict.predictor import Predictor, pipeline_file
from specloom_predict.scene import predict


@dataclass
class Summary:
    """What became of the inputs.

    Args:
        done: For each input that was predicted: input, folder, files, notes and geometry.
        skipped: For each that was complete already: input and folder.
        failed: For each that could not be: input and the error.
        unexpected: The first error that is no user's, to be raised when all is told.
    """

    done: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[str, SpecloomError]] = field(default_factory=list)
    unexpected: Exception | None = None

    @property
    def exit_code(self) -> int:
        """0, or that of the worst error."""
        return max((error.exit_code for _, error in self.failed), default=0)

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
) -> Summary:
    """Apply a saved pipeline to many cubes and write what it makes of each into a folder.

    What is complete for this pipeline and input is skipped: ``predict.json`` in its folder names
    the hash of the pipeline, and the size and time of the input's files.

    Args:
        pipeline: The ``pipeline.yaml`` that a run wrote, or that run's folder.
        inputs: Files, folders and patterns such as ``flights/*/*.hdr``.
        out: Where results go, a folder for each input.
        formats: As for ``predict``, as is every other option.
        observed: Whether observers of plugins watch, such as the console's progress.

    Raises:
        SpecloomError: Nothing can be predicted at all: the pipeline or an option is wrong.
    """
    check_formats(formats)
    predictor, out = Predictor(pipeline, outputs, device, observed), Path(out)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    found, wrong = find_inputs(inputs, out)
    summary = Summary(failed=wrong)
    table = None if wavelengths is None else _digest(Path(wavelengths))
    of = {"outputs": sorted(outputs), "variable": variable, "wavelengths": table}
    hashed = _digest(pipeline_file(Path(pipeline)))
    options: dict[str, Any] = {"variable": variable, "wavelengths": wavelengths}
    options |= {"memory": memory, "tile_bytes": tile_bytes}
    with predictor.watched():
        tell = predictor.run.hook.progress
        for at, (one, folder) in enumerate(folders(found, out)):
            tell(run=predictor.run, what="inputs", done=at, total=len(found))
            try:
                _one(summary, predictor, one, folder, formats, (hashed, of), options)
            except SpecloomError as error:
                summary.failed.append((str(one.path), told(error, one.path)))
            except Exception as error:
                known = machine_error(error)
                if known is not None:
                    summary.failed.append((str(one.path), told(known, one.path)))
                    continue
                summary.unexpected = summary.unexpected or error
                what = f"specloom failed on it: {type(error).__name__}: {error}"
                summary.failed.append((str(one.path), SpecloomError(what, where=str(one.path))))
        tell(run=predictor.run, what="inputs", done=len(found), total=len(found))
    return summary


def told(error: SpecloomError, path: Path) -> SpecloomError:
    """``error`` with the name of the file that it is about."""
    if isinstance(error, Problems):
        return Problems([told(one, path) for one in error.errors])
    if path.name in str(error):
        return error
    where = f"{path}, {error.where}" if error.where else str(path)
    return type(error)(error.what, where=where, fix=error.fix)


def _one(
    summary: Summary,
    predictor: Predictor,
    one: Input,
    folder: Path,
    formats: Sequence[str],
    of: tuple[str, dict[str, Any]],
    options: dict[str, Any],
) -> None:
    path, stamped = one.path.resolve(), record.stamp(one.files(), *of)
    about = {"input": str(one.path), "folder": str(folder)}
    if record.complete(record.read(folder), stamped, formats, folder):
        summary.skipped.append(about)
        return
    cube = predictor.open(one.path, options["variable"])
    with writing(folder):
        before = record.claim(folder, path, stamped)
    rest = {key: value for key, value in options.items() if key != "variable"}
    try:
        made = predict(predictor, cube, folder, formats, **rest)
    except Exception:
        record.release(folder)
        raise
    geometry = {"transform": made.geometry.transform, "crs": made.geometry.crs}
    more = {"notes": list(made.notes), "geometry": geometry}
    with writing(folder):
        record.finish(folder, path, stamped, formats, made.files.values(), before, more)
    summary.done.append({**about, "files": sorted(made.files), **more})


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}",
            fix="check the path and its permissions",
        ) from error
