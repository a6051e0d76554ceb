import math

import numpy as np
import pytest
import torch

from specloom import NodeError
from specloom_selectors.concrete import ConcreteBandSelector

CUBE = torch.rand(2, 4, 5, 9, generator=torch.Generator().manual_seed(0))


def learning(**params):
    node = ConcreteBandSelector(**{"input_channels": 9, **params})
    node.seed(0)
    node.unfreeze()
    return node.train()


def test_noise_only_in_training_while_unfrozen():
    node = learning()
    first, second = node(data=CUBE), node(data=CUBE)
    assert not torch.equal(first["selection_weights"], second["selection_weights"])
    torch.testing.assert_close(first["selection_weights"].sum(-1), torch.ones(3))
    torch.testing.assert_close(first["rgb"], CUBE @ first["selection_weights"].T)
    node.seed(0)
    assert torch.equal(node(data=CUBE)["rgb"], first["rgb"])
    node.freeze()
    assert torch.equal(node(data=CUBE)["rgb"], CUBE[..., node.get_selected_bands()])
    assert not torch.equal(node.get_selection_weights(False), node.get_selection_weights(False))


def test_samples_fall_on_bands_by_their_probability():
    node = learning()
    with torch.no_grad():
        node.logits.copy_(torch.randn(3, 9, generator=torch.Generator().manual_seed(1)))
    node.tau.fill_(0.1)
    winners = [node.get_selection_weights(deterministic=False).argmax(-1) for _ in range(4000)]
    for row, found in enumerate(torch.stack(winners).T):
        share = np.bincount(found.numpy(), minlength=9) / 4000
        np.testing.assert_allclose(share, node.logits.detach()[row].softmax(0), atol=0.03)


@pytest.mark.parametrize("output", ["rgb", "selection_weights"])
def test_gradients_arrive_through_both_outputs(output):
    node = learning()
    value = node(data=CUBE)[output]
    (value * torch.rand(value.shape)).sum().backward()
    assert node.logits.grad.isfinite().all()
    assert (node.logits.grad != 0).all()


def test_gradcheck():
    node = learning(use_hard_inference=False).double()
    node.on_epoch(9, 10)

    def outputs(_, data):
        node.seed(3)
        return tuple(node(data=data).values())

    data = CUBE.double()[:1, :2, :2].requires_grad_()
    assert torch.autograd.gradcheck(outputs, (node.logits, data))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_pixel_that_is_not_finite_leaves_the_gradients_finite(wrong):
    spoilt, node = CUBE.clone(), learning()
    spoilt[0, 1, 2, 7] = wrong
    rest = torch.ones(2, 4, 5, 1, dtype=torch.bool)
    rest[0, 1, 2] = False
    gradients = []
    for data in (CUBE, spoilt):
        node.seed(5)
        rgb = node(data=data)["rgb"]
        loss = torch.where(rest, rgb.square(), 0).sum()
        gradients.append(torch.autograd.grad(loss, node.logits)[0])
    assert rgb[0, 1, 2].isnan().all()
    torch.testing.assert_close(gradients[1], gradients[0])


def test_training_finds_the_bands_that_matter_and_evaluation_follows_it():
    node = learning(max_epochs=150, tau_start=5.0)
    wanted = [7, 2, 4]
    data = torch.rand(4, 5, 5, 9, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.Adam(node.parameters(), 0.1)
    for epoch in range(150):
        node.train()
        node.on_epoch(epoch, 1)
        optimiser.zero_grad()
        (node(data=data)["rgb"] - data[..., wanted]).square().mean().backward()
        optimiser.step()
        if epoch % 50 == 49:
            node.eval()
            with torch.no_grad():
                out = node(data=data)["selection_weights"]
            assert torch.equal(out.argmax(-1), node.get_selected_bands())
    assert node.get_selected_bands().tolist() == wanted
    assert node.diagnose() is None
    node.freeze()
    twin = ConcreteBandSelector(input_channels=9)
    twin.restore(node.state())
    assert torch.equal(twin(data=data)["rgb"], data[..., wanted])
    assert float(twin.tau) == float(node.tau)


def test_the_state_of_a_whole_model_updates_the_bands_too():
    node, twin = (torch.nn.ModuleDict({"selector": learning()}) for _ in "ab")
    node["selector"].freeze()
    node["selector"].logits[:, 5] += 9.0
    twin["selector"].freeze()
    twin.load_state_dict(node.state_dict())
    rgb, bands = twin["selector"](data=CUBE)["rgb"], node["selector"].get_selected_bands()
    assert torch.equal(rgb, CUBE[..., bands])


def test_collapse_is_reported_with_its_fix():
    node = ConcreteBandSelector(input_channels=9, name="concrete")
    assert node.diagnose() is None
    node.logits[:, 4] = 100.0
    assert node.diagnose() == (
        "node 'concrete' (ConcreteBandSelector): 3 of 3 output channels have chosen band 4; "
        "raise the weight of the distinctness loss, or train for more epochs"
    )
    node.logits[0, 8] = 200.0
    assert "2 of 3 output channels have chosen band 4" in node.diagnose()
    node.logits[1, 6] = 200.0
    assert node.diagnose() is None


def test_logits_that_are_not_finite_are_an_error_with_a_cure():
    node = learning()
    with torch.no_grad():
        node.logits[0, 0] = math.nan
    with pytest.raises(NodeError, match=r"not finite\n  fix: lower the learning rate"):
        node.eval()
