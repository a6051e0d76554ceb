"""What nodes learn from a stream is what NumPy finds in all pixels at once, however it is cut."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from scipy.linalg import solve_triangular

from specloom import Pipeline
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.formats import open_cube
from specloom_cubes.sources.memory import InMemory
from specloom_normalize.min_max import MinMaxNormalizer
from specloom_rx.detector import RXGlobal
from specloom_rx.logit import ScoreToLogit
from specloom_training.statistical import StatisticalTrainer

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[2] / "../shared/data/hsi"))
LIMIT = 1e-6


def salinas():
    cube = loadmat(DATA / "salinas_a/SalinasA_corrected.mat")["salinasA_corrected"]
    return cube[:80].reshape(8, 10, 86, 204)


def san_diego():
    return np.ascontiguousarray(open_cube(DATA / "envi_sandiego/SDData").array).reshape(
        9, 10, 90, -1
    )


def urban():
    """The scene whose bands are the most alike: condition 1.3e9."""
    return loadmat(DATA / "abu/abu-urban-4.mat")["data"].reshape(10, 10, 100, -1)


def made():
    """Counts of correlated bands about 1e4, as far from 0 as their spread is small."""
    random = np.random.default_rng(0)
    mixed = random.normal(size=(10, 12, 14, 4)) @ random.normal(size=(4, 24))
    noisy = 1e4 + 3 * mixed + 0.5 * random.normal(size=mixed.shape)
    return (64 * noisy).round().astype(np.int32)


SCENES = {"made, offset 1e4": made}
if DATA.is_dir():
    SCENES |= {"Salinas-A": salinas, "SDData": san_diego, "urban-4": urban}


@pytest.fixture(scope="module", params=SCENES)
def images(request):
    """Images of whole numbers: their sums are exact in float64, whatever the order."""
    return SCENES[request.param]()


@pytest.fixture(scope="module")
def exact(images):
    """Mean and covariance of all pixels, rounded once."""
    return moments(*sums(images))


def sums(images):
    """Count, sum and sum of products of whole numbers, exact."""
    rows = images.reshape(-1, images.shape[-1]).astype(np.int64)
    wide = rows.astype(np.float64)
    return len(rows), rows.sum(0), (wide.T @ wide).astype(np.int64)  # all below 2**53


def moments(count, total, products):
    scatter = [
        [
            float(Fraction(count * p - a * b, count))
            for p, b in zip(row, total.tolist(), strict=True)
        ]
        for row, a in zip(products.tolist(), total.tolist(), strict=True)
    ]
    return total / count, np.array(scatter) / (count - 1)


def batches(images, size=1, order=None):
    order = range(len(images)) if order is None else order
    shuffled = images[list(order)]
    return [{"cube": shuffled[i : i + size]} for i in range(0, len(images), size)]


def fitted(train):
    """Everything that is fitted, by the phase that fits it."""
    data, normalizer = AnomalyDataNode([0], name="data"), MinMaxNormalizer(name="scaled")
    rx, logits = RXGlobal(name="rx", eps=0.0), ScoreToLogit(name="logits")
    pipeline = Pipeline("fit")
    pipeline.connect(
        (data.outputs.cube, normalizer.data),
        (data.outputs.cube, rx.data),
        (rx.scores, logits.scores),
    )
    StatisticalTrainer(pipeline=pipeline, datamodule=InMemory(train=train)).fit()
    return pipeline.nodes


def whitened_errors(node, exact):
    """How far mean and covariance are off, in standard deviations of the data."""
    mean, covariance = exact
    unit = np.sqrt(np.diag(covariance))
    lower = np.linalg.cholesky(covariance / np.outer(unit, unit))
    off_mean = solve_triangular(lower, (node.background_mean.numpy() - mean) / unit, lower=True)
    gap = (node.covariance.numpy() - covariance) / np.outer(unit, unit)
    half = solve_triangular(lower, gap, lower=True)
    return np.linalg.norm(off_mean), np.linalg.norm(solve_triangular(lower, half.T, lower=True), 2)


def check(nodes, images, exact):
    rx, logits, normalizer = nodes["rx"], nodes["logits"], nodes["scaled"]
    assert rx.pixels == logits.pixels == normalizer.pixels == images[..., 0].size
    assert max(whitened_errors(rx, exact)) < LIMIT
    # The whitening matrix whitens: the covariance becomes the identity.
    white = rx.whitening.numpy()
    np.testing.assert_allclose(white.T @ exact[1] @ white, np.eye(len(white)), atol=LIMIT)
    assert (normalizer.low.item(), normalizer.high.item()) == (images.min(), images.max())
    # Distances from one's own mean average to C (n - 1) / n, whatever the data.
    n, bands = rx.pixels, images.shape[-1]
    assert logits.score_mean.item() == pytest.approx(bands * (n - 1) / n, rel=LIMIT)
    pixels = torch.from_numpy(images.astype(np.float32))
    scores = rx.forward(pixels)["scores"].double().numpy()
    assert logits.score_mean.item() == pytest.approx(scores.mean(), rel=1e-9)
    assert logits.score_std.item() == pytest.approx(scores.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_batch_size_does_not_matter(images, exact, size):
    check(fitted(batches(images, size)), images, exact)


def test_the_order_does_not_matter(images, exact):
    order = np.random.default_rng(1).permutation(len(images))
    check(fitted(batches(images, 2, order)), images, exact)
    check(fitted(batches(images, 3, order[::-1])), images, exact)


def test_the_same_order_gives_the_same_bits(images):
    one, two = (fitted(batches(images, 3)) for _ in range(2))
    for name in one:
        first, second = one[name].state(), two[name].state()
        assert all(torch.equal(first[key].nan_to_num(), second[key].nan_to_num()) for key in first)


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_the_data_can_be_merged(images, exact, parts):
    pixels = torch.from_numpy(images.astype(np.float32))
    groups = torch.tensor_split(pixels, parts)
    nodes = {"rx": RXGlobal(images.shape[-1], eps=0.0), "scaled": MinMaxNormalizer()}
    nodes["scaled"].build({"C": images.shape[-1]})
    merge(nodes["rx"], [{"data": group} for group in groups])
    merge(nodes["scaled"], [{"data": group} for group in groups])
    nodes["logits"] = ScoreToLogit()
    nodes["logits"].build({})
    merge(nodes["logits"], [nodes["rx"].forward(group) for group in groups])
    check(nodes, images, exact)


def merge(node, groups):
    """Fit one part at a time; the last process takes in what the others gathered."""
    states = []
    for group in groups:
        node.fit_start(0)
        node.fit_update(**group)
        states.append({key: value.clone() for key, value in node.fit_state().items()})
    for state in states[:-1]:
        node.fit_merge(state)
    node.fit_end()


@pytest.mark.soak
def test_a_long_stream_is_as_exact_as_a_short_one():
    random = np.random.default_rng(0)
    mix, rx, scaled = random.normal(size=(4, 24)), RXGlobal(24, eps=0.0), MinMaxNormalizer()
    scaled.build({"C": 24})
    for node in (rx, scaled):
        node.fit_start(0)
    whole, least, most = [0, 0, 0], np.inf, -np.inf
    for _ in range(2000):
        light = 1e4 * random.normal(size=(2, 24, 24, 4))
        cubes = (light @ mix + random.normal(size=(2, 24, 24, 24))).round()
        whole = [a + b for a, b in zip(whole, sums(cubes), strict=True)]
        least, most = min(least, cubes.min()), max(most, cubes.max())
        for node in (rx, scaled):
            node.fit_update(data=torch.from_numpy(cubes.astype(np.float32)))
    for node in (rx, scaled):
        node.fit_end()
    assert rx.pixels == scaled.pixels == 2000 * 2 * 24 * 24
    assert max(whitened_errors(rx, moments(*whole))) < LIMIT
    assert (scaled.low.item(), scaled.high.item()) == (least, most)
