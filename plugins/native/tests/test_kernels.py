"""The kernels beside float64 NumPy, on every kind of rows."""

import numpy as np
import pytest
import torch

from specloom_native import (
    Distances,
    Histograms,
    Limits,
    Projection,
    RowMap,
    engine,
    extremes,
    first_median,
    mean_and_scatter,
    moments,
    native_library,
    scale,
    sums,
    usable_rows,
    value_range,
    variances,
    weighted_products,
    whiten,
)
from specloom_native.arguments import as_rows

pytestmark = pytest.mark.skipif(native_library() is None, reason=engine().reason)

BANDS = (1, 2, 3, 4, 7, 8, 15, 16, 17, 61, 188, 224)
ROWS = (0, 1, 2, 47, 48, 49, 63, 64, 65, 1000)
BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
SETS = pytest.mark.parametrize("instructions", ["1", "avx2"])


def rows_of(count, bands, dtype=torch.float32, seed=0):
    """Rows with an offset and correlated bands."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((count, 1))
    values = 10 + common + random.standard_normal((count, bands))
    return torch.from_numpy(values).to(dtype)


def expected_products(values, shift):
    centred = np.concatenate([values - shift, np.ones((len(values), 1))], 1)
    return centred.T @ centred


def whitening_of(bands, seed=1):
    random = np.random.default_rng(seed)
    factor = np.triu(random.standard_normal((bands, bands)) / bands)
    return torch.from_numpy(factor + np.eye(bands))


@SETS
@BOTH
@pytest.mark.parametrize("bands", BANDS)
def test_moments_equal_those_of_numpy(bands, dtype, instructions, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", instructions)
    for count in ROWS:
        rows = rows_of(count, bands, dtype)
        shift = torch.full((bands,), 9.5, dtype=torch.float64)
        found = moments(rows, shift)
        expected = expected_products(rows.double().numpy(), shift.numpy())
        assert found.used == count
        np.testing.assert_allclose(found.sums.triu(), np.triu(expected), rtol=1e-12, atol=1e-10)
        np.testing.assert_allclose(found.sums[-1], expected[-1], rtol=1e-12, atol=1e-10)


@BOTH
def test_rows_that_are_not_finite_or_not_selected_are_excluded(dtype):
    rows = rows_of(500, 61, dtype)
    rows[3, 0] = torch.nan
    rows[64, 60] = torch.inf
    rows[499, 30] = -torch.inf
    keep = torch.from_numpy(np.random.default_rng(0).random(500) < 0.5)
    used = keep & rows.isfinite().all(1)
    selected = rows[used]
    shift = torch.zeros(61, dtype=torch.float64)
    for found, whole in (
        (moments(rows, shift, keep=keep), moments(selected, shift)),
        (variances(rows, shift, keep=keep), variances(selected, shift)),
        (extremes(rows, keep), extremes(selected)),
    ):
        assert found.used == int(used.sum())
        for mine, other in zip(found[:-1], whole[:-1], strict=True):
            assert torch.equal(mine, other)
    flags, count = usable_rows(rows, keep)
    assert torch.equal(flags, used)
    assert count == int(used.sum())
    flags, count = usable_rows(rows)
    assert count == 497


@BOTH
def test_maps_are_applied_in_float64(dtype):
    rows = rows_of(300, 17, dtype)
    row_map = RowMap(torch.linspace(0.5, 2, 17, dtype=torch.float64), torch.tensor(-3.0))
    shift = torch.linspace(0, 1, 17, dtype=torch.float64)
    mapped = rows.double().numpy() * row_map.scale.numpy() - 3
    expected = expected_products(mapped, shift.numpy())
    found = moments(rows, shift, row_map=row_map)
    np.testing.assert_allclose(found.sums.triu(), np.triu(expected), rtol=1e-11)
    squares = variances(rows, shift, row_map=row_map)
    np.testing.assert_allclose(squares.sums, expected[-1, :-1], rtol=1e-11)
    np.testing.assert_allclose(squares.squares, expected.diagonal()[:-1], rtol=1e-11)


@BOTH
def test_limits_hold_for_finite_rows_alone(dtype):
    rows = rows_of(300, 9, dtype)
    rows[5, 2] = torch.inf
    low = torch.full((9,), 9.5, dtype=dtype)
    limits = Limits(low, low + 1)
    shift = torch.zeros(9, dtype=torch.float64)
    found = moments(rows, shift, limits=limits)
    finite = rows[rows.isfinite().all(1)].clamp(low, low + 1)
    assert found.used == 299
    assert torch.equal(found.sums.triu(), moments(finite, shift).sums.triu())


@BOTH
def test_strides_and_addresses_change_no_bit(dtype):
    rows = rows_of(200, 61, dtype)
    wide = torch.zeros(200, 71, dtype=dtype)
    shift = torch.zeros(61, dtype=torch.float64)
    white = Distances(torch.zeros(61), whitening_of(61), triangular=True)
    project = Projection(torch.randn(3, 61, dtype=torch.float64))
    forms = [rows]
    for start in (1, 5):
        part = wide[:, start : start + 61]
        part.copy_(rows)
        forms.append(part.clone() if start == 1 else part)
    memory = torch.zeros(200 * 61 + 3, dtype=dtype)
    forms.append(memory[3:].view(200, 61).copy_(rows))
    forms.append(rows.T.contiguous().T)
    results = []
    for form in forms:
        assert torch.equal(form, rows)
        scores = torch.empty(200, dtype=dtype)
        white(form, scores)
        projected = torch.empty(200, 3, dtype=dtype)
        project(form, projected)
        low, high, _ = extremes(form)
        results.append([moments(form, shift).sums, scores, projected, low, high])
    for result in results[1:]:
        for mine, other in zip(result, results[0], strict=True):
            assert torch.equal(mine, other)


def test_other_types_are_converted():
    rows = torch.arange(600, dtype=torch.int32).view(100, 6)
    shift = torch.zeros(6, dtype=torch.float64)
    for dtype in (torch.int16, torch.int64, torch.float16, torch.uint8):
        found = moments(rows.to(dtype), shift).sums
        assert torch.equal(found, moments(rows.to(dtype).double(), shift).sums)
    assert extremes(rows).low.tolist() == [0, 1, 2, 3, 4, 5]


@SETS
@BOTH
@pytest.mark.parametrize("bands", BANDS)
def test_distances_equal_those_of_numpy(bands, dtype, instructions, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", instructions)
    whitening = whitening_of(bands)
    full = torch.from_numpy(np.random.default_rng(2).standard_normal((bands, bands // 2 + 1)))
    center = torch.linspace(9, 11, bands, dtype=torch.float64)
    for count in ROWS:
        rows = rows_of(count, bands, dtype)
        for matrix, is_triangular in ((whitening, True), (whitening, False), (full, False)):
            rest = torch.linspace(-1, 1, matrix.shape[1], dtype=torch.float64)
            out = torch.empty(count, dtype=dtype)
            Distances(center, matrix, rest, triangular=is_triangular)(rows, out)
            white = (rows.double() - center) @ matrix - rest
            expected = white.square().sum(1)
            np.testing.assert_allclose(
                out, expected, rtol=1e-6 if out.dtype == torch.float32 else 1e-11
            )


def test_distances_can_be_computed_in_float32():
    rows = rows_of(100, 61)
    whitening = whitening_of(61)
    center = rows.double().mean(0)
    out = torch.empty(100)
    Distances(center, whitening, dtype=torch.float32, triangular=True)(rows, out)
    expected = ((rows.double() - center) @ whitening).square().sum(1)
    np.testing.assert_allclose(out, expected, rtol=1e-4)


def test_a_row_has_the_same_bits_wherever_it_stands():
    rows = rows_of(500, 61)
    whitening = whitening_of(61)
    white = Distances(torch.zeros(61), whitening, triangular=True)
    project = Projection(torch.randn(5, 61, dtype=torch.float64), torch.randn(5))
    scores = torch.empty(500)
    projected = torch.empty(500, 5)
    white(rows, scores)
    project(rows, projected)
    for start in (0, 1, 47, 48, 250):
        for count in (1, 3, 5, 48, 100):
            part = rows[start : start + count]
            part_scores = torch.empty(count)
            part_projected = torch.empty(count, 5)
            white(part, part_scores)
            project(part, part_projected)
            assert torch.equal(part_scores, scores[start : start + count])
            assert torch.equal(part_projected, projected[start : start + count])


def test_instruction_sets_give_the_same_bits(monkeypatch):
    rows = rows_of(1000, 61)
    shift = rows.double().median(0).values
    found = []
    for setting in ("1", "avx2"):
        monkeypatch.setenv("SPECLOOM_NATIVE", setting)
        scores = torch.empty(1000)
        Distances(shift, whitening_of(61), triangular=True)(rows, scores)
        found.append((moments(rows, shift).sums.triu(), scores))
    for mine, other in zip(*found, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_row_that_is_not_finite_gives_nan_also_without_a_column(value):
    rows = rows_of(3, 4)
    rows[1, 2] = value
    out = torch.empty(3)
    Distances(torch.zeros(4), torch.zeros(4, 0))(rows, out)
    assert out.isnan().tolist() == [False, True, False]
    assert out[::2].tolist() == [0, 0]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e38])
def test_a_row_that_is_not_finite_gives_nan_and_changes_no_other(value):
    rows = rows_of(100, 61)
    other = rows.clone()
    other[50, 60] = value
    white = Distances(torch.zeros(61), 1e3 * whitening_of(61), triangular=True)
    project = Projection(torch.full((4, 61), 1e3, dtype=torch.float64))
    for kernel, shape in ((white, (100,)), (project, (100, 4))):
        before = torch.empty(shape)
        after = torch.empty(shape)
        kernel(rows, before)
        kernel(other, after)
        assert after[50].isnan().all()
        after[50] = before[50]
        assert torch.equal(before, after)


@BOTH
@pytest.mark.parametrize("bands", BANDS)
def test_projections_equal_those_of_numpy(bands, dtype):
    for components in (1, 2, 3, 4, 7, 12):
        random = np.random.default_rng(components)
        matrix = torch.from_numpy(random.standard_normal((components, bands)))
        bias = torch.from_numpy(random.standard_normal(components))
        for count in ROWS:
            rows = rows_of(count, bands, dtype)
            out = torch.empty(count, components, dtype=dtype)
            Projection(matrix, bias)(rows, out)
            expected = rows.double() @ matrix.T + bias
            tolerance = 1e-6 if dtype == torch.float32 else 1e-12
            np.testing.assert_allclose(out, expected, rtol=tolerance, atol=100 * tolerance)


@BOTH
@pytest.mark.parametrize("bands", BANDS)
def test_extremes_equal_those_of_torch(bands, dtype):
    for count in ROWS:
        rows = rows_of(count, bands, dtype)
        found = extremes(rows)
        assert found.used == count
        if count:
            assert torch.equal(found.low, rows.amin(0))
            assert torch.equal(found.high, rows.amax(0))
        else:
            assert found.low.isposinf().all()
            assert found.high.isneginf().all()


@BOTH
@pytest.mark.parametrize("count", [1, 2, 7, 31, 32, 33, 64, 100, 10_007])
def test_the_range_is_that_of_torch(count, dtype):
    values = rows_of(count, 1, dtype).flatten()
    for place in (0, count // 2, count - 1):
        changed = values.clone()
        changed[place] = 99
        assert value_range(changed) == (changed.min(), changed.max())
        changed[place] = -99
        assert value_range(changed) == (changed.min(), changed.max())
        for wrong in (torch.nan, torch.inf, -torch.inf):
            changed[place] = wrong
            assert value_range(changed) is None
    assert value_range(values[:0]) == (torch.inf, -torch.inf)


@BOTH
@pytest.mark.parametrize("per_band", [False, True])
def test_scaling_has_the_bits_of_torch(dtype, per_band):
    rows = rows_of(100, 61, dtype)
    rows[3, 5] = torch.nan
    rows[4, 6] = torch.inf
    low = torch.full((61,) if per_band else (), 9.3, dtype=dtype)
    span = low / 4
    out = torch.empty_like(rows)
    scale(rows, low, span, out)
    expected = (rows - low) / span
    assert torch.equal(out.nan_to_num(7, 8, 9), expected.nan_to_num(7, 8, 9))
    scale(rows, low, span, out, clip=True)
    clipped = expected.clamp(0, 1) + 0 * expected
    assert torch.equal(out.nan_to_num(7, 8, 9), clipped.nan_to_num(7, 8, 9))


@pytest.mark.parametrize("bands", [[0], [0, 1, 2], list(range(40)), [1, 3, 39]])
def test_histograms_equal_those_of_torch(bands):
    rows = rows_of(5000, 40)
    random = np.random.default_rng(0)
    keep = torch.from_numpy(random.random(5000) < 0.9)
    rare = torch.from_numpy(random.random(5000) < 0.1)
    bins = 101
    scales = torch.linspace(8, 12, len(bands))
    shift = 2.0**23 + 1 - (6 * scales).round()
    whole = torch.zeros(len(bands), bins, dtype=torch.int32)
    part = torch.zeros_like(whole)
    Histograms(torch.tensor(bands), scales, shift, bins)(rows, keep, rare, whole, part)
    places = (rows[:, bands] * scales + shift).clamp(2.0**23, 2.0**23 + bins - 1) - 2.0**23
    for counts, selected in ((whole, keep), (part, keep & rare)):
        for number in range(len(bands)):
            expected = torch.bincount(places[selected, number].long(), minlength=bins)
            assert torch.equal(counts[number].long(), expected)


@SETS
@pytest.mark.parametrize("bands", [1, 2, 7, 8, 15, 16, 17, 61, 188])
def test_histograms_of_every_shape_equal_those_of_torch(bands, instructions, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", instructions)
    for count in (0, 1, 3, 4, 5, 21, 16383, 16384, 16385):
        wide = rows_of(count, bands + 3, seed=count)
        rows = wide[:, 1 : bands + 1]
        random = np.random.default_rng(count)
        keep = torch.from_numpy(random.random(count) < 0.5)
        rare = torch.from_numpy(random.random(count) < 0.5)
        wide[~keep] = torch.nan
        numbers = torch.arange(bands)
        if bands > 2:
            numbers = numbers[torch.from_numpy(random.random(bands) < 0.8)]
        bins = int(random.integers(1, 3000))
        scales = torch.from_numpy(random.uniform(1, 300, len(numbers))).float()
        shift = 2.0**23 + 1 - (6 * scales).round()
        whole, part = torch.zeros(2, len(numbers), bins, dtype=torch.int32)
        call = Histograms(numbers, scales, shift, bins)
        call(rows, keep, rare, whole, part)
        call(rows, keep, rare, whole, part)  # counts are added to
        places = (rows[:, numbers] * scales + shift).clamp(2.0**23, 2.0**23 + bins - 1) - 2.0**23
        for counts, selected in ((whole, keep), (part, keep & rare)):
            for number in range(len(numbers)):
                expected = torch.bincount(places[selected, number].long(), minlength=bins)
                assert torch.equal(counts[number].long(), 2 * expected)


def test_histograms_take_what_lies_far_beyond_all_bins():
    rows = torch.tensor([[-3e38], [3e38], [-1.0], [0.0], [65534.0], [65535.0], [1e-40]])
    flags = torch.ones(7, dtype=torch.bool)
    whole, part = torch.zeros(2, 1, 65536, dtype=torch.int32)
    Histograms(torch.tensor([0]), torch.tensor([10.0]), torch.tensor([2.0**23]), 65536)(
        rows / 10, flags, ~flags, whole, part
    )
    counts = {0: 4, 65534: 1, 65535: 2}
    assert {int(place): int(whole[0, place]) for place in whole[0].nonzero()} == counts
    assert part.sum() == 0


@SETS
@BOTH
@pytest.mark.parametrize("bands", [1, 3, 8, 17, 61])
def test_however_many_rows_are_not_finite_the_others_give_the_same_bits(
    bands, dtype, instructions, monkeypatch
):
    monkeypatch.setenv("SPECLOOM_NATIVE", instructions)
    shift = torch.full((bands,), 10.0, dtype=torch.float64)
    for share in (0.02, 0.5, 1.0):
        random = np.random.default_rng(bands)
        rows = rows_of(700, bands, dtype)
        bad = torch.from_numpy(random.random(700) < share)
        values = torch.from_numpy(random.choice([np.nan, np.inf], int(bad.sum())))
        rows[bad, bands // 2] = values.to(dtype)
        limits = Limits(torch.full((bands,), 9.0), torch.full((bands,), 11.0))
        for options in ({}, {"limits": limits}):
            found = moments(rows, shift, **options)
            other = moments(rows[~bad], shift, **options)
            assert found.used == int((~bad).sum())
            assert torch.equal(found.sums.triu(), other.sums.triu())


def test_a_constant_band_has_no_variance():
    rows = rows_of(1000, 5)
    rows[:, 2] = 10000.1
    shift = rows.double()[0]
    assert moments(rows, shift).sums[2, 2] == 0
    assert variances(rows, shift).squares[2] == 0


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
def test_an_offset_loses_no_digits(offset):
    random = np.random.default_rng(0)
    values = offset + random.standard_normal((20000, 20))
    shift = torch.from_numpy(np.median(values[:128], 0))
    sums, count = moments(torch.from_numpy(values), shift)
    total = sums[-1, :-1]
    scatter = sums[:-1, :-1].triu() - torch.outer(total, total).triu() / count
    expected = np.triu(np.cov(values, rowvar=False)) * (count - 1)
    np.testing.assert_allclose(scatter, expected, rtol=1e-9, atol=1e-7)


@SETS
@pytest.mark.parametrize("bands", BANDS)
def test_weighted_products_equal_those_of_numpy(bands, instructions, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", instructions)
    for count in (0, 1, 255, 256, 257, 1000):
        factors = torch.from_numpy(np.random.default_rng(3).standard_normal(count))
        center = torch.full((bands,), 9.5, dtype=torch.float64)
        for dtype in (torch.float32, torch.float64):
            rows = rows_of(count, bands, dtype)
            values = rows.double().numpy() - center.numpy()
            behind = np.concatenate([values, np.ones((count, 1))], 1)
            expected = np.triu((factors.numpy()[:, None] * behind).T @ behind)
            found = weighted_products(rows, center, factors)
            np.testing.assert_allclose(found.triu(), expected, rtol=1e-11, atol=1e-11)
        narrow = weighted_products(rows.float(), center, factors.float())
        largest = np.abs(expected).max()
        np.testing.assert_allclose(narrow.triu(), expected, atol=2e-6 * largest)


def test_weighted_products_have_the_same_bits_with_each_instruction_set(monkeypatch):
    center = torch.zeros(61)
    factors = torch.linspace(-1, 2, 1000)
    found = []
    for instructions in ("1", "avx2"):
        monkeypatch.setenv("SPECLOOM_NATIVE", instructions)
        for dtype in (torch.float32, torch.float64):
            found.append(weighted_products(rows_of(1000, 61), center, factors.to(dtype)).triu())
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])


def test_rows_with_a_factor_of_zero_are_not_read():
    rows = rows_of(300, 5)
    factors = torch.ones(300)
    factors[7] = 0
    others = torch.cat([rows[:7], rows[8:]])
    rows[7] = torch.nan
    found = weighted_products(rows, torch.zeros(5), factors)
    expected = weighted_products(others, torch.zeros(5), torch.ones(299))
    assert torch.equal(found.triu(), expected.triu())


@BOTH
@pytest.mark.parametrize("count", [*ROWS[1:], 127, 128, 129])
def test_the_median_is_that_of_torch(count, dtype):
    for bands in (1, 3, 61):
        rows = rows_of(count, bands, dtype)
        expected = rows[:128].double().median(0).values
        assert torch.equal(first_median(rows), expected)
        wide = torch.zeros(count, bands + 5, dtype=dtype)
        wide[:, 2 : bands + 2] = rows
        assert torch.equal(first_median(wide[:, 2 : bands + 2]), expected)


@BOTH
def test_the_median_is_that_of_rows_that_count(dtype):
    rows = rows_of(3000, 7, dtype)
    rows[5, 2] = torch.nan
    rows[70, 6] = torch.inf
    keep = torch.from_numpy(np.random.default_rng(0).random(3000) < 0.7)
    usable = (keep & rows.isfinite().all(1)).nonzero().flatten()
    low = torch.full((7,), 9.5, dtype=dtype)
    limits = Limits(low, low + 1)
    row_map = RowMap(torch.linspace(0.5, 2, 7, dtype=torch.float64), torch.tensor(-3.1))
    selected = rows[usable[:128]]
    mapped = selected.double() * row_map.scale + row_map.offset.double()
    assert torch.equal(first_median(rows, keep=keep), selected.double().median(0).values)
    found = first_median(rows, keep=keep, row_map=row_map)
    assert torch.equal(found, mapped.median(0).values)
    limited = selected.clamp(low, low + 1).double()
    assert torch.equal(first_median(rows, keep=keep, limits=limits), limited.median(0).values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
def test_for_the_median_no_whole_image_is_copied(dtype, monkeypatch):
    taken = []

    def counted(values):
        taken.append(len(values))
        return as_rows(values)

    rows = (100 * rows_of(5000, 4)).to(dtype).T.contiguous().T
    keep = torch.zeros(5000, dtype=torch.bool)
    keep[2050:] = True
    row_map = RowMap(torch.tensor(2.0), torch.tensor(1.0))
    expected = first_median(rows.double().contiguous(), keep=keep, row_map=row_map)
    monkeypatch.setattr(sums, "as_rows", counted)
    assert torch.equal(first_median(rows, keep=keep, row_map=row_map), expected)
    assert taken == [1024, 1024, 1024]
    assert first_median(rows, keep=~keep & keep) is None
    with pytest.raises(ValueError, match="keep is"):
        first_median(rows, keep=keep[:-1])


def test_the_median_is_of_one_block_of_rows():
    rows = rows_of(3000, 4)
    rows[:1020] = torch.nan
    expected = rows[1020:1024].double().median(0).values
    assert torch.equal(first_median(rows), expected)
    rows[:1024] = torch.nan
    assert torch.equal(first_median(rows), rows[1024:1152].double().median(0).values)
    assert first_median(rows[:1024]) is None
    assert first_median(rows[:0]) is None


@pytest.mark.parametrize("bands", BANDS)
def test_mean_and_scatter_have_the_bits_of_torch(bands):
    rows = rows_of(500, bands)
    shift = rows[3].double()
    products = moments(rows, shift).sums.contiguous()
    mean, scatter = mean_and_scatter(products, shift, 500)
    total = products[-1, :-1]
    offset = total / 500
    upper = (products[:-1, :-1] - torch.outer(total, offset)).triu()
    assert torch.equal(mean, shift + offset)
    assert torch.equal(scatter, upper + upper.triu(1).T)


def covariance_of(bands, kind):
    """A covariance, and the bands that are used."""
    generator = torch.Generator().manual_seed(bands)
    rows = torch.randn(1000, bands, dtype=torch.float64, generator=generator)
    used = torch.ones(bands, dtype=torch.bool)
    if kind == "scaled":
        rows *= torch.logspace(-6, 4, bands, dtype=torch.float64)
    elif kind == "correlated":
        rows += 20 * rows[:, :1]
    elif kind == "without bands":
        used[::2] = False
    elif kind == "of low rank":
        rows[:, bands // 2 :] = rows[:, :1]
    return torch.cov(rows.T).reshape(bands, bands), used


@pytest.mark.parametrize(("eps", "shrinkage"), [(1e-6, 0.0), (0.0, 0.01)])
@pytest.mark.parametrize("kind", ["plain", "scaled", "correlated", "without bands", "of low rank"])
@pytest.mark.parametrize("bands", BANDS)
def test_whitening_equals_that_of_numpy(bands, kind, eps, shrinkage):
    covariance, used = covariance_of(bands, kind)
    found = whiten(covariance, used, eps, shrinkage, 1e-10)
    variances = covariance.diagonal()[used]
    part = covariance[used][:, used]
    mean = float(variances.sum()) / max(len(variances), 1)
    ridge = eps**2 * variances + shrinkage * mean
    regularised = (part + torch.diag(ridge)).numpy()
    factor = 1 / np.sqrt(np.diagonal(regularised))
    matrix = regularised * factor * factor[:, None]
    values = np.linalg.eigvalsh(matrix)
    supported = values[values > 1e-10 * values.max(initial=0)]
    assert found.rank == len(supported)
    limit = 1e-14 * max(bands, 10)
    expected = (supported[0], supported[-1]) if len(supported) else (1, 1)
    np.testing.assert_allclose((found.smallest, found.largest), expected, rtol=1e-9, atol=limit)
    np.testing.assert_allclose(found.matrix[used][:, used], matrix, rtol=1e-13)
    np.testing.assert_allclose(found.factor[used], factor, rtol=1e-14)
    assert not found.matrix[~used].any()
    assert not found.factor[~used].any()
    assert (found.whitening is None) == (found.rank < len(variances))
    if found.whitening is not None:
        assert torch.equal(found.whitening, found.whitening.triu())
        assert not found.whitening[~used].any()
        inverse = found.whitening[used][:, used].numpy()
        identity = inverse.T @ regularised @ inverse
        np.testing.assert_allclose(identity, np.eye(len(identity)), atol=1e-7)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -1.0])
def test_a_matrix_without_whitening_gives_none(value):
    covariance, used = covariance_of(8, "plain")
    covariance[3, 3] = value
    assert whiten(covariance, used, 0.0, 0.0, 1e-12) is None


def test_what_does_not_fit_is_an_error():
    rows = rows_of(10, 4)
    shift = torch.zeros(4)
    white = Distances(shift, torch.eye(4))
    project = Projection(torch.ones(2, 4))
    histograms = Histograms(torch.tensor([3]), torch.ones(1), torch.ones(1), 10)
    flags = torch.ones(10, dtype=torch.bool)
    counts = torch.zeros(1, 10, dtype=torch.int32)
    wrong = [
        lambda: moments(rows, torch.zeros(3)),
        lambda: first_median(rows[0]),
        lambda: first_median(rows, keep=torch.ones(9, dtype=torch.bool)),
        lambda: mean_and_scatter(torch.zeros(5, 4).double(), shift, 10),
        lambda: mean_and_scatter(torch.zeros(5, 5), shift, 10),
        lambda: mean_and_scatter(torch.zeros(5, 5).double(), torch.zeros(3), 10),
        lambda: value_range(rows[:, :2]),
        lambda: value_range(rows.int()),
        lambda: whiten(torch.eye(4), torch.ones(4, dtype=torch.bool), 0, 0, 0),
        lambda: whiten(torch.eye(3).double(), torch.ones(4, dtype=torch.bool), 0, 0, 0),
        lambda: whiten(torch.eye(4).double(), torch.ones(4), 0, 0, 0),
        lambda: whiten(torch.eye(4).double().to("meta"), torch.ones(4, dtype=torch.bool), 0, 0, 0),
        lambda: moments(rows[0], shift),
        lambda: moments(rows, shift, keep=torch.ones(9, dtype=torch.bool)),
        lambda: moments(rows, shift, keep=torch.ones(10)),
        lambda: moments(rows, shift, row_map=RowMap(shift, shift), limits=Limits(shift, shift)),
        lambda: moments(rows, shift, limits=Limits(torch.zeros(2), shift)),
        lambda: Distances(torch.zeros(3), torch.eye(4)),
        lambda: Distances(shift, torch.eye(4), dtype=torch.float16),
        lambda: white(rows, torch.empty(9)),
        lambda: white(rows, torch.empty(10, dtype=torch.float64)),
        lambda: white(rows, torch.empty(20)[::2]),
        lambda: white(rows_of(10, 5), torch.empty(10)),
        lambda: Distances(shift, torch.eye(4), dtype=torch.float32)(
            rows.double(), torch.empty(10).double()
        ),
        lambda: Projection(torch.ones(4)),
        lambda: project(rows, torch.empty(10, 3)),
        lambda: project(rows, torch.empty(10, 2, dtype=torch.float64)),
        lambda: scale(rows, shift, shift, torch.empty(10, 3)),
        lambda: scale(rows.int(), shift, shift, torch.empty(10, 4, dtype=torch.int32)),
        lambda: histograms(rows[:, :3], flags, flags, counts, counts),
        lambda: histograms(rows, flags, flags, counts.long(), counts),
        lambda: Histograms(torch.tensor([-1]), torch.ones(1), torch.ones(1), 10),
        lambda: weighted_products(rows, shift, torch.ones(9)),
        lambda: weighted_products(rows, torch.zeros(3), torch.ones(10)),
        lambda: weighted_products(rows.double(), shift, torch.ones(10)),
        lambda: weighted_products(rows, shift, torch.ones(10, dtype=torch.float16)),
        lambda: Histograms(torch.tensor([0]), torch.ones(1), torch.ones(1), 65537),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match=r"is|are|exclude|begin"):
            call()
