"""Learnable mixing of bands into a few channels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Internal, LazyAffine, Output, node
from specloom_mixer.scheme import check_numbers, room_for_pairs, widths
from specloom_mixer.starting import carry, drawn, samuelson_shift
from specloom_mixer.stretching import stretched
from specloom_pca.components import principal_components, standardising
from specloom_pca.gathering import MomentsNode
from specloom_pca.pixel_maps import channels_last, pixel_maps

METHODS = ("xavier", "kaiming", "pca", "zeros")


@node
class LearnableChannelMixer(MomentsNode):
    """Mixes the bands of each pixel into a few channels, by layers that can be trained.

    Each layer is a 1 x 1 convolution, that is one affine map A x + b of every pixel, with a
    LeakyReLU between layers and none behind the last. ``normalize_output`` then scales each
    channel of each image to [0, 1] by its smallest and largest finite value; a constant channel
    gives 0. A pixel that is not finite in every band gives NaN, and has no part in the limits.

    With ``init_method="pca"`` the mixer starts as a principal component analysis of the training
    data, whose mean is folded into the biases: channel k is component k of unit variance, before
    it is scaled to [0, 1]. LeakyReLUs do not bend it. Where every hidden layer has two channels
    for each output, a component travels as z and -z, from which leaky(z) - leaky(-z) =
    (1 + slope) z recovers it exactly, whatever the data. In narrower layers it is lifted by
    (n - 1) / sqrt(n) standard deviations (100 to 10,000), which no training pixel exceeds.
    Hidden layers carry as many further components as they have room for. Directions that the
    data do not support give channels of 0, with a warning. ``fit_passes`` is 0 for the other
    methods. With ``zeros`` and hidden layers no gradient reaches any weight.

    ``weight_0``, ``bias_0``, ``weight_1`` and so on are parameters while the node is unfrozen.
    Random weights follow from the seed of the run that first uses the mixer, or of ``seed()``
    (0 before either); a fitted, restored or unfrozen mixer keeps the weights it has. A new fit
    resets all of them.

    Source: M. T. Zeegers et al., Journal of Imaging 6(12):132, 2020 (the data reduction layers).

    Args:
        input_channels: C; the graph infers it.
        output_channels: K.
        leaky_relu_negative_slope: What negative values between layers are multiplied by.
        use_bias: Give the layers biases.
        use_activation: Put the LeakyReLU between layers.
        normalize_output: Scale each channel of each image to [0, 1].
        init_method: The first weights: ``xavier``, ``kaiming``, ``pca`` or ``zeros``.
        eps: The smallest range that is stretched to 1; for ``pca`` also the standard deviation,
            over that of the first component, up to which a component is not supported.
        reduction_scheme: C, the widths of hidden layers, K; None for one layer.

    Raises:
        ConfigError: A number is out of its range, the scheme's ends disagree with the channels,
            or its layers are too narrow for ``pca``.
        NodeError: The fit saw no usable pixel.
    """

    data = Input("B H W input_channels", doc="Pixels.")
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to learn from.")
    rgb = Output("B H W output_channels", unit="1", doc="The mixed channels.")
    affine_input = "data"
    example: ClassVar[Mapping[str, object]] = {
        "init_method": "pca",
        "input_channels": 13,
        "reduction_scheme": [13, 8, 3],
    }

    _seed = 0
    _settled = False
    input_channels: int | None = None
    output_channels: int = 3
    leaky_relu_negative_slope: float = 0.01
    use_bias: bool = True
    use_activation: bool = True
    normalize_output: bool = True
    init_method: Literal["xavier", "kaiming", "pca", "zeros"] = "xavier"
    eps: float = 1e-6
    reduction_scheme: list[int] | None = None

    _share = Internal[float | None](None)
    _paired = False

    @property
    def locality(self) -> str:
        """What an output pixel depends on: its image where that gives the limits, else itself."""
        return "image" if self.normalize_output else "pixel"

    @property
    def requires_initial_fit(self) -> bool:
        """Whether the first weights are learned from the training data."""
        return self.init_method == "pca"

    @property
    def fit_passes(self) -> int:  # type: ignore[override]  # nobody writes it
        """One pass over the training data for ``pca``, else none."""
        return 1 if self.requires_initial_fit else 0

    @property
    def trainable(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on the scheme
        """Weights and biases of all layers."""
        parts = ("weight", "bias") if self.use_bias else ("weight",)
        return tuple(f"{part}_{i}" for i in range(self._depth) for part in parts)

    @property
    def _depth(self) -> int:
        return len(self.reduction_scheme or (0, 0)) - 1

    @property
    def _slope(self) -> float:
        return self.leaky_relu_negative_slope if self.use_activation else 1.0

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate the layers, and draw their weights."""
        check_numbers(self.label, self.leaky_relu_negative_slope, self.eps)
        if self.init_method not in METHODS:
            what = f"{self.label}: init_method is {self.init_method!r}"
            raise ConfigError(what, fix=f"write one of {', '.join(METHODS)}")
        channels, outputs = sizes["input_channels"], self.output_channels
        scheme = widths(self.label, self.reduction_scheme, channels, outputs)
        if self.requires_initial_fit:
            bends = self.use_activation and len(scheme) > 2
            self._paired = room_for_pairs(self.label, scheme, bends=bends, biased=self.use_bias)
        for i in range(self._depth):
            self.register_buffer(f"weight_{i}", torch.zeros(scheme[i + 1], scheme[i]))
            if self.use_bias:
                self.register_buffer(f"bias_{i}", torch.zeros(scheme[i + 1]))
        self._draw()

    def _layers(self) -> list[tuple[Tensor, Tensor | None]]:
        return [
            (getattr(self, f"weight_{i}"), getattr(self, f"bias_{i}") if self.use_bias else None)
            for i in range(self._depth)
        ]

    def _draw(self) -> None:
        generator = torch.Generator().manual_seed(self._seed)
        with torch.no_grad():
            for weight, bias in self._layers():
                weight.copy_(drawn(weight, self.init_method, self._slope, generator))
                if bias is not None:
                    bias.zero_()

    def seed(self, seed: int) -> None:
        """Start the node's own generator; the first time, draw the weights anew."""
        super().seed(seed)
        self._seed = seed
        if not self._settled:
            self._draw()
            self._settled = True

    def unfreeze(self) -> None:
        """Turn weights and biases into parameters."""
        super().unfreeze()
        self._settled = True

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved weights."""
        super().restore(state)
        self._settled = True

    def require_fitted(self) -> None:
        """Raise NodeError unless there is nothing to fit, or it was fitted."""
        if self.requires_initial_fit:
            super().require_fitted()

    def fit_start(self, pass_: int) -> None:
        """Forget earlier fits."""
        weight = self._layers()[0][0]
        self.gather(weight.shape[1], weight.device)

    def fit_end(self) -> None:
        """Write the components into the layers, and warn where the data support too few."""
        moments = self.gathered()
        self.finish_fit(moments.count)
        found = principal_components(moments.covariance(), moments.channels, self.eps)
        rows = found.directions[: found.rank] * standardising(found.variances)[: found.rank, None]
        # Without LeakyReLUs nothing bends, and nothing need be lifted.
        lift = samuelson_shift(moments.count) if self.use_activation else 0.0
        shift = None if self._paired and self.use_activation else lift
        self._draw()
        self._settled = True
        with torch.no_grad():
            carry(self._layers(), rows, moments.mean(), self._slope, shift)
        total = float(found.total)
        kept = float(found.variances[: self.output_channels].sum())
        self._share = 100 * kept / total if total else 0.0
        if found.rank < self.output_channels:
            text = (
                f"{self.label}: {moments.count} pixels support {found.rank} components; the other "
                f"{self.output_channels - found.rank} of {self.output_channels} channels are "
                "constant. Give it more pixels, or ask for fewer channels"
            )
            warnings.warn(text, UserWarning, stacklevel=2)

    def forward(self, data: Tensor | LazyAffine, valid: Tensor | None = None) -> Batch:
        """Mix (B, H, W, C) ``data``."""
        mixed = pixel_maps(data, self._layers(), self._slope)
        if self.normalize_output:
            mixed = stretched(mixed, self.eps)
        return {"rgb": channels_last(mixed, data)}

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        weights = [weight for weight, _ in self._layers()]
        layers = "-".join(map(str, [weights[0].shape[1], *map(len, weights)]))
        if not self.requires_initial_fit:
            return f"{self.init_method} weights through {layers} channels, nothing to fit"
        share = "" if self._share is None else f", {self._share:.4g} % of the variance"
        return f"principal components through {layers} channels, {self.told_pixels()}{share}"
