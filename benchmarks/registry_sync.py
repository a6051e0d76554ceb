"""Twelve plugins from tags: a cold ``sync`` beside twelve plain ``git clone --depth=1``.

    python benchmarks/registry_sync.py [--repeats 20]

Both read the same repositories on this disk and take turns; the import probe is left out. How long
a run takes to load what is there already is measured by ``registry_load.py``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

COUNT, FILES = 12, 38
PROJECT = """\
[project]
name = "specloom-{name}"
version = "1.0.0"
dependencies = ["specloom"]
[project.entry-points.specloom]
{name} = "bench_{name}"
"""
INIT = """\
from specloom import impl

@impl
def register_nodes():
    return {{"Twice": "bench_{name}.twice:Twice"}}

@impl
def register_sources():
    return {{"Empty": "bench_{name}.twice:Empty"}}
"""
NODES = """\
from specloom import Port

class Empty:
    outputs = {"cube": Port("B H W C", doc="A cube.")}

    def sizes(self):
        return {"C": 61}

    def splits(self):
        return ["test"]

    def count(self, split):
        return 0

    def batches(self, split):
        return iter(())

class Twice:
    inputs = {"data": Port("B H W C", doc="A cube.")}
    outputs = {"doubled": Port("B H W C", doc="Twice the cube.")}

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def forward(self, data):
        return {"doubled": data * self.factor}
"""
IDENTITY = ["-c", "user.name=b", "-c", "user.email=b@example.org"]


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder."""
    subprocess.run(["git", "-C", str(folder), *IDENTITY, *arguments], check=True)


def make(root: Path) -> list[str]:
    """Twelve repositories, each with ``FILES`` files of about 10 kB and one tag."""
    names = [f"b{i}" for i in range(COUNT)]
    for name in names:
        folder = root / "origins" / f"{name}.git"
        (folder / f"bench_{name}").mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PROJECT.format(name=name))
        (folder / f"bench_{name}/__init__.py").write_text(INIT.format(name=name))
        (folder / f"bench_{name}/twice.py").write_text(NODES)
        for i in range(FILES - 3):
            text = "".join(f"value_{i}_{j} = {hash((name, i, j))}\n" for j in range(300))
            (folder / f"bench_{name}/part{i}.py").write_text(text)
        git(folder, "init", "--quiet", "--initial-branch=main")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "-m", "one")
        git(folder, "tag", "-a", "-m", "one", "v1.0.0")
    return names


def timed(work: Callable[[], None]) -> float:
    """Seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class World:
    """Repositories of plugins, a manifest of them, a store and clones, in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = make(root)
        self.manifest = root / "plugins.yaml"
        self.urls = {name: f"file://{root}/origins/{name}.git" for name in self.names}
        lines = [f"  {name}: {{git: {url}, tag: v1.0.0}}\n" for name, url in self.urls.items()]
        self.manifest.write_text(f"schema: 1\nplugins:\n{''.join(lines)}")

    def run(self, name: str) -> None:
        """A command of ``specloom plugins`` in a process of its own."""
        command = [sys.executable, "-m", "specloom", "plugins", name]
        options = ["--no-probe", "--allow-file", "--manifest", str(self.manifest)]
        subprocess.run([*command, *options], stdout=subprocess.DEVNULL, check=True)

    def make_writable(self) -> None:
        """Give back the right to remove what the store holds."""
        subprocess.run(["chmod", "-R", "u+w", str(self.root / "store")], check=True)

    def empty(self) -> None:
        """Remove the store and the clones."""
        (self.root / "store").mkdir(exist_ok=True)
        self.make_writable()
        shutil.rmtree(self.root / "store")
        shutil.rmtree(self.root / "clones", ignore_errors=True)
        (self.root / "clones").mkdir()
        os.sync()

    def clone(self, name: str) -> None:
        """What Git alone takes for one plugin."""
        place = str(self.root / "clones" / name)
        start = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1"]
        subprocess.run([*start, "--branch", "v1.0.0", self.urls[name], place], check=True)

    def one_by_one(self) -> None:
        """Clones one after another."""
        for name in self.names:
            self.clone(name)

    def at_once(self) -> None:
        """Clones eight at a time."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.clone, self.names))

    def sync_here(self) -> None:
        """A cold sync in this process."""
        from specloom_registry.project.project import Project

        Project(self.manifest, allow_file=True, probe_imports=False).sync()

    def sync_command(self) -> None:
        """A cold sync by the command, with Python's start."""
        self.run("sync")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as scratch:
        world = World(Path(scratch))
        os.environ["SPECLOOM_STORE"] = str(world.root / "store")
        world.run("lock")
        import_module("git")  # the command's start is measured apart
        import_module("specloom_registry.project.project")
        found: dict[str, list[float]] = {}
        for _round in range(repeats):
            for work in (world.one_by_one, world.at_once, world.sync_here, world.sync_command):
                world.empty()
                found.setdefault(work.__name__, []).append(timed(work))
        print_medians({name: statistics.median(times) for name, times in found.items()})
        world.make_writable()


def print_medians(medians: dict[str, float]) -> None:
    """A line for each way, with its ratio to the clones."""
    for name, seconds in medians.items():
        ratios = [
            f"{seconds / medians[other]:5.2f} x {other}" for other in ("one_by_one", "at_once")
        ]
        print(f"{name:14} {seconds * 1000:7.0f} ms  {' '.join(ratios)}")


if __name__ == "__main__":
    main()
