"""Values of a batch are checked against the ports that they come to or from."""

from collections.abc import Mapping
from typing import Any

from specloom.contract.errors import DataError, NodeError, PortError
from specloom.contract.ports import Port
from specloom.execution.folding import Step
from specloom.graph.graph import Graph

REPORT_NODE = "report this error to the author of the node"


class PortChecks:
    """Checks what nodes take and make.

    Args:
        graph: The graph, for the places in messages.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def check_inputs(
        self,
        step: Step,
        values: Mapping[str, Any],
        sizes: dict[str, int],
    ) -> None:
        """Check the values that a node is called with; the free sizes met are added to ``sizes``.

        Raises:
            PortError: A value does not fit its port.
            DataError: A required value is missing.
        """
        for port, spec in step.node.inputs.items():
            value = values.get(port)
            if value is not None:
                fix = f"correct the values of {_origin(step, port)}"
                self._check_value(step, port, value, spec, sizes, fix)
            elif spec.required:
                raise self._missing_input(step, port, spec)

    def check_outputs(self, step: Step, values: Any, sizes: dict[str, int]) -> None:
        """Check the values that a node made.

        Raises:
            NodeError: They are no mapping, or one that the node must make is missing.
            PortError: A value does not fit its port.
        """
        where = self._graph.where("nodes", step.name)
        read = {port for port, _ in step.outputs}
        if not isinstance(values, Mapping):
            label = self._graph.label(step.name)
            returned = type(values).__name__
            what = f"{label} returned {returned}, not its outputs by name"
            raise NodeError(what, where=where, fix=REPORT_NODE)
        for port, spec in step.node.outputs.items():
            value = values.get(port)
            if value is not None:
                self._check_value(step, port, value, spec, sizes, REPORT_NODE)
            elif step.is_selective and port not in read:
                continue
            elif not spec.optional and not spec.per_stage:
                what = f"{step.name} did not make its output {port!r}"
                raise NodeError(what, where=where, fix=REPORT_NODE)

    def _check_value(
        self,
        step: Step,
        port: str,
        value: Any,
        spec: Port,
        sizes: dict[str, int],
        fix: str,
    ) -> None:
        """Check one value; ``fix`` is for an error that has none of its own."""
        try:
            spec.check(value, step.node, sizes, "")
        except PortError as e:
            what = f"{step.name}.{port} {e.what}"
            where = self._graph.where("nodes", step.name)
            fix = e.fix or fix
            raise PortError(what, where=where, fix=fix) from e

    def _missing_input(self, step: Step, port: str, spec: Port) -> DataError:
        description = spec.doc or spec.axes or ""
        description = description.rstrip(".")
        origin = _origin(step, port)
        what = f"{step.name}.{port} needs a value ({description}), and this batch has none"
        where = self._graph.where("nodes", step.name)
        fix = f"use data that has it ({origin}), or remove {step.name}"
        return DataError(what, where=where, fix=fix)


def _origin(step: Step, port: str) -> str:
    """What messages call the place that an input's values come from."""
    ends = step.incoming.get(port, ["the data"])
    return ", ".join(ends)


def shape_of(value: Any) -> tuple[Any, ...]:
    """What must be the same for two values to pass the same checks."""
    shape = getattr(value, "shape", None)
    dtype = getattr(value, "dtype", None)
    return type(value), shape, dtype
