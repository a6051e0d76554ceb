"""Workers on this machine: processes that only this machine reaches."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import dask
from distributed import Client, LocalCluster

LOOPBACK = "127.0.0.1"
ALLOWED_DEATHS = 2
"""A share that was on a worker that died so often, and once more, is given up."""

TRIM_BYTES = 4 * 1024**3
MMAP_BYTES = 1024**3
#: Dask's default hands memory back so eagerly that each large array is a new mapping.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(TRIM_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(MMAP_BYTES),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
#: What Dask remembers and measures for a dashboard, which does not run.
FRUGAL: dict[str, Any] = {
    "distributed.admin.log-length": 100,
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.log-length": 10,
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.diagnostics.computations.max-history": 1,
    "distributed.diagnostics.erred-tasks.max-history": 1,
    # It would take the job away from workers that have nothing to do for a moment.
    "distributed.scheduler.active-memory-manager.start": False,
}
SETTINGS: dict[str, Any] = {
    **FRUGAL,
    "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
    # Results are small, and cubes lie on the disk: nothing needs to be moved out of memory.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.scheduler.worker-ttl": "10 minutes",
}


class LocalFleet(NamedTuple):
    """Workers on this machine.

    Args:
        client: Their client.
        restore: Starts workers again for those that could not; called now and then.
    """

    client: Client
    restore: Callable[[], None]


@contextmanager
def local_cluster(workers: int) -> Iterator[LocalFleet]:
    """New workers on this machine, which end with the context.

    Args:
        workers: How many; each has one thread.
    """
    with dask.config.set(SETTINGS):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            scheduler_port=0,
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": f"{LOOPBACK}:0"},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        try:
            with Client(cluster, set_as_default=False) as client:
                yield LocalFleet(client, partial(cluster.scale, workers))
        finally:
            _end_workers(cluster)
            cluster.close(timeout=15)


def _end_workers(cluster: LocalCluster) -> None:
    """End the processes of workers, which hold nothing that anybody needs any more."""
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        if nanny.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
