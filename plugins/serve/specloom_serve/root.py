"""Cubes by path: only files that lie below one folder, links followed."""

from __future__ import annotations

from pathlib import Path

from specloom_cubes import cube_file, files_of_cube, is_address, valid_file
from specloom_serve.errors import RefusedError

BELOW = "name a file below the root of the server, relative to it"
WILD = "*?["


def file_below(root: Path | None, name: str, valid: str | None = None) -> Path:
    """The file of a cube below a root.

    Args:
        root: The folder; None where no paths are allowed.
        name: The path, relative to the root.
        valid: The pattern of the file that says which of its pixels count.

    Raises:
        RefusedError: No paths are allowed, or it is no file below the root.
    """
    if root is None:
        fix = "send the cube as a body, or start the server with --root DIR"
        raise RefusedError(403, "this server takes no paths", fix)
    if is_address(name) or "\0" in name or any(sign in name for sign in WILD):
        raise RefusedError(400, "the path is an address or a pattern", BELOW)
    place = root.resolve()
    file = place / name
    if not _is_below(file, place):
        raise RefusedError(403, "the path leads out of the root of the server", BELOW)
    if not file.is_file():
        raise RefusedError(404, "there is no such file below the root of the server", BELOW)
    for one in _files_with(file, valid):
        if not _is_below(one, place):
            what = "a file of the cube lies outside the root of the server"
            raise RefusedError(403, what, "copy the file into the root")
    return file


def _files_with(file: Path, valid: str | None) -> list[Path]:
    """All files that are read for a cube."""
    cube = cube_file(file)
    if cube is None:
        return [file]
    found = [file, *files_of_cube(cube)]
    if valid is not None:
        found.append(valid_file(cube, valid))
    return found


def _is_below(file: Path, place: Path) -> bool:
    """Whether a path, its links followed, lies in a folder."""
    try:
        return file.resolve().is_relative_to(place)
    except (OSError, RuntimeError):
        return False
