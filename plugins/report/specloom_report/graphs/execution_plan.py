"""The execution plan of a stage: its calls, what they read and free, and what is folded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from specloom import NodeError, Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Call:
    """One call of a plan.

    Args:
        name: The node.
        reads: What it reads, as ``node.port``.
        returns: What it returns that is needed later.
        frees: What is freed after it.
        at_end: Whether it runs when the stage ends.
    """

    name: str
    reads: Sequence[str]
    returns: Sequence[str]
    frees: Sequence[str] = ()
    at_end: bool = False


@dataclass(frozen=True)
class ExecutionPlan:
    """A stage's plan.

    Args:
        calls: In the order in which they are made.
        folded: Nodes that leave their map to the nodes behind them.
        idle: Nodes that do not run in this stage, or that no wanted value needs.
        fitted: Whether the graph is fitted; else ``folded`` and what is freed are not known.
    """

    calls: Sequence[Call]
    folded: Sequence[str]
    idle: Sequence[str]
    fitted: bool


def plan_stage(run: Run, stage: str) -> ExecutionPlan:
    """Return the plan of a stage; of predict for the graph's outputs alone, where it has any."""
    graph = run.graph
    needed = [name for name in graph.order if stage in graph.stages[name]]
    wanted = None
    if stage == "predict" and graph.outputs:
        wanted = list(graph.outputs.values())
        before_wanted = graph.ancestors(wanted, needed)
        needed = [name for name in needed if name in before_wanted]
    idle = [name for name in graph.order if name not in needed]
    try:
        plan = run.plan(stage, wanted, fold=True)
    except NodeError:
        calls = [_unfitted_call(run, name, needed) for name in needed]
        return ExecutionPlan(calls, [], idle, fitted=False)
    calls = []
    folded = []
    for step in plan.steps:
        calls.append(_planned_call(step))
        if step.forward == getattr(step.node, "forward_lazy", None):
            folded.append(step.name)
    for step in plan.end_steps:
        calls.append(_planned_call(step, at_end=True))
    return ExecutionPlan(calls, folded, idle, fitted=True)


def _planned_call(step: Any, *, at_end: bool = False) -> Call:
    returned = [end for _, end in step.outputs]
    return Call(step.name, sorted(step.reads), returned, sorted(step.last_reads), at_end)


def _unfitted_call(run: Run, name: str, needed: Sequence[str]) -> Call:
    """Return a call before any fit: what it reads and returns; what is freed is not known."""
    graph = run.graph
    available = {*needed, "batch"}
    reads = [end for end in _inputs(run, name) if end.partition(".")[0] in available]
    used = set(graph.outputs.values())
    for reader in needed:
        used.update(_inputs(run, reader))
    outputs = [f"{name}.{port}" for port in graph.nodes[name].outputs]
    return Call(name, sorted(set(reads)), [end for end in outputs if end in used])


def _inputs(run: Run, name: str) -> list[str]:
    ends = []
    for sources in run.graph.incoming(name).values():
        ends += sources
    return ends


def as_text(plan: ExecutionPlan, types: Mapping[str, str], stage: str) -> str:
    """Return a plan as lines."""
    lines = [f"stage {stage}: {len(plan.calls)} calls"]
    for number, call in enumerate(plan.calls, start=1):
        lines += _call_lines(number, call, types.get(call.name, ""))
    if plan.folded:
        lines.append(f"folded into the nodes behind them: {', '.join(plan.folded)}")
    elif plan.fitted:
        lines.append("no node is folded")
    else:
        lines.append("folding is not known before the fit: use the pipeline.yaml of a run")
    if plan.idle:
        lines.append(f"not run: {', '.join(plan.idle)}")
    return "\n".join(lines)


def _call_lines(number: int, call: Call, type_: str) -> list[str]:
    parts = [f"{number:3}", call.name]
    if type_:
        parts.append(type_)
    if call.at_end:
        parts.append("(when the stage ends)")
    lines = ["  ".join(parts)]
    for verb, ends in (("reads", call.reads), ("returns", call.returns), ("frees", call.frees)):
        if ends:
            lines.append(f"       {verb} {', '.join(ends)}")
    return lines
