"""Fitted estimators as bytes without pickle, the same bytes for the same estimator."""

from __future__ import annotations

import io
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import skops.io

from specloom import IntegrityError, NodeError

if TYPE_CHECKING:
    from specloom_outliers.catalogue import Kind

SAVED_FIX = "restore the pipeline from where it was saved, or fit it again"
SCHEMA = "schema.json"
METRICS = (
    "BrayCurtis",
    "Canberra",
    "Chebyshev",
    "Euclidean",
    "Hamming",
    "Mahalanobis",
    "Manhattan",
    "Minkowski",
    "SEuclidean",
)
"""Metrics of scikit-learn whose state is numbers."""

TRUSTED = {
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
    *(f"sklearn.metrics._dist_metrics.{name}Distance64" for name in METRICS),
}
"""What the estimators are made of, and skops does not know by itself."""


def to_bytes(label: str, kind: Kind, estimator: Any) -> bytes:
    """A fitted estimator in the format of skops.

    Raises:
        NodeError: A part of it can be saved only with pickle.
    """
    fix = "choose other parameters, or another estimator"
    try:
        content: bytes = skops.io.dumps(estimator)
        unknown = set(skops.io.get_untrusted_types(data=content)) - set(_trusted(kind))
    except Exception as error:  # each type that skops does not know fails in its own way
        what = f"{label}: {kind.name} cannot be saved without pickle: {error}"
        raise NodeError(what, fix=fix) from error
    if unknown:
        types = ", ".join(sorted(unknown))
        raise NodeError(f"{label}: {kind.name} cannot be saved without pickle: {types}", fix=fix)
    return _canonical(content)


def from_bytes(label: str, kind: Kind, content: bytes) -> Any:
    """The estimator that ``to_bytes`` saved.

    Raises:
        IntegrityError: The bytes are something else.
    """
    try:
        estimator = skops.io.loads(content, trusted=_trusted(kind))
    except Exception as error:  # what strangers write fails in any way
        what = f"{label}: the saved estimator cannot be read: {type(error).__name__}: {error}"
        raise IntegrityError(what, fix=SAVED_FIX) from error
    if type(estimator) is not kind.cls:
        found = type(estimator).__name__
        what = f"{label}: the saved estimator is of {found}, not of {kind.name}"
        raise IntegrityError(what, fix=SAVED_FIX)
    return estimator


def _trusted(kind: Kind) -> list[str]:
    return [*sorted(TRUSTED), f"{kind.cls.__module__}.{kind.cls.__qualname__}"]


def _canonical(content: bytes) -> bytes:
    """The same file without addresses in memory and times."""
    with ZipFile(io.BytesIO(content)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    schema = json.loads(parts.pop(SCHEMA))
    numbers: dict[object, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files)
    written = io.BytesIO()
    with ZipFile(written, "w") as file:
        for old, new in files.items():
            _write(file, new, parts[old])
        _write(file, SCHEMA, json.dumps(schema).encode())
    return written.getvalue()


def _renumber(value: Any, numbers: dict[object, int], files: dict[str, str]) -> None:
    """Replace identities of objects by numbers in the order of the schema, in place."""
    if isinstance(value, list):
        for one in value:
            _renumber(one, numbers, files)
    if not isinstance(value, dict):
        return
    if "__id__" in value:
        value["__id__"] = numbers.setdefault(value["__id__"], len(numbers))
    if "__loader__" in value and isinstance(value.get("file"), str):
        old = value["file"]
        suffix = PurePosixPath(old).suffix
        value["file"] = files.setdefault(old, f"{len(files)}{suffix}")
    for one in value.values():
        _renumber(one, numbers, files)


def _write(file: ZipFile, name: str, content: bytes) -> None:
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED
    file.writestr(info, content)
