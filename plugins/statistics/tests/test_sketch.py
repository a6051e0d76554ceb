"""Quantiles by counts in bins: within the width of two bins, and the same for any split."""

import math

import pytest
import torch

from specloom_statistics import QuantileSketch


def numbers(count=20_000):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, generator=generator, dtype=torch.float64).exp() * 50


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999, 1.0])
def test_the_bound_is_at_most_two_bins_above_the_quantile(share):
    values = numbers()
    sketch = QuantileSketch()
    sketch.update(values)
    rank = max(math.ceil(share * len(values)), 1)
    exact = float(values.sort().values[rank - 1])
    bound = sketch.upper_bound(share)
    assert exact < bound <= exact * (1 + 2**-13)
    assert float((values <= bound).double().mean()) >= share


def test_any_split_and_order_have_the_same_bits():
    values = numbers()
    whole = QuantileSketch()
    whole.update(values)
    merged = QuantileSketch()
    for part in (values[15_000:], values[:2], values[2:15_000]):
        other = QuantileSketch()
        other.update(part.flip(0))
        merged.merge(other.state())
    assert merged.count == whole.count == 20_000
    for name, tensor in whole.state().items():
        assert torch.equal(merged.state()[name], tensor)
    assert merged.upper_bound(0.3) == whole.upper_bound(0.3)


def test_numbers_out_of_range_and_nan():
    sketch = QuantileSketch()
    with pytest.raises(ValueError, match="a quantile of no numbers"):
        sketch.upper_bound(0.5)
    values = torch.tensor([0.0, 1e-300, math.nan, 1e30, math.inf, 5.0])
    keep = torch.tensor([True, True, True, True, True, False])
    sketch.update(values, keep)
    assert sketch.count == 4
    assert 0 < sketch.upper_bound(0.5) < 2**-31
    assert sketch.upper_bound(0.75) == math.inf


def test_equal_numbers_that_differ_by_rounding_lie_on_one_side():
    for number in (1.0, 3.7, 1024.0):
        sketch = QuantileSketch()
        values = torch.full((10,), number, dtype=torch.float64)
        values[4:] *= 1 - 1e-15
        sketch.update(values)
        assert bool((values <= sketch.upper_bound(0.1)).all())
