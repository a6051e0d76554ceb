"""Which cubes are meant by files, folders and patterns, and where the results of each belong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from specloom import DataError, SpecloomError
from specloom_cubes import cube_file, cube_name, files_of_cube, find_cubes
from specloom_predict.record import owners

WILD = ("*", "?", "[")


@dataclass(frozen=True)
class Input:
    """A cube to be predicted.

    Args:
        path: Its file; of an ENVI pair the header.
        name: What its results are called: the path within the folder given, without the ending.
    """

    path: Path
    name: str

    def files(self) -> list[Path]:
        """Every file that belongs to it."""
        return files_of_cube(self.path)


def find_inputs(
    given: Iterable[str | Path], out: Path
) -> tuple[list[Input], list[tuple[str, SpecloomError]]]:
    """The cubes behind files, folders and patterns, each once, and what went wrong by name.

    Args:
        given: Files; folders, whose cubes count, but not those in folders within; patterns as of
            a shell (``flights/*/*.hdr``), for shells that do not resolve them.
        out: The folder of results: nothing within it is an input.
    """
    found, wrong = dict[Path, Input](), list[tuple[str, SpecloomError]]()
    for one in map(Path, given):
        try:
            for each in _behind(one):
                known = each.path.resolve()
                if one.is_file() or not known.is_relative_to(out.resolve()):
                    found.setdefault(known, each)
        except SpecloomError as error:
            wrong.append((str(one), error))
        except (OSError, RuntimeError, ValueError) as error:  # closed, a ring of links, no name
            what = f"{one} cannot be read: {getattr(error, 'strerror', None) or error}"
            wrong.append((str(one), DataError(what, fix="check the path and its permissions")))
    return list(found.values()), wrong


def folders(inputs: Sequence[Input], out: Path) -> Iterator[tuple[Input, Path]]:
    """Each input with the folder of its results, which no other input's results share.

    That is where its results lie already, or else ``out/<name>``; where another input has that
    name, eight digits follow that tell the two apart.
    """
    known = owners(out)
    taken = {str(folder).casefold() for folder in known.values()}
    wanted = Counter(one.name.casefold() for one in inputs)
    for one in inputs:
        path, plain = str(one.path.resolve()), out / one.name
        alone = wanted[one.name.casefold()] == 1 and str(plain).casefold() not in taken
        digits = sha256(path.encode()).hexdigest()[:8]
        yield one, known.get(path) or (plain if alone else out / f"{one.name}-{digits}")


def _behind(path: Path) -> Iterator[Input]:
    if path.is_dir():
        yield from _within(path, "*")
    elif not path.exists() and any(sign in str(path) for sign in WILD):
        parts = path.parts
        first = next(at for at, part in enumerate(parts) if any(sign in part for sign in WILD))
        if ".." in parts[first:]:  # results are named after what follows the first sign
            what = f"the pattern {path} goes up with '..' after its first {' or '.join(WILD)}"
            raise DataError(what, fix="write '..' before it only, or give the files themselves")
        root, pattern = Path(*parts[:first]), "/".join(parts[first:])
        inner = [folder for folder in sorted(root.glob(pattern)) if folder.is_dir()]
        files = any(folder.is_file() for folder in root.glob(pattern))
        for folder in inner:
            for one in _within(folder, "*"):
                yield Input(one.path, (folder.relative_to(root) / one.name).as_posix())
        if files or not inner:
            yield from _within(root, pattern)
    else:
        file = (cube_file(path) if path.is_file() else None) or path
        yield Input(file, cube_name(file))


def _within(root: Path, pattern: str) -> Iterator[Input]:
    found = find_cubes(root, pattern) if root.is_dir() else {}
    if not found:
        whole = root / pattern
        what = f"{root} holds no cube" if pattern == "*" else f"no cube is named like {whole}"
        fix = "check the path; cubes in folders within are found by such as 'flights/**/*.hdr'"
        raise DataError(what, fix=fix)
    for name, path in found.items():
        yield Input(path, name)
