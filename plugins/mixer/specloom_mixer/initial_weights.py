"""The first weights of a mixer: random, zero, or principal components through all layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def draw_weight(weight: Tensor, method: str, slope: float, generator: torch.Generator) -> Tensor:
    """A first value for a ``weight`` (out, in), drawn on the CPU.

    Sources: X. Glorot, Y. Bengio, AISTATS 2010, eq. 16 (``xavier``); K. He et al., ICCV 2015,
    eq. 14 (``kaiming``).

    Args:
        weight: A weight of the shape to draw.
        method: ``kaiming``, ``zeros``; anything else is ``xavier``.
        slope: Of the LeakyReLU behind it; 1 for none.
        generator: The source of the random numbers.
    """
    values = torch.zeros(weight.shape)
    if method == "kaiming":
        nn.init.kaiming_uniform_(values, a=slope, generator=generator)
    elif method != "zeros":
        nn.init.xavier_uniform_(values, generator=generator)
    return values


def samuelson_shift(count: int) -> float:
    """By how much standardised components are lifted so that training data stay positive.

    No value of a sample lies farther from its mean than (n - 1) / sqrt(n) standard deviations
    (divided by n - 1). At least 100 leaves room for other data; beyond 10,000, which 100 million
    pixels may reach, float32 would lose digits of the components.

    Source: P. Samuelson, Journal of the American Statistical Association 63(324), 1968.

    Args:
        count: n, the number of pixels.
    """
    return min(max((count - 1) / math.sqrt(count), 100.0), 10_000.0)


def write_components(
    layers: Sequence[tuple[Tensor, Tensor | None]],
    rows: Tensor,
    mean: Tensor,
    slope: float,
    shift: float | None,
) -> None:
    """Write weights, in place, with which the last layer gives ``rows @ (x - mean)``.

    Each layer holds as many of the leading components as it has room for. A LeakyReLU between
    layers must not bend them. Without a ``shift`` a component z takes two channels, z and -z:
    leaky(z) - leaky(-z) = (1 + slope) z for all z. With a ``shift`` it takes one, lifted by that
    much. Hidden channels that are left over keep their weights, and nothing reads them yet;
    outputs that are left over become 0. Without biases the components are those of x, not of
    x - mean.

    Args:
        layers: Weight (out, in) and bias (out,) or None, first layer first.
        rows: The components, (R, C), float64.
        mean: (C,), float64.
        slope: Of the LeakyReLU between layers, 0 or more.
        shift: What is added to each component between layers; None for pairs.
    """
    # The components are decode @ (the input of the layer) - offset.
    decode = rows
    offset = rows @ mean
    for weight, bias in layers[:-1]:
        if shift is None:
            decode, offset = _write_pairs(weight, bias, decode, offset, slope)
        else:
            decode, offset = _write_shifted(weight, bias, decode, offset, shift)
    weight, bias = layers[-1]
    count = min(len(decode), len(weight))
    identity = torch.eye(count, dtype=rows.dtype, device=rows.device)
    _write_layer(weight, bias, identity, decode[:count], offset[:count], 0.0)
    weight[count:] = 0


def _write_pairs(
    weight: Tensor, bias: Tensor | None, decode: Tensor, offset: Tensor, slope: float
) -> tuple[Tensor, Tensor]:
    """Write a layer in which component z takes two channels, z and -z; how the next decodes it."""
    count = min(len(decode), len(weight) // 2)
    identity = torch.eye(count, dtype=decode.dtype, device=decode.device)
    encode = torch.cat([identity, -identity])
    _write_layer(weight, bias, encode, decode[:count], offset[:count], 0.0)
    next_decode = decode.new_zeros(count, len(weight))
    next_decode[:, : 2 * count] = encode.T / (1 + slope)
    return next_decode, decode.new_zeros(count)


def _write_shifted(
    weight: Tensor, bias: Tensor | None, decode: Tensor, offset: Tensor, shift: float
) -> tuple[Tensor, Tensor]:
    """Write a layer in which a component takes one channel, lifted; how the next decodes it."""
    count = min(len(decode), len(weight))
    encode = torch.eye(count, dtype=decode.dtype, device=decode.device)
    _write_layer(weight, bias, encode, decode[:count], offset[:count], shift)
    next_decode = decode.new_zeros(count, len(weight))
    next_decode[:, :count] = encode
    return next_decode, decode.new_full((count,), shift)


def _write_layer(
    weight: Tensor,
    bias: Tensor | None,
    encode: Tensor,
    decode: Tensor,
    offset: Tensor,
    shift: float,
) -> None:
    """Write encode @ components + shift into the first channels of a layer."""
    used = len(encode)
    weight[:used] = (encode @ decode).to(weight.dtype)
    if bias is not None:
        bias.zero_()
        bias[:used] = (shift - encode @ offset).to(bias.dtype)
