"""Which commands plugins offer, remembered between calls so that ``--help`` imports no plugin.

The memory is a small file in the user's cache folder. It is made in a process of its own when the
set of installed packages changes, so that a broken plugin cannot break the command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def commands() -> dict[str, dict[str, str]]:
    """Commands by name: the plugin, ``"module:command"`` and one line of help."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "specloom"
    file = folder / f"commands-{_fingerprint()}.json"
    try:
        found: dict[str, dict[str, str]] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        found = _ask()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f"{file.name}.{os.getpid()}")
            temporary.write_text(json.dumps(found), "utf-8")
            temporary.replace(file)
        except OSError:
            pass  # a home that cannot be written costs time, not correctness
    return found


def _fingerprint() -> str:
    """Changes when a package is installed or removed: the folders of ``sys.path`` do then."""
    import hashlib

    stamps = [sys.executable, sys.version]
    for entry in sys.path:
        try:
            stamps.append(
                f"{entry} {Path(entry).stat().st_mtime_ns}" if "site-packages" in entry else entry
            )
        except OSError:
            continue
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16]


def _ask() -> dict[str, dict[str, str]]:
    made = subprocess.run(
        [sys.executable, "-c", "from specloom.catalogue import show; show()"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    try:
        found: dict[str, dict[str, str]] = json.loads(made.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        found = {}
    return found


def show() -> None:
    """Print the commands of every working plugin as one line of JSON."""
    from specloom.plugins import Plugins

    plugins, found = Plugins(), {}
    for label, target in plugins.offers(("commands",)).items():
        plugin, _, name = label.partition(".")
        command = plugins.load(target, label, "")
        found[name] = {"plugin": plugin, "target": target, "help": command.get_short_help_str(80)}
    print(json.dumps(found))
