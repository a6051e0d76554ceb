"""Minimum and maximum in blocks are those of NumPy over the usable rows, whatever their number."""

import numpy as np
import pytest
import torch

from specloom_normalize import extremes as module
from specloom_normalize.extremes import ABREAST, DEEP, extremes


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("count", [1, 3, ABREAST * DEEP, 2 * ABREAST * DEEP + 5, 9001])
@pytest.mark.parametrize("spoilt", [(), (0,), (0, -1)])
@pytest.mark.parametrize("kept", ["none", "all", "some"])
def test_the_limits_are_those_of_the_usable_rows(monkeypatch, per_channel, count, spoilt, kept):
    monkeypatch.setattr(module, "BLOCK", 1 << 14)  # several blocks
    random = np.random.default_rng(count)
    rows = random.normal(size=(count, 7)).astype(np.float32)
    keep = random.random(count) < 0.7 if kept == "some" else np.ones(count, bool)
    for row, value in zip(spoilt, (np.nan, np.inf), strict=False):
        rows[row, row] = value
    usable = rows[keep & np.isfinite(rows).all(1)]
    marks = None if kept == "none" else torch.from_numpy(keep)
    low, high, found = extremes(torch.from_numpy(rows), marks, per_channel=per_channel)
    assert found == len(usable)
    axis = 0 if per_channel else None
    assert np.array_equal(low.numpy(), usable.min(axis, initial=np.inf))
    assert np.array_equal(high.numpy(), usable.max(axis, initial=-np.inf))
