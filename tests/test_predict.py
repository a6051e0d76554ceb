"""``specloom predict`` on real scenes: the run's values bit for bit, on the scene's own grid."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import rasterio
import spectral
from click.testing import CliRunner
from scipy import ndimage

import specloom
from specloom.execution import run_folder
from specloom_cubes.formats import open_cube
from specloom_predict import predict
from specloom_predict.command import predict as command

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SCENES = {
    "envi": "envi_sandiego/SDData.hdr",
    "mat": "muufl_demo/an_hsi_image_sub_for_demo.mat",
    "geotiff": "enmap_potsdam/images/enmap_potsdam_tile_64_0.tif",
}
NAMES = ("scores", "decisions")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")


def fitted(scene: Path, folder: Path) -> dict[str, np.ndarray]:
    """Run RX on a scene, write what a run writes, and give what it made."""
    settings = [f"data.config.cube={scene}", "data.config.find_mask=false"]
    settings += ["nodes.rx.config.eps=1e-6"]
    run = specloom.load(ROOT / "configs/rx_scene.yaml", settings, device="cpu")
    run.phases = run.phases[:1]  # there is no mask to measure by
    run.run()
    run_folder.write(run, folder)
    with run.inference():
        (values,) = map(run.plan("predict", run.graph.outputs.values()), run.batches("predict"))
    return {name: values[end].numpy()[0, ..., 0] for name, end in run.graph.outputs.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    found = {}
    for kind, scene in SCENES.items():
        folder = tmp_path_factory.mktemp(kind)
        with warning_of(kind):
            found[kind] = (folder, DATA / scene, fitted(DATA / scene, folder))
    return found


WARNINGS = {
    "mat": "604 of 4,488 pixels of an image have one and the same spectrum",
    "geotiff": "1024 pixels for a covariance of 218 bands are 4.7 a band",
}
"""What a fit on some of the scenes warns of."""


def warning_of(kind: str) -> AbstractContextManager[object]:
    """The warning of a fit on a scene, or none."""
    if kind in WARNINGS:
        return pytest.warns(UserWarning, match=WARNINGS[kind])
    return nullcontext()


def called(*arguments, code=0):
    done = CliRunner().invoke(command, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def summary(*arguments, code=0):
    return json.loads(called(*arguments, "--json", code=code).stdout)


def read_back(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            about = (file.crs, file.transform, file.descriptions, file.nodata)
            return file.read(1), *about


@pytest.mark.parametrize("kind", SCENES)
def test_files_hold_what_the_run_made_on_the_grid_of_the_scene(runs, kind, tmp_path):
    folder, scene, expected = runs[kind]
    options = ("--format", "npy,envi,geotiff,png,csv", "--tile", "100KB", "--device", "cpu")
    (one,) = summary(folder, scene, "--out", tmp_path, *options)["done"]
    made = Path(one["folder"])
    crs, transform = None, rasterio.Affine.identity()
    if kind != "mat":
        _, crs, transform, _, _ = read_back(scene.with_suffix("") if kind == "envi" else scene)
    for name in NAMES:
        stored_type = np.float32 if name == "scores" else np.uint8
        np.testing.assert_array_equal(np.load(made / f"{name}.npy"), expected[name])
        image = spectral.io.envi.open(str(made / f"{name}.hdr"))
        band = image.read_band(0)
        np.testing.assert_array_equal(band, expected[name].astype(stored_type))
        assert (band.dtype, image.metadata["band names"]) == (stored_type, [name])
        for ending in ("tif", "img"):
            values, *found, described, nodata = read_back(made / f"{name}.{ending}")
            np.testing.assert_array_equal(values, expected[name].astype(stored_type))
            assert values.dtype == stored_type
            assert found[0] == crs
            assert found[1].almost_equals(transform, 1e-9)
            assert described == (name,)
            if ending == "tif":
                assert nodata == 255 if name == "decisions" else np.isnan(nodata)
    if kind == "envi":
        header = open_cube(scene).metadata
        written = open_cube(made / "scores.hdr").metadata
        for key in ("map info", "coordinate system string", "x start"):
            assert written[key] == header[key]
    assert {path.name for path in made.iterdir()} == {*one["files"], "predict.json"}


def test_memory_that_a_whole_image_may_take(runs, tmp_path):
    folder, scene, _ = runs["geotiff"]
    found = summary(folder, scene, "--out", tmp_path, "--memory", "1KB", code=2)
    assert [one["error"] for one in found["failed"]] == [
        f"{scene}, {folder}/pipeline.yaml:27: node 'decider' (QuantileBinaryDecider) needs the "
        "whole image: 32 x 32 pixels take 6 kB of memory (rx.scores 4 kB, data.valid 1 kB, "
        "decider.decisions 1 kB), more than the 1 kB allowed\n"
        "  fix: allow more memory, cut the scene into cubes.Blocks, or use nodes that see one pixel"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger", "summary.csv"]
    called(folder, scene, "--out", tmp_path, "--memory", "1MB")


def test_the_table_of_objects_is_what_scipy_measures(runs, tmp_path):
    folder, scene, expected = runs["envi"]
    called(folder, scene, "--out", tmp_path, "--format", "csv")
    with (tmp_path / "SDData/decisions_objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels, count = ndimage.label(expected["decisions"], np.ones((3, 3)))
    assert len(rows) == count > 5
    for row, number in zip(rows, range(1, count + 1), strict=True):
        at = np.argwhere(labels == number)
        inside = expected["scores"][labels == number].astype(float)
        near = ndimage.binary_dilation(labels == number, np.ones((7, 7))) & (labels == 0)
        outside = expected["scores"][near].astype(float)
        y, x = at.mean(0)
        values = {key: float(row[key]) for key in row if key != "unit"}
        assert values == {
            "label": number,
            "pixels": len(at),
            "area": len(at) * 3.5**2,
            "row": pytest.approx(y),
            "column": pytest.approx(x),
            "x": pytest.approx(480805.4 + 3.5 * (x + 0.5)),
            "y": pytest.approx(3618830.5 - 3.5 * (y + 0.5)),
            "top": at[:, 0].min(),
            "left": at[:, 1].min(),
            "bottom": at[:, 0].max(),
            "right": at[:, 1].max(),
            "mean_score": pytest.approx(inside.mean()),
            "max_score": inside.max(),
            "surround_score": pytest.approx(outside.mean()),
            "contrast": pytest.approx((inside.mean() - outside.mean()) / outside.std(ddof=1)),
        }
        assert row["unit"] == "metre"
    with (tmp_path / "SDData/decisions_spectra.csv").open() as file:
        spectra = np.array([list(row.values()) for row in csv.DictReader(file)], float)[:, 1:]
    pixels = open_cube(scene).clean()
    for number, spectrum in enumerate(spectra, start=1):
        mean = pixels[labels == number].mean(0, dtype=np.float64)
        np.testing.assert_allclose(spectrum, mean, rtol=1e-12)


def test_folders_and_patterns_and_a_bad_file_among_good_ones(runs, tmp_path):
    folder, _, _ = runs["geotiff"]
    images = tmp_path / "data/images"
    images.mkdir(parents=True)
    for tile in sorted((DATA / "enmap_potsdam/images").glob("*_64_*.tif")):
        (images / tile.name).write_bytes(tile.read_bytes())
    (images / "enmap_bad.tif").write_bytes(b"II*\0 and nothing more")
    np.save(images / "other_camera.npy", np.zeros((4, 5, 6), np.float32))
    found = summary(folder, images, tmp_path / "absent.hdr", "--out", images / "out", code=2)
    names = ["enmap_potsdam_tile_64_0", "enmap_potsdam_tile_64_32"]
    assert [Path(one["folder"]).name for one in found["done"]] == names
    errors = [one["error"] for one in found["failed"]]
    assert [one["exit_code"] for one in found["failed"]] == [2, 2, 2]
    assert errors[0].startswith(f"{images / 'enmap_bad.tif'} cannot be read as TIFF: ")
    assert errors[1:] == [
        f"{images / 'other_camera.npy'} has 6 bands, the pipeline was made for 218\n"
        "  fix: use cubes of the camera, and with the bands, that it was fitted on",
        f"there is no file {tmp_path / 'absent.hdr'}\n"
        "  fix: check the path; it is relative to where you run",
    ]
    made = sorted(path.name for path in (images / "out").iterdir())
    assert made == sorted([*names, "ledger", "summary.csv"])  # nothing is left of those that failed

    again = called(folder, tmp_path / "data/*/*_64_*.tif", "--out", images / "out")
    assert again.stderr.splitlines()[-1] == (
        f"0 cubes predicted, 2 up to date, 0 failed: {images}/out"
    )
    one = predict(folder, images / "enmap_potsdam_tile_64_32.tif")
    assert sorted(one.arrays) == sorted(NAMES)
    assert one.files == {}
    np.testing.assert_array_equal(
        one.arrays["scores"], np.load(images / "out" / names[1] / "scores.npy")
    )


KILLED = """
    import os, signal, sys
    from specloom_predict import cube_prediction, predict_all, scratch
    def moved(folder_of_parts, folder, names):
        if "b" == folder.name:  # everything is made, one file has its place
            scratch.move_files(folder_of_parts, folder, names[:1])
            os.kill(os.getpid(), signal.SIGKILL)
        return scratch.move_files(folder_of_parts, folder, names)
    cube_prediction.move_files = moved
    predict_all(sys.argv[1], sys.argv[2:5], sys.argv[5], ["npy", "png"], device="cpu")
