"""Moments of raw pixels, collected once for the fits of several nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from specloom import Batch, Graph, LazyAffine, Run
from specloom_statistics import FitsByMoments, Moments, RunningVariance, background_pixels

if TYPE_CHECKING:
    from specloom import LazyLinear

MASKS = ("valid", "mask")


class Pixels(NamedTuple):
    """The values, as ``node.port``, that say which pixels moments are of."""

    data: str
    valid: str | None
    mask: str | None

    def ends(self) -> list[str]:
        """All of them."""
        return [end for end in self if end is not None]


class SharedMoments:
    """Moments of some pixels, and the nodes that are fitted by them.

    Args:
        pixels: The pixels.
        names: The nodes, in running order.
        needs_scatter: Whether the variances of the bands do not suffice.
    """

    ports = ("data", *MASKS)

    def __init__(self, pixels: Pixels, names: Sequence[str], *, needs_scatter: bool) -> None:
        self.pixels = pixels
        self.names = list(names)
        self._needs_scatter = needs_scatter
        self._moments: Moments | RunningVariance | None = None
        self._probe: Tensor | None = None

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> SharedMoments:
        """What ``as_json`` describes, with nothing collected."""
        pixels = Pixels(*values["pixels"])
        return SharedMoments(pixels, values["names"], needs_scatter=values["needs_scatter"])

    def as_json(self) -> dict[str, Any]:
        """What is collected, and for which nodes."""
        return {
            "pixels": list(self.pixels),
            "names": self.names,
            "needs_scatter": self._needs_scatter,
        }

    def fit_start(self, pass_: int) -> None:
        """Forget what was collected."""
        self._moments = None
        self._probe = None

    def fit_state(self) -> dict[str, Tensor]:
        """What was collected; empty before the first pixel."""
        if self._moments is None or self._probe is None:
            return {}
        return {"probe": self._probe, **self._moments.state()}

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Add what another one collected."""
        if not state:
            return
        collected = dict(state)
        probe = collected.pop("probe")
        self._collector(probe).merge(collected)

    def _collector(self, pixels: Tensor) -> Moments | RunningVariance:
        """What collects; made for ``pixels`` (..., C) where they are the first ones."""
        if self._moments is None:
            channels = pixels.shape[-1]
            accumulator = Moments if self._needs_scatter else RunningVariance
            self._moments = accumulator(channels, pixels.device)
            self._probe = pixels.new_zeros(1, 1, 1, channels)
        return self._moments

    def arguments(self, values: Batch) -> dict[str, Any]:
        """What ``update`` is called with, by the values that a plan made."""
        found = {}
        for port, end in zip(self.ports, self.pixels, strict=True):
            if end is not None and values[end] is not None:
                found[port] = values[end]
        return found

    def add(self, parts: Iterable[Mapping[str, Any]]) -> None:
        """Add parts of the pixels of a batch."""
        for part in parts:
            self.update(**part)

    def update(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        """Add the pixels of (B, H, W, C) ``data`` that are valid and no anomaly."""
        raw = data if isinstance(data, Tensor) else data.data
        collector = self._collector(raw[:0].to(data.dtype))
        collector.update(data, background_pixels(valid, mask))

    def fit(self, run: Run, name: str) -> bool:
        """Fit a node that all its inputs are ready for; False if no map leads to its input."""
        if self._moments is None or self._probe is None:
            return False
        node: Any = run.graph.nodes[name]
        ports = _other_inputs(run.graph, name)
        data = run.graph.incoming(name, fit=True)[node.moments_input][0]
        plan = run.plan("train", [data, *ports.values()], provided=[self.pixels.data], lazy=[data])
        with run.inference():
            values = plan({self.pixels.data: self._probe})
            found = values[data]
            raw = found.data if isinstance(found, LazyAffine) else found
            if raw is not self._probe:
                return False
            others = {port: values[end] for port, end in ports.items()}
            node.fit_start(0)
            node.fit_moments(self._moments, found, **others)
        node.fit_end()
        return True


def by_label(shared: Sequence[SharedMoments]) -> dict[str, SharedMoments]:
    """Moments by labels that no node has as its name."""
    return {f"moments.{number}": moments for number, moments in enumerate(shared)}


def fitted_names(passes: Iterable[str], shared: Iterable[SharedMoments]) -> list[str]:
    """The nodes that a pass fits, by their own statistics and by shared ones."""
    return [*passes, *(name for moments in shared for name in moments.names)]


def find_shared(
    graph: Graph, passes: Mapping[str, int], unfinished: Collection[str]
) -> list[SharedMoments]:
    """What one pass over the data can collect for several nodes, or for nodes of a later pass.

    Args:
        graph: The graph.
        passes: The nodes that are ready, each with the number of its pass.
        unfinished: These, and the nodes that wait for them, in running order.
    """
    nodes: Mapping[str, Any] = graph.nodes
    fitted = {name for name, number in passes.items() if number + 1 == nodes[name].fit_passes}
    groups: dict[Pixels, list[str]] = {}
    for name in unfinished:
        if nodes[name].fit_passes != 1 or not isinstance(nodes[name], FitsByMoments):
            continue
        needed = graph.ancestors(_fit_ends(graph, name)) & set(unfinished)
        pixels = _raw_pixels(graph, name, unfinished)
        if pixels is not None and needed <= fitted:
            groups.setdefault(pixels, []).append(name)
            fitted.add(name)
    return [
        SharedMoments(pixels, names, needs_scatter=_need_scatter(graph, names))
        for pixels, names in groups.items()
        if len(names) > 1 or names[0] not in passes
    ]


def _need_scatter(graph: Graph, names: Iterable[str]) -> bool:
    nodes: Mapping[str, Any] = graph.nodes
    return any(nodes[name].needs_scatter for name in names)


def _fit_ends(graph: Graph, name: str) -> list[str]:
    return [ends[0] for ends in graph.incoming(name, fit=True).values()]


def _other_inputs(graph: Graph, name: str) -> dict[str, str]:
    """The inputs of a fit besides the pixels and their masks, each with the value of it."""
    node: Any = graph.nodes[name]
    ports = graph.incoming(name, fit=True)
    excluded = {node.moments_input, *MASKS}
    return {port: ends[0] for port, ends in ports.items() if port not in excluded}


def _raw_pixels(graph: Graph, name: str, unfinished: Collection[str]) -> Pixels | None:
    """The pixels whose moments a fit follows from; None if no affine map leads from any to it."""
    node: Any = graph.nodes[name]
    ports = graph.incoming(name, fit=True)
    waits_for = set(unfinished)
    masks = [ports[port][0] if port in ports else None for port in MASKS]
    if graph.ancestors([end for end in masks if end is not None]) & waits_for:
        return None
    end = ports[node.moments_input][0]
    maps: set[str] = set()
    while graph.ancestors([end]) & waits_for:
        producer, _, port = end.partition(".")
        source = _mapped_value(graph, producer, port)
        if source is None:
            return None
        maps.add(producer)
        end = source
    wanted = [ports[node.moments_input][0], *_other_inputs(graph, name).values()]
    if graph.ancestors(wanted, provided=[end]) - maps:
        return None
    return Pixels(end, *masks)


def _mapped_value(graph: Graph, name: str, port: str) -> str | None:
    """The value that a node maps by band to an output; None if it may not be an affine map."""
    node: Any = graph.nodes[name]
    if getattr(node, "affine_output", "") != port:
        return None
    found = None
    for taken, ends in graph.incoming(name).items():
        if not node.inputs[taken].optional:
            if found is not None or len(ends) > 1:
                return None
            found = ends[0]
    return found
