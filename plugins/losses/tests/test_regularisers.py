import math

import numpy as np
import pytest
import torch

from specloom import ConfigError
from specloom_losses.distinctness import DistinctnessLoss
from specloom_losses.diversity import SelectorDiversityRegularizer
from specloom_losses.entropy import SelectorEntropyRegularizer

REGULARISERS = (
    SelectorEntropyRegularizer(weight=0.3),
    SelectorEntropyRegularizer(weight=0.3, target_entropy=1.1),
    SelectorDiversityRegularizer(weight=0.3),
)
NAMES = ("entropy", "targeted entropy", "diversity")


def one_hot(size, at=2):
    weights = torch.zeros(size)
    weights[at] = 3.0
    return weights


def value_and_gradient(node, weights):
    leaf = weights.clone().requires_grad_()
    loss = node(leaf)
    loss.backward()
    return loss.item(), leaf.grad


@pytest.mark.parametrize("target", [None, 0.0, 1.5])
def test_the_entropy_formula_in_float64(target):
    weights = torch.rand(61, generator=torch.Generator().manual_seed(0))
    exact = weights.double().numpy()
    p = (exact / exact.sum() + 1e-6) / (1 + 61e-6)
    want = 0.2 * (-(p * np.log(p)).sum() - (math.log(61) if target is None else target)) ** 2
    got = SelectorEntropyRegularizer(weight=0.2, target_entropy=target)(weights)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_the_diversity_formula_in_float64():
    weights = torch.rand(61, generator=torch.Generator().manual_seed(0))
    p = weights.double().numpy() / weights.double().numpy().sum()
    want = 0.2 * (61 * (p**2).sum() - 1) / 60
    got = SelectorDiversityRegularizer(weight=0.2)(weights)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_diversity_is_zero_for_equal_weights_and_one_for_a_single_channel():
    node = SelectorDiversityRegularizer(weight=1.0)
    for size in (2, 3, 61, 224):
        assert node(torch.full((size,), 0.7)).item() == 0
        assert node(one_hot(size, 1)).item() == pytest.approx(1, abs=1e-6)
    assert node(torch.tensor([2.0, 1.0])).item() > node(torch.ones(2)).item()


@pytest.mark.parametrize("node", REGULARISERS, ids=NAMES)
@pytest.mark.parametrize(
    "weights",
    [
        one_hot(61),
        torch.full((61,), 3 / 61),
        torch.zeros(61),
        -torch.ones(61),
        torch.full((61,), 1e-40),
        torch.full((61,), 3e38),
        torch.tensor([2.0]),
        torch.tensor([1.0, 0.0]),
    ],
    ids=["one-hot", "uniform", "zero", "negative", "tiny", "huge", "one channel", "two"],
)
def test_value_and_gradient_are_finite(node, weights):
    loss, gradient = value_and_gradient(node, weights)
    assert math.isfinite(loss)
    assert loss >= 0
    assert gradient.isfinite().all()


@pytest.mark.parametrize("node", REGULARISERS, ids=NAMES)
def test_gradcheck_of_a_selectors_weights(node):
    weights = torch.rand(9, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(lambda w: node(w), (weights.requires_grad_(),))


@pytest.mark.parametrize("node", REGULARISERS, ids=NAMES)
def test_only_shares_count(node):
    weights = torch.rand(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(node(7 * weights), node(weights))


@pytest.mark.parametrize("node", [REGULARISERS[0], REGULARISERS[2]], ids=["entropy", "diversity"])
def test_equal_weights_are_the_optimum_and_descent_leads_there(node):
    loss, gradient = value_and_gradient(node, torch.full((61,), 3 / 61))
    assert loss == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-6
    logits = torch.linspace(-2, 2, 5).requires_grad_()
    optimiser = torch.optim.Adam([logits], 0.1)
    for _ in range(200):
        optimiser.zero_grad()
        node(3 * logits.softmax(0)).backward()
        optimiser.step()
    torch.testing.assert_close(logits.softmax(0), torch.full((5,), 0.2), atol=0.05, rtol=0)


def test_the_distinctness_formula_in_float64():
    rows = torch.rand(4, 31, generator=torch.Generator().manual_seed(2))
    exact = rows.double().numpy()
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    want = 0.1 * np.mean([unit[i] @ unit[j] for i in range(4) for j in range(i)])
    np.testing.assert_allclose(DistinctnessLoss()(rows), want, rtol=1e-6)


def test_distinct_bands_give_exactly_zero_and_equal_ones_the_weight():
    node = DistinctnessLoss(weight=0.5)
    loss, gradient = value_and_gradient(node, torch.eye(31)[[3, 0, 30]])
    assert loss == 0
    assert gradient.isfinite().all()
    loss, gradient = value_and_gradient(node, torch.eye(31)[[3, 3, 3]])
    assert loss == pytest.approx(0.5)
    assert gradient.isfinite().all()
    assert value_and_gradient(node, torch.eye(31)[[3, 3, 5]])[0] == pytest.approx(0.5 / 3)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e20, 1e38])
def test_rows_of_any_length_are_finite(scale):
    rows = torch.rand(3, 7, generator=torch.Generator().manual_seed(0))
    loss, gradient = value_and_gradient(DistinctnessLoss(), scale * rows)
    want = 0.0 if scale == 0 else DistinctnessLoss()(rows).item()
    assert loss == pytest.approx(want, rel=1e-4)
    assert gradient.isfinite().all()
    assert value_and_gradient(DistinctnessLoss(), rows[:1])[0] == 0


def test_gradcheck_of_rows():
    rows = torch.rand(3, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    node = DistinctnessLoss()
    assert torch.autograd.gradcheck(lambda w: node(w), (rows.requires_grad_(),))


def test_processes_with_the_same_weights_pool_to_the_same_loss():
    weights = torch.rand(9, generator=torch.Generator().manual_seed(1))
    for node, value in [(one, weights) for one in REGULARISERS] + [
        (DistinctnessLoss(), weights.view(3, 3))
    ]:
        loss = node(value)
        total, count = node.pooled()
        assert float(count) == 1
        torch.testing.assert_close((total + total) / (count + count), loss.double())


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"eps": 0.0}, "eps is 0.0\n  fix: set an eps above 0"),
        ({"target_entropy": 5.0}, "target_entropy is 5.0\n  fix: set 0 to ln 61 = 4.111 nats"),
        ({"target_entropy": -1.0}, "target_entropy is -1.0"),
        ({"weight": math.inf}, "weight is inf"),
    ],
)
def test_parameters_that_make_no_sense(params, what):
    with pytest.raises(ConfigError, match=what):
        SelectorEntropyRegularizer(**params).build({"C": 61})
