"""What a fit stores of its data, and how cubes compare with it."""

import json

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import specloom_statistics.domain.reference as domain_reference
from specloom_statistics import (
    DomainMeasure,
    DomainPixels,
    DomainReference,
    DomainSample,
    measure_domain,
    sample_positions,
)
from specloom_statistics.domain.reference import chord as domain_chord
from specloom_statistics.domain.sample import QUANTILES
from specloom_statistics.domain.stripes import stripe_spread
from specloom_statistics.domain.tilt import grouped_directions, spectral_tilt

BANDS = 12
GRID = np.linspace(0, 1, BANDS)
MATERIALS = np.stack([1 + GRID, 2 - GRID**2, 1 + np.sin(3 * GRID)])


def scene(seed, height=40, width=30):
    """Mixtures of three materials with a little noise, (H, W, C) in float32."""
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet([1, 1, 1], (height, width))
    cube = 100 * shares @ MATERIALS
    return (cube + generator.normal(scale=0.3, size=cube.shape)).astype(np.float32)


def sample_of(*cubes):
    sample = DomainSample()
    for cube in cubes:
        sample.fit_update(torch.from_numpy(cube)[None])
    return sample


def looked_at(cube, usable=None):
    height, width = cube.shape[:2]
    rows, columns = sample_positions(height, width)
    if usable is None:
        usable = np.ones(cube.shape[:2], bool)
    pixels = cube[rows, columns].astype(float)
    return DomainPixels(pixels, rows / height, columns / width, usable[rows, columns])


@pytest.fixture(scope="module")
def reference():
    return DomainReference(sample_of(scene(1), scene(2)).record())


