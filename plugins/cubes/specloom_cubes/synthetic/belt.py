"""One scene: what lies where on the belt, and how the camera sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specloom_cubes.synthetic.spectra import COLOUR, COLOURLESS, VARIATION, endmembers

BELT, LENTIL, FOREIGN_BODY, STONE = range(4)
CLASSES = ("belt", "lentil", "foreign body", "stone")
"""The class numbers of a mask."""

Floats = NDArray[np.float64]

COLOURFUL = 0.08
"""How far one foreign body's spectrum is from the next of its kind, in reflectance."""

PUREST_FROM = 0.4
"""The least share of its own light that a foreign body shows; the rest is dust of lentils."""

FOREIGN_SIZE = (0.45, 0.8)
"""A foreign body's size, in sizes of a lentil."""

GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Recipe:
    """Everything a scene follows from, but for its seed and number.

    Args:
        height: Rows.
        width: Columns.
        wavelengths: Band centres in nm.
        varieties: Kinds of lentils.
        anomalies: Kinds of foreign materials.
        anomaly_fraction: Expected share of pixels that are anomalous, over all scenes.
        clean_scenes: Share of scenes without any anomaly.
        noise: Standard deviation of the noise at reflectance 0.3, in the middle of the range.
        lentil_diameter: In pixels.
    """

    height: int
    width: int
    wavelengths: tuple[float, ...]
    varieties: tuple[str, ...]
    anomalies: tuple[str, ...]
    anomaly_fraction: float
    clean_scenes: float
    noise: float
    lentil_diameter: float

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values."""
        plain = dict(vars(self))  # no field is to be copied deeply: a ticket is made for each image
        for name in ("wavelengths", "varieties", "anomalies"):
            plain[name] = list(plain[name])
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Recipe:
        """The recipe of plain values."""
        values = dict(plain)
        for name in ("wavelengths", "varieties", "anomalies"):
            values[name] = tuple(values[name])
        return cls(**values)


def scene(recipe: Recipe, seed: int, number: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Scene ``number`` of a seed, whatever else was made: reflectance (H, W, C), classes (H, W)."""
    rng = np.random.default_rng([seed, number])
    objects = _objects(recipe, rng, number)
    top, depth = _pile(recipe, objects)
    amounts = _amounts(recipe, rng, objects, top, depth)
    nm = np.array(recipe.wavelengths)
    reflectance = _blur(amounts) @ endmembers(nm, recipe.varieties, recipe.anomalies)
    reflectance *= _illumination(recipe, rng, nm)
    labels = np.where(top < 0, BELT, objects.classes[top]).astype(np.int32)
    return _measured(recipe, rng, reflectance), labels


def dirty(recipe: Recipe, seed: int, number: int) -> bool:
    """Whether scene ``number`` holds an anomaly; no pixel is made."""
    objects = _objects(recipe, np.random.default_rng([seed, number]), number)
    return bool((objects.classes != LENTIL).any())


@dataclass(frozen=True)
class _Objects:
    """What lies on the belt, one for each cell of a grid of (rows, cols) cells around the image."""

    grid: tuple[int, int]
    spacing: float
    centre: Floats
    axes: Floats
    angle: Floats
    layer: Floats
    present: NDArray[np.bool_]
    classes: NDArray[np.int32]
    amounts: Floats
    gloss: Floats


def _objects(recipe: Recipe, rng: np.random.Generator, number: int) -> _Objects:
    spacing = recipe.lentil_diameter / 1.1
    rows, cols = (int(np.ceil(side / spacing)) + 2 for side in (recipe.height, recipe.width))
    n = rows * cols
    cells = np.stack(np.divmod(np.arange(n), cols), 1)
    centre = (cells - 0.5 + rng.uniform(-0.35, 0.35, (n, 2))) * spacing
    major = rng.uniform(0.50, 0.68, n) * spacing
    axes = np.stack([major, major * rng.uniform(0.8, 1.0, n)], 1)
    angle = rng.uniform(0, np.pi, n)
    layer = rng.uniform(0, 1, n)
    present = rng.random(n) < 0.94
    kinds = len(recipe.varieties)
    foreign = len(recipe.anomalies)
    amounts = np.zeros((n, 1 + kinds + foreign + COLOUR + len(VARIATION) + 2))
    variety = rng.integers(0, kinds, n)
    amounts[np.arange(n), 1 + variety] = 1.0
    amounts[:, -2 - len(VARIATION) : -2] = rng.normal(0, 0.5, (n, len(VARIATION)))
    amounts[:, -2] = np.where(rng.random(n) < 0.05, rng.uniform(0.3, 1.0, n), 0)
    gloss = np.where(rng.random(n) < 0.15, rng.uniform(0.02, 0.15, n), 0)
    classes = np.full(n, LENTIL, np.int32)

    chosen = _anomalous(recipe, rng, centre, spacing)
    material = (number + np.arange(len(chosen))) % max(foreign, 1)
    # Materials and purities rotate over the scenes, so that small splits are alike as well.
    turn = (number * GOLDEN + np.arange(len(chosen)) * GOLDEN**2 + rng.uniform(0, 0.2)) % 1
    purity = PUREST_FROM + (1 - PUREST_FROM) * turn
    amounts[chosen, 1 + variety[chosen]] = 1 - purity
    amounts[chosen, 1 + kinds + material] = purity
    colours = amounts[:, 1 + kinds + foreign :][:, :COLOUR]
    direction = rng.normal(0, 1, (len(chosen), COLOUR))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    colours[chosen] = COLOURFUL * purity[:, None] * direction
    colourless = np.array([name in COLOURLESS for name in recipe.anomalies], bool)
    colours[chosen[colourless[material]]] = 0
    amounts[chosen, -2] = 0
    gloss[chosen] = gloss[chosen] * 0.5
    axes[chosen] *= rng.uniform(*FOREIGN_SIZE, (len(chosen), 1))
    layer[chosen] += 1
    present[chosen] = True
    stone = np.array([name == "stone" for name in recipe.anomalies], bool)
    classes[chosen] = np.where(stone[material], STONE, FOREIGN_BODY)
    return _Objects(
        (rows, cols), spacing, centre, axes, angle, layer, present, classes, amounts, gloss
    )


