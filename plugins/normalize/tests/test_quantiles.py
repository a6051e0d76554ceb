"""Limits by quantiles, from a sample that does not depend on the order of the data."""

import numpy as np
import pytest
import torch

from specloom.testing import fit, fit_shares, run
from specloom_normalize.min_max import MinMaxNormalizer
from specloom_statistics import PixelSample


def made(bands=5, **params):
    node = MinMaxNormalizer(**params)
    node.build({"C": bands})
    return node


def cubes(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("share", [(0.01, 0.99), (0.0, 1.0), (0.25, 0.5)])
def test_few_pixels_give_exact_quantiles(per_channel, share):
    data = cubes(3, 20, 20, 5)
    node = fit(made(quantiles=share, per_channel=per_channel), [{"data": data}])
    exact = data.double().numpy().reshape(-1, 5)
    want = np.quantile(exact, share, axis=0 if per_channel else None)
    np.testing.assert_allclose(node.low, want[0], rtol=1e-7)
    np.testing.assert_allclose(node.high, want[1], rtol=1e-7)


def test_hot_pixels_do_not_move_the_limits():
    data = cubes(2, 100, 100, 5)
    cool = fit(made(quantiles=(0.01, 0.99)), [{"data": data}])
    data[0, 0, :3] = 1e9
    hot = fit(made(quantiles=(0.01, 0.99)), [{"data": data}])
    assert abs(float(hot.high - cool.high)) < 0.02
    got = run(hot, {"data": data})["normalized"]
    assert got[0, 1:].min() < 0 < 1 < got[0, 1:].max()


def test_many_pixels_give_quantiles_of_a_sample():
    drawn = PixelSample(3, size=4096)
    data = cubes(8, 100, 100, 3)
    for image in data:
        drawn.update(image.reshape(-1, 3))
    state = drawn.state()
    assert state["rows"].shape == (4096, 3)
    for share in (0.01, 0.5, 0.99):
        found = drawn.quantiles(share, 1.0, per_channel=True)[0]
        rank = (data.reshape(-1, 3) <= found).double().mean(0)
        assert (rank - share).abs().max() < 5 * (share * (1 - share) / 4096) ** 0.5


def test_a_common_value_keeps_its_share():
    data = cubes(4, 100, 100, 1).abs() + 1
    data[torch.rand(4, 100, 100, generator=torch.Generator().manual_seed(1)) < 0.7] = 0
    drawn = PixelSample(1, size=4096)
    for image in data:
        drawn.update(image.reshape(-1, 1))
    share = (drawn.state()["rows"] == 0).double().mean()
    assert abs(float(share) - 0.7) < 0.03


def test_order_batch_size_and_processes_change_no_bit():
    data = cubes(6, 100, 100, 2)
    params = {"quantiles": (0.001, 0.999), "per_channel": True}
    whole = fit(made(2, **params), [{"data": data}])
    single = [{"data": data[i : i + 1]} for i in (3, 0, 5, 1, 4, 2)]
    left, right = made(2, **params), made(2, **params)
    fit_shares([left, right], [single[:1], single[1:]])
    for node in (fit(made(2, **params), single), left, right):
        assert torch.equal(node.low, whole.low)
        assert torch.equal(node.high, whole.high)
        assert node.pixels == 60_000


def test_without_quantiles_nothing_is_sampled():
    node = made()
    node.fit_start(0)
    node.fit_update(data=cubes(1, 4, 4, 5))
    assert set(node.fit_state()) == {"low", "high", "counts"}
