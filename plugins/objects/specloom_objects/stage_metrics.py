"""The base class of metrics that collect rows of each batch over a stage."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import DTypeLike, NDArray

from specloom import Batch, Input, Output, Ported, node
from specloom_metrics import METRICS
from specloom_objects.collected import Collected


@node
class StageMetrics(Ported):
    """Metrics of everything that was collected over a stage, against targets (B, H, W, 1)."""

    targets = Input("B H W 1", dtype="bool", doc="True where an anomaly is.")
    valid = Input(
        "B H W 1",
        dtype="bool",
        optional=True,
        labelled=True,
        doc="Pixels with a label, that count.",
    )
    metrics = Output(METRICS)
    locality = "image"
    array_library = "numpy"
    stages = ("train", "val", "test")
    example: ClassVar[Mapping[str, object]] = {}

    columns: ClassVar[Mapping[str, tuple[DTypeLike, int]]] = {}
    """The element type of each array that is collected, and its columns; 0 for numbers."""

    def __post_init__(self) -> None:
        self.measure_start("")

    def measure_start(self, stage: str) -> None:
        """Forget what was collected."""
        self._stage = stage
        self._collected = Collected(self.columns)

    def collect(self, **rows: Any) -> None:
        """Append copies of rows of each array."""
        self._collected.add(rows)

    def measure_state(self) -> Mapping[str, Any]:
        """What was collected since ``measure_start``."""
        return self._collected.arrays()

    def measure_merge(self, state: Mapping[str, Any]) -> None:
        """Append what another node collected."""
        self._collected.add(state)

    def measure_end(self) -> Batch:
        """The metrics of everything since ``measure_start``, which is then forgotten."""
        collected = self._collected.arrays()
        self.measure_start(self._stage)
        return {"metrics": self.metrics_of(collected)}

    @abstractmethod
    def metrics_of(self, collected: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """The metrics of the arrays of a stage, by name."""
