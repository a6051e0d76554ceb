"""Pictures of scores that share one scale, drawn when the scores of all cubes of a call are there.

Until then the scores of each cube lie in its folder as ``.<output>.picture.npy``, shrunken to the
size of the picture; they are files of its record. So no cube is predicted twice for its picture,
and a call that was stopped draws what is missing when it is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import SpecloomError, uninterrupted
from specloom_pictures import ColourScale, colour_scale
from specloom_predict import record
from specloom_predict.record import SCALES
from specloom_predict.scratch import move_files, scratch_folder, write_errors
from specloom_predict.writers.colours import scale_of, spread_of
from specloom_predict.writers.pictures import write_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

PENDING = ".picture.npy"


def pending_name(output: str) -> str:
    """The file with the scores of an output until its picture is drawn."""
    return f".{output}{PENDING}"


def picture_name(file: str) -> str:
    """The picture that a file of scores becomes; any other file is itself."""
    if file.startswith(".") and file.endswith(PENDING):
        return f"{_output(file)}.png"
    return file


def draw_scores(path: Path, values: NDArray[Any], output: str) -> None:
    """Draw the scores (H, W) of one cube alone, with a scale of its own."""
    write_scores(path, values, scale_of([spread_of(values)]), output)


@dataclass(frozen=True)
class ScoreFolder:
    """A folder of results whose pictures of scores may be missing.

    Args:
        folder: The folder.
        counts: Whether its scores count for the scale: not those of a cube that is unjudged.
    """

    folder: Path
    counts: bool = True

    def pending(self) -> list[str]:
        """The outputs whose picture is missing."""
        files = record.read(self.folder).get("files", {})
        return sorted(_output(name) for name in files if picture_name(name) != name)

    def scores(self, output: str) -> NDArray[Any]:
        """The scores of an output (H, W), as its picture is to show them."""
        values: NDArray[Any] = np.load(self.folder / pending_name(output))
        return values


def has_pending(files: Iterable[str]) -> bool:
    """Whether a picture of scores is missing among the files of a cube."""
    return any(picture_name(name) != name for name in files)


def draw_pending(
    folders: Sequence[ScoreFolder], known: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Path, SpecloomError | None]]:
    """Draw every picture of scores that is missing, all of an output with one scale.

    Where pictures of the same pipeline and options are known already, their scale is used.

    Args:
        folders: The folders in which pictures may be missing.
        known: What the ledger says of all results.

    Yields:
        Each folder whose pictures were drawn, or could not be, with the error.
    """
    missing = {one: one.pending() for one in folders}
    outputs = sorted({output for names in missing.values() for output in names})
    if not outputs:
        return
    scales = dict(_earlier_scales(folders[0], known))
    for output in outputs:
        waiting = [one for one, names in missing.items() if output in names]
        if output not in scales:
            scales[output] = _scale(waiting, output)
    for one, names in missing.items():
        try:
            with uninterrupted():
                _draw(one, {output: scales[output] for output in names})
        except SpecloomError as error:
            yield one.folder, error
        else:
            yield one.folder, None


def _scale(folders: Sequence[ScoreFolder], output: str) -> ColourScale:
    """The scale of the cubes that count, or of all where none does."""
    counting = [one for one in folders if one.counts] or folders
    return scale_of(spread_of(one.scores(output)) for one in counting)


def _earlier_scales(
    one: ScoreFolder, known: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, ColourScale]]:
    """The scales of known pictures by output, of the pipeline and options of a folder."""
    of = record.read(one.folder).get("of", {})
    for line in known:
        if not line.get(SCALES) or not _is_alike(line.get("of", {}), of):
            continue
        for output, values in line[SCALES].items():
            yield output, colour_scale(values)


def _is_alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two results are of the same pipeline and options."""
    return all(first.get(key) == second.get(key) for key in ("pipeline", "asked"))


def _draw(one: ScoreFolder, scales: Mapping[str, ColourScale]) -> None:
    """Draw the pictures of one folder, and make them files of its record."""
    if not scales:
        return
    with scratch_folder(one.folder) as scratch:
        names = [f"{output}.png" for output in scales]
        with write_errors(one.folder):
            for name, (output, scale) in zip(names, scales.items(), strict=True):
                write_scores(scratch / name, one.scores(output), scale, output)
        drawn = move_files(scratch, one.folder, names)
    pending = [pending_name(output) for output in scales]
    entries = {output: scale.as_json() for output, scale in scales.items()}
    record.replace_files(one.folder, pending, drawn.values(), {SCALES: entries})
    for name in pending:
        (one.folder / name).unlink(missing_ok=True)


def _output(file: str) -> str:
    return file.removeprefix(".").removesuffix(PENDING)
