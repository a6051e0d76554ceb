"""The source of the kernels, the compilers, and what is compiled from both."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

SOURCE = Path(__file__).parent / "source"
DESCRIPTION = "build.json"
"""Next to a library: what it was made of, and its SHA-256."""

Flags: TypeAlias = tuple[str, ...]

COMPILE: Flags = (
    "-std=gnu17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
)
LINK: Flags = ("-shared", "-s")
FUSED: Flags = ("-ffp-contract=fast",)
SEPARATE: Flags = ("-ffp-contract=off",)
AVX2: Flags = ("-mavx2", "-mfma", "-DREGISTER=32", "-DSUFFIX=avx2")
AVX512: Flags = (
    "-mavx2",
    "-mfma",
    "-mavx512f",
    "-mavx512dq",
    "-mavx512vl",
    "-mavx512bw",
    "-mavx512cd",
    "-mprefer-vector-width=512",
    "-DREGISTER=64",
    "-DSUFFIX=avx512",
)
NEON: Flags = ("-DREGISTER=32", "-DSUFFIX=neon")
SECONDS = 600
SHORTAGES = ("No space left", "Killed", "out of memory", "annot allocate memory")
"""What compilers print where the machine lacks something for a while."""
MACHINES = {"AMD64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
SUFFIXES = {"darwin": ".dylib", "win32": ".dll"}


class BuildError(Exception):
    """A library could not be made, in one line.

    Args:
        text: Why.
        lasts: Whether the next attempt would fail as well.
    """

    def __init__(self, text: str, *, lasts: bool = True) -> None:
        super().__init__(text)
        self.lasts = lasts


class Unit(NamedTuple):
    """One source file, and the flags it is compiled with."""

    file: str
    flags: Flags


class Compiler(NamedTuple):
    """A C compiler."""

    command: tuple[str, ...]
    name: str
    """The first line of its version."""


class Target(NamedTuple):
    """What a library is made for."""

    machine: str
    """``x86_64`` or ``aarch64``."""
    system: str
    """As in ``sys.platform``."""
    flags: Flags = ()
    """What makes a compiler that serves several targets choose this one."""


def units(machine: str) -> list[Unit]:
    """The source files to compile for a machine, with their flags."""
    wide = [NEON]
    base = NEON
    if machine == "x86_64":
        wide = [AVX2, AVX512]
        base = AVX2
    found = [Unit("processor.c", ())]
    for flags in wide:
        found.append(Unit("products.c", (*FUSED, *flags)))
    found.append(Unit("sums.c", (*FUSED, *base)))
    found.append(Unit("exact.c", (*SEPARATE, *base)))
    return found


def here() -> Target:
    """This machine.

    Raises:
        BuildError: It is of another kind than the kernels are for.
    """
    machine = platform.machine()
    if machine not in MACHINES or sys.maxsize < 2**32:
        raise BuildError(f"there are no kernels for the processor {machine}")
    return Target(MACHINES[machine], sys.platform)


def library_name(system: str) -> str:
    """The file name of a library."""
    return f"kernels{SUFFIXES.get(system, '.so')}"


def source_hash(source: Path = SOURCE) -> str:
    """The SHA-256 of all source files with their names."""
    digest = hashlib.sha256()
    for file in sorted(source.glob("*.[ch]")):
        digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def flags_text(target: Target) -> str:
    """All flags that a library is made with, in one line."""
    parts = [*COMPILE, *LINK, *target.flags]
    for unit in units(target.machine):
        parts += [unit.file, *unit.flags]
    return " ".join(parts)


def build_key(source: str, compiler: str, flags: str) -> str:
    """The name of a binary: the SHA-256 of source, compiler and flags."""
    return hashlib.sha256(json.dumps([source, compiler, flags]).encode()).hexdigest()


def compilers() -> Iterator[Compiler]:
    """The C compilers at hand: that of the variable ``CC``, gcc, clang, cc, and ziglang."""
    commands: list[Flags] = [("gcc",), ("clang",), ("cc",)]
    chosen = os.environ.get("CC", "").split()
    if chosen:
        commands.insert(0, tuple(chosen))
    for command in commands:
        if shutil.which(command[0]):
            yield from _named(command)
    if find_spec("ziglang") is not None:
        yield from _named((sys.executable, "-m", "ziglang", "cc"))


def _named(command: tuple[str, ...]) -> Iterator[Compiler]:
    try:
        done = _run([*command, "--version"])
    except BuildError:
        return
    first, _, _ = done.strip().partition("\n")
    if first:
        yield Compiler(command, first)


def build(compiler: Compiler, target: Target, folder: Path, source: Path = SOURCE) -> Path:
    """Compile a library into a folder, with its description.

    Raises:
        BuildError: The compiler fails.
    """
    library = folder / library_name(target.system)
    with tempfile.TemporaryDirectory() as objects:
        made = []
        for number, unit in enumerate(units(target.machine)):
            to = Path(objects) / f"{number}.o"
            flags = [*COMPILE, *target.flags, *unit.flags]
            _run([*compiler.command, *flags, "-c", "-o", str(to), str(source / unit.file)])
            made.append(str(to))
        _run([*compiler.command, *target.flags, *LINK, "-o", str(library), *made])
    flags_used = flags_text(target)
    description = {
        "source": source_hash(source),
        "compiler": compiler.name,
        "flags": flags_used,
        "key": build_key(source_hash(source), compiler.name, flags_used),
        "sha256": hashlib.sha256(library.read_bytes()).hexdigest(),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", "utf-8")
    return library


def _run(command: Sequence[str]) -> str:
    """What a compiler prints.

    Raises:
        BuildError: It fails, or cannot be started.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as e:
        raise BuildError(f"{command[0]} cannot be run: {e}", lasts=False) from e
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        errors = [line for line in lines if "error" in line] or lines
        lasts = done.returncode > 0 and not any(text in done.stderr for text in SHORTAGES)
        raise BuildError(f"{command[0]} fails: {errors[0]}", lasts=lasts)
    return done.stdout
