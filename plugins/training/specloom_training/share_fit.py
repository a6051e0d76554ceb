"""What nodes collect in one pass over shares of the data, merged by the fixed tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from specloom import Run, Share, SpecloomError, Ticket, TicketSource
from specloom_jobs import JobParts, MergeTree, make_shares, resumed_tree, total_by_parts
from specloom_training import processes
from specloom_training.fit_job import FinishedPasses, fit_job
from specloom_training.job_format import (
    merge_states,
    read_windowed_batches,
    run_first_item,
    tickets_with_progress,
)
from specloom_training.node_states import dump_states
from specloom_training.passes import BATCH, FitPass, fit_ends
from specloom_training.shared_moments import by_label, fitted_names

if TYPE_CHECKING:
    from specloom_statistics import DomainSample
    from specloom_training.fit_parts import FitParts
    from specloom_training.shared_moments import SharedMoments


class ShareFit:
    """One pass of fits, share by share.

    Args:
        run: The run; what is before the nodes must be fitted.
        passes: The pass of each node, from 0.
        wave: All nodes that are fitted in the same pass, here or elsewhere.
        sample: Takes pixels of each batch; None for none.
        shared: Moments to collect for several nodes.
    """

    def __init__(
        self,
        run: Run,
        passes: Mapping[str, int],
        wave: Sequence[str],
        sample: DomainSample | None = None,
        shared: Sequence[SharedMoments] = (),
    ) -> None:
        self._run = run
        self._passes = passes
        self._nodes: dict[str, Any] = {name: run.graph.nodes[name] for name in passes}
        if sample is not None:
            self._nodes[BATCH] = sample
        self._nodes |= by_label(shared)
        self._pass = FitPass(run, list(passes), wave, sample, shared)

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """What the nodes collect on a share, as safetensors."""
        self._start()
        self._pass.update(read_windowed_batches(self._run, tickets))
        return self._states()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """What the nodes collected on several shares, merged in their order."""
        self.take_in(parts)
        return self._states()

    def take_in(self, parts: Sequence[bytes]) -> None:
        """Let the nodes hold what they collected on several shares."""
        self._start()
        for name, state in merge_states(self._run, self._nodes, parts):
            self._nodes[name].fit_merge(state)

    def _start(self) -> None:
        for name, node in self._nodes.items():
            node.fit_start(self._passes.get(name, 0))

    def _states(self) -> bytes:
        states = {name: node.fit_state() for name, node in self._nodes.items()}
        return dump_states(self._run.runtime, states)


def fit_by_shares(
    run: Run,
    passes: Mapping[str, int],
    wave: Sequence[str],
    split: str,
    sample: DomainSample | None,
    shared: Sequence[SharedMoments],
    resumption: Resumption | None = None,
) -> None:
    """Do a pass of nodes in this process, or in the several that ``torchrun`` started.

    Each process takes every so many-th share, and all merge what all collected by the same tree:
    neither bits nor the order of merges depend on how many they are.

    Args:
        run: The run; what is before the nodes must be fitted.
        passes: The pass of each node, from 0.
        wave: All nodes that are fitted in the same pass, here or elsewhere.
        split: The split to learn from.
        sample: Takes pixels of each batch; None for none.
        shared: Moments to collect for several nodes.
        resumption: Where totals outlast this process; None for nowhere.
    """
    work = ShareFit(run, passes, wave, sample, shared)
    what = f"fitting {', '.join(fitted_names(passes, shared))}"

    def shares() -> Iterator[Share]:
        return make_shares(tickets_with_progress(run, split, what))

    parts = None
    if resumption is not None:
        parts = resumption.parts_of(passes, wave, what, shared, sampled=sample is not None)
    if parts is None:
        tree: MergeTree[bytes] = MergeTree(work.merge)
        total = _total(work, shares(), tree)
    else:
        total = total_by_parts(parts, shares, partial(_resume_total, work, parts))
    work.take_in([total])
    if resumption is not None:
        resumption.finished.add(passes, total)


class Resumption:
    """How the fits of a run in this process go on after it was killed.

    Args:
        run: The run.
        split: The split to learn from.
        fit_parts: The parts of the run.
        finished: The finished passes of nodes that have several.
    """

    def __init__(self, run: Run, split: str, fit_parts: FitParts, finished: FinishedPasses) -> None:
        self._run = run
        self._split = split
        self._parts = fit_parts
        self.finished = finished

    def parts_of(
        self,
        passes: Mapping[str, int],
        wave: Sequence[str],
        what: str,
        shared: Sequence[SharedMoments],
        *,
        sampled: bool,
    ) -> JobParts | None:
        """The parts of a pass, which are those of its job; None where there can be no job."""
        ends = [end for name in passes for end in fit_ends(self._run.graph, name)]
        ends += [end for moments in shared for end in moments.pixels.ends()]
        run_first_item(self._run, "train", ends, self._split)
        finished = self.finished.states
        try:
            job = fit_job(self._run, passes, wave, self._split, finished, shared, sampled=sampled)
        except SpecloomError:
            return None  # a node that no plugin offers
        return self._parts.of_job(job, self._split, what)


def _resume_total(work: ShareFit, parts: JobParts, shares: Iterable[Share]) -> bytes:
    return _total(work, shares, resumed_tree(work.merge, parts))


def _total(work: ShareFit, shares: Iterable[Share], tree: MergeTree[bytes]) -> bytes:
    """What all processes collect on shares, merged."""
    remaining = iter(shares)
    together = processes.count()
    while True:
        of_all = list(islice(remaining, together))
        if not of_all:
            return tree.total()
        for share, data in zip(of_all, _collected(work, of_all), strict=False):
            tree.add(share.number, data)


def can_work_by_shares(run: Run, split: str) -> bool:
    """Whether the data of a split are shares, of which there are several, or several processes."""
    source = run.source
    if not isinstance(source, TicketSource):
        return False
    shares = list(islice(make_shares(source.tickets(split)), 2))
    return len(shares) == 2 or (len(shares) == 1 and processes.count() > 1)


def _collected(work: ShareFit, shares: Sequence[Share]) -> list[bytes]:
    """What the nodes collect on shares, of which each process takes one."""
    own = b""
    if processes.rank() < len(shares):
        own = work.do(shares[processes.rank()].tickets)
    return processes.all_gather(own)
