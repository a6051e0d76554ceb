"""Limits of the training data."""

import numpy as np
import pytest
import torch

from specloom import ConfigError, NodeError
from specloom.testing import failures_of, fit, run
from specloom_normalize.min_max import MinMaxNormalizer


class PerBand(MinMaxNormalizer):
    """Found by ``failures_of``: the kit runs on these parameters."""

    example = {"per_channel": True, "clip": True}


class ByQuantiles(MinMaxNormalizer):
    """The same with quantiles."""

    example = {"quantiles": (0.1, 0.9), "per_channel": True}


def made(bands=5, **params):
    node = MinMaxNormalizer(**params)
    node.build({"C": bands})
    return node


def cubes(*shape, offset=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return offset + torch.randn(*shape, generator=generator) * torch.arange(1, shape[-1] + 1)


def normalized(node, data):
    return run(node, {"data": data})["normalized"]


@pytest.mark.parametrize("cls", [PerBand, ByQuantiles])
def test_the_kit_finds_nothing_with_other_parameters(cls):
    assert failures_of(cls) == {}


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("shape", [(3, 7, 9, 5), (2, 300, 301, 5)])
def test_the_range_becomes_0_to_1(offset, per_channel, shape):
    data = cubes(*shape, offset=offset)
    node = fit(made(per_channel=per_channel), [{"data": data[:1]}, {"data": data[1:]}])
    exact = data.double().numpy()
    axes = (0, 1, 2) if per_channel else None
    low, high = exact.min(axes), exact.max(axes)
    got = normalized(node, data)
    np.testing.assert_allclose(got, (exact - low) / (high - low), rtol=1e-6, atol=1e-9)
    assert (got.amin((0, 1, 2)) == 0).any()
    assert (got.amax((0, 1, 2)) == 1).any()
    assert node.pixels == data[..., 0].numel()


def test_constant_data_give_zero():
    data = torch.full((1, 4, 4, 3), 7.0)
    assert (normalized(fit(made(3), [{"data": data}]), data) == 0).all()
    data = cubes(1, 4, 4, 3)
    data[..., 1] = 7.0
    got = normalized(fit(made(3, per_channel=True), [{"data": data}]), data)
    assert (got[..., 1] == 0).all()
    assert got[..., 0].max() == 1


@pytest.mark.parametrize("unit", [1.0, 1e-12, 1e6])
@pytest.mark.parametrize("running", [True, False])
def test_eps_is_a_share_of_the_range_of_all_bands(unit, running):
    data = unit * torch.tensor([[0.0, 0.0], [1.0, 1e-3]]).view(1, 1, 2, 2)
    params = {"per_channel": True, "use_running_stats": running}
    scaled = normalized(fit(made(2, **params), [{"data": data}]), data)
    torch.testing.assert_close(scaled[0, 0, 1], torch.tensor([1.0, 1.0]))
    scaled = normalized(fit(made(2, eps=0.1, **params), [{"data": data}]), data)
    torch.testing.assert_close(scaled[0, 0, 1], torch.tensor([1.0, 0.01]))


@pytest.mark.parametrize("params", [{}, {"per_channel": True}, {"use_running_stats": False}])
def test_radiance_in_a_small_unit_gives_the_same(params):
    data = cubes(2, 8, 9, 5)
    want = normalized(fit(made(**params), [{"data": data}]), data)
    tiny = data * 1e-12
    node = fit(made(**params), [{"data": tiny}])
    torch.testing.assert_close(normalized(node, tiny), want, rtol=1e-5, atol=1e-6)
    lazy = node.forward_lazy(tiny)["normalized"]
    if node.use_running_stats:
        lazy = as_tensor(lazy)
    torch.testing.assert_close(lazy, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("params", [{}, {"per_channel": True}, {"quantiles": (0.0, 1.0)}])
def test_unusable_pixels_do_not_set_the_limits(params):
    data = cubes(2, 40, 40, 5)
    clean = fit(made(**params), [{"data": data[:, 3:]}])
    valid = torch.ones(2, 40, 40, 1, dtype=torch.bool)
    data[:, 0, :, 2], data[:, 1, :, 0] = float("nan"), -float("inf")
    data[:, :2, :, 1] = 1e9
    data[:, 2], valid[:, 2] = -1e9, False
    node = fit(made(**params), [{"data": data, "valid": valid}])
    assert torch.equal(node.low, clean.low)
    assert torch.equal(node.high, clean.high)
    assert node.pixels == clean.pixels
    assert f"{clean.pixels} pixels (240 excluded)" in node.fit_summary()
    got = normalized(node, data)
    assert got[:, 0, :, 2].isnan().all()
    assert torch.equal(got[:, 3:], normalized(clean, data[:, 3:]))


def test_clip_limits_numbers_and_hides_no_infinity():
    node = fit(made(1, clip=True), [{"data": torch.tensor([0.0, 2.0]).view(1, 1, 2, 1)}])
    inf, nan = float("inf"), float("nan")
    got = normalized(node, torch.tensor([-1.0, 0.5, 3.0, inf, -inf, nan]).view(1, 1, 6, 1))
    want = torch.tensor([0.0, 0.25, 1.0, nan, nan, nan]).view(1, 1, 6, 1)
    torch.testing.assert_close(got, want, equal_nan=True)
    tracked = node(data=torch.tensor([[[[3.0]], [[inf]]]]).requires_grad_())["normalized"]
    torch.testing.assert_close(tracked.detach().flatten(), torch.tensor([1.0, nan]), equal_nan=True)


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_map_is_affine(per_channel):
    data = cubes(2, 9, 9, 5, offset=100)
    node = fit(made(per_channel=per_channel), [{"data": data}])
    mapped = node.forward_lazy(data)["normalized"]
    assert mapped.data is data
    assert mapped.dtype == torch.float32
    assert mapped.scale.dtype == mapped.offset.dtype == torch.float64
    values = mapped.scale * data.double() + mapped.offset
    torch.testing.assert_close(normalized(node, data).double(), values, rtol=1e-6, atol=1e-6)


def test_where_the_map_is_not_affine():
    data = cubes(1, 3, 3, 5)
    for node in (fit(made(clip=True), [{"data": data}]), made(use_running_stats=False)):
        assert torch.equal(node.forward_lazy(data)["normalized"], normalized(node, data))


def test_other_memory_layouts_and_gradients_give_the_same():
    data = cubes(2, 9, 9, 5)
    for per_channel in (False, True):
        node = fit(made(per_channel=per_channel), [{"data": data}])
        sequential = data.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        want = normalized(node, data)
        assert torch.equal(normalized(node, sequential), want)
        assert torch.equal(node(data=data.clone().requires_grad_())["normalized"].detach(), want)


def test_an_unfitted_node_refuses_to_run():
    with pytest.raises(NodeError, match="MinMaxNormalizer is not fitted"):
        made()(data=cubes(1, 3, 3, 5))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"eps": 0.0}, r"eps is 0\.0"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"quantiles": (0.9, 0.1)}, r"quantiles are \(0\.9, 0\.1\)"),
        ({"quantiles": (0.0, 1.5)}, r"quantiles are \(0\.0, 1\.5\)"),
    ],
)
def test_wrong_parameters_are_refused(wrong, text):
    with pytest.raises(ConfigError, match=f"MinMaxNormalizer: {text}"):
        made(**wrong)


