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

ASK = [sys.executable, "-c", "from specloom.catalogue import show; show()"]


def commands() -> dict[str, dict[str, str]]:
    """Commands by name: the plugin, its ``"module:command"`` and one line of help."""
    # A package that comes or goes changes the time of a folder on sys.path.
    stamps = [(p, Path(p).stat().st_mtime_ns) for p in sys.path if "site" in p and Path(p).is_dir()]
    key = hashlib.sha256(repr((sys.path, sys.version, stamps)).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "specloom"
    file = cache / f"commands-{key}.json"
    found: dict[str, dict[str, str]] = {}
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text("utf-8"))
    if found:
        return found
    done = subprocess.run(ASK, capture_output=True, text=True, timeout=60, check=False)
    with suppress(OSError, ValueError, IndexError):
        found = json.loads(done.stdout.splitlines()[-1])
        cache.mkdir(parents=True, exist_ok=True)  # a cache that cannot be written costs time only
        temporary = file.with_name(f"{file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(found), "utf-8")
        temporary.replace(file)
    return found


def show() -> None:
    """Print the commands of every working plugin as one line of JSON."""
    from specloom.plugins import Plugins

    plugins, found = Plugins(), {}
    for label, target in plugins.offers(("commands",)).items():
        plugin, _, name = label.partition(".")
        help_ = plugins.load(target, label, "").get_short_help_str(80)
        found[name] = {"plugin": plugin, "target": target, "help": help_}
    print(json.dumps(found))
