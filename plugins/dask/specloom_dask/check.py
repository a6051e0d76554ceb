"""The workers of a place without a job: a row for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specloom import Job, Plugins
from specloom_dask.fleet_watch import FleetWatch
from specloom_dask.handshake import DISTRIBUTIONS
from specloom_dask.introductions import Introductions, Probe, Wanted
from specloom_dask.places import Place, connected
from specloom_dask.wire import error_values, pack_job


def check_fleet(
    on: str, workers: int | None = None, *, insecure: bool = False, folder: Path | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each worker with what is wrong with it, and what differs between them.

    Args:
        on: What ``--on`` says.
        workers: The number of workers that are started.
        insecure: Whether an address without encryption may be used.
        folder: A folder that every worker must see.

    Raises:
        ConfigError: The place is none.
        UnavailableError: There is no scheduler, or no worker.
    """
    plugins = Plugins()
    versions = {name: plugins.version(name) for name in plugins.modules}
    probe = Probe(folder)
    try:
        with connected(Place.read(on, workers, insecure=insecure)) as fleet:
            watch = FleetWatch()
            watch.start(fleet)
            packed = pack_job(Job(""), plugins)
            wanted = Wanted(versions, probe.paths())
            introductions = Introductions(fleet.client, packed, None, wanted, raises=False)
            introductions.wait(watch.current)
            notes = [*introductions.notes(), *introductions.advice()]
            return _rows(introductions, watch), notes
    finally:
        probe.remove()


def _rows(introductions: Introductions, watch: FleetWatch) -> list[dict[str, Any]]:
    rows = []
    for address, report in introductions.reports.items():
        name = str(watch.workers.get(address, {}).get("name", address))
        row: dict[str, Any] = {"worker": name, "address": address}
        row |= {key: report[key] for key in ("host", "python", "cpu", "memory")}
        row |= {one: report["versions"][one] for one in DISTRIBUTIONS}
        problems = introductions.problems_of_worker(name, report)
        row["problems"] = [error_values(one) for one in problems]
        rows.append(row)
    return sorted(rows, key=lambda row: str(row["worker"]))
