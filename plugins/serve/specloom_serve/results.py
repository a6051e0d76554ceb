"""What an answer holds: the result as JSON, an output as NPY or PNG, or all of it as ZIP."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError, did_you_mean
from specloom_serve.errors import RefusedError
from specloom_serve.npy_body import npy_bytes
from specloom_serve.zipped import zip_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes import Cube
    from specloom_predict import Prediction, Predictor

MEDIA_TYPES = {
    "json": "application/json",
    "npy": "application/x-npy",
    "png": "image/png",
    "zip": "application/zip",
}
"""The formats of answers, and what HTTP calls them."""


@dataclass(frozen=True)
class Wanted:
    """What a request wants.

    Args:
        format: One of ``MEDIA_TYPES``.
        output: The output that NPY and PNG show; by default ``scores``, or the first.
        wavelengths: Band centres in nm of a cube in a body, (C,).
        deadline: Seconds within which there is an answer; those of the server where None.
    """

    format: str = "json"
    output: str = ""
    wavelengths: NDArray[np.float64] | None = None
    deadline: float | None = None


def render(predictor: Predictor, cube: Cube, wanted: Wanted, most_objects: int) -> bytes:
    """Predict a cube, and make the body of the answer.

    Raises:
        RefusedError: The pipeline has no such output.
        SpecloomError: As ``Predictor.predict``.
    """
    name = chosen_output(predictor, wanted.output)
    if wanted.format == "png":
        return draw(predictor, cube, name)
    found = predictor.predict(cube)
    if wanted.format == "json":
        return json_bytes(describe(predictor, found, most_objects))
    if wanted.format == "zip":
        result = json_bytes(describe(predictor, found, most_objects))
        return zip_bytes(result, found.arrays)
    if name not in found.arrays:
        raise _absent(name)
    return npy_bytes(found[name])


def describe(predictor: Predictor, found: Prediction, most_objects: int) -> dict[str, Any]:
    """A prediction as plain values: the verdict, measures, objects, outputs and notes.

    Args:
        predictor: What made it.
        found: The prediction.
        most_objects: How many objects are listed.
    """
    verdict = found.verdict
    measures = found.measures.as_json()
    domain = None
    if found.domain is not None:
        domain = found.domain.as_json()
    return {
        "pipeline": predictor.run.metadata["name"],
        "verdict": verdict.word,
        "reason": verdict.reason,
        "measures": measures,
        "objects": _objects(found, most_objects),
        "domain": domain,
        "outputs": {name: _shape(value) for name, value in found.arrays.items()},
        "unjudged": found.unjudged,
        "pixels": found.pixels,
        "notes": list(found.notes),
        "seconds": found.seconds,
    }


def json_bytes(value: Any) -> bytes:
    """JSON in UTF-8, with null for what is not finite."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError):
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return text.encode()


def chosen_output(predictor: Predictor, wanted: str) -> str:
    """The output that is wanted, or ``scores``, or the first.

    Raises:
        RefusedError: There is no such output.
    """
    names = list(predictor.ends)
    if wanted and wanted not in names:
        what = f"the pipeline has no output {wanted!r}"
        raise RefusedError(400, what, did_you_mean(wanted, names))
    if wanted:
        return wanted
    if "scores" in names:
        return "scores"
    return next(iter(names), "")


def _objects(found: Prediction, most: int) -> list[dict[str, Any]] | None:
    """The first objects; None where the pipeline makes no decisions."""
    try:
        table = found.objects
    except DataError:
        return None
    return table.rows()[:most]


def _shape(value: Any) -> dict[str, Any]:
    values = np.asarray(value)
    return {"shape": list(values.shape), "dtype": values.dtype.name}


def draw(predictor: Predictor, cube: Cube, name: str) -> bytes:
    """An output as PNG.

    Raises:
        RefusedError: It has no value, or is no map.
        SpecloomError: As ``Predictor.predict``.
    """
    with tempfile.TemporaryDirectory(prefix="specloom-serve-") as folder:
        found = predictor.predict(cube, Path(folder) / "out", ("png",))
        file = found.files.get(f"{name}.png")
        if file is None:
            raise _absent(name)
        return file.read_bytes()


def _absent(name: str) -> RefusedError:
    what = f"the output {name!r} has no value for this cube, or not in this format"
    return RefusedError(422, what, "use another output or format")


def _finite(value: Any) -> Any:
    """A value of which JSON can hold every number."""
    if isinstance(value, dict):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
