"""Make ``pysptools.json``: CEM, OSP and SID of PySptools 0.15.0 on pixels of a real scene.

``pip install --no-deps --target FOLDER pysptools==0.15.0``, then
``PYTHONPATH=FOLDER SPECLOOM_TEST_DATA=DATA python make.py``. It is not a test dependency: it was
written for versions of NumPy that had ``np.float``.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
from scipy.io import loadmat

np.float = float
HERE = Path(__file__).parent
SCENE = "hydice/HYDICE_urban.mat"
PIXELS = 40


def module(name):
    """One module of PySptools, without the others, which need further packages."""
    for folder in map(Path, sys.path):
        file = folder / f"pysptools/{name}.py"
        if file.is_file():
            spec = importlib.util.spec_from_file_location(file.stem, file)
            loaded = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded)
            return loaded
    raise SystemExit("pysptools is not on PYTHONPATH")


def main():
    content = loadmat(Path(os.environ["SPECLOOM_TEST_DATA"]) / SCENE)
    cube = content["data"].astype(np.float64)
    pixels = cube.reshape(-1, cube.shape[2])
    target = pixels[content["map"].ravel() > 0].mean(0)
    undesired = pixels[[0, 4000, 7999]]
    chosen = np.random.default_rng(0).choice(len(pixels), PIXELS, replace=False)
    detect = module("detection/detect")
    divergence = module("distance/dist").SID
    values = {
        "pixels": chosen.tolist(),
        "undesired": [0, 4000, 7999],
        "CEM": detect.CEM(pixels, target)[chosen].tolist(),
        "OSP": detect.OSP(pixels, undesired, target)[chosen].tolist(),
        "SID": [float(divergence(pixels[one], target)) for one in chosen],
    }
    (HERE / "pysptools.json").write_text(json.dumps(values) + "\n", "utf-8")


if __name__ == "__main__":
    main()
