"""The widths of a mixer's layers, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from specloom import ConfigError


def layer_widths(
    node: str, scheme: Sequence[int] | None, input_channels: int, output_channels: int
) -> list[int]:
    """The number of channels before, between and behind the layers.

    Args:
        node: The name of the node, for errors.
        scheme: The ``reduction_scheme``; None for one layer.
        input_channels: The width that it must start with.
        output_channels: The width that it must end with.

    Raises:
        ConfigError: The ends disagree, or a width is not positive.
    """
    widths = [input_channels, output_channels] if scheme is None else list(scheme)
    if len(widths) < 2 or min(widths) < 1:
        what = f"{node}: the widths of the layers are {widths}"
        raise ConfigError(what, fix="write two numbers or more, each of them 1 or more")
    if widths[0] != input_channels:
        what = (
            f"{node}: reduction_scheme {widths} starts with {widths[0]}, "
            f"but input_channels is {input_channels}"
        )
        raise ConfigError(what, fix=f"make the scheme start with {input_channels}")
    if widths[-1] != output_channels:
        what = (
            f"{node}: reduction_scheme {widths} ends with {widths[-1]}, "
            f"but output_channels is {output_channels}"
        )
        raise ConfigError(what, fix=f"make the scheme end with {output_channels}")
    return widths


def check_numbers(node: str, slope: float, eps: float) -> None:
    """Raise ConfigError unless the slope is 0 or more and eps above 0, both finite."""
    if not (math.isfinite(slope) and slope >= 0):
        what = f"{node}: leaky_relu_negative_slope is {slope}"
        raise ConfigError(what, fix="set it to 0 or more")
    if not (math.isfinite(eps) and eps > 0):
        raise ConfigError(f"{node}: eps is {eps}", fix="set eps above 0")


def check_room_for_pairs(
    node: str, scheme: Sequence[int], *, has_activations: bool, has_biases: bool
) -> bool:
    """Whether every hidden layer of ``scheme`` has two channels for each output.

    Args:
        node: The name of the node, for errors.
        scheme: The result of ``layer_widths``.
        has_activations: Whether there is a LeakyReLU between layers.
        has_biases: Whether layers have a bias.

    Raises:
        ConfigError: Principal components cannot be carried through the layers.
    """
    outputs = scheme[-1]
    narrowest = min(scheme[:-1])
    if narrowest < outputs:
        what = f"{node}: a layer of {narrowest} channels cannot carry {outputs} components"
        raise ConfigError(what, fix="widen it, or set init_method to another one than pca")
    paired = all(width >= 2 * outputs for width in scheme[1:-1])
    if has_activations and not has_biases and not paired:
        what = (
            f"{node}: without biases a layer between LeakyReLUs needs two channels for each of "
            f"the {outputs} components, and reduction_scheme is {list(scheme)}"
        )
        fix = f"make hidden layers {2 * outputs} or more wide, or set use_bias"
        raise ConfigError(what, fix=fix)
    return paired
