"""Runs every benchmark and prints one table, or keeps the reports: ``make bench``.

    python benchmarks/table.py [--out FOLDER] [--repeats 5] [--only rx pca] [--quick] [--keep]

With ``--out`` each report is written as ``<name>.json``; ``--read`` makes the table from such a
folder. ``--quick`` takes tiny data, to see that all of them work; ``--keep`` writes the table
between its marks in README.md. Each cell of a peer is how many times our time it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from timing import THREADS

HERE = Path(__file__).parent

#: By script, its arguments.
SCRIPTS = {
    "rx": "--size small medium alike large",
    "min_max": "--size small medium large",
    "pca": "--size small medium large",
    "mrmr": "--size 1M",
    "executor": "--size tiny",
    "chain": "",
    "training": "--size train",
    "startup": "",
    "pipeline": "--size small batch8",
    "threads": "--size medium small --busy",
    "envi": "--size scene",
}
MARKS = ("<!-- figures -->", "<!-- /figures -->")
PEERS = ("cuvis", "spy", "sklearn", "bare")
HEAD = ("workload", "phase", "ours, ms", "cuvis-ai", "SPy", "scikit-learn", "fraction")


def report(name: str, repeats: int, quick: bool) -> dict[str, Any]:
    """What a script prints."""
    arguments = SCRIPTS[name].split()
    if quick:
        special = {"startup": ["--batches", "2"], "chain": ["--nodes", "3"]}
        arguments = special.get(name, ["--size", "test"])
    call = [sys.executable, "-W", "ignore", str(HERE / f"{name}.py"), *arguments]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    made = subprocess.run(
        [*call, "--repeats", str(repeats)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    found: dict[str, Any] = json.loads(made.stdout[made.stdout.index("{") :])
    return found


def rows(name: str, found: Mapping[str, Any]) -> Iterator[list[str]]:
    """The lines of the table that a report gives."""
    for what, seconds in found.get("cpu_s", {}).items():
        yield [name, what, f"{1000 * seconds:.0f}", "", "", "", ""]
    for what, us in found.get("us", {}).items():
        yield [name, f"{what}, microseconds", f"{us:.4g}", "", "", "", ""]
    for what, by_count in found.get("memory_mib", {}).items():
        each = ", ".join(f"{mib:.0f} ({count})" for count, mib in by_count.items())
        yield [name, f"memory of {what}, MiB above start (batches)", each, "", "", "", ""]
    for size, phases in found.get("sizes_by_threads", {}).items():
        for phase, row in phases.items():
            yield [f"{name} {size}", phase, by_threads(row), "", "", "", ""]
    for size, one in found.get("sizes", {}).items():
        for phase, sides in one["phases"].items():
            ours = sides["ours"]
            times = f"{ours['median_ms']:.4g} ({ours['min_ms']:.4g})"
            each = [
                f"{sides[peer]['ratio']:.2f}x" if "ratio" in sides.get(peer, {}) else ""
                for peer in PEERS[:3]
            ]
            parts = ", ".join(f"{value:.2f} {rate}" for rate, value in sides["fraction"].items())
            label = f"{size}: {one['pixels']} x {one['bands']}"
            yield [f"{name} {label}", phase, times, *each, parts]


def by_threads(row: Mapping[str, float]) -> str:
    """Times by the number of threads, the gain over one, and the default over the best."""
    times = []
    for what, value in row.items():
        count, _, kind = what.partition(", ")
        if kind == "ms":
            gain = "" if count == "1" else f", {row[f'{count}, gain']:g}x"
            times.append(f"{value:.4g} ({count}{gain})")
    return f"{', '.join(times)}; default {row['over_best']:g} of the best"


def table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """All reports as one Markdown table, and where they were made."""
    lines = [HEAD, ["---"] * len(HEAD)]
    for name, found in reports.items():
        lines += [*rows(name, found)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    first = next(iter(reports.values()))
    machine, versions = first["machine"], first["versions"]
    rates = next((one["rates"] for one in reports.values() if "rates" in one), {})
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    speeds = ", ".join(f"{name} {rate}" for name, rate in rates.items())
    return (
        f"{text}\n\n{first['date']}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['system']}; {first['threads']} thread. {listed}. "
        f"Rates in 1e9 a second: {speeds}.\n"
    )


def main() -> None:
    """Run what is asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    reports: dict[str, Any] = {}
    for name in options.only:
        if options.read:
            file = options.read / f"{name}.json"
            if file.exists():
                reports[name] = json.loads(file.read_text("utf-8"))
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        reports[name] = report(name, options.repeats, options.quick)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{name}.json").write_text(json.dumps(reports[name], indent=2) + "\n")
    made = table(reports)
    print(made)
    if options.keep:
        readme = HERE / "README.md"
        before, _, rest = readme.read_text("utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        readme.write_text(f"{before}{MARKS[0]}\n\n{made}\n{MARKS[1]}{after}", "utf-8")


if __name__ == "__main__":
    main()
