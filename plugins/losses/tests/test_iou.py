import math

import numpy as np
import pytest
import torch

from specloom import ConfigError
from specloom_losses.iou import IoULoss

METHODS = ("sigmoid", "clamp", "minmax")


def batch(count=3, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, 6, 7, 1, generator=random, dtype=dtype) * 0.9 + 0.05
    targets = torch.rand(count, 6, 7, 1, generator=random) < 0.2
    valid = torch.rand(count, 6, 7, 1, generator=random) < 0.8
    targets[:, 0, 0], valid[:, 0, 0] = True, True
    return scores, targets, valid


def reference(scores, targets, valid, method, smooth=1e-6):
    """The formula itself, image by image, in float64."""
    found = []
    for image, mask, keep in zip(scores, targets, valid, strict=True):
        x = image.detach().double().numpy()[keep.numpy()]
        t = mask.numpy()[keep.numpy()].astype(float)
        if not t.any():
            continue
        if method == "sigmoid":
            p = 1 / (1 + np.exp(-x))
        elif method == "clamp":
            p = np.clip(x, 0, 1)
        else:
            p = (x - x.min()) / (x.max() - x.min())
        inside = (p * t).sum()
        found.append(1 - (inside + smooth) / (p.sum() + t.sum() - inside + smooth))
    return np.mean(found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stretch", [1.0, 6.0])
def test_the_formula_in_float64(method, stretch):
    scores, targets, valid = batch(dtype=torch.float32)
    scores = (scores - 0.3) * stretch
    got = IoULoss(weight=2.0, normalize_method=method)(scores, targets, valid)
    np.testing.assert_allclose(got, 2 * reference(scores, targets, valid, method), rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_gradcheck(method):
    scores, targets, valid = batch(2)
    node = IoULoss(weight=2.0, normalize_method=method)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: node(x, targets, valid), (scores,))


@pytest.mark.parametrize("method", METHODS)
def test_an_image_adds_the_same_whatever_else_is_in_its_batch(method):
    scores, targets, valid = batch(4)
    targets[2] = False
    scores[3] *= 100
    scores.requires_grad_()
    node = IoULoss(normalize_method=method)
    whole = node(scores, targets, valid)
    together, count = node.pooled()
    (gradient,) = torch.autograd.grad(together, scores)
    assert float(count) == 3
    sums, gradients = [], []
    for i in range(4):
        part = scores[i : i + 1]
        node(part, targets[i : i + 1], valid[i : i + 1])
        sums.append(node.pooled())
        gradients.append(torch.autograd.grad(node.pooled()[0], scores)[0][i])
    torch.testing.assert_close(torch.stack(gradients), gradient, rtol=1e-13, atol=1e-16)
    total, count = (torch.stack(column).sum() for column in zip(*sums, strict=True))
    torch.testing.assert_close(total / count, whole, rtol=1e-14, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_images_without_anomalies_give_zero_with_a_zero_gradient(method):
    scores, targets, _ = batch()
    scores.requires_grad_()
    node = IoULoss(normalize_method=method, smooth=0.0)
    loss = node(scores, torch.zeros_like(targets))
    loss.backward()
    assert loss.item() == 0
    assert (scores.grad == 0).all()
    assert torch.stack(node.pooled()).tolist() == [0, 0]


def test_an_image_whose_anomalies_are_not_valid_is_left_out():
    scores, targets, _ = batch(2)
    valid = torch.ones_like(targets)
    valid[0] = ~targets[0]
    node = IoULoss()
    got = node(scores, targets, valid)
    assert float(node.pooled()[1]) == 1
    torch.testing.assert_close(got, IoULoss()(scores[1:], targets[1:]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_like_what_is_not_valid(method, wrong):
    scores, targets, valid = batch()
    spoilt = torch.where(valid, scores, wrong).requires_grad_()
    clean = scores.requires_grad_()
    node = IoULoss(normalize_method=method)
    got = node(spoilt, targets)
    assert torch.equal(got, node(clean, targets, valid))
    got.backward()
    assert spoilt.grad.isfinite().all()
    assert (spoilt.grad[~valid] == 0).all()
    assert (spoilt.grad != 0).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, -3.0, 1e4, 1e-42, math.nan])
def test_constant_images_are_finite(method, value):
    scores = torch.full((2, 4, 4, 1), value, requires_grad=True)
    targets = torch.zeros(2, 4, 4, 1, dtype=torch.bool)
    targets[:, 1, 1] = True
    loss = IoULoss(normalize_method=method)(scores, targets)
    loss.backward()
    assert 0 <= loss.item() <= 1
    assert scores.grad.isfinite().all()


def test_the_range_of_an_image_does_not_depend_on_its_units():
    scores, targets, _ = batch()
    node = IoULoss(normalize_method="minmax")
    want = node(scores, targets)
    for scale, offset in ((1e-6, 0.0), (1e6, 1e4), (3.0, -50.0)):
        torch.testing.assert_close(node(scale * scores + offset, targets), want)


@pytest.mark.parametrize(
    ("method", "best"), [("clamp", 1.0), ("minmax", 1.0), ("sigmoid", 40.0), ("sigmoid", 200.0)]
)
def test_the_optimum(method, best):
    _, targets, _ = batch()
    scores = (best * (2 * targets - 1) if method == "sigmoid" else targets).float()
    scores.requires_grad_()
    loss = IoULoss(normalize_method=method)(scores, targets)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-7)
    assert scores.grad.isfinite().all()


def test_a_step_along_the_gradient_helps():
    scores, targets, _ = batch()
    for method in METHODS:
        node, scores = IoULoss(normalize_method=method), scores.detach().requires_grad_()
        loss = node(scores, targets)
        (gradient,) = torch.autograd.grad(loss, scores)
        assert node(scores - 1e-3 * gradient, targets).item() < loss.item()


def test_parameters_that_make_no_sense():
    with pytest.raises(ConfigError, match=r"node 'iou' .*: smooth is -1.0\n  fix: set a smooth"):
        IoULoss(smooth=-1.0, name="iou").build({})
    with pytest.raises(ConfigError, match=r"weight is -0\.5"):
        IoULoss(weight=-0.5).build({})
