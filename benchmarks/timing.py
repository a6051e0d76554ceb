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


def rates(threads: int = 1) -> dict[str, float]:
    """What this machine gives: products in 1e9 flops a second, memory in 1e9 bytes a second."""
    import torch

    now = clock(threads)

    def best(call: Callable[[], Any]) -> float:
        times = []
        for _ in range(6):
            started = now()
            call()
            times.append(now() - started)
        return min(times)

    found, size = {}, 1024
    for name, kind in (("gemm_f32", torch.float32), ("gemm_f64", torch.float64)):
        a, out = torch.randn(size, size).to(kind), torch.empty(size, size, dtype=kind)
        found[name] = 2 * size**3 / best(lambda a=a, out=out: torch.mm(a, a, out=out)) / 1e9
    source = torch.randn(1 << 25)
    target = torch.empty_like(source)
    found["read"] = source.nbytes / best(source.sum) / 1e9
    found["copy"] = 2 * source.nbytes / best(lambda: target.copy_(source)) / 1e9
    return {name: round(rate, 1) for name, rate in found.items()}


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
    asked = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(asked.threads)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(asked.threads)
    return asked


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
    times: Mapping[str, Mapping[str, Sequence[float]]],
    work: Mapping[str, Mapping[str, float]],
    machine_rates: Mapping[str, float],
) -> dict[str, Any]:
    """For each phase the times of each side, how many times ours a peer takes, and our rates.

    Args:
        times: The seconds by side and phase.
        work: By phase what is done, in flops or bytes, by the name of the rate to compare with.
        machine_rates: What ``rates`` gave.
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
                each = [theirs / own for theirs, own in zip(seconds, ours, strict=True)]
                row[side]["ratio"] = round(statistics.median(each), 2)
        seconds_of_ours = statistics.median(ours)
        row["fraction"] = {
            name: round(amount / seconds_of_ours / 1e9 / machine_rates[name], 2)
            for name, amount in work.get(phase, {}).items()
        }
        found[phase] = row
    return found


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
    asked = options(text, [name for name in data if name != "test"])
    report = about(workload, asked.threads) | {"rates": rates(asked.threads), "sizes": {}}
    for size in asked.size:
        made = data[size]()
        n, channels = made["n"], made["C"]
        amounts = {
            phase: {name: amount(n, channels) for name, amount in each.items()}
            for phase, each in work.items()
        }
        with redirect_stdout(sys.stderr):  # some peers talk
            times = interleaved(sides_of(workload, made, asked.peers), asked.repeats, asked.threads)
        report["sizes"][size] = {"pixels": n, "bands": channels} | {
            "phases": figures(times, amounts, report["rates"])
        }
    print(json.dumps(report, indent=2))
