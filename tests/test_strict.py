"""``specloom run --strict``: cubes that are unlike those of the fit make the exit code 1."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from specloom.cli import cli
from specloom_cubes import Synthetic

CONFIG = Path(__file__).parents[1] / "configs/rx_statistical.yaml"
PHASES = "[{type: training.StatisticalTrainer}, {type: training.Evaluate, config: {split: test}}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten cubes with masks: eight to fit, a good one, and one of half the light."""
    folder = tmp_path_factory.mktemp("cubes")
    source = Synthetic(scenes=10, height=32, width=32, seed=3, split=(1.0, 0.0, 0.0), batch_size=1)
    for number, batch in enumerate(source.batches("train")):
        (cube,) = batch["cube"]
        if number == 9:
            cube = cube / 2
        np.save(folder / f"cube_{number}.npy", cube)
        (mask,) = batch["mask"]
        np.save(folder / f"cube_{number}_gt.npy", (mask > 1).astype(np.uint8))
    return folder


def run(folder, out, tested, *options):
    names = ", ".join(f"cube_{number}" for number in range(8))
    split = f"{{train: [{names}], test: [cube_{tested}]}}"
    overrides = [
        f"data={{type: cubes.Folder, config: {{path: {folder}, split: {split}}}}}",
        "nodes.data.config={normal_class_ids: [0]}",
        f"phases={PHASES}",
    ]
    arguments = ["run", str(CONFIG), "--out", str(out), *options]
    for one in overrides:
        arguments += ["--set", one]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.mark.filterwarnings("always::UserWarning")  # the console shows them
@pytest.mark.parametrize(
    ("tested", "options", "code"), [(8, ["--strict"], 0), (9, ["--strict"], 1), (9, [], 0)]
)
def test_exit_code_is_1_where_a_cube_is_unlike_and_the_run_strict(
    tmp_path, folder, tested, options, code
):
    result = run(folder, tmp_path / "out", tested, *options)
    assert result.exit_code == code, result.output
    warning = "1 of 1 cubes of 'test' are unlike what the pipeline was fitted on: cube 1: too dark"
    assert (warning in result.stderr) == (tested == 9)
    assert result.stdout == f"results: {tmp_path / 'out'}\n"
    (measure,) = json.loads((tmp_path / "out/run.json").read_text())["domain"]["test"]
    assert bool(measure["reasons"]) == (tested == 9)
