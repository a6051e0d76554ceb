"""Memory for results: of the right shape and type, and nobody else's."""

import pytest
import torch

from specloom_normalize.memory import LARGE, new_memory
from specloom_normalize.scaling import Scaling


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rows", [0, 1, LARGE // 8])
def test_shape_and_type_are_those_asked_for(rows, dtype):
    like = torch.zeros(rows, 5, dtype=dtype)
    made = new_memory(like)
    assert made.shape == like.shape
    assert made.dtype == like.dtype
    assert made.is_contiguous()


def test_a_result_stays_as_it_is_when_the_next_one_is_made():
    data = torch.rand(LARGE // 16, 8)
    scaling = Scaling.between(torch.tensor(0.0), torch.tensor(2.0), 1e-6, data.dtype)
    first = scaling.apply(data, clip=False)
    before = first.clone()
    scaling.apply(1 - data, clip=False)
    assert torch.equal(first, before)
    assert torch.equal(before, data / 2)
