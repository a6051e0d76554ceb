import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import specloom_tensorboard
from specloom import ConfigError, Pipeline, Plugins, Port, Ported, Run
from specloom_tensorboard.monitor import TensorBoardMonitorNode
from specloom_tensorboard.wording import describe, metrics_text

PICTURE = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)


class Source:
    outputs = {"cube": Port("B H W C")}

    def sizes(self):
        return {"C": 3}

    def splits(self):
        return ["train", "val", "test"]

    def count(self, split):
        return 2

    def batches(self, split):
        yield from ({"cube": np.ones((1, 4, 5, 3), np.float32)} for _ in range(2))


class Gathers(Ported):
    """A number and a picture for each stage."""

    entry = True
    inputs = {"cube": Port("B H W C")}
    outputs = {
        "metrics": Port(None, dtype="scalars", per_stage=True),
        "artifacts": Port(None, dtype="record", per_stage=True, kind="toys.artifacts"),
    }

    def measure_start(self, stage):
        self.count = 0

    def forward(self, cube):
        self.count += len(cube)
        return {}

    def measure_end(self):
        return {
            "metrics": {"share": self.count / 4, "images": self.count},
            "artifacts": {"image_0": PICTURE},
        }


class Trainable:
    """Records as a trainer does; fails or is killed in an epoch."""

    def __init__(self, epochs=3, first=0, fails_in=None, act=None):
        self.epochs, self.first, self.fails_in, self.act = epochs, first, fails_in, act

    def check(self, graph, at):
        return []

    def train(self, run):
        for epoch in range(self.first, self.epochs):
            values = {"train/bce/loss": 1 / (epoch + 1), "train/optimizer/lr": 0.001}
            values["train/selector/temperature"] = 5 * 0.9**epoch
            run.hook.recorded(run=run, step=epoch, values=values)
            if epoch == self.fails_in:
                self.act()
            evaluate(run, "val", epoch)
            run.hook.epoch_ended(run=run, epoch=epoch, max_epochs=self.epochs)


class Evaluates:
    def train(self, run):
        evaluate(run, "test")


def evaluate(run, split, step=0):
    plan = run.plan(split)
    plan.start()
    with run.inference():
        for batch in run.batches(split):
            plan(batch)
        run.measured(split, plan.finish(), step)


def make(output_dir, phases, *, connected=("metrics", "artifacts"), **params):
    pipeline, node = Pipeline("toy"), Gathers(name="toy")
    monitor = TensorBoardMonitorNode(output_dir and str(output_dir), **params)
    pipeline.add_node(node)
    pipeline.add_node(monitor, "monitor")
    pipeline.add_node(Gathers(), "unconnected")
    for port in connected:
        pipeline.connect((getattr(node, port), getattr(monitor, port)))
    source = Source()
    plugins = Plugins({"tensorboard": specloom_tensorboard})
    named = [(type(phase).__name__, phase) for phase in phases]
    about = {"plugins": plugins, "device": "cpu", "metadata": {"name": "toy run"}}
    return Run(pipeline.graph(source), source, named, observed=True, **about), monitor


