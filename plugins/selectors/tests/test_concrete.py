import copy
import itertools
import math

import numpy as np
import pytest
import torch

from specloom import ConfigError, NodeError
from specloom.testing import failures_of, run
from specloom_selectors.concrete import ConcreteBandSelector, distinct_bands

CUBE = torch.rand(2, 4, 5, 61, generator=torch.Generator().manual_seed(0))


def made(seed=0, spread=3.0, **params):
    node = ConcreteBandSelector(**{"input_channels": 61, **params})
    node.seed(seed)
    random = torch.Generator().manual_seed(seed)
    node.logits.copy_(spread * torch.randn(node.logits.shape, generator=random))
    node.update_bands()
    return node


@pytest.mark.parametrize(
    "params", [{"use_hard_inference": False}, {"output_channels": 5, "schedule": "exponential"}]
)
def test_every_variant_conforms(params):
    variant = type("Variant", (ConcreteBandSelector,), {"example": params})
    assert failures_of(variant) == {}


def test_linear_temperatures_are_those_of_the_document():
    node = ConcreteBandSelector(input_channels=61, max_epochs=50)
    for epoch in range(60):
        want = 0.1 if epoch >= 50 else 10.0 + (0.1 - 10.0) * (epoch / 50)
        assert node._get_tau(epoch=epoch) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("own", [None, 50])
def test_the_last_epoch_of_a_training_is_at_tau_end(own):
    node = ConcreteBandSelector(input_channels=61, max_epochs=own)
    trainer = 1000 if own else 50
    for epoch in range(50):
        node.on_epoch(epoch, trainer)
        want = 10.0 + (0.1 - 10.0) * (epoch / 49)
        assert node.schedule_values()["temperature"] == pytest.approx(want, rel=1e-12)
    assert float(node.tau) == 0.1
    node.on_epoch(50, trainer)
    assert float(node.tau) == 0.1


@pytest.mark.parametrize("schedule", ["linear", "exponential"])
def test_a_single_epoch_trains_at_tau_end(schedule):
    node = ConcreteBandSelector(input_channels=61, schedule=schedule)
    node.on_epoch(0, 1)
    assert float(node.tau) == 0.1
    node = ConcreteBandSelector(input_channels=61, schedule=schedule, max_epochs=1)
    node.on_epoch(0, 20)
    assert float(node.tau) == 0.1


def test_exponential_temperatures_on_request():
    node = ConcreteBandSelector(input_channels=61, max_epochs=50, schedule="exponential")
    assert [node._get_tau(e) for e in (0, 25, 50, 99)] == pytest.approx([10.0, 1.0, 0.1, 0.1])


def test_without_max_epochs_the_trainers_count():
    node = ConcreteBandSelector(input_channels=61)
    assert node._get_tau(0) == 10.0
    with pytest.raises(NodeError, match="does not know for how many epochs"):
        node._get_tau(3)
    node.on_epoch(10, 20)
    assert float(node.tau) == pytest.approx(10.0 - 9.9 * 10 / 19)
    assert node._get_tau(20) == 0.1


def test_a_thousand_selections_are_distinct_and_stay_when_saved():
    random = torch.Generator().manual_seed(0)
    node, twin = (ConcreteBandSelector(input_channels=12, output_channels=5) for _ in "ab")
    for case in range(1000):
        logits = torch.randn(5, 12, generator=random) * 10 ** float(case % 5 - 2)
        logits[:, case % 12] += 3.0 * (case % 2)  # a band that every output wants
        node.logits.copy_(logits.round() if case % 3 == 0 else logits)  # with ties
        node.update_bands()
        bands = node.get_selected_bands().tolist()
        assert len(set(bands)) == 5
        twin.restore(node.state())
        assert twin.get_selected_bands().tolist() == bands


