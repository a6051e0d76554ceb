"""Which epochs are kept, under which names, and when a training stops."""

from __future__ import annotations

import math
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from specloom import IntegrityError
from specloom_training.config import EarlyStoppingConfig, ModelCheckpointConfig
from specloom_training.gradient import GradientTrainer
from specloom_training.gradient.checkpoint_table import CheckpointTable, filename
from specloom_training.gradient.checkpoints import Checkpoints, load_checkpoint
from specloom_training.gradient.early_stopping import EarlyStopping, better

# The toys are not good at what they do.
pytestmark = pytest.mark.filterwarnings("ignore:the validation IoU")

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")


def offered(values: list[float], **options) -> tuple[list[str], CheckpointTable]:
    """The files that are left after epochs with these values, and the table."""
    stored = CheckpointTable(ModelCheckpointConfig(**{"monitor": "val/iou", **options}))
    left = set()
    for epoch, value in enumerate(values):
        name, gone, _ = stored.offer(epoch, {"val/iou": value})
        left -= set(gone)
        left |= {name} - {""}
    return sorted(left), stored


def test_the_best_are_kept_and_of_equals_the_earlier():
    files, stored = offered([3, 1, 2, 1, 5, math.nan], save_top_k=2)
    assert files == ["epoch=01", "epoch=03"]
    assert [entry[1] for entry in stored.entries] == [1, 3]
    files, stored = offered([3, 1, 2, 1, 5], save_top_k=3, mode="max")
    assert files == ["epoch=00", "epoch=02", "epoch=04"]
    assert stored.entries[0][1] == 4


def test_nan_is_kept_only_while_there_is_nothing_else():
    assert offered([math.nan, 2.0])[0] == ["epoch=01"]


def test_all_none_and_some_epochs():
    assert len(offered([1, 2, 3], save_top_k=-1)[0]) == 3
    files, stored = offered([2, 1, 3], save_top_k=0)
    assert files == []
    assert stored.entries[0][1] == 1
    assert offered([1, 2, 3, 4], save_top_k=-1, every_n_epochs=2)[0] == ["epoch=01", "epoch=03"]


def test_without_a_monitor_the_latest_is_kept():
    assert offered([1, 2, 3], monitor=None)[0] == ["epoch=02"]


def test_equal_names_get_versions():
    assert offered([3, 2, 1], save_top_k=-1, filename="best")[0] == ["best", "best-v1", "best-v2"]


def test_names_hold_the_epoch_and_what_was_recorded():
    values = {"val/metrics/iou": 0.8125, "train/bce/loss": 1e-3}
    assert filename("{epoch:02d}", 7, values) == "epoch=07"
    assert filename("{epoch}-{metrics/iou:.2f}", 7, values) == "epoch=7-metrics_iou=0.81"
    assert filename("a {train/bce:.1e} b", 7, values) == "a train_bce=1.0e-03 b"


@pytest.mark.parametrize(
    ("value", "than", "mode", "by", "answer"),
    [
        (1.0, 2.0, "min", 0.0, True),
        (1.0, 2.0, "max", 0.0, False),
        (1.0, 1.0, "min", 0.0, False),
        (1.95, 2.0, "min", 0.1, False),
        (math.nan, 2.0, "min", 0.0, False),
        (2.0, math.nan, "max", 0.0, True),
    ],
)
def test_better(value, than, mode, by, answer):
    assert better(value, than, mode, by) is answer


def test_early_stopping_counts_the_checks_without_improvement():
    stopper = EarlyStopping(
        EarlyStoppingConfig("metrics/iou", mode="max", patience=2, min_delta=0.1)
    )
    values = [0.5, 0.55, 0.7, None, 0.75, math.nan]
    reported = [{} if value is None else {"val/metrics/iou": value} for value in values]
    assert [stopper.should_stop(one) for one in reported] == [False] * 5 + [True]


def test_a_training_stops_early_and_keeps_the_best(tmp_path):
    run = toys.run_of()
    phase = GradientTrainer(
        unfreeze=["weigh"],
        epochs=50,
        optimizer={"name": "sgd", "lr": 2.0},
        early_stopping=[{"monitor": "val/bce", "patience": 3}, {"monitor": "train/bce"}],
        checkpoint={
            "monitor": "val/bce",
            "save_top_k": 2,
            "save_last": True,
            "dirpath": str(tmp_path / "kept"),
        },
    )
    phase.train(run)
    names = sorted(path.stem for path in (tmp_path / "kept").iterdir())
    assert names[-1] == "last"
    assert len(names) == 3
    assert phase.best_epoch < 47
    best = load_file(tmp_path / "kept" / f"epoch={phase.best_epoch:02d}.safetensors")
    assert torch.equal(run.graph.nodes["weigh"].weights, best["weigh.weights"])
    last = load_file(tmp_path / "kept" / "last.safetensors")
    assert not torch.equal(best["weigh.weights"], last["weigh.weights"])
    again = GradientTrainer(unfreeze=["weigh"])
    twin = toys.run_of()
    about = load_checkpoint(
        twin.graph, tmp_path / "kept" / f"epoch={phase.best_epoch:02d}.safetensors"
    )
    assert about["epoch"] == phase.best_epoch
    assert about["monitor"] == "val/bce"
    assert about["value"] == run.metrics["val"]["bce/loss"]
    assert torch.equal(twin.graph.nodes["weigh"].weights, best["weigh.weights"])
    assert again.best_epoch is None


def test_the_metrics_of_a_run_are_those_of_the_best_weights():
    from specloom_training.evaluate import evaluate

    run = toys.run_of(noise=2.0)
    sgd = {"name": "sgd", "lr": 3.0}
    checkpoint = {"monitor": "metrics/iou", "mode": "max"}
    GradientTrainer(unfreeze=["weigh"], epochs=6, optimizer=sgd, checkpoint=checkpoint).train(run)
    before = dict(run.metrics["val"])
    assert evaluate(run, "val") == before


def test_nothing_that_is_saved_is_pickled(tmp_path):
    run = toys.run_of()
    run.folder = tmp_path
    GradientTrainer(unfreeze=["weigh"], epochs=1, checkpoint={}).train(run)
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in paths) == [".safetensors"] * 2
    for path in paths:
        load_file(path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    run = toys.run_of()
    path = tmp_path / "other.safetensors"
    path.write_bytes(run.runtime.dump({"a": torch.zeros(1)}, {}))
    with pytest.raises(IntegrityError) as caught:
        load_checkpoint(run.graph, path)
    assert str(caught.value) == f"{path} is not a checkpoint\n  fix: use a file from checkpoints/"


def test_a_record_cannot_make_it_remove_files_elsewhere(tmp_path):
    settings = SimpleNamespace(early_stopping=[], checkpoint=ModelCheckpointConfig())
    checkpoints = Checkpoints(SimpleNamespace(folder=tmp_path / "run"), settings, [])
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    mine = tmp_path / "mine.safetensors"
    mine.touch()
    for name in ("../../mine", str(tmp_path / "mine")):
        about = {"stoppers": [], "values": {}, "table": [[0.0, 0, name]]}
        checkpoints.restore({}, about)
        _, gone, _ = checkpoints.table.offer(1, {})
        assert gone == [name]
        checkpoints._remove(name)
    assert mine.exists()
