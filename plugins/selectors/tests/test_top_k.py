import math

import pytest
import torch

from specloom import ConfigError
from specloom_selectors.top_k import TopKIndices
from specloom_selectors.top_k_channels import TopKChannels


def top(weights, k):
    return TopKIndices(k=k)(weights=torch.tensor(weights))["indices"].tolist()


def test_descending_by_weight_and_ties_by_index():
    assert top([0.1, 0.7, 0.2, 0.7, 0.9], 3) == [4, 1, 3]
    assert top([1.0, 0.0, 1.0, 1.0], 3) == [0, 2, 3]
    assert top([0.0] * 200, 5) == [0, 1, 2, 3, 4]
    assert top([-1.0, -2.0, 0.0], 2) == [2, 0]


def test_sorting_in_python_agrees():
    weights = torch.randint(0, 20, (224,), generator=torch.Generator().manual_seed(0)).float()
    want = sorted(range(224), key=lambda i: (-float(weights[i]), i))
    assert top(weights.tolist(), 224) == want


def test_no_more_than_there_are():
    out = TopKIndices(k=9)(weights=torch.tensor([0.3, 0.4]))["indices"]
    assert out.tolist() == [1, 0]
    assert out.dtype == torch.int64
    assert TopKIndices.sizes({"k": 9}, {"C": 2}) == {"K": 2}
    assert TopKIndices.sizes({"k": 3}, {"C": 61}) == {"K": 3}


def test_nan_comes_last():
    assert top([math.nan, 0.1, math.inf, -1.0], 4) == [2, 1, 3, 0]


def test_a_k_that_makes_no_sense():
    with pytest.raises(ConfigError, match=r"node 'top' .*: k is 0\n  fix: set k to 1 or more"):
        TopKIndices(k=0, name="top").build({"C": 3})


def test_the_channels_of_the_largest_weights_alone():
    data = torch.rand(2, 3, 4, 5)
    weights = torch.tensor([0.1, 0.9, 0.2, 0.8, 0.9])
    node = TopKChannels(k=3)
    made = node.forward(data, weights)
    assert made["indices"].tolist() == [1, 3, 4]
    assert torch.equal(made["selected"], data[..., [1, 3, 4]])
    assert torch.equal(TopKChannels(k=9).forward(data, weights)["selected"], data)


def test_no_channel_is_no_selection():
    with pytest.raises(ConfigError) as caught:
        TopKChannels(k=0).build({"C": 3})
    assert str(caught.value) == "TopKChannels: k is 0\n  fix: set k to 1 or more"
