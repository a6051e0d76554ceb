"""Import a plugin in a process of its own, to find what it does before it can harm a run.

The answer comes over a private channel, so that a plugin that writes to its output cannot forge
it; a plugin that exits, crashes or hangs harms only that process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import PluginError
from specloom_registry.base.parallel import map_parallel
from specloom_registry.model import metadata
from specloom_registry.packages import environment, overlay

if TYPE_CHECKING:
    from specloom_registry.model.lockfile import Lock
    from specloom_registry.model.package import Package
    from specloom_registry.store.store import Store

TIMEOUT = 60.0
END_TIMEOUT = 5.0
LONGEST_ERROR = 2000  # characters: what a pipe holds must not fill up
PROGRAM = """
import json, sys
task = json.load(sys.stdin)
sys.path[:] = task["path"]
from specloom_registry.importing.descendants import supervised
with supervised():
    from specloom_registry.importing.probe import import_and_report
    import_and_report(int(sys.argv[1]), task, sys.argv[2])
"""


def probe(
    packages: Mapping[str, Package], lock: Lock, store: Store, *, timeout: float = TIMEOUT
) -> None:
    """Import each plugin in its own process; successes are remembered.

    Raises:
        PluginError: Some cannot be imported; ``Problems`` if several.
    """
    pinned = lock.packages.get(environment.platform_tag(), {})
    folder = None
    if pinned:
        folder = overlay.find(store, pinned, "")
    path = list(sys.path)
    if folder is not None:
        path.append(str(folder))
    circumstances = metadata.digest([lock.trees, pinned, sys.version, sys.path])
    task = {
        "path": path,
        "stored": sorted(packages[name].top for name in lock.trees),
        "plugins": {
            name: [package.module, str(package.folder), str(package.home)]
            for name, package in packages.items()
        },
    }

    def probe_one(name: str) -> None:
        key = f"probe-{name}-{lock.trees.get(name, '')}"
        remembered = name in lock.trees and store.state(key).get("around") == circumstances
        if not remembered:
            _probe(name, task, packages[name].where, timeout)
            store.remember(key, around=circumstances)

    map_parallel(probe_one, packages)


def import_and_report(channel: int, task: Mapping[str, Any], name: str) -> None:
    """Import a plugin and write how it went; the process of its own runs this."""
    from specloom.plugins import Plugins
    from specloom_registry.importing import import_hook
    from specloom_registry.model.package import Package

    plugins: dict[str, tuple[str, str, str]] = task["plugins"]
    packages = [
        Package(key, "", module, Path(folder), "", Path(home))
        for key, (module, folder, home) in plugins.items()
    ]
    import_hook.install(packages, stored=task["stored"])
    module, folder, _ = plugins[name]
    report = dict[str, str]()
    try:
        Plugins({name: module}).offers(("nodes", "losses", "trainers"), name)
    except BaseException as e:
        report = _describe_exception(e.__cause__ or e, folder)
    os.write(channel, task["token"].encode() + json.dumps(report).encode())
    os.close(channel)


def _describe_exception(error: BaseException, folder: str) -> dict[str, str]:
    """Return the error, the last place of it in the plugin's folder, and a module it lacks."""
    text = f"{type(error).__name__}: {error}"
    report = {"error": text[:LONGEST_ERROR]}
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(folder):
            report["where"] = f"{Path(frame.filename).relative_to(folder)}:{frame.lineno}"
    if isinstance(error, ModuleNotFoundError):
        report["module"] = error.name or ""
    return report


def _probe(name: str, task: Mapping[str, Any], where: str, timeout: float) -> None:
    reading, writing = os.pipe()
    token = os.urandom(16).hex()  # what comes without it is the plugin's own output
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", PROGRAM, str(writing), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    timed_out = False
    try:
        process.communicate(json.dumps({**task, "token": token}).encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        process.terminate()  # it then ends what it has started
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    os.set_blocking(reading, False)  # a process that got away may hold the other end
    with os.fdopen(reading, "rb") as channel:
        _, separator, data = (channel.read() or b"").rpartition(token.encode())
    fix = f"use another version of {name!r}, or report it to its author"
    if timed_out:
        what = f"E-IMPORT plugin {name!r} hangs: it is not imported within {timeout:g} s"
        raise PluginError(what, where=where, fix=fix)
    if not separator:
        what = f"E-IMPORT plugin {name!r} {_describe_end(process.returncode)}"
        raise PluginError(what, where=where, fix=fix)
    report = json.loads(data)
    if report:
        raise _import_error(name, report, where, fix)


def _import_error(name: str, report: Mapping[str, str], where: str, fix: str) -> PluginError:
    place = ""
    if "where" in report:
        place = f" (from {report['where']})"
    module = report.get("module")
    if module:
        return PluginError(
            f"E-DEP plugin {name!r} imports {module!r}{place}, which is not installed or among "
            "what it needs",
            where=where,
            fix=f"pip install what brings {module!r}, and report it to the plugin's author",
        )
    what = f"E-IMPORT plugin {name!r} raises {report['error']}{place}"
    return PluginError(what, where=where, fix=fix)


def _describe_end(code: int) -> str:
    if code < 0:
        return f"is killed by {signal.Signals(-code).name} when it is imported"
    return f"ends the process with {code} when it is imported"
