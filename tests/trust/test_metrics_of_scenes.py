"""What the command prints for real scenes is what scikit-learn finds in the scores it saved."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn import metrics as reference

from specloom import Pipeline
from specloom.cli import cli
from specloom.execution.plan import Plan
from specloom.torch import TorchRuntime
from specloom_cubes.sources.scene import Scene

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SCENES = ["abu/abu-airport-1.mat", "abu/abu-urban-1.mat", "envi_sandiego/SDData"]
QUANTILE = 0.99
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")


@pytest.mark.parametrize("name", SCENES)
def test_every_figure_follows_from_the_scores(name, tmp_path):
    settings = {"cube": str(DATA / name)}
    if name.endswith("SDData"):
        settings["mask"] = f"{DATA / name}Gt.bmp"
    sets = [part for k, v in settings.items() for part in ("--set", f"data.config.{k}={v}")]
    command = ["run", str(ROOT / "configs/rx_scene.yaml"), *sets, "--out", str(tmp_path), "--json"]
    ran = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    printed = json.loads(ran.stdout)
    assert printed == json.loads((tmp_path / "metrics.json").read_text())

    pipeline, source = Pipeline.load(tmp_path / "pipeline.yaml"), Scene(**settings)
    graph, runtime = pipeline.graph(source), TorchRuntime("cpu")
    plan = Plan(graph, "predict", runtime, pipeline.outputs.values())
    (batch,) = source.batches("predict")
    with torch.no_grad():
        made = plan(runtime.adopt(batch, graph.batch))
    scores = made["rx.scores"].numpy().ravel()
    decided = made["decider.decisions"].numpy().ravel()
    truth = batch["mask"].ravel() > 0

    cut = np.quantile(scores.astype(np.float64), QUANTILE)
    np.testing.assert_array_equal(decided, scores >= cut)
    want = {
        "roc_auc": reference.roc_auc_score(truth, scores),
        "average_precision": reference.average_precision_score(truth, scores),
        "precision": reference.precision_score(truth, decided),
        "recall": reference.recall_score(truth, decided),
        "f1": reference.f1_score(truth, decided),
        "iou": reference.jaccard_score(truth, decided),
        "pixels": truth.size,
        "anomalous_pixels": truth.sum(),
        "decided_pixels": decided.sum(),
        "left_out_pixels": 0,
        "images": 1,
    }
    images = ("roc_auc", "average_precision", "recall", "f1", "iou")  # there is but one
    want |= {f"image_{name}": want[name] for name in images}
    found = {name.removeprefix("metrics/"): value for name, value in printed["test"].items()}
    assert found == pytest.approx(want | {"images_left_out": 0}, abs=1e-12)
