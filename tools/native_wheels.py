"""Wheels of specloom-native with compiled kernels: ``python tools/native_wheels.py dist``.

With ziglang installed there is one for each platform, without it one for this machine, by its own
C compiler. They are built without the network.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import chdir
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from hatchling.build import build_wheel

ROOT = Path(__file__).parents[1]
SETTING = "SPECLOOM_NATIVE_TARGET"
"""The variable that plugins/native/build_hook.py reads."""

MOST_BYTES = 200_000


class Target(NamedTuple):
    """What a wheel is for."""

    triple: str
    """As the compiler names it."""
    machine: str
    system: str
    """As in ``sys.platform``."""
    tag: str
    """The platform tag of the wheel."""


TARGETS = (
    Target("x86_64-linux-gnu.2.17", "x86_64", "linux", "manylinux_2_17_x86_64"),
    Target("aarch64-linux-gnu.2.17", "aarch64", "linux", "manylinux_2_17_aarch64"),
    Target("aarch64-macos.11.0", "aarch64", "darwin", "macosx_11_0_arm64"),
    Target("x86_64-windows-gnu", "x86_64", "win32", "win_amd64"),
)


def build(root: Path, folder: Path, targets: Sequence[Target]) -> list[Path]:
    """Build the wheels for some targets, or for this machine if there are none, into a folder."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wheels = []
    for chosen in [",".join(target) for target in targets] or [""]:
        os.environ[SETTING] = chosen
        with chdir(root / "plugins/native"):
            wheels.append(folder / build_wheel(str(folder)))
    os.environ.pop(SETTING, None)
    return wheels


def main(arguments: list[str]) -> int:
    """Build the wheels into the folder that is named, and print their names and sizes."""
    if len(arguments) != 1:
        print("usage: python tools/native_wheels.py FOLDER", file=sys.stderr)
        return 2
    targets = TARGETS if find_spec("ziglang") is not None else ()
    large = 0
    for wheel in build(ROOT, Path(arguments[0]), targets):
        size = wheel.stat().st_size
        large += size > MOST_BYTES
        print(f"{wheel.name} {size} bytes")
    return int(large > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
