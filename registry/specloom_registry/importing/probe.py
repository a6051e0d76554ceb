"""Import a plugin in a process of its own, to tell what it does before a run is harmed by it.

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
from specloom_registry.model import metadata
from specloom_registry.packages import environment, overlay

if TYPE_CHECKING:
    from specloom_registry.model.lockfile import Lock
    from specloom_registry.model.package import Package
    from specloom_registry.store.store import Store

LONGEST = 60.0
PROGRAM = """
import json, sys
about = json.load(sys.stdin)
sys.path[:] = about["path"]
from specloom_registry.importing.probe import answer
answer(int(sys.argv[1]), about, sys.argv[2])
"""


def probe(
    packages: Mapping[str, Package], lock: Lock, store: Store, *, longest: float = LONGEST
) -> None:
    """Import each plugin in its own process; good answers are remembered.

    Raises:
        PluginError: Some cannot be imported; ``Problems`` if several.
    """
    from specloom_registry.base.parallel import all_of

    trees, beside = lock.trees, lock.packages.get(environment.platform_tag(), {})
    extra = overlay.present(store, beside, "") if beside else None
    around = metadata.digest([trees, beside, sys.version, sys.path])
    about = {
        "path": [*sys.path, *([str(extra)] if extra else [])],
        "cache": str(store.root / "pyc"),
        "stored": sorted(packages[name].top for name in trees),
        "plugins": {name: [one.module, str(one.folder)] for name, one in packages.items()},
    }

    def one(name: str) -> None:
        key = f"probe-{name}-{trees.get(name, '')}"
        if name not in trees or store.state(key).get("around") != around:
            _probe_one(name, about, packages[name].where, longest)
            store.remember(key, around=around)

    all_of(packages, one)


def answer(channel: int, about: Mapping[str, Any], name: str) -> None:
    """Import a plugin and say how it went; what runs in the process of its own."""
    from specloom.plugins import Plugins
    from specloom_registry.importing import import_hook
    from specloom_registry.model.package import Package

    plugins: dict[str, tuple[str, str]] = about["plugins"]
    there = [
        Package(key, "", module, Path(folder), "", Path(folder))
        for key, (module, folder) in plugins.items()
    ]
    import_hook.install(there, caches=dict.fromkeys(about["stored"], Path(about["cache"])))
    module, folder = plugins[name]
    said = dict[str, str]()
    try:
        Plugins({name: module}).offers(("nodes", "losses", "trainers"), name)
    except BaseException as e:
        cause = e.__cause__ or e
        said["error"] = f"{type(cause).__name__}: {cause}"
        for frame in traceback.extract_tb(cause.__traceback__):
            if Path(frame.filename).is_relative_to(folder):
                said["where"] = f"{Path(frame.filename).relative_to(folder)}:{frame.lineno}"
        if isinstance(cause, ModuleNotFoundError):
            said["module"] = cause.name or ""
    os.write(channel, about["word"].encode() + json.dumps(said).encode())
    os.close(channel)


def _probe_one(name: str, about: Mapping[str, Any], where: str, longest: float) -> None:
    reading, writing = os.pipe()
    word = os.urandom(16).hex()  # what comes without it is the plugin's own writing
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", PROGRAM, str(writing), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    hung = False
    try:
        process.communicate(json.dumps({**about, "word": word}).encode(), timeout=longest)
    except subprocess.TimeoutExpired:
        hung = True
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with os.fdopen(reading, "rb") as channel:
        _, answered, data = channel.read().rpartition(word.encode())
    said = json.loads(data) if answered else {}
    fix = f"use another version of {name!r}, or ask its author to mend it"
    place = f" (from {said['where']})" if said.get("where") else ""
    if hung:
        how = f"hangs: it is not imported within {longest:g} s"
    elif not answered:
        how = _ending(process.returncode)
    elif said.get("module"):
        how = f"imports {said['module']!r}{place}, which is not installed or among what it needs"
        fix = f"pip install what brings {said['module']!r}, and tell the plugin's author"
    elif said:
        how = f"raises {said['error']}{place}"
    else:
        return
    code = "E-DEP" if said.get("module") else "E-IMPORT"
    raise PluginError(f"{code} plugin {name!r} {how}", where=where, fix=fix)


def _ending(code: int) -> str:
    if code < 0:
        return f"is killed by {signal.Signals(-code).name} when it is imported"
    return f"ends the process with {code} when it is imported"
