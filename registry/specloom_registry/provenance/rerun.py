"""One run made again from the record of another, in a process of its own."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import specloom
from specloom import Plugins, SpecloomError
from specloom.threads import limited


def again(folder: Path, out: Path, *, fold: bool) -> None:
    """Run what the run in ``folder`` ran, and write the results into ``out``.

    Raises:
        SpecloomError: Something is wrong.
    """
    from specloom.execution import run_folder

    pinned = (out / "plugins.yaml").is_file()
    plugins = Plugins.for_file(out / "run.yaml") if pinned else Plugins()
    run = specloom.load(**specloom.interrupted_run(folder), plugins=plugins, observed=True)
    run.folder, run.fold = out, fold
    run.record["reproduces"] = str(folder)
    run_folder.record(run, out)
    run.run()
    run_folder.write(run, out)


def main() -> None:
    """What the process runs: its arguments are those of ``again``, as JSON.

    ``limit``, where it is there, is the number of threads, or None for the default of commands.
    """
    from specloom.cli import format_error

    asked = json.loads(sys.argv[1])
    limit = limited(asked["limit"]) if "limit" in asked else nullcontext()
    try:
        with limit:
            again(Path(asked["folder"]), Path(asked["out"]), fold=asked["fold"])
    except SpecloomError as e:
        print(format_error(e), file=sys.stderr)
        sys.exit(e.exit_code)
