"""How many channels carry the weight, and what selectors show of each epoch."""

import numpy as np
import pytest
import torch

from specloom_selectors.concrete import ConcreteBandSelector
from specloom_selectors.effective import effective_channels
from specloom_selectors.soft import SoftChannelSelector


def test_equal_weights_count_and_the_others_do_not():
    weights = torch.tensor([[1.0, 0, 0, 0], [2, 2, 0, 0], [1, 1, 1, 1]])
    assert effective_channels(weights).tolist() == pytest.approx([1, 2, 4])


def test_unequal_weights_are_the_exponential_of_the_entropy():
    shares = np.array([0.5, 0.3, 0.2])
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert float(effective_channels(torch.tensor(3 * shares))) == pytest.approx(expected)


def test_the_soft_selector_shows_its_channels():
    node = SoftChannelSelector(n_select=2, input_channels=5)
    assert node.effective_channels() == pytest.approx(5)
    node.logits.copy_(torch.tensor([0.0, 9, 0, 8, 0]))
    node.temperature = 0.1
    assert node.effective_channels() == pytest.approx(1.0005, abs=1e-3)
    assert node.schedule_values() == {
        "temperature": 0.1,
        "effective_channels": node.effective_channels(),
    }
    shown = node.epoch_artifacts()
    assert shown["channels"] == "1, 3"
    np.testing.assert_allclose(shown["weights"], node.get_selection_weights(hard=False))


def test_the_concrete_selector_shows_its_bands():
    node = ConcreteBandSelector(input_channels=4, output_channels=2)
    node.logits.copy_(torch.tensor([[0.0, 9, 0, 0], [0, 0, 9, 0]]))
    node.tau.fill_(0.1)
    assert node.effective_channels() == pytest.approx(1)
    node.tau.fill_(1e9)
    assert node.schedule_values()["effective_channels"] == pytest.approx(4)
    shown = node.epoch_artifacts()
    assert shown["bands"] == "1, 2"
    assert shown["weights"].shape == (2, 4)
