"""W7: start-up in CPU seconds, and the memory that fits take whatever the number of batches.

    python benchmarks/startup.py [--repeats 5] [--batches 2 8 32]

Every figure is from a process of its own; prints JSON. Commands are those of an installation that
was used before: byte code is read, and written by the first turn, which does not count. Memory is
the highest of the process above what it had after its imports and one batch, in MiB. What cuvis-ai
takes stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from timing import about

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
RX_PIECES = """
import torch
from specloom import Pipeline, Run
from specloom_cubes import AnomalyDataNode
from specloom_deciders import BinaryDecider
from specloom_normalize import MinMaxNormalizer
from specloom_rx import RXGlobal
from specloom_rx import ScoreToLogit
from specloom_training import StatisticalTrainer
"""
CUVIS_PIECES = """
from cuvis_ai.node.anomaly.rx_detector import RXGlobal
from cuvis_ai.node.normalization import MinMaxNormalizer
from cuvis_ai_core.pipeline.pipeline import CuvisPipeline
from cuvis_ai_core.training import StatisticalTrainer
"""
MEMORY = """
import resource, sys
import torch
import scenes
rows, odd = scenes.pixels(4 * 128 * 128, 61)

def stream(count):
    for number in range(count):
        cube = (rows + 0.001 * number).view(4, 128, 128, 61)  # made again, as a source does
        yield cube, odd.view(4, 128, 128, 1)

def highest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def fit(node, count, batch_of):
    for pass_ in range(getattr(node, "fit_passes", 1)):
        node.fit_start(pass_)
        for cube, mask in stream(count):
            node.fit_update(**batch_of(cube, mask))
        node.fit_end()
"""
FITS = {
    "rx": """
from specloom_rx import RXGlobal
run = lambda count: fit(RXGlobal(61), count, lambda cube, mask: {"data": cube})
""",
    "mrmr": """
from specloom_mrmr import SupervisedFullSpectrumBandSelector as Selector
run = lambda count: fit(Selector(61), count, lambda cube, mask: {"cube": cube, "mask": mask})
""",
    "cuvis rx": """
from cuvis_ai.node.anomaly.rx_detector import RXGlobal
run = lambda count: RXGlobal(num_channels=61).statistical_initialization(
    {"data": cube} for cube, _ in stream(count))
""",
}
END = """
for _ in stream(1):
    pass
before = highest()
run(int(sys.argv[1]))
print(round(highest() - before, 1))
"""


HEADER = (
    "ENVI\nsamples = 2\nlines = 2\nbands = 2\nheader offset = 0\ndata type = 4\n"
    "interleave = bil\nbyte order = 0\nwavelength units = nm\nwavelength = {500, 600}\n"
)


def command(*arguments: str) -> list[str]:
    """``specloom`` with some arguments, as it is installed beside this Python."""
    script = Path(sys.executable).with_name("specloom")
    return [str(script), *arguments] if script.exists() else [sys.executable, "-m", "specloom"]


def cpu_seconds(arguments: list[str]) -> float:
    """What a process takes, in CPU seconds of its own."""
    silent = subprocess.DEVNULL
    process = subprocess.Popen(arguments, stdout=silent, stderr=silent, cwd=HERE)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def commands(folder: Path) -> dict[str, list[str]]:
    """Commands that compute nothing.

    Args:
        folder: A folder without a manifest, for what counts where plugins are only installed.
    """
    checked = CONFIGS / "rx_statistical.yaml"
    installed = folder / checked.name
    installed.write_text(checked.read_text("utf-8"), "utf-8")
    (folder / "cube.hdr").write_text(HEADER, "utf-8")
    (folder / "cube.img").write_bytes(bytes(32))
    learned = str(CONFIGS / "channel_selector.yaml")
    return {
        "specloom --help": command("--help"),
        "specloom check": command("check", str(installed)),
        "specloom check, plugins in folders": command("check", str(checked)),
        "specloom check, gradient phase": command("check", learned),
        "specloom check, warnings": command("check", str(CONFIGS / "rx_scene.yaml")),
        "specloom graph": command("graph", str(installed)),
        "specloom graph, gradient phase": command("graph", learned),
        "specloom schema": command("schema"),
        "specloom info": command("info", str(folder / "cube.hdr")),
        "specloom nodes": command("nodes"),
        "specloom nodes NAME": command("nodes", "rx.RXGlobal"),
        "specloom plugins list": command("plugins", "list"),
        "specloom new run --list": command("new", "run", "--list"),
        "specloom run --help": command("run", "--help"),
        "specloom predict --help": command("predict", "--help"),
        "specloom detect --help": command("detect", "--help"),
    }


def startup(repeats: int, folder: Path) -> dict[str, float]:
    """The medians of interleaved runs."""
    python = [sys.executable, "-W", "ignore", "-c"]
    calls = {
        "python": [*python, "pass"],
        "import numpy": [*python, "import numpy"],
        **commands(folder),
        "import torch": [*python, "import torch"],
        "pieces of an RX run": [*python, RX_PIECES],
    }
    if find_spec("cuvis_ai") is not None:
        calls["cuvis-ai: pieces of an RX run"] = [*python, CUVIS_PIECES]
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1 if repeats > 1 else 1):
        for name, call in calls.items():
            seconds = cpu_seconds(call)
            if turn or repeats == 1:  # the first turn fills the disk cache
                found[name].append(seconds)
    medians = {name: round(statistics.median(each), 3) for name, each in found.items()}
    pairs = zip(found["pieces of an RX run"], found["import torch"], strict=True)
    medians["pieces of an RX run above torch"] = round(
        statistics.median(pieces - torch for pieces, torch in pairs), 3
    )
    return medians


def memory(batches: list[int], repeats: int) -> dict[str, dict[int, float]]:
    """MiB above the start for each fit and number of batches: medians, as the system's allocator
    sometimes holds on to a batch of the source.
    """
    found: dict[str, dict[int, float]] = {}
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    }
    for name, code in FITS.items():
        if name.startswith("cuvis") and find_spec("cuvis_ai") is None:
            continue
        for count in batches:
            call = [sys.executable, "-W", "ignore", "-c", MEMORY + code + END, str(count)]
            each = []
            for _ in range(repeats):
                made = subprocess.run(
                    call, check=True, capture_output=True, text=True, env=environment, cwd=HERE
                )
                each.append(float(made.stdout.splitlines()[-1]))
            found.setdefault(name, {})[count] = statistics.median(each)
    return found


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="*", default=[2, 8, 32])
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    report: dict[str, Any] = about("W7", 1)
    with TemporaryDirectory() as folder:
        report["cpu_s"] = startup(options.repeats, Path(folder))
    report["memory_mib"] = memory(options.batches, options.repeats)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
