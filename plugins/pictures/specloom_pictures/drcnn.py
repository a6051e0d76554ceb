"""What a learned reduction to three channels is given, makes of it, and lets a detector find."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import TorchNode
from specloom_pictures import ARTIFACTS
from specloom_pictures.example import alike
from specloom_pictures.gallery import Gallery, check_channels, check_count
from specloom_pictures.paint import as_levels, classes, heat, painted, stretch, usable


@node
class DRCNNTensorBoardViz(TorchNode):
    """The way from a cube to a detector's scores, in pictures of the first images of a stage.

    For each image ``i`` the artifacts are ``hsi_<i>``, three channels of the cube, each from its
    1st to its 99th percentile in the image; ``mixer_<i>``, the mixer's output as the detector gets
    it, 0 black and 1 full (clipped); and, where they are connected, ``truth_<i>``, the anomalies
    in white on black, and ``scores_<i>``, from the lowest score of the image (dark blue) to the
    highest (yellow). Pixels that are not valid or not finite are slate (70, 80, 105). 12 bytes a
    pixel of these images are kept on the device until the stage ends.

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
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
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
        """Equal images, since which ones are shown depends on their order."""
        channels = {"hsi_cube": sizes["C"], "mixer_output": 3, "adaclip_scores": 1}
        return alike(sizes, channels, masks=("ground_truth_mask", "valid"))

    def measure_start(self, stage: str) -> None:
        """Forget the images."""
        names = ("hsi", "mixer", "truth", "scores")
        self._kept = {name: Gallery(self.max_samples) for name in names}
        self._batches = 0

    def forward(
        self,
        hsi_cube: Tensor,
        mixer_output: Tensor,
        ground_truth_mask: Tensor | None = None,
        adaclip_scores: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Keep what is shown of one batch; the pictures come when the stage ends."""
        due = self._batches % self.log_every_n_batches == 0
        self._batches += 1
        if not due or not (some := self._kept["hsi"].room(len(hsi_cube))):
            return {}
        counts = usable(hsi_cube, valid, some)
        bands = [hsi_cube[:some, ..., channel] for channel in self.hsi_channels]
        self._keep("hsi", stretch(torch.stack(bands, -1), counts, cut=100), counts)
        mixed = mixer_output[:some]
        self._keep("mixer", as_levels(mixed), usable(mixed, valid, some))
        if ground_truth_mask is not None:
            self._keep("truth", as_levels(ground_truth_mask[:some]), counts)
        if adaclip_scores is not None:
            scores, counts = adaclip_scores[:some], usable(adaclip_scores, valid, some)
            self._keep("scores", stretch(scores, counts), counts)
        return {}

    def measure_end(self) -> Batch:
        """The pictures of the first images since ``measure_start``, which are then forgotten."""
        kept = {name: gallery.arrays() for name, gallery in self._kept.items()}
        self.measure_start("")
        return {
            "artifacts": {
                f"{name}_{i}": (heat if name == "scores" else painted)(a[..., :-1], a[..., -1])
                for name, arrays in kept.items()
                for i, a in enumerate(arrays)
            }
        }

    def _keep(self, name: str, levels: Tensor, counts: Tensor) -> None:
        self._kept[name].add(torch.cat([levels, classes(counts)], -1))
