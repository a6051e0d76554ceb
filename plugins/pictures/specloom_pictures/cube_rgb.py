"""What a channel selector selects: the false-colour image of its top weights, and the weights."""

from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import Batch, Input, Internal, Output, node
from specloom.torch import TorchNode
from specloom_pictures import ARTIFACTS
from specloom_pictures.example import alike
from specloom_pictures.gallery import Gallery, check_count
from specloom_pictures.paint import classes, painted, stretch, usable
from specloom_pictures.plots import render, weight_figure


def top_three(weights: Tensor, wavelengths: Tensor | None = None) -> Tensor:
    """The bands of the three largest weights, the longest wavelength first: int64 (3,).

    Of equal weights the band of the lower number counts as the larger one. Of two bands the
    shorter wavelength stands for green and blue, a single band for all three.

    Args:
        weights: One for each band, (C,).
        wavelengths: In nm, (C,); None where bands are in the order of their wavelengths.
    """
    known = weights.nan_to_num(-torch.inf)
    top = known.argsort(descending=True, stable=True)[:3]
    places = top if wavelengths is None else wavelengths.to(top.device, non_blocking=True)[top]
    top = top[places.argsort(descending=True, stable=True)]
    return torch.stack([top[0], top[len(top) // 2], top[-1]])


@node
class CubeRGBVisualizer(TorchNode):
    """False-colour images of the three bands with the largest weights, and a plot of the weights.

    The longest of the three wavelengths is shown as red, the shortest as blue, each band from its
    1st to its 99th percentile in the image (128 if it does not vary there). Pixels that are not
    valid or not finite in a band are slate (70, 80, 105).

    The artifacts are ``image_0`` to ``image_<up_to - 1>``, the first images of the stage, and
    ``weights``, a bar for each band over the wavelengths, or over the bands' numbers where there
    are no wavelengths. 4 bytes a pixel of these images are kept on the device until the stage
    ends.

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
        """Equal images, since which ones are shown depends on their order."""
        return alike(sizes, {"cube": sizes["C"]}, masks=("valid",))

    def measure_start(self, stage: str) -> None:
        """Forget the images and the weights."""
        self._images = Gallery(self.up_to)
        self._plotted: tuple[Tensor, Tensor | None, Tensor] | None = None

    def forward(
        self,
        cube: Tensor,
        weights: Tensor,
        wavelengths: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Keep what is shown of one batch; the pictures come when the stage ends."""
        if some := self._images.room(len(cube)):
            bands = top_three(weights, wavelengths)
            counts = usable(cube, valid, some)
            levels = stretch(cube[:some].index_select(-1, bands), counts, cut=100)
            self._images.add(torch.cat([levels, classes(counts)], -1))
            self._plotted = weights.detach().clone(), wavelengths, bands
        return {}

    def measure_end(self) -> Batch:
        """The pictures of the first images since ``measure_start``, which are then forgotten."""
        images, plotted = self._images.arrays(), self._plotted
        self.measure_start("")
        made = {f"image_{i}": painted(a[..., :3], a[..., 3]) for i, a in enumerate(images)}
        if plotted is not None:
            weights, wavelengths, bands = plotted
            grid = None if wavelengths is None else wavelengths.cpu().numpy()
            figure = weight_figure(weights.cpu().numpy(), grid, bands.cpu().numpy())
            made["weights"] = render(figure)
        return {"artifacts": made}
