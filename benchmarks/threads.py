"""Threads: more of them against one, quiet or beside a busy core, on large and small images.

    python benchmarks/threads.py [--size medium small] [--threads 1 2] [--busy] [--repeats 9]

Wall seconds, the numbers of threads taking turns; prints JSON. ``gain`` is how many times as long
one thread takes, the median over the rounds, and ``copy`` the gain of copying memory with as many
threads in the same rounds: what is bound by memory gains no more than that. ``over_best`` is the
time of as many threads as cores, which is the default, over that of the best number. With
``--busy`` it is measured again while a process counts on the first core of this one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ours_adapter
import scenes
import torch
from timing import about

from specloom import threads
from specloom.threads import limited
from specloom.torch import map_blocks, no_memory

COUNT = "import os; os.sched_setaffinity(0, {%d})\nwhile True: pass"
COPIED = 1 << 25
COPIED_AT_ONCE = 1 << 20
WORKLOADS = ("rx", "min_max", "pca", "mrmr")


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that uses the first core of this one."""
    first = min(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", COUNT % first])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def copying() -> Callable[[], Any]:
    """Copies 128 MB, in blocks, by the threads that there are."""
    source = torch.randn(COPIED)
    target = torch.empty_like(source)
    starts = range(0, COPIED, COPIED_AT_ONCE)

    def copy(number: int, _: None) -> None:
        place = slice(starts[number], starts[number] + COPIED_AT_ONCE)
        target[place].copy_(source[place])

    return lambda: map_blocks(copy, len(starts), no_memory)


def phases_of(size: str) -> dict[str, Callable[[], Any]]:
    """What is measured at a size: each phase of each workload by its name."""
    found: dict[str, Callable[[], Any]] = {"copy": copying()}
    data = scenes.workload(size)
    rows = 1_000_000 if size == "medium" else 20_000
    for workload in WORKLOADS:
        of_workload = scenes.labelled(rows, 61) if workload == "mrmr" else data
        for phase, call in getattr(ours_adapter, workload)(of_workload).items():
            found[f"{workload} {phase}"] = call
    return found


def measured(
    calls: Mapping[str, Callable[[], Any]], counts: Sequence[int], repeats: int
) -> dict[str, dict[int, list[float]]]:
    """The wall seconds of each call with each number of threads; a first round is not counted."""
    found: dict[str, dict[int, list[float]]] = {
        name: {count: [] for count in counts} for name in calls
    }
    for turn in range(repeats + 1):
        for name, call in calls.items():
            for count in counts:
                with limited(count):
                    torch.set_num_threads(1)
                    started = time.perf_counter()
                    call()
                    seconds = time.perf_counter() - started
                if turn:
                    found[name][count].append(seconds)
    return found


def figures(
    times: Mapping[str, Mapping[int, Sequence[float]]], default: int
) -> dict[str, dict[str, Any]]:
    """Medians in milliseconds, and the ratios of the same rounds."""
    found: dict[str, dict[str, Any]] = {}
    for name, by_count in times.items():
        medians = {count: statistics.median(seconds) for count, seconds in by_count.items()}
        row: dict[str, Any] = {
            f"{count}, ms": round(1e3 * one, 3) for count, one in medians.items()
        }
        for count, seconds in by_count.items():
            gains = [alone / one for alone, one in zip(by_count[1], seconds, strict=True)]
            row[f"{count}, gain"] = round(statistics.median(gains), 2)
        row["over_best"] = round(medians[default] / min(medians.values()), 2)
        found[name] = row
    return found


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", nargs="+", default=["medium", "small"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, threads.cores()])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--busy", action="store_true")
    chosen = parser.parse_args()
    default = threads.cores()
    counts = sorted({1, default, *chosen.threads})
    report: dict[str, Any] = {**about("threads", default), "clock": "wall"}
    report["load"] = round(os.getloadavg()[0], 1)
    report["sizes_by_threads"] = {}
    found = report["sizes_by_threads"]
    for size in chosen.size:
        calls = phases_of(size)
        found[size] = figures(measured(calls, counts, chosen.repeats), default)
        if chosen.busy:
            with busy_core():
                times = measured(calls, counts, chosen.repeats)
            found[f"{size}, beside a busy core"] = figures(times, default)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
