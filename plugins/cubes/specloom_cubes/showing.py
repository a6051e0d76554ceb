"""A cube as a picture with its mean spectrum, as HTML, and as an array of xarray."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from specloom import Plugins, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from xarray import DataArray

MAX_SIDE = 512
"""The longest side in pixels of a picture; larger cubes show every so many-th row and column."""

BLOCK_BYTES = 1 << 26
"""Bytes of the cube that are read at a time."""

PLOT_WIDTH = 320
PLOT_HEIGHT = 160
"""The size of the plot of the mean spectrum in HTML."""


class ShowableCube(Protocol):
    """What is used of a cube."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands, as stored."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type of the stored pixels."""

    @property
    def good_bands(self) -> NDArray[np.intp]:
        """The indices of the bands that are not marked bad."""

    @property
    def good_wavelengths(self) -> NDArray[np.float64] | None:
        """Their band centres in nm."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What else the header says."""

    def clean(self, rows: slice = ..., cols: slice = ...) -> NDArray[Any]:
        """Pixels of the good bands."""


def thinned(cube: ShowableCube, max_side: int = MAX_SIDE) -> NDArray[Any]:
    """Every so many-th row and column of a cube, with NaN for no data, (h, w, C)."""
    height, width, bands = cube.shape
    step = max(1, -(-max(height, width) // max_side))
    row_bytes = width * bands * cube.dtype.itemsize
    rows = max(step, BLOCK_BYTES // row_bytes // step * step)
    parts = []
    for top in range(0, height, rows):
        part = cube.clean(slice(top, min(top + rows, height)))
        with np.errstate(over="ignore"):  # too large values become infinite
            parts.append(part[::step, ::step].astype(np.float32))
    return np.concatenate(parts)


def mean_spectrum(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of each band over the finite pixels of (h, w, C); NaN where none is finite."""
    flat = pixels.reshape(-1, pixels.shape[2])
    finite = np.isfinite(flat)
    counts = finite.sum(0)
    sums = np.where(finite, flat, 0).sum(0, dtype=np.float64)
    means = np.full(flat.shape[1], np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _picture(cube: ShowableCube, pixels: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The picture that a plugin draws, uint8 (h, w, 3); None where none draws any."""
    found: NDArray[np.uint8] | None = Plugins().first_answer(
        "draw_cube", values=pixels, wavelengths=cube.good_wavelengths
    )
    return found


def cube_html(cube: ShowableCube) -> str:
    """The cube in false colours with its mean spectrum, as HTML."""
    heading = f"<p><code>{escape(repr(cube))}</code></p>"
    pixels = thinned(cube)
    parts = []
    picture = _picture(cube, pixels)
    if picture is not None:
        alt = escape(f"false colours of {cube.path.name}", quote=True)
        data = base64.b64encode(_png(picture)).decode()
        parts.append(f'<img alt="{alt}" src="data:image/png;base64,{data}">')
    parts.append(_spectrum_svg(mean_spectrum(pixels), cube.good_wavelengths))
    return heading + " ".join(parts)


def _png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def _spectrum_svg(means: NDArray[np.float64], wavelengths: NDArray[np.float64] | None) -> str:
    """A line over the band centres, or over the numbers of the bands."""
    places = np.arange(len(means), dtype=np.float64)
    label = "band"
    if wavelengths is not None:
        places = wavelengths
        label = "nm"
    finite = np.isfinite(means)
    if not finite.any():
        return "<p>no pixel is finite</p>"
    x = _scaled(places, places, 10, PLOT_WIDTH - 10)
    y = _scaled(means, means[finite], PLOT_HEIGHT - 25, 10)
    points = " ".join(f"{x[at]:.1f},{y[at]:.1f}" for at in np.flatnonzero(finite))
    first = f"{places.min():.4g}"
    last = f"{places.max():.4g} {label}"
    low = f"{means[finite].min():.4g}"
    high = f"{means[finite].max():.4g}"
    title = f"mean spectrum, from {low} to {high}"
    return (
        f'<svg role="img" width="{PLOT_WIDTH}" height="{PLOT_HEIGHT}" '
        f'style="font:11px system-ui,sans-serif"><title>{title}</title>'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<g fill="currentColor"><text x="10" y="{PLOT_HEIGHT - 6}">{first}</text>'
        f'<text x="{PLOT_WIDTH - 10}" y="{PLOT_HEIGHT - 6}" text-anchor="end">{last}</text>'
        f'<text x="{PLOT_WIDTH / 2:.0f}" y="{PLOT_HEIGHT - 6}" text-anchor="middle">'
        f"{title}</text></g></svg>"
    )


def _scaled(
    values: NDArray[np.float64], among: NDArray[np.float64], start: float, end: float
) -> NDArray[np.float64]:
    """Values from the least to the greatest of some as ``start`` to ``end``."""
    low = among.min()
    span = among.max() - low
    if span == 0:
        return np.full(values.shape, (start + end) / 2)
    scaled: NDArray[np.float64] = start + (values - low) / span * (end - start)
    return scaled


def cube_figure(cube: ShowableCube) -> Figure:
    """The cube in false colours beside its mean spectrum.

    Raises:
        UnavailableError: matplotlib, or the plugin ``pictures``, is not installed.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        what = "a figure needs matplotlib, which is not installed"
        raise UnavailableError(what, fix="run: pip install 'specloom-cubes[plot]'") from error
    pixels = thinned(cube)
    picture = _picture(cube, pixels)
    if picture is None:
        what = "no plugin draws cubes"
        fix = "run: specloom plugins add pictures, or: pip install specloom-pictures"
        raise UnavailableError(what, fix=fix)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    height, width, _ = cube.shape
    axes[0].imshow(picture, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes[0].set_title(f"{cube.path.name}, false colour")
    axes[0].set_xlabel("column")
    axes[0].set_ylabel("row")
    means = mean_spectrum(pixels)
    if cube.good_wavelengths is None:
        axes[1].plot(means)
        axes[1].set_xlabel("band")
    else:
        axes[1].plot(cube.good_wavelengths, means)
        axes[1].set_xlabel("wavelength (nm)")
    axes[1].set_title("mean spectrum")
    return figure


def as_data_array(cube: ShowableCube) -> DataArray:
    """The clean pixels with their coordinates, with dimensions y, x and band.

    Raises:
        UnavailableError: xarray is not installed.
    """
    try:
        import xarray as xr
    except ImportError as error:
        what = "to_xarray needs xarray, which is not installed"
        raise UnavailableError(what, fix="run: pip install 'specloom-cubes[xarray]'") from error
    height, width, _ = cube.shape
    coords: dict[str, Any] = {"band": cube.good_bands}
    if cube.good_wavelengths is not None:
        attributes = {"units": "nm", "long_name": "Band centres."}
        coords["wavelength"] = ("band", cube.good_wavelengths, attributes)
    coords["y"] = np.arange(height)
    coords["x"] = np.arange(width)
    transform = cube.metadata.get("transform")
    if transform is not None and _is_upright(transform):
        a, _b, c, _d, e, f = transform[:6]
        coords["y"] = f + e * (np.arange(height) + 0.5)
        coords["x"] = c + a * (np.arange(width) + 0.5)
    attrs: dict[str, Any] = {"file": str(cube.path)}
    if cube.metadata.get("crs"):
        attrs["crs"] = cube.metadata["crs"]
    return xr.DataArray(
        cube.clean(), dims=("y", "x", "band"), coords=coords, attrs=attrs, name=cube.path.stem
    )


def _is_upright(transform: Any) -> bool:
    """Whether rows and columns of a map run along its axes."""
    return bool(transform[1] == 0 and transform[3] == 0)
