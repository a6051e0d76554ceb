"""Copies of the store for machines without network, its cleaning, and plugins' tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import PluginError
from specloom_registry.base.faults import PluginUnavailableError
from specloom_registry.importing import activate
from specloom_registry.project import sync as syncing
from specloom_registry.project.verify import size
from specloom_registry.store import file_lock, tree

if TYPE_CHECKING:
    from specloom_registry.project.project import Project
    from specloom_registry.store.store import Store

KIT = """\
from specloom.testing import parametrize_with_checks

@parametrize_with_checks({name!r})
def test_conformance(check):
    check()
"""
TESTS = """\
import os, sys
from pathlib import Path
import pytest
from specloom_registry import resolve_plugins
from specloom_registry.importing import import_hook

class Kit:
    ran = 0
    def pytest_runtest_logreport(self, report):
        self.ran += report.nodeid.startswith("test_kit.py::") and report.when == "call" \\
            and not report.skipped

resolve_plugins(Path(sys.argv[1]))
folders = import_hook.list_pinned()  # for the processes that checks start
os.environ["PYTHONPATH"] = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
kit = Kit()
code = pytest.main(sys.argv[2:], plugins=[kit])
sys.exit({none_ran} if code in (0, 5) and not kit.ran else code)
"""
NONE_RAN = 99
FLAGS = ("-p", "no:cacheprovider", "-p", "specloom.testing.reporting", "--import-mode=importlib")


def vendor(project: Project, folder: Path) -> list[str]:
    """Copy the trees and packages of a lock; what is there already stays.

    Raises:
        PluginUnavailableError: The store lacks something, or the folder cannot be written.
    """
    found, lock = syncing.read(project.file)
    pins = [pin for one in lock.packages.values() for pin in one["pins"]]
    copies = {f"trees/{one}": project.store.tree(one) for one in lock.trees.values()}
    for pin in pins:
        copies[f"wheels/{pin['file']}"] = (
            project.store.root / "wheels" / f"sha256-{pin['sha256']}" / pin["file"]
        )
    for name, one in lock.trees.items():
        project.store.check(one, f"plugin {name!r}", full=True)
    done = [name for name in sorted(copies) if not (folder / name).exists()]
    if not project.dry:
        try:
            for name in done:
                _copy(copies[name], folder / name)
            shutil.copyfile(found.lock, folder / found.lock.name)
        except OSError as e:
            what = f"E-DISK {e.filename or folder} cannot be copied: {e.strerror}"
            fix = "run sync first" if isinstance(e, FileNotFoundError) else "make room"
            raise PluginUnavailableError(what, fix=fix) from e
    return done


def collect(store: Store, *, dry: bool) -> list[dict[str, Any]]:
    """Delete what no known project's lock names.

    Raises:
        PluginUnavailableError: A run uses the store now.
    """
    if not tree.is_dir(store.root):
        return []
    handle = file_lock.hold(store.root / "use.lock", shared=False)
    if handle is None:
        raise PluginUnavailableError(
            f"E-BUSY a run uses the store {store.root}; nothing was deleted",
            fix="wait until it is over",
        )
    try:
        used, gone = syncing.in_use(store), list[dict[str, Any]]()
        for kind, names in used.items():
            above = store.root / kind
            for one in _listed(above):
                if one.name not in names:
                    gone.append({"name": f"{kind}/{one.name}", "bytes": size(one)})
                    if not dry:
                        _delete(store, one)
        for left in () if dry else store.root.glob("*/.*.new"):
            left.unlink(missing_ok=True)  # of a command that was killed
        return gone
    finally:
        os.close(handle)


def test(project: Project, name: str, options: Sequence[str]) -> int:
    """Run the kit and the plugin's own tests in a process of its own; pytest's exit code.

    Raises:
        PluginError: The plugin cannot be found in the store.
    """
    activate.load(project.file)
    package = activate.loaded[tree.resolved(project.file)].packages[name]
    if not tree.is_dir(package.home):
        what = f"plugin {name!r} is not in the store"
        raise PluginError(what, fix="run: specloom plugins sync")
    with tempfile.TemporaryDirectory() as scratch:
        kit = Path(scratch, "test_kit.py")
        kit.write_text(KIT.format(name=name))
        shutil.copyfile(project.file, Path(scratch, "plugins.yaml"))
        own = package.home / "tests"
        flags = [*FLAGS, "--rootdir", scratch]
        program = TESTS.format(none_ran=0 if "--collect-only" in options else NONE_RAN)
        command = [
            sys.executable,
            "-B",
            "-c",
            program,
            str(tree.resolved(project.file)),
            *flags,
            *options,
        ]
        places = [str(one) for one in (kit, own) if one.exists()]
        here = tree.resolved(project.file).parent
        code = subprocess.run([*command, *places], cwd=here, check=False).returncode
    if code == NONE_RAN:
        told = f"error: no check of the conformance kit ran for plugin {name!r}\n  fix: "
        told += "leave out options that deselect them; -rs tells why checks are skipped"
        print(told, file=sys.stderr)
    return int(code != 0)


def _listed(folder: Path) -> list[Path]:
    """What lies in a folder of the store, sorted; nothing where there is no such folder.

    Raises:
        PluginUnavailableError: It cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        what = f"E-DISK {folder} cannot be read: {e.strerror}"
        raise PluginUnavailableError(what, fix="make it readable for this user") from e


def _copy(place: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    if new.is_dir():
        tree.remove(new)
    if place.is_dir():
        shutil.copytree(place, new, copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(new):
            Path(folder).chmod(0o755)
    else:
        shutil.copyfile(place, new)
    new.rename(target)


def _delete(store: Store, place: Path) -> None:
    """Move it out of the way in one step, then delete it."""
    above = store.folder("tmp")
    aside = Path(tempfile.mkdtemp(prefix="stage-", dir=above))
    place.chmod(0o755)
    place.rename(aside / place.name)
    tree.remove(aside)
