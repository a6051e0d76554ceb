"""Evaluations by jobs: the metrics of one stage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from specloom import Executor, Job, MergeableMetric, Run, SpecloomError
from specloom_jobs import make_shares
from specloom_training.job_format import (
    make_job,
    no_jobs_because,
    run_first_item,
    tickets_with_progress,
)
from specloom_training.job_notes import note_work_in_process
from specloom_training.node_states import load_states
from specloom_training.passes import BATCH

if TYPE_CHECKING:
    from specloom_training.domain import DomainWatch

TASK = "training.Measure"


def measure_job(run: Run, metrics: Sequence[str], stage: str, *, compared: bool = False) -> Job:
    """The job that measures a stage.

    Args:
        run: The run, whose nodes are fitted.
        metrics: The mergeable metric nodes.
        stage: The stage, which is also the split.
        compared: Whether the shares compare each cube with those of the fit too.

    Raises:
        ConfigError: A node or the source is offered by no plugin.
    """
    arguments: dict[str, Any] = {"metrics": list(metrics), "stage": stage}
    if compared:
        arguments["compared"] = True
    return make_job(run, TASK, arguments)


def measure_by_job(
    run: Run,
    executor: Executor,
    metrics: Sequence[str],
    losses: Sequence[str],
    stage: str,
    watch: DomainWatch | None = None,
) -> bool:
    """Let the executor measure a stage, and take the total into the metric nodes.

    Args:
        run: The run, whose nodes are fitted.
        executor: Who works on the shares.
        metrics: The metric nodes of the stage, which have started.
        losses: The loss nodes that are measured with them.
        stage: The stage, which is also the split.
        watch: Takes the comparison of each cube with those of the fit; None for none.

    Returns:
        Whether it was done; where no job can, there is a note and nothing has changed.

    Raises:
        SpecloomError: A share failed.
    """
    why = _no_job_because(run, metrics, losses, stage)
    if why:
        note_work_in_process(run, f"{stage!r} is evaluated in this process: {why}")
        return False
    ends = [end for name in metrics for end in chain(*run.graph.incoming(name).values())]
    run_first_item(run, stage, ends, stage)
    job = measure_job(run, metrics, stage, compared=watch is not None)
    tickets = tickets_with_progress(run, stage, f"evaluating {stage}")
    total = executor.total(job, make_shares(tickets))
    nodes: dict[str, Any] = {name: run.graph.nodes[name] for name in metrics}
    if watch is not None:
        nodes[BATCH] = watch
    for name, state in load_states(run.runtime, total, nodes).items():
        nodes[name].measure_merge(state)
    return True


def _no_job_because(run: Run, metrics: Sequence[str], losses: Sequence[str], stage: str) -> str:
    """Why no job can measure a stage; empty where one can."""
    why = no_jobs_because(run, stage)
    if why:
        return why
    if losses:
        return f"{losses[0]} is a loss, and losses are not merged"
    for name in metrics:
        if not isinstance(run.graph.nodes[name], MergeableMetric):
            return f"what {name} measures cannot be merged"
    if not metrics:
        return "there is no metric to merge"
    try:
        measure_job(run, metrics, stage)
    except SpecloomError as error:
        return error.what
    return ""
