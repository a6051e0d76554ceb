import math

import numpy as np
import pytest
import torch

from specloom import ConfigError, NodeError
from specloom.testing import failures_of, run
from specloom_selectors.soft import SoftChannelSelector

CUBE = torch.rand(2, 4, 5, 61, generator=torch.Generator().manual_seed(0))


def made(seed=0, spread=2.0, **params):
    node = SoftChannelSelector(**{"n_select": 3, "input_channels": 61, **params})
    node.logits.copy_(spread * torch.randn(61, generator=torch.Generator().manual_seed(seed)))
    node.seed(seed)
    return node


def learning(**params):
    node = made(**params).train()
    node.unfreeze()
    return node


@pytest.mark.parametrize("params", [{"hard": True}, {"gumbel": False}, {"init_method": "uniform"}])
def test_every_variant_conforms(params):
    variant = type("Variant", (SoftChannelSelector,), {"example": {"n_select": 3, **params}})
    assert failures_of(variant) == {}


def test_the_temperature_by_the_epoch():
    node = SoftChannelSelector(n_select=3, input_channels=61)
    want = {0: 5.0, 1: 4.5, 10: 1.743, 20: 0.608, 37: 0.101, 38: 0.1, 39: 0.1, 50: 0.1, 9999: 0.1}
    for epoch, temperature in want.items():
        node.update_temperature(epoch=epoch)
        assert node.temperature == pytest.approx(temperature, abs=5e-4)
        assert node.schedule_values()["temperature"] == node.temperature
    node.update_temperature(epoch=38)
    assert node.temperature == 0.1
    node.on_epoch(10, 50)
    assert node.temperature == 5.0 * 0.9**10


def test_temperature_and_decay_may_be_written():
    node = made()
    node.temperature = 2.0
    want = 3 * (node.logits.double() / 2).softmax(0)
    torch.testing.assert_close(node.get_selection_weights().double(), want)
    node.temperature_decay = 0.92
    node.on_epoch(1, 10)
    assert node.temperature == 5.0 * 0.92
    with pytest.raises(ConfigError, match="temperature is 0"):
        node.temperature = 0
    early = SoftChannelSelector(n_select=3)
    assert early.temperature == 5.0
    early.temperature = 2.0
    early.build({"input_channels": 61})
    assert early.temperature == 2.0


@pytest.mark.parametrize("temperature", [5.0, 0.608, 0.1, 0.01])
def test_the_formula_in_float64(temperature):
    node = made()
    node.temperature = temperature
    exact = np.exp((node.logits.double().numpy() - float(node.logits.max())) / temperature)
    want = 3 * exact / exact.sum()
    out = run(node, {"data": CUBE})
    np.testing.assert_allclose(out["weights"], want, rtol=2e-5, atol=1e-37)
    np.testing.assert_allclose(
        out["selected"], CUBE.double() * torch.tensor(want), rtol=2e-5, atol=1e-37
    )
    assert torch.equal(out["applied"], out["weights"])
    assert float(out["weights"].double().sum()) == pytest.approx(3, abs=1e-6)


def test_hard_is_exactly_the_top_channels_at_weight_one_outside_training():
    node = made(hard=True)
    top = set(node.logits.topk(3).indices.tolist())
    out = run(node, {"data": CUBE})
    assert set(out["applied"].nonzero().flatten().tolist()) == top
    assert set(out["applied"].tolist()) == {0.0, 1.0}
    assert torch.equal(out["selected"], CUBE * out["applied"])
    assert torch.equal(out["weights"], node.get_selection_weights(hard=False))
    assert torch.equal(node.get_selection_weights(), out["applied"])
    assert torch.equal(made().get_selection_weights(hard=True), out["applied"])
    node.train()
    assert torch.equal(node(data=CUBE)["applied"], out["applied"])  # frozen: as at inference
    node.unfreeze()
    assert (node(data=CUBE)["applied"] > 0).all()


def test_hard_takes_the_first_of_equal_channels():
    node = SoftChannelSelector(n_select=3, input_channels=61, hard=True)
    assert node.get_selection_weights().nonzero().flatten().tolist() == [0, 1, 2]


def test_noise_only_in_training_while_unfrozen():
    node = made().train()
    assert torch.equal(node(data=CUBE)["applied"], node(data=CUBE)["weights"])
    node.unfreeze()
    first, second = node(data=CUBE), node(data=CUBE)
    assert not torch.equal(first["applied"], second["applied"])
    assert torch.equal(first["weights"], second["weights"])
    assert torch.equal(first["selected"], CUBE * first["applied"])
    assert first["applied"].sum().item() == pytest.approx(3, abs=1e-5)
    node.seed(0)
    assert torch.equal(node(data=CUBE)["applied"], first["applied"])
    node.eval()
    assert torch.equal(node(data=CUBE)["applied"], first["weights"])
    plain = learning(gumbel=False)(data=CUBE)
    assert torch.equal(plain["applied"], plain["weights"])


