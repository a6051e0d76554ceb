"""What nodes collect in one pass over shares of the data, merged by the fixed tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from specloom import Run, Share, Ticket, TicketSource
from specloom_jobs import MergeTree, make_shares
from specloom_training import processes
from specloom_training.job_format import (
    merge_states,
    read_windowed_batches,
    tickets_with_progress,
)
from specloom_training.node_states import dump_states
from specloom_training.passes import BATCH, FitPass

if TYPE_CHECKING:
    from specloom_statistics import DomainSample


class ShareFit:
    """One pass of fits, share by share.

    Args:
        run: The run; what is before the nodes must be fitted.
        passes: The pass of each node, from 0.
        wave: All nodes that are fitted in the same pass, here or elsewhere.
        sample: Takes pixels of each batch; None for none.
    """

    def __init__(
        self,
        run: Run,
        passes: Mapping[str, int],
        wave: Sequence[str],
        sample: DomainSample | None = None,
    ) -> None:
        self._run = run
        self._passes = passes
        self._nodes: dict[str, Any] = {name: run.graph.nodes[name] for name in passes}
        if sample is not None:
            self._nodes[BATCH] = sample
        self._pass = FitPass(run, list(passes), wave, sample)

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
) -> None:
    """Do a pass of nodes in this process, or in the several that ``torchrun`` started.

    Each process takes every so many-th share, and all merge what all collected by the same tree:
    neither bits nor the order of merges depend on how many they are.
    """
    work = ShareFit(run, passes, wave, sample)
    tree: MergeTree[bytes] = MergeTree(work.merge)
    shares = iter(make_shares(tickets_with_progress(run, split, f"fitting {', '.join(passes)}")))
    together = processes.count()
    while True:
        of_all = list(islice(shares, together))
        if not of_all:
            break
        for share, data in zip(of_all, _collected(work, of_all), strict=False):
            tree.add(share.number, data)
    work.take_in([tree.total()])


def has_several_shares(run: Run, split: str) -> bool:
    """Whether the data of a split are more than one share, which any process can read."""
    source = run.source
    if not isinstance(source, TicketSource):
        return False
    shares = islice(make_shares(source.tickets(split)), 2)
    return len(list(shares)) == 2


def _collected(work: ShareFit, shares: Sequence[Share]) -> list[bytes]:
    """What the nodes collect on shares, of which each process takes one."""
    own = b""
    if processes.rank() < len(shares):
        own = work.do(shares[processes.rank()].tickets)
    return processes.all_gather(own)
