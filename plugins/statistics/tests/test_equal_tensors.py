"""Small tensors that come again with equal values."""

import copy

import torch

from specloom_statistics import EqualTensors, TensorCache


def test_equal_values_come_back_as_one_tensor_that_nothing_changes():
    known = EqualTensors()
    scale = torch.tensor([1.0, 2.0])
    first = known([scale, 3])
    scale.mul_(2)
    assert first[0].tolist() == [1, 2]
    second = known([torch.tensor([1.0, 2.0]), 3])
    assert second[0] is first[0]
    assert second[1] == 3
    third = known([scale, 3])
    assert third[0].tolist() == [2, 4]
    assert third[0] is not scale


def test_other_types_shapes_numbers_and_nan_are_not_equal():
    known = EqualTensors()
    (first,) = known([torch.ones(2)])
    for other in (torch.ones(2).double(), torch.ones(3), torch.tensor([1.0, torch.nan])):
        (found,) = known([other])
        assert found is not first
        assert found.dtype == other.dtype
        first = found
    (again,) = known([torch.tensor([1.0, torch.nan])])
    assert again is not first
    assert len(known([torch.ones(2), torch.ones(2)])) == 2


def test_a_cache_computes_once_for_equal_tensors_of_inference():
    known = EqualTensors()
    cache = TensorCache()
    calls = []
    with torch.inference_mode():
        for value in (1.0, 1.0, 2.0):
            sources = known([torch.full((3,), value)])
            cache(lambda: calls.append(1), *sources)
    assert len(calls) == 2


def test_a_copy_compares_with_its_own_calls():
    known = EqualTensors()
    (first,) = known([torch.ones(2)])
    (found,) = copy.deepcopy(known)([torch.ones(2)])
    assert found is not first
