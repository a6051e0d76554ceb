"""MNF with the noise of dark frames that the data's calibration names, beside Spectral Python."""

import numpy as np
import pytest
import spectral
from scipy.linalg import eigh

import specloom
from specloom import NodeError
from specloom_cubes import Reading, open_cube, write_captures
from specloom_cubes.synthetic.camera import PANEL

BANDS = 12
RUN = """
specloom: 1
data:
  type: cubes.Folder
  config:
    path: {path}
    pattern: "**/scene_*.hdr"
    split: [1.0, 0.0, 0.0]
    calibration: {{panel: {panel}, dark_kind: offset, dark_frames: {dark_frames}}}
nodes:
  data: {{type: cubes.AnomalyDataNode, config: {{normal_class_ids: [0, 1]}}}}
  mnf: {{type: pca.MNF, config: {{n_components: 4, noise: dark}}}}
connections:
  - [data.cube, mnf.data]
  - [batch.dark, mnf.dark]
phases:
  - {{type: training.StatisticalTrainer}}
outputs: {{projected: mnf.projected}}
"""


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    return write_captures(tmp_path_factory.mktemp("captures"), 2, 32, BANDS, seed=7)


def fitted(folder, captures, dark_frames):
    file = folder / "run.yaml"
    path = captures[0].parents[2]
    file.write_text(RUN.format(path=path, panel=PANEL, dark_frames=dark_frames))
    run = specloom.load(file, device="cpu")
    run.run()
    return run.graph.nodes["mnf"]


def test_components_are_those_of_spectral_python_and_numpy(tmp_path, captures):
    node = fitted(tmp_path, captures, "true")
    pixels = []
    noise = []
    degrees = 0
    for header in captures:
        reading = Reading(calibration={"panel": PANEL, "dark_kind": "offset", "dark_frames": True})
        cube = open_cube(header, reading=reading)
        pixels.append(cube.clean().reshape(-1, BANDS).astype(np.float64))
        frames = cube.dark.clean().astype(np.float64)
        noise.append((frames - frames.mean(0)).reshape(-1, BANDS))
        degrees += frames.shape[1] * (frames.shape[0] - 1)
    pixels = np.concatenate(pixels)
    noise = np.concatenate(noise)
    of_noise = noise.T @ noise / degrees
    values = eigh(np.cov(pixels.T), of_noise, eigvals_only=True)[::-1]
    np.testing.assert_allclose(node.ratios, values[:4], rtol=1e-6)
    signal = spectral.calc_stats(pixels[None])
    zero = np.zeros(BANDS)
    by_spectral = spectral.mnf(signal, spectral.GaussianStats(zero, of_noise, degrees))
    np.testing.assert_allclose(node.ratios, by_spectral.napc.eigenvalues[:4].real, rtol=1e-6)


def test_without_dark_frames_the_error_says_how_to_have_them(tmp_path, captures):
    with pytest.raises(NodeError, match="noise is 'dark', and the fit saw no usable") as caught:
        fitted(tmp_path, captures, "false")
    assert caught.value.fix == (
        "write calibration: {dark_frames: true} of the data and connect batch.dark, or set noise "
        "to 'right'"
    )
