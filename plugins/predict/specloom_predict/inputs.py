"""The cubes behind files, folders, patterns and addresses, and where the results of each go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, overload

from specloom import ConfigError, DataError, SpecloomError
from specloom_cubes import (
    cube_file,
    cube_name,
    expand,
    files_of_cube,
    files_of_references,
    find_cubes,
    is_address,
    is_named_as_reference,
    valid_file,
    without_valid_files,
)
from specloom_predict.record import LEDGER, owner
from specloom_predict.verdicts import SUMMARY

if TYPE_CHECKING:
    from specloom_cubes import Reading

WILD = ("*", "?", "[")


@dataclass(frozen=True)
class Input:
    """A cube to be predicted.

    Args:
        address: Its file, of an ENVI pair the header; or an address such as ``s3://…``.
        name: The name of its results: the path within the folder it was found in, without the
            ending.
        in_folder: Whether it was found in a folder or by a pattern, and not named itself.
    """

    address: str
    name: str
    in_folder: bool = field(default=False, compare=False)

    @cached_property
    def key(self) -> str:
        """What identifies it among the inputs: the resolved path, or the address."""
        if is_address(self.address):
            return self.address
        return _resolved(self.address)

    def files(self, valid: str | None = None) -> list[Path]:
        """Every file on this machine that belongs to it.

        Args:
            valid: The pattern of the file that says which of its pixels count.
        """
        if is_address(self.address):
            return []
        cube = Path(self.address)
        found = files_of_cube(cube)
        if valid is not None:
            found.append(valid_file(cube, valid))
        return found


def _resolved(address: str) -> str:
    """A path without links; the folder, which many cubes share, is looked at once."""
    path = Path(address)
    if path.name in ("", "..") or path.is_symlink():
        return str(path.resolve())
    return str(_resolved_folder(path.parent) / path.name)


@lru_cache(maxsize=64)
def _resolved_folder(folder: Path) -> Path:
    return folder.resolve()


Placed: TypeAlias = tuple[Input, Path]
"""An input, and the folder of its results."""


def find_inputs(
    addresses: Iterable[str | Path], out: Path, valid: str | None = None
) -> tuple[list[Input], list[tuple[str, SpecloomError]]]:
    """The cubes behind addresses, each once, and the errors, each with its address.

    Args:
        addresses: Files; folders, whose cubes count, but not those in folders within; patterns as
            of a shell (``flights/*/*.hdr``), for shells that do not resolve them; addresses such
            as ``s3://…``, for plugins that open them.
        out: The folder of results: nothing within it is an input.
        valid: The pattern of the files that say which pixels of cubes count, which are no inputs.
    """
    _resolved_folder.cache_clear()
    by_key: dict[str, Input] = {}
    results = out.resolve()
    errors: list[tuple[str, SpecloomError]] = []
    for address in map(_plain, addresses):
        try:
            for one in _behind(address):
                if Path(address).is_file() or not _is_within(one, results):
                    by_key[one.key] = _merged(one, by_key.get(one.key))
        except SpecloomError as error:
            errors.append((_encodable(address), error))
        except (OSError, RuntimeError, ValueError) as error:  # closed, a ring of links, no name
            shown = _encodable(address)
            what = f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}"
            fix = "check the path and its permissions"
            errors.append((shown, DataError(what, fix=fix)))
    inputs = []
    for one in by_key.values():
        shown = _encodable(one.key)
        if shown == one.key:
            inputs.append(one)
        else:
            what = f"{shown} cannot be predicted: its path is no UTF-8"
            errors.append((shown, DataError(what, fix="rename it")))
    if valid is not None:
        inputs = _without_valid_files(inputs, valid)
    return inputs, errors


def _encodable(text: str) -> str:
    r"""A text without the bytes of a path that are no UTF-8, which stand there as ``\udce9``."""
    return text.encode(errors="backslashreplace").decode()


def _merged(one: Input, known: Input | None) -> Input:
    """An input, or the one of the same cube that is known already."""
    if known is None:
        return one
    return replace(known, in_folder=known.in_folder and one.in_folder)


def references_among(inputs: Sequence[Input], reading: Reading) -> list[Input]:
    """The inputs that are white or dark references of others, and were not named themselves.

    Args:
        inputs: The inputs.
        reading: How they are read; without a calibration their names say it alone.
    """
    found = {}
    for one in inputs:
        if one.in_folder:
            found[Path(one.address)] = one
    references = files_of_references(found, reading)
    if reading.calibration is None:
        references = {path for path in found if is_named_as_reference(path)}
    return [one for path, one in found.items() if path in references]


def _without_valid_files(inputs: Sequence[Input], valid: str) -> list[Input]:
    """Inputs, but for those that say which pixels of another one count."""
    local = {one.key: Path(one.address) for one in inputs if not is_address(one.address)}
    cubes = without_valid_files(local, valid)
    return [one for one in inputs if one.key in cubes or one.key not in local]


def check_out(addresses: Iterable[str | Path], out: Path) -> None:
    """Refuse results in a folder of the inputs, or above one: no cube in it would be an input.

    Raises:
        ConfigError: An address is a folder within ``out``, or ``out`` itself.
    """
    for address in map(_plain, addresses):
        path = Path(address)
        if is_address(address) or not _is_folder_within(path, out):
            continue
        what = "the results would lie among the inputs, where no cube is read"
        if path.resolve() != out.resolve():
            what = f"the inputs in {address} lie in {out}, the folder of the results"
        raise ConfigError(
            what,
            where=f"--out {out}",
            fix=f"choose another folder, for example --out {out.name or 'cubes'}-predicted",
        )


def _is_folder_within(path: Path, folder: Path) -> bool:
    """Whether a path is that of a folder, and lies in another one or is it."""
    with suppress(OSError, RuntimeError, ValueError):  # reported when the inputs are found
        return path.is_dir() and path.resolve().is_relative_to(folder.resolve())
    return False


class PlacedInputs(Sequence[Placed]):
    """Inputs with the folders of their results; a folder is a text until it is used.

    A ``Path`` takes four times the memory of its text.

    Args:
        placed: Each input with its folder.
    """

    def __init__(self, placed: Iterable[Placed]) -> None:
        self._inputs: list[Input] = []
        self._folders: list[str] = []
        for one, folder in placed:
            self._inputs.append(one)
            self._folders.append(str(folder))

    def __len__(self) -> int:
        return len(self._inputs)

    @overload
    def __getitem__(self, index: int) -> Placed: ...

    @overload
    def __getitem__(self, index: slice) -> list[Placed]: ...

    def __getitem__(self, index: int | slice) -> Placed | list[Placed]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return self._inputs[index], Path(self._folders[index])


def folders(inputs: Sequence[Input], out: Path, known: Mapping[str, Path]) -> Iterator[Placed]:
    """Each input with the folder of its results, which no other input's results share.

    That is where its results lie already, or else ``out/<name>``; where another input has that
    name, eight digits after it tell the two apart.

    Args:
        inputs: The inputs.
        out: The folder of all results.
        known: The folders of inputs whose results are there already, as far as the ledger says.
    """
    taken = {str(folder).casefold() for folder in known.values()}
    taken |= {str(out / name).casefold() for name in (SUMMARY, LEDGER)}
    names = Counter(one.name.casefold() for one in inputs)
    for one in inputs:
        folder = known.get(one.key)
        if folder is None:
            folder = _new_folder(one, out, taken, names[one.name.casefold()] > 1)
        yield one, folder


def _new_folder(one: Input, out: Path, taken: Collection[str], is_shared: bool) -> Path:
    """The folder of an input that the ledger does not know.

    A call that was killed may have left one that the ledger does not know.
    """
    folder = out / one.name
    digits = sha256(one.key.encode()).hexdigest()[:8]
    longer = out / f"{one.name}-{digits}"
    if owner(longer) == one.key:
        return longer
    owned_by = owner(folder)
    if owned_by == one.key:
        return folder
    if is_shared or owned_by is not None or str(folder).casefold() in taken:
        return longer
    return folder


def _plain(address: str | Path) -> str:
    """An address as it is; a path without such as ``./``, ``~`` and ``$VAR``."""
    return str(address) if is_address(address) else str(expand(address))


def _is_within(one: Input, folder: Path) -> bool:
    """Whether an input lies in a folder, which is without links."""
    return one.key.startswith(f"{folder}{os.sep}")


def _behind(address: str) -> Iterator[Input]:
    path = Path(address)
    if is_address(address) and not path.exists():
        yield Input(address, cube_name(Path(address.rstrip("/").rpartition("/")[2])))
    elif path.is_dir():
        yield from _within(path, "*")
    elif not path.exists() and _is_wild(address):
        yield from _matching(path)
    else:
        file = path
        if path.is_file():
            file = cube_file(path) or path
        yield Input(str(file), cube_name(file))


def _is_wild(text: str) -> bool:
    return any(sign in text for sign in WILD)


def _matching(path: Path) -> Iterator[Input]:
    """The cubes that a pattern names, and those in the folders that it names."""
    parts = path.parts
    first = next(at for at, part in enumerate(parts) if _is_wild(part))
    if ".." in parts[first:]:  # results are named after what follows the first sign
        what = f"the pattern {path} goes up with '..' after its first {' or '.join(WILD)}"
        raise DataError(what, fix="write '..' before it only, or give the files themselves")
    root = Path(*parts[:first])
    pattern = "/".join(parts[first:])
    paths = sorted(root.glob(pattern))
    inner = [folder for folder in paths if folder.is_dir()]
    for folder in inner:
        for one in _within(folder, "*"):
            name = (folder.relative_to(root) / one.name).as_posix()
            yield Input(one.address, name, in_folder=True)
    if not inner or any(file.is_file() for file in paths):
        yield from _within(root, pattern)


def _within(root: Path, pattern: str) -> Iterator[Input]:
    cubes = find_cubes(root, pattern) if root.is_dir() else {}
    if not cubes:
        what = f"no cube is named like {root / pattern}"
        if pattern == "*":
            what = f"{root} holds no cube"
        fix = "check the path; for folders within, write a pattern such as 'flights/**/*.hdr'"
        raise DataError(what, fix=fix)
    for name, path in cubes.items():
        yield Input(str(path), name, in_folder=True)