def test_positions_are_even_and_in_the_image():
    rows, columns = sample_positions(300, 200)
    assert len(rows) == 1024
    assert (np.bincount(rows // 100) > 330).all()
    assert (np.bincount(columns // 50) > 245).all()
    assert rows.max() < 300
    assert columns.max() < 200


def test_positions_of_a_small_image_are_all_of_it():
    rows, columns = sample_positions(3, 5)
    assert sorted(zip(rows, columns, strict=True)) == [(r, c) for r in range(3) for c in range(5)]


def test_sample_is_bounded_and_does_not_depend_on_order_or_shares():
    cubes = [scene(seed) for seed in range(3)]
    forward = sample_of(*cubes).record()
    backward = sample_of(*cubes[::-1]).record()
    merged = DomainSample()
    for part in (cubes[2:], cubes[:2]):
        merged.fit_merge(sample_of(*part).fit_state())
    merged.fit_merge(DomainSample().fit_state())
    for record in (backward, merged.record()):
        assert record.keys() == forward.keys()
        for name, value in forward.items():
            assert torch.equal(record[name], value), name
    assert forward["pixels"].shape == (1024, BANDS)
    assert forward["counts"].tolist() == [3600, 3072, 0]
    expected = np.quantile(forward["pixels"].double().numpy(), 0.5, axis=0)
    np.testing.assert_allclose(forward["quantiles"][4], expected)


def test_excluded_pixels_are_counted_and_not_sampled():
    cube = scene(1)
    cube[:10] = np.nan
    valid = torch.ones(1, 40, 30, dtype=torch.bool)
    valid[:, 10:20] = False
    sample = DomainSample()
    sample.fit_update(torch.from_numpy(cube)[None], valid)
    record = sample.record()
    pixels, looked, excluded = record["counts"].tolist()
    assert (pixels, looked) == (1200, 1024)
    assert excluded == pytest.approx(512, abs=6)
    assert len(record["pixels"]) == looked - excluded
    assert record["pixels"].isfinite().all()


def test_nothing_is_stored_without_usable_pixels():
    assert sample_of(np.full((4, 4, 3), np.nan, np.float32)).record() == {}


def test_another_scene_of_the_kind_is_alike(reference):
    found = measure_domain(reference, looked_at(scene(7)))
    assert found.is_like
    assert found.level < 0.3
    assert found.shape < 0.5
    assert (found.unjudged, found.dead_bands, found.scores) == (0, (), None)


def faulty():
    """Each fault with the beginning of its reason."""
    cube = scene(7)
    generator = np.random.default_rng(0)
    noise = generator.normal(size=cube.shape)
    constant, dead = cube.copy(), cube.copy()
    constant[..., 5] = 130
    dead[..., 5] = np.nan
    holes = cube.copy()
    holes[generator.random(cube.shape[:2]) < 0.7] = np.nan
    yield cube * 0, "too dark: 100% of the pixels have no signal"
    yield cube.mean((0, 1)) + cube.std((0, 1)) * noise, "bands do not fit their neighbours"
    yield cube / 10000, "too dark: 0.0001 times the level of the fit"
    yield cube * 0.5, "too dark: 0.5"
    yield cube * 2, "too bright: 2 times"
    yield np.minimum(cube, np.median(cube)), "saturated"
    yield constant, "dead bands (1): 5"
    yield dead, "dead bands (1): 5"
    yield holes, "69% of the pixels could not be assessed"
    yield np.full_like(cube, np.nan), "no pixel can be compared"
    yield np.roll(cube, 1, axis=2), "bands do not fit"
    other = cube.sum(2, keepdims=True) * (1 + np.cos(4 * GRID) / 2) / BANDS
    yield other, "other spectra"
    yield cube * np.linspace(0.4, 1.6, 30)[:, None], "the light rises or falls across the image"
    yield cube * (1 + 0.2 * generator.normal(size=(1, 30, BANDS))), "bands do not fit"
    yield cube * (1 + 0.2 * generator.normal(size=(30, 1))), "rows or columns have a brightness"
    yield cube * (1 + 0.2 * generator.normal(size=(40, 1, 1))), "rows or columns have a brightness"
    yield cube * np.linspace(0.7, 1.3, BANDS), "the light rises or falls over the bands"
    yield cube * np.linspace(1.3, 0.7, BANDS), "the light rises or falls over the bands"


@pytest.mark.parametrize("case", range(18))
def test_faults_are_reported(reference, case):
    cube, reason = list(faulty())[case]
    found = measure_domain(reference, looked_at(cube))
    assert any(one.startswith(reason) for one in found.reasons), found
    assert max(found.level, found.shape) > 1


@pytest.mark.parametrize("bands", [12, 100])
@pytest.mark.parametrize("tilt", [-0.6, 0.0, 0.3])
def test_tilt_is_the_rise_of_the_logarithm_of_the_light(bands, tilt):
    """Also where half of the pixels are of a material that the fit did not have."""
    generator = np.random.default_rng(0)
    grid = np.linspace(0, 1, bands)
    materials = np.stack([1 + grid, 2 - grid**2, 1 + np.sin(3 * grid)])
    other = 1 + np.cos(9 * grid) / 2

    def spectra():
        return generator.dirichlet([1, 1, 1], 1000) @ materials

    mixed = spectra()
    mixed[::2] = other
    light = np.exp(tilt * (grid - 0.5))
    known = grouped_directions(spectra())
    assert spectral_tilt(known, mixed * light) == pytest.approx(tilt, abs=0.051)


@pytest.mark.parametrize("size", [(24, 24), (100, 80), (40, 400)])
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_stripes_are_the_spread_of_columns(size, spread):
    """On a brightness that varies from pixel to pixel, and slowly over rows and columns."""
    generator = np.random.default_rng(0)
    rows, columns = sample_positions(*size)
    slow = np.sin(4 * columns / size[1]) + np.cos(3 * rows / size[0])
    stripes = spread * generator.normal(size=size[1])
    levels = 0.3 * slow + stripes[columns] + 0.2 * generator.normal(size=len(rows))
    found = stripe_spread(levels, columns / size[1])
    assert found == pytest.approx(spread, abs=0.08)
    assert stripe_spread(levels, rows / size[0]) < 0.1
    assert stripe_spread(levels[:10], columns[:10]) == 0
    each_alone = np.arange(len(levels)) * 1.0
    assert stripe_spread(levels, each_alone) == 0


def test_a_shifted_band_axis_is_named():
    def smooth(seed, shift):
        generator = np.random.default_rng(seed)
        at = np.arange(80) + shift
        peaks = np.exp(-(((at - 40) / 6) ** 2)) + 0.5 * np.exp(-(((at - 15) / 4) ** 2))
        height = generator.uniform(0.8, 1.2, (40, 30, 1))
        cube = 100 * (1 + height * peaks)
        return (cube + generator.normal(scale=0.5, size=cube.shape)).astype(np.float32)

    reference = DomainReference(sample_of(smooth(1, 0)).record())
    assert measure_domain(reference, looked_at(smooth(2, 0))).is_like
    found = measure_domain(reference, looked_at(smooth(2, 1)))
    assert "the band axis is shifted against that of the fit" in found.reasons


def test_scores_in_the_tails_are_reported(reference):
    good = looked_at(scene(7))
    assert measure_domain(reference, good, scores=0.5).is_like
    assert measure_domain(reference, good, scores=0.0).reasons == (
        "scores far below those of the fit",
    )
    assert measure_domain(reference, good, scores=1.0).reasons == (
        "scores far above those of the fit",
    )


def test_what_the_fit_had_is_no_fault():
    """Zero pixels, a constant band and excluded pixels that were there in the fit."""

    def with_ground(seed):
        cube = scene(seed)
        cube[:16] = 0
        cube[16:28] = np.nan
        cube[28:, :, 3] = 7
        cube[:16, :, 3] = 7
        return cube

    reference = DomainReference(sample_of(with_ground(1)).record())
    assert measure_domain(reference, looked_at(with_ground(2))).is_like


def test_invalid_pixels_are_not_compared(reference):
    cube = scene(7)
    cube[:8] = 1e6
    usable = np.ones(cube.shape[:2], bool)
    usable[:8] = False
    found = measure_domain(reference, looked_at(cube, usable))
    assert found.is_like
    assert found.unjudged == pytest.approx(0.2, abs=0.01)


def test_a_comparison_has_one_thread_of_blas(reference, monkeypatch):
    """Several, which wait by spinning, doubled the CPU time of predictions from Python."""
    seen = []

    def chord(cosines):
        pools = threadpool_info()
        seen.append({one["num_threads"] for one in pools if one["user_api"] == "blas"})
        return domain_chord(cosines)

    monkeypatch.setattr(domain_reference, "chord", chord)
    with threadpool_limits(2, user_api="blas"):
        DomainReference(sample_of(scene(0)).record())
        measure_domain(reference, looked_at(scene(7)))
    assert len(seen) >= 2
    assert set(map(frozenset, seen)) == {frozenset({1})}


def test_a_measure_as_plain_values(reference):
    measure = measure_domain(reference, looked_at(scene(7) * 0))
    plain = measure.as_json()
    assert DomainMeasure.from_json(json.loads(json.dumps(plain))) == measure
    assert plain["reasons"] == ["too dark: 100% of the pixels have no signal"]
    assert plain["dead_bands"] == list(range(BANDS))
    assert set(plain) == {
        "level",
        "shape",
        "dead_bands",
        "saturated",
        "dark",
        "unjudged",
        "scores",
        "reasons",
    }


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1024])
def test_stored_quantiles_are_those_of_torch(count):
    random = torch.Generator().manual_seed(0)
    cube = torch.randn(1, count, 1, 7, generator=random)
    sample = DomainSample()
    sample.fit_update(cube)
    record = sample.record()
    levels = torch.tensor(QUANTILES, dtype=torch.float64)
    expected = record["pixels"].double().quantile(levels, dim=0)
    assert torch.equal(record["quantiles"], expected)


def test_a_cube_that_is_a_view_has_the_same_sample():
    random = torch.Generator().manual_seed(0)
    cube = torch.randn(2, 50, 60, 5, generator=random)
    records = []
    for form in (cube, cube.transpose(1, 2).contiguous().transpose(1, 2)):
        sample = DomainSample()
        sample.fit_update(form, torch.ones(2, 50, 60, dtype=torch.bool))
        records.append(sample.record())
    for name, values in records[0].items():
        assert torch.equal(values, records[1][name])
