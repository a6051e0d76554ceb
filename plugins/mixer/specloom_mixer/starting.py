"""The first weights of a mixer: random, zero, or principal components carried to the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def drawn(weight: Tensor, method: str, slope: float, generator: torch.Generator) -> Tensor:
    """A first value for a ``weight`` (out, in), drawn on the CPU.

    Sources: X. Glorot, Y. Bengio, AISTATS 2010, eq. 16 (``xavier``); K. He et al., ICCV 2015,
    eq. 14 (``kaiming``).

    Args:
        weight: What to draw for.
        method: ``kaiming``, ``zeros``; anything else is ``xavier``.
        slope: Of the LeakyReLU behind it; 1 for none.
        generator: Where the numbers come from.
    """
    made = torch.zeros(weight.shape)
    if method == "kaiming":
        nn.init.kaiming_uniform_(made, a=slope, generator=generator)
    elif method != "zeros":
        nn.init.xavier_uniform_(made, generator=generator)
    return made


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


def carry(
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
    # The components are decode @ (what the layer is given) - offset.
    decode, offset = rows, rows @ mean
    for i, (weight, bias) in enumerate(layers):
        last = i == len(layers) - 1
        paired = shift is None and not last
        lift = 0.0 if shift is None or last else shift
        count = min(len(decode), len(weight) // 2 if paired else len(weight))
        encode = torch.eye(count, dtype=rows.dtype, device=rows.device)
        encode = torch.cat([encode, -encode]) if paired else encode
        used = len(encode)
        weight[:used] = (encode @ decode[:count]).to(weight.dtype)
        if last:
            weight[used:] = 0
        if bias is not None:
            bias.zero_()
            bias[:used] = (lift - encode @ offset[:count]).to(bias.dtype)
        decode = rows.new_zeros(count, len(weight))
        decode[:, :used] = encode.T / (1 + slope if paired else 1)
        offset = rows.new_full((count,), lift)
