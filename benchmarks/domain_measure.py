"""How far good and faulty cubes are from what a pipeline was fitted on; prints a table.

    python benchmarks/domain_measure.py [--data ../shared/data/hsi] [--seeds 20] [--list]

Pairs: each half of each real scene against the other half; EnMAP tiles, six against four; wheat
grains, three against one; scenes of synthetic lentils. One row for the good cubes and one for each
fault, with the share of cubes that the rule finds, and quantiles of both numbers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from specloom_cubes import Synthetic, open_cube
from specloom_statistics import (
    DomainMeasure,
    DomainPixels,
    DomainReference,
    DomainSample,
    measure_domain,
    sample_positions,
)

Floats = NDArray[np.float32]
Scene: TypeAlias = tuple[str, str | None]

SCENES: tuple[Scene, ...] = (
    ("abu/abu-airport-1.mat", "data"),
    ("abu/abu-airport-4.mat", "data"),
    ("abu/abu-urban-1.mat", "data"),
    ("abu/abu-urban-4.mat", "data"),
    ("sandiego/sandiego_plane.mat", "data"),
    ("hydice/HYDICE_urban.mat", "data"),
    ("salinas_a/SalinasA_corrected.mat", None),
    ("envi_sandiego/SDData.hdr", None),
    ("aviris_santa_barbara/a_hsi_img_for_VI_demo.mat", "hsi_img"),
    ("muufl_demo/an_hsi_image_sub_for_demo.mat", "hsi_img_sub"),
    ("muufl_demo/an_hsi_img_for_tgt_det_demo.mat", "hsi_sub"),
    ("envi_samples/corn-kernel-hyperspectral.hdr", None),
    ("envi_samples/fenix_image.hdr", None),
    ("envi_samples/cubus_gamsberg_subset.hdr", None),
)
"""Real scenes that are divided into halves: the file, and its array."""


class Pair(NamedTuple):
    """Cubes (H, W, C) that a pipeline is fitted on, and unseen ones of the same kind."""

    name: str
    fitted: list[Floats]
    unseen: list[Floats]


def pairs(
    data: Path, seeds: int, scenes: Sequence[Scene] = SCENES, divisions: int = 5
) -> Iterator[Pair]:
    """All pairs of good cubes.

    Args:
        data: The folder of the scenes.
        seeds: How many seeds of synthetic lentils.
        scenes: The scenes to divide into halves.
        divisions: How often the EnMAP tiles are divided.
    """
    for file, variable in scenes:
        yield from _halves(Path(file).name, _load(data / file, variable))
    tiles = [_load(path) for path in sorted((data / "enmap_potsdam/images").glob("*.tif"))]
    generator = np.random.default_rng(1)
    for number in range(divisions):
        order = generator.permutation(len(tiles))
        fitted = [tiles[at] for at in order[:6]]
        yield Pair(f"enmap {number}", fitted, [tiles[at] for at in order[6:]])
    grains = [_load(path) for path in sorted((data / "wheat_grains").glob("*.hdr"))]
    for number, grain in enumerate(grains):
        others = [one for at, one in enumerate(grains) if at != number]
        yield Pair(f"wheat {number}", others, [grain])
    for seed in range(seeds):
        source = Synthetic(scenes=16, seed=seed)
        yield Pair(f"lentils {seed}", _cubes(source, "train"), _cubes(source, "test"))


def faults(
    cube: Floats, fitted: Floats, seed: int = 0
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """A cube with each of the faults, by name.

    Args:
        cube: A good cube, (H, W, C).
        fitted: Pixels of the fit, (N, C).
        seed: The seed of noise.
    """
    generator = np.random.default_rng(seed)
    median = np.nanmedian(fitted, axis=0)
    spread = np.nanstd(fitted, axis=0)
    noise = generator.normal(size=cube.shape)
    yield "shutter closed", cube * 0
    yield "shutter closed, noise", 0.01 * np.abs(median).mean() * np.abs(noise)
    yield "sensor noise", median + spread * noise
    yield "white noise", np.abs(median.mean() * (1 + noise / 2))
    yield "reflectance for counts", cube / 10000
    yield "counts for reflectance", cube * 10000
    yield "half the light", cube * 0.5
    yield "0.7 of the light", cube * 0.7
    yield "twice the light", cube * 2
    yield "saturated at the median", np.minimum(cube, np.nanmedian(fitted))
    middle = cube.shape[2] // 2
    yield "dead band: zero", _with_band(cube, middle, 0)
    yield "dead band: constant", _with_band(cube, middle, float(np.nanmedian(cube[..., middle])))
    yield "dead band: NaN", _with_band(cube, middle, np.nan)
    holes = cube.copy()
    holes[generator.random(cube.shape[:2]) < 0.7] = np.nan
    yield "70 % NaN", holes
    yield "stripes, 20 %", cube * (1 + 0.2 * generator.normal(size=(1, *cube.shape[1:])))
    columns = 1 + 0.2 * generator.normal(size=(cube.shape[1], 1))
    yield "stripes, 20 %, alike in all bands", cube * columns
    yield "bands shifted by 1", np.roll(cube, 1, axis=2)
    yield "bands shifted by 3", np.roll(cube, 3, axis=2)
    yield "light tilted over bands", cube * np.linspace(0.7, 1.3, cube.shape[2])
    yield "light tilted the other way", cube * np.linspace(1.3, 0.7, cube.shape[2])
    yield "light tilted by 20 %", cube * np.linspace(0.8, 1.2, cube.shape[2])
    tilt = np.linspace(0.4, 1.6, cube.shape[1])
    yield "light tilted over columns", cube * tilt[:, None]
    yield "noise of a fifth of the spread", np.nan_to_num(cube) + 0.2 * spread * noise


def reference_of(cubes: list[Floats]) -> DomainReference:
    """What is stored of cubes that a pipeline is fitted on."""
    sample = DomainSample()
    for cube in cubes:
        sample.fit_update(torch.from_numpy(cube)[None])
    return DomainReference(sample.record())


def measure(reference: DomainReference, cube: NDArray[np.floating]) -> DomainMeasure:
    """How far a cube is from what is stored."""
    height, width = cube.shape[:2]
    rows, columns = sample_positions(height, width)
    pixels = cube[rows, columns].astype(np.float64)
    usable = np.ones(len(rows), bool)
    looked_at = DomainPixels(pixels, rows / height, columns / width, usable)
    return measure_domain(reference, looked_at)


def _halves(name: str, cube: Floats) -> Iterator[Pair]:
    rows = cube.shape[0] // 2
    columns = cube.shape[1] // 2
    top, bottom = cube[:rows], cube[rows:]
    left, right = cube[:, :columns].copy(), cube[:, columns:].copy()
    yield Pair(f"{name} top", [top], [bottom])
    yield Pair(f"{name} bottom", [bottom], [top])
    yield Pair(f"{name} left", [left], [right])
    yield Pair(f"{name} right", [right], [left])


def _load(path: Path, variable: str | None = None) -> Floats:
    cube = open_cube(path) if variable is None else open_cube(path, variable)
    return np.ascontiguousarray(cube.clean(), np.float32)


def _cubes(source: Synthetic, split: str) -> list[Floats]:
    found: list[Floats] = []
    for batch in source.batches(split):
        found += list(np.asarray(batch["cube"]))
    return found


def _with_band(cube: Floats, band: int, value: float) -> Floats:
    changed = cube.copy()
    changed[..., band] = value
    return changed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/hsi"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--list", action="store_true", help="Also print each good cube that is reported."
    )
    options = parser.parse_args()
    found: dict[str, list[tuple[str, DomainMeasure]]] = defaultdict(list)
    for pair in pairs(options.data, options.seeds):
        reference = reference_of(pair.fitted)
        for cube in pair.unseen:
            found["good"].append((pair.name, measure(reference, cube)))
        for fault, cube in faults(pair.unseen[0], reference.pixels.astype(np.float32)):
            found[fault].append((pair.name, measure(reference, cube)))
    print(f"{'cubes':32} {'number':>6} {'reported':>9}  level: median, max   shape: median, max")
    for label, measures in found.items():
        print(_row(label, [one for _, one in measures]))
    if options.list:
        for label, measures in found.items():
            for name, one in measures:
                if one.is_like == (label != "good"):
                    print(f"{label}: {name}: level {one.level}, shape {one.shape}, {one.reasons}")


def _row(label: str, measures: list[DomainMeasure]) -> str:
    levels = [one.level for one in measures]
    shapes = [one.shape for one in measures]
    reported = np.mean([not one.is_like for one in measures])
    level = f"{np.median(levels):8.2f} {max(levels):8.2f}"
    shape = f"{np.median(shapes):8.2f} {max(shapes):8.2f}"
    return f"{label:32} {len(measures):6} {reported:9.1%}  {level}    {shape}"


if __name__ == "__main__":
    main()
