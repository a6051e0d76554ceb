"""Minimum and maximum in blocks are those of NumPy over the usable rows, whatever their number."""

import numpy as np
import pytest
import torch

from specloom_statistics import RunningExtremes
from specloom_statistics import extremes as module
from specloom_statistics.extremes import ABREAST, DEEP


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("count", [1, 3, ABREAST * DEEP, 2 * ABREAST * DEEP + 5, 9001])
@pytest.mark.parametrize("spoilt", [(), (0,), (0, -1)])
@pytest.mark.parametrize("mask", ["none", "all", "some", "empty"])
def test_the_extremes_are_those_of_the_usable_rows(monkeypatch, per_channel, count, spoilt, mask):
    monkeypatch.setattr(module, "BLOCK_VALUES", 1 << 14)  # several blocks
    monkeypatch.setattr(module, "NATIVE_BLOCK_VALUES", 1 << 14)
    random = np.random.default_rng(count)
    rows = random.normal(size=(count, 7)).astype(np.float32)
    share = {"some": 0.7, "empty": 0.0}.get(mask, 1.0)
    keep = random.random(count) < share
    for row, value in zip(spoilt, (np.nan, np.inf), strict=False):
        rows[row, row] = value
    usable = rows[keep & np.isfinite(rows).all(1)]
    found = RunningExtremes(7, per_channel=per_channel)
    found.update(torch.from_numpy(rows), None if mask == "none" else torch.from_numpy(keep))
    assert (found.count, found.left_out) == (len(usable), count - len(usable))
    axis = 0 if per_channel else None
    assert np.array_equal(found.low.numpy(), usable.min(axis, initial=np.inf))
    assert np.array_equal(found.high.numpy(), usable.max(axis, initial=-np.inf))


@pytest.mark.parametrize("per_channel", [False, True])
def test_merging_the_parts_equals_one_stream(per_channel):
    rows = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0))
    rows[10] = torch.nan
    whole, merged = (RunningExtremes(5, per_channel=per_channel) for _ in range(2))
    whole.update(rows)
    for part in rows.split(300):
        found = RunningExtremes(5, per_channel=per_channel)
        found.update(part)
        merged.merge(found.state())
    for name, value in whole.state().items():
        assert torch.equal(merged.state()[name], value)
