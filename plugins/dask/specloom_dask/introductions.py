"""Each worker introduces itself before, or while, it works on a job."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import (
    IntegrityError,
    SpecloomError,
    SpecloomWarning,
    open_locked,
    pack_tree,
    process_tag,
    raise_all,
)
from specloom_dask.call import call
from specloom_dask.handshake import PROBE, advice, describe, differences, problems_of
from specloom_dask.task_keys import new_key
from specloom_dask.wire import error_of

if TYPE_CHECKING:
    from distributed import Client, Future

FROZEN = "SPECLOOM_FROZEN"
LOADED = "E-LOADED"
"""In the error of a process that has imported another copy of a plugin."""

SECONDS = 120
"""How long the workers that are there may take to introduce themselves."""

PAUSE = 0.02


@dataclass
class Wanted:
    """What a worker must have for a job.

    Args:
        plugins: The versions of plugins by name.
        paths: The files and folders that it must see.
        ships: Whether plugins that a manifest pins are sent to workers that lack them.
    """

    plugins: Mapping[str, str] = field(default_factory=dict)
    paths: Sequence[str] = ()
    ships: bool = True

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"plugins": dict(self.plugins), "paths": list(self.paths)}


class Introductions:
    """What the workers of a client say of themselves; each says it once for a job.

    Args:
        client: The client.
        packed: The job as plain values.
        job: The job where workers hold it; None where there is none.
        wanted: What they must have.
        raises: Whether a worker that does not fit is an error.
    """

    def __init__(
        self,
        client: Client,
        packed: Mapping[str, Any],
        job: Future[Any] | None,
        wanted: Wanted,
        *,
        raises: bool = True,
    ) -> None:
        self._raises = raises
        self._client = client
        self._packed = packed
        self._job = job
        self._wanted = wanted
        self._restarted: set[str] = set()
        self._shipped: set[tuple[str, str]] = set()
        self._pending: dict[str, Future[Any]] = {}
        #: What each worker said, by its address.
        self.reports: dict[str, Mapping[str, Any]] = {}
        self._own = describe()
        self._warned: set[str] = set()

    def look(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Let new workers introduce themselves, and take in what others answered.

        Raises:
            SpecloomError: A worker does not fit the job.
        """
        for address in workers.keys() - self.reports.keys() - self._pending.keys():
            self._pending[address] = self._request(address)
        for address in list(self._pending):
            if address not in workers:
                del self._pending[address]
            elif self._pending[address].done():
                self._take(address, workers[address], self._pending.pop(address))

    def wait(self, workers: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        """Let all workers that are there introduce themselves, or one that was started again.

        Args:
            workers: Gives the workers as they are now; some may die meanwhile.

        Raises:
            SpecloomError: A worker does not fit the job.
        """
        deadline = time.monotonic() + SECONDS
        self.look(workers())
        while (self._pending or not self.reports) and time.monotonic() < deadline:
            time.sleep(PAUSE)
            self.look(workers())

    def notes(self) -> list[str]:
        """What differs between workers and this process, without stopping a run."""
        return list(differences(list(self.reports.values()), self._own))

    def advice(self) -> list[str]:
        """What makes workers slower than they could be."""
        return list(advice(list(self.reports.values())))

    def repair(self, address: str, result: Mapping[str, Any]) -> bool:
        """Send a worker the plugins that it lacks, or start it again; whether it was done.

        A worker that has imported another copy of a plugin is started again once.

        Raises:
            SpecloomError: Plugins are not sent, or the worker cannot store them.
        """
        if result["missing"]:
            self._ship(address, result["missing"])
            return True
        if not any(LOADED in error["what"] for error in result["errors"]):
            return False
        nanny = self._nanny_of(address)
        if not nanny or nanny in self._restarted:
            return False
        self._restarted.add(nanny)
        self._client.restart_workers([address], timeout=SECONDS)
        return True

    def _nanny_of(self, address: str) -> str:
        """The address of what starts a worker again; empty where nothing does.

        Unlike the worker's own address it stays the same when the worker is started again.
        """
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return str(workers.get(address, {}).get("nanny") or "")

    def _ship(self, address: str, trees: Sequence[str]) -> None:
        for tree in trees:
            if not self._wanted.ships or (address, tree) in self._shipped:
                raise self._not_there(address, tree)
            self._shipped.add((address, tree))
            payload = {"tree": tree, "files": pack_tree(tree)}
            key = new_key("store")
            stored = self._client.submit(
                call, "store", {}, [], payload, key=key, workers=[address], pure=False
            )
            raise_all([error_of(one) for one in stored.result(timeout=SECONDS)["errors"]])

    def _not_there(self, address: str, tree: str) -> IntegrityError:
        pins = json.loads(self._packed["pins"])
        listed = [f"{pin['name']} {pin['version']}" for pin in pins if pin["tree"] == tree]
        what = f"it has not the plugin that the run is pinned to: {', '.join(listed)} ({tree[:15]})"
        fix = "run 'specloom plugins sync' there, or set ship_plugins: true"
        return IntegrityError(what, where=f"worker {address}", fix=fix)

    def _request(self, address: str) -> Future[Any]:
        wanted = json.dumps(self._wanted.as_json())
        job: Any = self._job
        if job is None:
            job = dict(self._packed)
        key = new_key("handshake")
        return self._client.submit(
            call, "handshake", job, [], wanted, key=key, workers=[address], pure=False
        )

    def _take(self, address: str, worker: Mapping[str, Any], future: Future[Any]) -> None:
        """Take in what a worker answered; nothing of one that died meanwhile."""
        if future.status != "finished":
            return
        result = future.result()
        if self.repair(address, result):
            return
        raise_all([error_of(one) for one in result["errors"]])
        report = json.loads(result["data"])
        self.reports[address] = report
        if not self._raises:
            return
        raise_all(list(self.problems_of_worker(str(worker.get("name", address)), report)))
        for note in self._new(self.notes()):
            _warn(note)
        for note in self._new(self.advice()):
            warnings.warn(note, SpecloomWarning, stacklevel=4)

    def _new(self, notes: Iterable[str]) -> list[str]:
        """Those notes that were not shown before."""
        found = [note for note in notes if note not in self._warned]
        self._warned.update(found)
        return found

    def problems_of_worker(self, name: str, report: Mapping[str, Any]) -> Iterator[SpecloomError]:
        """What of a worker does not fit the job, by what it said of itself."""
        for what, fix, exit_code in problems_of(report, self._own, self._wanted.as_json()):
            error = SpecloomError(what, where=f"worker {name}", fix=fix)
            error.exit_code = exit_code  # of this error alone
            yield error


class Probe:
    """A file in the folder of results, which workers that share the folder see.

    Its lock says to other calls into the folder that it is in use.

    Args:
        folder: The folder; nothing is written where it is None or not there.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file: Path | None = None
        self._handle: int | None = None
        if folder is None or not folder.is_dir():
            return
        while self._handle is None:
            self._file = folder.resolve() / f"{PROBE}{process_tag()}"
            self._handle = open_locked(self._file)

    def paths(self) -> list[str]:
        """The file, where there is one."""
        if self._file is None:
            return []
        return [str(self._file)]

    def remove(self) -> None:
        """Remove the file."""
        if self._file is None or self._handle is None:
            return
        self._file.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None


def paths_in(tickets: Iterable[Mapping[str, Any]]) -> list[str]:
    """The file of the first input among tickets, where it is one of this machine."""
    for ticket in tickets:
        for key in ("cube", "input"):
            value = ticket.get(key)
            if isinstance(value, str) and Path(value).exists():
                return [value]
        break
    return []


def _warn(note: str) -> None:
    """Warn of a difference, or refuse it where everything must be as it was recorded.

    Raises:
        IntegrityError: ``--frozen`` was used.
    """
    if os.environ.get(FROZEN):
        raise IntegrityError(note, where="--on", fix="use equal workers, or leave --frozen out")
    warnings.warn(note, SpecloomWarning, stacklevel=4)
