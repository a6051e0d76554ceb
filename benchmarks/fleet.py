"""Work on many workers: the cost of a cube over their number, and large cubes beside one process.

    python benchmarks/fleet.py [--counts 10 100 1000] [--workers 2] [--large 24] [--chart FILE]

Tiny cubes are 8 x 8 x 4: what they cost is the engine. Of each number of cubes there are the wall
seconds and the CPU milliseconds a cube of client and scheduler, beyond those of starting, and how
much memory both take above ``import torch``. Large cubes are 512 x 512 x 61, with 1 and 2 workers
and in one process with 1 and 2 threads, in turns. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from timing import about

RUN = """
specloom: 1
metadata: {{name: fleet}}
data: {{type: cubes.Synthetic, config: {{scenes: 4, height: 24, width: 24, bands: {bands}}}}}
nodes:
  data: {{type: cubes.AnomalyDataNode, config: {{normal_class_ids: [0, 1]}}}}
  limits: {{type: normalize.MinMaxNormalizer}}
  rx: {{type: rx.RXGlobal}}
connections:
  - [data.cube, limits.data]
  - [limits.normalized, rx.data]
outputs: {{scores: rx.scores}}
phases: [{{type: training.StatisticalTrainer}}]
"""
PROGRAM = """
import json, os, sys, time
import psutil, torch
from pathlib import Path

def cpu():
    own = psutil.Process().cpu_times()
    return own.user + own.system

def main():
    pipeline, cubes, out, on, workers, count = sys.argv[1:]
    from specloom_predict import predict_all
    files = sorted(Path(cubes).glob("*.npy"))[: int(count)]
    memory = psutil.Process().memory_info().rss
    executor = None
    if on:
        from specloom_dask import Dask
        executor = Dask(on, int(workers))
        executor._connected()
        predict_all(pipeline, files[:1], Path(out) / "first", on=Lent(executor))
    started, used = time.perf_counter(), cpu()
    made = predict_all(pipeline, files, Path(out) / "all", on=executor)
    report = {"wall": time.perf_counter() - started, "cpu": cpu() - used}
    report["memory"] = psutil.Process().memory_info().rss - memory
    report["done"] = len(made.done)
    print(json.dumps(report))

class Lent:
    def __init__(self, executor):
        self.each, self.total = executor.each, executor.total

if __name__ == "__main__":
    main()
"""


def main() -> None:
    """Measure, and print a report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 100, 1000, 10_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--large", type=int, default=24, help="large cubes; 0 for none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chart", type=Path, help="where the cost over cubes is drawn, as PNG")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        report = about("many workers", 1)
        report["tiny"] = tiny(Path(name) / "tiny", arguments.counts, arguments.workers)
        if arguments.large:
            report["large"] = large(Path(name) / "large", arguments.large, arguments.repeats)
    if arguments.chart:
        draw(report["tiny"], arguments.chart)
    print(json.dumps(report, indent=2))


def tiny(folder: Path, counts: list[int], workers: int) -> list[dict[str, Any]]:
    """The cost of a cube, over the number of cubes."""
    pipeline = fitted(folder, bands=4)
    write_cubes(folder / "cubes", max(counts), size=8, bands=4)
    rows = []
    for count in counts:
        found = measured(folder, pipeline, "dask", workers, count)
        rows.append(
            {
                "cubes": count,
                "wall_ms": 1000 * found["wall"] / count,
                "client_and_scheduler_cpu_ms": 1000 * found["cpu"] / count,
                "memory_mb": found["memory"] / 1e6,
            }
        )
    return rows


def large(folder: Path, count: int, repeats: int) -> dict[str, Any]:
    """Seconds a cube of 512 x 512 x 61, the median over the repeats."""
    pipeline = fitted(folder, bands=61)
    write_cubes(folder / "cubes", count, size=512, bands=61)
    ways = {
        "plain, 1 thread": ("", 1),
        "plain, 2 threads": ("", 2),
        "1 worker": ("dask", 1),
        "2 workers": ("dask", 2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (on, number) in ways.items():
            found = measured(folder, pipeline, on, number, count)
            seconds[name].append(found["wall"] / count)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "seconds_a_cube": medians,
        "two_workers_over_one_thread": medians["plain, 1 thread"] / medians["2 workers"],
        "two_workers_over_two_threads": medians["plain, 2 threads"] / medians["2 workers"],
        "one_worker_slower_by": medians["1 worker"] / medians["plain, 1 thread"] - 1,
    }


def measured(folder: Path, pipeline: Path, on: str, number: int, count: int) -> dict[str, Any]:
    """What a process of its own measures."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    program = folder / "program.py"
    program.write_text(PROGRAM)
    threads = "1" if on else str(number)
    arguments = [str(pipeline), str(folder / "cubes"), str(out), on, str(number), str(count)]
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["done"] != count:
        raise RuntimeError(f"{found['done']} of {count} cubes were predicted")
    return found


def fitted(folder: Path, bands: int) -> Path:
    """The folder of a run that fitted RX."""
    folder.mkdir(parents=True)
    file = folder / "run.yaml"
    file.write_text(RUN.format(bands=bands))
    command = [sys.executable, "-m", "specloom", "run", str(file), "--out", str(folder / "run")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "run"


def write_cubes(folder: Path, count: int, size: int, bands: int) -> None:
    """Cubes of random reflectance."""
    folder.mkdir()
    random = np.random.default_rng(0)
    cube = random.random((size, size, bands), np.float32)
    for number in range(count):
        np.save(folder / f"c{number:06d}.npy", cube + np.float32(number / count))


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw the cost of a cube over the number of cubes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    counts = [row["cubes"] for row in rows]
    axes.plot(counts, [row["wall_ms"] for row in rows], "o-", label="wall time")
    costs = [row["client_and_scheduler_cpu_ms"] for row in rows]
    axes.plot(counts, costs, "s-", label="CPU of client and scheduler")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("cubes of 8 x 8 x 4")
    axes.set_ylabel("ms a cube")
    axes.legend()
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
