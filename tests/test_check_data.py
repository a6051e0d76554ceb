"""``specloom check`` says what names, headers and masks state, and reads no pixel of a cube."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom.cli import cli

ROOT = Path(__file__).parents[1]
OWN = ROOT / "examples/own_cubes/run.yaml"
SCENE = ROOT / "configs/rx_scene.yaml"
CIR = ROOT / "configs/bands/cir.yaml"
STATISTICAL = ROOT / "configs/rx_statistical.yaml"
CENTRES = "wavelength units = nm\nwavelength = {450, 550, 650, 750, 850, 950}\n"

rng = np.random.default_rng(0)
CUBE = (1000 + 50 * rng.standard_normal((12, 10, 6))).astype("<u2")
MASK = np.zeros((12, 10), np.uint8)
MASK[3:5, 4:6] = 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eight cubes with masks, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("cubes").mkdir()
    for number in range(8):
        envi(f"cubes/c{number}", CENTRES, CUBE + np.uint16(number))
        Image.fromarray(MASK).save(f"cubes/c{number}.png")
    return tmp_path


def envi(name, extra="", cube=CUBE):
    cube.tofile(f"{name}.img")
    height, width, bands = cube.shape
    Path(f"{name}.hdr").write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\ndata type = 12\n"
        f"interleave = bip\nbyte order = 0\n{extra}"
    )


def checked(file, *overrides):
    """The exit code of a check and what it says on the error stream."""
    arguments = ["check", str(file)]
    for override in overrides:
        arguments += ["--set", override]
    done = CliRunner().invoke(cli, arguments)
    return done.exit_code, done.stderr


def said(file, *overrides, exit_code=0):
    code, text = checked(file, *overrides)
    assert code == exit_code, text
    return text


def test_a_folder_in_which_nothing_is_wrong(folder, monkeypatch):
    monkeypatch.setattr("specloom_cubes.cube.Cube.read", lambda *a: pytest.fail("it read"))
    assert said(OWN) == ""
    own = said(CIR, "data={type: cubes.Folder, config: {path: cubes}}")
    assert own == ""


def test_no_wavelengths_for_a_node_that_needs_them(folder):
    envi("plain")
    scene = "data={type: cubes.Scene, config: {cube: plain.hdr}}"
    code, text = checked(CIR, scene)
    assert code == 2
    assert text == (
        f"error: --set {scene}: the data have no wavelengths, and node 'bands' "
        "(CIRFalseColorSelector) cannot run without\n"
        "  fix: give the band centres: wavelengths: bands.csv under the data's config\n"
    )
    Path("bands.csv").write_text("wavelength_nm\n450\n550\n650\n750\n850\n950\n")
    table = "data={type: cubes.Scene, config: {cube: plain.hdr, wavelengths: bands.csv}}"
    assert "no wavelengths" not in said(CIR, table)


def test_a_table_of_wavelengths_that_does_not_fit(folder):
    Path("bands.csv").write_text("wavelength_nm\n450\n550\n")
    text = said(OWN, "data.config.wavelengths=bands.csv", exit_code=2)
    assert text.startswith(f"error: {OWN}:")
    assert "bands.csv" in text


def test_a_mask_that_does_not_fit_its_cube(folder):
    Image.fromarray(MASK[:6]).save("cubes/c3.png")
    text = said(OWN, exit_code=2)
    assert f"{OWN}:" in text
    assert "the mask cubes/c3.png is 6 x 10, the cube is 12 x 10" in text


def test_no_mask_fits_by_its_name(folder):
    Path("labels").mkdir()
    for mask in Path("cubes").glob("*.png"):
        mask.rename(f"labels/truth_of_{mask.name}")
    text = said(OWN, "data.config.masks=labels", exit_code=2)
    assert "labels holds no mask of any cube in cubes" in text


def test_one_cube_without_a_mask(folder):
    Path("cubes/c5.png").unlink()
    text = said(OWN)
    assert f"warning: {OWN}:" in text
    assert "of 8 cubes 7 have masks, and these have none: c5.hdr" in text


def test_classes_that_the_lists_do_not_fit(folder):
    text = said(OWN, "nodes.data.config.normal_class_ids=[5]")
    assert "no mask holds a normal class: normal_class_ids is [5], the masks hold 0, 2" in text
    both = "nodes.data.config={normal_class_ids: [0], anomaly_class_ids: [1]}"
    text = said(OWN, both)
    assert f"warning: {OWN}:" in text
    assert "these classes of the masks are in neither list, and excluded: 2 (32 pixels)" in text
    assert "no pixel of the splits 'val' and 'test' is anomalous" in text


def test_all_bands_bad(folder):
    envi("cubes/c0", CENTRES + "bbl = {0, 0, 0, 0, 0, 0}\n")
    text = said(OWN, exit_code=2)
    assert "cubes/c0.hdr marks all of its 6 bands as bad" in text


def test_the_folder_of_a_capture(folder):
    for reference in ("DARKREF_c0", "WHITEREF_c0"):
        envi(f"cubes/{reference}", CENTRES)
    text = said(OWN)
    assert "cubes is a folder of a capture, with the reference frames DARKREF_c0" in text


def test_cubes_of_different_scales(folder):
    envi("cubes/c1", CENTRES + "reflectance scale factor = 10000\n")
    code, text = checked(OWN)
    assert code == 2 or "the cubes have different scales" in text
    assert "c1" in text


@pytest.mark.parametrize(
    ("phases", "what", "fix"),
    [
        (
            "[{type: training.Evaluate, config: {split: test}}]",
            "training.Evaluate runs normalizer, rx, logits, which no phase before it fits",
            "add a phase that fits normalizer, rx, logits before it, such as "
            "training.StatisticalTrainer",
        ),
        (
            "[{type: training.Evaluate}, {type: training.StatisticalTrainer}]",
            "training.Evaluate runs normalizer, rx, logits, which no phase before it fits",
            "move training.StatisticalTrainer before it",
        ),
        (
            "[{type: training.Calibrate, config: {decider: decider}}, "
            "{type: training.StatisticalTrainer}]",
            "training.Calibrate runs normalizer, rx, logits, which no phase before it fits",
            "move training.StatisticalTrainer before it",
        ),
        (
            "[{type: training.StatisticalTrainer}, "
            "{type: training.Calibrate, config: {decider: decider}}, "
            "{type: training.StatisticalTrainer, config: {nodes: [logits]}}]",
            "training.Calibrate sets the threshold of decider, and training.StatisticalTrainer "
            "after it changes the scores that it is compared with",
            "move training.Calibrate behind training.StatisticalTrainer",
        ),
        (
            "[{type: training.StatisticalTrainer, config: {nodes: [rx]}}]",
            "training.StatisticalTrainer runs normalizer, which no phase before it fits",
            "add a phase that fits normalizer before it, such as training.StatisticalTrainer",
        ),
    ],
)
def test_a_fit_that_is_missing_or_too_late(phases, what, fix):
    text = said(STATISTICAL, f"phases={phases}", exit_code=2)
    assert text == f"error: --set phases={phases}: {what}\n  fix: {fix}\n"


def test_a_gradient_phase_before_the_fit():
    phases = "[{type: training.GradientTrainer, config: {unfreeze: [selector], epochs: 1}}]"
    text = said(ROOT / "configs/channel_selector.yaml", f"phases={phases}", exit_code=2)
    assert "training.GradientTrainer runs normalizer, selector, rx, logits, which no phase" in text


def test_a_threshold_before_gradients_change_the_scores():
    phases = (
        "[{type: training.StatisticalTrainer}, "
        "{type: training.Calibrate, config: {decider: decider}}, "
        "{type: training.GradientTrainer, config: {unfreeze: [selector], epochs: 1}}]"
    )
    text = said(ROOT / "configs/channel_selector.yaml", f"phases={phases}", exit_code=2)
    assert text == (
        f"error: --set phases={phases}: training.Calibrate sets the threshold of decider, and "
        "training.GradientTrainer after it changes the scores that it is compared with\n"
        "  fix: move training.Calibrate behind training.GradientTrainer\n"
    )


def test_nodes_that_nothing_fits():
    text = said(STATISTICAL, "phases=[]")
    assert "no phase fits node 'rx' (RXGlobal): the saved pipeline cannot be applied" in text
    assert "fix: add a phase that fits it, such as training.StatisticalTrainer" in text


def test_a_side_of_images_that_patches_do_not_divide():
    text = said(
        ROOT / "configs/adaclip/pca.yaml", "nodes.adaclip.config.image_size=33", exit_code=2
    )
    assert "image_size is 33, no multiple of the backbone's patches of 8" in text
    assert "fix: use 32 or 40" in text


def test_a_file_that_is_absent_is_a_warning_with_its_place(folder):
    text = said(SCENE)
    assert text == (
        f"warning: {SCENE}:11: there is no scene.mat, the cube of the data\n"
        "  fix: check the path; it is relative to where you run\n"
    )


def test_a_run_says_what_each_split_holds_and_records_it(folder):
    out = folder / "out"
    arguments = ["run", str(OWN), "--out", str(out)]
    shown = CliRunner().invoke(cli, arguments, catch_exceptions=False).stderr.splitlines()
    line = "4 cubes, masks from *.png (0: 464, 2: 16 pixels), 450 to 950 nm from the header, "
    assert f"train: {line}stored counts" in shown
    line = "2 cubes, masks from *.png (0: 232, 2: 8 pixels), 450 to 950 nm from the header, "
    assert f"val, test: {line}stored counts" not in shown  # other cubes, by their names
    assert f"val: {line}stored counts" in shown
    record = json.loads((out / "run.json").read_text())
    assert list(record["splits"]) == ["train", "val", "test"]
    assert record["splits"]["val"]["masks"]["classes"] == {"0": 232, "2": 8}
    page = (out / "report.html").read_text()
    assert "450 to 950 nm from the field" in page
    assert "0: 464, 2: 16" in page
    again = CliRunner().invoke(cli, [*arguments, "--overwrite", "-v"], catch_exceptions=False)
    assert "  wavelengths: from the field 'wavelength' of the header" in again.stderr.splitlines()
