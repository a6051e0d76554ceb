"""Which commands plugins offer, remembered between calls so that ``--help`` imports no plugin.

The memory is a file in the user's cache folder. It is made anew by a process of its own when a
package was installed or removed, so that a broken plugin cannot break the command line.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast


def commands() -> dict[str, dict[str, str]]:
    """Commands by name: the plugin, its ``"module:command"`` and one line of help."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "specloom"
    file = cache / f"commands-{_fingerprint()}.json"
    with suppress(OSError, ValueError):
        return cast("dict[str, dict[str, str]]", json.loads(file.read_text("utf-8")))
    ask = [sys.executable, "-c", "from specloom.catalogue import show; show()"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, dict[str, str]] = {}
    with suppress(ValueError, IndexError, OSError):
        found = json.loads(done.stdout.splitlines()[-1])
        cache.mkdir(parents=True, exist_ok=True)  # a cache that cannot be written costs time only
        temporary = file.with_name(f"{file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(found), "utf-8")
        temporary.replace(file)
    return found


def _fingerprint() -> str:
    """Changes when a package comes or goes: the times of the folders on ``sys.path`` do."""
    stamps: list[Any] = [sys.executable, sys.version]
    for entry in sys.path:
        with suppress(OSError):
            stamps.append((entry, Path(entry).stat().st_mtime_ns if "site" in entry else 0))
    return hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]


def show() -> None:
    """Print the commands of every working plugin as one line of JSON."""
    from specloom.plugins import Plugins

    plugins, found = Plugins(), {}
    for label, target in plugins.offers(("commands",)).items():
        plugin, _, name = label.partition(".")
        help_ = plugins.load(target, label, "").get_short_help_str(80)
        found[name] = {"plugin": plugin, "target": target, "help": help_}
    print(json.dumps(found))