def test_what_is_kept_between_batches_follows_the_limits():
    data = cubes(1, 3, 4, 5)
    node = fit(made(), [{"data": data}])
    first, state = normalized(node, data), {k: v.clone() for k, v in node.state().items()}
    torch.testing.assert_close(normalized(node, data.double()).float(), first)
    node.high.add_(node.high - node.low)
    torch.testing.assert_close(normalized(node, data), first / 2)
    torch.testing.assert_close(as_tensor(node.forward_lazy(data)["normalized"]), first / 2)
    node.restore(state)
    assert torch.equal(normalized(node, data), first)
    node.eps = 2.0
    torch.testing.assert_close(normalized(node, data), first / 2)
    fit(node, [{"data": data * 3}])
    node.eps = 1e-6
    assert torch.equal(
        normalized(node, data * 3), normalized(fit(made(), [{"data": data * 3}]), data * 3)
    )


def test_what_is_kept_under_inference_mode_can_be_trained_with():
    data = cubes(1, 3, 4, 5)
    node = fit(made(), [{"data": data}])
    with torch.inference_mode():
        before = normalized(node, data)
    learned = data.clone().requires_grad_()
    after = node.forward(learned)["normalized"]
    after.square().sum().backward()
    torch.testing.assert_close(after.detach(), before)
    torch.testing.assert_close(learned.grad, 2 * before / (node.high - node.low).float())
    weights = torch.ones(5, requires_grad=True)
    forward_lazy = node.forward_lazy(data)["normalized"]
    (forward_lazy.scale * weights.double()).sum().backward()
    assert weights.grad is not None


def as_tensor(forward_lazy):
    return (forward_lazy.data * forward_lazy.scale + forward_lazy.offset).to(forward_lazy.dtype)
