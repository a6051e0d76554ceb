"""Backgrounds: by a value, below a level, outside a mask; and many equal pixels."""

import numpy as np
import pytest
import torch

from specloom import ConfigError, DataError
from specloom_cubes import AnomalyDataNode, Background
from specloom_cubes.background import equal_to_corner, may_equal_a_corner
from specloom_cubes.data_node import IMAGES_COMPARED

SIZE = 20


def grain(ground=0.0, bands=5):
    """A noisy square of 10 x 10 pixels on a ground of one value, (1, 20, 20, bands)."""
    rng = np.random.default_rng(1)
    cube = np.full((1, SIZE, SIZE, bands), ground, np.float32)
    cube[0, 5:15, 5:15] = rng.uniform(0.3, 0.9, (10, 10, bands))
    return torch.from_numpy(cube)


def square():
    inside = torch.zeros(1, SIZE, SIZE, 1, dtype=torch.bool)
    inside[:, 5:15, 5:15] = True
    return inside


def built(**options):
    node = Background(**options)
    node.build({"C": 5})
    return node


def test_the_data_node_excludes_a_value_of_all_bands():
    cube = grain()
    cube[0, 7, 7, 2] = 0  # one band alone does not make a background
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.int32)
    mask[0, 0, 0] = 1
    mask[0, 8, 8] = 1
    made = AnomalyDataNode([0], background=0).forward(cube, mask)
    assert torch.equal(made["valid"], square())
    assert torch.equal(made["labelled"], square())
    assert made["mask"].nonzero().tolist() == [[0, 8, 8, 0]]
    unlabelled = AnomalyDataNode([0], background=0).forward(cube)
    assert torch.equal(unlabelled["valid"], square())


def test_many_pixels_equal_to_a_corner_are_warned_of_once():
    node = AnomalyDataNode([0], name="data")
    with pytest.warns(UserWarning, match="one and the same spectrum") as caught:
        node.look_at_batch({"cube": grain()})
    assert str(caught[0].message) == (
        "node 'data' (AnomalyDataNode): 300 of 400 pixels of an image have one and the same "
        "spectrum (0 in all bands), that of a corner: fits and metrics count them\n"
        "  fix: set background: 0 at the data node, so that they are excluded"
    )
    node.look_at_batch({"cube": grain()})


def test_what_is_excluded_already_is_not_warned_of():
    AnomalyDataNode([0], background=0).look_at_batch({"cube": grain()})
    valid = square()[..., 0]
    AnomalyDataNode([0]).look_at_batch({"cube": grain(), "valid": valid})
    ignored = torch.where(valid, 0, 7)
    node = AnomalyDataNode([0], anomaly_class_ids=[1])
    node.look_at_batch({"cube": grain(), "mask": ignored})


def test_passes_read_no_value_of_a_tensor():
    """Of tensors without values: on a GPU, reading one would wait for it."""
    cube = grain().to("meta")
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.int32, device="meta")
    node = AnomalyDataNode([0], background=0, name="data")
    node.look_at_batch({"cube": cube})
    made = node.forward(cube, mask, valid=mask.bool())
    assert made["valid"].shape == (1, SIZE, SIZE, 1)
    made = Background(below=0.1, above=2.0, value=0.0).forward(cube, made["valid"])
    assert made["valid"].device.type == "meta"


def everywhere(cube):
    return np.ones(cube.shape[:3], bool)


def test_equal_pixels_that_are_not_flat():
    cube = grain().numpy()
    cube[0, :4] = np.arange(1, 6)
    found = equal_to_corner(cube, everywhere(cube))
    assert found is not None
    assert (found.pixels, found.spectrum) == (220, "0 in all bands")
    cube[0, 4:] = np.random.default_rng(0).random((16, SIZE, 5))
    assert equal_to_corner(cube, everywhere(cube)) is None  # only 80
    larger = np.concatenate([cube, cube], 2)
    found = equal_to_corner(larger, everywhere(larger))
    assert found is not None
    assert found.spectrum == "1 in the first band"
    assert found.fix.startswith("exclude them with a node cubes.Background")


