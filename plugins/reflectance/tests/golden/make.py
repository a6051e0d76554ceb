"""Make ``plantcv.json``: the calibration of PlantCV 4.11.3 on counts made from a seed.

``pip install --no-deps --target FOLDER plantcv==4.11.3``, then
``PYTHONPATH=FOLDER python make.py``.
Only its module ``hyperspectral/calibrate.py`` is run; what that draws and prints is left out.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

HERE = Path(__file__).parent
SHAPE = (6, 5, 4)


def captures():
    """Raw counts (H, W, C), the lines of a white and of a dark reference."""
    rng = np.random.default_rng(22)
    dark = rng.integers(90, 110, (7, *SHAPE[1:]))
    white = rng.integers(2000, 4000, (9, *SHAPE[1:]))
    raw = rng.integers(50, 4095, SHAPE)
    raw[0, 0, 0] = 10  # below the dark
    return raw, white, dark


class Spectral:
    """A stand-in for PlantCV's class of the same purpose."""

    def __init__(self, array_data, **others):
        self.array_data = array_data
        self.__dict__.update(others)


def plantcv_calibrate():
    """The function, with stand-ins for what it imports beside NumPy."""
    root = ModuleType("plantcv.plantcv")
    root.params = SimpleNamespace(debug_outdir=".", device=0)
    root.Spectral_data = Spectral
    debug = ModuleType("plantcv.plantcv._debug")
    debug._debug = lambda **values: None
    read = ModuleType("plantcv.plantcv.hyperspectral.read_data")
    read._make_pseudo_rgb = lambda spectral_array: None
    for module in (root, debug, read):
        sys.modules[module.__name__] = module
    for folder in map(Path, sys.path):
        file = folder / "plantcv/plantcv/hyperspectral/calibrate.py"
        if file.is_file():
            spec = importlib.util.spec_from_file_location("calibrate", file)
            loaded = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded)
            return loaded.calibrate
    raise SystemExit("plantcv is not on PYTHONPATH")


def main():
    """Write the values."""
    fields = ("max_wavelength", "min_wavelength", "wavelength_dict", "samples", "lines")
    others = dict.fromkeys((*fields, "interleave", "wavelength_units", "array_type", "filename"))
    parts = [Spectral(part, default_bands=None, **others) for part in captures()]
    found = plantcv_calibrate()(*parts).array_data
    (HERE / "plantcv.json").write_text(json.dumps(found.tolist()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
