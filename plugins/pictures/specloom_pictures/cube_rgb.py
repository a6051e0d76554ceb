"""The choice of a channel selector: the false-colour image of its top bands, and the weights."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from specloom import Batch, Input, Internal, OnDemand, Output, node
from specloom.torch import TorchNode
from specloom_pictures import ARTIFACTS
from specloom_pictures.example import equal_images
from specloom_pictures.gallery import Gallery, check_count
from specloom_pictures.paint import Picture, classes, paint_classes, stretch, usable
from specloom_pictures.plots import render, weight_figure


def top_three(weights: Tensor, wavelengths: Tensor | None = None) -> Tensor:
    """Return the bands of the three largest weights, the longest wavelength first: int64 (3,).

    Of equal weights the band of the lower number counts as the larger one. Of two bands the
    shorter wavelength stands for green and blue, a single band for all three.

    Args:
        weights: One for each band, (C,).
        wavelengths: In nm, (C,); None where bands are in the order of their wavelengths.
    """
    ranked = weights.nan_to_num(-torch.inf).argsort(descending=True, stable=True)
    top = ranked[:3]
    places = top
    if wavelengths is not None:
        places = wavelengths.to(top.device, non_blocking=True)[top]
    top = top[places.argsort(descending=True, stable=True)]
    return torch.stack([top[0], top[len(top) // 2], top[-1]])


class PlottedWeights(NamedTuple):
    """The weights of the last batch, (C,), their wavelengths and the bands shown, (3,)."""

    weights: Tensor
    wavelengths: Tensor | None
    bands: Tensor


@node
class CubeRGBVisualizer(TorchNode):
    """False-colour images of the three bands with the largest weights, and a plot of the weights.

    The longest of the three wavelengths is shown as red, the shortest as blue, each band from its
    1st to its 99th percentile in the image (128 if it does not vary there). Pixels that are not
    valid or not finite in a band are slate (70, 80, 105).

    The artifacts are ``image_0`` to ``image_<up_to - 1>``, the first images of the stage, and
    ``weights``, a bar for each band over the wavelengths, or over the bands' numbers where there
    are no wavelengths. 4 bytes a pixel of these images are stored on the device until the
    stage ends.

    Args:
        up_to: How many images.

    Raises:
        ConfigError: ``up_to`` is less than 1.
    """

    cube = Input("B H W C", dtype="real", doc="Cubes, of which three bands are shown.")
    weights = Input("C", doc="The weight of each band.")
    wavelengths = Input("C", dtype="real", unit="nm", optional=True, host=True, doc="Band centres.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    artifacts = Output(ARTIFACTS)
    locality = "image"
    stages = ("val", "test")
    up_to: int = 5

    example = Internal[Mapping[str, object]]({})

    def __post_init__(self) -> None:
        self.measure_start("")

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the number of images."""
        check_count(self.label, "up_to", self.up_to)

    @staticmethod
    def example_batch(sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """Return equal images, because it depends on their order which are shown."""
        return equal_images(sizes, {"cube": sizes["C"]}, masks=("valid",))

    def measure_start(self, stage: str) -> None:
        """Forget the images and the weights."""
        self._images = Gallery(self.up_to)
        self._plotted: PlottedWeights | None = None

    def forward(
        self,
        cube: Tensor,
        weights: Tensor,
        wavelengths: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Store what is shown of one batch; the pictures are made when the stage ends."""
        count = self._images.wanted(len(cube))
        if not count:
            return {}
        bands = top_three(weights, wavelengths)
        counted = usable(cube, valid, count)
        levels = stretch(cube[:count].index_select(-1, bands), counted, clip_one_in=100)
        self._images.add(torch.cat([levels, classes(counted)], -1))
        self._plotted = PlottedWeights(weights.detach().clone(), wavelengths, bands)
        return {}

    def measure_end(self) -> Batch:
        """Return the pictures of the first images, which are drawn when they are read."""
        drawings: dict[str, Callable[[], Picture]] = {}
        for number, image in enumerate(self._images.arrays()):
            drawings[f"image_{number}"] = partial(paint_classes, image[..., :3], image[..., 3])
        if self._plotted is not None:
            drawings["weights"] = partial(_plot, self._plotted)
        self.measure_start("")
        return {"artifacts": OnDemand(drawings)}


def _plot(plotted: PlottedWeights) -> Picture:
    wavelengths = None
    if plotted.wavelengths is not None:
        wavelengths = plotted.wavelengths.cpu().numpy()
    weights = plotted.weights.cpu().numpy()
    return render(weight_figure(weights, wavelengths, plotted.bands.cpu().numpy()))
