"""The folder of a run: a new one, and what the record of an earlier run says."""

import json
import re
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError
from specloom.execution.result_files import record, run_in_folder, write
from specloom.plugins import RECORD, Plugins
from specloom.runfile.yaml import Document

__all__ = [
    "fresh_folder",
    "interrupted_run",
    "record",
    "recorded_arguments",
    "run_in_folder",
    "write",
    "write_log",
]


def fresh_folder(name: str) -> Path:
    """A folder of its own under ``runs/``: the run's name and the time, to the microsecond."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    safe = safe.strip("._") or "run"
    now = datetime.now().astimezone()
    return Path("runs") / f"{safe}-{now:%Y%m%d-%H%M%S-%f}"


def interrupted_run(folder: Path) -> dict[str, Any]:
    """The arguments of a run that did not come to its end, as ``specloom.load`` takes them.

    Where the record pins plugins, they are among the arguments.

    Raises:
        ConfigError: There is no such run in ``folder``.
        PluginError: A plugin that was pinned cannot be used.
    """
    arguments = recorded_arguments(folder)
    record = folder / RECORD
    if "lock" in json.loads(record.read_bytes()):
        arguments["plugins"] = Plugins.for_file(record)
    return arguments


def recorded_arguments(folder: Path) -> dict[str, Any]:
    """The run file, seed and device of the run in ``folder``.

    Raises:
        ConfigError: There is no such run in ``folder``.
    """
    try:
        content = (folder / RECORD).read_bytes()
        found = json.loads(content)
        document = Document(found["file"], found["run"])
        return {"path": document, "seed": found["seed"], "device": found["device"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{folder} holds no run ({type(e).__name__}: {e})"
        fix = "give the folder of a run that was stopped"
        raise ConfigError(what, fix=fix) from e


def write_log(error: BaseException) -> Path:
    """The traceback of an internal error, with versions, in a file that can be attached."""
    import platform
    import tempfile
    import traceback

    versions = f"specloom {version('specloom')}, Python {sys.version}, {platform.platform()}"
    arguments = sys.argv[1:]
    trace = "".join(traceback.format_exception(error))
    text = f"{versions}\narguments: {arguments}\n\n{trace}"
    with tempfile.NamedTemporaryFile(prefix="specloom-", suffix=".log", delete=False) as log:
        log.write(text.encode())
    return Path(log.name)
