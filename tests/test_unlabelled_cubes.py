"""Eight cubes of which two have masks: fits use every pixel, losses and metrics the labelled ones.

All figures are those of NumPy on the same pixels.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import specloom
from specloom import Pipeline, Run, SpecloomWarning
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_deciders import BinaryDecider
from specloom_losses import AnomalyBCEWithLogits
from specloom_metrics import AnomalyDetectionMetrics, best_threshold
from specloom_mrmr import SupervisedFullSpectrumBandSelector
from specloom_normalize import MinMaxNormalizer
from specloom_pca import TrainablePCA
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_selectors import SoftChannelSelector
from specloom_training import Calibrate, Evaluate, GradientTrainer, StatisticalTrainer

H, W, C = 12, 10, 5
TRAIN = ["c0", "c1", "c2", "c3", "c4", "c5"]
TEST = ["c6", "c7"]
MASKED = ("c0", "c6")
HOLE = 255  # a class of neither list, or one more anomaly
LR = 0.5

RUN = """\
specloom: 1
data:
  type: cubes.Folder
  config:
    path: cubes
    batch_size: 6
    split: {train: [c0, c1, c2, c3, c4, c5], test: [c6, c7]}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0], anomaly_class_ids: [1]}}
  normalizer: {type: normalize.MinMaxNormalizer}
  rx: {type: rx.RXGlobal, config: {eps: 0.0}}
  logits: {type: rx.ScoreToLogit}
  decider: {type: deciders.BinaryDecider}
  bce: {type: losses.AnomalyBCEWithLogits}
  metrics: {type: metrics.AnomalyDetectionMetrics}
connections:
  - [data.cube, normalizer.data]
  - [data.valid, normalizer.valid]
  - [normalizer.normalized, rx.data]
  - [data.valid, rx.valid]
  - [rx.scores, logits.scores]
  - [data.valid, logits.valid]
  - [logits.logits, bce.predictions]
  - [data.mask, bce.targets]
  - [data.labelled, bce.valid]
  - [logits.logits, decider.logits]
  - [decider.decisions, metrics.decisions]
  - [logits.logits, metrics.logits]
  - [data.mask, metrics.targets]
  - [data.labelled, metrics.valid]
phases:
  - {type: training.StatisticalTrainer}
  - type: training.GradientTrainer
    config: {unfreeze: [logits], epochs: 1, optimizer: {name: sgd, lr: 0.5}}
  - {type: training.Calibrate, config: {decider: decider, split: train}}
  - {type: training.Evaluate, config: {split: test}}
