"""Both engines, with kernels in C and without, beside the peers on the same pixels; prints a table.

    python benchmarks/kernels.py [--only rx pca …] [--repeats 5] [--threads 1] [--json]

All sides take turns, in one process; a cell of a peer is the median over the rounds of its time
over ours, first by the kernels and then without. ``fraction`` is what the kernels make of this
machine's rates in the same rounds. See README.md for what is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import partial
from typing import Any, NamedTuple

import scenes
from timing import THREADS, Work, about, figures, interleaved, machine_phases, rates, sides_of

SETTING = "SPECLOOM_NATIVE"
PRODUCT: Mapping[str, Work] = {
    rate: lambda n, channels: 2.0 * n * channels**2 for rate in ("gemm_f64", "gemm_f32")
}
READ: Mapping[str, Work] = {"read": lambda n, channels: 4.0 * n * channels}
PEERS = {"cuvis": "cuvis-ai", "spy": "SPy", "sklearn": "scikit-learn"}


class Case(NamedTuple):
    """One workload at one size."""

    workload: str
    """Its name in the adapters."""
    data: Callable[[], Mapping[str, Any]]
    work: Mapping[str, Mapping[str, Work]]
    """By phase, what is done, by the rate to compare it with."""


CASES = {
    "rx 512 x 512 x 61": Case(
        "rx", partial(scenes.workload, "medium"), {"fit": PRODUCT, "score": PRODUCT}
    ),
    "rx alike 512 x 512 x 61": Case(
        "rx", partial(scenes.workload, "alike"), {"fit": PRODUCT, "score": PRODUCT}
    ),
    "rx 100 x 100 x 61": Case(
        "rx", partial(scenes.workload, "small"), {"fit": PRODUCT, "score": PRODUCT}
    ),
    "rx 1M x 200": Case(
        "rx", partial(scenes.workload, "large"), {"fit": PRODUCT, "score": PRODUCT}
    ),
    "pca 512 x 512 x 61": Case(
        "pca", partial(scenes.workload, "medium"), {"fit": PRODUCT, "project": READ}
    ),
    "mrmr 1M x 61": Case("mrmr", partial(scenes.labelled, 1_000_000, 61), {"score": READ}),
    "min_max 512 x 512 x 61": Case(
        "min_max", partial(scenes.workload, "medium"), {"fit": READ, "apply": READ}
    ),
    "training 8 x 4 x 128 x 128 x 61": Case("training", partial(scenes.workload, "train"), {}),
    "executor 300 x 64 pixels": Case("executor", partial(scenes.workload, "tiny"), {}),
    "test": Case("rx", partial(scenes.workload, "test"), {"fit": PRODUCT, "score": PRODUCT}),
}
PHASES = {"training": ("stat", "epoch"), "executor": ("full_folded",)}
"""Only these phases of a workload; all of the others."""


def by_engine(call: Callable[[], Any], setting: str) -> Callable[[], Any]:
    """The call with an engine chosen."""

    def chosen() -> Any:
        os.environ[SETTING] = setting
        result = call()
        # The seconds that count, where the call leaves them: of an epoch without its start-up.
        chosen.override = getattr(call, "override", None)  # type: ignore[attr-defined]  # read by who times it
        return result

    return chosen


def measure(case: Case, repeats: int, threads: int, peers: list[str]) -> dict[str, Any]:
    """Times and ratios of one case, by engine."""
    data = case.data()
    n = data["n"]
    channels = data["C"]
    amounts = {}
    for phase, each in case.work.items():
        amounts[phase] = {name: amount(n, channels) for name, amount in each.items()}
    sides = dict(sides_of(case.workload, data, peers))
    # The peers and both engines have objects of their own: none finds what another one cached.
    again = sides_of(case.workload, data, [])["ours"]
    wanted = PHASES.get(case.workload, tuple(sides["ours"]))
    chosen: dict[str, Any] = {"native": {}, "pure": {}}
    for phase in wanted:
        chosen["native"][phase] = by_engine(sides["ours"][phase], "1")
        chosen["pure"][phase] = by_engine(again[phase], "0")
    for peer, phases in sides.items():
        if peer != "ours":
            chosen[peer] = {name: phases[name] for name in wanted if name in phases}
    times = interleaved(chosen | {"machine": machine_phases()}, repeats, threads)
    os.environ.pop(SETTING, None)
    found: dict[str, Any] = {"rates": rates(times["machine"])}
    for engine in ("native", "pure"):
        named = {side: phases for side, phases in times.items() if side != engine}
        found[engine] = figures(named | {"ours": times[engine]}, amounts)
    return found


def rows(name: str, found: Mapping[str, Any]) -> list[list[str]]:
    """The lines of the table for one case."""
    lines = []
    for phase, native in found["native"].items():
        pure = found["pure"][phase]
        line = [name, phase]
        for engine in (native, pure):
            line.append(f"{engine['ours']['median_ms']:.4g} ({engine['ours']['min_ms']:.4g})")
        line.append(f"{native['pure']['ratio']:.2f}x")
        for peer in PEERS:
            ratios = [one[peer]["ratio"] for one in (native, pure) if peer in one]
            line.append(" / ".join(f"{ratio:.2f}x" for ratio in ratios))
        fraction = native["fraction"]
        line.append(", ".join(f"{value:.2f} {rate}" for rate, value in fraction.items()))
        lines.append(line)
    return lines


def table(reports: Mapping[str, Mapping[str, Any]], threads: int) -> str:
    """All cases as one Markdown table, and where they were measured."""
    head = ["workload", "phase", "native, ms", "pure, ms", "pure over native"]
    head += [f"{peer}, native / pure" for peer in PEERS.values()]
    lines = [[*head, "fraction, native"], ["---"] * (len(head) + 1)]
    for name, found in reports.items():
        lines += rows(name, found)
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    where = about("kernels", threads)
    machine = where["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    speeds = next(iter(reports.values()))["rates"]
    rate_text = ", ".join(f"{name} {rate}" for name, rate in speeds.items())
    return (
        f"{text}\n\n{where['date']}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['system']}; {threads} threads, {where['clock']} time; kernels: {identity()}. "
        f"{versions}. Rates in 1e9 a second: {rate_text}."
    )


def identity() -> str:
    """The engine that ``native`` stands for."""
    from specloom_native import engine

    found = engine()
    return f"{found.name}, {found.reason}"


def main() -> None:
    """Measure what is named, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[name for name in CASES if name != "test"])
    parser.add_argument("--size", help="test: tiny data, to see that it works")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    threads = str(options.threads)
    wanted = dict.fromkeys((*THREADS, "SPECLOOM_THREADS"), threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        # Libraries that are loaded already have read these: start again.
        os.environ.update(wanted)
        os.execv(sys.executable, sys.orig_argv)
    import torch

    torch.set_num_threads(options.threads)
    names = ["test"] if options.size == "test" else options.only
    reports = {}
    for name, case in CASES.items():
        if name not in names and name.partition(" ")[0] not in names:
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        with redirect_stdout(sys.stderr):  # some peers print
            reports[name] = measure(case, options.repeats, options.threads, options.peers)
    if options.json:
        print(json.dumps(about("kernels", options.threads) | {"cases": reports}, indent=2))
    else:
        print(table(reports, options.threads))


if __name__ == "__main__":
    main()
