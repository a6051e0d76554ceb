"""A training that was killed goes on as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from specloom import ConfigError, IntegrityError, is_temporary
from specloom_training.gradient import GradientTrainer, record

# The toys are not good at what they do.
pytestmark = pytest.mark.filterwarnings("ignore:the validation IoU")

HERE = Path(__file__).parent
sys.path.append(str(HERE))
toys, runner = import_module("training_toys"), import_module("training_runner")

RECORD = "record/phase-0.safetensors"
EPOCHS = 60


def files(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Every complete file of a run; a killed process may leave the one that it was writing."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    complete = [path for path in paths if not is_temporary(path.name)]
    return {str(path.relative_to(folder)): load_file(path) for path in complete}


def same(one: Path, other: Path) -> None:
    first, second = files(one), files(other)
    assert first.keys() == second.keys()
    for name, tensors in first.items():
        assert tensors.keys() == second[name].keys()
        odd = [key for key, value in tensors.items() if not torch.equal(value, second[name][key])]
        assert odd == [], name
    with safe_open(one / RECORD, "pt") as a, safe_open(other / RECORD, "pt") as b:
        assert a.metadata() == b.metadata()


def killed(folder: Path, epochs: int, after: float) -> bool:
    """Start or go on, and kill -9 after so many epochs and seconds; whether it was in time."""
    command = [sys.executable, str(HERE / "training_runner.py"), str(folder), str(EPOCHS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(epochs):
            process.stdout.readline()
        time.sleep(after)
        process.kill()
        return "done" not in process.stdout.read()


def killed_and_resumed(tmp_path: Path, times: int) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    runner.trained(whole, EPOCHS)
    each = EPOCHS // (times + 1)
    for _ in range(times):
        assert killed(torn, random.randint(1, each), random.uniform(0, 0.02))
        load_file(torn / RECORD)  # whole, whenever it was killed
    runner.trained(torn, EPOCHS)
    same(whole, torn)


def _about(path: Path) -> str:
    with safe_open(path, "pt") as file:
        return file.metadata()["record"]


def test_killed_twice(tmp_path):
    killed_and_resumed(tmp_path, 2)


@pytest.mark.soak
def test_killed_ten_times(tmp_path):
    killed_and_resumed(tmp_path, 10)


class Stopping:
    """Stops a training as Ctrl-C does, in the middle of an epoch."""

    def __init__(self, run, epoch: int) -> None:
        self.run, self.epoch = run, epoch
        on_epoch = run.graph.nodes["weigh"].on_epoch

        def stop(epoch: int, max_epochs: int) -> None:
            on_epoch(epoch, max_epochs)
            if epoch == self.epoch:
                signal.raise_signal(signal.SIGINT)

        run.graph.nodes["weigh"].on_epoch = stop


def trained(folder: Path, stop: int | None = None, **options):
    run = toys.run_of(noise=0.3)
    run.folder, run.resumed = folder, True
    if stop is not None:
        Stopping(run, stop)
    phase = GradientTrainer(**{"unfreeze": ["weigh"], "epochs": 5, **options})
    try:
        phase.train(run)
    except KeyboardInterrupt:
        return None, run
    return phase, run


@pytest.fixture
def interruptible():
    """In the background a shell lets its children ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_ctrl_c_keeps_the_last_finished_epoch(tmp_path, interruptible, precision):
    handler = signal.getsignal(signal.SIGINT)
    phase, run = trained(tmp_path, stop=3, precision=precision)
    assert phase is None
    assert signal.getsignal(signal.SIGINT) is handler
    saved = load_file(tmp_path / RECORD)
    node = run.graph.nodes["weigh"]
    assert torch.equal(node.weights, saved["node/weigh/weights"])
    assert float(node.temperature) == pytest.approx(0.81)
    assert not list(node.parameters())


