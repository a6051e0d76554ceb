"""Twelve plugins from tags that are in the store: what ``specloom.load`` of a run file takes.

    python benchmarks/registry_load.py [--repeats 20]

The run file names a node of each plugin. Each repeat is a process that has imported torch, specloom
and the registry, but no plugin: it loads the file twice. The stat check, which holds the files of
plugins to their hashes by sizes and times, is measured by itself and taken out of the load; so are
the modules of the plugins, compiled and executed. Prints medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from registry_sync import World

RUN_FILE = "run.yaml"
IMPORTED = (
    "yaml",
    "specloom.torch",
    "specloom_registry.importing.activate",
    "specloom_registry.model.manifest",
)


class Stopwatch:
    """The milliseconds that all calls of a function take together.

    Args:
        owner: The module or the class of a method.
        name: The function.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self.milliseconds = 0.0
        function = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.milliseconds += 1000 * (time.process_time() - started)

        setattr(owner, name, timed)


def write_run_file(world: World) -> None:
    """Write a run file of a chain with one node of each plugin."""
    lines = ["specloom: 1", f"data: {{type: {world.names[0]}.Empty}}", "nodes:"]
    lines += [f"  {name}: {{type: {name}.Twice}}" for name in world.names]
    lines.append("connections:")
    end = "batch.cube"
    for name in world.names:
        lines.append(f"  - [{end}, {name}.data]")
        end = f"{name}.doubled"
    (world.root / RUN_FILE).write_text("\n".join(lines) + "\n")


def measure() -> dict[str, float]:
    """Load the run file twice in this process; the milliseconds of each part."""
    for module in IMPORTED:
        import_module(module)
    import specloom
    from specloom_registry.importing import activate
    from specloom_registry.importing.import_hook import SourceLoader

    check = Stopwatch(activate, "check_stored")
    modules = Stopwatch(SourceLoader, "exec_module")
    loads = []
    for _load in range(2):
        started = time.process_time()
        specloom.load(RUN_FILE, device="cpu")
        loads.append(1000 * (time.process_time() - started))
    first, second = loads
    own = first - check.milliseconds - modules.milliseconds
    return {
        "stat check": check.milliseconds,
        "modules of the plugins": modules.milliseconds,
        "load() without these two": own,
        "load() again": second,
    }


def measured_apart(folder: Path) -> dict[str, float]:
    """Return what a process of its own measures in the project's folder."""
    command = [sys.executable, __file__, "--here"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure()))
        return
    with tempfile.TemporaryDirectory() as scratch:
        world = World(Path(scratch))
        os.environ["SPECLOOM_STORE"] = str(world.root / "store")
        world.run("lock")
        write_run_file(world)
        measured_apart(world.root)
        found = [measured_apart(world.root) for _repeat in range(options.repeats)]
        world.make_writable()
    for part in found[0]:
        median = statistics.median(one[part] for one in found)
        print(f"{part:26} {median:7.1f} ms")


if __name__ == "__main__":
    main()