def test_the_noise_chooses_channels_by_their_probability():
    node = learning(spread=1.0)
    node.temperature = 1.0
    with torch.no_grad():
        pixel = torch.ones(1, 1, 1, 61)
        winners = [int(node(data=pixel)["applied"].argmax()) for _ in range(4000)]
    found = np.bincount(winners, minlength=61) / 4000
    np.testing.assert_allclose(found, node.logits.detach().softmax(0), atol=0.02)


def test_gradients_arrive_through_selected_and_through_weights():
    for output in ("selected", "weights", "applied"):
        node = learning()
        value = node(data=CUBE)[output]
        (value * torch.rand(value.shape)).sum().backward()
        assert node.logits.grad.isfinite().all()
        assert (node.logits.grad != 0).all()


def test_gradcheck():
    node = learning(gumbel=False).double()
    data = CUBE.double()[:1, :2, :2].requires_grad_()

    def outputs(_, pixels):
        made = node(data=pixels)
        return made["selected"], made["weights"]

    assert torch.autograd.gradcheck(outputs, (node.logits, data))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_pixel_that_is_not_finite_stays_so_and_leaves_the_gradients_finite(wrong):
    spoilt = CUBE.clone()
    spoilt[0, 1, 2, 7] = wrong
    node = learning(gumbel=False)
    clean, out = node(data=CUBE)["selected"], node(data=spoilt)["selected"]
    assert not out[0, 1, 2, 7].isfinite()
    with torch.no_grad():
        torch.testing.assert_close(
            node(data=spoilt)["selected"], out, rtol=0, atol=0, equal_nan=True
        )
    score = torch.where(out.isfinite().all(-1), out.square().sum(-1), 0).sum()
    score.backward()
    got = node.logits.grad.clone()
    rest = torch.ones(2, 4, 5, dtype=torch.bool)
    rest[0, 1, 2] = False
    (want,) = torch.autograd.grad(torch.where(rest, clean.square().sum(-1), 0).sum(), node.logits)
    torch.testing.assert_close(got, want)


def test_twice_the_same_and_a_batch_equals_its_images_bit_for_bit():
    for node in (made(), made(hard=True)):
        both = run(node, {"data": CUBE})["selected"]
        assert torch.equal(run(node, {"data": CUBE})["selected"], both)
        for i in range(2):
            assert torch.equal(run(node, {"data": CUBE[i : i + 1]})["selected"], both[i : i + 1])


def test_weights_temperature_and_fit_are_saved():
    node = made()
    node.on_epoch(10, 50)
    twin = SoftChannelSelector(n_select=3, input_channels=61)
    twin.restore(node.state())
    assert twin.temperature == node.temperature
    assert torch.equal(twin.get_selection_weights(), node.get_selection_weights())
    assert set(node.state()) == {"logits", "tau", "fitted", "pixels"}


def test_training_moves_the_weight_to_the_channel_that_matters():
    node = SoftChannelSelector(n_select=1, input_channels=8)
    node.seed(0)
    node.unfreeze()
    data = torch.rand(4, 3, 3, 8, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.Adam(node.parameters(), 0.1)
    for epoch in range(60):
        node.on_epoch(epoch, 60)
        optimiser.zero_grad()
        loss = (node(data=data)["selected"].sum(-1) - data[..., 5]).square().mean()
        loss.backward()
        optimiser.step()
    node.freeze()
    assert float(node.get_selection_weights()[5]) > 0.95


def test_collapse_is_reported_with_its_fix():
    node = SoftChannelSelector(n_select=3, input_channels=61, name="selector")
    assert node.diagnose() is None
    node.logits[18] = 38.0
    message = "node 'selector' (SoftChannelSelector): 97% of the weight is on one channel (18); "
    assert node.diagnose() == message + "raise the weight of the entropy regulariser"
    node.logits[42] = 38.0
    assert "99% of the weight is on two channels (18, 42); raise" in node.diagnose()
    node.logits[55] = 38.0
    assert node.diagnose() is None
    one = SoftChannelSelector(n_select=1, input_channels=61)
    one.logits[18] = 100.0
    assert one.diagnose() is None


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"n_select": 0}, "n_select is 0\n  fix: set n_select to a number from 1 to 61"),
        ({"n_select": 62}, "n_select is 62"),
        ({"temperature_init": 0.05}, "temperature_init is 0.05, below temperature_min"),
        ({"temperature_min": 0.0}, "temperature_min is 0.0"),
        ({"temperature_decay": 1.1}, "temperature_decay is 1.1"),
        ({"eps": math.nan}, "eps is nan"),
    ],
)
def test_parameters_that_make_no_sense(params, what):
    with pytest.raises(ConfigError, match=f"node 'selector' .*: {what}"):
        SoftChannelSelector(**{"n_select": 3, "input_channels": 61, **params}, name="selector")


def test_an_unfitted_selector_refuses_to_run():
    node = SoftChannelSelector(n_select=3, input_channels=61, init_method="variance")
    for call in (lambda: node(data=CUBE), node.get_selection_weights):
        with pytest.raises(NodeError, match="SoftChannelSelector is not fitted"):
            call()
