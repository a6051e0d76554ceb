"""Twenty things that a beginner does wrong, through the command line: here, those of the data.

The message is compared as a whole: what is wrong, where, and how to mend it. Those of the machine
are in ``test_beginner_mistakes_machine.py``, those of files of ours in ``..._files.py``.
"""

import numpy as np
import pytest

from mistakes import LENTILS, SCENE, SMALL, files, forking, mistake, shell

__all__ = ["files", "forking", "shell"]  # fixtures

RELATIVE = "  fix: check the path; it is relative to where you run"


def scene(cube, mask="scene.png", rest=""):
    named = f" --set data.config.mask={mask}" if mask else ""
    return f"specloom run {SCENE} --set data.config.cube={cube}{named} --out out {rest}"


def test_a_wrong_path(shell):
    cube = f"{SCENE}:11: there is no scen.npy, the cube of the data\n{RELATIVE}"
    mask = f"{SCENE}:11: there is no scen.png, the mask of the data\n{RELATIVE}"
    mistake(shell, scene("scen.npy"), f"error: {cube}")
    assert not (shell.folder / "out/run.json").exists()  # so that the next one may go there
    mistake(shell, scene("scene.npy", "scen.png"), f"error: {mask}")
    options = "--set data.config.cube=scen.npy --set data.config.mask=scen.png"
    warned = f"warning: {cube}\nwarning: {mask}"
    mistake(shell, f"specloom check {SCENE} {options}", warned, 0)
    mistake(
        shell,
        "specloom run configs/rx_scen.yaml",
        "error: configs/rx_scen.yaml cannot be read: No such file or directory\n"
        "  fix: check the path",
    )
    mistake(shell, scene("scene.npy"), "", 0)  # what was wrong before is in nobody's way


def test_a_mask_of_another_size(shell):
    mistake(
        shell,
        scene("scene.npy", "half.png"),
        "error: the mask half.png is 20 x 30, the cube is 40 x 30\n"
        "  fix: give the mask of this cube",
    )


def test_wavelengths_in_micrometres(shell):
    used = "configs/bands/cir.yaml --set 'data={type: cubes.Scene, config: {cube: um.hdr}}'"
    assumed = "um.hdr: 'wavelength' states 0.43 to 0.91 in 'nm': taken as micrometres"
    unmasked = "\n".join(
        f"warning: configs/bands/cir.yaml:{line}: {what}: the data has no mask in the split {split}"
        for line, what, split in (
            (34, "the threshold of decider stays uncalibrated", "'val'"),
            (35, "the evaluation of 'val' is skipped", "'val'"),
            (36, "the evaluation of 'test' is skipped", "'test'"),
        )
    )
    mistake(shell, f"specloom check {used}", unmasked, 0)
    assert f": {assumed}\n" in shell(f"specloom check {used}")
    header = shell.folder / "um.hdr"
    text = header.read_text("utf-8")
    for unit in ("nm", "um", "Unknown"):
        header.write_text(text.replace("units = nm", f"units = {unit}"))
        assert "wavelengths      430.00 to 910.00 nm\n" in shell("specloom info um.hdr")


def test_an_array_with_its_bands_first(shell):
    mistake(
        shell,
        scene("bands_first.npy"),
        "error: the mask scene.png is 40 x 30, the cube 12 x 40 x 30: bands come first\n"
        "  fix: save the cube as rows x columns x bands",
    )
    assert "size             12 rows x 40 columns x 30 bands" in shell(
        "specloom info bands_first.npy"
    )


@pytest.mark.parametrize(
    ("picture", "looks"),
    [
        ("colours.tif", "3 bands of 8 bits and no wavelengths: it looks like a picture in colour"),
        ("grey.tif", "1 band and no wavelengths: it looks like a grey picture or a mask"),
    ],
)
def test_a_picture_given_as_a_cube(shell, picture, looks):
    fix = "give the cube's own file, with all of its bands"
    said = f"{picture} has {looks}, not a cube\n  fix: {fix}"
    warning = f"warning: {said}"
    skipped = (
        f"warning: {SCENE}:31: the evaluation of 'test' is skipped: "
        "the data has no mask in the split 'test'"
    )
    unmasked = f"warning: {SCENE}:11: {said}\n{skipped}"
    mistake(shell, f"specloom check {SCENE} --set data.config.cube={picture}", unmasked, 0)
    mistake(shell, scene(picture), warning, 0)
    one_class = (  # the blocks with the anomalies of this mask are for training
        f"warning: {SCENE}:16: no pixel of the splits 'val' and 'test' is anomalous: nothing can "
        "be measured\n  fix: assign images with anomalies to it, or check the lists of classes"
    )
    blocks = f"'data={{type: cubes.Blocks, config: {{cube: {picture}, mask: scene.png}}}}'"
    mistake(
        shell,
        f"specloom check {SCENE} --set {blocks}",
        f"warning: --set {blocks[1:-1]}: {said}\n{one_class}",
        0,
    )
    assert f"not a cube; {fix}\n" in shell(f"specloom info {picture}")


