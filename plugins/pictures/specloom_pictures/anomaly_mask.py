"""True positives, false positives and false negatives over a grey image."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from specloom import Batch, Input, OnDemand, Output, node
from specloom.torch import TorchNode
from specloom_pictures import ARTIFACTS
from specloom_pictures.example import equal_images
from specloom_pictures.gallery import Gallery, check_channels, check_count
from specloom_pictures.paint import Picture, classes, paint_classes, paint_heat, stretch, usable
from specloom_pictures.plots import legend


@node
class AnomalyMask(TorchNode):
    """True positives, false positives and false negatives over a grey image of one channel.

    True positives are sky blue (86, 180, 233), false positives vermilion (213, 94, 0), false
    negatives yellow (240, 228, 66). Pixels without a label, not finite in a band or of score
    NaN are slate (70, 80, 105). Elsewhere the channel is shown in grey from its 1st to its 99th
    percentile in the image, at 128 if it does not vary.

    The artifacts are ``image_0`` to ``image_<up_to - 1>``, the first images of the stage, and
    ``legend``; with scores connected also ``scores_0`` and so on, from the lowest score of the
    image (dark blue) to the highest (yellow). 2 bytes a pixel of these images (4 with scores) are
    stored on the device until the stage ends.

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
    valid = Input(
        "B H W 1",
        dtype="bool",
        optional=True,
        labelled=True,
        doc="Pixels with a label, that count.",
    )
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
        """Return equal images, because it depends on their order which are shown."""
        channels = {"cube": sizes["C"], "scores": 1}
        return equal_images(sizes, channels, masks=("decisions", "mask", "valid"))

    def measure_start(self, stage: str) -> None:
        """Forget the images."""
        self._images = Gallery(self.up_to)
        self._scores = Gallery(self.up_to)

    def forward(
        self,
        decisions: Tensor,
        mask: Tensor,
        cube: Tensor,
        scores: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Store what is shown of one batch; the pictures are made when the stage ends."""
        count = self._images.wanted(len(cube))
        if not count:
            return {}
        counted = usable(cube, valid, count)
        if scores is not None:
            counted &= ~scores[:count, ..., 0].isnan()
        grey = stretch(cube[:count, ..., self.channel, None], counted, clip_one_in=100)
        kinds = classes(counted, decisions[:count], mask[:count])
        self._images.add(torch.cat([grey, kinds], -1))
        if scores is not None:
            counted = usable(scores, valid, count)
            levels = stretch(scores[:count], counted)
            self._scores.add(torch.cat([levels, classes(counted)], -1))
        return {}

    def measure_end(self) -> Batch:
        """Return the pictures of the first images, which are drawn when they are read."""
        drawings: dict[str, Callable[[], Picture]] = {}
        for number, image in enumerate(self._images.arrays()):
            drawings[f"image_{number}"] = partial(paint_classes, image[..., :1], image[..., 1])
        for number, image in enumerate(self._scores.arrays()):
            drawings[f"scores_{number}"] = partial(paint_heat, image[..., :1], image[..., 1])
        if drawings:
            drawings["legend"] = legend
        self.measure_start("")
        return {"artifacts": OnDemand(drawings)}
