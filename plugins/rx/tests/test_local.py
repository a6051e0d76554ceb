"""Local RX: a float64 loop over rings, borders, tiles, validity, and hostile data."""

import numpy as np
import pytest
import torch

from specloom import ConfigError, LazyAffine
from specloom.testing import run
from specloom_rx import LocalRX, windows


def pixels(rows=23, columns=19, bands=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(1, rows, columns, bands, generator=generator, dtype=torch.float64)
    return data @ torch.randn(bands, bands, generator=generator, dtype=torch.float64) + 30


def scores_of(data, valid=None, **params):
    batch = {"data": data}
    if valid is not None:
        batch["valid"] = valid
    node = LocalRX(**{"inner": 3, "outer": 7, "num_channels": data.shape[-1], **params})
    return run(node, batch)["scores"][..., 0]


def window(place, size, length):
    size = min(size, length)
    start = min(max(place - size // 2, 0), length - size)
    return set(range(start, start + size))


def ring(image, row, column, inner, outer, usable):
    """The usable pixels of a ring, one after another."""
    found = []
    rows, columns = image.shape[:2]
    inner_rows = window(row, inner, rows)
    inner_columns = window(column, inner, columns)
    for r in sorted(window(row, outer, rows)):
        for c in sorted(window(column, outer, columns)):
            if usable[r, c] and not (r in inner_rows and c in inner_columns):
                found.append(image[r, c])
    return np.array(found)


def loop(data, shrinkage, inner=3, outer=7, usable=None, least=2):
    """Scores by a loop over the pixels of one image."""
    image = data[0].numpy()
    rows, columns, bands = image.shape
    usable = np.ones((rows, columns), bool) if usable is None else usable
    scores = np.full((rows, columns), np.nan)
    for r in range(rows):
        for c in range(columns):
            around = ring(image, r, c, inner, outer, usable)
            if len(around) < least:
                continue
            covariance = np.cov(around.T)
            covariance = covariance + shrinkage * np.trace(covariance) / bands * np.eye(bands)
            gap = image[r, c] - around.mean(0)
            scores[r, c] = gap @ np.linalg.pinv(covariance, rcond=1e-11, hermitian=True) @ gap
    return scores


@pytest.mark.parametrize("shrinkage", [0.0, 1e-3])
@pytest.mark.parametrize(("inner", "outer"), [(1, 3), (3, 7), (5, 13), (3, 19)])
def test_scores_are_those_of_a_loop(inner, outer, shrinkage):
    data = pixels()
    got = scores_of(data, inner=inner, outer=outer, shrinkage=shrinkage)
    np.testing.assert_allclose(got[0], loop(data, shrinkage, inner, outer), rtol=1e-9)


@pytest.mark.parametrize(("rows", "columns"), [(5, 19), (23, 6), (4, 5)])
def test_an_image_smaller_than_the_outer_window(rows, columns):
    data = pixels(rows, columns)
    got = scores_of(data, outer=9, shrinkage=0.0)
    np.testing.assert_allclose(got[0], loop(data, 0.0, 3, 9), rtol=1e-9)


def test_parts_of_the_columns_have_the_scores_of_all(monkeypatch):
    data = pixels()
    whole = scores_of(data)
    # 3 windows of 7 rows.
    monkeypatch.setattr(windows, "CPU_BYTES", 8 * 7 * 25 * 3)
    torch.testing.assert_close(scores_of(data), whole, rtol=1e-10, atol=0)


def test_tiles_with_the_margin_have_the_scores_of_the_whole_image():
    data = pixels(60, 50)
    whole = scores_of(data)
    halo = LocalRX(3, 7, num_channels=4).halo
    assert halo == 6
    inside = scores_of(data[:, 10:40, 12:45])[:, halo:-halo, halo:-halo]
    torch.testing.assert_close(inside, whole[:, 16:34, 18:39], rtol=1e-10, atol=0)
    corner = scores_of(data[:, :30, :30])[:, :-halo, :-halo]
    torch.testing.assert_close(corner, whole[:, :24, :24], rtol=1e-10, atol=0)


def test_an_image_has_the_same_bits_in_a_batch():
    data = torch.cat([pixels(seed=seed) for seed in range(3)])
    assert torch.equal(scores_of(data)[1:2], scores_of(data[1:2]))


def test_pixels_that_are_not_usable_are_in_no_ring():
    data = pixels()
    usable = np.ones((23, 19), bool)
    usable[4:7, 5:8] = False
    data[0, 4:6, 5:8] = torch.nan
    data[0, 6, 5:8] = 1e6
    valid = torch.ones(1, 23, 19, 1, dtype=torch.bool)
    valid[0, 6, 5:8] = False
    got = scores_of(data, valid, shrinkage=0.0)
    want = loop(data, 0.0, usable=usable)
    assert bool(got[0, 4:6, 5:8].isnan().all())
    finite = np.isfinite(want)
    assert finite[6, 5:8].all()
    np.testing.assert_allclose(got[0][finite], want[finite], rtol=1e-6)


def test_rings_with_too_few_pixels_have_no_score():
    data = pixels()
    valid = torch.zeros(1, 23, 19, 1, dtype=torch.bool)
    valid[0, :, :9] = True
    usable = valid[0, ..., 0].numpy()
    for least in (None, 12):
        got = scores_of(data, valid, least=least, shrinkage=0.0)[0]
        want = loop(data, 0.0, usable=usable, least=least or 5)
        np.testing.assert_array_equal(got.isnan(), np.isnan(want))
        np.testing.assert_allclose(got, want, rtol=1e-8)
    assert bool(scores_of(data[:, :1, :1]).isnan().all())


def test_weak_directions_survive_a_condition_of_a_billion_and_an_offset():
    data = pixels(40, 40, 6)
    generator = torch.Generator().manual_seed(1)
    mixing = torch.linalg.qr(torch.randn(6, 6, generator=generator).double()).Q
    weak = torch.randn(1, 40, 40, 6, generator=generator, dtype=torch.float64)
    weak = (weak * torch.logspace(0, -4.5, 6, dtype=torch.float64)) @ mixing
    want = loop(weak, 0.0, 3, 9)
    np.testing.assert_allclose(scores_of(weak, outer=9, shrinkage=0.0)[0], want, rtol=1e-6)
    # The rounding of x + 1e4 itself is 1e-12, beside deviations of 1.
    data = data - data.mean((1, 2))
    moved = scores_of(data + 1e4, outer=9)
    torch.testing.assert_close(moved, scores_of(data, outer=9), rtol=1e-6, atol=1e-6)


def test_a_target_of_a_million_deviations_spoils_only_covariances_with_it():
    data = pixels()
    data[0, 11, 9] += 1e6
    got = scores_of(data, inner=5, outer=11, shrinkage=0.0)[0].numpy()
    want = loop(data, 0.0, 5, 11)
    spoiled = np.zeros((23, 19), bool)
    for r in range(23):
        for c in range(19):
            outside = 11 in window(r, 11, 23) and 9 in window(c, 11, 19)
            inside = 11 in window(r, 5, 23) and 9 in window(c, 5, 19)
            spoiled[r, c] = outside and not inside
    assert 20 < (~spoiled).sum() < 400
    np.testing.assert_allclose(got[~spoiled], want[~spoiled], rtol=1e-6)


def hostile(kind):
    data = pixels()
    if kind == "constant":
        return torch.full_like(data, 7.5)
    if kind == "singular":
        data[..., 2:] = data[..., :2] * 2
        return data
    if kind == "constant band":
        data[..., 1] = 0.1
        return data
    data[0, :, :12, 1] = 0.1
    return data


@pytest.mark.parametrize(
    "kind", ["constant", "singular", "constant band", "band constant in rings"]
)
@pytest.mark.parametrize("shrinkage", [0.0, 1e-3])
def test_hostile_data_give_finite_scores(kind, shrinkage):
    data = hostile(kind)
    got = scores_of(data, shrinkage=shrinkage)
    assert bool(got.isfinite().all())
    if kind == "constant":
        assert not got.any()
    if kind == "constant band":
        without = scores_of(data[..., [0, 2, 3]], shrinkage=shrinkage)
        torch.testing.assert_close(got, without, rtol=1e-8, atol=0)
    if kind == "singular" and shrinkage == 0:
        alone = scores_of(data[..., :2], shrinkage=0.0)
        torch.testing.assert_close(got, alone, rtol=1e-7, atol=0)
    if kind == "band constant in rings":
        without = scores_of(data[..., [0, 2, 3]], shrinkage=shrinkage)
        torch.testing.assert_close(got[:, :, :8], without[:, :, :8], rtol=1e-7, atol=0)


def test_fewer_pixels_than_bands_in_a_ring():
    data = pixels(bands=30)
    assert bool(scores_of(data, outer=5).isnan().all())
    got = scores_of(data, least=2, outer=5)
    np.testing.assert_allclose(got[0], loop(data, 1e-3, 3, 5), rtol=1e-7)
    bare = scores_of(data, least=2, outer=5, shrinkage=0.0)
    assert bool(bare.isfinite().all())


def test_a_lazy_map_has_the_scores_of_its_values():
    data = pixels()
    scale = torch.tensor([2.0, 0.5, 3.0, 1.0])
    lazy = LazyAffine(data, scale, -scale, torch.float64)
    torch.testing.assert_close(scores_of(lazy), scores_of(data * scale - scale), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inner": 4}, "LocalRX: inner is 4"),
        ({"outer": 8}, "LocalRX: outer is 8"),
        ({"inner": -1}, "LocalRX: inner is -1"),
        ({"inner": 7}, "LocalRX: inner is 7, but outer is 7"),
        ({"least": 1}, "LocalRX: least is 1"),
        ({"shrinkage": -1.0}, "LocalRX: shrinkage is -1.0"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ConfigError, match=message):
        LocalRX(**{"inner": 3, "outer": 7, "num_channels": 4, **params})
