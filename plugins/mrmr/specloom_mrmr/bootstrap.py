"""How stable a choice of bands is: the same choice for resamples of images or blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from specloom import DataError
from specloom_bands import band_centres
from specloom_mrmr.class_statistics import SUBSETS
from specloom_mrmr.two_pass import TwoPassStatistics, combine_masks

if TYPE_CHECKING:
    from specloom_mrmr.selector import SupervisedBandSelector

CUTS = 2048
"""Fewer than a fit has, as each unit has its own counts; the AUC is then within 1e-3."""
MOST_UNITS = 64
LEAST_UNITS = 16


class Stability(NamedTuple):
    """How often each band was chosen."""

    chosen: list[int]
    """The choice for all data, in the order of the channels."""
    shares: list[float]
    """Of each band: the part of the resamples in which it was chosen."""
    centres: list[float]
    """The wavelengths in nm; empty where they are not known."""
    units: int
    """How many images or blocks were drawn from."""
    resamples: int
    """How many resamples had both classes."""


def stability(
    node: SupervisedBandSelector,
    batches: Callable[[], Iterable[Mapping[str, Any]]],
    resamples: int = 200,
    seed: int = 0,
) -> Stability:
    """Choose bands again and again, from images drawn with replacement.

    Pixels are read twice, whatever the number of resamples: each unit's statistics are computed
    once, and a resample weighs and adds them. A unit is an image; images beyond ``MOST_UNITS``
    share units, and fewer than ``LEAST_UNITS`` images are cut into blocks, at least so many.

    Source: B. Efron, The Annals of Statistics 7(1), 1979.

    Args:
        node: The selector; its own fit is left as it is.
        batches: Returns the node's fit inputs, batch by batch, each time it is called.
        resamples: The number of resamples.
        seed: The seed of the resamples.

    Raises:
        DataError: The data cannot be fitted, or no resample has both classes.
    """
    bands = len(node.band_scores)
    statistics = TwoPassStatistics(node.label, bands, "cpu", node.winsorize, CUTS)
    images = _sample(statistics, batches(), bands)
    side = 1
    if images < LEAST_UNITS:
        side = math.ceil((LEAST_UNITS / images) ** 0.5)
    units = _unit_states(statistics, batches(), side)
    stacked = {}
    for name in units[0]:
        stacked[name] = torch.stack([unit[name] for unit in units])
    everything = torch.ones(len(units), dtype=torch.int64)
    chosen = _choose(node, statistics, stacked, everything)
    generator = torch.Generator().manual_seed(seed)
    counts = torch.zeros(bands)
    used = 0
    for _ in range(resamples):
        drawn = torch.randint(len(units), (len(units),), generator=generator)
        resampled = _choose(node, statistics, stacked, drawn.bincount(minlength=len(units)))
        if resampled:
            counts[resampled] += 1
            used += 1
    if not used:
        what = f"{node.label}: no resample of {len(units)} units has both classes"
        raise DataError(what, fix="use more images with pixels of both classes")
    return Stability(chosen, (counts / used).tolist(), statistics.centres, len(units), used)


def _sample(statistics: TwoPassStatistics, batches: Iterable[Mapping[str, Any]], bands: int) -> int:
    """Read the first pass; how many images there are."""
    images = 0
    for batch in batches:
        wavelengths = batch.get("wavelengths")
        if wavelengths is not None:
            statistics.set_wavelengths(band_centres(wavelengths, bands))
        statistics.update(batch["cube"].cpu(), batch["mask"].cpu(), _used(batch))
        images += len(batch["cube"])
    statistics.end_sampling()
    return images


def _unit_states(
    statistics: TwoPassStatistics, batches: Iterable[Mapping[str, Any]], side: int
) -> list[dict[str, Tensor]]:
    """Read the second pass; the statistics of each unit."""
    units: list[dict[str, Tensor]] = []
    number = 0
    for batch in batches:
        for part in _blocks(batch, side):
            unit = number % MOST_UNITS
            statistics.start_counting()
            if unit < len(units):
                statistics.merge(units[unit])
            statistics.update(*part)
            state = statistics.classes.state()
            if unit < len(units):
                units[unit] = state
            else:
                units.append(state)
            number += 1
    return units


def weigh_states(states: Mapping[str, Tensor], times: Tensor) -> dict[str, Tensor]:
    """One state for many: as if each had been merged so many ``times``.

    Args:
        states: The states of ``ClassStatistics``, stacked, (U, ...).
        times: How often each counts, int64 (U,).
    """
    state = {"left_out": states["left_out"] @ times}
    state["histograms"] = torch.einsum("u...,u->...", states["histograms"], times)
    factor = times.double()
    for subset in SUBSETS:
        counts = states[f"{subset}_counts"]
        means = states[f"{subset}_mean"]
        weights = counts[:, 0] * factor
        mean = weights @ means / weights.sum().clamp(min=1)
        gaps = means - mean
        scatter = torch.einsum("uij,u->ij", states[f"{subset}_scatter"], factor)
        state[f"{subset}_counts"] = factor @ counts
        state[f"{subset}_mean"] = mean
        state[f"{subset}_scatter"] = scatter + (gaps * weights[:, None]).T @ gaps
    return state


def _choose(
    node: SupervisedBandSelector,
    statistics: TwoPassStatistics,
    states: Mapping[str, Tensor],
    times: Tensor,
) -> list[int]:
    """The bands of one resample; none where it has one class only."""
    statistics.start_counting()
    statistics.merge(weigh_states(states, times))
    if not all(statistics.classes.pixels()):
        return []
    return node.choice(statistics.classes, statistics.centres).bands


def _used(batch: Mapping[str, Any]) -> Tensor | None:
    used = combine_masks(batch.get("valid"), batch.get("labelled"))
    return None if used is None else used.cpu()


def _blocks(batch: Mapping[str, Any], side: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Yield cube, mask and used pixels of each image, or of ``side`` times ``side`` blocks."""
    cubes = batch["cube"].cpu()
    masks = batch["mask"].cpu()
    used = _used(batch)
    for number in range(len(cubes)):
        image = slice(number, number + 1)
        cube_blocks = _divide(cubes[image], side)
        mask_blocks = _divide(masks[image], side)
        used_blocks: list[Tensor | None] = [None] * len(cube_blocks)
        if used is not None:
            used_blocks = [*_divide(used[image], side)]
        yield from zip(cube_blocks, mask_blocks, used_blocks, strict=True)


def _divide(image: Tensor, side: int) -> list[Tensor]:
    """``side`` times ``side`` blocks of an image (1, H, W, C)."""
    blocks: list[Tensor] = []
    for row in image.tensor_split(side, 1):
        blocks.extend(row.tensor_split(side, 2))
    return blocks