def _anomalous(
    recipe: Recipe, rng: np.random.Generator, centre: Floats, spacing: float
) -> NDArray[np.intp]:
    inside = np.flatnonzero(((centre >= 0) & (centre < (recipe.height, recipe.width))).all(1))
    area = np.pi * (0.59 * spacing) ** 2 * 0.9 * 0.4
    share = recipe.anomaly_fraction / max(1 - recipe.clean_scenes, 1e-9)
    wanted = share * recipe.height * recipe.width / area + rng.random()
    clean = rng.random() < recipe.clean_scenes or not recipe.anomalies
    shuffled = rng.permutation(inside)  # also in a clean scene, so that what follows is the same
    if clean:
        return shuffled[:0]
    return shuffled[: int(wanted)]


def _pile(recipe: Recipe, objects: _Objects) -> tuple[NDArray[np.intp], Floats]:
    """The topmost object of each pixel (-1: none), and its squared distance from the centre, 0..1.

    An object reaches less than one cell beyond its own, so that nine cells are all to look at.
    """
    y, x = np.mgrid[: recipe.height, : recipe.width]
    cell = np.stack([y, x], -1) // objects.spacing + 1
    steps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), -1).reshape(9, 1, 1, 2)
    near = np.clip(cell.astype(int) + steps, 0, np.array(objects.grid) - 1)
    index = near[..., 0] * objects.grid[1] + near[..., 1]
    offset = np.stack([y, x], -1) - objects.centre[index]
    cos = np.cos(objects.angle[index])
    sin = np.sin(objects.angle[index])
    along = (offset[..., 0] * cos + offset[..., 1] * sin) / objects.axes[index, 0]
    across = (offset[..., 1] * cos - offset[..., 0] * sin) / objects.axes[index, 1]
    distance = along**2 + across**2
    height = np.where((distance < 1) & objects.present[index], objects.layer[index], -1.0)
    best = height.argmax(0)[None]
    covered = np.take_along_axis(height, best, 0)[0] >= 0
    top = np.where(covered, np.take_along_axis(index, best, 0)[0], -1)
    return top, np.where(covered, np.take_along_axis(distance, best, 0)[0], 1.0)


def _amounts(
    recipe: Recipe,
    rng: np.random.Generator,
    objects: _Objects,
    top: NDArray[np.intp],
    depth: Floats,
) -> Floats:
    """How much of each endmember a pixel shows, (H, W, M), with the shading of round bodies."""
    covered = top >= 0
    shading = 0.7 + 0.3 * np.sqrt(1 - np.minimum(depth, 1))
    amounts: Floats = objects.amounts[top] * shading[..., None]
    amounts[~covered] = 0
    belt = 1 + 0.08 * rng.standard_normal((recipe.height, recipe.width))
    amounts[..., 0] = np.where(covered, 0, belt)
    amounts[..., -1] = np.where(covered, objects.gloss[top] * np.exp(-depth / 0.08), 0)
    return amounts


def _blur(amounts: Floats) -> Floats:
    """The camera's point spread: neighbours mix linearly."""
    for axis in (0, 1):
        rows = amounts.swapaxes(0, axis)
        before = np.concatenate([rows[:1], rows[:-1]])
        after = np.concatenate([rows[1:], rows[-1:]])
        mixed: Floats = 0.84 * rows + 0.08 * (before + after)
        amounts = mixed.swapaxes(0, axis)
    return amounts


def _illumination(recipe: Recipe, rng: np.random.Generator, nm: Floats) -> Floats:
    """Light that falls off across the belt, and whose colour drifts from scene to scene."""
    slope = rng.uniform(-0.15, 0.15, 2)
    y = np.linspace(-1, 1, recipe.height)[:, None]
    x = np.linspace(-1, 1, recipe.width)[None]
    field = 1 + slope[0] * y + slope[1] * x - 0.06 * x**2
    drift = 1 + rng.normal(0, 0.015) * (nm - nm.mean()) / max(float(np.ptp(nm)), 1.0)
    light: Floats = field[..., None] * drift
    return light


def _measured(recipe: Recipe, rng: np.random.Generator, reflectance: Floats) -> NDArray[np.float32]:
    """Sensor noise: a floor and shot noise, worse towards the ends of the sensor's range."""
    bands = reflectance.shape[-1]
    ends = 1 + 1.5 * np.linspace(-1, 1, bands) ** 4 if bands > 1 else np.ones(1)
    spread = recipe.noise * ends * np.sqrt(0.3 + 0.7 * np.maximum(reflectance, 0) / 0.3)
    noise = rng.standard_normal(reflectance.shape, dtype=np.float32)
    return (reflectance + spread * noise).astype(np.float32)
