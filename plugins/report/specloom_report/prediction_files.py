"""The report of a folder that ``specloom predict`` wrote: its summary, maps and cubes.

Nothing of the plugin ``predict`` is imported: what is read are its files.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom import ConfigError, SpecloomError
from specloom_pictures import colour_bands, colour_scale
from specloom_report.collecting.held_cube import HeldCube, held_step
from specloom_report.collecting.image_spectra import pooled_spectra
from specloom_report.collecting.stored_image import (
    Place,
    StoredImage,
    describe_images,
    store_image,
    used_planes,
)
from specloom_report.collecting.thumbnails import MAX_IMAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SUMMARY = "summary.csv"
RECORD = "predict.json"
NODE = "predict"
"""What stands for the comparing node of a run."""

WORDS = ("accept", "reject", "unjudged")
#: Cubes with the last of these verdicts are shown first.
RANKS = {"accept": 0, "unjudged": 1, "reject": 2}
#: Values of options that were not set.
UNSET: tuple[Any, ...] = (None, "", [])
NUMBERS = ("objects", "largest", "decided", "unjudged", "level", "shape", "seconds")
WHOLE = ("objects", "largest")
UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, TokenError)
"""What NumPy raises for a file that is no array."""


class Maps(NamedTuple):
    """The maps of one cube, each (H, W), as far as they were written."""

    decisions: NDArray[np.bool_] | None
    scores: NDArray[Any] | None
    unjudged: NDArray[np.bool_] | None


def is_prediction(folder: Path) -> bool:
    """Return whether a folder holds the results of ``specloom predict``."""
    return (folder / SUMMARY).is_file() or (folder / RECORD).is_file()


def load_prediction(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the data of a report of a folder that ``specloom predict`` wrote.

    Raises:
        ConfigError: Its summary cannot be read, or the maps of a cube have different sizes.
    """
    rows = _read_summary(folder)
    shown = sorted(rows, key=_rank, reverse=True)[:MAX_IMAGES]
    pictures, arrays = _read_images(folder, shown)
    counts = Counter(row["verdict"] for row in rows)
    records = [_read_record(_folder_of(folder, row)) for row in rows]
    written = [record for record in records if record]
    prediction = {"counts": {word: counts[word] for word in WORDS}, "rows": rows}
    report = {
        "title": folder.resolve().name,
        "description": "Results of specloom predict.",
        "prediction": prediction,
        "cubes": rows,
        "pictures": pictures,
        "facts": _describe_origin(written),
        "warnings": _warnings(rows),
        "ended": _last_change(folder),
    }
    return report, arrays


