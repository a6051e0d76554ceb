"""What detectors share that measure how unlike pixels and targets are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from specloom import node
from specloom_targets.base import TargetDetector

if TYPE_CHECKING:
    from torch import Tensor

    from specloom import Batch, LazyAffine


@node
class DistanceDetector(TargetDetector):
    """A detector of known targets whose measure is lower where a pixel is more alike.

    The measure has an output of its own; ``scores`` is the measure with its sign turned. Write
    ``_score``, which gives the measure.
    """

    measure: ClassVar[str]
    """The output of the measure."""

    def forward(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
        wavelengths: Tensor | None = None,
    ) -> Batch:
        """Compare (B, H, W, C) ``data`` with the targets."""
        distances = self._score(data)
        return {self.measure: distances, **self._outputs(-distances)}
