"""From anomaly scores to logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Output, node
from specloom.torch import StatisticalNode, buffer
from specloom_rx.kept import Kept


def merged(a: Tensor, b: Tensor) -> Tensor:
    """(count, mean, sum of squared deviations) of two samples together.

    Source: T. Chan, G. Golub, R. LeVeque, The American Statistician 37(3), 1983, eq. 2.1.
    """
    count = a[0] + b[0]
    gap = b[1] - a[1]
    share = b[0] / count.clamp(min=1)
    return torch.stack([count, a[1] + gap * share, a[2] + b[2] + gap**2 * a[0] * share])


@node
class ScoreToLogit(StatisticalNode):
    """Turns scores into logits: scale * z + bias, with z = (score - (mean + 2 std)) / std.

    Mean and std (divided by n - 1) of the scores are learned in the statistical phase, so that
    with the default scale and bias a logit of 0 lies two standard deviations above the mean.
    Where all scores were equal, z = score - mean. ``scale`` and ``bias`` are parameters while the
    node is unfrozen; a fit does not change them. A NaN score gives a NaN logit.

    Args:
        init_scale: The first value of ``scale``.
        init_bias: The first value of ``bias``.
        calibrate: Learn mean and std; else z = score, and nothing is fitted.

    Raises:
        ConfigError: ``init_scale`` or ``init_bias`` is not finite.
        NodeError: The fit saw no usable score.
    """

    scores = Input("B H W 1", doc="Anomaly scores of any range.")
    valid = Input(
        "B H W 1", dtype="bool", optional=True, for_fit=True, doc="Pixels that the fit may use."
    )
    logits = Output("B H W 1", unit="1", doc="Logits of being anomalous.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {}
    trainable = ("scale", "bias")

    init_scale: float = 1.0
    init_bias: float = 0.0
    calibrate: bool = True

    scale = buffer()
    bias = buffer()
    score_mean = buffer()
    score_std = buffer()
    _sums = buffer()

    def __post_init__(self) -> None:
        self._kept: Kept[tuple[Tensor, Tensor]] = Kept()

    @property
    def fit_passes(self) -> int:  # type: ignore[override]  # nobody writes it
        """One pass over the scores, or none where nothing is to be learned."""
        return 1 if self.calibrate else 0

    def require_fitted(self) -> None:
        """Raise NodeError unless there is nothing to fit, or it was fitted."""
        if self.calibrate:
            super().require_fitted()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate scale, bias and statistics."""
        for name in ("init_scale", "init_bias"):
            if not math.isfinite(value := getattr(self, name)):
                raise ConfigError(f"{self.label}: {name} is {value}", fix="give a finite number")
        self.register_buffer("scale", torch.tensor(self.init_scale, dtype=torch.float32))
        self.register_buffer("bias", torch.tensor(self.init_bias, dtype=torch.float32))
        if self.calibrate:
            self.register_buffer("score_mean", torch.tensor(0.0, dtype=torch.float64))
            self.register_buffer("score_std", torch.tensor(1.0, dtype=torch.float64))

    def fit_start(self, pass_: int) -> None:
        """Forget earlier fits."""
        self.fitted = False
        self._sums = torch.zeros(3, dtype=torch.float64, device=self.scale.device)

    def fit_update(self, scores: Tensor, valid: Tensor | None = None) -> None:
        """Take in the usable scores, (B, H, W, 1)."""
        keep = scores.isfinite() if valid is None else scores.isfinite() & valid
        values = scores.detach()[keep].double()
        if len(values):
            mean = values.mean()
            count = torch.full_like(mean, len(values))
            self._sums = merged(
                self._sums, torch.stack([count, mean, (values - mean).square().sum()])
            )

    def fit_state(self) -> Mapping[str, Tensor]:
        """Count, mean and sum of squared deviations so far."""
        return {"sums": self._sums}

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in what another process gathered."""
        self._sums = merged(self._sums, state["sums"].to(self._sums.device))

    def fit_end(self) -> None:
        """Set mean and std of the scores."""
        count, mean, squares = self._sums
        del self._sums
        std = (squares / (count - 1).clamp(min=1)).sqrt()
        self.finish_fit(int(count))
        self.score_mean.copy_(mean)
        self.score_std.copy_(std)

    def forward(self, scores: Tensor, valid: Tensor | None = None) -> Batch:
        """Turn (B, H, W, 1) ``scores`` into logits of the same shape."""
        if not self.calibrate:
            return {"logits": self.scale * scores + self.bias}
        center, unit = self._kept(self._standard, self.score_mean, self.score_std)
        z = ((scores.double() - center) / unit).to(scores.dtype)
        return {"logits": self.scale * z + self.bias}

    def _standard(self) -> tuple[Tensor, Tensor]:
        """Which score becomes z = 0, and how far from it z = 1 is."""
        std = self.score_std
        return self.score_mean + 2 * std, torch.where(std > 0, std, 1)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        if not self.calibrate:
            return "nothing to fit"
        mean, std = float(self.score_mean), float(self.score_std)
        return f"scores {mean:.4g} +- {std:.4g}, {self.pixels} pixels"