def test_a_photograph_given_as_a_cube(shell):
    mistake(
        shell,
        scene("scene.png", ""),
        f"error: {SCENE}:11: scene.png is a picture: it holds colours, not spectra\n"
        "  fix: give the cube's own file: ENVI (.hdr with its data file), MATLAB (.mat), HDF5 "
        "(.h5, .hdf5, .he5, .hdf), netCDF-4 (.nc, .nc4), NumPy (.npy, .npz), TIFF (.tif, .tiff); "
        "a picture may be its mask",
    )


def test_no_masks(shell):
    mistake(
        shell,
        scene("scene.npy", ""),
        "warning: the evaluation of 'test' is skipped: the data has no mask in the split 'test'",
        0,
    )


def test_one_class(shell):
    mistake(
        shell,
        scene("scene.npy", "nothing.png"),
        f"warning: {SCENE}:16: no pixel of the splits 'val' and 'test' is anomalous: nothing can "
        "be measured\n  fix: assign images with anomalies to it, or check the lists of classes\n"
        "warning: node 'metrics' (AnomalyDetectionMetrics): no pixel is anomalous in the stage "
        "'test', so some metrics are missing: check the masks, and the data node's class numbers",
        0,
    )
    few = f"{LENTILS} --set data.config.scenes=8"
    mistake(
        shell,
        f"specloom check {few}",
        f"warning: {LENTILS}:9: no scene of the split 'val' holds an anomaly (2 in all)\n"
        "  fix: raise scenes, or change the seed",
        0,
    )
    mistake(
        shell,
        f"specloom run {few}",
        f"error: {LENTILS}:17: decider cannot be calibrated on 'val': a threshold for f1 needs "
        "pixels of both classes, got 0 anomalous and 8192 normal\n"
        "  fix: use a split whose masks hold anomalies as well as background, or set "
        "false_alarm_rate, which needs normal pixels alone",
    )


def test_a_cube_of_nan(shell):
    mistake(
        shell,
        scene("all_nan.npy"),
        "error: node 'rx' (RXGlobal) was given no usable pixel to learn from\n"
        "  fix: check the training split: every pixel is NaN or excluded",
    )
    assert "values              none is finite\n" in shell("specloom info all_nan.npy")


def test_an_empty_folder(shell):
    file = "examples/own_cubes/run.yaml"
    line = (shell.folder / file).read_text("utf-8").splitlines().index("data:") + 1
    mistake(
        shell,
        f"specloom run {file} --set data.config.path=empty",
        f"error: {file}:{line}: empty holds no cube that fits '*'\n"
        "  fix: check path and pattern; '**/*' includes folders within",
    )
    mistake(
        shell,
        f"specloom check {file} --set data.config.path=nowhere",
        f"warning: {file}:{line}: there is no nowhere, the folder of the data\n{RELATIVE}",
        0,
    )


def test_an_image_larger_than_the_memory(shell):
    command = "specloom run configs/coreset_scene.yaml --set data.config.cube=huge.hdr"
    reported = shell(command)
    assert shell.code == 4
    there = reported.partition("this machine has ")[2].partition(" GB")[0]
    assert reported.endswith(
        "error: a node needs the whole image: its 200000 x 200000 x 61 values take 9760.0 GB of "
        f"memory, this machine has {there} GB\n"
        "  fix: fit on cubes.Blocks of it, then apply the run with specloom predict, in tiles\n"
    )
    # Smaller than the memory but read in tiles: the same scores, to the bit.
    mistake(shell, scene("scene.npy"), "", 0)
    for memory, out in (("64KB", "tiled"), ("1GB", "whole")):
        mistake(
            shell,
            f"specloom predict out scene.npy --out {out} --format npy --memory {memory}",
            "",
            0,
        )
    tiled, whole = (np.load(shell.folder / f"{out}/scene/scores.npy") for out in ("tiled", "whole"))
    np.testing.assert_array_equal(tiled, whole)


def test_a_small_trial_is_good(shell):
    mistake(shell, f"specloom check {LENTILS} {SMALL}", "", 0)
