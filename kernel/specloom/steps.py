"""The steps of a plan: folded where they may be, and compiled into a straight line of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom.node import Absorbs, Affine, Batch
from specloom.wiring import BATCH

if TYPE_CHECKING:
    from specloom.ports import Port

Forward: TypeAlias = Callable[..., Batch]


@dataclass
class Step:
    """One call: a node's ``forward`` and where its inputs come from."""

    name: str
    node: Any
    forward: Forward
    feeds: dict[str, list[str]]


def lasts(steps: Sequence[Step], want: Iterable[str]) -> list[set[str]]:
    """For each step, the values that nobody reads after it."""
    seen = set(want)
    found: list[set[str]] = []
    for step in reversed(steps):
        read = {end for ends in step.feeds.values() for end in ends}
        found.append(read - seen)
        seen |= read
    return found[::-1]


def folded(steps: list[Step], want: set[str], port: Callable[[str], Port]) -> list[Step]:
    """Steps without the affine nodes that the step behind them can take in."""
    kept = {step.name: step for step in steps}
    taken: set[str] = set()
    for step in reversed(steps):
        node: Any = step.node
        if not isinstance(node, Affine) or len(step.feeds) != 1 or len(step.node.outputs) != 1:
            continue
        end = f"{step.name}.{next(iter(step.node.outputs))}"
        readers = [(s, p) for s in kept.values() for p, ends in s.feeds.items() if end in ends]
        if len(readers) != 1 or end in want or (affine := node.affine()) is None:
            continue
        ((reader, reads),) = readers
        taker: Any = reader.node
        plain = reader.name not in taken  # two affine nodes in a row: only the nearer one
        plain &= not any(getattr(one, "array_library", "") == "numpy" for one in (node, taker))
        if isinstance(taker, Absorbs) and reads == taker.absorbs and plain:
            (source,) = step.feeds.values()
            forward = taker.absorb(*affine)
            if forward is not None and reader.node.inputs[reads].takes_dtype(port(source[0]).dtype):
                reader.forward, reader.feeds = forward, {**reader.feeds, reads: source}
                del kept[step.name]
                taken.add(reader.name)
    return list(kept.values())


def compiled(steps: Sequence[Step], reads: Sequence[str], want: Sequence[str]) -> Forward:
    """The steps as one Python function without loops, look-ups or copies.

    Line ``i + 3`` of its source is step ``i``, which is how a failing step is found.
    """
    slots = {end: f"v{i}" for i, end in enumerate([*reads, *(e for e in want if e not in reads)])}
    space: dict[str, Any] = {f"f{i}": step.forward for i, step in enumerate(steps)}
    loads = [
        f"{slots[e]} = b.get({e.partition('.')[2]!r})" for e in slots if e.startswith(BATCH + ".")
    ]
    lines = ["def run(b):", *([" " + "; ".join(loads)] if loads else [" pass"])]
    for i, (step, done) in enumerate(zip(steps, lasts(steps, want), strict=True)):
        many = {p for p in step.feeds if step.node.inputs[p].many}
        args = ", ".join(
            f"{p}=[v for v in ({', '.join(slots[e] for e in ends)},) if v is not None]"
            if p in many
            else f"{p}={slots[ends[0]]}"
            for p, ends in step.feeds.items()
        )
        made = {p: slots[end] for p in step.node.outputs if (end := f"{step.name}.{p}") in slots}
        line = f" o = f{i}({args})"
        for port, slot in made.items():
            optional = step.node.outputs[port].optional
            line += f"; {slot} = o.get({port!r})" if optional else f"; {slot} = o[{port!r}]"
        lines.append(line + "; o = None" + "".join(f"; {slots[e]} = None" for e in sorted(done)))
    lines.append(" return {" + ", ".join(f"{e!r}: {slots[e]}" for e in want) + "}")
    exec(compile("\n".join(lines), "<plan>", "exec"), space)
    run: Forward = space["run"]
    return run


def failed_step(error: Exception) -> int:
    """The index of the step in which a compiled plan raised ``error``."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != "<plan>":
        trace = trace.tb_next
    return trace.tb_lineno - 3 if trace else 0
