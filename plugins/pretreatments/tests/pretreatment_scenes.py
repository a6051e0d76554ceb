"""Spectra and nodes for the tests."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat

from specloom.testing import fit, run

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
NEEDS_DATA = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
SCENES = ("abu/abu-airport-1.mat", "sandiego/sandiego_plane.mat", "hydice/HYDICE_urban.mat")
GOLDEN = json.loads((Path(__file__).parent / "golden/chemotools.json").read_text("utf-8"))


def scene(name):
    """10 rows of a published scene as a batch of one image, float32."""
    values = loadmat(DATA / name)["data"][10:20].astype(np.float32)
    return torch.from_numpy(values)[None]


def spectra(*shape, seed=0, low=0.1, high=0.9):
    """Random spectra (..., C), float32."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=generator)


def rows_of(cube):
    """The spectra of a cube, float64 (N, C)."""
    return cube.reshape(-1, cube.shape[-1]).double().numpy()


def wavelengths(channels):
    """Centres in nm that are not uniform."""
    steps = torch.linspace(8, 14, channels, dtype=torch.float64)
    return 400 + steps.cumsum(0)


def built(node, channels):
    """A node as a graph would have it."""
    node.build({"C": channels})
    return node


def treated(node, cube, **others):
    """What a node makes of a cube, fitted on it if it fits."""
    built(node, cube.shape[-1])
    batch = {"data": cube, **others}
    if getattr(node, "fit_passes", 0):
        fit(node, [batch])
    return run(node, batch)["treated"]


def agree(got, want, tolerance=1e-6):
    """Both are equal within a share of the largest value of each spectrum; NaN agree with NaN."""
    got = np.asarray(got, np.float64).reshape(-1, got.shape[-1])
    want = np.asarray(want, np.float64).reshape(got.shape)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    with np.errstate(invalid="ignore"):
        scale = np.nanmax(np.abs(want), axis=1, keepdims=True, initial=0)
    gap = np.abs(got - want) / np.where(scale > 0, scale, 1)
    assert float(np.nanmax(gap, initial=0)) <= tolerance