def test_noise_is_not_warned_of():
    rng = np.random.default_rng(0)
    cube = rng.random((2, 64, 64, 4), np.float32)
    assert equal_to_corner(cube, everywhere(cube)) is None
    counts = rng.integers(0, 4, (1, 64, 64, 8), np.uint8)
    assert equal_to_corner(counts, everywhere(counts)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"value": 0.05},
        {"below": 0.2},
        {"below": 0.2, "band": 4},
        {"below": 0.2, "wavelength": 612},
        {"below": 0.2, "above": 0.95, "band": 0},
    ],
)
def test_the_node_finds_the_background(options):
    made = built(**options).forward(
        grain(0.05), wavelengths=torch.tensor([400.0, 500, 600, 700, 800])
    )
    assert torch.equal(made["valid"], square())
    assert torch.equal(made["labelled"], square())


def test_a_bright_background():
    made = built(above=0.95, band=1).forward(grain(1.0))
    assert torch.equal(made["valid"], square())


def test_the_node_joins_what_comes_in():
    valid = torch.ones(1, SIZE, SIZE, 1, dtype=torch.bool)
    valid[0, 5, 5] = False
    labelled = valid.clone()
    labelled[0, 6] = False
    cube = grain(0.05)
    cube[0, 9, 9, 3] = torch.nan
    made = built().forward(cube, valid=valid, labelled=labelled, inside=square())
    want = square() & valid
    want[0, 9, 9] = False
    assert torch.equal(made["valid"], want)
    assert torch.equal(made["labelled"], want & labelled)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"band": 5, "below": 1.0}, "band is 5, and the data have 5 bands"),
        ({"band": 1, "wavelength": 500.0, "below": 1.0}, "band 1 and wavelength 500 are set"),
        ({"band": 1}, "a band is named, and no level"),
    ],
)
def test_wrong_parameters(options, what):
    with pytest.raises(ConfigError, match=what) as caught:
        built(**options)
    assert caught.value.fix


def test_a_wavelength_without_wavelengths():
    with pytest.raises(DataError, match="wavelength is 600 nm, and none are known"):
        built(wavelength=600.0, below=0.1).forward(grain())


def test_a_batch_that_comes_again_is_not_compared_again(monkeypatch):
    node = AnomalyDataNode([0])
    rng = np.random.default_rng(0)
    batches = [rng.random((2, 30, 40, 4), np.float32) for _ in range(3)]
    for batch in (*batches, *batches, batches[0][:1]):
        node.look_at_batch({"cube": torch.from_numpy(batch)})
    assert node._images_to_compare == IMAGES_COMPARED - 7
    batches[1][1, :8] = 0.25
    with pytest.warns(UserWarning, match="one and the same spectrum"):
        node.look_at_batch({"cube": torch.from_numpy(batches[1])})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.uint8])
def test_cubes_of_any_type_are_compared(dtype):
    cube = (200 * torch.rand(1, 30, 40, 4, generator=torch.Generator().manual_seed(0))).to(dtype)
    cube[0, :8] = 250
    with pytest.warns(UserWarning, match="one and the same spectrum"):
        AnomalyDataNode([0]).look_at_batch({"cube": cube})


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (1, 0, 4, 5), (1, 3, 0, 5), (1, 3, 4, 0)])
def test_an_image_without_pixels_or_bands_is_not_compared(shape):
    node = AnomalyDataNode([0])
    node.look_at_batch({"cube": torch.zeros(shape)})
    assert node._images_to_compare == IMAGES_COMPARED


@pytest.mark.parametrize("rows", [slice(0, 3), slice(27, 30), slice(None)])
def test_what_equals_a_corner_is_found_in_few_rows(rows):
    cube = np.random.default_rng(0).random((1, 30, 40, 4), np.float32)
    assert not may_equal_a_corner(cube)
    cube[0, rows, :35] = 0.5
    assert may_equal_a_corner(cube)
    assert equal_to_corner(cube, everywhere(cube)) is not None