def read(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    tags = found.Tags()
    return (
        {tag: [e.step for e in found.Scalars(tag)] for tag in tags["scalars"]},
        {tag: [e.step for e in found.Images(tag)] for tag in tags["images"]},
    )


EPOCHS = [0, 1, 2]
TRAINED = dict.fromkeys(
    ["train/bce/loss", "train/optimizer/lr", "train/selector/temperature"], EPOCHS
)


def test_an_observed_run_writes_each_thing_under_its_own_tag(tmp_path):
    run, _ = make(tmp_path, [Trainable(), Evaluates()], run_name="one")
    run.run()
    scalars, images = read(tmp_path / "one")
    assert scalars == {**TRAINED, "val/toy/share": EPOCHS, "test/toy/share": [0]}
    assert images == {"val/toy/image_0": EPOCHS, "test/toy/image_0": [0]}


def test_the_end_of_a_run_adds_its_metrics_and_its_run_file(tmp_path):
    run, _ = make(tmp_path, [Trainable(), Evaluates()])
    run.document.value = {"specloom": 1, "nodes": {"toy": {"type": "toys.Gathers"}}}
    run.run()
    found = EventAccumulator(str(tmp_path / "toy run"))
    found.Reload()
    texts = {}
    for tag in ("run/metrics", "run/configuration"):
        (event,) = found.Tensors(tag)
        texts[tag] = event.tensor_proto.string_val[0].decode()
    assert texts["run/metrics"] == (
        "| metric | val | test |\n"
        "|---|--:|--:|\n"
        "| toy/share | 0.5000 | 0.5000 |\n"
        "| toy/images | 2 | 2 |\n"
        "| unconnected/share | 0.5000 | 0.5000 |\n"
        "| unconnected/images | 2 | 2 |"
    )
    assert '          "type": "toys.Gathers"' in texts["run/configuration"]
    described = found.SummaryMetadata("val/toy/share")
    assert described.summary_description == "Gathers: A number and a picture for each stage."


def test_a_run_that_wrote_nothing_or_failed_has_no_texts(tmp_path):
    run, _ = make(tmp_path / "nothing", [], connected=())
    run.run()
    assert not (tmp_path / "nothing").exists()
    run, _ = make(tmp_path, [Trainable(fails_in=1, act=lambda: 1 / 0)])
    with pytest.raises(ZeroDivisionError):
        run.run()
    found = EventAccumulator(str(tmp_path / "toy run"))
    found.Reload()
    assert not [tag for tag in found.Tags()["tensors"] if tag.startswith("run/")]


def test_what_tags_mean():
    graph = make(None, [])[0].graph
    assert describe(graph, "train/learning_rate").startswith("The step size")
    assert describe(graph, "train/total/loss").startswith("The sum of all losses")
    assert describe(graph, "val/toy/share") == "Gathers: A number and a picture for each stage."
    assert describe(graph, "train/unknown/lr") == ""
    assert metrics_text({}) == ""


@pytest.mark.parametrize("port", ["metrics", "artifacts"])
def test_only_what_is_connected_is_written_of_metrics_and_pictures(tmp_path, port):
    run, _ = make(tmp_path, [Trainable()], connected=(port,))
    run.run()
    scalars, images = read(tmp_path / "toy run")
    assert scalars == TRAINED | ({"val/toy/share": EPOCHS} if port == "metrics" else {})
    assert images == ({"val/toy/image_0": EPOCHS} if port == "artifacts" else {})


def test_a_trainer_in_python_adds_the_observer_itself(tmp_path):
    run, monitor = make(tmp_path, [Trainable()])
    run.observed = False
    run.run()
    assert not list(tmp_path.iterdir())
    run.plugins.add("monitor", monitor.observer())
    run.run()
    evaluation, _ = make(tmp_path, [Evaluates()])
    evaluation.graph, evaluation.observed = run.graph, False
    evaluation.plugins.add("monitor", monitor.observer())
    evaluation.run()
    scalars, _ = read(tmp_path / "toy run")
    assert scalars == {**TRAINED, "val/toy/share": EPOCHS, "test/toy/share": [0]}
    assert len(list((tmp_path / "toy run").iterdir())) == 1


def test_a_monitor_outside_the_graph_writes_what_trainers_record(tmp_path):
    run, _ = make(tmp_path, [Trainable()])
    run.observed = False
    run.plugins.add("other", TensorBoardMonitorNode(str(tmp_path), "other").observer())
    run.run()
    assert read(tmp_path / "other") == (TRAINED, {})


def test_where_it_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, monitor = make(None, [])
    assert monitor.folder(run) == Path("runs/tensorboard/toy run")
    run.folder = tmp_path / "results"
    assert monitor.folder(run) == tmp_path / "results/tensorboard/toy run"
    run.metadata = {}
    monitor.output_dir = "logs"
    assert monitor.folder(run) == Path("logs/run")
    run, monitor = make(None, [Trainable()], run_name="a/b")
    run.run()
    assert read(tmp_path / "runs/tensorboard/a/b")[0]["train/bce/loss"] == EPOCHS


def test_everything_is_there_after_an_error(tmp_path):
    def fail():
        raise RuntimeError("no")

    run, _ = make(tmp_path, [Trainable(9, fails_in=3, act=fail)])
    with pytest.raises(RuntimeError, match="no"):
        run.run()
    scalars, images = read(tmp_path / "toy run")
    assert scalars["train/bce/loss"] == [0, 1, 2, 3]
    assert images["val/toy/image_0"] == EPOCHS


def test_a_killed_run_is_complete_and_a_resumed_one_goes_on(tmp_path):
    code = (
        "import importlib.util, os, signal, sys\n"
        f"spec = importlib.util.spec_from_file_location('toys', {__file__!r})\n"
        "toys = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(toys)\n"
        "kill = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "toys.make(sys.argv[1], [toys.Trainable(9, fails_in=5, act=kill)])[0].run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    scalars, images = read(tmp_path / "toy run")
    assert scalars["train/bce/loss"] == [0, 1, 2, 3, 4, 5]
    assert scalars["val/toy/share"] == images["val/toy/image_0"] == [0, 1, 2, 3, 4]
    run, _ = make(tmp_path, [Trainable(9, first=5), Evaluates()])
    run.resumed = True
    run.run()
    scalars, images = read(tmp_path / "toy run")
    assert scalars["train/bce/loss"] == scalars["val/toy/share"] == list(range(9))
    assert images["val/toy/image_0"] == list(range(9))
    assert scalars["test/toy/share"] == [0]


@pytest.mark.parametrize("name", ["../up", "/root", "a/../../b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        make(tmp_path, [], run_name=name)
    assert f"run_name {name!r} of 'monitor' leads out of output_dir" in str(caught.value)
    assert "give a name, and the folder as output_dir" in str(caught.value)


def test_nothing_heavy_is_imported_before_the_first_write_nor_tensorflow_then(tmp_path):
    code = (
        "import sys, specloom_tensorboard.observers\n"
        "heavy = {'tensorboard', 'torch', 'PIL', 'numpy', 'google'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from specloom_tensorboard.log import Log\n"
        "import pathlib\n"
        "Log(pathlib.Path(sys.argv[1])).write(0, {'a': 1.0})\n"
        "late = {'tensorflow', 'torch', 'tensorboard.compat.tensorflow_stub'}\n"
        "assert not late & set(sys.modules), late & set(sys.modules)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    subprocess.run(command, check=True)
