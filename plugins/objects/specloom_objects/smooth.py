"""Scores are averaged with those around them."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from specloom import Batch, ConfigError, Input, Output, Ported, node


def smooth(
    scores: NDArray[Any], counts: NDArray[np.bool_], sigma: float, truncate: float
) -> NDArray[np.float32]:
    """Gaussian means of the scores (H, W) that are finite and count; other scores stay.

    Weights are divided by their sum over what counts within the image (normalised convolution:
    Knutsson and Westin, 1993, CVPR, p. 515-523). Sums are float64.
    """
    usable = counts & np.isfinite(scores)
    values = np.where(usable, scores, 0).astype(np.float64)
    options: dict[str, Any] = {"mode": "constant", "cval": 0.0, "truncate": truncate}
    total = ndimage.gaussian_filter(values, sigma, **options)
    weight = ndimage.gaussian_filter(usable.astype(np.float64), sigma, **options)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=usable)
    smoothed: NDArray[np.float32] = np.where(usable, mean, scores).astype(np.float32)
    return smoothed


@node
class Smooth(Ported):
    """Averages scores (B, H, W, 1) with a Gaussian, over the pixels that are finite and valid.

    Pixels outside the image, those that are not valid and those whose score is not finite have no
    weight. Where a pixel is not valid or not finite its score stays as it is.

    Args:
        sigma: The standard deviation of the Gaussian, in pixels.
        truncate: Its radius, in standard deviations.

    Raises:
        ConfigError: A parameter is not positive.
    """

    scores = Input("B H W 1", doc="Scores or logits of an anomaly.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels that count.")
    smoothed = Output("B H W 1", doc="Scores, averaged with those around them.")
    locality = "halo"
    array_library = "numpy"
    example: ClassVar = {"sigma": 1.0}

    sigma: float = 1.0
    truncate: float = 3.0

    @property
    def halo(self) -> int:
        """The pixels around an output pixel that it depends on: the radius of the Gaussian."""
        return int(self.truncate * self.sigma + 0.5)

    def build(self, sizes: Any) -> None:
        """Check the parameters."""
        for name in ("sigma", "truncate"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise ConfigError(f"{name} is {value}", fix=f"set a {name} over 0")

    def forward(self, scores: Any, valid: Any = None) -> Batch:
        """Smooth the scores of each image."""
        if valid is None:
            valid = np.ones(scores.shape, bool)
        smoothed = np.empty_like(scores)
        for image, values in enumerate(scores[..., 0]):
            smoothed[image, ..., 0] = smooth(
                values, valid[image, ..., 0], self.sigma, self.truncate
            )
        return {"smoothed": smoothed}
