"""From anomaly scores to logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyMonotone, Output, node
from specloom.torch import buffer, usable_pixels
from specloom_statistics import (
    SampleMoments,
    StreamingNode,
    TensorCache,
    merge_moments,
    merge_without_waiting,
)


class ScoreStatistics:
    """Count, mean and squared deviations of scores, merged batch by batch in float64.

    Args:
        device: The device of the sums.
    """

    def __init__(self, device: torch.device) -> None:
        zero = torch.zeros((), dtype=torch.float64, device=device)
        self.moments = SampleMoments(0, zero, zero)

    def update(self, scores: Tensor, valid: Tensor | None = None) -> None:
        """Add the finite scores of (B, H, W, 1) that are ``valid``."""
        scores = scores.detach()
        if scores.device.type != "cpu":
            usable = usable_pixels(scores, valid)
            added = _moments_without_waiting(scores[..., 0].double(), usable)
            self.moments = merge_without_waiting(self.moments, added)
            return
        if valid is None:
            values = scores.reshape(-1).double()
            mean = values.mean()
            # A mean is finite only where all scores are; where it overflows, each one is checked.
            if bool(mean.isfinite()):
                self._add(values, mean)
                return
        values = scores[..., 0][usable_pixels(scores, valid)].double()
        if len(values):
            self._add(values, values.mean())

    def _add(self, values: Tensor, mean: Tensor) -> None:
        """Add values, (n,), with their mean."""
        squares = (values - mean).square_().sum()
        self.moments = merge_moments(self.moments, SampleMoments(len(values), mean, squares))

    def state(self) -> Mapping[str, Tensor]:
        """Count, mean and squared deviations so far, (3,)."""
        size, mean, squares = self.moments
        return {"sums": torch.stack([torch.full_like(mean, int(size)), mean, squares])}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        size, mean, squares = state["sums"].to(self.moments.mean.device)
        self.moments = merge_moments(self.moments, SampleMoments(int(size), mean, squares))


@dataclass(frozen=True, eq=False)
class LogitFunction:
    """The logits of scores, as ``ScoreToLogit`` gives them in one state.

    Args:
        scale: The factor.
        bias: What is added.
        center: The score that becomes z = 0; None where scores are not standardised.
        unit: Its distance to the score that becomes z = 1.
    """

    scale: Tensor
    bias: Tensor
    center: Tensor | None
    unit: Tensor | None

    def __call__(self, scores: Tensor) -> Tensor:
        """The logits of scores of any shape."""
        z = scores
        if self.center is not None and self.unit is not None:
            z = _standardised(scores, self.center, self.unit)
        return self.scale * z + self.bias


def _standardised(scores: Tensor, center: Tensor, unit: Tensor) -> Tensor:
    """(scores - center) / unit, rounded once to the type of the scores."""
    return scores.to(torch.float64, copy=True).sub_(center).div_(unit).to(scores.dtype)


def _moments_without_waiting(values: Tensor, usable: Tensor) -> SampleMoments:
    """The moments of the usable ones of ``values``, both (B, H, W), without a look at them."""
    size = usable.sum()
    mean = torch.where(usable, values, 0).sum() / size.clamp(min=1)
    squares = torch.where(usable, values - mean, 0).square().sum()
    return SampleMoments(size, mean, squares)


@node
class ScoreToLogit(StreamingNode[ScoreStatistics]):
    """Turns scores into logits: scale * z + bias, with z = (score - (mean + 2 std)) / std.

    Mean and std (divided by n - 1) of the scores are fitted in the statistical phase, so that
    with the default scale and bias a logit of 0 lies two standard deviations above the mean.
    Where all scores were equal, z = score - mean. ``scale`` and ``bias`` are parameters while the
    node is unfrozen; a fit does not change them. A NaN score gives a NaN logit.

    Args:
        init_scale: The first value of ``scale``.
        init_bias: The first value of ``bias``.
        calibrate: Fit mean and std; else z = score, and nothing is fitted.

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
    monotone_output = "logits"

    init_scale: float = 1.0
    init_bias: float = 0.0
    calibrate: bool = True

    scale = buffer()
    bias = buffer()
    score_mean = buffer()
    score_std = buffer()

    def __post_init__(self) -> None:
        self._cached_standard: TensorCache[tuple[Tensor, Tensor]] = TensorCache()
        self._cached_function: TensorCache[LogitFunction | None] = TensorCache()

    @property
    def fit_passes(self) -> int:  # type: ignore[override]  # it is only read
        """One pass over the scores, or none where nothing is fitted."""
        return 1 if self.calibrate else 0

    def require_fitted(self) -> None:
        """Raise NodeError unless there is nothing to fit, or it was fitted."""
        if self.calibrate:
            super().require_fitted()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate scale, bias and statistics."""
        for name in ("init_scale", "init_bias"):
            value = getattr(self, name)
            if not math.isfinite(value):
                fix = f"set {name} to a finite number"
                raise ConfigError(f"{self.label}: {name} is {value}", fix=fix)
        self.register_buffer("scale", torch.tensor(self.init_scale, dtype=torch.float32))
        self.register_buffer("bias", torch.tensor(self.init_bias, dtype=torch.float32))
        if self.calibrate:
            self.register_buffer("score_mean", torch.tensor(0.0, dtype=torch.float64))
            self.register_buffer("score_std", torch.tensor(1.0, dtype=torch.float64))

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self.start_statistics(ScoreStatistics(self.scale.device))

    def fit_update(self, scores: Tensor, valid: Tensor | None = None) -> None:
        """Add the usable scores, (B, H, W, 1)."""
        self.statistics().update(scores, valid)

    def fit_end(self) -> None:
        """Set mean and std of the scores."""
        size, mean, squares = self.take_statistics().moments
        count = int(size)
        self.finish_fit(count)
        self.score_mean.copy_(mean)
        self.score_std.copy_((squares / max(count - 1, 1)).sqrt())

    def forward(self, scores: Tensor, valid: Tensor | None = None) -> Batch:
        """Turn (B, H, W, 1) ``scores`` into logits of the same shape."""
        if not self.calibrate:
            return {"logits": self._logits(scores)}
        center, unit = self._cached_standard(self._standard, self.score_mean, self.score_std)
        return {"logits": self._logits(_standardised(scores, center, unit))}

    def forward_lazy(self, scores: Tensor, valid: Tensor | None = None) -> Batch:
        """As ``forward``, but a ``LazyMonotone`` where that never decreases, without gradients."""
        function = None
        if not torch.is_grad_enabled():
            function = self._cached_function(self._frozen, *self.own_tensors().values())
        if function is None:
            return self.forward(scores, valid)
        return {"logits": LazyMonotone(scores, function, scores.dtype)}

    def _frozen(self) -> LogitFunction | None:
        """The present function of scores; None if it may decrease, or give NaN for a number."""
        center = None
        unit = None
        numbers = [self.scale, self.bias]
        if self.calibrate:
            center, unit = self._standard()
            numbers += [center, unit]
        is_finite = all(math.isfinite(number) for number in numbers)
        if not is_finite or self.scale <= 0:
            return None
        return LogitFunction(self.scale.detach().clone(), self.bias.detach().clone(), center, unit)

    def _logits(self, z: Tensor) -> Tensor:
        """scale * z + bias; where z is not finite, z itself."""
        if not (torch.is_grad_enabled() and self.scale.requires_grad):
            return self.scale * z + self.bias
        # The gradient of the scale is a sum over z, and 0 * NaN would be in it.
        finite = z.isfinite()
        logits = self.scale * torch.where(finite, z, 0) + self.bias
        return torch.where(finite, logits, z)

    def _standard(self) -> tuple[Tensor, Tensor]:
        """The score that becomes z = 0, and its distance to the one that becomes z = 1."""
        std = self.score_std
        return self.score_mean + 2 * std, torch.where(std > 0, std, 1)

    def logit_map(self) -> tuple[float, float]:
        """The factor of a score and what is added, for ``logit = factor * score + offset``."""
        scale = float(self.scale)
        bias = float(self.bias)
        if not self.calibrate:
            return scale, bias
        center, unit = self._standard()
        factor = scale / float(unit)
        return factor, bias - factor * float(center)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        if not self.calibrate:
            return "nothing to fit"
        mean = float(self.score_mean)
        std = float(self.score_std)
        return f"score mean {mean:.4g}, standard deviation {std:.4g}, {self.pixels} pixels"
