"""A fixed threshold on the probability of an anomaly."""

import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import ClassVar

from torch import Tensor

from specloom import Batch, ConfigError, Input, LazyMonotone, Output, node
from specloom.torch import TorchNode
from specloom_deciders.counted import counted_scores, float32_at_least, least_argument


def sigmoid(logit: float) -> float:
    """The probability of a logit, in float64, without overflow."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1 + odds)


@lru_cache
def logit_cut(threshold: float, logit_threshold: float | None = None) -> float:
    """The smallest float32 that is at least the threshold, as a logit.

    A float32 logit reaches the threshold exactly where it reaches this number, and no sigmoid
    is taken of the data, which in float32 is 1 from a logit of 17 on. A threshold of 0 gives
    minus infinity (every number is decided), one of 1 plus infinity (no finite logit is).

    Raises:
        ConfigError: The threshold is not a probability, or the two thresholds disagree.
    """
    if logit_threshold is not None and not math.isfinite(logit_threshold):
        raise ConfigError(
            f"logit_threshold is {logit_threshold}", fix="set a finite number, or remove it"
        )
    if not 0 <= threshold <= 1:
        raise ConfigError(
            f"threshold is a probability, got {threshold}",
            fix="set a threshold from 0 to 1; for one on the scores use logit_threshold",
        )
    if logit_threshold is None:
        return float32_at_least(_logit(threshold))
    probability = sigmoid(logit_threshold)
    if not math.isclose(threshold, probability, rel_tol=1e-9):
        raise ConfigError(
            f"threshold {threshold!r} and logit_threshold {logit_threshold!r} disagree",
            fix=f"write threshold: {probability!r}, or remove logit_threshold",
        )
    return float32_at_least(logit_threshold)


def _logit(probability: float) -> float:
    """The logit of a probability; infinite at both ends.

    1 - p is exact near 1, and p = 0.5 gives 0 exactly.
    """
    if probability == 0:
        return -math.inf
    if probability == 1:
        return math.inf
    return math.log(probability / (1 - probability))


@node
class BinaryDecider(TorchNode):
    """Decides for an anomaly where sigmoid(logit) >= threshold, logits (B, H, W, 1).

    The comparison is made between logits, so that it never saturates. A threshold of 0 decides
    for every pixel that is not NaN, one of 1 for none but infinite logits. Pixels that are not
    valid, and those with a NaN logit, are decided False and reported as unjudged.

    Args:
        threshold: The least probability of an anomaly, from 0 to 1.
        logit_threshold: The same threshold as a logit. ``calibrate`` sets it, because a
            probability near 1 does not distinguish large logits: in float64 all above 37 are 1.

    Raises:
        ConfigError: The threshold is not a probability, or the two thresholds disagree.
    """

    logits = Input("B H W 1", doc="Logits of an anomaly.")
    valid = Input("B H W 1", dtype="bool", optional=True, labelled=False, doc="Pixels to decide.")
    decisions = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    unjudged = Output("B H W 1", dtype="bool", doc="True where nothing was decided.")
    locality = "pixel"
    monotone_input = "logits"
    thresholds: ClassVar[tuple[str, ...]] = ("logit_threshold",)
    example = {"threshold": 0.5}

    threshold: float = 0.5
    logit_threshold: float | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the thresholds."""
        logit_cut(self.threshold, self.logit_threshold)

    def calibrate(self, logit_threshold: float) -> None:
        """Decide from now on where logits reach ``logit_threshold``.

        Raises:
            ConfigError: It is not finite.
        """
        cut = float(logit_threshold)
        probability = sigmoid(cut)
        logit_cut(probability, cut)
        self.threshold = probability
        self.logit_threshold = cut

    def decision_levels(
        self, parameter: str, logits: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """The logits (B, H, W, 1) themselves; NaN where nothing is decided."""
        return counted_scores(logits, valid)

    def forward(self, logits: Tensor | LazyMonotone, valid: Tensor | None = None) -> Batch:
        """Compare each pixel's logit with the threshold."""
        scores, cut = self._comparison(logits, valid)
        return {"decisions": scores >= cut, "unjudged": scores.isnan()}

    def forward_for(self, outputs: Collection[str]) -> Callable[..., Batch]:
        """``forward``, or one that makes the decisions alone where nothing else is wanted."""
        if set(outputs) == {"decisions"}:
            return self._decide_alone
        forward: Callable[..., Batch] = self.forward
        return forward

    def _decide_alone(self, logits: Tensor | LazyMonotone, valid: Tensor | None = None) -> Batch:
        """The decisions."""
        scores, cut = self._comparison(logits, valid)
        return {"decisions": scores >= cut}

    def _comparison(
        self, logits: Tensor | LazyMonotone, valid: Tensor | None
    ) -> tuple[Tensor, float]:
        """Numbers, NaN where nothing is decided, and what those of anomalies are at least."""
        cut = logit_cut(self.threshold, self.logit_threshold)
        if isinstance(logits, Tensor):
            return counted_scores(logits, valid), cut
        least = least_argument(logits, cut)
        if least is None:
            return counted_scores(logits.function(logits.data), valid), cut
        scores = logits.data
        if valid is not None:
            scores = scores.masked_fill(~valid, math.nan)
        return scores, least
