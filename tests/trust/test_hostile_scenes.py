"""Scenes that no camera should give: a result that is defined, or a clear error, no traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from specloom.cli import main

CONFIG = Path(__file__).parents[2] / "configs/rx_scene.yaml"
CONSTANT = "bands are constant over the 480 background pixels and are excluded from the scores"
SAME_PIXELS = f"warning: {CONFIG}:16: train, val and test are the same pixels: "
NO_PIXEL = "error: node 'rx' (RXGlobal) was given no usable pixel to learn from\n  fix: check the "
# The command shows warnings; here pytest would turn them into errors before that.
pytestmark = pytest.mark.filterwarnings("always::UserWarning")


def scene(bands=6, height=20, width=24):
    random = np.random.default_rng(bands)
    cube, mask = random.normal(size=(height, width, bands)), np.zeros((height, width), np.uint8)
    mask.flat[random.choice(mask.size, max(1, mask.size // 50), replace=False)] = 1
    cube[mask > 0] += 2.5
    return cube.astype(np.float32), mask


CUBE, MASK = scene()


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run the command as its users do: exit code, metrics, and what it says."""
    monkeypatch.chdir(tmp_path)

    def run(cube, mask, *settings):
        np.save("scene.npy", cube)
        np.save("mask.npy", mask)
        sets = ["data.config.cube=scene.npy", "data.config.mask=mask.npy", *settings]
        changes = [argument for one in sets for argument in ("--set", one)]
        monkeypatch.setattr(
            sys,
            "argv",
            ["specloom", "run", str(CONFIG), "--out", "out", "--overwrite", "--json", *changes],
        )
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        metrics = json.loads(out)["test"] if ended.value.code == 0 else out
        return ended.value.code, metrics, err

    return run


def expected(cube, mask, quantile=0.99):
    """The metrics of global RX by NumPy and scikit-learn; pixels that are not finite left out."""
    rows, truth = cube.astype(np.float32).reshape(-1, cube.shape[-1]), mask.ravel() > 0
    finite = np.isfinite(rows).all(1)
    rows, truth = rows[finite].astype(np.float64), truth[finite]
    x = rows - rows.mean(0)
    x /= x.std(0)
    scores = np.einsum("ij,ij->i", x, np.linalg.solve(np.atleast_2d(np.cov(x.T)), x.T).T)
    decided = (scores >= np.quantile(scores, quantile)) & (scores > scores.min())
    return {
        "metrics/roc_auc": roc_auc_score(truth, scores),
        "metrics/average_precision": average_precision_score(truth, scores),
        "metrics/precision": precision_score(truth, decided),
        "metrics/recall": recall_score(truth, decided),
        "metrics/f1": f1_score(truth, decided),
        "metrics/iou": jaccard_score(truth, decided),
        "metrics/pixels": len(rows),
        "metrics/left_out_pixels": int((~finite).sum()),
    }


def changed(value, *at):
    cube = CUBE.copy()
    cube[at] = value
    return cube


DEFINED = {
    "as it should be": (CUBE, None, ""),
    "constant bands": (changed(0.1, ..., [1, 4]), [0, 2, 3, 5], f"2 of 6 {CONSTANT}: 1, 4"),
    "a band of zeros": (changed(0, ..., 0), [1, 2, 3, 4, 5], f"1 of 6 {CONSTANT}: 0"),
    "a band twice": (CUBE[..., [0, 1, 2, 3, 4, 5, 2]], [0, 1, 2, 3, 4, 5], "6 directions of 7"),
    "NaN in one pixel": (changed(np.nan, 3, 4, 2), None, "479 pixels (1 excluded)"),
    "infinity in a row": (changed(-np.inf, 3), None, "456 pixels (24 excluded)"),
    "negative integers": ((CUBE * 900).astype(np.int16), None, ""),
    "unsigned integers": ((CUBE * 900 + 9000).astype(">u2"), None, ""),
    "half precision": (CUBE.astype(np.float16), None, ""),
    "an offset of 1e4": (CUBE + np.float32(1e4), None, ""),
    "tiny values": (CUBE * np.float32(1e-42), None, "scored in float64"),
    "huge values": (CUBE * np.float32(1e37), None, "scored in float64"),
    "one band": (CUBE[..., :1], None, ""),
    "two bands": (CUBE[..., :2], None, ""),
}


@pytest.mark.parametrize(("cube", "bands", "said"), DEFINED.values(), ids=DEFINED)
def test_what_numpy_and_scikit_learn_give_comes_out(command, cube, bands, said):
    code, metrics, err = command(cube, MASK)
    assert code == 0, err
    assert said in err
    want = expected(cube if bands is None else cube[..., bands], MASK)
    assert {name: metrics[name] for name in want} == pytest.approx(want, abs=1e-12)


