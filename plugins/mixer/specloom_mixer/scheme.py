"""The widths of a mixer's layers, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from specloom import ConfigError


def widths(
    node: str, given: Sequence[int] | None, input_channels: int, output_channels: int
) -> list[int]:
    """The number of channels before, between and behind the layers.

    Args:
        node: What the error calls the node.
        given: The ``reduction_scheme``; None for one layer.
        input_channels: What it must begin with.
        output_channels: What it must end with.

    Raises:
        ConfigError: The ends disagree, or a width is not positive.
    """
    scheme = [input_channels, output_channels] if given is None else list(given)
    if len(scheme) < 2 or min(scheme) < 1:
        what = f"{node}: the widths of the layers are {scheme}"
        raise ConfigError(what, fix="give two numbers or more, each of them 1 or more")
    for what, at, want in (("input", 0, input_channels), ("output", -1, output_channels)):
        if scheme[at] != want:
            side = "begins" if at == 0 else "ends"
            raise ConfigError(
                f"{node}: reduction_scheme {scheme} {side} with {scheme[at]}, "
                f"but {what}_channels is {want}",
                fix=f"make the scheme {'begin' if at == 0 else 'end'} with {want}",
            )
    return scheme


def check_numbers(node: str, slope: float, eps: float) -> None:
    """Raise ConfigError unless the slope is 0 or more and eps above 0, both finite."""
    if not (math.isfinite(slope) and slope >= 0):
        what = f"{node}: leaky_relu_negative_slope is {slope}"
        raise ConfigError(what, fix="give a slope of 0 or more")
    if not (math.isfinite(eps) and eps > 0):
        raise ConfigError(f"{node}: eps is {eps}", fix="give an eps above 0")


def room_for_pairs(node: str, scheme: Sequence[int], *, bends: bool, biased: bool) -> bool:
    """Whether every hidden layer of ``scheme`` has two channels for each output.

    Args:
        node: What the error calls the node.
        scheme: What ``widths`` gives.
        bends: Whether there is a LeakyReLU between layers.
        biased: Whether layers have a bias.

    Raises:
        ConfigError: Principal components cannot be carried through the layers.
    """
    outputs, narrowest = scheme[-1], min(scheme[:-1])
    if narrowest < outputs:
        what = f"{node}: a layer of {narrowest} channels cannot carry {outputs} components"
        raise ConfigError(what, fix="widen it, or use another init_method than pca")
    paired = all(width >= 2 * outputs for width in scheme[1:-1])
    if bends and not biased and not paired:
        raise ConfigError(
            f"{node}: without biases a layer between LeakyReLUs needs two channels for each of "
            f"the {outputs} components, and reduction_scheme is {list(scheme)}",
            fix=f"make hidden layers {2 * outputs} or more wide, or set use_bias",
        )
    return paired
