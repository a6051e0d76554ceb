"""Work on many workers: the cost of a cube over their number, and large cubes beside one process.

    python benchmarks/fleet.py [--counts 10 100 1000 10000] [--workers 2] [--large 24] [--keep]

Tiny cubes are 8 x 8 x 4: what they cost is the engine. Of each number of cubes there are, a cube
and beyond what a call for the first few takes: wall milliseconds, CPU milliseconds of all
processes, and of the client with its scheduler; and how much memory these two, which are one
process here, have above ``import torch``. The first few are two a worker, each of which is a share
of its own, as it is not known yet how long a cube takes. Large cubes are 512 x 512 x 61: in one
process with 1 and 2 threads, and on 1 and 2 workers, in turns, in processes that were started
before.

Prints JSON. ``--keep`` writes fleet.json, and the table and the chart of docs/past-one-machine.md,
which ``--tables`` makes again. On a quiet machine with two cores it takes about six minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fleet_chart
import numpy as np
from timing import about

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/fleet.json"
PAGE = ROOT / "docs/past-one-machine.md"
CHART = ROOT / "docs/images/past-one-machine.svg"
START = "<!-- fleet -->"
END = "<!-- /fleet -->"

REPEATED_CUBES = 200
"""Calls for few cubes are repeated until so many cubes were predicted."""
MOST_REPEATS = 15
FIRST_SHARES = 2
"""The shares a worker that start before it is known how long a cube takes."""

WAYS: Mapping[str, tuple[str, int]] = {
    "plain, 1 thread": ("", 1),
    "plain, 2 threads": ("", 2),
    "1 worker": ("dask", 1),
    "2 workers": ("dask", 2),
}
"""How large cubes are predicted: what ``on`` says, and the number of threads or workers."""

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
import json, sys, time
from contextlib import nullcontext
from pathlib import Path
import psutil, torch

ME = psutil.Process()
AFTER_TORCH = ME.memory_info().rss

def cpu(processes):
    total = 0.0
    for process in processes:
        times = process.cpu_times()
        total += times.user + times.system
    return total

class Lent:
    # An executor that predict_all does not close.
    def __init__(self, executor):
        self.each, self.total = executor.each, executor.total

def main():
    pipeline, cubes, out, on, number = sys.argv[1:]
    from specloom.threads import limited
    from specloom_predict import predict_all
    files = sorted(Path(cubes).glob("*.npy"))
    executor, context = None, limited(int(number))
    if on:
        from specloom_dask import Dask
        dask = Dask(on, int(number))
        dask._connected().wait_for_workers(int(number))
        executor, context = Lent(dask), nullcontext()
    with context:
        for call, line in enumerate(sys.stdin):
            count = int(line)
            workers = ME.children(recursive=True)
            started = time.perf_counter()
            own, theirs = cpu([ME]), cpu(workers)
            made = predict_all(pipeline, files[:count], f"{out}/{call}", on=executor)
            report = {"wall": time.perf_counter() - started, "cpu": cpu([ME]) - own}
            report["all_cpu"] = report["cpu"] + cpu(workers) - theirs
            report["memory"] = ME.memory_info().rss - AFTER_TORCH
            report["done"] = len(made.done)
            print(json.dumps(report), flush=True)
    if on:
        dask.close()

if __name__ == "__main__":
    main()
"""


