"""Which engine runs, and why: the library of kernels, or the code of the plugins alone."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from specloom import ConfigError
from specloom_native import toolchain
from specloom_native.toolchain import BuildError, Target

SETTING = "SPECLOOM_NATIVE"
"""The environment variable that chooses: 0 for none, avx2 for no AVX-512."""

CACHE_SETTING = "SPECLOOM_NATIVE_CACHE"
"""The environment variable with the folder of compiled libraries, as an absolute path."""

PREBUILT = Path(__file__).parent / "library"
FAILED = "failed.txt"
CHOICES = {"": "", "1": "", "0": "0", "avx2": "avx2"}
PURE = "pure"
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Library:
    """A loaded library.

    Args:
        handle: What ctypes made of it.
        wide: The instruction set of its products of rows.
        base: That of the other kernels.
    """

    def __init__(self, handle: ctypes.CDLL, wide: str, base: str) -> None:
        self._handle = handle
        self._wide = wide
        self._base = base
        self._functions: dict[str, Any] = {}

    def products(self, name: str) -> Any:
        """A function of products.c, by its name without the instruction set."""
        return self._function(f"{name}_{self._wide}")

    def sums(self, name: str) -> Any:
        """A function of sums.c or exact.c, by its name without the instruction set."""
        return self._function(f"{name}_{self._base}")

    def _function(self, name: str) -> Any:
        function = self._functions.get(name)
        if function is None:
            function = getattr(self._handle, name)
            function.restype = ctypes.c_int64
            self._functions[name] = function
        return function


class Engine(NamedTuple):
    """The engine of this process."""

    library: Library | None
    """None for the pure engine."""
    name: str
    """``pure``, or the instruction set that runs: ``avx2``, ``avx512``, ``neon``."""
    reason: str
    """Why, in a few words."""
    key: str = ""
    """The SHA-256 of source, compiler and flags; empty for the pure engine."""
    compiler: str = ""

    @property
    def identity(self) -> str:
        """What a record says: results of engines of one identity have the same bits."""
        if self.library is None:
            return PURE
        return f"{self.name} {self.key}"


def engine() -> Engine:
    """The engine that ``SPECLOOM_NATIVE`` and this machine lead to.

    Raises:
        ConfigError: The variable has an unknown value.
    """
    setting = os.environ.get(SETTING, "")
    if setting not in CHOICES:
        what = f"{SETTING} is {setting!r}"
        raise ConfigError(what, fix=f"set {SETTING} to 0, 1 or avx2, or unset it")
    return _engine(CHOICES[setting])


def native_library() -> Library | None:
    """The library of kernels; None where the pure engine runs."""
    return engine().library


@cache
def _engine(choice: str) -> Engine:
    if choice == "0":
        return Engine(None, PURE, f"{SETTING}=0")
    try:
        target = toolchain.here()
        folder, origin = _find(target)
        return _load(folder, target, origin, choice)
    except (BuildError, OSError, ValueError, KeyError) as e:
        return Engine(None, PURE, str(e))


def _load(folder: Path, target: Target, origin: str, choice: str) -> Engine:
    """Load the library of a folder, if its bytes are those that were built.

    Raises:
        BuildError: They are not, or the processor lacks an instruction set.
    """
    file = folder / toolchain.library_name(target.system)
    description = json.loads((folder / toolchain.DESCRIPTION).read_text("utf-8"))
    if hashlib.sha256(file.read_bytes()).hexdigest() != description["sha256"]:
        raise BuildError(f"{file} was changed after it was built")
    handle = ctypes.CDLL(str(file))
    level = handle.processor_level()
    if level < 1:
        raise BuildError("the processor lacks AVX2 or fused multiply-adds")
    wide = "neon"
    base = "neon"
    if target.machine == "x86_64":
        base = "avx2"
        wide = "avx512" if level > 1 and choice != "avx2" else "avx2"
    library = Library(handle, wide, base)
    return Engine(library, wide, origin, description["key"], description["compiler"])


def _find(target: Target) -> tuple[Path, str]:
    """The folder with the library for this source, and where it comes from.

    Raises:
        BuildError: There is none, and none can be built.
    """
    if _is_current(PREBUILT):
        return PREBUILT, "installed with the package"
    source = toolchain.source_hash()
    reasons = []
    for compiler in toolchain.compilers():
        key = toolchain.build_key(source, compiler.name, toolchain.flags_text(target))
        folder = cache_folder() / key
        try:
            _build_once(compiler, target, folder)
        except BuildError as e:
            reasons.append(str(e))
            continue
        return folder, f"compiled by {compiler.name}"
    if reasons:
        raise BuildError(reasons[0])
    raise BuildError("no library for this machine is installed, and there is no C compiler")


def _is_current(folder: Path) -> bool:
    """Whether a folder holds a library of the present source."""
    with suppress(OSError, ValueError, KeyError):
        description = json.loads((folder / toolchain.DESCRIPTION).read_text("utf-8"))
        return bool(description["source"] == toolchain.source_hash())
    return False


def cache_folder() -> Path:
    """The folder of the libraries that were compiled here.

    Raises:
        BuildError: No variable names one, and the user has no home folder.
    """
    stated = os.environ.get(CACHE_SETTING, "")
    if Path(stated).is_absolute():
        return Path(stated)
    configured = os.environ.get("XDG_CACHE_HOME", "")
    cache_home = Path(configured) if Path(configured).is_absolute() else _home() / ".cache"
    return cache_home / "specloom" / "native-1"


def _home() -> Path:
    """The user's home folder.

    Raises:
        BuildError: There is none, as in a container for a user that it does not know.
    """
    try:
        return Path.home()
    except RuntimeError as e:
        raise BuildError(f"there is no home folder; set {CACHE_SETTING}") from e


def _build_once(compiler: toolchain.Compiler, target: Target, folder: Path) -> None:
    """Compile into a folder, unless that was done or has failed before.

    Raises:
        BuildError: It fails, or the folder is one that others may write to.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(folder.parent)
    if folder.is_dir():
        _check_owner(folder)
        for text in _failure(folder):
            raise BuildError(text)
        return
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        try:
            toolchain.build(compiler, target, made)
        except BuildError as e:
            if not e.lasts:
                raise
            (made / FAILED).write_text(str(e), "utf-8")
        with suppress(OSError):  # another process was faster
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    for text in _failure(folder):
        raise BuildError(text)


def _failure(folder: Path) -> Iterator[str]:
    """Why the library of a folder could not be compiled; nothing if it could."""
    with suppress(OSError):
        yield (folder / FAILED).read_text("utf-8")


def _check_owner(folder: Path) -> None:
    """Raise BuildError where other users may change the code in a folder."""
    if sys.platform == "win32":
        return
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & OTHERS_MAY_WRITE:
        raise BuildError(f"{folder} can be written by other users")
