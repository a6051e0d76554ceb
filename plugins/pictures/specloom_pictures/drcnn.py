"""The input and output of a learned reduction to three channels, and a detector's scores."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_pictures import ARTIFACTS
from specloom_pictures.example import equal_images
from specloom_pictures.gallery import Gallery, check_channels, check_count
from specloom_pictures.paint import as_levels, classes, paint_classes, paint_heat, stretch, usable

PICTURES = ("hsi", "mixer", "truth", "scores")


@node
class DRCNNTensorBoardViz(TorchNode):
    """The way from a cube to a detector's scores, in pictures of the first images of a stage.

    For each image ``i`` the artifacts are ``hsi_<i>``, three channels of the cube, each from its
    1st to its 99th percentile in the image; ``mixer_<i>``, the mixer's output as the detector gets
    it, 0 black and 1 full (clipped); and, where they are connected, ``truth_<i>``, the anomalies
    in white on black, and ``scores_<i>``, from the lowest score of the image (dark blue) to the
    highest (yellow). Pixels that are not valid or not finite are slate (70, 80, 105), and in
    ``truth_<i>`` those without a label. 12 bytes a pixel of these images are stored on the device
    until the stage ends.

    Args:
        hsi_channels: The channels shown as red, green and blue, counted from 0.
        max_samples: How many images.
        log_every_n_batches: Images are taken from the first and then from every n-th batch.

    Raises:
        ConfigError: There are not three channels, the cubes lack one of them, or a number is
            less than 1.
    """

    hsi_cube = Input("B H W C", dtype="real", doc="Cubes, of which three channels are shown.")
    mixer_output = Input("B H W 3", doc="Images of three channels, from 0 to 1.")
    ground_truth_mask = Input(
        "B H W 1", dtype="bool", optional=True, doc="True where an anomaly is."
    )
    adaclip_scores = Input("B H W 1", optional=True, doc="Scores or logits of an anomaly.")
    valid = Input(
        "B H W 1", dtype="bool", optional=True, labelled=False, doc="Pixels that may be used."
    )
    labelled = Input(
        "B H W 1", dtype="bool", optional=True, labelled=True, doc="Pixels whose label is known."
    )
    artifacts = Output(ARTIFACTS)
    locality = "image"
    stages = ("val", "test")
    example = {"hsi_channels": [0, 2, 5]}

    hsi_channels: Sequence[int] = (0, 20, 40)
    max_samples: int = 4
    log_every_n_batches: int = 1

    def __post_init__(self) -> None:
        self.measure_start("")

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the channels against the bands of the cubes."""
        if len(self.hsi_channels) != 3:
            what = f"{self.label} shows {len(self.hsi_channels)} hsi_channels as red, green, blue"
            raise ConfigError(what, fix="give three channels")
        check_channels(self.label, "channel", [*self.hsi_channels], sizes["C"])
        check_count(self.label, "max_samples", self.max_samples)
        check_count(self.label, "log_every_n_batches", self.log_every_n_batches)

    @staticmethod
    def example_batch(sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """Return equal images, because it depends on their order which are shown."""
        channels = {"hsi_cube": sizes["C"], "mixer_output": 3, "adaclip_scores": 1}
        return equal_images(sizes, channels, masks=("ground_truth_mask", "valid", "labelled"))

    def measure_start(self, stage: str) -> None:
        """Forget the images."""
        self._galleries = {name: Gallery(self.max_samples) for name in PICTURES}
        self._batches = 0

    def forward(
        self,
        hsi_cube: Tensor,
        mixer_output: Tensor,
        ground_truth_mask: Tensor | None = None,
        adaclip_scores: Tensor | None = None,
        valid: Tensor | None = None,
        labelled: Tensor | None = None,
    ) -> Batch:
        """Store what is shown of one batch; the pictures are made when the stage ends."""
        is_logged = self._batches % self.log_every_n_batches == 0
        self._batches += 1
        count = self._galleries["hsi"].wanted(len(hsi_cube))
        if not is_logged or not count:
            return {}
        counted = usable(hsi_cube, valid, count)
        bands = [hsi_cube[:count, ..., channel] for channel in self.hsi_channels]
        self._store("hsi", stretch(torch.stack(bands, -1), counted, clip_one_in=100), counted)
        mixed = mixer_output[:count]
        self._store("mixer", as_levels(mixed), usable(mixed, valid, count))
        if ground_truth_mask is not None:
            known = counted
            if labelled is not None:
                known = counted & labelled[:count, ..., 0]
            self._store("truth", as_levels(ground_truth_mask[:count]), known)
        if adaclip_scores is not None:
            counted = usable(adaclip_scores, valid, count)
            self._store("scores", stretch(adaclip_scores[:count], counted), counted)
        return {}

    def _store(self, name: str, levels: Tensor, counted: Tensor) -> None:
        self._galleries[name].add(torch.cat([levels, classes(counted)], -1))

    def measure_end(self) -> Batch:
        """Return the pictures of the first images since ``measure_start``, and forget them."""
        pictures = {}
        for name, gallery in self._galleries.items():
            paint = paint_heat if name == "scores" else paint_classes
            for number, image in enumerate(gallery.arrays()):
                pictures[f"{name}_{number}"] = paint(image[..., :-1], image[..., -1])
        self.measure_start("")
        return {"artifacts": pictures}
