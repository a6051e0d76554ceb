"""Reed-Xiaoli detection with the statistics of the pixels around each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyAffine, Output, node
from specloom.torch import TorchNode
from specloom_rx.whitening import check_regularisation
from specloom_rx.windows import Rings, local_scores

LEAST_RING = 2
"""A covariance needs two pixels."""


@node
class LocalRX(TorchNode):
    """Scores each pixel by its squared Mahalanobis distance from the pixels around it.

    (x - m)^T S^-1 (x - m), with mean m and covariance S (divided by n - 1) of the ring between an
    inner and an outer window around the pixel, regularised to S + shrinkage * trace(S)/C * I. An
    object should fit into the inner window. At borders both windows are shifted, so that they
    lie in the image with all their pixels; a window that is larger than the image is the image.

    Bands that are constant in a ring, and directions that it does not support, are excluded
    (pseudo-inverse), without a warning. Pixels that are not finite in every band score NaN and are
    in no ring; nor are those that ``valid`` excludes, which have a score. Computed in float64;
    tiles give the scores of the whole image but for rounding. Scores have no gradient.

    Source: I. S. Reed, X. Yu, IEEE Trans. ASSP 38(10), 1990, eq. 13, in a dual window.

    Args:
        inner: Rows and columns of the inner window, odd.
        outer: Rows and columns of the outer window, odd and larger.
        least: The usable pixels of a ring below which the score is NaN; C + 1 by default.
        shrinkage: The regularisation relative to the mean variance of the bands.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: A window is even or too small, ``least`` is below 2, or ``shrinkage`` is
            negative.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    valid = Input("B H W 1", "bool", optional=True, labelled=False, doc="Pixels for the rings.")
    scores = Output("B H W 1", unit="1", doc="Squared Mahalanobis distances.")
    locality = "halo"
    example: ClassVar[Mapping[str, object]] = {"inner": 1, "outer": 5, "num_channels": 5}
    affine_input = "data"

    inner: int = 5
    outer: int = 21
    least: int | None = None
    shrinkage: float = 1e-3
    num_channels: int | None = None

    @property
    def halo(self) -> int:
        """The pixels around a pixel that its score depends on, at a border of the image."""
        return self.outer - 1

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        for name in ("inner", "outer"):
            size = getattr(self, name)
            if size < 1 or size % 2 == 0:
                what = f"{self.label}: {name} is {size}"
                raise ConfigError(what, fix=f"set {name} to an odd number")
        if self.inner >= self.outer:
            what = f"{self.label}: inner is {self.inner}, but outer is {self.outer}"
            raise ConfigError(what, fix="set inner to a smaller number than outer")
        if self.least is not None and self.least < LEAST_RING:
            what = f"{self.label}: least is {self.least}"
            raise ConfigError(what, fix=f"set least to {LEAST_RING} or more")
        check_regularisation(self.label, 0.0, self.shrinkage)

    @torch.no_grad()
    def forward(self, data: Tensor | LazyAffine, valid: Tensor | None = None) -> Batch:
        """Score (B, H, W, C) ``data``; the scores are (B, H, W, 1)."""
        raw = data.data if isinstance(data, LazyAffine) else data
        least = self.least
        if least is None:
            least = raw.shape[-1] + 1
        rings = Rings(self.inner, self.outer, least, self.shrinkage)
        scores = []
        for number, image in enumerate(raw):
            if isinstance(data, LazyAffine):
                image = image.double() * data.scale + data.offset
            used = None if valid is None else valid[number]
            scores.append(local_scores(image, used, rings))
        return {"scores": torch.stack(scores)[..., None].to(data.dtype)}