def test_the_bands_are_the_best_distinct_ones():
    for seed in range(50):
        logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(seed))
        bands = distinct_bands(logits).tolist()
        got = sum(float(logits[k, band]) for k, band in enumerate(bands))
        every = itertools.permutations(range(6), 3)
        best = max(sum(float(logits[k, band]) for k, band in enumerate(one)) for one in every)
        assert got == pytest.approx(best)
        own = logits.argmax(1).tolist()
        assert len(set(own)) < 3 or bands == own


def test_hard_inference_gives_exactly_these_bands():
    node = made()
    bands = node.get_selected_bands()
    out = run(node, {"data": CUBE})
    assert torch.equal(out["rgb"], CUBE[..., bands])
    assert torch.equal(out["selection_weights"], torch.eye(61)[bands])
    node.train()
    assert torch.equal(node(data=CUBE)["rgb"], out["rgb"])  # frozen: as at inference


def test_soft_inference_is_the_mixture_in_float64():
    node = made(use_hard_inference=False)
    node.on_epoch(9, 10)
    exact = (node.logits.double() / float(node.tau)).softmax(-1)
    out = run(node, {"data": CUBE})
    np.testing.assert_allclose(out["selection_weights"], exact, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(out["rgb"], CUBE.double() @ exact.T, rtol=1e-5)
    torch.testing.assert_close(node.get_selection_weights(deterministic=True).double(), exact)


@pytest.mark.parametrize("hard", [True, False])
def test_twice_the_same_and_a_batch_equals_its_images_bit_for_bit(hard):
    node = made(use_hard_inference=hard)
    data = torch.rand(3, 41, 37, 61, generator=torch.Generator().manual_seed(1))
    both = run(node, {"data": data})["rgb"]
    assert torch.equal(run(node, {"data": data})["rgb"], both)
    for i in range(3):
        assert torch.equal(run(node, {"data": data[i : i + 1]})["rgb"], both[i : i + 1])


def test_the_first_bands_differ_and_follow_the_seed():
    found = set()
    for seed in range(20):
        node, twin = (ConcreteBandSelector(input_channels=61) for _ in "ab")
        node.seed(seed)
        twin.seed(seed)
        assert torch.equal(node.logits, twin.logits)
        assert 0 < float(node.logits.abs().max()) < 0.1
        bands = node.get_selected_bands().tolist()
        assert len(set(bands)) == 3
        found.add(tuple(bands))
    assert len(found) > 15


def test_a_seed_changes_no_logits_that_were_trained_or_restored():
    trained = made()
    restored, fresh = (ConcreteBandSelector(input_channels=61) for _ in "ab")
    restored.restore(ConcreteBandSelector(input_channels=61).state())
    for node in (trained, restored, copy.deepcopy(restored)):
        before = node.logits.clone()
        node.seed(7)
        assert torch.equal(node.logits, before)
    before = fresh.logits.clone()
    fresh.unfreeze()
    fresh.seed(7)
    assert not torch.equal(fresh.logits, before)
    assert fresh.logits.requires_grad


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("hard", [True, False])
def test_a_pixel_that_is_not_finite_shows(wrong, hard):
    node, spoilt = made(use_hard_inference=hard), CUBE.clone()
    spoilt[0, 1, 2] = wrong
    clean, out = (run(node, {"data": data})["rgb"] for data in (CUBE, spoilt))
    assert not out[0, 1, 2].isfinite().any()
    out[0, 1, 2] = clean[0, 1, 2]
    assert torch.equal(out, clean)


@pytest.mark.parametrize(
    ("params", "what"),
    [
        (
            {"output_channels": 62},
            "output_channels is 62\n  fix: set output_channels to a",
        ),
        ({"output_channels": 0}, "output_channels is 0"),
        ({"tau_end": 0.0}, "tau_end is 0.0"),
        ({"tau_start": 0.01}, "tau_start is 0.01, below tau_end"),
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"eps": -1.0}, "eps is -1.0"),
    ],
)
def test_parameters_that_make_no_sense(params, what):
    with pytest.raises(ConfigError, match=f"node 'bands' .*: {what}"):
        ConcreteBandSelector(**{"input_channels": 61, **params}, name="bands")
