"""Reed-Xiaoli detection with the statistics of each image alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, Input, Output, node
from specloom.torch import TorchNode, usable_pixels
from specloom_rx.scoring import mahalanobis
from specloom_rx.whitening import check_regularisation, eigen_whitening, scale_to_correlation
from specloom_statistics import image_masks, row_blocks, rows_per_block, varying_bands


def image_statistics(pixels: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) in float64 of the usable rows of ``pixels`` (N, C).

    Two passes and no selection of rows, so that a GPU need not be waited for. The mean of no row
    is NaN; the covariance of fewer than two rows is zero.
    """
    channels = pixels.shape[1]
    count = pixels.new_zeros(channels, dtype=torch.float64)
    total = torch.zeros_like(count)
    for rows, usable in _usable_blocks(pixels, valid):
        total += torch.where(usable, rows, 0).sum(0)
        count += usable.sum(0)
    mean = total / count
    scatter = pixels.new_zeros(channels, channels, dtype=torch.float64)
    for rows, usable in _usable_blocks(pixels, valid):
        centred = torch.where(usable, rows - mean, 0)
        scatter += centred.T @ centred
    return mean, (scatter + scatter.T) / (2 * (count - 1).clamp(min=1))


def _usable_blocks(pixels: Tensor, valid: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows of each block in float64, and which are usable, bool (N, 1)."""
    start = 0
    for block, size in row_blocks(pixels, rows_per_block(pixels.device)):
        rows = block.double()
        mask = None if valid is None else valid[start : start + size, None]
        yield rows, usable_pixels(rows, mask)[:, None]
        start += size


def differentiable_scores(
    pixels: Tensor, valid: Tensor | None, eps: float, shrinkage: float
) -> Tensor:
    """The scores (N,) of ``pixels`` (N, C), with gradients through mean and covariance too."""
    rows = pixels.double()
    mask = None if valid is None else valid[:, None]
    usable = usable_pixels(rows.detach(), mask)[:, None]
    count = usable.sum()
    mean = torch.where(usable, rows, 0).sum(0) / count
    centred = torch.where(usable, rows - mean, 0)
    covariance = centred.T @ centred / (count - 1).clamp(min=1)
    bands = varying_bands(mean.detach(), covariance.detach())
    matrix, factor = scale_to_correlation(covariance, bands, eps, shrinkage)
    whitening = eigen_whitening(matrix.detach(), torch.ones_like(factor))
    inverse = whitening @ whitening.mT
    # The derivative of R^-1 is -R^-1 dR R^-1: the second term is zero and carries just that.
    # Differentiating the eigenvectors instead would divide by differences of eigenvalues.
    inverse = inverse - inverse @ (matrix - matrix.detach()) @ inverse
    white = (rows - mean) * factor
    return ((white @ inverse) * white).sum(1)


@node
class RXPerBatch(TorchNode):
    """Scores each pixel by its squared Mahalanobis distance from its own image's background.

    The formula and its regularisation are those of ``RXGlobal``, with mean and covariance of the
    one image that the pixel is in: in spite of the documents' name, the other images of a batch
    play no part. Images are therefore taken one by one, in float64, and a batch equals its images
    bit for bit. Constant bands and directions that the image does not support are excluded
    (pseudo-inverse), without a warning. An image whose usable pixels are all equal scores 0;
    an image without any usable pixel scores NaN.

    Source: I. S. Reed, X. Yu, IEEE Trans. ASSP 38(10), 1990, eq. 13.

    Args:
        eps: The regularisation relative to a band's standard deviation; 0 for none.
        shrinkage: The regularisation relative to the mean variance of the bands.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: ``eps`` or ``shrinkage`` is negative.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    valid = Input("B H W 1", dtype="bool", optional=True, doc="Pixels the statistics may use.")
    scores = Output("B H W 1", unit="1", doc="Squared Mahalanobis distances.")
    locality = "image"
    example: ClassVar[Mapping[str, object]] = {"num_channels": 5}

    eps: float = 1e-6
    shrinkage: float = 0.0
    num_channels: int | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        check_regularisation(self.name or type(self).__name__, self.eps, self.shrinkage)

    def forward(self, data: Tensor, valid: Tensor | None = None) -> Batch:
        """Score (B, H, W, C) ``data``; the scores are (B, H, W, 1)."""
        scores = []
        for image, mask in zip(data, image_masks(valid, len(data)), strict=True):
            scores.append(self._score_image(image, mask))
        return {"scores": torch.stack(scores)}

    def _score_image(self, image: Tensor, valid: Tensor | None) -> Tensor:
        """The scores (H, W, 1) of an ``image`` (H, W, C), with ``valid`` pixels (H*W,)."""
        pixels = image.reshape(-1, image.shape[-1])
        if torch.is_grad_enabled() and image.requires_grad:
            scores = differentiable_scores(pixels, valid, self.eps, self.shrinkage)
            return scores.view(*image.shape[:-1], 1).to(image.dtype)
        mean, covariance = image_statistics(pixels, valid)
        bands = varying_bands(mean, covariance)
        matrix, factor = scale_to_correlation(covariance, bands, self.eps, self.shrinkage)
        whitening = eigen_whitening(matrix, factor)
        return mahalanobis(image[None], mean, whitening, torch.float64)[0]