OPTIONS = {
    "one_cycle": {
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "scheduler": {"name": "one_cycle", "max_lr": 0.2},
    },
    "by step": {
        "optimizer": {"name": "rmsprop", "lr": 0.01},
        "scheduler": {"name": "exponential", "gamma": 0.99, "interval": "step"},
    },
    "lbfgs": {"optimizer": {"name": "lbfgs", "lr": 0.1, "max_iter": 3}},
    "no cache": {"cache": False, "accumulate_grad_batches": 2},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_whatever_optimises_goes_on_where_it_was(tmp_path, options):
    trained(tmp_path / "whole", **options)
    trained(tmp_path / "torn", stop=0, **options)
    trained(tmp_path / "torn", stop=2, **options)
    trained(tmp_path / "torn", **options)
    same(tmp_path / "whole", tmp_path / "torn")


def test_a_training_that_ended_is_not_trained_again(tmp_path):
    phase, run = trained(tmp_path)
    again, twin = trained(tmp_path)
    assert twin.source.read_numbers == []
    assert again.best_epoch == phase.best_epoch == 4
    assert torch.equal(run.graph.nodes["weigh"].weights, twin.graph.nodes["weigh"].weights)


def test_early_stopping_and_the_table_go_on(tmp_path):
    options = {
        "early_stopping": [{"monitor": "train/learning_rate", "patience": 3}],
        "checkpoint": {"monitor": "val/bce", "save_top_k": 1},
        "epochs": 9,
    }
    whole, _ = trained(tmp_path / "whole", **options)
    trained(tmp_path / "torn", stop=2, **options)
    torn, _ = trained(tmp_path / "torn", **options)
    assert json.loads(_about(tmp_path / "torn" / RECORD))["epoch"] == 3
    assert whole.best_epoch == torn.best_epoch
    same(tmp_path / "whole", tmp_path / "torn")


def test_more_epochs_go_on_to_the_weights_of_one_longer_training(tmp_path):
    trained(tmp_path / "whole", epochs=8)
    trained(tmp_path / "torn", epochs=5)
    phase, run = trained(tmp_path / "torn", epochs=8)
    assert phase.best_epoch == 7
    assert sorted(run.source.read_numbers) == [0, 1, 2, 3, 4, 5]
    same(tmp_path / "whole", tmp_path / "torn")


def test_fewer_epochs_end_a_training_that_was_stopped(tmp_path, interruptible):
    trained(tmp_path, stop=3, epochs=9)
    phase, run = trained(tmp_path, epochs=3)
    assert phase.best_epoch == 2
    assert run.source.read_numbers == []


def test_other_settings_are_refused(tmp_path):
    trained(tmp_path)
    with pytest.raises(ConfigError) as caught:
        trained(tmp_path, epochs=7, optimizer={"name": "sgd", "lr": 0.5}, gradient_clip_val=1.0)
    assert str(caught.value) == (
        f"{tmp_path / RECORD} was made with other settings of this phase: "
        "epochs, gradient_clip_val, optimizer.name, optimizer.lr\n"
        "  fix: run it again with another --out"
    )


STOPPING = {"early_stopping": [{"monitor": "train/learning_rate", "patience": 2}]}


@pytest.mark.parametrize(
    ("options", "epochs", "message"),
    [
        (
            {},
            3,
            "epochs is 3, but 5 epochs were trained\n"
            "  fix: give 5 or more, or run it again with another --out",
        ),
        (
            STOPPING,
            9,
            "epochs is 9, but early_stopping ended the training after 3\n"
            "  fix: leave epochs at 5, or run it again with another --out",
        ),
        (
            {"scheduler": {"name": "cosine_annealing"}},
            9,
            "epochs is 9, was 5, and T_max of the scheduler is the number of epochs: the learning "
            "rates until now would have been others\n"
            "  fix: leave epochs at 5, or run it again with another --out",
        ),
    ],
    ids=["fewer than were trained", "stopped early", "T_max"],
)
def test_epochs_that_cannot_be_applied_are_refused(tmp_path, options, epochs, message):
    trained(tmp_path, **options)
    with pytest.raises(ConfigError) as caught:
        trained(tmp_path, epochs=epochs, **options)
    assert str(caught.value) == message
    run = toys.run_of(noise=0.3)
    run.folder = tmp_path
    phase = GradientTrainer(**{"unfreeze": ["weigh"], "epochs": epochs, **options})
    (problem,) = phase.extension_problems(run, lambda *names: f"run.yaml:{'.'.join(names)}")
    assert str(problem) == f"run.yaml:epochs: {message}"


def test_a_file_that_is_no_record_is_refused(tmp_path):
    run = toys.run_of()
    path = tmp_path / "record.safetensors"
    path.write_bytes(run.runtime.dump({"a": torch.zeros(1)}, {}))
    with pytest.raises(IntegrityError) as caught:
        record.read(run, path)
    assert str(caught.value) == (
        f"{path} is not a training record\n  fix: run it again with another --out"
    )
    path.write_bytes(run.runtime.dump({"a": torch.zeros(1)}, {"record": '{"version": 9}'}))
    with pytest.raises(IntegrityError) as caught:
        record.read(run, path)
    assert str(caught.value) == (
        f"{path} has record version 9, not 1\n  fix: run it again with another --out"
    )


def test_what_a_killed_writer_left_is_removed(tmp_path):
    trained(tmp_path, checkpoint={})
    whole = files(tmp_path)
    for name in (
        "record/.phase-0.safetensors.123",
        "checkpoints/.epoch=03.safetensors.4567",
        ".pipeline.safetensors.new.89",
        ".metrics.json.1",
    ):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".cache-1").mkdir()
    (tmp_path / ".cache-1/0.safetensors").write_bytes(b"half")
    (tmp_path / ".kept").write_bytes(b"")
    trained(tmp_path, checkpoint={})
    (tmp_path / ".kept").unlink()
    assert files(tmp_path).keys() == whole.keys()
    assert not (tmp_path / ".cache-1").exists()


def test_a_run_that_is_not_resumed_begins_anew(tmp_path):
    trained(tmp_path)
    run = toys.run_of(noise=0.3)
    run.folder = tmp_path
    GradientTrainer(unfreeze=["weigh"], epochs=5).train(run)
    assert len(run.source.read_numbers) == 6
