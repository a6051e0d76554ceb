"""Twelve plugins from tags: a cold ``sync`` beside twelve plain ``git clone --depth=1``.

Both read the same repositories on this disk; the import probe is left out. The warm verification
is what a run does before it imports anything.
"""

from __future__ import annotations

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

COUNT, FILES, ROUNDS = 12, 38, 5
PROJECT = """\
[project]
name = "specloom-{name}"
version = "1.0.0"
dependencies = ["specloom"]
[project.entry-points.specloom]
{name} = "bench_{name}"
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
        (folder / f"bench_{name}/__init__.py").write_text("")
        for i in range(FILES - 2):
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


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        names = make(root)
        os.environ["SPECLOOM_STORE"] = str(root / "store")
        urls = {name: f"file://{root}/origins/{name}.git" for name in names}
        lines = "".join(f"  {name}: {{git: {url}, tag: v1.0.0}}\n" for name, url in urls.items())
        (root / "plugins.yaml").write_text(f"schema: 1\nplugins:\n{lines}")
        command = [sys.executable, "-m", "specloom", "plugins"]
        options = ["--no-probe", "--allow-file", "--manifest", str(root / "plugins.yaml")]

        def run(name: str) -> None:
            subprocess.run([*command, name, *options], stdout=subprocess.DEVNULL, check=True)

        run("lock")

        def empty() -> None:
            (root / "store").mkdir(exist_ok=True)
            subprocess.run(["chmod", "-R", "u+w", str(root / "store")], check=True)
            shutil.rmtree(root / "store")
            shutil.rmtree(root / "clones", ignore_errors=True)
            (root / "clones").mkdir()
            os.sync()

        def clone(name: str) -> None:
            place = str(root / "clones" / name)
            start = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1"]
            subprocess.run([*start, "--branch", "v1.0.0", urls[name], place], check=True)

        def one_by_one() -> None:
            for name in names:
                clone(name)

        def at_once() -> None:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(clone, names))

        def sync_here() -> None:
            from specloom_registry.project.project import Project

            Project(root / "plugins.yaml", allow_file=True, probed=False).sync()

        def sync_command() -> None:
            run("sync")

        import_module("git")  # the command's start is measured apart
        import_module("specloom_registry.project.project")

        found: dict[str, list[float]] = {}
        for _round in range(ROUNDS):
            for work in (one_by_one, at_once, sync_here, sync_command):
                empty()
                found.setdefault(work.__name__, []).append(timed(work))
        best = {name: statistics.median(times) for name, times in found.items()}
        for name, seconds in best.items():
            against = " ".join(
                f"{seconds / best[other]:5.2f} x {other}" for other in ("one_by_one", "at_once")
            )
            print(f"{name:14} {seconds * 1000:7.0f} ms  {against}")

        from specloom_registry.importing import activate

        def verify() -> None:
            activate.load(root / "plugins.yaml")
            finder = next(one for one in sys.meta_path if hasattr(one, "guards"))
            for guard in finder.guards.values():
                guard()

        verify()
        print(f"warm verify    {min(timed(verify) for _ in range(20)) * 1000:7.1f} ms")
        subprocess.run(["chmod", "-R", "u+w", str(root / "store")], check=True)


if __name__ == "__main__":
    main()
