"""Small pictures of the first images of a stage: colours, scores, decisions and truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from specloom_report.collecting.arrays import detached, on_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIDE, MOST = 192, 20
OUT = 4  # beside decided + 2 * anomalous
VISIBLE = (650.0, 550.0, 470.0)  # nm, as red, green and blue

Levels = NDArray[np.uint8]


def colour_bands(count: int, wavelengths: Sequence[float] | None) -> list[int]:
    """The bands shown as red, green and blue: those of visible light where the cube has it.

    >>> colour_bands(6, None), colour_bands(3, [470, 550, 650])
    ([5, 3, 1], [2, 1, 0])
    """
    if wavelengths is not None and len(wavelengths) == count and np.isfinite(wavelengths).all():
        grid = np.asarray(wavelengths, np.float64)
        if grid.min() <= VISIBLE[2] + 20 and grid.max() >= VISIBLE[0] - 20:
            return [int(np.abs(grid - one).argmin()) for one in VISIBLE]
        order = np.argsort(grid, kind="stable")
        return [int(order[(2 * part + 1) * count // 6]) for part in (2, 1, 0)]
    return [(2 * part + 1) * count // 6 for part in (2, 1, 0)]


def step(height: int, width: int) -> int:
    """Every how many-th pixel is shown."""
    return max(1, -(-max(height, width) // SIDE))


def small_colours(cube: Any, count: int, bands: Sequence[int]) -> NDArray[Any]:
    """Three bands of the first images of (B, H, W, C), of every few pixels one: float32."""
    every = step(cube.shape[1], cube.shape[2])
    small = detached(cube)[:count, ::every, ::every]
    return np.stack([on_host(small[..., band]) for band in bands], -1)


def levels(values: NDArray[Any], cut: tuple[float, float]) -> Levels:
    """Levels from 0 to 255 of (H, W, K), each channel between two percentiles; 0 for NaN.

    A channel that does not vary gets 128.
    """
    made = np.zeros(values.shape, np.uint8)
    for channel in range(values.shape[-1]):
        one = values[..., channel].astype(np.float64)
        finite = np.isfinite(one)
        if finite.any():
            low, high = np.percentile(one[finite], cut)
            part = (one - low) / (high - low) if high > low else np.full(one.shape, 0.5)
            made[..., channel] = (np.where(finite, part, 0.0).clip(0, 1) * 255).round()
    return made


def pooled(values: NDArray[Any], how: Any) -> NDArray[Any]:
    """(H, W) as small as the colours of the image: each cell ``how`` (a ufunc) of its pixels."""
    every = step(*values.shape)
    if every == 1:
        return values
    whole = np.pad(values, [(0, -length % every) for length in values.shape], "edge")
    found = whole[::every, ::every].copy()
    for cell in range(1, every**2):
        how(found, whole[cell // every :: every, cell % every :: every], out=found)
    return found


def small_picture(
    decisions: NDArray[Any],
    targets: NDArray[Any],
    scores: NDArray[Any] | None,
    valid: NDArray[Any] | None,
    colours: NDArray[Any] | None,
) -> dict[str, NDArray[Any]]:
    """What is kept of one image: ``kinds`` (H, W), and where known ``scores`` and ``colours``.

    A cell of several pixels is an anomaly, or decided, where one of them is.
    """
    counts = np.ones(decisions.shape, bool) if valid is None else valid
    if scores is not None:
        counts = counts & ~np.isnan(scores)
    decided = pooled(decisions & counts, np.logical_or).astype(np.uint8)
    anomalous = pooled(targets & counts, np.logical_or)
    kinds = np.where(pooled(counts, np.logical_or), decided + 2 * anomalous, OUT)
    made: dict[str, NDArray[Any]] = {"kinds": kinds.astype(np.uint8)}
    if scores is not None:
        made["scores"] = pooled(np.where(counts, scores, -np.inf), np.maximum)
    if colours is not None and colours.shape[:2] == kinds.shape:
        made["colours"] = colours
    return made


def as_levels(kept: Mapping[str, NDArray[Any]]) -> dict[str, Levels]:
    """The pictures of one image, uint8."""
    made: dict[str, Levels] = {"kinds": kept["kinds"]}
    if "scores" in kept:
        made["scores"] = levels(kept["scores"][..., None], (1, 99.5))[..., 0]
    if "colours" in kept:
        made["colours"] = levels(kept["colours"], (1, 99))
    return made
