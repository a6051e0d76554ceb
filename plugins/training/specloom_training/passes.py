"""One pass of fits over batches: what nodes read, and how they are updated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from torch import Tensor

from specloom import Batch, ConfigError, Graph, ImageWindows, Run
from specloom_training.windows import (
    PixelParts,
    SampledPixels,
    WholeImage,
    is_map,
    local_nodes,
    sample_window,
)

if TYPE_CHECKING:
    from specloom_statistics import DomainSample
    from specloom_training.shared_moments import SharedMoments

BATCH = "batch"
"""What the sample of the batches is called among the nodes, none of which has this name."""


class FitPass:
    """The graph compiled for the fits of some nodes.

    Args:
        run: The run.
        names: The nodes to fit; all that they read must be fitted.
        wave: All nodes that are fitted in the same pass, here or elsewhere. What is folded into
            its readers depends on them, and so do the last digits.
        sample: Takes pixels of each batch, for what the pipeline stores of its data; None where
            an earlier pass has taken them.
        shared: Moments to collect for several nodes.
    """

    def __init__(
        self,
        run: Run,
        names: Sequence[str],
        wave: Sequence[str],
        sample: DomainSample | None = None,
        shared: Sequence[SharedMoments] = (),
    ) -> None:
        self.names = list(names)
        self._sample = sample
        self._shared = shared
        self._run = run
        graph = run.graph
        self._inputs = {name: graph.incoming(name, fit=True) for name in names}
        ends = [end for name in wave for end in fit_ends(graph, name)]
        for moments in shared:
            ends += moments.pixels.ends()
        affine = set(ends) - _read_otherwise(graph, wave, "affine_input")
        linear = set(ends) - _read_otherwise(graph, wave, "linear_input")
        self._plan = run.plan("train", ends, lazy=affine, lazy_linear=linear)
        self._maps = {name: _maps_of(graph.nodes[name]) for name in names}
        steps = [step.name for step in self._plan.steps]
        self._is_local = local_nodes(graph, steps) == set(steps)

    def update(self, batches: Iterable[Batch | ImageWindows]) -> None:
        """Update the nodes with batches on the device, or with the windows of large images."""
        with self._run.inference():
            for batch in batches:
                if not isinstance(batch, ImageWindows):
                    self._update_with(batch)
                elif self._is_local:
                    self._update_by_windows(batch)
                else:
                    self._update_with(batch.whole())

    def _update_with(self, batch: Batch) -> None:
        """Update the nodes with a whole batch."""
        values = self._plan(batch)
        for name, ports in self._inputs.items():
            arguments = _arguments(self._run.graph, name, ports, values)
            if not getattr(self._run.graph.nodes[name], "fits_pixels", False):
                self._fit(name, [arguments])
                continue
            parts = PixelParts(self._maps[name])
            self._fit(name, parts.add(arguments))
            self._fit(name, parts.rest())
        for moments in self._shared:
            pixels = PixelParts(moments.ports)
            moments.add(pixels.add(moments.arguments(values)))
            moments.add(pixels.rest())
        # Last, as its few pixels are still in the cache then.
        self._take_sample(batch)

    def _update_by_windows(self, image: ImageWindows) -> None:
        """Update the nodes with the windows of an image."""
        graph = self._run.graph
        sampled = SampledPixels(image.height, image.width)
        collected: dict[str, PixelParts | WholeImage] = {}
        for name in self.names:
            if getattr(graph.nodes[name], "fits_pixels", False):
                collected[name] = PixelParts(self._maps[name])
            else:
                collected[name] = WholeImage(self._maps[name], image.height)
        shared = [(moments, PixelParts(moments.ports)) for moments in self._shared]
        for rows, window in image:
            sample_window(sampled, rows, window)
            values = self._plan(window)
            for name, ports in self._inputs.items():
                arguments = _arguments(graph, name, ports, values)
                self._fit(name, collected[name].add(arguments, rows))
            for moments, pixels in shared:
                moments.add(pixels.add(moments.arguments(values), rows))
        for name in self.names:
            self._fit(name, collected[name].rest())
        for moments, pixels in shared:
            moments.add(pixels.rest())
        if self._sample is not None and sampled.pixels is not None:
            self._sample.add_image(image.height * image.width, sampled.pixels, sampled.valid)

    def _fit(self, name: str, parts: Iterable[Mapping[str, Any]]) -> None:
        for part in parts:
            self._run.graph.nodes[name].fit_update(**part)

    def _take_sample(self, batch: Batch) -> None:
        cube = batch.get("cube")
        if self._sample is None or not isinstance(cube, Tensor) or cube.dim() != 4:
            return
        self._sample.fit_update(cube, batch.get("valid"))


def _maps_of(node: Any) -> set[str]:
    """The inputs of a node that have a value for each pixel."""
    return {port for port, spec in node.inputs.items() if is_map(spec)}


def fit_ends(graph: Graph, name: str) -> list[str]:
    """What the fit of a node reads, as ``node.port``."""
    return list(chain.from_iterable(graph.incoming(name, fit=True).values()))


def _read_otherwise(graph: Graph, names: Sequence[str], kind: str) -> set[str]:
    """What is read by other ports than those that ``affine_input`` or ``linear_input`` names."""
    found: set[str] = set()
    for name in names:
        lazy_input = getattr(graph.nodes[name], kind, None)
        for port, ends in graph.incoming(name, fit=True).items():
            if port != lazy_input:
                found.update(ends)
    return found


def _arguments(
    graph: Graph, name: str, ports: Mapping[str, list[str]], values: Batch
) -> dict[str, Any]:
    """What ``fit_update`` of a node is called with."""
    found = {}
    for port, ends in ports.items():
        end = ends[0]
        if values[end] is not None:
            found[port] = values[end]
        elif not graph.nodes[name].inputs[port].optional:
            raise ConfigError(
                f"{name} is fitted with {port!r}, which comes from {end}, and a batch has none",
                where=graph.where("nodes", name),
                fix="use training data that has it",
            )
    return found
