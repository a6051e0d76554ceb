"""Soft selection of channels by trained weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Internal, LazyAffine, Output, node
from specloom.torch import buffer
from specloom_selectors.effective import effective_channels
from specloom_selectors.gumbel import gumbel
from specloom_selectors.mixing import weight_channels
from specloom_selectors.top_k import largest
from specloom_statistics import MomentsNode, RunningVariance

COLLAPSED = 0.9
"""More than this share of the weight on one or two channels, of more to select, is a collapse."""


RESOLUTION = 1e-5
"""The relative step of a variance between float32 logits of usual size."""


@node
class SoftChannelSelector(MomentsNode[RunningVariance]):
    """Weights every channel, so that n_select of them come to carry the data.

    weights = n_select * softmax(logits / T) sum to n_select. While the node is unfrozen and in
    training, ``selected`` is made with Gumbel noise on the logits, ``weights`` never. The
    temperature falls by the epoch: T = max(temperature_min, temperature_init *
    temperature_decay^epoch), 5.0 at first, 1.743 at epoch 10, 0.608 at 20 and the floor of 0.1
    from epoch 38. ``temperature`` and ``temperature_decay`` may be changed at any time, but a
    trainer sets the temperature before each epoch.

    Source: E. Jang, S. Gu, B. Poole, "Categorical reparameterization with Gumbel-softmax", ICLR
    2017.

    Args:
        n_select: The number of channels to select.
        input_channels: C; the graph infers it.
        init_method: ``uniform``, all channels alike and nothing to fit, or ``variance``: the
            statistical phase sets the logits to ln(variance + eps * mean variance). Constant data
            give uniform logits.
        temperature_init: T at epoch 0.
        temperature_min: The lowest T.
        temperature_decay: The factor of T in each epoch.
        hard: Give the channels of the n_select largest weights weight 1 and the others 0 when
            the node is not training.
        eps: This share of the mean variance is added to the variances; the noise is at most
            -ln(eps).
        gumbel: Add noise in training.

    Raises:
        ConfigError: A parameter makes no sense, such as more channels to select than there are.
        NodeError: The fit saw no usable pixel.
    """

    data = Input("B H W input_channels", doc="Pixels.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to fit.")
    selected = Output("B H W input_channels", doc="Pixels times the applied weights.")
    weights = Output("input_channels", doc="n_select * softmax(logits / T), without noise.")
    applied = Output("input_channels", doc="The weights that the pixels were multiplied by.")
    locality = "pixel"
    example: ClassVar[Mapping[str, object]] = {"n_select": 3, "init_method": "variance"}
    trainable = ("logits",)
    affine_output = "selected"
    affine_input = "data"
    moments_input = "data"
    fits_pixels = True
    needs_scatter = False

    n_select: int
    input_channels: int | None = None
    init_method: Literal["uniform", "variance"] = "uniform"
    temperature_init: float = 5.0
    temperature_min: float = 0.1
    temperature_decay: float = 0.9
    hard: bool = False
    eps: float = 1e-6
    gumbel: bool = True

    logits = buffer()
    tau = buffer()
    _temperature_before_build = Internal[float | None](None)

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate logits and temperature."""
        channels = sizes["input_channels"]
        if not 1 <= self.n_select <= channels:
            fix = f"set n_select to a number from 1 to {channels}, the number of channels"
            raise ConfigError(f"{self.label}: n_select is {self.n_select}", fix=fix)
        for name in ("temperature_init", "temperature_min", "temperature_decay", "eps"):
            self._check_positive(name, getattr(self, name))
        if self.temperature_decay > 1:
            what = f"{self.label}: temperature_decay is {self.temperature_decay}"
            raise ConfigError(what, fix="set it to 1 or less, so that the temperature falls")
        if self.temperature_init < self.temperature_min:
            what = f"temperature_init is {self.temperature_init}, below temperature_min"
            fix = f"set temperature_init to {self.temperature_min} or more"
            raise ConfigError(f"{self.label}: {what}", fix=fix)
        self.register_buffer("logits", torch.zeros(channels))
        self.register_buffer("tau", torch.tensor(self.temperature, dtype=torch.float64))

    def _check_positive(self, name: str, value: float) -> None:
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{self.label}: {name} is {value}", fix=f"set {name} above 0")

    @property
    def fit_passes(self) -> int:  # type: ignore[override]  # it is only read
        """One pass over the training data for their variances, or none."""
        return 1 if self.init_method == "variance" else 0

    def require_fitted(self) -> None:
        """Raise NodeError unless there is nothing to fit, or it was fitted."""
        if self.fit_passes:
            super().require_fitted()

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self.start_statistics(RunningVariance(len(self.logits), self.logits.device))

    def fit_update(self, data: Tensor | LazyAffine, valid: Tensor | None = None) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self.statistics().update(data, valid)

    def fit_end(self) -> None:
        """Set the logits to ln(variance + eps * mean variance)."""
        statistics = self.take_statistics()
        self.left_out = statistics.left_out
        self.finish_fit(statistics.count)
        variance = statistics.variance()
        raised = variance + self.eps * variance.mean()
        with torch.no_grad():
            # Constant data: no channel varies, and the logarithm of 0 would be no weight.
            self.logits.copy_(torch.where(raised > 0, raised, 1).log())

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        if not self.fit_passes:
            return "nothing to fit"
        variance = self._fitted_variance()
        least = float(variance.min())
        most = float(variance.max())
        bands = f"{len(variance)} bands of variance {least:.3g} to {most:.3g}"
        return f"{bands}, {self.pixel_summary()}"

    def _fitted_variance(self) -> Tensor:
        """The variances that the logits were made of, to the precision of the logits."""
        raised = self.logits.detach().double().exp()
        added = self.eps * raised.mean() / (1 + self.eps)
        is_constant = raised <= added * (1 + RESOLUTION)
        if bool((self.logits == 0).all()):  # of constant data
            is_constant = torch.ones_like(is_constant)
        return torch.where(is_constant, 0, raised - added)

    @property
    def temperature(self) -> float:
        """T: low is hard, high is soft; it may be set."""
        tau = self._buffers.get("tau")
        if tau is not None:
            return tau.item()
        if self._temperature_before_build is not None:
            return self._temperature_before_build
        return self.temperature_init

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._check_positive("temperature", value)
        tau = self._buffers.get("tau")
        if tau is None:
            self._temperature_before_build = value
        else:
            tau.fill_(value)

    def update_temperature(self, epoch: int) -> None:
        """Set the temperature of an epoch, counted from 0."""
        fallen = self.temperature_init * self.temperature_decay**epoch
        self.temperature = max(self.temperature_min, fallen)

    def on_epoch(self, epoch: int, max_epochs: int) -> None:
        """Set the temperature; a trainer calls this before each epoch."""
        self.update_temperature(epoch)

    def forward(self, data: Tensor | LazyAffine, valid: Tensor | None = None) -> Batch:
        """Weight the channels of (B, H, W, C) ``data``."""
        outputs = self.forward_lazy(data)
        plain: Tensor
        if isinstance(data, LazyAffine):
            plain = (data.data * data.scale + data.offset).to(data.dtype)
        else:
            plain = data
        return {**outputs, "selected": weight_channels(plain, outputs["applied"])}

    def forward_lazy(self, data: Tensor | LazyAffine, valid: Tensor | None = None) -> Batch:
        """As ``forward``, with a ``LazyAffine`` for the weighted channels."""
        weights = self._soft(self.logits)
        applied = self._applied_weights(weights)
        selected = LazyAffine.of(data, applied, applied.new_zeros(()), data.dtype)
        return {"selected": selected, "weights": weights, "applied": applied}

    def _applied_weights(self, weights: Tensor) -> Tensor:
        """The weights that the pixels are multiplied by: with noise, soft or hard."""
        if self.training and self.logits.requires_grad:
            if not self.gumbel:
                return weights
            noise = gumbel(self.logits, self.generator, self.eps)
            return self._soft(self.logits + noise)
        return self._hard() if self.hard else weights

    def _soft(self, logits: Tensor) -> Tensor:
        return self.n_select * (logits / self.tau).softmax(0)

    def _hard(self) -> Tensor:
        return torch.zeros_like(self.logits).scatter(0, largest(self.logits, self.n_select), 1)

    def get_selection_weights(self, hard: bool | None = None) -> Tensor:
        """The weights (C,) without noise or gradient; ``hard=None`` as the node itself is."""
        self.require_fitted()
        use_hard = self.hard if hard is None else hard
        with torch.no_grad():
            return self._hard() if use_hard else self._soft(self.logits)

    def effective_channels(self) -> float:
        """exp of the entropy of the soft weights: 1 for one channel, C where all are alike."""
        return effective_channels(self._soft(self.logits)).item()

    def schedule_values(self) -> Mapping[str, float]:
        """What changes by the epoch, to be recorded."""
        return {"temperature": self.temperature, "effective_channels": self.effective_channels()}

    def epoch_artifacts(self) -> Mapping[str, Any]:
        """The channels of the largest weights, as text, and the soft weights (C,)."""
        chosen = largest(self.logits, self.n_select)
        weights = self._soft(self.logits.detach())
        return {"channels": ", ".join(map(str, chosen.tolist())), "weights": weights.cpu().numpy()}

    def diagnose(self) -> str | None:
        """A warning with its fix where one or two channels have most of the weight of n_select."""
        soft = self._soft(self.logits.detach()) / self.n_select
        shares, order = soft.sort(descending=True, stable=True)
        for count, what in ((1, "one channel"), (2, "two channels")):
            share = float(shares[:count].sum())
            if count < self.n_select and share > COLLAPSED:
                which = ", ".join(map(str, order[:count].tolist()))
                fix = "raise the weight of the entropy regulariser"
                return f"{self.label}: {share:.0%} of the weight is on {what} ({which}); {fix}"
        return None
