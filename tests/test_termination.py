"""SIGTERM, as batch systems send it before a job's time is over: an orderly end, then --resume."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from specloom import Pipeline, Plugins, Terminated, uninterrupted
from specloom.execution import termination
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory

ROOT = Path(__file__).parents[1]
SPECLOOM = "from specloom.cli import main; main()"


@pytest.fixture
def received():
    """SIGTERM as the command line handles it, in this process."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with termination.terminable():
        yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("received")
def test_the_signal_raises_an_error_that_is_an_interrupt():
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
    assert issubclass(Terminated, KeyboardInterrupt)
    assert termination.was_terminated()


@pytest.mark.usefixtures("received")
def test_steps_that_belong_together_are_finished_first():
    steps = []

    def finish():
        with uninterrupted():
            with uninterrupted():
                signal.raise_signal(signal.SIGTERM)
                steps.append(1)
            steps.append(2)

    with pytest.raises(Terminated):
        finish()
    assert steps == [1, 2]


@pytest.mark.usefixtures("received")
def test_an_error_in_these_steps_does_not_lose_the_signal():
    def fail():
        with uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            raise ValueError

    with pytest.raises(Terminated) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)
    with uninterrupted():
        pass  # it was raised once


def test_a_program_with_a_handler_of_its_own_keeps_it():
    def own(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, own)
    try:
        with termination.terminable():
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def terminated(folder, script, *arguments, times=1):
    """Run a command with a script before it, and send the signal each time it prints ``ready``.

    Returns:
        The exit code, and what it printed to standard error.
    """
    code = textwrap.dedent(script) + SPECLOOM
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            for _ in range(times):
                line = process.stdout.readline()
                assert line == "ready\n", process.stderr.read()
                process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, err


TRAINING = """
    import sys, time
    import specloom_training.gradient.session as session
    start_epoch = session.Session.start_epoch
    def started(self):
        start_epoch(self)
        if self.epoch == 2 and "--resume" not in sys.argv:
            print("ready", flush=True)
            time.sleep(60)
    session.Session.start_epoch = started
"""


def test_a_training_ends_in_order_and_is_resumed(tmp_path):
    sizes = ["scenes=12", "height=32", "width=32"]
    sets = [f"--set=data.config.{one}" for one in sizes]
    run = ["run", ROOT / "configs/channel_selector.yaml", *sets, "--set=phases.1.config.epochs=4"]
    code, err = terminated(tmp_path, TRAINING, *run, "--out", "run")
    assert code == 143
    assert err.split("\n")[-4:] == [
        "to resume: specloom run --resume run",
        "",
        "terminated (SIGTERM)",
        "",
    ]
    record = tmp_path / "run/record/phase-1.safetensors"
    with safe_open(record, "pt") as file:
        assert json.loads(file.metadata()["record"])["epoch"] == 1
    assert not list((tmp_path / "run").rglob(".*"))
    resumed = [sys.executable, "-m", "specloom", "run", "--resume", "run"]
    subprocess.run(resumed, cwd=tmp_path, check=True, capture_output=True)
    with safe_open(record, "pt") as file:
        assert json.loads(file.metadata()["record"])["epoch"] == 3
    assert json.loads((tmp_path / "run/run.json").read_text())["ended"]


PREDICTING = """
    import sys, time
    from specloom_predict import cube_prediction
    {step} = cube_prediction.{step}
    def stay(scratch, *more, **options):
        made = {step}(scratch, *more, **options)
        if scratch.parent.name == "b":
            print("ready", flush=True)
            time.sleep(2)
        return made
    cube_prediction.{step} = stay
"""


@pytest.fixture
def predicting(tmp_path):
    """A folder with a pipeline and three cubes, and what predicts them."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}]))
    (tmp_path / "run").mkdir()
    pipeline.save_to_file(tmp_path / "run/pipeline.yaml")
    (tmp_path / "in").mkdir()
    for name in "abc":
        np.save(tmp_path / f"in/{name}.npy", np.zeros((4, 5, 3), np.float32))
    return ["predict", "run", "in", "--out", "out"]


@pytest.mark.parametrize(("step", "done"), [("write_files", "a"), ("move_files", "ab")])
def test_a_prediction_leaves_or_finishes_its_cube(tmp_path, predicting, step, done):
    script = PREDICTING.format(step=step)
    code, err = terminated(tmp_path, script, *predicting)
    assert code == 143
    assert err.split("\n")[-4:] == [
        "to resume: repeat the command with --resume; what is complete in out is skipped",
        "",
        "terminated (SIGTERM)",
        "",
    ]
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folders == [*done, "ledger"]
    assert not list((tmp_path / "out").rglob(".*"))
    again = [sys.executable, "-m", "specloom", *predicting, "--resume"]
    last = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, check=True)
    counts = f"{3 - len(done)} cubes predicted" if len(done) == 1 else "1 cube predicted"
    assert last.stderr.splitlines()[-1] == f"{counts}, {len(done)} up to date, 0 failed: out"


SLOW_END = """
    from specloom_predict import scratch
    def slow(*more, **options):
        print("ready", flush=True)
        time.sleep(60)
    scratch.shutil.rmtree = slow
"""


def test_a_second_signal_ends_all_at_once(tmp_path, predicting):
    script = PREDICTING.format(step="write_files").replace('== "b"', '== "a"')
    code, _ = terminated(tmp_path, script + SLOW_END, *predicting, times=2)
    assert code == -signal.SIGTERM
    assert list((tmp_path / "out/a").glob(".part-*"))
    again = [sys.executable, "-m", "specloom", *predicting]
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
    assert not list((tmp_path / "out").rglob(".*"))
