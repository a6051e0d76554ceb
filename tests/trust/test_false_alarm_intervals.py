"""How often the 95 % interval of a false-alarm rate covers the rate of new scenes.

RX is fitted once on SYNTHETIC lentils without anomalies. Each of 200 draws is 60 new scenes, from
which a threshold and its interval come. The rate that the threshold has on 4,000 other scenes must
lie in the interval in 90 to 99 % of the draws.
"""

import numpy as np
import pytest
import torch

from specloom_cubes import Synthetic
from specloom_rx import RXGlobal
from specloom_training.calibration.false_alarms import empirical_threshold, tail_threshold
from specloom_training.calibration.normals import NormalScores

DRAWS = 200
SCENES = 60
SIZE = 48
RATES = {"pixel": 1e-3, "object": 0.5, "image": 0.2}

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def cubes(scenes, seed):
    source = Synthetic(
        scenes=scenes,
        height=SIZE,
        width=SIZE,
        anomalies=(),
        seed=seed,
        split=(1.0, 0.0, 0.0),
        batch_size=20,
    )
    for batch in source.batches("train"):
        yield torch.as_tensor(batch["cube"])


@pytest.fixture(scope="module")
def rx():
    detector = RXGlobal(num_channels=61)
    detector.build({"num_channels": 61})
    detector.fit_start(0)
    for batch in cubes(40, 1):
        detector.fit_update(batch)
    detector.fit_end()
    return detector


def scored(rx, scenes, seed):
    with torch.inference_mode():
        parts = [rx.forward(batch)["scores"][..., 0].float() for batch in cubes(scenes, seed)]
    return torch.cat(parts)


@pytest.fixture(scope="module")
def fresh(rx):
    return torch.cat([scored(rx, 800, 1000 + number) for number in range(5)])


@pytest.fixture(scope="module")
def draws(rx):
    return [scored(rx, SCENES, 5000 + number) for number in range(DRAWS)]


def sample_of(scores, per):
    normals = NormalScores(per, capacity=1 << 22)
    for image in scores:
        normals.add(image, torch.ones(image.shape, dtype=torch.bool))
    return normals


def by_quantiles(normals, rate, per):
    return empirical_threshold(normals, rate, per)


def by_tail(normals, rate, per):
    return tail_threshold(normals, rate, per, None)


@pytest.mark.parametrize("per", RATES)
@pytest.mark.parametrize("method", [by_quantiles, by_tail])
def test_the_interval_covers_the_rate_of_new_scenes(fresh, draws, per, method):
    new = sample_of(fresh, per).sample()
    covered = []
    for scores in draws:
        found = method(sample_of(scores, per), RATES[per], per)
        low, high = found.interval
        rate = new.exceedances(found.threshold) / new.total
        covered.append(low <= rate <= high)
    share = np.mean(covered)
    print(f"{per}, {method.__name__}: {share:.1%} of {DRAWS} draws")
    assert 0.90 <= share <= 0.99


@pytest.mark.parametrize(
    ("per", "rate", "scenes"),
    [("pixel", 0.003, 1), ("pixel", 0.003, 2), ("pixel", 0.003, 10), ("object", 0.5, 10)],
)
def test_the_interval_from_blocks_of_few_scenes_covers_it_too(fresh, draws, per, rate, scenes):
    new = sample_of(fresh, per).sample()
    covered = []
    for scores in draws:
        found = empirical_threshold(sample_of(scores[:scenes], per), rate, per)
        assert found.resampled == "blocks"
        low, high = found.interval
        covered.append(low <= new.exceedances(found.threshold) / new.total <= high)
    share = np.mean(covered)
    print(f"{per}, {scenes} scenes: {share:.1%} of {DRAWS} draws")
    assert 0.90 <= share <= 0.99
