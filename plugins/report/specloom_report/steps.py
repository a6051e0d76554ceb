"""The execution plan of a stage: which calls are made, what they read, and what is folded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from specloom import NodeError, Run

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Call:
    """One call of a plan."""

    name: str
    reads: Sequence[str]
    gives: Sequence[str]
    frees: Sequence[str]
    last: bool


@dataclass(frozen=True)
class Steps:
    """A stage's plan.

    Args:
        calls: In the order in which they are made; ``last`` ones run when the stage ends.
        folded: Affine nodes that leave their map to the linear maps behind them.
        idle: Nodes that this stage does not run, or that nothing wanted needs.
        fitted: Whether folding could be found out.
    """

    calls: Sequence[Call]
    folded: Sequence[str]
    idle: Sequence[str]
    fitted: bool


def steps(run: Run, stage: str) -> Steps:
    """The plan of a stage; of predict for the graph's outputs alone, where it names any."""
    graph = run.graph
    want = [*graph.outputs.values()] if stage == "predict" and graph.outputs else None
    active = [name for name in graph.order if stage in graph.stages[name]]
    needed = [n for n in active if want is None or n in graph.ancestors(want, active)]
    idle = [name for name in graph.order if name not in needed]
    try:
        plan = run.plan(stage, want, fold=True)
    except NodeError:
        return Steps([_unfitted(run, name, needed) for name in needed], [], idle, False)
    made = [(step, False) for step in plan.steps] + [(step, True) for step in plan.end_steps]
    calls = [
        Call(s.name, sorted(s.reads), [end for _, end in s.outputs], sorted(s.last_reads), last)
        for s, last in made
    ]
    folded = [s.name for s in plan.steps if s.forward == getattr(s.node, "forward_lazy", None)]
    return Steps(calls, folded, idle, True)


def _unfitted(run: Run, name: str, needed: Sequence[str]) -> Call:
    """A call before any fit: what it reads and gives; what is freed is not known."""
    graph = run.graph
    feeds = graph.incoming(name).values()
    reads = sorted({e for ends in feeds for e in ends if e.partition(".")[0] in {*needed, "batch"}})
    used = {e for n in needed for ends in graph.incoming(n).values() for e in ends}
    used |= {*graph.outputs.values()}
    gives = [end for port in graph.nodes[name].outputs if (end := f"{name}.{port}") in used]
    return Call(name, reads, gives, [], False)


def text(found: Steps, types: dict[str, str], stage: str) -> str:
    """A plan as lines."""
    lines = [f"stage {stage}: {len(found.calls)} calls"]
    for i, call in enumerate(found.calls, start=1):
        kind = f"  {types[call.name]}" if call.name in types else ""
        lines.append(f"{i:3}  {call.name}{kind}{'  (when the stage ends)' if call.last else ''}")
        ends = {"reads": call.reads, "gives": call.gives, "frees": call.frees}
        lines += [f"       {what} {', '.join(some)}" for what, some in ends.items() if some]
    if found.folded:
        lines.append(f"folded into the linear maps behind them: {', '.join(found.folded)}")
    elif found.fitted:
        lines.append("nothing is folded")
    else:
        lines.append("what is folded shows once it is fitted: give the pipeline.yaml of a run")
    if found.idle:
        lines.append(f"not run: {', '.join(found.idle)}")
    return "\n".join(lines)
