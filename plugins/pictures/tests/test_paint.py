import itertools

import numpy as np
import pytest
import torch

from specloom_pictures.paint import (
    EXCLUDED,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    as_levels,
    paint_classes,
    stretch,
)

# Machado, Oliveira and Fernandes (2009, IEEE TVCG 15(6)), severity 1, on linear RGB.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colours, sight):
    """CIELAB of sRGB colours (N, 3) as somebody with that sight sees them."""
    c = np.asarray(colours, float).reshape(-1, 3) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.array(SIGHT[sight]).T, 0, 1) @ XYZ.T / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_distinguished_with_every_kind_of_sight(sight):
    seen = lab([TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, EXCLUDED], sight)
    greys = lab([(i, i, i) for i in range(256)], sight)
    between = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    from_grey = np.linalg.norm(seen[:, None] - greys, axis=-1).min(1)
    assert min(between) > 33  # 2.3 can just be noticed
    assert min(from_grey[:3]) > 18
    assert from_grey[3] > 9
    assert len(set(EXCLUDED)) == 3  # no pixel of a grey image has it


def reference(values, usable, cut):
    """Levels in NumPy, image by image and channel by channel; where usable."""
    made = np.zeros(values.shape, np.uint8)
    for image, keep in enumerate(usable):
        for channel in range(values.shape[-1]):
            x = values[image, ..., channel].astype(np.float64)
            ordered = np.sort(x[keep])
            first = (len(ordered) - 1) // cut if cut else 0
            low, high = ordered[first], ordered[len(ordered) - 1 - first]
            level = (x - low) / (high - low) if high > low else np.full(x.shape, 0.5)
            made[image, ..., channel] = np.round(np.clip(np.nan_to_num(level), 0, 1) * 255)
    return made


@pytest.mark.parametrize("cut", [0, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int16"])
def test_levels_equal_numpy_where_pixels_count(cut, dtype):
    random = np.random.default_rng(0)
    values = (random.gamma(2, 900, (3, 31, 17, 2))).astype(dtype)
    usable = random.random((3, 31, 17)) < 0.7
    values[1, ..., 1] = 7
    got = stretch(torch.from_numpy(values), torch.from_numpy(usable), cut).numpy()
    np.testing.assert_array_equal(got[usable], reference(values, usable, cut)[usable])
    assert (got[1, ..., 1][usable[1]] == 128).all()


def test_levels_do_not_depend_on_the_batch_or_on_what_does_not_count():
    values = torch.randn(2, 20, 20, 1)
    usable = torch.ones(2, 20, 20, dtype=torch.bool)
    usable[0, 0, :3] = False
    values[0, 0, 0], values[0, 0, 1], values[0, 0, 2] = torch.nan, torch.inf, 1e30
    both = stretch(values, usable, 100)
    assert torch.equal(stretch(values[1:], usable[1:], 100), both[1:])
    values[0, 0, :3] = 0
    assert torch.equal(stretch(values, usable, 100)[0, 1:], both[0, 1:])
    none = torch.zeros_like(usable)
    assert stretch(values, none).shape == values.shape


def test_one_hot_pixel_does_not_darken_the_others():
    values = torch.rand(1, 20, 20, 1)
    values[0, 3, 3] = 1e6
    usable = torch.ones(1, 20, 20, dtype=torch.bool)
    assert stretch(values, usable, clip_one_in=100).float().std() > 50
    assert stretch(values, usable).float().std() < 20
    assert stretch(values, usable, clip_one_in=100)[0, 3, 3] == 255


def test_values_from_0_to_1_are_shown_as_they_are():
    values = torch.tensor([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0, torch.nan, torch.inf])
    assert as_levels(values).tolist() == [0, 0, 64, 128, 255, 255, 0, 255]
    assert as_levels(torch.tensor([False, True])).tolist() == [0, 255]


def test_classes_are_painted_over_levels():
    levels, kinds = np.full((1, 5, 1), 9, np.uint8), np.arange(5, dtype=np.uint8)[None]
    picture = paint_classes(levels, kinds)
    assert picture.dtype == np.uint8
    assert picture[0].tolist() == [
        [9] * 3,
        *map(list, (FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE, EXCLUDED)),
    ]
