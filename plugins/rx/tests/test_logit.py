import numpy as np
import pytest
import torch

from specloom import ConfigError, NodeError
from specloom.testing import fit, run
from specloom_rx.logit import ScoreStatistics, ScoreToLogit, _moments_without_waiting
from specloom_statistics import SampleMoments, merge_without_waiting


def made(**params):
    node = ScoreToLogit(**params)
    node.build({})
    return node


def scores(*shape, offset=60.0):
    return offset + 11 * torch.randn(*shape, 1, generator=torch.Generator().manual_seed(0))


def logits(node, values):
    return run(node, {"scores": values})["logits"]


@pytest.mark.parametrize("offset", [0.0, 60.0, 1e6])
def test_zero_lies_two_deviations_above_the_mean(offset):
    values = scores(3, 20, 30, offset=offset)
    node = fit(made(), [{"scores": values[:1]}, {"scores": values[1:]}])
    exact = values.double().numpy()
    std = exact.std(ddof=1)
    want = (exact - (exact.mean() + 2 * std)) / std
    np.testing.assert_allclose(logits(node, values), want, rtol=1e-6, atol=1e-6)
    assert node.pixels == 1800


def test_the_users_scale_and_bias_stay():
    values = scores(1, 20, 30)
    plain = fit(made(), [{"scores": values}])
    node = fit(made(init_scale=3.0, init_bias=-1.5), [{"scores": values}])
    assert (float(node.scale), float(node.bias)) == (3.0, -1.5)
    torch.testing.assert_close(logits(node, values), 3 * logits(plain, values) - 1.5)


def test_without_calibration_nothing_is_fitted():
    node = made(init_scale=2.0, init_bias=1.0, calibrate=False)
    values = scores(1, 4, 5)
    assert node.fit_passes == 0
    assert node.fit_summary() == "nothing to fit"
    torch.testing.assert_close(logits(node, values), 2 * values + 1)


def test_an_unfitted_node_refuses_to_run():
    with pytest.raises(NodeError, match="ScoreToLogit is not fitted"):
        made()(scores=scores(1, 4, 5))


def test_scores_that_are_not_finite_or_not_valid_are_left_out():
    values = scores(1, 20, 30)
    valid = torch.ones(1, 20, 30, 1, dtype=torch.bool)
    clean = fit(made(), [{"scores": values[:, 3:]}])
    values[:, 0], values[:, 1] = float("nan"), float("inf")
    values[:, 2], valid[:, 2] = 1e9, False
    node = fit(made(), [{"scores": values, "valid": valid}])
    torch.testing.assert_close(node.score_mean, clean.score_mean)
    torch.testing.assert_close(node.score_std, clean.score_std)
    got = logits(node, values)
    assert got[:, 0].isnan().all()
    assert torch.equal(got[:, 3:], logits(clean, values[:, 3:]))


def test_equal_scores_and_one_score_are_defined():
    for values in (torch.full((2, 3, 3, 1), 7.0), torch.full((1, 1, 1, 1), 7.0)):
        node = fit(made(), [{"scores": values}])
        assert (logits(node, values) == 0).all()
        assert (logits(node, values + 2) == 2).all()


def test_no_usable_score_is_an_error():
    with pytest.raises(NodeError, match="no usable pixel"):
        fit(made(), [{"scores": torch.full((1, 3, 3, 1), float("nan"))}])


def test_shares_are_merged():
    values = scores(4, 9, 9)
    whole = fit(made(), [{"scores": values}])
    left, right = made(), made()
    for node, share in ((left, values[:3]), (right, values[3:])):
        node.fit_start(0)
        node.fit_update(scores=share)
    left.fit_merge(right.fit_state())
    left.fit_end()
    torch.testing.assert_close(left.score_std, whole.score_std)
    assert left.pixels == whole.pixels


def test_scale_and_bias_can_be_trained_while_the_statistics_stay():
    values = scores(1, 9, 9)
    node = fit(made(), [{"scores": values}])
    mean = node.score_mean.clone()
    node.unfreeze()
    node(scores=values)["logits"].square().sum().backward()
    assert {name for name, _ in node.named_parameters()} == {"scale", "bias"}
    assert all(p.grad.item() != 0 for p in node.parameters())
    with torch.no_grad():
        node.scale.fill_(5.0)
    fit(node, [{"scores": values}])
    assert node.scale.item() == 5.0
    assert torch.equal(node.score_mean, mean)


@pytest.mark.parametrize("calibrate", [True, False])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_spoil_no_gradient(bad, calibrate):
    values = scores(1, 4, 5, 1)
    node = fit(made(calibrate=calibrate), [{"scores": values}])
    node.unfreeze()
    clean = node.forward(values[:, 1:])["logits"]
    clean.square().mean().backward()
    want = [parameter.grad.clone() for parameter in node.parameters()]
    node.zero_grad()
    spoilt = values.clone()
    spoilt[:, 0] = bad
    got = node.forward(spoilt)["logits"]
    torch.testing.assert_close(got[:, 1:], clean)
    assert not got[:, 0].isfinite().any()
    torch.where(got.isfinite(), got, 0)[:, 1:].square().mean().backward()
    for parameter, gradient in zip(node.parameters(), want, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_wrong_parameters_are_refused():
    with pytest.raises(ConfigError, match="ScoreToLogit: init_scale is nan"):
        made(init_scale=float("nan"))


def test_a_fit_on_a_device_does_not_wait_for_it():
    node = made().to("meta")  # whose tensors have no values that could be waited for
    node.fit_start(0)
    for _ in range(2):
        node.fit_update(torch.empty(2, 5, 7, 1, device="meta"))
        valid = torch.empty(2, 5, 7, 1, dtype=torch.bool, device="meta")
        node.fit_update(torch.empty(2, 5, 7, 1, device="meta"), valid)
    assert node.statistics().moments.size.device.type == "meta"


def test_without_waiting_the_moments_are_the_same():
    batches = [torch.full((1, 2, 3, 1), torch.nan), scores(1, 20, 30), scores(2, 5, 6, offset=1e4)]
    expected = ScoreStatistics(torch.device("cpu"))
    zero = torch.zeros((), dtype=torch.float64)
    found = SampleMoments(0, zero, zero)
    for batch in batches:
        expected.update(batch)
        values = batch[..., 0].double()
        found = merge_without_waiting(found, _moments_without_waiting(values, values.isfinite()))
    assert int(found.size) == expected.moments.size == 660
    torch.testing.assert_close(found.mean, expected.moments.mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(found.scatter, expected.moments.scatter, rtol=1e-13, atol=0)