class Predicting:
    """A process that predicts cubes, and measures what that takes.

    Args:
        folder: Where the cubes are and its results go.
        pipeline: The folder of the run.
        on: Who predicts, as for ``--on``; empty for the process itself.
        number: The number of workers, or of threads.
    """

    def __init__(self, folder: Path, pipeline: Path, on: str, number: int) -> None:
        program = folder / "program.py"
        program.write_text(PROGRAM)
        out = Path(tempfile.mkdtemp(prefix="out-", dir=folder)) / "results"
        threads = "1" if on else str(number)
        # No pipe, which nothing reads meanwhile: the process would stop when it is full.
        self._errors = folder / f"errors-{out.parent.name}.txt"
        errors = self._errors.open("w")
        self._process = subprocess.Popen(
            [sys.executable, program, pipeline, folder / "cubes", out, on, str(number)],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        errors.close()
        self.predict(1)

    def predict(self, count: int) -> dict[str, Any]:
        """Seconds and bytes of a call for so many cubes."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{count}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            process.communicate()
            raise RuntimeError(self._errors.read_text("utf-8"))
        found: dict[str, Any] = json.loads(line)
        if found["done"] != count:
            raise RuntimeError(f"{found['done']} of {count} cubes were predicted")
        return found

    def end(self) -> None:
        """End the process and its workers."""
        self._process.communicate(timeout=60)


def tiny(folder: Path, counts: Sequence[int], workers: int) -> list[dict[str, Any]]:
    """The cost of a cube, over the number of cubes."""
    pipeline = fitted(folder, bands=4)
    write_cubes(folder / "cubes", max(counts), size=8, bands=4)
    process = Predicting(folder, pipeline, "dask", workers)
    few = FIRST_SHARES * workers
    rows = []
    for count in counts:
        repeats = min(MOST_REPEATS, max(1, REPEATED_CUBES // count))
        pairs = [(process.predict(few), process.predict(count)) for _ in range(repeats)]
        row = {"cubes": count}
        for name, field in fleet_chart.FIELDS.items():
            row[name] = round(1000 * cost_of_cube(pairs, field, count - few), 3)
        row["memory_mb"] = round(max(many["memory"] for _, many in pairs) / 1e6, 1)
        rows.append(row)
    process.end()
    return rows


def cost_of_cube(
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], field: str, count: int
) -> float:
    """What a cube takes, by pairs of calls, of which the second has ``count`` cubes more.

    The median of wall times, and the mean of CPU times, which the system counts in steps of 10 ms.
    """
    centre = statistics.median if field == "wall" else statistics.mean
    few = centre([first[field] for first, _ in pairs])
    many = centre([second[field] for _, second in pairs])
    return float(many - few) / count


def spread(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    """By how much the dearest cube costs more than the cheapest one, as a share."""
    values = [row[name] for row in rows]
    return round(max(values) / min(values) - 1, 3)


def large(folder: Path, count: int, repeats: int) -> dict[str, Any]:
    """Seconds a cube of 512 x 512 x 61, in turns: the median over the repeats."""
    pipeline = fitted(folder, bands=61)
    write_cubes(folder / "cubes", count, size=512, bands=61)
    processes = {}
    for name, (on, number) in WAYS.items():
        processes[name] = Predicting(folder, pipeline, on, number)
        processes[name].predict(min(count, 4))
    wall: dict[str, list[float]] = {name: [] for name in WAYS}
    cpu: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repeats):
        for name, process in processes.items():
            found = process.predict(count)
            wall[name].append(found["wall"] / count)
            cpu[name].append(found["all_cpu"] / count)
    for process in processes.values():
        process.end()
    medians = {name: statistics.median(values) for name, values in wall.items()}
    return {
        "seconds_a_cube": rounded(medians),
        "least_seconds_a_cube": rounded({name: min(values) for name, values in wall.items()}),
        "cpu_seconds_a_cube": rounded({name: min(values) for name, values in cpu.items()}),
        "two_workers_over_one_thread": round(medians["plain, 1 thread"] / medians["2 workers"], 3),
        "two_workers_over_two_threads": round(
            medians["plain, 2 threads"] / medians["2 workers"], 3
        ),
        "one_worker_slower_by": round(medians["1 worker"] / medians["plain, 1 thread"] - 1, 3),
    }


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Values to four digits behind the point."""
    return {name: round(value, 4) for name, value in values.items()}


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


def tables(report: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    machine = report["machine"]
    lines = [
        f"![The cost of a cube over the number of cubes](images/{CHART.name})",
        "",
        f"Cubes of 8 x 8 x 4 on {report['workers']} workers ({machine['cpu']}, {machine['cores']} "
        f"cores), a cube, beyond a call for {FIRST_SHARES * report['workers']}:",
        "",
        "| cubes | wall time | CPU of all processes | of client and scheduler | their memory |",
        "|---|---|---|---|---|",
    ]
    for row in report["tiny"]:
        costs = " | ".join(f"{row[name]:.2f} ms" for name in fleet_chart.FIELDS)
        lines.append(f"| {row['cubes']:,} | {costs} | {row['memory_mb']:.0f} MB |")
    if report.get("large"):
        seconds = report["large"]["seconds_a_cube"]
        listed = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
        lines += ["", f"A cube of 512 x 512 x 61: {listed}."]
    return "\n".join(lines)


def page_with_tables(page: str, report: Mapping[str, Any]) -> str:
    """A page with its table made again, between the markers."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{tables(report)}\n\n{END}{after}"


def as_json(report: Mapping[str, Any]) -> str:
    """The report as JSON."""
    return json.dumps(report, indent=1) + "\n"


def keep(report: Mapping[str, Any]) -> None:
    """Write the table of the page and its chart."""
    PAGE.write_text(page_with_tables(PAGE.read_text("utf-8"), report), "utf-8")
    CHART.write_text(fleet_chart.draw(report["tiny"]), "utf-8")


def measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything that the command line names."""
    report = about("many workers", 1)
    report["workers"] = arguments.workers
    report["tiny"] = tiny(folder / "tiny", arguments.counts, arguments.workers)
    report["spread"] = {one: spread(report["tiny"], one) for one in fleet_chart.FIELDS}
    if arguments.large:
        report["large"] = large(folder / "large", arguments.large, arguments.repeats)
    return report


def main() -> None:
    """Measure, and print a report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 100, 1000, 10_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--large", type=int, default=24, help="large cubes; 0 for none")
    parser.add_argument("--repeats", type=int, default=5, help="of large cubes")
    parser.add_argument("--keep", action="store_true", help="write results, table and chart")
    parser.add_argument("--tables", action="store_true", help="measure nothing, use the results")
    arguments = parser.parse_args()
    if arguments.tables:
        keep(json.loads(RESULTS.read_text("utf-8")))
        return
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        report = measured(arguments, Path(name))
        if arguments.keep:
            RESULTS.write_text(as_json(report), "utf-8")
            keep(report)
        print(as_json(report), end="", flush=True)


if __name__ == "__main__":
    main()
