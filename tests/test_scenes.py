"""RX on the eight real scenes: the published areas under the ROC curve, through the command."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from specloom.cli import cli

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
CONFIG = ROOT / "configs/rx_scene.yaml"
SCENES = {
    "abu/abu-airport-1.mat": 0.8221,
    "abu/abu-airport-4.mat": 0.9526,
    "abu/abu-urban-1.mat": 0.9907,
    "abu/abu-urban-4.mat": 0.9887,
    "sandiego/sandiego_plane.mat": 0.9403,
    "hydice/HYDICE_urban.mat": 0.9857,
    "envi_sandiego/SDData": 0.9106,
    "mat_v73/abu-urban-1_v73.mat": 0.9907,
}
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")


def auc(scene: str, out: Path, *settings: str) -> float:
    sets = [f"data.config.cube={DATA / scene}", *settings]
    if scene.endswith("SDData"):
        sets.append(f"data.config.mask={DATA / scene}Gt.bmp")
    arguments = [argument for one in sets for argument in ("--set", one)]
    result = CliRunner().invoke(
        cli, ["run", str(CONFIG), "--out", str(out), *arguments], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    value: float = json.loads((out / "metrics.json").read_text())["test"]["metrics/roc_auc"]
    return value


@pytest.mark.parametrize(("scene", "published"), SCENES.items(), ids=SCENES)
def test_the_published_accuracy(scene, published, tmp_path):
    exact = auc(scene, tmp_path / "exact")
    assert round(exact, 4) == published
    regularised = auc(scene, tmp_path / "default", "nodes.rx.config.eps=1e-6")
    assert regularised >= exact - 0.001


def test_the_hdf5_copy_gives_what_the_v5_file_gives(tmp_path):
    first = auc("abu/abu-urban-1.mat", tmp_path / "v5")
    second = auc("mat_v73/abu-urban-1_v73.mat", tmp_path / "v73")
    assert first == second
