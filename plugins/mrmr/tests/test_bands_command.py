import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from specloom import ConfigError, DataError
from specloom.cli import cli
from specloom_mrmr.bootstrap import stability, weigh_states
from specloom_mrmr.class_statistics import ClassStatistics
from specloom_mrmr.command import bands
from specloom_mrmr.counts import cuts_of
from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector

RUN = """
specloom: 1
metadata: {name: bands}
data: {type: cubes.Synthetic, config: {scenes: 8, height: 24, width: 24, bands: 21, batch_size: 2}}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  selector: {type: mrmr.SupervisedFullSpectrumBandSelector}
connections:
  - [data.cube, selector.cube]
  - [data.mask, selector.mask]
  - [data.valid, selector.valid]
  - [data.labelled, selector.labelled]
  - [data.wavelengths, selector.wavelengths]
phases:
  - {type: training.StatisticalTrainer}
outputs: {rgb: selector.rgb_image}
"""


def images(count, lift, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        mask = rng.random((1, 12, 12, 1)) < 0.3
        cube = rng.normal(size=(1, 12, 12, len(lift))) + mask * np.array(lift)
        made.append({"cube": torch.from_numpy(cube).float(), "mask": torch.from_numpy(mask)})
    return made


def test_weighted_states_equal_repeated_updates():
    rng = np.random.default_rng(0)
    parts = [
        (
            torch.from_numpy(rng.normal(i, 1, (200, 4))).float(),
            torch.from_numpy(rng.random(200) < 0.4),
        )
        for i in range(3)
    ]
    rows, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    cuts = cuts_of(rows[~labels], rows[labels], 512)
    states = []
    for part in parts:
        one = ClassStatistics(cuts)
        one.update(*part)
        states.append(one.state())
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    merged, plain = ClassStatistics(cuts), ClassStatistics(cuts)
    merged.merge(weigh_states(stacked, torch.tensor([2, 0, 3])))
    for index in (0, 0, 2, 2, 2):
        plain.update(*parts[index])
    assert merged.pixels() == plain.pixels()
    for one, other in zip(merged.scores(8)[0], plain.scores(8)[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [1, 4, 80])
def test_a_clear_choice_is_stable_and_an_even_one_is_not(count):
    data = images(count, [0, 3, 0, 0.5, 0.5, 0.5, 0.5, 0])
    node = SupervisedFullSpectrumBandSelector(8, n_bands=2)
    found = stability(node, lambda: data, resamples=50)
    assert not node.fitted
    assert found.shares[1] == 1
    assert found.chosen[0] == 1
    assert found.units == {1: 16, 4: 16, 80: 64}[count]
    assert sum(found.shares) == pytest.approx(2)
    if count < 80:
        assert sum(0.05 < share < 0.95 for share in found.shares) >= 2
    assert stability(node, lambda: data, resamples=50) == found


def test_resamples_of_one_class_are_left_out():
    data = images(20, [1.0, 0.0, 0.5])
    for one in data[1:]:
        one["mask"][:] = False
    found = stability(SupervisedFullSpectrumBandSelector(3, n_bands=1), lambda: data, resamples=60)
    assert 20 < found.resamples < 55
    for one in data:
        one["mask"][:] = False
    with pytest.raises(DataError, match="two classes"):
        stability(SupervisedFullSpectrumBandSelector(3, n_bands=1), lambda: data)


def test_the_command_takes_a_run_file(tmp_path):
    (tmp_path / "run.yaml").write_text(RUN)
    result = CliRunner().invoke(
        bands, [str(tmp_path / "run.yaml"), "--resamples", "20"], catch_exceptions=False
    )
    first, header, *rows = result.output.splitlines()
    assert re.fullmatch(r"selector: \d+ resamples of 16 images or blocks", first)
    assert header.split() == ["band", "wavelength", "chosen", "in", "all", "data"]
    assert all("nm" in row and "%" in row for row in rows)
    assert sum("channel" in row for row in rows) == 3
    printed = CliRunner().invoke(bands, [str(tmp_path / "run.yaml"), "--resamples", "5", "--json"])
    assert len(json.loads(printed.output)["selector"]["shares"]) == 21


def test_the_command_takes_the_folder_of_a_run(tmp_path):
    (tmp_path / "run.yaml").write_text(RUN)
    words = ["run", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "out")]
    CliRunner().invoke(cli, words, catch_exceptions=False)
    one, other = (
        CliRunner().invoke(bands, [str(tmp_path / name), "--resamples", "5", "--json"])
        for name in ("out", "run.yaml")
    )
    assert json.loads(one.output) == json.loads(other.output)


def test_what_the_selector_reads_is_fitted_first(tmp_path):
    text = RUN.replace("  selector:", "  normal: {type: normalize.MinMaxNormalizer}\n  selector:")
    text = text.replace("data.cube, selector.cube", "normal.normalized, selector.cube")
    text = text.replace("connections:", "connections:\n  - [data.cube, normal.data]")
    (file := tmp_path / "run.yaml").write_text(text)
    CliRunner().invoke(cli, ["run", str(file), "--out", str(tmp_path / "out")])
    (stopped := tmp_path / "stopped").mkdir()
    (stopped / "run.json").write_bytes((tmp_path / "out/run.json").read_bytes())
    printed = [
        CliRunner().invoke(bands, [str(place), "--resamples", "5"], catch_exceptions=False).output
        for place in (file, tmp_path / "out", stopped)
    ]
    assert printed[0] == printed[1] == printed[2]
    assert "of 16 images or blocks" in printed[0]
    file.write_text(text.replace("phases:\n  - {type: training.StatisticalTrainer}\n", ""))
    with pytest.raises(ConfigError, match="no phase of the run fits normal, which the selectors"):
        CliRunner().invoke(bands, [str(file)], catch_exceptions=False)


def test_a_run_without_a_selector_is_refused(tmp_path):
    text = RUN.replace("mrmr.SupervisedFullSpectrumBandSelector", "rx.RXGlobal")
    for line in ("[data.wavelengths, selector.wavelengths]", "[data.labelled, selector.labelled]"):
        text = text.replace(f"  - {line}\n", "")
    text = text.replace("selector.cube", "selector.data").replace("rgb_image", "scores")
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ConfigError, match="no supervised band selector"):
        CliRunner().invoke(bands, [str(tmp_path / "run.yaml")], catch_exceptions=False)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        CliRunner().invoke(bands, [str(tmp_path)], catch_exceptions=False)
