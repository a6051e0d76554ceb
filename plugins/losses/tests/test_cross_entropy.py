import copy
import math

import numpy as np
import pytest
import torch

from specloom import ConfigError, NodeError
from specloom_losses.cross_entropy import AnomalyBCEWithLogits


def batch(count=3, seed=0, dtype=torch.float32):
    random = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(count, 5, 6, 1, generator=random, dtype=dtype)
    targets = torch.rand(count, 5, 6, 1, generator=random) < 0.2
    valid = torch.rand(count, 5, 6, 1, generator=random) < 0.8
    return logits, targets, valid


def reference(logits, targets, keep, pos_weight):
    """The formula itself, in float64."""
    x, t = logits.double().numpy()[keep], targets.numpy()[keep].astype(float)
    each = pos_weight * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return each.mean()


@pytest.mark.parametrize("pos_weight", [None, 1.0, 7.5])
def test_the_formula_in_float64(pos_weight):
    logits, targets, valid = batch()
    node = AnomalyBCEWithLogits(weight=10.0, pos_weight=pos_weight)
    got = node(predictions=logits, targets=targets, valid=valid)["loss"]
    want = 10 * reference(logits, targets, valid.numpy(), pos_weight or 1)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)


def test_torch_agrees_also_with_a_weight_of_anomalies():
    logits, targets, _ = batch(dtype=torch.float64)
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0, dtype=torch.float64))
    got = AnomalyBCEWithLogits(pos_weight=3.0)(predictions=logits, targets=targets)["loss"]
    torch.testing.assert_close(got, theirs(logits, targets.double()))


def test_gradcheck():
    logits, targets, valid = batch(2, dtype=torch.float64)
    node = AnomalyBCEWithLogits(weight=2.0, pos_weight=3.0)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: node(x, targets, valid), (logits,))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_like_what_is_not_valid(wrong):
    logits, targets, valid = batch()
    spoilt = torch.where(valid, logits, wrong).requires_grad_()
    clean = logits.requires_grad_()
    one, other = AnomalyBCEWithLogits(), AnomalyBCEWithLogits()
    got, want = one(spoilt, targets), other(clean, targets, valid)
    assert torch.equal(got, want)
    got.backward()
    want.backward()
    assert torch.equal(spoilt.grad, clean.grad)
    assert (spoilt.grad[~valid] == 0).all()
    assert spoilt.grad[valid].abs().min() > 0
    assert torch.equal(torch.stack(one.pooled()), torch.stack(other.pooled()))


def test_extreme_logits_are_finite():
    logits = torch.tensor([1e30, -1e30, 1e4, -1e4]).view(1, 2, 2, 1).requires_grad_()
    targets = torch.tensor([True, False, False, True]).view(1, 2, 2, 1)
    loss = AnomalyBCEWithLogits()(logits, targets)
    loss.backward()
    assert loss.item() == pytest.approx(5e3)
    assert logits.grad.isfinite().all()


def test_no_pixel_gives_zero_with_a_zero_gradient():
    logits, targets, _ = batch()
    logits.requires_grad_()
    node = AnomalyBCEWithLogits()
    loss = node(logits, targets, torch.zeros_like(targets))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()
    assert torch.stack(node.pooled()).tolist() == [0, 0]


def test_ranks_are_pooled_exactly_whatever_their_share_of_valid_pixels():
    logits, targets, valid = batch(4, dtype=torch.float64)
    valid[0, 1:] = False
    whole = AnomalyBCEWithLogits(weight=3.0)
    want = whole(predictions=logits.requires_grad_(), targets=targets, valid=valid)["loss"]
    (gradient,) = torch.autograd.grad(want, logits)
    sums = []
    for i in range(4):
        rank = AnomalyBCEWithLogits(weight=3.0)
        part = slice(i, i + 1)
        rank(predictions=logits[part], targets=targets[part], valid=valid[part])
        sums.append(rank.pooled())
    total, count = (torch.stack(column).sum() for column in zip(*sums, strict=True))
    torch.testing.assert_close(total / count, want, rtol=1e-14, atol=0)
    torch.testing.assert_close(torch.autograd.grad(total / count, logits)[0], gradient)


def test_the_weight_may_change_at_any_time():
    logits, targets, _ = batch()
    node = AnomalyBCEWithLogits()
    one = node(logits, targets)
    node.weight = 2.5
    torch.testing.assert_close(node(logits, targets), 2.5 * one)
    node.weight = 0.0
    assert node(logits, targets).item() == 0


def test_a_loss_can_be_copied_after_a_batch_with_gradients():
    logits, targets, _ = batch()
    node = AnomalyBCEWithLogits()
    node(logits.requires_grad_(), targets)
    with pytest.raises(NodeError, match="AnomalyBCEWithLogits has run on no batch"):
        copy.deepcopy(node).pooled()
    assert float(node.pooled()[1]) == 90


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"weight": -1.0}, "weight is -1.0"),
        ({"weight": math.nan}, "weight is nan"),
        ({"pos_weight": 0.0}, "pos_weight is 0.0"),
        ({"pos_weight": math.inf}, "pos_weight is inf"),
    ],
)
def test_parameters_that_make_no_sense(params, what):
    with pytest.raises(ConfigError, match=f"node 'bce' .*: {what}"):
        AnomalyBCEWithLogits(name="bce", **params).build({})
