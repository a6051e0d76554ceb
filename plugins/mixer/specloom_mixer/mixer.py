"""Learnable mixing of bands into a few channels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, Internal, LazyAffine, LazyLinear, Output, node
from specloom_mixer.initial_weights import draw_weight, samuelson_shift, write_components
from specloom_mixer.layer_widths import check_numbers, check_room_for_pairs, layer_widths
from specloom_mixer.stretching import stretch_to_unit
from specloom_pca import (
    Components,
    map_pixels,
    principal_components,
    standardising_factors,
    to_channels_last,
)
from specloom_statistics import Moments, StreamingNode

METHODS = ("xavier", "kaiming", "pca", "zeros")


@node
class LearnableChannelMixer(StreamingNode[Moments]):
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
    valid = Input("B H W 1", "bool", optional=True, for_fit=True, doc="Pixels to fit.")
    rgb = Output("B H W output_channels", unit="1", doc="The mixed channels.")
    affine_input = "data"
    linear_input = "data"
    example: ClassVar[Mapping[str, object]] = {
        "init_method": "pca",
        "input_channels": 13,
        "reduction_scheme": [13, 8, 3],
    }

    _seed = 0
    _weights_are_final = False
    """Whether weights were fitted, restored or unfrozen, so that no seed may change them."""
    input_channels: int | None = None
    output_channels: int = 3
    leaky_relu_negative_slope: float = 0.01
    use_bias: bool = True
    use_activation: bool = True
    normalize_output: bool = True
    init_method: Literal["xavier", "kaiming", "pca", "zeros"] = "xavier"
    eps: float = 1e-6
    reduction_scheme: list[int] | None = None

    _variance_percent = Internal[float | None](None)
    _paired = False
    """Whether every hidden layer has two channels for each output."""

    @property
    def locality(self) -> str:
        """What an output pixel depends on: its image where that gives the limits, else itself."""
        return "image" if self.normalize_output else "pixel"

    @property
    def requires_initial_fit(self) -> bool:
        """Whether the first weights are fitted to the training data."""
        return self.init_method == "pca"

    @property
    def fit_passes(self) -> int:  # type: ignore[override]  # it is only read
        """One pass over the training data for ``pca``, else none."""
        return 1 if self.requires_initial_fit else 0

    @property
    def trainable(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on the scheme
        """Weights and biases of all layers."""
        names = []
        for i in range(self._depth):
            names.append(f"weight_{i}")
            if self.use_bias:
                names.append(f"bias_{i}")
        return tuple(names)

    @property
    def _depth(self) -> int:
        return 1 if self.reduction_scheme is None else len(self.reduction_scheme) - 1

    @property
    def _slope(self) -> float:
        return self.leaky_relu_negative_slope if self.use_activation else 1.0

    def build(self, sizes: Mapping[str, int]) -> None:
        """Allocate the layers, and draw their weights."""
        check_numbers(self.label, self.leaky_relu_negative_slope, self.eps)
        if self.init_method not in METHODS:
            what = f"{self.label}: init_method is {self.init_method!r}"
            raise ConfigError(what, fix=f"set it to one of {', '.join(METHODS)}")
        scheme = layer_widths(
            self.label, self.reduction_scheme, sizes["input_channels"], self.output_channels
        )
        if self.requires_initial_fit:
            self._paired = check_room_for_pairs(
                self.label,
                scheme,
                has_activations=self.use_activation and len(scheme) > 2,
                has_biases=self.use_bias,
            )
        for i in range(self._depth):
            self.register_buffer(f"weight_{i}", torch.zeros(scheme[i + 1], scheme[i]))
            if self.use_bias:
                self.register_buffer(f"bias_{i}", torch.zeros(scheme[i + 1]))
        self._draw_weights()

    def _layers(self) -> list[tuple[Tensor, Tensor | None]]:
        layers = []
        for i in range(self._depth):
            weight: Tensor = getattr(self, f"weight_{i}")
            bias: Tensor | None = getattr(self, f"bias_{i}") if self.use_bias else None
            layers.append((weight, bias))
        return layers

    def _draw_weights(self) -> None:
        generator = torch.Generator().manual_seed(self._seed)
        with torch.no_grad():
            for weight, bias in self._layers():
                weight.copy_(draw_weight(weight, self.init_method, self._slope, generator))
                if bias is not None:
                    bias.zero_()

    def seed(self, seed: int) -> None:
        """Start the node's own generator; draw the weights again unless they are final."""
        super().seed(seed)
        self._seed = seed
        if not self._weights_are_final:
            self._draw_weights()
            self._weights_are_final = True

    def unfreeze(self) -> None:
        """Turn weights and biases into parameters."""
        super().unfreeze()
        self._weights_are_final = True

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved weights."""
        super().restore(state)
        self._weights_are_final = True

    def require_fitted(self) -> None:
        """Raise NodeError unless there is nothing to fit, or it was fitted."""
        if self.requires_initial_fit:
            super().require_fitted()

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        weight, _ = self._layers()[0]
        self.start_statistics(Moments(weight.shape[1], weight.device))

    def fit_update(
        self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        self.statistics().update(data, valid)

    def fit_end(self) -> None:
        """Write the components into the layers, and warn where the data support too few."""
        moments = self.take_statistics()
        self.left_out = moments.left_out
        self.finish_fit(moments.count)
        components = principal_components(moments.covariance(), moments.channels, self.eps)
        factors = standardising_factors(components.variances)
        rows = components.directions[: components.rank] * factors[: components.rank, None]
        self._draw_weights()
        self._weights_are_final = True
        with torch.no_grad():
            shift = self._component_shift(moments.count)
            write_components(self._layers(), rows, moments.mean(), self._slope, shift)
        self._set_variance_percent(components)
        if components.rank < self.output_channels:
            text = (
                f"{self.label}: {moments.count} pixels support {components.rank} components; "
                f"the other {self.output_channels - components.rank} of {self.output_channels} "
                "channels are constant. Use more pixels, or lower output_channels"
            )
            warnings.warn(text, UserWarning, stacklevel=2)

    def _component_shift(self, pixels: int) -> float | None:
        """What is added to components between layers; None where they travel in pairs."""
        if not self.use_activation:
            return 0.0  # no LeakyReLU bends them
        return None if self._paired else samuelson_shift(pixels)

    def _set_variance_percent(self, components: Components) -> None:
        total = float(components.total)
        represented = float(components.variances[: self.output_channels].sum())
        self._variance_percent = 100 * represented / total if total else 0.0

    def forward(self, data: Tensor | LazyAffine | LazyLinear, valid: Tensor | None = None) -> Batch:
        """Mix (B, H, W, C) ``data``."""
        mixed = map_pixels(data, self._layers(), self._slope)
        if self.normalize_output:
            mixed = stretch_to_unit(mixed, self.eps)
        return {"rgb": to_channels_last(mixed, data)}

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        weights = [weight for weight, _ in self._layers()]
        widths = [weights[0].shape[1], *map(len, weights)]
        layers = "-".join(map(str, widths))
        if not self.requires_initial_fit:
            return f"{self.init_method} weights through {layers} channels, nothing to fit"
        summary = f"principal components through {layers} channels, {self.pixel_summary()}"
        if self._variance_percent is not None:
            summary += f", {self._variance_percent:.4g} % of the variance"
        return summary
