"""On a device, the fit of a target looks at no result in the middle of a pass."""

import pytest
import torch

from specloom_statistics import Moments, RunningVariance
from specloom_targets import ACE, CEM, MatchedFilter, SpectralAngle, SpectralInformationDivergence
from specloom_targets.accumulator import TargetStatistics

BANDS = 4
META = torch.device("meta")
"""Its tensors have no values that could be waited for."""


def batch(device="cpu", offset=20.0):
    generator = torch.Generator().manual_seed(0)
    data = offset + torch.rand(2, 6, 5, BANDS, generator=generator)
    valid = torch.rand(2, 6, 5, 1, generator=generator) < 0.9
    mask = torch.rand(2, 6, 5, 1, generator=generator) < 0.3
    return {"data": data.to(device), "valid": valid.to(device), "mask": mask.to(device)}


@pytest.mark.parametrize(
    "cls", [ACE, CEM, MatchedFilter, SpectralAngle, SpectralInformationDivergence]
)
def test_no_block_is_waited_for(cls):
    node = cls(num_channels=BANDS)
    node.build({"num_channels": BANDS, "B": 2})
    node = node.to(META)
    node.fit_start(0)
    statistics = node.statistics()
    # The first rows of a fit are looked at once, for the shift of its sums.
    shifted = Moments(BANDS, META)
    shifted._shift = torch.empty(BANDS, dtype=torch.float64, device=META)
    statistics.background.share_shift(shifted)
    for _ in range(2):
        node.fit_update(**batch(META))
    assert statistics.target.has_shift


@pytest.mark.parametrize("kind", [Moments, RunningVariance])
def test_the_target_may_have_the_shift_of_the_background(kind):
    values = batch()
    target = values["mask"].reshape(-1)
    shared = TargetStatistics(kind(BANDS, "cpu"), BANDS, torch.device("cpu"))
    own = TargetStatistics(kind(BANDS, "cpu"), BANDS, torch.device("cpu"))
    shared.background.update(values["data"], ~target)
    shared.target.share_shift(shared.background)
    shared.target.update(values["data"], target)
    own.update(values["data"], ~target, target)
    assert shared.target.count == own.target.count == int(target.sum())
    torch.testing.assert_close(shared.target.mean(), own.target.mean(), rtol=1e-14, atol=0)


def test_values_below_epsilon_are_counted_where_pixels_are_valid():
    node = SpectralInformationDivergence(num_channels=BANDS)
    node.build({"num_channels": BANDS, "B": 2})
    values = batch()
    values["data"][0, 0, :, 1] = 0
    values["valid"][0, 0, :2] = False
    values["valid"][0, 0, 2:] = True
    values["data"][0, 0, 4] = torch.nan
    node.fit_start(0)
    node.fit_update(**values)
    assert int(node.statistics().floored) == 2
    state = node.statistics().state()
    node.statistics().merge(state)
    assert int(node.statistics().floored) == 4
