"""Where an anomaly detector is right and where it is wrong, over a grey image."""

from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import Batch, Input, Output, node
from specloom.torch import TorchNode
from specloom_pictures import ARTIFACTS
from specloom_pictures.example import alike
from specloom_pictures.gallery import Gallery, check_channels, check_count
from specloom_pictures.paint import classes, heat, painted, stretch, usable
from specloom_pictures.plots import legend


@node
class AnomalyMask(TorchNode):
    """Hits, false alarms and misses (B, H, W, 1) over a grey image of one channel.

    Hits are sky blue (86, 180, 233), false alarms vermilion (213, 94, 0), misses yellow
    (240, 228, 66). Pixels that are not valid, not finite in a band or of score NaN are slate
    (70, 80, 105). Elsewhere the channel is shown in grey from its 1st to its 99th percentile in
    the image, at 128 if it does not vary. Images without anomalies are shown like any others.

    The artifacts are ``image_0`` to ``image_<up_to - 1>``, the first images of the stage, and
    ``legend``; with scores connected also ``scores_0`` and so on, from the lowest score of the
    image (dark blue) to the highest (yellow). 2 bytes a pixel of these images (4 with scores) are
    kept on the device until the stage ends.

    Args:
        channel: The channel shown, counted from 0.
        up_to: How many images; None for every image of the stage.

    Raises:
        ConfigError: The cubes have no such channel, or ``up_to`` is less than 1.
    """

    decisions = Input("B H W 1", dtype="bool", doc="True where an anomaly was decided.")
    mask = Input("B H W 1", dtype="bool", doc="True where an anomaly is.")
    cube = Input("B H W C", dtype="real", doc="Cubes, of which one channel is shown.")
    scores = Input("B H W 1", optional=True, doc="Scores or logits, to be shown as well.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    artifacts = Output(ARTIFACTS)
    locality = "image"
    stages = ("val", "test")
    example = {"channel": 3, "up_to": 5}

    channel: int
    up_to: int | None = None

    def __post_init__(self) -> None:
        self.measure_start("")

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the channel against the bands of the cubes."""
        check_count(self.label, "up_to", self.up_to)
        check_channels(self.label, "channel", [self.channel], sizes["C"])

    @staticmethod
    def example_batch(sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """Equal images, since which ones are shown depends on their order."""
        channels = {"cube": sizes["C"], "scores": 1}
        return alike(sizes, channels, masks=("decisions", "mask", "valid"))

    def measure_start(self, stage: str) -> None:
        """Forget the images."""
        self._images, self._scores = Gallery(self.up_to), Gallery(self.up_to)

    def forward(
        self,
        decisions: Tensor,
        mask: Tensor,
        cube: Tensor,
        scores: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Keep what is shown of one batch; the pictures come when the stage ends."""
        if some := self._images.room(len(cube)):
            counts = usable(cube, valid, some)
            if scores is not None:
                counts &= ~scores[:some, ..., 0].isnan()
            grey = stretch(cube[:some, ..., self.channel, None], counts, cut=100)
            kinds = classes(counts, decisions[:some], mask[:some])
            self._images.add(torch.cat([grey, kinds], -1))
            if scores is not None:
                counts = usable(scores, valid, some)
                levels = stretch(scores[:some], counts)
                self._scores.add(torch.cat([levels, classes(counts)], -1))
        return {}

    def measure_end(self) -> Batch:
        """The pictures of the first images since ``measure_start``, which are then forgotten."""
        images, scores = self._images.arrays(), self._scores.arrays()
        self.measure_start("")
        made = {f"image_{i}": painted(a[..., :1], a[..., 1]) for i, a in enumerate(images)}
        made |= {f"scores_{i}": heat(a[..., :1], a[..., 1]) for i, a in enumerate(scores)}
        return {"artifacts": made | ({"legend": legend()} if images else {})}
