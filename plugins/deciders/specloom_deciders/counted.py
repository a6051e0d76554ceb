"""Which pixels deciders decide, and thresholds that compare as the float32 scores do."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from specloom import LazyMonotone

CANDIDATES = 64
"""So many numbers are tried together."""

INTEGERS = {torch.float64: np.int64, torch.float32: np.int32, torch.float16: np.int16}
"""By the type of numbers, that of as many bits."""


def counted_scores(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Scores (B, H, W, 1) as float32, NaN where they are not ``valid``."""
    counted = scores.float()
    if valid is None:
        return counted
    return counted.masked_fill(~valid, math.nan)


def float32_at_least(value: float) -> float:
    """The smallest float32 that is at least ``value``."""
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        rounded = np.float32(value)
        if float(rounded) < value:
            rounded = np.nextafter(rounded, np.float32(math.inf))
    return float(rounded)


def least_argument(lazy: LazyMonotone, bound: float) -> float | None:
    """The smallest number whose function value, as float32, is at least ``bound``.

    A number reaches the bound exactly where it is at least this one. It is NaN where no number
    reaches the bound, and None where the type of the numbers has no such search.
    """
    dtype = lazy.data.dtype
    if dtype not in INTEGERS:
        return None
    return _least_argument(lazy.function, bound, dtype, lazy.data.device)


@lru_cache(maxsize=64)
def _least_argument(
    function: Callable[[Tensor], Tensor], bound: float, dtype: torch.dtype, device: torch.device
) -> float:
    """As ``least_argument``, found by halving the sequence of all numbers of a type."""
    largest = int(np.asarray(math.inf, _array_type(dtype)).view(INTEGERS[dtype]))

    def first_of(places: list[int]) -> int:
        """The index of the first number that reaches the bound; their count where none does."""
        numbers = _numbers_at(places, dtype).to(device)
        reached = (function(numbers).float() >= bound).tolist()
        return reached.index(True) if True in reached else len(places)

    below = -largest - 1  # no number is here
    reaching = largest
    if first_of([reaching]):
        return math.nan
    while reaching - below > 1:
        step = max((reaching - below) // CANDIDATES, 1)
        places = list(range(below + step, reaching, step))
        first = first_of(places)
        if first < len(places):
            reaching = places[first]
        if first > 0:
            below = places[first - 1]
    return _numbers_at([reaching], dtype).item()


def _array_type(dtype: torch.dtype) -> type[np.floating]:
    """The type of NumPy with the numbers of one of torch."""
    return torch.empty(0, dtype=dtype).numpy().dtype.type


def _numbers_at(places: list[int], dtype: torch.dtype) -> Tensor:
    """The numbers at some places of the sequence of all numbers, of which the zeros are at 0."""
    bits = np.abs(np.array(places, np.int64)).astype(INTEGERS[dtype])
    magnitudes = torch.from_numpy(bits.view(_array_type(dtype)))
    return torch.where(torch.tensor(places) < 0, -magnitudes, magnitudes)
