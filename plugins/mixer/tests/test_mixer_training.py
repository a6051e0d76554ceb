"""First weights, gradients, saving, and errors."""

import re

import pytest
import torch

from specloom import ConfigError, NodeError
from specloom.testing import fit, run
from specloom_mixer.mixer import LearnableChannelMixer

SCHEME = [61, 16, 8, 3]


def cubes(seed=0):
    return torch.rand(2, 20, 30, 61, generator=torch.Generator().manual_seed(seed))


def mixer(method="xavier", **params):
    return LearnableChannelMixer(
        61, 3, init_method=method, **{"reduction_scheme": SCHEME, **params}
    )


def ready(method, **params):
    node = mixer(method, **params)
    return fit(node, [{"data": cubes()}]) if node.requires_initial_fit else node


@pytest.mark.parametrize("method", ["xavier", "kaiming"])
def test_random_weights_follow_from_the_seed(method):
    one, two, other = mixer(method), mixer(method), mixer(method)
    assert torch.equal(one.weight_1, two.weight_1)
    one.seed(5)
    two.seed(5)
    other.seed(6)
    assert torch.equal(one.weight_1, two.weight_1)
    assert not torch.equal(one.weight_1, other.weight_1)
    assert not torch.equal(one.weight_1, mixer(method).weight_1)
    torch.manual_seed(1)
    assert torch.equal(mixer(method).weight_0, mixer(method).weight_0)


def test_weights_that_are_someones_are_not_drawn_again():
    seeded, unfrozen, restored = mixer(), mixer(), mixer()
    seeded.seed(1)
    first = seeded.weight_0.clone()
    seeded.seed(2)  # a second run
    assert torch.equal(seeded.weight_0, first)
    restored.restore(seeded.state())
    restored.seed(3)
    assert torch.equal(restored.weight_0, first)
    unfrozen.unfreeze()
    unfrozen.seed(4)
    assert torch.equal(unfrozen.weight_0, mixer().weight_0)
    fitted = mixer("pca")
    fitted.fit_start(0)
    fitted.fit_update(data=cubes())
    fitted.fit_end()
    learned = fitted.weight_0.clone()
    fitted.seed(5)
    assert torch.equal(fitted.weight_0, learned)


def test_random_weights_have_the_published_range():
    limits = {"xavier": (6 / (61 + 400)) ** 0.5, "kaiming": (6 / (1 + 0.01**2) / 61) ** 0.5}
    for method, limit in limits.items():
        node = LearnableChannelMixer(61, 400, init_method=method)
        assert float(node.weight_0.abs().max()) == pytest.approx(limit, rel=1e-2)
        assert float(node.weight_0.std()) == pytest.approx(limit / 3**0.5, rel=2e-2)
        assert (node.bias_0 == 0).all()
    assert (mixer("zeros").weight_1 == 0).all()


def test_which_methods_are_fitted():
    assert mixer("pca").requires_initial_fit
    assert mixer("pca").fit_passes == 1
    for method in ("xavier", "kaiming", "zeros"):
        assert not mixer(method).requires_initial_fit
        assert mixer(method).fit_passes == 0
        assert "nothing to fit" in mixer(method).fit_summary()
        mixer(method)(data=cubes())
    with pytest.raises(NodeError, match="not fitted"):
        mixer("pca")(data=cubes())


@pytest.mark.parametrize("method", ["xavier", "kaiming", "pca"])
def test_gradients_reach_every_layer(method):
    node = ready(method)
    assert not list(node.parameters())
    node.unfreeze()
    names = [name for name, _ in node.named_parameters()]
    assert names == ["weight_0", "bias_0", "weight_1", "bias_1", "weight_2", "bias_2"]
    target = torch.rand(2, 20, 30, 3, generator=torch.Generator().manual_seed(1))
    data = cubes().requires_grad_()
    (node(data=data)["rgb"] - target).square().mean().backward()
    assert (data.grad.abs().sum((0, 1, 2)) > 0).all()
    for i in range(3):
        gradient = getattr(node, f"weight_{i}").grad
        assert gradient.isfinite().all()
        assert float(gradient.abs().max()) > 1e-6


@pytest.mark.parametrize("method", ["xavier", "pca"])
def test_training_lowers_a_loss_and_uses_every_hidden_channel(method):
    node, data = ready(method, leaky_relu_negative_slope=0.1), cubes()
    target = torch.stack([data[..., 5], data[..., 20] * data[..., 21], data[..., 40]], -1)
    node.unfreeze()
    optimizer = torch.optim.Adam(node.parameters(), lr=1e-2)
    first = node.weight_0.detach().clone()
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (node(data=data)["rgb"] - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert ((node.weight_0 - first).abs().amax(1) > 1e-3).all()
    node.freeze()
    trained = run(node, {"data": data})["rgb"]
    twin = mixer(method, leaky_relu_negative_slope=0.1)
    twin.restore(node.state())
    assert torch.equal(run(twin, {"data": data})["rgb"], trained)
    if method == "pca":
        again = fit(node, [{"data": data}])
        assert torch.equal(again.weight_0, first)


def test_input_channels_may_be_left_out():
    node = LearnableChannelMixer(reduction_scheme=SCHEME)
    assert node.trainable[-1] == "bias_2"
    node.build({"input_channels": 61})
    assert node.weight_0.shape == (16, 61)
    single = LearnableChannelMixer(output_channels=4)
    single.build({"input_channels": 7})
    assert single.weight_0.shape == (4, 7)


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"reduction_scheme": [60, 16, 3]}, "[60, 16, 3] starts with 60, but input_channels is 61"),
        ({"reduction_scheme": [61, 16, 4]}, "[61, 16, 4] ends with 4, but output_channels is 3"),
        ({"reduction_scheme": [61, 0, 3]}, "the widths of the layers are [61, 0, 3]"),
        ({"reduction_scheme": [61]}, "the widths of the layers are [61]"),
        ({"output_channels": 0}, "the widths of the layers are [61, 0]"),
        ({"leaky_relu_negative_slope": -0.1}, "leaky_relu_negative_slope is -0.1"),
        ({"eps": 0.0}, "eps is 0.0"),
        (
            {"init_method": "svd"},
            "init_method should be 'xavier', 'kaiming', 'pca' or 'zeros'",
        ),
        (
            {"init_method": "pca", "reduction_scheme": [61, 2, 3]},
            "a layer of 2 channels cannot carry 3 components",
        ),
        (
            {"init_method": "pca", "output_channels": 62},
            "a layer of 61 channels cannot carry 62 components",
        ),
        (
            {"init_method": "pca", "use_bias": False, "reduction_scheme": [61, 5, 3]},
            "two channels for each of the 3 components, and reduction_scheme is [61, 5, 3]",
        ),
    ],
)
def test_wrong_parameters_are_told(params, what):
    with pytest.raises(ConfigError, match=re.escape(what)) as caught:
        LearnableChannelMixer(**{"input_channels": 61, **params}, name="mix")
    assert "node 'mix' (LearnableChannelMixer)" in caught.value.what
    assert caught.value.fix
