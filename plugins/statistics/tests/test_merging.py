"""Merges in the order of the stream equal one stream, and an empty state is neutral."""

import numpy as np
import pytest
import torch

from specloom_statistics import (
    Moments,
    PixelSample,
    RunningExtremes,
    RunningVariance,
    SampleMoments,
    SmallestKeys,
    join_states,
    merge_moments,
    merge_without_waiting,
    part_of_state,
)

ROW_STATISTICS = [Moments, RunningVariance, RunningExtremes]


def rows(count=5000, bands=7, offset=1e4):
    random = np.random.default_rng(0)
    mixed = random.normal(size=(count, 3)) @ random.normal(size=(3, bands))
    made = offset + mixed + 0.1 * random.normal(size=(count, bands))
    made[:, 2] = 0.1  # a constant band
    made[count // 2, 4] = np.nan
    return torch.from_numpy(made).float()


def streamed(cls, *parts):
    statistics = cls(parts[0].shape[-1])
    for part in parts:
        statistics.update(part)
    return statistics


def same_bits(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("cls", ROW_STATISTICS)
@pytest.mark.parametrize("count", [1, 2, 5000])
def test_merging_one_part_into_an_empty_state_gives_the_part(cls, count):
    part = streamed(cls, rows(count + 1))
    empty = cls(7)
    empty.merge(part.state())
    same_bits(empty.state(), part.state())
    part.merge(cls(7).state())
    same_bits(empty.state(), part.state())


@pytest.mark.parametrize("cls", ROW_STATISTICS)
def test_merging_the_parts_in_order_equals_one_stream(cls):
    parts = rows().split(700)
    whole = streamed(cls, *parts).state()
    merged = cls(7)
    for part in parts:
        merged.merge(streamed(cls, part).state())
    found = merged.state()
    assert torch.equal(found["counts"], whole["counts"])
    spread = rows()[~rows().isnan().any(1)].double().var(0) * 5000
    for name in whole.keys() - {"counts"}:
        error = (found[name] - whole[name]).abs()
        if name == "scatter":
            scale = torch.outer(spread, spread).sqrt()
        elif name == "squares":
            scale = spread
        else:
            scale = whole[name].abs()
        assert (error <= 1e-12 * scale).all(), name


@pytest.mark.parametrize("cls", [Moments, RunningVariance])
def test_moments_equal_numpy_in_float64(cls):
    usable = rows()[~rows().isnan().any(1)].double().numpy()
    statistics = streamed(cls, *rows().split(999))
    assert (statistics.count, statistics.left_out) == (4999, 1)
    np.testing.assert_allclose(statistics.mean(), usable.mean(0), rtol=1e-13)
    size, mean, scatter = statistics.moments()
    assert size == 4999
    assert torch.equal(mean, statistics.mean())
    exact = (usable - usable.mean(0)).T @ (usable - usable.mean(0))
    np.testing.assert_allclose(
        scatter.diagonal() if scatter.dim() > 1 else scatter, exact.diagonal(), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("cls", ROW_STATISTICS)
@pytest.mark.parametrize("hostile", ["nothing", "nan", "masked"])
def test_without_a_usable_row_nothing_is_counted(cls, hostile):
    data = rows(100)
    keep = None
    if hostile == "nothing":
        data = data[:0]
    elif hostile == "nan":
        data[:, 3] = torch.nan
    else:
        keep = torch.zeros(100, dtype=torch.bool)
    statistics = cls(7)
    statistics.update(data, keep)
    assert (statistics.count, statistics.left_out) == (0, len(data))
    empty = cls(7)
    empty.merge(statistics.state())
    same_bits(empty.state(), statistics.state())
    statistics.update(rows(50)[:20])
    assert statistics.count == 20


@pytest.mark.parametrize("cls", [Moments, RunningVariance])
def test_one_pixel_has_no_variance(cls):
    pixel = rows()[:1]
    _, mean, scatter = streamed(cls, pixel).moments()
    assert torch.equal(mean, pixel[0].double())
    assert scatter.abs().max() == 0


@pytest.mark.parametrize("matrix", [False, True])
def test_the_pairwise_merge_equals_numpy(matrix):
    random = np.random.default_rng(1)
    data = random.normal(size=(300, 4)) + 50
    moments = []
    for part in (data[:100], data[100:]):
        gaps = part - part.mean(0)
        scatter = gaps.T @ gaps if matrix else (gaps**2).sum(0)
        moments.append(SampleMoments(len(part), *map(torch.from_numpy, (part.mean(0), scatter))))
    size, mean, scatter = merge_moments(*moments)
    gaps = data - data.mean(0)
    assert size == 300
    np.testing.assert_allclose(mean, data.mean(0), rtol=1e-14)
    exact = gaps.T @ gaps if matrix else (gaps**2).sum(0)
    np.testing.assert_allclose(scatter, exact, rtol=1e-12, atol=1e-11)


def test_an_empty_sample_is_neutral_in_the_pairwise_merge():
    zero = torch.zeros((), dtype=torch.float64)
    empty = SampleMoments(0, zero, zero)
    sample = SampleMoments(3, zero + 5, zero + 2)
    assert merge_moments(empty, sample) is sample
    assert merge_moments(sample, empty) is sample


def images(count=6, pixels=900):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, pixels, 3, generator=generator)


def sample_of(data, size):
    sample = PixelSample(3, size)
    for image in data:
        sample.update(image)
    return sample


def by_key(sample):
    state = sample.state()
    order = state["keys"].argsort()
    return state["keys"][order], state["rows"][order]


@pytest.mark.parametrize("size", [100, 900, 100_000])
def test_a_sample_does_not_depend_on_order_and_parts(size):
    data = images()
    whole = by_key(sample_of(data, size))
    assert len(whole[0]) == min(size, 5400)
    merged = PixelSample(3, size)
    for image in data:
        merged.merge(sample_of(image[None], size).state())
    for other in (sample_of(data.flip(0), size), merged):
        for one, two in zip(by_key(other), whole, strict=True):
            assert torch.equal(one, two)


def test_merging_one_sample_into_an_empty_one_gives_its_bits():
    sample = sample_of(images(), 100)
    empty = PixelSample(3, 100)
    empty.merge(sample.state())
    same_bits(empty.state(), sample.state())


def test_a_sample_has_no_pixel_that_is_not_finite_or_not_to_be_used():
    image = images(1)[0]
    image[:100, 1] = torch.nan
    sample = PixelSample(3)
    sample.update(image, torch.arange(900) < 200)
    assert torch.equal(by_key(sample)[1].sort(0).values, image[100:200].sort(0).values)


@pytest.mark.parametrize("per_channel", [False, True])
def test_quantiles_of_a_complete_sample_are_those_of_numpy(per_channel):
    data = images()
    found = sample_of(data, 100_000).quantiles(0.1, 0.95, per_channel=per_channel)
    axis = 0 if per_channel else None
    exact = np.quantile(data.double().numpy().reshape(-1, 3), (0.1, 0.95), axis=axis)
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_the_smallest_keys_are_those_of_a_sort():
    random = np.random.default_rng(0)
    keys = torch.from_numpy(random.random(1000))
    values = torch.arange(1000.0)[:, None]
    smallest = SmallestKeys(1, size=64)
    for part in torch.arange(1000).split(37):
        smallest.add(keys[part], values[part])
    order = keys.argsort()[:64]
    assert len(smallest) == 64
    assert smallest.keys().sort().values.tolist() == keys[order].tolist()
    assert set(smallest.rows()[:, 0].tolist()) == set(order.tolist())
    assert smallest.limit == keys[order[-1]]


def test_a_sample_of_float64_keeps_its_digits():
    smallest = SmallestKeys(1, size=4)
    smallest.add(torch.zeros(1, dtype=torch.float64), torch.full((1, 1), 1 / 3))
    smallest.add(torch.ones(1, dtype=torch.float64), torch.full((1, 1), 1 / 3).double())
    assert smallest.rows().dtype == torch.float64


def test_joined_states_come_apart_by_their_names():
    states = {
        "a": {"count": torch.tensor(1), "a.sum": torch.ones(2)},
        "ab": {"count": torch.tensor(2)},
    }
    joined = join_states(states)
    assert list(joined) == ["a.count", "a.a.sum", "ab.count"]
    assert {name: part_of_state(joined, name) for name in states} == states
    assert part_of_state(joined, "b") == {}


@pytest.mark.parametrize("sizes", [(0, 0), (0, 7), (7, 0), (5, 9)])
def test_moments_merge_without_a_look_at_the_sizes(sizes):
    samples = []
    for number, size in enumerate(sizes):
        values = rows()[number * 100 :][:size].double()
        mean = values.sum(0) / max(size, 1)
        samples.append(SampleMoments(size, mean, (values - mean).square().sum(0)))
    expected = merge_moments(*samples)
    first, second = samples
    found = merge_without_waiting(first, second._replace(size=torch.tensor(second.size)))
    assert int(found.size) == expected.size
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.scatter, expected.scatter)
