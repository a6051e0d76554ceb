"""The executor that works on shares by Dask."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import Job, Outcome, Parts, Plugins, Share, raise_all
from specloom_dask.fleet_log import logged_into
from specloom_dask.fleet_watch import FleetWatch
from specloom_dask.introductions import Probe, Wanted, paths_in
from specloom_dask.job_session import JobSession
from specloom_dask.places import Place, connected
from specloom_dask.weights_file import paths_of, weights_aside
from specloom_dask.wire import error_of, outcome_of, pack_job

if TYPE_CHECKING:
    from distributed import Client

    from specloom import RunView


class Dask:
    """Works on shares on many workers: on this machine, or those of a cluster.

    Its shares and its tree are those of every other executor, so its results are theirs, bit for
    bit, on the same kind of processor. Workers start with the first job.

    Args:
        on: ``dask`` for new workers on this machine, the address of a scheduler, or a cluster
            file.
        workers: How many workers are started; by default one for each core.
        insecure: Whether an address on another machine may be used without encryption.
        plugins: Where tasks are looked up by name; by default what is installed.

    Raises:
        ConfigError: The place is none, or not encrypted.
    """

    def __init__(
        self,
        on: str = "dask",
        workers: int | None = None,
        *,
        insecure: bool = False,
        plugins: Plugins | None = None,
    ) -> None:
        self.plugins = plugins or Plugins()
        self.place = Place.read(on, workers, insecure=insecure)
        self._open = ExitStack()
        self._client: Client | None = None
        self._watch = FleetWatch()
        self._folder: Path | None = None

    def start(self, run: RunView, folder: Path | None = None) -> None:
        """Connect to workers, or start them, and let observers of a run see how they go on.

        Raises:
            UnavailableError: There is no scheduler, or no worker.
        """
        self._watch.run = run
        self._folder = folder
        self._connected()

    def close(self) -> None:
        """End what was started; a further job starts workers again."""
        self._client = None
        self._open.close()

    def each(self, job: Job, shares: Iterable[Share]) -> Iterator[Outcome]:
        """What comes of each share, in any order; the errors of a share end no other.

        Raises:
            UnavailableError: The scheduler is gone.
        """
        with self._session(job, shares) as (session, rest):
            for share, result in session.results(rest):
                self._warn(result)
                yield outcome_of(share.number, result)

    def total(self, job: Job, shares: Iterable[Share]) -> bytes:
        """What comes of all shares, merged by the fixed tree.

        Raises:
            SpecloomError: A share failed; no further share is started.
            ValueError: There is no share.
        """
        return self._total(job, shares)

    def resume_total(self, job: Job, shares: Iterable[Share], parts: Parts) -> bytes:
        """As ``total``, of these shares and of the subtrees that are stored already.

        Raises:
            SpecloomError: A share failed; no further share is started.
            ValueError: There is no share.
        """
        return self._total(job, shares, parts)

    def _total(self, job: Job, shares: Iterable[Share], parts: Parts | None = None) -> bytes:
        with self._session(job, shares) as (session, rest):
            result = session.total(rest, self._warn, parts)
        raise_all([error_of(one) for one in result["errors"]])
        data: bytes = result["data"]
        return data

    @contextmanager
    def _session(
        self, job: Job, shares: Iterable[Share]
    ) -> Iterator[tuple[JobSession, Iterable[Share]]]:
        """A job on the workers, which have what it needs, and the shares again."""
        rest = iter(shares)
        first = list(islice(rest, 1))
        client = self._connected()
        probe = Probe(self._folder)
        seen = [*probe.paths(), *paths_in(chain(*(share.tickets for share in first)))]
        try:
            with weights_aside(pack_job(job, self.plugins), self._folder) as packed:
                seen += paths_of(packed)
                wanted = Wanted(job.plugins, seen, self.place.file.ship_plugins)
                session = JobSession(client, packed, self._watch, wanted)
                yield session, chain(first, rest)
                self._record(session)
        finally:
            probe.remove()

    def _record(self, session: JobSession) -> None:
        """Note in the record of the run where it ran, and on which kinds of processor."""
        if self._watch.run is not None:
            about = {"on": self.place.on, "lost": self._watch.lost, **session.about()}
            self._watch.run.record["fleet"] = about

    def _connected(self) -> Client:
        if self._client is None:
            self._open.enter_context(logged_into(self._folder))
            fleet = self._open.enter_context(connected(self.place))
            self._client = fleet.client
            self._watch.start(fleet)
        return self._client

    def _warn(self, result: Mapping[str, Any]) -> None:
        """Show the warnings of a worker, each text once."""
        for text in self._watch.new_warnings(result["warnings"]):
            warnings.warn(text, stacklevel=4)