"""


@pytest.fixture(scope="module")
def scenes():
    """Eight cubes, those of the test with a NaN pixel; two masks with anomalies and a hole."""
    rng = np.random.default_rng(5)
    cubes = {}
    masks = {}
    for name in (*TRAIN, *TEST):
        cube = rng.normal(0.5, 0.1, (H, W, C)).astype(np.float32)
        if name in MASKED:
            mask = np.zeros((H, W), np.uint8)
            mask[2:5, 3:6] = 1
            mask[8, 2:7] = HOLE
            cube[mask == 1] += rng.normal(0.25, 0.1, (9, C)).astype(np.float32)
            cube[mask == HOLE] *= 3
            masks[name] = mask
        else:
            cube *= 1.5  # a fit of the masked cubes alone has other limits
        if name in TEST:
            cube[0, 0, 1] = np.nan
        cubes[name] = cube
    return SimpleNamespace(cubes=cubes, masks=masks)


@pytest.fixture
def folder(scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cubes").mkdir()
    for name, cube in scenes.cubes.items():
        np.save(f"cubes/{name}.npy", cube)
    for name, mask in scenes.masks.items():
        Image.fromarray(mask).save(f"cubes/{name}.png")
    Path("run.yaml").write_text(RUN)
    return tmp_path


def pixels_of(scenes, names, ignored):
    """Cubes (N, H, W, C); which pixels may be used, which have a label, which are anomalous."""
    cube = np.stack([scenes.cubes[name] for name in names])
    unlabelled = np.full((H, W), -1)
    mask = np.stack([scenes.masks.get(name, unlabelled).astype(int) for name in names])
    usable = np.isfinite(cube).all(-1)
    labelled = usable & (mask >= 0)
    if ignored:
        usable = usable & (mask != HOLE)
        labelled = labelled & (mask != HOLE)
    return SimpleNamespace(cube=cube, usable=usable, labelled=labelled, anomalous=mask > 0)


class Expected:
    """The pipeline of the run file in NumPy."""

    def __init__(self, scenes, ignored=True):
        self.train = pixels_of(scenes, TRAIN, ignored)
        self.test = pixels_of(scenes, TEST, ignored)
        rows = self.train.cube[self.train.usable]
        self.low = rows.min()
        self.high = rows.max()
        scaled = self.scaled(rows)
        self.mean = scaled.mean(0)
        self.inverse = np.linalg.inv(np.cov(scaled.T))
        scores = self.scores(rows)
        self.score_mean = scores.mean()
        self.score_std = scores.std(ddof=1)
        z = self.z(self.train.cube[self.train.labelled])
        errors = 1 / (1 + np.exp(-z)) - self.train.anomalous[self.train.labelled]
        self.scale = 1 - LR * (errors * z).mean()
        self.bias = -LR * errors.mean()

    def scaled(self, rows):
        span = np.float32(self.high) - np.float32(self.low)
        return ((rows - np.float32(self.low)) / span).astype(np.float64)

    def scores(self, rows):
        gaps = self.scaled(rows) - self.mean
        return ((gaps @ self.inverse) * gaps).sum(-1)

    def z(self, rows):
        return (self.scores(rows) - self.score_mean) / self.score_std - 2

    def logits(self, rows):
        return self.scale * self.z(rows) + self.bias

    def metrics(self):
        logits = self.logits(self.test.cube[self.test.labelled])
        truth = self.test.anomalous[self.test.labelled]
        train = self.train
        threshold, f1 = best_threshold(
            self.logits(train.cube[train.labelled]), train.anomalous[train.labelled]
        )
        decided = logits >= threshold
        loss = np.logaddexp(0, logits) - truth * logits
        both = (decided & truth).sum()
        return f1, {
            "metrics/iou": both / (decided | truth).sum(),
            "metrics/precision": both / decided.sum(),
            "metrics/recall": both / truth.sum(),
            "metrics/pixels": truth.size,
            "metrics/anomalous_pixels": truth.sum(),
            "metrics/decided_pixels": decided.sum(),
            "metrics/left_out_pixels": 2 * H * W - truth.size,
            "metrics/images": 2,
            "metrics/images_left_out": 1,
            "bce/loss": loss.mean(),
        }


def check(nodes, metrics, want):
    """Compare fitted nodes and metrics with NumPy."""
    count = want.train.usable.sum()
    for name in ("normalizer", "rx", "logits"):
        assert nodes[name].pixels == count
    assert (nodes["normalizer"].low.item(), nodes["normalizer"].high.item()) == (
        want.low,
        want.high,
    )
    np.testing.assert_allclose(nodes["rx"].background_mean.numpy(), want.mean, rtol=1e-6)
    assert nodes["logits"].score_mean.item() == pytest.approx(want.score_mean, rel=1e-5)
    assert nodes["logits"].score_std.item() == pytest.approx(want.score_std, rel=1e-5)
    assert nodes["logits"].scale.item() == pytest.approx(want.scale, rel=1e-5)
    assert nodes["logits"].bias.item() == pytest.approx(want.bias, rel=1e-4)
    f1, expected = want.metrics()
    assert metrics["train"]["decider/calibrated_f1"] == pytest.approx(f1, abs=1e-12)
    found = {name: metrics["test"][name] for name in expected}
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ignored", [True, False], ids=["two lists", "one list"])
def test_a_run_file_trains_on_eight_cubes_of_which_two_have_masks(folder, scenes, ignored):
    sets = [] if ignored else ["nodes.data.config.anomaly_class_ids=null"]
    run = specloom.load("run.yaml", sets, device="cpu")
    run.run()
    check(run.graph.nodes, run.metrics, Expected(scenes, ignored))


def test_a_file_that_wires_valid_everywhere_gives_the_same_bits_with_warnings(folder):
    new = specloom.load("run.yaml", device="cpu")
    new.run()
    Path("old.yaml").write_text(RUN.replace("data.labelled", "data.valid"))
    with pytest.warns(SpecloomWarning) as caught:
        old = specloom.load("old.yaml", device="cpu")
    lines = RUN.splitlines()
    places = [1 + lines.index(f"  - [data.labelled, {node}.valid]") for node in ("bce", "metrics")]
    assert [(one.filename, one.lineno) for one in caught] == [("old.yaml", n) for n in places]
    assert [str(one.message).splitlines()[1] for one in caught] == [
        "  fix: write '- [data.labelled, bce.valid]'",
        "  fix: write '- [data.labelled, metrics.valid]'",
    ]
    old.run()
    assert old.metrics == new.metrics


def batches(scenes, names):
    """Each cube as a batch of its own; a mask only where there is one."""
    found = []
    for name in names:
        batch = {"cube": scenes.cubes[name][None]}
        if name in scenes.masks:
            batch["mask"] = scenes.masks[name][None].astype(np.int32)
        found.append(batch)
    return found


def source_of(scenes):
    return InMemory(train=batches(scenes, TRAIN), test=batches(scenes, TEST))


def test_python_trains_on_batches_of_which_two_have_masks(scenes):
    source = source_of(scenes)
    data = AnomalyDataNode(normal_class_ids=[0], anomaly_class_ids=[1], name="data")
    normalizer = MinMaxNormalizer(name="normalizer")
    rx = RXGlobal(eps=0.0, name="rx")
    logits = ScoreToLogit(name="logits")
    decider = BinaryDecider(name="decider")
    bce = AnomalyBCEWithLogits(name="bce")
    metrics = AnomalyDetectionMetrics(name="metrics")
    pipeline = Pipeline("unlabelled")
    pipeline.connect(
        (data.outputs.cube, normalizer.data),
        (data.outputs.valid, normalizer.valid),
        (normalizer.normalized, rx.data),
        (data.outputs.valid, rx.valid),
        (rx.scores, logits.scores),
        (data.outputs.valid, logits.valid),
        (logits.logits, bce.predictions),
        (data.outputs.mask, bce.targets),
        (data.labelled, bce.valid),
        (logits.logits, decider.logits),
        (decider.decisions, metrics.decisions),
        (logits.logits, metrics.logits),
        (data.outputs.mask, metrics.targets),
        (data.labelled, metrics.valid),
    )
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    pipeline.unfreeze_nodes_by_name(["logits"])
    trainer = GradientTrainer(
        pipeline=pipeline,
        datamodule=source,
        loss_nodes=[bce],
        epochs=1,
        optimizer={"name": "sgd", "lr": LR},
        accumulate_grad_batches=6,
    )
    trainer.fit()
    run = Run(pipeline.graph(source), source, device="cpu")
    Calibrate("decider", split="train").train(run)
    Evaluate("test").train(run)
    want = Expected(scenes)
    # Six batches of one image: the mean over images, of which five have no labelled pixel.
    want.scale = 1 + (want.scale - 1) / 6
    want.bias = want.bias / 6
    check(pipeline.nodes, run.metrics, want)


def fit_behind_data(scenes, **targets):
    """Fit what reads a data node with two lists of classes on the train cubes."""
    data = AnomalyDataNode(normal_class_ids=[0], anomaly_class_ids=[1], name="data")
    pipeline = Pipeline("fit")
    for output, target in targets.items():
        pipeline.connect((getattr(data.outputs, output), target))
    StatisticalTrainer(pipeline=pipeline, datamodule=source_of(scenes)).fit()


@pytest.fixture
def broken(scenes):
    """The same cubes, each with a pixel that has no data."""
    cubes = {name: cube.copy() for name, cube in scenes.cubes.items()}
    for cube in cubes.values():
        cube[0, 0, 1] = np.nan
    return SimpleNamespace(cubes=cubes, masks=scenes.masks)


@pytest.mark.parametrize("data", ["scenes", "broken"])
def test_what_is_fitted_without_labels_uses_the_unlabelled_pixels(request, data):
    scenes = request.getfixturevalue(data)
    train = pixels_of(scenes, TRAIN, ignored=True)
    rows = train.cube[train.usable].astype(np.float64)
    pca = TrainablePCA(n_components=2, name="pca")
    fit_behind_data(scenes, cube=pca.data, valid=pca.valid)
    assert pca.pixels == len(rows)
    values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    np.testing.assert_allclose(pca.variances.numpy()[:2], values[:2], rtol=1e-9)
    soft = SoftChannelSelector(n_select=2, init_method="variance", name="soft")
    fit_behind_data(scenes, cube=soft.data, valid=soft.valid)
    assert soft.pixels == len(rows)


@pytest.mark.parametrize("data", ["scenes", "broken"])
def test_mrmr_is_fitted_on_the_labelled_pixels(request, data):
    scenes = request.getfixturevalue(data)
    node = SupervisedFullSpectrumBandSelector(n_bands=2, winsorize=None, name="bands")
    fit_behind_data(
        scenes, cube=node.cube, valid=node.valid, labelled=node.labelled, mask=node.mask
    )
    train = pixels_of(scenes, TRAIN, ignored=True)
    rows = train.cube.astype(np.float64)
    normal = rows[train.labelled & ~train.anomalous]
    anomalous = rows[train.labelled & train.anomalous]
    assert node.class_pixels.tolist() == [len(normal), len(anomalous)]
    gaps = anomalous.mean(0) - normal.mean(0)
    fisher = gaps**2 / (anomalous.var(0) + normal.var(0))
    np.testing.assert_allclose(node.fisher_scores.numpy(), fisher, rtol=1e-9)


def without_training():
    """The run file without its loss, and with a fit and an evaluation as its phases."""
    lines = [line for line in RUN.splitlines() if "bce" not in line]
    phases = lines.index("phases:")
    return "\n".join([*lines[: phases + 2], lines[-1], ""])


@pytest.mark.parametrize("ignored", [True, False], ids=["two lists", "one list"])
def test_masks_without_an_anomaly(folder, ignored):
    for name in MASKED:
        Image.fromarray(np.zeros((H, W), np.uint8)).save(f"cubes/{name}.png")
    Path("run.yaml").write_text(without_training())
    sets = [] if ignored else ["nodes.data.config.anomaly_class_ids=null"]
    run = specloom.load("run.yaml", sets, device="cpu")
    with pytest.warns(UserWarning, match="no pixel is anomalous in the stage 'test'"):
        run.run()
    found = run.metrics["test"]
    assert found["metrics/pixels"] == H * W - 1
    assert found["metrics/anomalous_pixels"] == 0
    assert "metrics/recall" not in found
    assert run.graph.nodes["rx"].pixels == 6 * H * W


def test_masks_of_ignored_classes_alone(folder):
    for name in MASKED:
        Image.fromarray(np.full((H, W), HOLE, np.uint8)).save(f"cubes/{name}.png")
    Path("run.yaml").write_text(without_training())
    run = specloom.load("run.yaml", device="cpu")
    run.run()
    assert run.graph.nodes["rx"].pixels == 5 * H * W
    assert run.metrics["test"]["metrics/pixels"] == 0
    assert run.metrics["test"]["metrics/left_out_pixels"] == 2 * H * W


@pytest.mark.filterwarnings("ignore:.*no pixel is anomalous in the stage 'val'")
@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("checkpoint={monitor: metrics/recall}", "checkpoint"),
        ("early_stopping=[{monitor: metrics/recall}]", "early_stopping"),
        ("scheduler={name: reduce_on_plateau, monitor: metrics/recall}", "scheduler"),
    ],
)
def test_a_monitored_metric_that_the_validation_does_not_define(folder, option, place):
    Image.fromarray(np.zeros((H, W), np.uint8)).save("cubes/c6.png")
    sets = [
        "data.config.split={train: [c0, c1], val: [c6], test: [c7]}",
        "data.config.batch_size=1",
    ]
    run = specloom.load("run.yaml", [*sets, f"phases.1.config.{option}"], device="cpu")
    with pytest.raises(specloom.ConfigError) as caught:
        run.run()
    assert str(caught.value) == (
        f"run.yaml:2: {place} monitors 'metrics/recall', which is not defined on the split 'val': "
        f"0 of its {H * W - 1} labelled pixels are anomalous\n"
        "  fix: use validation data on which it is defined, or monitor another metric"
    )
