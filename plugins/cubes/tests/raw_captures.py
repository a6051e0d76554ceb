"""Captures that tests write, and their reflectance by a loop in float64."""

import numpy as np

from specloom_cubes.synthetic.camera import write_raw

H, W, C = 6, 5, 4
WAVELENGTHS = np.array([450.0, 550.0, 650.0, 900.0])


def counts(seed=0, low=200, high=3000, lines=H):
    return np.random.default_rng(seed).integers(low, high, (lines, W, C)).astype(np.uint16)


def raw():
    return counts(0)


def white():
    return counts(1, 3000, 4000, 7)


def dark():
    return counts(2, 90, 110, 9)


def write(folder, **parts):
    """Write ``name=counts`` or ``name=(counts, fields)`` as ENVI pairs; their headers by name."""
    folder.mkdir(parents=True, exist_ok=True)
    headers = {}
    for name, part in parts.items():
        values, fields = part if isinstance(part, tuple) else (part, {})
        write_raw(folder / f"{name}.raw", values, WAVELENGTHS[: values.shape[2]], **fields)
        headers[name] = str(folder / f"{name}.hdr")
    return headers


def loop(
    raw, white, dark, panel=1.0, white_dark=None, times=(1.0, 1.0, 1.0), current=False, average=None
):
    """Reflectance, value by value; ``times`` are those of raw, white and dark."""
    average = average or np.mean
    t_raw, t_white, t_dark = times
    panel = np.broadcast_to(panel, raw.shape[2])
    result = np.empty(raw.shape)
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            for band in range(raw.shape[2]):
                level = average(dark[:, column, band].astype(float))
                of_raw, of_white = level, level
                if current:
                    of_raw, of_white = level * t_raw / t_dark, level * t_white / t_dark
                if white_dark is not None:
                    of_white = average(white_dark[:, column, band].astype(float))
                top = float(raw[row, column, band]) - of_raw
                bottom = average(white[:, column, band].astype(float)) - of_white
                value = panel[band] * top / bottom * t_white / t_raw if bottom > 0 else np.nan
                result[row, column, band] = value
    return result
