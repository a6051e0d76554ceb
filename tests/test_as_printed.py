"""The tutorial's graph as printed: the companion edge makes it work, and is reported."""

import sys
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = {"scenes": 12, "height": 32, "width": 32}
TRAINING = {"trainer": {"max_epochs": 1}, "optimizer": {"name": "adamw", "lr": 0.001}}


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import channel_selector_as_printed

    yield channel_selector_as_printed
    del sys.modules["channel_selector_as_printed"]


def test_the_companion_makes_the_printed_graph_work(example, tmp_path):
    iou = {}
    for companions in (False, True):
        out = tmp_path / str(companions)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = example.main(out, companions, TRAINING, **SMALL)
        messages = [str(one.message) for one in caught]
        for name in ("entropy", "diversity"):
            assert (
                f"the loss {name!r} is in the pipeline, but it is not minimised: add it to "
                "loss_nodes, or remove it"
            ) in messages
        iou[companions] = found["metrics_anomaly/iou"]
        assert (out / "trained_models" / "Channel_Selector.safetensors").is_file()
        assert (out / "checkpoints" / "last.safetensors").is_file()
    assert iou[False] < 0.05
    assert iou[True] > 0.2
