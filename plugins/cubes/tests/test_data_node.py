import numpy as np
import pytest
import torch

import specloom_cubes
from specloom import ConfigError, DataError, IntegrityError, Pipeline, Plugins
from specloom.testing import built
from specloom_cubes import InMemory
from specloom_cubes.data_node import AnomalyDataNode, LentilsAnomalyDataNode

CUBE = torch.arange(2 * 2 * 3 * 4, dtype=torch.float64).reshape(2, 2, 3, 4)
MASK = torch.tensor([[[0, 1, 2], [3, -1, 0]], [[-1, -1, -1], [-1, -1, -1]]], dtype=torch.int32)
NM = torch.tensor([430.0, 500.0, 600.0, 700.0])


def node(*ids, bands=4):
    made = AnomalyDataNode(*ids)
    made.build({"C": bands})
    return made


def flags(array, kind=bool):
    return array[..., 0].to(torch.int32).tolist() if kind is int else array[..., 0].tolist()


def test_without_anomaly_classes_all_that_is_not_normal_is_anomalous():
    out = node([0, 1]).forward(CUBE, MASK)
    assert flags(out["mask"], int) == [[[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    assert flags(out["labelled"], int) == [[[1, 1, 1], [1, 0, 1]], [[0, 0, 0], [0, 0, 0]]]
    assert out["valid"].all()
    for name in ("mask", "valid", "labelled"):
        assert out[name].dtype == torch.bool
        assert out[name].shape == (2, 2, 3, 1)


def test_with_anomaly_classes_the_others_are_ignored():
    out = node([0, 1], [3]).forward(CUBE, MASK)
    assert flags(out["mask"], int) == [[[0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    assert flags(out["valid"], int) == [[[1, 1, 0], [1, 1, 1]], [[1, 1, 1], [1, 1, 1]]]
    assert flags(out["labelled"], int) == [[[1, 1, 0], [1, 0, 1]], [[0, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("ids", "anomalous", "labelled"), [(([-1, 0],), 0, 1), (([0], [-1]), 1, 1), (([0, 1],), 0, 0)]
)
def test_a_negative_class_is_unlabelled_unless_it_is_named(ids, anomalous, labelled):
    out = node(*ids).forward(CUBE, MASK)
    assert (out["mask"][1] == bool(anomalous)).all()
    assert (out["labelled"][1] == bool(labelled)).all()
    assert out["valid"][1].all()


@pytest.mark.parametrize("ids", [([0, 1],), ([0, 1], [3])])
def test_without_a_mask_all_pixels_may_be_used_and_none_is_labelled(ids):
    out = node(*ids).forward(CUBE)
    assert set(out) == {"cube", "valid", "labelled"}
    assert out["valid"].all()
    assert not out["labelled"].any()
    assert out["valid"].shape == out["labelled"].shape == (2, 2, 3, 1)


@pytest.mark.parametrize("mask", [MASK, None])
@pytest.mark.parametrize("ids", [([0],), ([0, 1], [3])])
def test_what_the_batch_says_of_pixels_is_combined_with_the_classes(mask, ids):
    usable = torch.ones(2, 2, 3, dtype=torch.bool)
    usable[0, 0, :2] = False
    usable[0, 1, 0] = False
    out = node(*ids).forward(CUBE, mask, None, usable)
    plain = node(*ids).forward(CUBE, mask)
    assert ("mask" in out) == (mask is not None)
    for name in set(plain) - {"cube", "classes"}:
        assert torch.equal(out[name], plain[name] & usable[..., None]), name
    assert ("classes" in out) == (mask is not None)
    if mask is not None:
        assert plain["mask"][0, 1, 0]
        assert not out["mask"][0, 1, 0]
        assert torch.equal(out["classes"][..., 0], mask)


CLASSES = torch.tensor([[[0, 2, -1, 5]]], dtype=torch.int32)


@pytest.mark.parametrize(
    ("ids", "mask", "valid", "labelled"),
    [
        (([0],), [0, 1, 0, 1], [1, 1, 1, 1], [1, 1, 0, 1]),
        (([0], [2]), [0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]),
        (([], [2]), [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]),
        (([0, 2, 5],), [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 1]),
        (([7],), [1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 0, 1]),
        (([7], [8]), [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]),
    ],
)
def test_the_three_masks_of_some_classes(ids, mask, valid, labelled):
    out = node(*ids, bands=2).forward(torch.zeros(1, 1, 4, 2), CLASSES)
    assert flags(out["mask"], int) == [[mask]]
    assert flags(out["valid"], int) == [[valid]]
    assert flags(out["labelled"], int) == [[labelled]]


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "uint32", "int64", "float16", "float64"]
)
def test_cubes_of_any_type_become_float32(dtype):
    cube = CUBE.to(getattr(torch, dtype))
    out = node([0]).forward(cube, MASK)["cube"]
    assert out.dtype == torch.float32
    np.testing.assert_array_equal(out.numpy(), CUBE.numpy().astype(np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64"])
def test_masks_of_any_integer_type(dtype):
    mask = MASK.clamp(min=0).to(getattr(torch, dtype))
    assert flags(node([0, 1]).forward(CUBE, mask)["mask"], int)[0] == [[0, 0, 1], [1, 0, 0]]


def test_nan_passes():
    cube = CUBE.clone()
    cube[0, 0, 0, 1] = torch.nan
    out = node([0]).forward(cube, MASK)
    assert out["cube"].isnan().sum() == 1
    assert out["valid"].all()
    assert out["labelled"][0, 0, 0]


@pytest.mark.parametrize(
    "wavelengths", [NM, NM.double(), torch.stack([NM, NM + 0.3]), NM.to(torch.int64)]
)
def test_wavelengths_of_one_grid(wavelengths):
    out = node([0]).forward(CUBE, None, wavelengths)["wavelengths"]
    assert out.dtype == torch.float32
    assert out.shape == (4,)
    assert torch.equal(out, NM)


def test_wavelengths_that_differ_within_a_batch():
    other = NM.clone()
    other[2] += 0.6
    with pytest.raises(DataError) as error:
        node([0]).forward(CUBE, None, torch.stack([NM, NM, other]))
    assert "band 2 is 600.00 nm in the first, 600.60 nm in number 3" in str(error.value)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, 0.0, -5.0])
def test_wavelengths_that_are_none(wrong):
    bad = torch.stack([NM, NM])
    bad[1, 1] = wrong
    with pytest.raises(DataError, match="not positive numbers"):
        node([0]).forward(CUBE, None, bad)


def test_the_first_wavelengths_are_kept():
    one = node([0])
    assert one.state()["known_wavelengths"].isnan().all()
    one.forward(CUBE)
    one.forward(CUBE, None, NM)
    one.forward(CUBE, None, NM + 0.4)
    one.forward(CUBE)
    with pytest.raises(DataError, match=r"band 0 is at 430.60 nm, before at 430.00 nm"):
        one.forward(CUBE, None, NM + 0.6)
    state = one.state()
    assert state["known_wavelengths"].dtype == torch.float64
    fresh = node([0])
    fresh.restore(state)
    assert torch.equal(fresh.state()["known_wavelengths"], NM.double())
    with pytest.raises(DataError, match=r"more than 0.5 nm apart"):
        fresh.forward(CUBE, None, NM + 1)
    fresh.forward(CUBE)


def test_a_state_of_a_node_that_saw_none():
    fresh = node([0])
    fresh.restore(node([0]).state())
    fresh.forward(CUBE, None, NM)


def test_what_was_saved_cannot_be_changed_afterwards():
    one = node([0])
    one.forward(CUBE, None, NM)
    state = one.state()
    state["known_wavelengths"] += 100
    one.forward(CUBE, None, NM)


def test_states_that_do_not_fit():
    with pytest.raises(IntegrityError, match="lacks 'known_wavelengths'"):
        node([0]).restore({})
    with pytest.raises(IntegrityError, match="was saved for 4 bands, here are 5"):
        node([0], None, bands=5).restore(node([0]).state())
    with pytest.raises(IntegrityError, match="unknown 'other'"):
        node([0]).restore({**node([0]).state(), "other": torch.zeros(1)})


def test_other_numbers_of_wavelengths():
    with pytest.raises(DataError, match="the batch has 3 wavelengths, before 4"):
        node([0]).forward(CUBE, None, NM[:3])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (([0, 1], [1, 2]), r"classes \[1\] are both normal and anomalous"),
        (([],), "normal_class_ids is empty"),
        (([0], []), "anomaly_class_ids is empty"),
    ],
)
def test_wrong_class_lists(ids, message):
    with pytest.raises(ConfigError, match=message) as error:
        node(*ids)
    assert error.value.fix


def test_no_normal_class_is_fine_with_anomalous_ones():
    out = node([], [3]).forward(CUBE, MASK)
    assert out["labelled"].sum() == out["mask"].sum() == 1
    assert out["valid"].sum() == 1 + (MASK < 0).sum()


def test_a_batch_equals_its_images_bit_for_bit():
    one = built(AnomalyDataNode)
    together = one.forward(CUBE, MASK)
    for at in range(2):
        alone = one.forward(CUBE[at : at + 1], MASK[at : at + 1])
        for name, value in alone.items():
            assert torch.equal(value, together[name][at : at + 1])


def test_both_names_are_one_class_in_python():
    assert specloom_cubes.LentilsAnomalyDataNode is specloom_cubes.AnomalyDataNode
    assert LentilsAnomalyDataNode is AnomalyDataNode


@pytest.mark.parametrize("name", ["AnomalyDataNode", "LentilsAnomalyDataNode"])
def test_both_names_stand_in_pipelines_without_a_warning(tmp_path, name):
    pipeline = Pipeline("both", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"cube": "data.cube"}
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 3, 4), np.float32)}]))
    graph, plugins = pipeline.graph(), Plugins()
    reference, cls = plugins.find(f"cubes.{name}", ("nodes",), "")
    assert (reference, cls) == (f"cubes.{name}", AnomalyDataNode)
    graph.types["data"] = reference
    pipeline.save_to_file(tmp_path / "pipeline.yaml")
    assert f"type: cubes.{name}\n" in (tmp_path / "pipeline.yaml").read_text()
    loaded = Pipeline.load(tmp_path / "pipeline.yaml").graph().nodes["data"]
    assert type(loaded) is AnomalyDataNode
