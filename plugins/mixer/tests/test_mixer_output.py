"""What comes out of a mixer: its range, and what a pixel depends on."""

import pytest
import torch
from torch.nn.functional import conv2d, leaky_relu

from specloom.testing import fit, run
from specloom_mixer.mixer import LearnableChannelMixer
from specloom_mixer.stretching import stretch_to_unit


def cubes(seed=0, batch=3, bands=61):
    return torch.rand(batch, 37, 53, bands, generator=torch.Generator().manual_seed(seed)) + 1


def mixer(method="xavier", **params):
    options = {"reduction_scheme": [61, 16, 8, 3], "init_method": method, **params}
    node = LearnableChannelMixer(61, 3, **options)
    return fit(node, [{"data": cubes()}]) if node.requires_initial_fit else node


def rgb(node, data):
    return run(node, {"data": data})["rgb"]


def convolved(node, data, slope, stretch=True):
    """The definition: 1 x 1 convolutions of images with channels first."""
    values = data.permute(0, 3, 1, 2)
    for i in range(3):
        weight, bias = getattr(node, f"weight_{i}"), getattr(node, f"bias_{i}", None)
        values = conv2d(leaky_relu(values, slope) if i else values, weight[..., None, None], bias)
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    values = (values - low) / (high - low).clamp(min=1e-6) if stretch else values
    return values.permute(0, 2, 3, 1)


@pytest.mark.parametrize("method", ["xavier", "kaiming", "pca"])
@pytest.mark.parametrize("slope", [0.01, 0.3])
def test_equals_one_by_one_convolutions(method, slope):
    node = mixer(method, leaky_relu_negative_slope=slope)
    want = convolved(node, cubes(1), slope)
    torch.testing.assert_close(rgb(node, cubes(1)), want, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        node(data=cubes(1).requires_grad_())["rgb"].detach(), want, rtol=0, atol=1e-4
    )


def test_switches_do_what_they_say():
    node = mixer(use_activation=False, use_bias=False, normalize_output=False)
    assert sorted(node.state()) == ["fitted", "pixels", "weight_0", "weight_1", "weight_2"]
    torch.testing.assert_close(rgb(node, cubes()), convolved(node, cubes(), 1.0, stretch=False))
    assert node.locality == "pixel"
    assert mixer().locality == "image"


@pytest.mark.parametrize("method", ["xavier", "kaiming", "pca"])
def test_each_channel_of_each_image_fills_the_range(method):
    made = rgb(mixer(method), cubes(1))
    assert (made.amin((1, 2)) == 0).all()
    assert (made.amax((1, 2)) == 1).all()


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", ["xavier", "pca"])
def test_a_batch_equals_its_images_bit_for_bit(method, normalize):
    node, data = mixer(method, normalize_output=normalize), cubes(1)
    whole = rgb(node, data)
    for image in range(3):
        assert torch.equal(rgb(node, data[image : image + 1])[0], whole[image])
    assert torch.equal(rgb(node, data.flip(1, 2)), whole.flip(1, 2))
    if not normalize:
        assert torch.equal(rgb(node, data[:, 3:9, 5:]), whole[:, 3:9, 5:])


@pytest.mark.parametrize("method", ["xavier", "kaiming", "pca", "zeros"])
def test_a_constant_image_gives_zeros(method):
    node, data = mixer(method), cubes()
    data[1] = torch.linspace(0.1, 5000, 61)
    assert (rgb(node, data)[1] == 0).all()


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("method", ["xavier", "pca"])
def test_a_pixel_that_is_not_finite_is_lost_alone(method, value, tracked):
    node, data = mixer(method), cubes(1)
    data[0, 2, 3, 7] = value
    data[2, ..., 60] = value
    if tracked:
        node.unfreeze()
        made = node(data=data)["rgb"]
        torch.where(made.isnan(), 0, made).square().sum().backward()
        assert all(one.grad.isfinite().all() for one in node.parameters())
        made = made.detach()
    else:
        made = rgb(node, data)
    assert made[0, 2, 3].isnan().all()
    assert made[2].isnan().all()
    assert int(made[:2].isnan().sum()) == 3
    rest = made[0].reshape(-1, 3)[~made[0, ..., 0].isnan().flatten()]
    assert (rest.amin(0) == 0).all()
    assert (rest.amax(0) == 1).all()
    assert torch.equal(made[1], rgb(node, data)[1]) or tracked


def test_the_gradient_of_the_range_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(2, 3, 8, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: stretch_to_unit(v, 1e-6), values)


def test_the_gradients_of_the_layers_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    node = LearnableChannelMixer(5, 2, 0.1, reduction_scheme=[5, 4, 2]).double()
    node.unfreeze()
    data = torch.rand(1, 2, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    parameters = dict(node.named_parameters())

    def mixed(cube, *values):
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(node, named, kwargs={"data": cube})["rgb"]

    assert torch.autograd.gradcheck(mixed, (data, *parameters.values()))
