from importlib import import_module

import numpy as np
import pytest
import torch

from specloom import LazyAffine
from specloom_statistics import Moments, native_kernels
from specloom_statistics.blocks import NATIVE_PART_VALUES


def streamed(*batches, **options):
    moments = Moments(batches[0].shape[-1])
    for batch in batches:
        moments.update(batch, **options)
    return moments


def whitened_error(covariance, reference):
    lower = np.linalg.cholesky(reference)
    white = np.linalg.solve(lower, np.linalg.solve(lower, covariance - reference).T)
    return np.linalg.norm(white, 2)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(7000, 4)) @ rng.normal(size=(4, 61))
    return torch.from_numpy(1e4 + smooth + 1e-2 * rng.normal(size=(7000, 61))).float()


def test_mean_and_covariance_equal_numpy_float64(rows):
    moments, exact = streamed(rows), rows.double().numpy()
    np.testing.assert_allclose(moments.mean(), exact.mean(0), rtol=1e-13)
    assert whitened_error(moments.covariance().numpy(), np.cov(exact.T)) < 1e-6
    assert whitened_error(moments.covariance(ddof=0).numpy(), np.cov(exact.T, ddof=0)) < 1e-6
    assert (moments.covariance() == moments.covariance().T).all()


def test_the_covariance_of_counts_is_exact():
    rng = np.random.default_rng(0)
    counts = (1e4 * rng.normal(size=(20_000, 3)) @ rng.normal(size=(3, 6))).round().astype(np.int64)
    products, total, n = counts.T @ counts, counts.sum(0), len(counts)
    exact = (products * n - np.outer(total, total)) / (n * (n - 1))  # whole numbers up to here
    found = streamed(*torch.from_numpy(counts).float().split(3000)).covariance().numpy()
    spread = np.sqrt(exact.diagonal())
    assert np.abs((found - exact) / np.outer(spread, spread)).max() < 1e-15


def test_rounding_does_not_add_up_over_a_long_stream():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(200_000, 5))).float()
    wide = rows.numpy().astype(np.longdouble)
    wide -= wide.mean(0)
    exact = [
        [(wide[:, i] * wide[:, j]).sum() / (len(rows) - 1) for j in range(5)] for i in range(5)
    ]
    assert np.abs(streamed(rows).covariance().numpy() - np.array(exact, float)).max() < 4e-15


@pytest.mark.parametrize("size", [1, 130, 4096])
def test_batch_size_and_order_do_not_matter(rows, size):
    parts = list(rows[:3000].split(size))[::-1]
    one, many = streamed(rows[:3000]), streamed(*parts)
    assert many.count == one.count == 3000
    assert whitened_error(many.covariance().numpy(), one.covariance().numpy()) < 1e-6


def test_the_same_order_gives_the_same_bits(rows):
    one, two = streamed(rows[:999], rows[999:]), streamed(rows[:999], rows[999:])
    assert torch.equal(one.covariance(), two.covariance())
    assert torch.equal(one.mean(), two.mean())


def test_merging_shares_with_other_shifts_equals_one_pass(rows):
    dark = rows - 50
    merged = Moments(61)
    for share in (dark, rows[:1], rows[1:], rows[:0]):
        merged.merge(streamed(share).state())
    whole = streamed(dark, rows)
    assert merged.count == 14000
    np.testing.assert_allclose(merged.mean(), whole.mean(), rtol=1e-13)
    assert whitened_error(merged.covariance().numpy(), whole.covariance().numpy()) < 1e-6


def test_updates_after_a_merge_go_on(rows):
    moments = streamed(rows[:2000])
    moments.merge(streamed(rows[2000:4000]).state())
    moments.update(rows[4000:])
    exact = np.cov(rows.double().numpy().T)
    assert whitened_error(moments.covariance().numpy(), exact) < 1e-6


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", [0, 3000])
def test_rows_that_are_not_finite_are_left_out_and_counted(rows, bad, where):
    spoilt = rows.clone()
    spoilt[where, 7] = bad
    clean = torch.cat([rows[:where], rows[where + 1 :]])
    moments = streamed(spoilt)
    assert (moments.count, moments.left_out) == (6999, 1)
    assert whitened_error(moments.covariance().numpy(), np.cov(clean.double().numpy().T)) < 1e-6


def test_rows_that_are_not_kept_are_left_out(rows):
    keep = torch.arange(7000) % 3 > 0
    moments = streamed(rows, keep=keep)
    assert moments.count == int(keep.sum())
    assert moments.left_out == 7000 - moments.count
    assert whitened_error(moments.covariance().numpy(), np.cov(rows[keep].double().T)) < 1e-6


def test_a_whole_batch_without_a_usable_row(rows):
    nothing = torch.full((5, 61), float("nan"))
    moments = streamed(nothing, rows, nothing)
    assert (moments.count, moments.left_out) == (7000, 10)
    assert streamed(nothing).count == 0
    assert streamed(nothing).covariance().abs().sum() == 0


def test_an_affine_map_is_applied_in_float64(rows):
    scale = torch.linspace(0.1, 3, 61, dtype=torch.float64)
    offset = torch.tensor(1e4, dtype=torch.float64)
    moments = streamed(LazyAffine(rows, scale, offset, torch.float32))
    exact = rows.double().numpy() * scale.numpy() + 1e4
    assert whitened_error(moments.covariance().numpy(), np.cov(exact.T)) < 1e-6


def test_a_constant_band_has_a_variance_of_exactly_zero(rows):
    rows[:, 3] = 0.1
    assert streamed(rows[:2500], rows[2500:]).covariance()[3].abs().max() == 0


def test_memory_does_not_grow(rows):
    before = {name: value.shape for name, value in streamed(rows[:10]).state().items()}
    after = {name: value.shape for name, value in streamed(rows, rows).state().items()}
    assert before == after


def test_a_block_in_one_sum_has_the_moments_of_its_rows(rows):
    keep = torch.from_numpy(np.random.default_rng(1).random(len(rows)) < 0.5)
    limits = (rows.amin(0) + 1, rows.amax(0) - 1)
    rows[7, 3] = torch.nan
    rows[8, 4] = torch.inf
    whole = streamed(rows, keep=keep, limits=limits)
    block = Moments(rows.shape[1])
    block.find_shift(rows)
    for part in (slice(0, 5000), slice(5000, None)):
        block.update_block(rows[part], keep[part], limits=limits)
    assert (block.count, block.left_out) == (whole.count, whole.left_out)
    np.testing.assert_allclose(block.mean(), whole.mean(), rtol=1e-13)
    assert whitened_error(block.covariance().numpy(), whole.covariance().numpy()) < 1e-9


@pytest.mark.skipif(native_kernels() is None, reason="no kernels run")
def test_of_an_image_whose_bands_lie_apart_only_parts_are_copied(monkeypatch):
    """As kernels read rows: an image in BSQ had a copy of the whole in memory."""
    sums = import_module("specloom_native.sums")
    as_rows = sums.as_rows
    taken = []

    def counted(rows):
        taken.append(rows.numel())
        return as_rows(rows)

    monkeypatch.setattr(sums, "as_rows", counted)
    image = torch.rand(7, 700, 800, generator=torch.Generator().manual_seed(0)).permute(1, 2, 0)
    apart = Moments(7)
    apart.update(image)
    assert max(taken) <= NATIVE_PART_VALUES
    together = Moments(7)
    together.update(image.contiguous())
    assert torch.equal(apart.covariance(), together.covariance())
