"""Large images on the device, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch
    from specloom.contract.runtime import Runtime
    from specloom.contract.tickets import ImageWindows
    from specloom.graph.graph import Graph


class AdoptedWindows:
    """An image whose windows go to the device when they are read.

    Args:
        graph: The graph, whose entry nodes look at each window.
        runtime: The array library.
        image: The image as the source reads it.
        adopt: Puts a whole batch on the device.
    """

    def __init__(
        self,
        graph: Graph,
        runtime: Runtime,
        image: ImageWindows,
        adopt: Callable[[Batch], Batch],
    ) -> None:
        self.height = image.height
        self.width = image.width
        self._graph = graph
        self._runtime = runtime
        self._image = image
        self._adopt = adopt

    def __iter__(self) -> Iterator[tuple[slice, Batch]]:
        """The rows of each window with its batch of one on the device."""
        for rows, batch in self._image:
            for name in self._graph.entries:
                node = self._graph.nodes[name]
                if hasattr(node, "look_at_window"):
                    node.look_at_window(batch, rows, self._image)
            yield rows, self._runtime.adopt(batch, self._graph.batch)

    def whole(self) -> Batch:
        """The whole image on the device, after the entry nodes have looked at it."""
        return self._adopt(self._image.whole())

    def corners(self) -> Any:
        """The pixels in its four corners, (4, C)."""
        return self._image.corners()
