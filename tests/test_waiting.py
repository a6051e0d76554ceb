"""On a GPU no statistic waits for a result in the middle of a pass."""

from __future__ import annotations

import pytest
import torch

from specloom.testing.device import Watch
from specloom_normalize import MinMaxNormalizer
from specloom_pca import TrainablePCA
from specloom_rx import RXGlobal
from specloom_selectors import SoftChannelSelector
from specloom_statistics import Moments, RunningExtremes, RunningVariance

BANDS = 7


def pixels():
    generator = torch.Generator().manual_seed(3)
    rows = 100 + 3 * torch.randn(5000, BANDS, generator=generator)
    rows[1010, 2] = torch.nan
    rows[4000] = torch.inf
    return rows, torch.rand(5000, generator=generator) > 0.2


def watched(statistics, rows, keep):
    """What waits in a pass as on a GPU, but for the first rows, from which the shift is taken."""
    statistics._may_wait = False
    statistics.update(rows[:128], keep[:128])
    with Watch() as watch:
        statistics.update(rows[128:], keep[128:])
    return watch.seen


@pytest.mark.parametrize("cls", [Moments, RunningVariance])
def test_sums_are_those_with_waiting(cls):
    rows, keep = pixels()
    expected = cls(BANDS)
    expected.update(rows, keep)
    found = cls(BANDS)
    assert watched(found, rows, keep) == set()
    assert (found.count, found.left_out) == (expected.count, expected.left_out)
    assert found.left_out > 900
    for name, value in expected.state().items():
        torch.testing.assert_close(found.state()[name], value, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("per_channel", [True, False])
def test_extremes_are_those_with_waiting(per_channel):
    rows, keep = pixels()
    expected = RunningExtremes(BANDS, per_channel=per_channel)
    expected.update(rows, keep)
    found = RunningExtremes(BANDS, per_channel=per_channel)
    assert watched(found, rows, keep) == set()
    assert (found.count, found.left_out) == (expected.count, expected.left_out)
    assert torch.equal(found.low, expected.low)
    assert torch.equal(found.high, expected.high)


@pytest.mark.parametrize(
    "node",
    [
        RXGlobal(),
        TrainablePCA(n_components=3),
        SoftChannelSelector(n_select=3, init_method="variance"),
        MinMaxNormalizer(),
    ],
    ids=lambda node: type(node).__name__,
)
def test_fits_of_nodes_do_not_wait(node):
    rows, keep = pixels()
    cube = rows.view(1, 50, 100, BANDS)
    valid = keep.view(1, 50, 100, 1)
    ports = dict.fromkeys(("num_channels", "input_channels", "C", "n_features"), BANDS)
    node.build({**ports, "H": 50, "W": 100, "B": 1})
    node.fit_start(0)
    statistics = node.statistics()
    for part in (statistics, getattr(statistics, "extremes", statistics)):
        part._may_wait = False
    node.fit_update(cube, valid)
    with Watch() as watch:
        node.fit_update(cube, valid)
    assert watch.seen == set()
    node.fit_end()
    assert node.fitted