def read_cubes(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the summary that a folder holds besides a run; none without.

    Raises:
        ConfigError: Its summary cannot be read.
    """
    if not (folder / SUMMARY).is_file():
        return []
    return _read_summary(folder)


def _read_summary(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of ``summary.csv``, or of the folder of a single cube."""
    path = folder / SUMMARY
    if not path.is_file():
        return [_row_of_record(folder, _read_record(folder))]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_typed(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, OverflowError, KeyError, csv.Error) as e:
        what = f"{path} is no summary of a prediction ({type(e).__name__}: {e})"
        raise ConfigError(what, fix="repeat the call of specloom predict") from e


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    """Return a row of the summary with numbers as such; None where one is not known."""
    typed: dict[str, Any] = {
        "cube": row["cube"],
        "verdict": row["verdict"],
        "reason": row.get("reason") or "",
        "folder": row.get("folder") or "",
    }
    for name in NUMBERS:
        text = row.get(name) or ""
        typed[name] = None
        if text:
            typed[name] = float(text)
        if text and name in WHOLE:
            typed[name] = int(float(text))
    return typed


def _row_of_record(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    measures = _mapping(record, "measures")
    row = {name: _number(measures.get(name)) for name in NUMBERS}
    cube = str(record.get("input", folder.name))
    return {"cube": cube, "verdict": "", "reason": "", "folder": str(folder), **row}


def _read_record(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    with suppress(OSError, ValueError, RecursionError):
        record: Any = json.loads((folder / RECORD).read_bytes())
        if isinstance(record, dict):
            return record
    return {}


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a record; an empty one where it is missing or no mapping."""
    part = record.get(name)
    if isinstance(part, dict):
        return part
    return {}


def _number(value: Any) -> Any:
    """Return a finite number of a record; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value):
        return value
    return None


def _folder_of(folder: Path, row: Mapping[str, Any]) -> Path | None:
    """Return the folder of a cube's results, also where the whole was moved; None without."""
    if not row["folder"]:
        return None
    written = Path(row["folder"])
    for place in (folder / written.name, written, folder):
        if (place / RECORD).is_file():
            return place
    return None


def _rank(row: Mapping[str, Any]) -> tuple[float, float, float]:
    decided = row["decided"] or 0.0
    objects = row["objects"] or 0
    return (RANKS.get(row["verdict"], 0), decided, objects)


def _read_images(
    folder: Path, rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the images of the cubes whose maps are there, as a run's report has them."""
    stored: list[StoredImage] = []
    names = {}
    scales = {}
    wavelengths: list[float] | None = None
    bands: list[int] = []
    for number, row in enumerate(rows):
        place = _folder_of(folder, row)
        maps = _read_maps(place)
        if place is None or (maps.decisions is None and maps.scores is None):
            continue
        record = _read_record(place)
        cube, own_wavelengths = _open_cube(record)
        if cube is not None and not bands:
            bands = colour_bands(cube.shape[-1], own_wavelengths)
            wavelengths = own_wavelengths
        if cube is not None and bands and max(bands) >= cube.shape[-1]:
            cube = None
        stored.append(_store(number, len(rows), maps, cube, bands))
        names[number] = row
        scales.update(_scale_of(record))
    described, arrays = describe_images({NODE: stored[::-1]}, scales or None)
    for image in described["images"]:
        image["name"] = Path(names[image["number"]]["cube"]).name
        image["caption"] = _caption(names[image["number"]])
    pictures = {"stage": "", **described, "bands": _describe_bands(bands, wavelengths)}
    pictures["wavelengths"] = wavelengths
    known = [one.spectra for one in stored if one.spectra is not None]
    if known and len({one.grid.shape[1] for one in known}) == 1:
        pictures["spectra"] = pooled_spectra(known)
    return pictures, arrays


def _store(
    number: int, expected: int, maps: Maps, cube: HeldCube | None, bands: Sequence[int]
) -> StoredImage:
    decisions = maps.decisions
    if decisions is None and maps.scores is not None:
        decisions = np.zeros(maps.scores.shape, bool)
    valid = None
    if maps.unjudged is not None:
        valid = ~maps.unjudged
    place = None
    if cube is not None:
        place = Place(cube, 0)
    planes = used_planes(np.asarray(decisions, bool), None, maps.scores, valid)
    return store_image(number, (), planes, place, expected, bands)


def _read_maps(folder: Path | None) -> Maps:
    """Return the map ``decisions`` and ``scores``, or the first map of each kind.

    Raises:
        ConfigError: They have different sizes.
    """
    decisions: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    if folder is None:
        return Maps(None, None, None)
    for path in sorted(folder.glob("[!.]*.npy")):
        with suppress(*UNREADABLE):
            values = np.load(path, mmap_mode="r", allow_pickle=False)
            if values.ndim == 2 and values.dtype == bool:
                decisions[path.stem] = values
            elif values.ndim == 2 and values.dtype.kind == "f":
                scores[path.stem] = values
    unjudged = {}
    for name in [name for name in decisions if name.endswith("_unjudged")]:
        unjudged[name] = decisions.pop(name)
    decided = _preferred(decisions, "decisions")
    excluded = None
    if decided in decisions:
        excluded = unjudged.get(f"{decided}_unjudged")
    maps = Maps(decisions.get(decided), scores.get(_preferred(scores, "scores")), excluded)
    shapes = {values.shape for values in maps if values is not None}
    if len(shapes) > 1:
        what = f"the maps in {folder} have the sizes {sorted(shapes)}"
        raise ConfigError(what, fix="repeat the call of specloom predict")
    return maps


def _preferred(maps: Mapping[str, Any], name: str) -> str:
    if name in maps:
        return name
    return next(iter(maps), "")


def _scale_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scale of the pictures of scores that ``predict`` drew; empty without."""
    scales = _mapping(record, "score_scales")
    scale = _mapping(scales, _preferred(scales, "scores"))
    low = _number(scale.get("low"))
    high = _number(scale.get("high"))
    if low is None or high is None or low > high:
        return {}
    if scale.get("log") and low <= 0:
        return {}
    return {NODE: colour_scale(scale)}


def _open_cube(record: Mapping[str, Any]) -> tuple[HeldCube | None, list[float] | None]:
    """Return the cube that was predicted, if it is still there and can be read here."""
    try:
        from specloom_cubes import open_cube
    except ImportError:
        return None, None
    try:
        variable = _mapping(_mapping(record, "of"), "asked").get("variable")
        cube = open_cube(str(record["input"]), variable)
        height, width, _bands = cube.shape
        bands = len(cube.good_bands)
        step = held_step(height * width * bands * 4)
        rows = []
        for row in range(0, height, step):
            rows.append(cube.clean(slice(row, row + 1))[:, ::step].astype(np.float32))
        held = HeldCube(np.concatenate(rows)[None], (1, height, width, bands), step)
    except (SpecloomError, OSError, ValueError, KeyError):
        return None, None
    wavelengths = None
    if cube.good_wavelengths is not None and np.isfinite(cube.good_wavelengths).all():
        wavelengths = [round(float(centre), 3) for centre in cube.good_wavelengths]
    return held, wavelengths


def _describe_bands(
    bands: Sequence[int], wavelengths: Sequence[float] | None
) -> list[dict[str, Any]]:
    described = []
    for band in bands:
        nm = None
        if wavelengths is not None:
            nm = wavelengths[band]
        described.append({"band": band, "nm": nm})
    return described


def _caption(row: Mapping[str, Any]) -> str:
    texts = [row["verdict"]]
    if row["objects"] is not None:
        noun = "objects"
        if row["objects"] == 1:
            noun = "object"
        texts.append(f"{row['objects']} {noun}")
    if row["decided"] is not None:
        texts.append(f"{100 * row['decided']:.2g} % decided")
    return ", ".join(text for text in texts if text)


def _warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the reasons for which cubes are unjudged, each with its cubes."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] == "unjudged":
            by_reason.setdefault(row["reason"], []).append(Path(row["cube"]).name)
    return [f"unjudged: {', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def _describe_origin(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the pipeline and the options of a prediction, as the first record has them."""
    if not records:
        return {}
    of = _mapping(records[0], "of")
    described = {}
    if of.get("pipeline"):
        described["pipeline"] = of["pipeline"]
    options = _mapping(of, "asked")
    return described | {name: value for name, value in options.items() if value not in UNSET}


def _last_change(folder: Path) -> str:
    from datetime import UTC, datetime

    for name in (SUMMARY, RECORD):
        if (folder / name).is_file():
            changed = (folder / name).stat().st_mtime
            return datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds")
    return ""
