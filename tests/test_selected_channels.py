"""The selector that selects: few effective channels, and RX on those alone."""

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import specloom
from specloom_rx import RXGlobal

CONFIG = Path(__file__).parents[1] / "configs/selected_channels.yaml"
SMALL = ["data.config.scenes=12", "data.config.height=32", "data.config.width=32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run of the file on small scenes, with all its epochs."""
    run = specloom.load(CONFIG, SMALL, device="cpu", observed=True)
    run.folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # advice on few scenes
        run.run()
    return run


def test_it_ends_with_few_effective_channels(trained):
    selector = trained.graph.nodes["selector"]
    assert selector.effective_channels() <= 6
    assert trained.metrics["train"]["selector/effective_channels"] <= 6
    assert selector.temperature == selector.temperature_min
    assert trained.metrics["train"]["best_epoch"] == 39


def test_it_is_evaluated_with_those_channels_alone(trained):
    chosen = trained.graph.nodes["selector"].logits.topk(3).indices.sort().values
    reference = RXGlobal(num_channels=3)
    reference.fit_start(0)
    plan = trained.plan("train", ["normalizer.normalized", "data.valid"])
    with trained.inference():
        for batch in trained.batches("train"):
            values = plan(batch)
            cube = values["normalizer.normalized"][..., chosen]
            reference.fit_update(cube, values["data.valid"])
        reference.fit_end()
        ends = ["normalizer.normalized", "channels_rx.scores", "channels.indices"]
        values = trained.plan("test", ends)(next(trained.batches("test")))
        expected = reference(data=values["normalizer.normalized"][..., chosen])["scores"]
    assert torch.equal(values["channels.indices"], chosen)
    torch.testing.assert_close(values["channels_rx.scores"], expected, rtol=1e-4, atol=1e-4)


def test_effective_channels_are_a_curve_over_the_epochs(trained):
    folder = trained.folder / "tensorboard/selected_channels"
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    found.Reload()
    values = [one.value for one in found.Scalars("train/selector/effective_channels")]
    assert len(values) == 40
    assert values[0] > 50
    assert values[-1] <= 6
    assert len(found.Histograms("train/selector/weights")) == 40