"""


def test_a_killed_call_goes_on_where_it_was(runs, tmp_path):
    folder, scene, _ = runs["geotiff"]
    for name in "abc":
        (tmp_path / f"{name}.tif").write_bytes(scene.read_bytes())
    files, out = [tmp_path / f"{name}.tif" for name in "abc"], tmp_path / "out"
    script = [sys.executable, "-c", textwrap.dedent(KILLED), folder, *files, out]
    assert subprocess.run([str(one) for one in script]).returncode == -signal.SIGKILL
    assert json.loads((out / "b/predict.json").read_text())["complete"] is False
    left = {path.name for path in (out / "b").iterdir() if path.is_file()}
    assert left == {"predict.json", "scores.npy"}
    np.testing.assert_array_equal(np.load(out / "b/scores.npy"), np.load(out / "a/scores.npy"))
    times = {path: path.stat().st_mtime_ns for path in (out / "a").glob("[!.]*.npy")}
    found = summary(folder, *files, "--out", out, "--format", "npy,png")
    done = [Path(one["folder"]).name for one in found["done"]]
    assert (done, [Path(one["folder"]).name for one in found["skipped"]]) == (["b", "c"], ["a"])
    assert len(times) == 2
    assert {path: path.stat().st_mtime_ns for path in (out / "a").glob("[!.]*.npy")} == times
    assert not list(out.rglob(".part-*"))
    for name in "bc":
        for file in ("scores.npy", "decisions.npy", "scores.png", "decisions.png"):
            assert (out / name / file).read_bytes() == (out / "a" / file).read_bytes()
