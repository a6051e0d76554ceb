"""Wheels of the main distribution and of every plugin: ``python tools/wheels.py dist``.

They are built by hatchling as it is installed, without the network.
"""

from __future__ import annotations

import sys
from contextlib import chdir
from pathlib import Path

from hatchling.build import build_wheel
from source_tree import plugin_packages

ROOT = Path(__file__).parents[1]


def build(root: Path, target: Path) -> list[Path]:
    """Build the wheels of a repository into a folder, from which older ones are removed."""
    target = target.resolve()
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("specloom*.whl"):
        old.unlink()
    folders = [Path(), *(folder for folder, _ in plugin_packages(root))]
    wheels = []
    for folder in folders:
        with chdir(root / folder):
            wheels.append(target / build_wheel(str(target)))
    return wheels


def main(arguments: list[str]) -> int:
    """Build the wheels into the folder that is named, and print their names."""
    if len(arguments) != 1:
        print("usage: python tools/wheels.py FOLDER", file=sys.stderr)
        return 2
    for wheel in build(ROOT, Path(arguments[0])):
        print(wheel.name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
