"""Pairs of real and synthetic cubes: good ones are alike, each fault is reported."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
MUST_BE_FOUND = (
    "shutter closed",
    "shutter closed, noise",
    "sensor noise",
    "white noise",
    "reflectance for counts",
    "counts for reflectance",
    "half the light",
    "twice the light",
    "saturated at the median",
    "dead band: zero",
    "dead band: constant",
    "dead band: NaN",
    "70 % NaN",
    "stripes, 20 %",
)
MOST_GOOD_REPORTED = 1 / 50

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")


def table():
    path = ROOT / "benchmarks/domain_measure.py"
    spec = importlib.util.spec_from_file_location("domain_measure", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark():
    return table()


@pytest.fixture(scope="module")
def pairs(benchmark):
    """Pairs with what is stored of the fit; of lentils two seeds."""
    return with_references(benchmark, benchmark.pairs(DATA, seeds=2))


def with_references(benchmark, pairs):
    return [(pair, benchmark.reference_of(pair.fitted)) for pair in pairs]


def reported_of(benchmark, pairs):
    """The names of the pairs of which a good cube is reported, and how many cubes there are."""
    reported = []
    count = 0
    for pair, reference in pairs:
        for cube in pair.unseen:
            count += 1
            if not benchmark.measure(reference, cube).is_like:
                reported.append(pair.name)
    return reported, count


@pytest.mark.soak  # 160 cubes
def test_at_most_one_good_cube_in_fifty_is_reported(benchmark):
    everything = with_references(benchmark, benchmark.pairs(DATA, seeds=20))
    reported, count = reported_of(benchmark, everything)
    assert count == 160
    assert len(reported) <= MOST_GOOD_REPORTED * count, reported


def test_no_good_cube_is_reported_but_of_one_scene(benchmark, pairs):
    """Airport-4 is sea in its upper half and land in the other one. Real data take some seconds."""
    reported, count = reported_of(benchmark, pairs)
    assert count == 88
    assert reported == ["abu-airport-4.mat top"]


def test_every_fault_is_reported_on_each_scene(benchmark, pairs):
    """On one half of each scene and one pair of each other kind."""
    chosen = [
        one for one in pairs if one[0].name.endswith((" top", "enmap 0", "wheat 0", "lentils 0"))
    ]
    assert len(chosen) == len(benchmark.SCENES) + 3
    missed = []
    for pair, reference in chosen:
        cube = pair.unseen[0]
        lost = dict(benchmark.faults(cube, reference.pixels.astype(np.float32)))
        for fault in MUST_BE_FOUND:
            is_fault = not np.array_equal(lost[fault], cube, equal_nan=True)
            if is_fault and benchmark.measure(reference, lost[fault]).is_like:
                missed.append((pair.name, fault))
    assert missed == []
