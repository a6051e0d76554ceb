"""Repeat a run from its record; a process of its own runs this."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import specloom
from specloom import Plugins, SpecloomError
from specloom.threads import limited

INTERRUPTED = 130


def rerun(folder: Path, out: Path, *, fold: bool) -> None:
    """Run what the run in ``folder`` ran, and write the results into ``out``.

    Raises:
        SpecloomError: Something is wrong.
    """
    from specloom.execution import result_files, run_folder

    plugins = Plugins()
    if (out / "plugins.yaml").is_file():
        plugins = Plugins.for_file(out / "run.yaml")
    run = specloom.load(**run_folder.recorded_arguments(folder), plugins=plugins, observed=True)
    run.folder = out
    run.fold = fold
    run.record["reproduces"] = str(folder)
    result_files.record(run, out)
    run.run()
    result_files.write(run, out)


def main() -> None:
    """Repeat a run, with the arguments of ``rerun`` as JSON on the command line.

    ``limit``, if it is there, is the number of threads, or None for the default of commands;
    ``outside`` is that of torch outside of blocks.
    """
    from specloom import cli

    arguments = json.loads(sys.argv[1])
    try:
        with _thread_limit(arguments):
            rerun(Path(arguments["folder"]), Path(arguments["out"]), fold=arguments["fold"])
    except SpecloomError as e:
        print(cli.format_error(e), file=sys.stderr)
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as e:
        sys.exit(cli.report_unexpected(e))


def _thread_limit(arguments: dict[str, Any]) -> AbstractContextManager[Any]:
    if "limit" in arguments:
        return limited(arguments["limit"], arguments.get("outside", 1))
    return nullcontext()
