"""Copies of the store for machines without network, its garbage, and the tests of plugins."""

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
from specloom_registry.base.paths import is_folder, unreadable
from specloom_registry.importing import activate
from specloom_registry.project import sync as syncing
from specloom_registry.project.verify import folder_size
from specloom_registry.store import file_lock, tree

if TYPE_CHECKING:
    from specloom_registry.project.project import Project
    from specloom_registry.store.store import Store

KIT_TEST = """\
from specloom.testing import parametrize_with_checks

@parametrize_with_checks({name!r})
def test_conformance(check):
    check()
"""
PROGRAM = """\
import os, sys
from pathlib import Path
import pytest
from specloom.testing.collecting import skipping
from specloom_registry import resolve_plugins
from specloom_registry.importing import import_hook

def is_check(item):
    params = getattr(getattr(item, "callspec", None), "params", {{}})
    return getattr(params.get("check"), "func", None) is skipping

class Kit:
    ran = 0
    checks = frozenset()
    def pytest_collection_modifyitems(self, config, items):
        checks = [one for one in items if is_check(one)]
        # The plugin's own test of the kit knows examples and expected failures: it stands for ours.
        own = [one for one in checks if not one.nodeid.startswith("test_kit.py::")]
        names = {{one.callspec.id for one in own}}
        twice = [one for one in checks if one not in own and one.callspec.id in names]
        config.hook.pytest_deselected(items=twice)
        items[:] = [one for one in items if one not in twice]
        self.checks = {{one.nodeid for one in checks}}
    def pytest_runtest_logreport(self, report):
        of_kit = report.nodeid in self.checks
        if of_kit and report.when == "call" and not report.skipped:
            self.ran += 1

resolve_plugins(Path(sys.argv[1]))
folders = import_hook.list_pinned()  # for the processes that checks start
os.environ["PYTHONPATH"] = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
kit = Kit()
code = pytest.main(sys.argv[2:], plugins=[kit])
if code in (0, 5) and not kit.ran:
    code = {none_ran}
sys.exit(code)
"""
NONE_RAN = 99  # the exit code if no check of the kit ran
PYTEST_OPTIONS = (
    "-p",
    "no:cacheprovider",
    "-p",
    "specloom.testing.reporting",
    "--import-mode=importlib",
)


def vendor(project: Project, folder: Path) -> list[str]:
    """Copy the trees and packages of a lock; what is there already stays.

    Raises:
        PluginUnavailableError: The store lacks something, or the folder cannot be written.
    """
    found, lock = syncing.read(project.file)
    store = project.store
    sources = {f"trees/{name}": store.tree_folder(name) for name in lock.trees.values()}
    for platform in lock.packages.values():
        for pin in platform["pins"]:
            wheel = store.root / "wheels" / f"sha256-{pin['sha256']}" / pin["file"]
            sources[f"wheels/{pin['file']}"] = wheel
    for plugin, name in lock.trees.items():
        store.check(name, f"plugin {plugin!r}", full=True)
    missing = [path for path in sorted(sources) if not (folder / path).exists()]
    if not project.dry_run:
        try:
            for path in missing:
                _copy(sources[path], folder / path)
            shutil.copyfile(found.lock, folder / found.lock.name)
        except OSError as e:
            what = f"E-DISK {e.filename or folder} cannot be copied: {e.strerror}"
            fix = "run sync first" if isinstance(e, FileNotFoundError) else "make room"
            raise PluginUnavailableError(what, fix=fix) from e
    return missing


def collect_garbage(store: Store, *, dry_run: bool) -> list[dict[str, Any]]:
    """Delete what no known project's lock names; return names and sizes.

    Raises:
        PluginUnavailableError: A run uses the store now.
    """
    if not is_folder(store.root):
        return []
    handle = file_lock.acquire(store.root / "use.lock", shared=False)
    if handle is None:
        raise PluginUnavailableError(
            f"E-BUSY a run uses the store {store.root}; nothing was deleted",
            fix="wait until it is over",
        )
    try:
        deleted = []
        for kind, names in syncing.used_names(store).items():
            for path in _list_folder(store.root / kind):
                if path.name in names:
                    continue
                deleted.append({"name": f"{kind}/{path.name}", "bytes": folder_size(path)})
                if not dry_run:
                    _delete(store, path)
        if not dry_run:
            for file in store.root.glob("*/.*.new"):  # of a command that was killed
                file.unlink(missing_ok=True)
        return deleted
    finally:
        os.close(handle)


def test(project: Project, name: str, options: Sequence[str]) -> int:
    """Run the kit and the plugin's own tests in a process of its own; return its exit code.

    Raises:
        PluginError: The plugin is not in the store.
    """
    activate.activate(project.file)
    file = tree.resolved(project.file)
    package = activate.active[file].packages[name]
    if not is_folder(package.home):
        what = f"plugin {name!r} is not in the store"
        raise PluginError(what, fix="run: specloom plugins sync")
    none_ran = NONE_RAN
    if "--collect-only" in options:
        none_ran = 0
    program = PROGRAM.format(none_ran=none_ran)
    with tempfile.TemporaryDirectory() as scratch:
        kit = Path(scratch, "test_kit.py")
        kit.write_text(KIT_TEST.format(name=name))
        shutil.copyfile(project.file, Path(scratch, "plugins.yaml"))
        tests = [str(path) for path in (kit, package.home / "tests") if path.exists()]
        arguments = [str(file), *PYTEST_OPTIONS, "--rootdir", scratch, *options, *tests]
        code = subprocess.run(
            [sys.executable, "-B", "-c", program, *arguments],
            cwd=file.parent,
            check=False,
        ).returncode
    if code == NONE_RAN:
        print(
            f"error: no check of the conformance kit ran for plugin {name!r}\n"
            "  fix: leave out options that deselect them; -rs shows why checks are skipped",
            file=sys.stderr,
        )
    return int(code != 0)


def _list_folder(folder: Path) -> list[Path]:
    """Return what lies in a folder of the store, sorted; nothing if there is no such folder.

    Raises:
        PluginUnavailableError: It cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        raise unreadable(folder, e) from e


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    if new.is_dir():
        tree.remove(new)
    if source.is_dir():
        shutil.copytree(source, new, copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(new):
            Path(folder).chmod(0o755)
    else:
        shutil.copyfile(source, new)
    new.rename(target)


def _delete(store: Store, path: Path) -> None:
    """Move it out of the way in one step, then delete it."""
    aside = Path(tempfile.mkdtemp(prefix="stage-", dir=store.folder("tmp")))
    path.chmod(0o755)
    path.rename(aside / path.name)
    tree.remove(aside)
