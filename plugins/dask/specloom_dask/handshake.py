"""What a worker says of itself, and what of it does not fit a job."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from specloom_dask.protocol import PROTOCOL
from specloom_statistics import engine_identity

DISTRIBUTIONS = ("specloom", "specloom-dask", "torch", "numpy")
"""The packages whose versions are compared, besides those of plugins."""

PROBE = ".fleet."
"""How the name of the file begins that is written into the folder of results for workers."""

TRIM = "MALLOC_TRIM_THRESHOLD_"
LEAST_TRIM_BYTES = 64 * 1024**2
"""Where memory is handed back for less, each large array is a new mapping."""

STRICT = ("specloom", "specloom-dask")
"""Those of which another version stops the run; another version of the rest is a warning."""


def worker_name() -> str:
    """The name of this worker; of another process, its host and number."""
    with suppress(ImportError, ValueError):
        from distributed import get_worker

        return str(get_worker().name)
    return f"{socket.gethostname()}-{os.getpid()}"


def worker_address() -> str:
    """The address of this worker; empty in another process."""
    with suppress(ImportError, ValueError):
        from distributed import get_worker

        return str(get_worker().address)
    return ""


def describe() -> dict[str, Any]:
    """This process: versions, processor, memory and device, as plain values."""
    versions = {name: _version(name) for name in DISTRIBUTIONS}
    return {
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "versions": versions,
        "cpu": cpu_kind(),
        "kernels": engine_identity(),
        "memory": _memory(),
        "trim": os.environ.get(TRIM, ""),
        "host": socket.gethostname(),
        "process": os.getpid(),
    }


def cpu_kind() -> str:
    """The kind of processor, as far as the last digits of results depend on it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags = set(line.split())
                for name, flag in (("avx512", "avx512f"), ("avx2", "avx2"), ("sse4", "sse4_2")):
                    if flag in flags:
                        return name
    return platform.machine() or "unknown"


def examine(packed: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """This worker, with what it lacks for a job.

    Args:
        packed: The job as plain values.
        wanted: ``plugins`` by name, and ``paths`` that the worker must see.
    """
    found = describe()
    found["absent"] = [path for path in wanted["paths"] if not _is_seen(path)]
    plugins = {}
    for name in wanted["plugins"]:
        module = packed["modules"].get(name, f"specloom_{name}")
        plugins[name] = _version(module.partition(".")[0].replace("_", "-"))
    found["plugins"] = plugins
    return found


def problems_of(
    found: Mapping[str, Any], client: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterator[tuple[str, str, int]]:
    """What stops a run on a worker: what, the fix, and the exit code.

    Args:
        found: What it said of itself.
        client: What this process says of itself.
        wanted: The plugins and paths that the job needs.
    """
    for name in STRICT:
        yours, mine = found["versions"][name], client["versions"][name]
        if yours != mine:
            what = f"it has {name} {yours}, the client has {mine}"
            yield what, f"install {name} {mine} there", 4
    for name, mine in wanted["plugins"].items():
        yours = found["plugins"].get(name, "")
        if yours != mine:
            what = f"it has plugin {name} {yours}, the run needs {mine}"
            if not yours:
                what = f"it has no plugin {name}, the run needs {mine}"
            yield what, f"install version {mine} of it there, or set ship_plugins: true", 3
    for path in found["absent"]:
        what = f"it does not see {_shown(path)}"
        yield what, "use a folder that all machines share", 4


def differences(found: Sequence[Mapping[str, Any]], client: Mapping[str, Any]) -> Iterator[str]:
    """What of workers differs from this process, and may change the last digits."""
    kinds: dict[str, int] = {}
    for one in [client, *found]:
        kinds[one["cpu"]] = kinds.get(one["cpu"], 0) + 1
    if len(kinds) > 1:
        listed = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
        yield f"mixed CPUs: {listed}: results may differ in the last digits from run to run"
    engines = sorted({one["kernels"] for one in [client, *found]})
    if len(engines) > 1:
        listed = ", ".join(engines)
        yield f"workers compute by different kernels: {listed}: last digits may differ"
    for name in DISTRIBUTIONS:
        if name in STRICT:
            continue
        versions = sorted({one["versions"][name] for one in [client, *found]})
        if len(versions) > 1:
            yield f"workers have different versions of {name}: {', '.join(versions)}"
    pythons = sorted({one["python"] for one in [client, *found]})
    if len(pythons) > 1:
        yield f"workers have different versions of Python: {', '.join(pythons)}"


def advice(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What makes workers slower than they could be, without changing results."""
    eager = sorted({one["trim"] for one in found if _is_eager(one["trim"])})
    if eager:
        listed = ", ".join(eager)
        yield (
            f"workers hand back memory after each large array, as Dask sets {TRIM}={listed}: "
            f"start them with {TRIM}=4294967296"
        )


def _is_eager(trim: str) -> bool:
    return trim.isdecimal() and int(trim) < LEAST_TRIM_BYTES


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _memory() -> int:
    """The bytes of this machine's memory; 0 where that is not known."""
    if sys.platform == "linux":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _shown(path: str) -> str:
    """A path; of the file that was written to be looked for, its folder."""
    place = Path(path)
    if place.name.startswith(PROBE):
        return str(place.parent)
    return path


def _is_seen(path: str) -> bool:
    with suppress(OSError):
        return Path(path).exists()
    return False
