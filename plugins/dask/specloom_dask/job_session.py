"""One job on the workers: shares in a window, results as they come, and the tree of merges."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from distributed import as_completed
from distributed.scheduler import KilledWorker

from specloom import Parts, Share, UnavailableError, raise_all
from specloom_dask.call import call
from specloom_dask.introductions import Introductions, Wanted
from specloom_dask.stored_subtrees import StoredSubtrees
from specloom_dask.task_keys import new_key
from specloom_dask.wire import error_of
from specloom_jobs import MergeTree

if TYPE_CHECKING:
    from distributed import Client, Future

    from specloom_dask.fleet_watch import FleetWatch

SHARES_PER_WORKER = 2
"""The shares a worker that the scheduler knows at any time; more would fill its memory."""

MOST_REPEATS = 10
"""A share whose result was lost so often, without a worker that died of it, is given up."""


class JobSession:
    """A job that workers hold as the result of a task, and what is made of its shares.

    Args:
        client: The client.
        packed: The job as plain values.
        watch: Looks at the workers meanwhile.
        wanted: What workers must have.
    """

    def __init__(
        self, client: Client, packed: Mapping[str, Any], watch: FleetWatch, wanted: Wanted
    ) -> None:
        self._client = client
        self._watch = watch
        key = f"specloom-job-{packed['key']}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the job is large: it is sent once
            self._job = client.submit(call, "keep", dict(packed), [], None, key=key)
        self._introductions = Introductions(client, packed, self._job, wanted)

    def about(self) -> dict[str, Any]:
        """How many workers introduced themselves, and how many have each kind of processor."""
        reports = self._introductions.reports.values()
        kinds = Counter(report["cpu"] for report in reports)
        return {"workers": len(reports), "cpus": dict(kinds)}

    def results(self, shares: Iterable[Share]) -> Iterator[tuple[Share, Mapping[str, Any]]]:
        """What workers gave for each share, in any order.

        Of several items that killed workers nothing is known of each: they are not done again.

        Raises:
            UnavailableError: The scheduler is gone.
        """
        for one in self._done(shares, self._submit_share, most_tickets=1):
            yield one.share, one.result

    def total(
        self,
        shares: Iterable[Share],
        look_at: Callable[[Mapping[str, Any]], None],
        parts: Parts | None = None,
    ) -> Mapping[str, Any]:
        """The result of all shares, merged by workers in the fixed tree.

        Args:
            shares: The shares.
            look_at: Gets the result of each share without its data.
            parts: The stored subtrees that these shares are not in, and where further ones are
                stored; None for none.

        Returns:
            The result; of the first share that failed, where one does.

        Raises:
            UnavailableError: The scheduler is gone.
            ValueError: There is no share.
        """
        stored = StoredSubtrees(parts)
        tree: MergeTree[Future[Any]] = MergeTree(self._submit_merge, stored.add)
        for subtree in stored.found():
            tree.add_subtree(subtree.level, subtree.number, self._submit_part(subtree.data))
        for one in self._done(shares, self._submit_reported):
            look_at(one.result)
            if one.result["errors"]:
                return one.result
            tree.add(one.share.number, one.futures[0])
            stored.store()
        return self._result_of(tree.total())

    def _submit_part(self, data: bytes) -> Future[Any]:
        """A result that an earlier client stored, as the result of a task."""
        result = {"numbers": [], "data": data, "errors": [], "warnings": []}
        key = new_key("part")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is large: it is sent once
            return self._client.submit(call, "keep", result, [], None, key=key, pure=False)

    def _submit_share(self, share: Share) -> Sequence[Future[Any]]:
        tickets = json.dumps([dict(ticket) for ticket in share.tickets])
        return [self._submit("do", [share.number], tickets)]

    def _submit_reported(self, share: Share) -> Sequence[Future[Any]]:
        """The share, which stays on its worker, and then its result without the data."""
        part = self._submit_share(share)[0]
        return [part, self._submit("report", [share.number], part)]

    def _submit_merge(self, parts: Sequence[Future[Any]]) -> Future[Any]:
        return self._submit("merge", [], list(parts))

    def _submit(self, verb: str, numbers: list[int], payload: Any) -> Future[Any]:
        key = new_key(verb)
        job = self._job
        if verb == "report":
            return self._client.submit(call, verb, {}, numbers, payload, key=key, pure=False)
        return self._client.submit(call, verb, job, numbers, payload, key=key, pure=False)

    def _done(
        self,
        shares: Iterable[Share],
        submit: Callable[[Share], Sequence[Future[Any]]],
        most_tickets: float = math.inf,
    ) -> Iterator[_Done]:
        """Each share with its futures and the result of the last of them, a few at a time.

        Scheduling counts every share that waited on a worker that died. So one that was given up
        is done again while nothing else is: then it is itself what kills.

        Args:
            shares: The shares.
            submit: Submits a share.
            most_tickets: A share with more tickets is not done again.
        """
        self._introductions.wait(self._watch.current)
        suspects: list[Share] = []
        for one in self._pass(shares, submit, self._width):
            if one.killed and len(one.share.tickets) <= most_tickets:
                suspects.append(one.share)
            else:
                yield one
        yield from self._pass(suspects, submit, lambda: 1)

    def _pass(
        self,
        shares: Iterable[Share],
        submit: Callable[[Share], Sequence[Future[Any]]],
        width: Callable[[], int],
    ) -> Iterator[_Done]:
        """Each share once, as many at a time as ``width`` says."""
        window = _Window(self._client, shares, submit)
        try:
            window.fill(width())
            while window.running:
                if self._watch.look(len(window.running)):
                    self._introductions.look(self._watch.workers)
                for future, found in window.done():
                    begun = window.take(future)
                    done = self._as_done(begun, future, found)
                    if done is None:
                        window.begin(begun.share, begun.repeats + 1)
                        continue
                    self._watch.rate.add(len(begun.share.tickets))
                    yield done
                window.fill(width())
        finally:
            window.cancel()

    def _width(self) -> int:
        """How many shares the scheduler knows at once."""
        return SHARES_PER_WORKER * max(1, self._watch.count)

    def _as_done(self, begun: _Begun, future: Future[Any], found: Any) -> _Done | None:
        """What a future gave; None where it was lost, so that the share is to be done again.

        Raises:
            SpecloomError: The scheduler is gone, or a worker cannot begin the job.
        """
        share = begun.share
        if future.status == "finished":
            if found.get("stops") or found.get("missing"):
                if self._introductions.repair(found["address"], found):
                    return None
                raise_all([error_of(one) for one in found["errors"]])
            return _Done(share, begun.futures, found)
        self._require_scheduler()
        if future.status == "error":
            error = found[1] if isinstance(found, tuple) else found
            if isinstance(error, KilledWorker):
                what = _describe_deaths(error)
                return _Done(share, begun.futures, _failed(share, what, 2), killed=True)
            what = f"Dask failed: {type(error).__name__}: {error}"
            return _Done(share, begun.futures, _failed(share, what, 4))
        if begun.repeats < MOST_REPEATS:
            return None
        return _Done(share, begun.futures, _failed(share, "its result was lost repeatedly", 4))

    def _require_scheduler(self) -> None:
        """Raise UnavailableError where the client has lost its scheduler."""
        if self._client.status == "running":
            return
        error = UnavailableError(
            "the scheduler is gone",
            where="--on",
            fix="start it again, and repeat the command with --resume",
        )
        error.is_resumable = True  # of this error alone
        raise error

    def _result_of(self, future: Future[Any]) -> Mapping[str, Any]:
        share = Share(-1, ())
        (one,) = self._done([share], lambda _: [future])
        return one.result


class _Done(NamedTuple):
    """A share that was done, or given up.

    Args:
        share: The share.
        futures: What was submitted for it.
        result: What the last of them gave.
        killed: Whether it was given up because workers died.
    """

    share: Share
    futures: Sequence[Future[Any]]
    result: Mapping[str, Any]
    killed: bool = False


class _Begun(NamedTuple):
    """A share that the scheduler knows.

    Args:
        share: The share.
        futures: What was submitted for it; the result is that of the last one.
        repeats: How often its result was lost.
    """

    share: Share
    futures: Sequence[Future[Any]]
    repeats: int


class _Window:
    """A few shares that the scheduler knows, of many.

    Args:
        client: The client.
        shares: All of them.
        submit: Submits a share.
    """

    def __init__(
        self,
        client: Client,
        shares: Iterable[Share],
        submit: Callable[[Share], Sequence[Future[Any]]],
    ) -> None:
        self._client = client
        self._rest = iter(shares)
        self._submit = submit
        self._completed = as_completed([], loop=client.loop, with_results=True, raise_errors=False)
        #: The shares that are worked on, by the key of their last future.
        self.running: dict[Any, _Begun] = {}

    def fill(self, width: int) -> None:
        """Begin shares until so many are known."""
        while len(self.running) < width:
            share = next(self._rest, None)
            if share is None:
                return
            self.begin(share)

    def begin(self, share: Share, repeats: int = 0) -> None:
        """Submit a share."""
        futures = self._submit(share)
        self.running[futures[-1].key] = _Begun(share, futures, repeats)
        self._completed.add(futures[-1])

    def take(self, future: Future[Any]) -> _Begun:
        """The share of a future that is done, which is no longer worked on."""
        return self.running.pop(future.key)

    def done(self) -> list[tuple[Future[Any], Any]]:
        """The futures that are done, with what they gave, after a moment at most."""
        completed = self._completed
        with completed.thread_condition:
            if completed.queue.empty():
                completed.thread_condition.wait(timeout=0.1)
        found: list[tuple[Future[Any], Any]] = completed.next_batch(block=False)
        return found

    def cancel(self) -> None:
        """Let the scheduler forget the shares that are worked on."""
        futures = [future for begun in self.running.values() for future in begun.futures]
        if futures and self._client.status == "running":
            self._client.cancel(futures)


def _failed(share: Share, what: str, exit_code: int) -> Mapping[str, Any]:
    """The result of a share that no worker could give."""
    error = {
        "what": what,
        "where": "",
        "fix": "give workers more memory, or use smaller tiles",
        "exit_code": exit_code,
    }
    return {"numbers": [share.number], "data": None, "errors": [error], "warnings": []}


def _describe_deaths(error: KilledWorker) -> str:
    deaths = error.allowed_failures + 1
    memory = 0
    metrics = getattr(error.last_worker, "metrics", None)
    if metrics:
        memory = int(metrics.get("memory", 0))
    times = "once" if deaths == 1 else f"{deaths} times"
    what = f"killed its worker {times} (out of memory?)"
    if memory:
        what += f", the last time with {memory / 1e9:.1f} GB"
    return what
