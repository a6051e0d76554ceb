"""Reed-Xiaoli detection without the strongest principal components of the background."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, LazyAffine, LazyLinear, Output, node
from specloom.torch import buffer
from specloom_rx.scoring import Distance
from specloom_rx.whitening import RANK_TOLERANCE
from specloom_statistics import BackgroundNode, Moments, TensorCache, native_kernels


def subspace_whitening(covariance: Tensor, drop: int) -> tuple[Tensor, int]:
    """A W (C, C) with |x W|^2 the squared distance without the ``drop`` strongest components.

    Components whose variance, over the largest one, is not above 1e-12 are excluded as well.

    Args:
        covariance: S, (C, C), float64.
        drop: How many of the largest eigenvalues are excluded.

    Returns:
        W, and the number of its columns that are not zero.
    """
    values, vectors = torch.linalg.eigh(covariance)
    used = values > RANK_TOLERANCE * values[-1]
    used[len(values) - drop :] = False
    roots = torch.where(used, torch.where(used, values, 1).rsqrt(), 0)
    return vectors * roots, int(used.sum())


@node
class SubspaceRX(BackgroundNode[Moments]):
    """RX without the strongest principal components of the background, which clutter dominates.

    The sum over i > drop of (v_i^T (x - m))^2 / l_i, with the eigenvectors v_i and eigenvalues
    l_i, falling, of the covariance (divided by n - 1) of the background pixels of the fit, and
    their mean m. With ``drop: 0`` it is global RX with the pseudo-inverse. Unlike RX it depends on
    the units of the bands.

    Components whose variance is not above 1e-12 of the largest are excluded; where none is left,
    scores are 0, with a warning. A pixel that is not finite in every band scores NaN and is not
    fitted. Scores are computed in float64.

    Source: A. Schaum, IEEE Aerospace Conference 2004 (SSRX).

    Args:
        drop: How many components are excluded, from 0 to below C.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: ``drop`` is out of range.
        NodeError: The fit saw no usable pixel.
    """

    scores = Output("B H W 1", unit="1", doc="Squared distances without the strongest components.")
    example: ClassVar[Mapping[str, object]] = {"drop": 2, "num_channels": 5}
    linear_input = "data"

    drop: int = 10
    num_channels: int | None = None

    background_mean = buffer()
    whitening = buffer()
    rank = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameter and allocate the statistics."""
        size = sizes["num_channels"]
        if not 0 <= self.drop < size:
            what = f"{self.label}: drop is {self.drop}, but the data have {size} channels"
            raise ConfigError(what, fix=f"set drop to a number from 0 to {size - 1}")
        self.register_buffer("background_mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("whitening", torch.eye(size, dtype=torch.float64))
        self.register_buffer("rank", torch.tensor(size - self.drop))
        self._cached_distance: TensorCache[Distance] = TensorCache()

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self.start_statistics(Moments(len(self.background_mean), self.background_mean.device))

    def fit_end(self) -> None:
        """Compute the components."""
        moments = self.take_background()
        whitening, rank = subspace_whitening(moments.covariance(), self.drop)
        self.background_mean.copy_(moments.mean())
        self.whitening.copy_(whitening)
        self.rank.fill_(rank)
        bands = len(whitening)
        if rank < bands - self.drop:
            text = (
                f"{self.label}: {moments.count} background pixels support {rank} of the "
                f"{bands - self.drop} components behind the {self.drop} that are excluded; the "
                "others are not used. Use more pixels, or drop bands that are combinations of "
                "others"
            )
            warnings.warn(text, UserWarning, stacklevel=2)

    def forward(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Batch:
        """Score (B, H, W, C) ``data``; the scores are (B, H, W, 1)."""
        return {"scores": self._distance(data)(data)}

    def _distance(self, data: Tensor | LazyAffine | LazyLinear) -> Distance:
        def make() -> Distance:
            mean = self.background_mean
            return Distance(data, mean, self.whitening, torch.float64, triangular=False)

        if torch.is_grad_enabled():
            return make()
        kernels = native_kernels(self.background_mean.device)
        sources: list[object] = [kernels, self.background_mean, self.whitening]
        if isinstance(data, LazyAffine | LazyLinear):
            sources += data[1:3]
        return self._cached_distance(make, *sources)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        return f"{int(self.rank)} components of {len(self.whitening)} bands, {self.pixel_summary()}"
