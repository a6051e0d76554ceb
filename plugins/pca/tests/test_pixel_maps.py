"""A pixel's result depends on the pixel alone, to the last bit; with gradients it is the same."""

import itertools

import pytest
import torch
from torch.nn.functional import leaky_relu

from specloom import LazyAffine
from specloom.testing import fit, run
from specloom_pca.pca import TrainablePCA
from specloom_pca.pixel_maps import map_pixels, to_channels_last


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def chain(widths, dtype, bias=True):
    pairs = itertools.pairwise(widths)
    return [
        (random(b, a, seed=i, dtype=dtype), random(b, seed=9, dtype=dtype) if bias else None)
        for i, (a, b) in enumerate(pairs)
    ]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "widths",
    [[1, 1], [2, 1], [3, 2], [16, 3], [31, 5], [61, 3], [61, 16, 8, 3], [189, 7], [64, 61]],
)
def test_place_batch_and_tile_change_no_bit(widths, dtype, threads):
    layers = chain(widths, dtype)
    data = random(2, 69, 83, widths[0]) + 2

    def mapped(cubes):
        return to_channels_last(map_pixels(cubes, layers, 0.1), cubes)

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = mapped(data)
        assert whole.shape == (2, 69, 83, widths[-1])
        for image in range(2):
            assert torch.equal(mapped(data[image : image + 1])[0], whole[image])
        for rows, columns in ((slice(1, 68), slice(3, 83)), (slice(5, 6), slice(82, 83))):
            assert torch.equal(mapped(data[:, rows, columns]), whole[:, rows, columns])
        assert torch.equal(mapped(data.flip(0, 1, 2)), whole.flip(0, 1, 2))
        sequential = data.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        assert torch.equal(mapped(sequential), whole)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
def test_equals_the_plain_formula_with_and_without_gradients(slope, bias):
    layers = chain([20, 7, 5, 2], torch.float64, bias)
    data = random(2, 9, 11, 20)
    want = data.double()
    for i, (matrix, offset) in enumerate(layers):
        want = (leaky_relu(want, slope) if i else want) @ matrix.T
        want = want if offset is None else want + offset
    want = want.float().flatten(1, 2).mT
    torch.testing.assert_close(map_pixels(data, layers, slope), want)
    tracked = map_pixels(data.clone().requires_grad_(), layers, slope)
    assert tracked.requires_grad
    torch.testing.assert_close(tracked.detach(), want)


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_pixel_that_is_not_finite_is_lost_alone(value, tracked):
    layers = chain([6, 4, 3], torch.float32)
    for matrix, _ in layers:
        matrix[:, 2] = 0  # also in a band that nothing reads
        matrix.requires_grad_(tracked)
    data = random(1, 5, 5, 6)
    clean = map_pixels(data, layers, 0.1)
    data[0, 1, 1, 2] = value
    made = map_pixels(data, layers, 0.1)
    assert made[..., 6].isnan().all()
    others = torch.arange(25) != 6
    assert torch.equal(made[..., others], clean[..., others])
    if tracked:
        torch.where(made.isnan(), 0, made).square().sum().backward()
        assert all(matrix.grad.isfinite().all() for matrix, _ in layers)


def test_gradients_are_those_of_finite_differences():
    layers = chain([5, 4, 3], torch.float64)
    data = random(1, 2, 3, 5, dtype=torch.float64).requires_grad_()
    parts = [part.requires_grad_() for layer in layers for part in layer]

    def mapped(cubes, a, b, c, d):
        return map_pixels(cubes, [(a, b), (c, d)], 0.1)

    assert torch.autograd.gradcheck(mapped, (data, *parts))


def test_an_empty_batch_gives_an_empty_result():
    layers = chain([5, 3], torch.float64)
    assert map_pixels(torch.zeros(0, 4, 4, 5), layers).shape == (0, 3, 16)


@pytest.mark.parametrize("whiten", [False, True])
def test_a_mapped_cube_projects_as_the_values_it_stands_for(whiten):
    raw = random(2, 20, 20, 7).double()
    scale = torch.linspace(-2, 3, 7, dtype=torch.float64)
    scale[3] = 0
    offset = torch.linspace(-5, 1e4, 7, dtype=torch.float64)
    mapped = raw * scale + offset
    node = fit(TrainablePCA(3, whiten=whiten, num_channels=7), [{"data": mapped}])
    got = run(node, {"data": LazyAffine(raw.float(), scale, offset, torch.float32)})
    want = run(node, {"data": mapped})
    torch.testing.assert_close(got["projected"].double(), want["projected"], rtol=1e-5, atol=1e-5)


def test_the_gradient_goes_through_a_mapped_cube():
    raw = random(1, 2, 3, 4).double()
    layers = chain([4, 3, 2], torch.float64)

    def mapped(scale, offset):
        return map_pixels(LazyAffine(raw, scale, offset, raw.dtype), layers, 0.1)

    ends = torch.tensor([0.5, 2.0, -1.0, 3.0]), torch.tensor([0.1, 1.0, -2.0, 0.0])
    ends = [one.double().requires_grad_() for one in ends]
    assert torch.autograd.gradcheck(mapped, ends)
    want = map_pixels(raw * ends[0] + ends[1], layers, 0.1)
    torch.testing.assert_close(mapped(*ends), want, rtol=1e-9, atol=1e-9)


def test_mixed_in_float32_a_mapped_cube_keeps_its_digits():
    raw = 1e4 + random(1, 8, 8, 4)
    scale, offset = torch.tensor(0.5).double(), torch.tensor(-0.5e4).double()
    layers = chain([4, 3], torch.float32)
    got = map_pixels(LazyAffine(raw, scale, offset, raw.dtype), layers)
    want = map_pixels(raw.double() * scale + offset, [(a.double(), b.double()) for a, b in layers])
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-5)


def test_unfrozen_mean_and_directions_learn():
    data = random(1, 12, 12, 6)
    node = fit(TrainablePCA(2, num_channels=6), [{"data": data}])
    frozen = run(node, {"data": data})
    node.unfreeze()
    assert [name for name, _ in node.named_parameters()] == ["center", "directions"]
    node.train()
    made = node(data=data)
    torch.testing.assert_close(made["projected"].detach(), frozen["projected"])
    optimizer = torch.optim.SGD(node.parameters(), lr=0.1)
    loss = (made["projected"] - 1).square().mean() + made["components"].square().sum()
    loss.backward()
    optimizer.step()
    assert (node.center.grad.abs() > 0).any()
    assert (node.directions.grad.abs() > 0).all()
    node.freeze()
    trained = run(node, {"data": data})["projected"]
    assert not torch.equal(trained, frozen["projected"])
    twin = TrainablePCA(2, num_channels=6)
    twin.restore(node.state())
    assert torch.equal(run(twin, {"data": data})["projected"], trained)
    again = run(fit(node, [{"data": data}]), {"data": data})
    assert torch.equal(again["projected"], frozen["projected"])


def test_narrow_products_where_wide_ones_depend_on_the_row(monkeypatch):
    from specloom_pca import pixel_maps as module

    layers = chain([61, 16, 8, 3], torch.float64)
    data = random(2, 20, 30, 61, dtype=torch.float64)
    usual = map_pixels(data, layers, 0.1)
    computed = []

    def never(shape, columns, dtype):
        computed.append(columns)
        return False

    monkeypatch.setattr(module, "_same_for_every_row", never)
    assert torch.allclose(map_pixels(data, layers, 0.1), usual, rtol=1e-13, atol=1e-12)
    assert {16, 8, 4} == set(computed)
