"""Calls every kernel of the library in a folder with random rows: ``random_rows.py FOLDER CASES``.

Rows lie in memory of exactly their size, at odd addresses and with gaps, so that a sanitizer sees
what a kernel reads or writes beside them. Results are compared with those of NumPy.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np
import torch

from specloom_native import (
    Distances,
    Histograms,
    Limits,
    Projection,
    RowMap,
    background,
    extremes,
    first_median,
    loading,
    mean_and_scatter,
    moments,
    scale,
    usable_rows,
    value_range,
    variances,
    whiten,
)

BANDS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 61, 188, 224)
LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = [ctypes.c_size_t]
LIBC.free.argtypes = [ctypes.c_void_p]


class Memory:
    """Numbers in memory of exactly their size, which the sanitizer guards on both sides."""

    def __init__(self, size, dtype):
        width = torch.empty(0, dtype=dtype).element_size()
        self.pointer = LIBC.malloc(max(size, 1) * width)
        buffer = (ctypes.c_char * (max(size, 1) * width)).from_address(self.pointer)
        self.values = torch.frombuffer(buffer, dtype=dtype)[:size]

    def free(self):
        del self.values
        LIBC.free(self.pointer)


def random_rows(random, dtype):
    """Rows with an offset and a gap behind each, some of them not finite, and their memory."""
    bands = int(random.choice(BANDS))
    count = int(random.choice([0, 1, 2, 7, 47, 48, 49, 64, 65, 300, 1000, 16400]))
    gap = int(random.choice([0, 0, 1, 5]))
    start = int(random.choice([0, 1, 3]))
    stride = bands + gap
    size = start + max(count - 1, 0) * stride + bands * min(count, 1)
    memory = Memory(size, dtype)
    memory.values.copy_(torch.from_numpy(random.standard_normal(size)))
    rows = memory.values.as_strided((count, bands), (stride, 1), min(start, size))
    offset = float(random.choice([0, 1, 1e4]))
    rows.add_(offset)
    for _ in range(int(random.integers(0, 4)) if count else 0):
        place = int(random.integers(count)), int(random.integers(bands))
        rows[place] = float(random.choice([np.nan, np.inf, -np.inf, 1e30]))
    return memory, rows


def check_case(number):
    """Call every kernel once, and compare what it gives."""
    random = np.random.default_rng(number)
    dtype = torch.float32 if random.random() < 0.6 else torch.float64
    memory, rows = random_rows(random, dtype)
    count = len(rows)
    keep = None
    wanted = torch.ones(count, dtype=torch.bool)
    if random.random() < 0.5:
        keep = torch.from_numpy(random.random(count) < 0.7)
        wanted = keep
    used, size = usable_rows(rows, keep)
    finite = rows.isfinite().all(1) & wanted
    assert torch.equal(used, finite)
    assert size == int(finite.sum())
    selected = rows[finite].double()
    check_sums(random, rows, keep, selected)
    low, high, compared = extremes(rows, keep)
    assert compared == size
    if size:
        assert torch.equal(low.double(), selected.amin(0))
        assert torch.equal(high.double(), selected.amax(0))
    limits = value_range(memory.values)
    assert (limits is not None) == bool(memory.values.isfinite().all())
    if limits is not None and len(memory.values):
        assert limits == (memory.values.min(), memory.values.max())
    check_scores(random, rows)
    check_maps(random, rows)
    if dtype == torch.float32:
        check_histograms(random, rows, used)
    memory.free()


def check_sums(random, rows, keep, selected):
    bands = rows.shape[1]
    shift = torch.from_numpy(random.standard_normal(bands))
    options = {}
    if random.random() < 0.3:
        options = {"row_map": RowMap(torch.rand(bands).double(), torch.rand(()).double())}
        selected = selected * options["row_map"].scale + options["row_map"].offset
    elif random.random() < 0.3:
        limits = Limits(torch.full((bands,), -0.5), torch.full((bands,), 0.5))
        options = {"limits": limits}
        selected = selected.clamp(-0.5, 0.5)
    centred = (selected - shift).numpy()
    expected = centred.T @ centred
    magnitude = np.abs(centred).max(initial=1) ** 2 * max(len(centred), 1)
    found = moments(rows, shift, keep=keep, **options)
    assert found.used == len(selected)
    difference = np.triu(found.sums[:-1, :-1].numpy() - expected)
    assert np.abs(difference).max(initial=0) <= 1e-12 * magnitude
    check_analysis(random, found, shift)
    median = first_median(rows, keep=keep, **options)
    assert (median is None) == (len(selected) == 0)
    if median is not None:
        assert bool((selected.amin(0) <= median).all())
        assert bool((median <= selected.amax(0)).all())
    squares = variances(rows, shift, keep=keep, **options)
    assert squares.used == len(selected)
    assert np.abs(squares.squares.numpy() - expected.diagonal()).max(initial=0) <= 1e-12 * magnitude


def check_analysis(random, found, shift):
    """The kernels that work on sums of products."""
    bands = len(shift)
    products = Memory((bands + 1) ** 2, torch.float64)
    sums = products.values.view(bands + 1, bands + 1).copy_(found.sums)
    count = max(found.used, 1)
    mean, scatter = mean_and_scatter(sums, shift, count)
    assert torch.equal(mean, shift + sums[-1, :-1] / count)
    assert torch.equal(scatter, scatter.T) or bool(scatter.isnan().any())
    used = torch.from_numpy(random.random(bands) < 0.9)
    used &= scatter.diagonal() > 0
    shrinkage = float(random.choice([0, 0.01]))
    whole = background(
        sums, shift, count, constant=1e-14, eps=1e-6, shrinkage=shrinkage, tolerance=1e-12
    )
    assert torch.equal(whole.mean.nan_to_num(0), mean.nan_to_num(0))
    if whole.whitening is not None:
        assert 0 <= whole.whitening.rank <= int(whole.varying.sum())
    analysis = whiten(scatter / count, used, 1e-6, shrinkage, 1e-12)
    if analysis is not None:
        assert 0 <= analysis.rank <= int(used.sum())
        assert analysis.smallest <= analysis.largest
    products.free()


def check_scores(random, rows):
    count, bands = rows.shape
    columns = bands
    is_triangular = random.random() < 0.5
    if not is_triangular:
        columns = int(random.integers(1, bands + 1))
    matrix = torch.from_numpy(random.standard_normal((bands, columns)))
    if is_triangular:
        matrix = matrix.triu()
    center = torch.from_numpy(random.standard_normal(bands))
    rest = torch.from_numpy(random.standard_normal(columns))
    out = Memory(count, rows.dtype)
    Distances(center, matrix, rest, triangular=is_triangular)(rows, out.values)
    expected = ((rows.double() - center) @ matrix - rest).square().sum(1)
    compare(out.values, expected)
    if rows.dtype == torch.float32:
        single = Distances(center, matrix, rest, torch.float32, triangular=is_triangular)
        single(rows, out.values)
    out.free()


def check_maps(random, rows):
    count, bands = rows.shape
    components = int(random.integers(1, 14))
    matrix = torch.from_numpy(random.standard_normal((components, bands)))
    out = Memory(count * components, rows.dtype)
    results = out.values.view(count, components)
    Projection(matrix)(rows, results)
    compare(results, rows.double() @ matrix.T)
    out.free()
    scaled = Memory(count * bands, rows.dtype)
    results = scaled.values.view(count, bands)
    low = torch.full((bands,), 0.25, dtype=rows.dtype)
    clip = bool(random.random() < 0.5)
    scale(rows, low, low, results, clip=clip)
    expected = (rows - low) / low
    if clip:
        expected = expected.clamp(0, 1) + 0 * expected
    assert torch.equal(results.nan_to_num(1, 2, 3), expected.nan_to_num(1, 2, 3))
    scaled.free()


def compare(found, expected):
    """Compare results with those in float64; what is not finite is NaN."""
    wanted = expected.to(found.dtype)
    is_finite = wanted.isfinite()
    assert torch.equal(found.isfinite(), is_finite)
    scales = wanted[is_finite].abs().clamp(min=1)
    largest = float(expected[is_finite].abs().max()) if bool(is_finite.any()) else 1.0
    tolerance = 1e-6 * scales + 1e-10 * largest
    assert bool(((found[is_finite] - wanted[is_finite]).abs() <= tolerance).all())


def check_histograms(random, rows, used):
    bands = rows.shape[1]
    chosen = torch.from_numpy(np.flatnonzero(random.random(bands) < 0.7))
    bins = int(random.choice([1, 2, 299, 16385, 65536]))
    table = Memory(2 * len(chosen) * bins, torch.int32)
    whole, part = table.values.zero_().view(2, len(chosen), bins)
    rare = torch.from_numpy(random.random(len(rows)) < 0.2)
    shift = torch.full((len(chosen),), 2.0**23)
    Histograms(chosen, torch.full((len(chosen),), 10.0), shift, bins)(rows, used, rare, whole, part)
    assert (whole.sum(1) == int(used.sum())).all()
    assert (part.sum(1) == int((used & rare).sum())).all()
    table.free()


def main():
    loading.PREBUILT = Path(sys.argv[1])
    assert loading.engine().reason == "installed with the package"
    cases = int(sys.argv[2])
    for number in range(cases):
        check_case(number)
    print(cases, "cases")


if __name__ == "__main__":
    main()
