"""The scene and the fitted pipeline of the tests of both protocols."""

import numpy as np
import pytest

from specloom import Pipeline
from specloom_cubes import AnomalyDataNode
from specloom_deciders import BinaryDecider
from specloom_predict import Predictor
from specloom_rx import RXGlobal, ScoreToLogit

BANDS = 6


def scene(height=30, width=40, bands=BANDS):
    """A cube of float32 with one square that is brighter in two bands."""
    values = np.random.default_rng(4).normal(10, 1, (height, width, bands)).astype(np.float32)
    values[12:15, 20:22, 2:4] += 15
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pipeline = Pipeline("mine")
    rx = pipeline.add("rx", RXGlobal())
    logits = pipeline.add("logits", ScoreToLogit())
    decider = pipeline.add("decider", BinaryDecider(threshold=0.99))
    data = pipeline.add("data", AnomalyDataNode([0]))
    pipeline.chain("data.cube", rx, logits, decider)
    pipeline.connect(data.valid, rx.valid, logits.valid, decider.valid)
    pipeline.outputs = {"scores": rx.scores, "decisions": decider.decisions}
    found = tmp_path_factory.mktemp("run")
    pipeline.fit(scene()).save_to_file(found / "pipeline.yaml")
    return found


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor(folder, device="cpu")
