"""What all benchmarks share: interleaved timing, this machine's own rates, and the report.

Times are CPU seconds of this process, which hold up where something else runs on the machine; with
more threads than one they are wall seconds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import date
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Phases = Mapping[str, Callable[[], Any]]
Work = Callable[[int, int], float]

#: Who is measured beside ours, where it is installed: what to import, and its version's name.
PEERS = {
    "cuvis": ("cuvis_ai", "cuvis-ai"),
    "spy": ("spectral", "spectral"),
    "sklearn": ("sklearn", "scikit-learn"),
}
#: What the machine's own speed is measured with: the side of a matrix, and bytes; and how much
#: work that is, in flops and in bytes moved.
MATRIX, MEMORY = 1024, 1 << 27
WORK = {"gemm_f32": 2 * MATRIX**3, "gemm_f64": 2 * MATRIX**3, "read": MEMORY, "copy": 2 * MEMORY}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
VERSIONS = ("specloom", "torch", "numpy", "cuvis-ai", "cuvis-ai-core", "spectral", "scikit-learn")


def clock(threads: int) -> Callable[[], float]:
    """What gives the time in seconds."""
    return time.process_time if threads == 1 else time.perf_counter


def interleaved(
    sides: Mapping[str, Phases], repeats: int, threads: int = 1
) -> dict[str, dict[str, list[float]]]:
    """The seconds of each phase of each side, the sides taking turns; a first round is not counted.

    A call may leave the seconds of the part of it that counts as its ``override``.
    """
    now = clock(threads)
    found: dict[str, dict[str, list[float]]] = {
        side: {phase: [] for phase in phases} for side, phases in sides.items()
    }
    for turn in range(repeats + 1):
        for side, phases in sides.items():
            for phase, call in phases.items():
                started = now()
                call()
                seconds = now() - started
                wall_and_cpu = getattr(call, "override", None)
                if wall_and_cpu is not None:
                    seconds = wall_and_cpu[1 if threads == 1 else 0]
                if turn:
                    found[side][phase].append(seconds * getattr(call, "scale", 1.0))
    return found


def machine_phases() -> Phases:
    """What tells how fast this machine is: products of matrices, reading and copying memory."""
    import torch

    side = MATRIX
    matrices = {kind: torch.randn(side, side).to(kind) for kind in (torch.float32, torch.float64)}
    products = {kind: torch.empty_like(one) for kind, one in matrices.items()}
    source = torch.randn(MEMORY // 4)
    target = torch.empty_like(source)

    def product(kind: torch.dtype) -> Callable[[], Any]:
        return lambda: torch.mm(matrices[kind], matrices[kind], out=products[kind])

    return {
        "gemm_f32": product(torch.float32),
        "gemm_f64": product(torch.float64),
        "read": source.sum,
        "copy": lambda: target.copy_(source),
    }


def rates(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """From the times of ``machine_phases``: 1e9 flops or bytes a second, medians."""
    return {
        name: round(WORK[name] / statistics.median(seconds) / 1e9, 1)
        for name, seconds in times.items()
    }


def machine() -> dict[str, Any]:
    """Processor, cores and system; nothing that names the machine."""
    model, info = platform.processor(), Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, ": ").partition(": ")[2] or model
    return {"cpu": model, "cores": os.cpu_count(), "system": f"{sys.platform} {platform.machine()}"}


def versions() -> dict[str, str]:
    """The versions of what is measured, where it is installed."""
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def about(workload: str, threads: int) -> dict[str, Any]:
    """What a report says of where it was made."""
    return {
        "workload": workload,
        "date": date.today().isoformat(),
        "threads": threads,
        "clock": "cpu" if threads == 1 else "wall",
        "machine": machine(),
        "versions": versions(),
    }


def options(text: str | None, sizes: Sequence[str] = ()) -> argparse.Namespace:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    if sizes:
        parser.add_argument("--size", nargs="+", default=list(sizes[:1]), choices=[*sizes, "test"])
    chosen = parser.parse_args()
    threads = str(chosen.threads)
    if any(os.environ.get(name) != threads for name in THREADS):
        # Libraries that are loaded already have read these: begin anew.
        os.environ.update(dict.fromkeys(THREADS, threads))
        os.execv(sys.executable, sys.orig_argv)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(chosen.threads)
    return chosen


def sides_of(workload: str, data: Mapping[str, Any], peers: Sequence[str]) -> dict[str, Phases]:
    """Ours and those peers that are installed and have this workload."""
    found = {"ours": getattr(importlib.import_module("ours_adapter"), workload)(data)}
    for peer in peers:
        if find_spec(PEERS[peer][0]) is not None:
            made = getattr(importlib.import_module(f"peer_{peer}"), workload, None)
            if made is not None:
                found[peer] = made(data)
    return found


def figures(
    times: Mapping[str, Mapping[str, Sequence[float]]], work: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """For each phase the times of each side, how many times ours a peer takes, and our rates.

    Args:
        times: The seconds by side and phase; of the side ``machine`` by the name of the rate.
        work: By phase what is done, in flops or bytes, by the name of the rate to compare with.
    """
    found: dict[str, Any] = {}
    for phase, ours in times["ours"].items():
        row: dict[str, Any] = {}
        for side, phases in times.items():
            if phase not in phases:
                continue
            seconds = phases[phase]
            row[side] = {
                "median_ms": round(1000 * statistics.median(seconds), 3),
                "min_ms": round(1000 * min(seconds), 3),
            }
            if side != "ours":
                row[side]["ratio"] = _ratio(seconds, ours)
        row["fraction"] = {
            name: _ratio([amount / WORK[name] * one for one in times["machine"][name]], ours)
            for name, amount in work.get(phase, {}).items()
        }
        found[phase] = row
    return found


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times ours the others take: the median over the rounds."""
    each = [other / own for other, own in zip(theirs, ours, strict=True)]
    return round(statistics.median(each), 2)


def compare(
    workload: str,
    text: str | None,
    data: Mapping[str, Callable[[], Mapping[str, Any]]],
    work: Mapping[str, Mapping[str, Work]],
) -> None:
    """Measure a workload at the sizes asked for, and print the report as JSON.

    Args:
        workload: Its name in the adapters.
        text: What the script says of itself.
        data: What makes the data of each size, the first one being the default; ``test`` too.
        work: By phase and rate, the flops or bytes as a function of pixels and bands.
    """
    chosen = options(text, [name for name in data if name != "test"])
    report = about(workload, chosen.threads) | {"sizes": {}}
    for size in chosen.size:
        made = data[size]()
        n, channels = made["n"], made["C"]
        amounts = {
            phase: {name: amount(n, channels) for name, amount in each.items()}
            for phase, each in work.items()
        }
        with redirect_stdout(sys.stderr):  # some peers talk
            sides = sides_of(workload, made, chosen.peers) | {"machine": machine_phases()}
            times = interleaved(sides, chosen.repeats, chosen.threads)
        report["rates"] = rates(times["machine"])
        report["sizes"][size] = {"pixels": n, "bands": channels} | {
            "phases": figures(times, amounts)
        }
    print(json.dumps(report, indent=2))