def test_more_bands_than_pixels_are_scored_where_the_pixels_reach(command):
    cube, mask = scene(500, 10, 10)
    code, metrics, err = command(cube, mask)
    assert code == 0
    assert "100 background pixels support 99 directions of 500 bands" in err
    assert "set shrinkage" in err
    assert metrics["metrics/pixels"] == 100
    # All pixels lie at the same distance: only with shrinkage is there anything to see.
    code, metrics, err = command(cube, mask, "nodes.rx.config.shrinkage=0.1")
    assert (code, err.count("warning"), SAME_PIXELS in err) == (0, 1, True)
    assert "background pixels support" not in err
    assert metrics["metrics/roc_auc"] == 1


CURVES = {"metrics/roc_auc", "metrics/average_precision"}
CLASSES = {
    "no anomaly": (CUBE, MASK * 0, CURVES | {"metrics/recall"}, {"anomalous_pixels": 0}),
    "nothing normal": (CUBE, MASK * 0 + 1, {"metrics/roc_auc"}, {"average_precision": 1}),
    "one normal pixel": (
        CUBE[:1, :1],
        MASK[:1, :1] * 0,
        CURVES | {f"metrics/{name}" for name in ("iou", "precision", "recall", "f1")},
        {"pixels": 1, "decided_pixels": 0},
    ),
    "one anomalous pixel": (
        CUBE[:1, :1],
        MASK[:1, :1] * 0 + 1,
        {"metrics/roc_auc", "metrics/precision"},
        {"recall": 0, "f1": 0, "iou": 0},
    ),
    "all pixels equal": (
        CUBE * 0 + 3,
        MASK,
        {"metrics/precision"},
        {"roc_auc": 0.5, "average_precision": MASK.mean(), "decided_pixels": 0},
    ),
}


@pytest.mark.parametrize(("cube", "mask", "absent", "want"), CLASSES.values(), ids=CLASSES)
def test_what_is_not_defined_is_left_out(command, cube, mask, absent, want):
    code, metrics, err = command(cube, mask)
    assert code == 0, err
    defined = {"roc_auc", "average_precision", "iou", "precision", "recall", "f1"}
    missing = {f"metrics/{name}" for name in defined} - metrics.keys()
    assert missing == absent
    want = {f"metrics/{name}": value for name, value in want.items()}
    assert {name: metrics[name] for name in want} == pytest.approx(want, abs=1e-12)


FIX_SIZE = "\n  fix: give the mask of this cube\n"
REFUSED = {
    "a band of NaN": (changed(np.nan, ..., 1), MASK, NO_PIXEL),
    "all NaN": (changed(np.nan), MASK, NO_PIXEL),
    "infinite in float32": (CUBE.astype(np.float64) * 1e300, MASK, NO_PIXEL),
    "a mask too small": (
        CUBE,
        MASK[:5],
        "the mask mask.npy is 5 x 24, the cube is 20 x 24" + FIX_SIZE,
    ),
    "a transposed mask": (
        CUBE,
        MASK.T,
        "the mask mask.npy is 24 x 20, the cube is 20 x 24: transposed, it would fit\n"
        "  fix: transpose the mask\n",
    ),
    "a mask with bands": (
        CUBE,
        np.stack([MASK, MASK], 2),
        "the mask mask.npy holds uint8 of shape (20, 24, 2)\n"
        "  fix: give one class number for each pixel: (rows, columns)\n",
    ),
    "probabilities as a mask": (
        CUBE,
        MASK * 0.5,
        "the mask mask.npy holds 0.5, which is not a class number\n"
        "  fix: give whole numbers; apply a threshold to a map of probabilities\n",
    ),
    "a picture as a cube": (
        CUBE[..., 0],
        MASK,
        "scene.npy holds float32 of shape (20, 24), not a cube\n"
        "  fix: save a real numeric array of shape (rows, columns, bands); "
        "for a matrix of pixels write shape: [rows, columns]\n",
    ),
    "no rows": (CUBE[:0], MASK, "scene.npy holds float32 of shape (0, 24, 6), not a cube\n"),
    "complex numbers": (CUBE * 1j, MASK, "scene.npy holds complex64 of shape (20, 24, 6), not"),
    "Python objects": (CUBE.astype(object), MASK, "scene.npy cannot be read as .npy: "),
}


@pytest.mark.parametrize(("cube", "mask", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_refused(command, cube, mask, text):
    code, out, err = command(cube, mask)
    assert code == 2
    assert out == ""
    assert "error: " in err
    assert text in err
    assert "\n  fix: " in err


@pytest.mark.parametrize("keep", [0, 5, 127, -1])
def test_a_file_that_was_cut_short_is_refused(command, tmp_path, monkeypatch, keep):
    whole = tmp_path / "whole.npy"
    np.save(whole, CUBE)
    (tmp_path / "short.npy").write_bytes(whole.read_bytes()[:keep])
    code, _, err = command(CUBE, MASK, "data.config.cube=short.npy")
    assert code == 2
    assert "short.npy cannot be read as .npy: " in err
    assert "\n  fix: write the file again\n" in err
