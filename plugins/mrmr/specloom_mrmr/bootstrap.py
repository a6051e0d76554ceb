"""How stable a choice of bands is: the same choice for resamples of images or blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from specloom import DataError
from specloom_bands.nearest import band_centres
from specloom_mrmr.gathering import Gathering
from specloom_mrmr.statistics import PARTS

if TYPE_CHECKING:
    from specloom_mrmr.selector import SupervisedBandSelector

CUTS = 2048
"""Fewer than a fit has, as each unit has its own counts; the AUC is then within 1e-3."""
UNITS = 64
FEW = 16


class Stability(NamedTuple):
    """How often each band was chosen."""

    chosen: list[int]
    """The choice for all data, in the order of the channels."""
    shares: list[float]
    """Of each band: the part of the resamples in which it was chosen."""
    centres: list[float]
    """The wavelengths in nm; empty where nobody knows them."""
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

    Pixels are read twice, whatever the number of resamples: each unit's statistics are gathered
    once, and a resample weighs and adds them. A unit is an image; images beyond ``UNITS`` share
    units, and fewer than ``FEW`` images are cut into blocks, at least so many.

    Source: B. Efron, The Annals of Statistics 7(1), 1979.

    Args:
        node: The selector; its own fit is left as it is.
        batches: Gives the node's fit inputs, batch by batch, each time it is called.
        resamples: How often to choose.
        seed: Of what is drawn.

    Raises:
        DataError: The data cannot be fitted, or no resample has both classes.
    """
    label, bands = node.label, len(node.band_scores)
    gathering = Gathering(label, bands, "cpu", node.winsorize, CUTS)
    images = 0
    for batch in batches():
        if (given := batch.get("wavelengths")) is not None:
            gathering.meet(band_centres(given, bands))
        gathering.update(batch["cube"].cpu(), batch["mask"].cpu(), _valid(batch))
        images += len(batch["cube"])
    gathering.end_sample()
    side = 1 if images >= FEW else int(-(-((FEW / images) ** 0.5) // 1))
    units: dict[int, dict[str, Tensor]] = {}
    number = 0
    for batch in batches():
        for part in _parts(batch, side):
            gathering.start()
            if (unit := number % UNITS) in units:
                gathering.merge(units[unit])
            gathering.update(*part)
            units[unit] = gathering.statistics.state()
            number += 1
    stacked = {name: torch.stack([one[name] for one in units.values()]) for name in units[0]}
    generator = torch.Generator().manual_seed(seed)
    chosen = _chosen(node, gathering, stacked, torch.ones(len(units), dtype=torch.int64))
    counts, used = torch.zeros(bands), 0
    for _ in range(resamples):
        drawn = torch.randint(len(units), (len(units),), generator=generator)
        made = _chosen(node, gathering, stacked, drawn.bincount(minlength=len(units)))
        if made:
            counts[made] += 1
            used += 1
    if not used:
        fix = "give more images with pixels of both classes"
        raise DataError(f"{label}: no resample of {len(units)} units has both classes", fix=fix)
    shares = (counts / used).tolist()
    return Stability(chosen, shares, gathering.centres, len(units), used)


def weighted(states: Mapping[str, Tensor], times: Tensor) -> dict[str, Tensor]:
    """One state for many: as if each had been merged so many ``times``.

    Args:
        states: The states of ``ClassStatistics``, stacked, (U, ...).
        times: How often each counts, int64 (U,).
    """
    state = {"left_out": states["left_out"] @ times}
    state["histograms"] = torch.einsum("u...,u->...", states["histograms"], times)
    factor = times.double()
    for label in PARTS:
        counts, means = states[f"{label}_counts"], states[f"{label}_mean"]
        weights = counts[:, 0] * factor
        mean = weights @ means / weights.sum().clamp(min=1)
        gaps = means - mean
        scatter = torch.einsum("uij,u->ij", states[f"{label}_scatter"], factor)
        state[f"{label}_counts"] = factor @ counts
        state[f"{label}_mean"] = mean
        state[f"{label}_scatter"] = scatter + (gaps * weights[:, None]).T @ gaps
    return state


def _chosen(
    node: SupervisedBandSelector, gathering: Gathering, states: Mapping[str, Tensor], times: Tensor
) -> list[int]:
    """The bands of one resample; none where it has one class only."""
    gathering.start()
    gathering.merge(weighted(states, times))
    if not all(gathering.statistics.pixels()):
        return []
    return node.choice(gathering.statistics, gathering.centres).bands


def _valid(batch: Mapping[str, Any]) -> Tensor | None:
    valid: Tensor | None = batch.get("valid")
    return None if valid is None else valid.cpu()


def _parts(batch: Mapping[str, Any], side: int) -> Iterable[tuple[Tensor, Tensor, Tensor | None]]:
    """Each image of a batch, or ``side`` times ``side`` blocks of each."""
    valid = _valid(batch)
    whole = [batch["cube"].cpu(), batch["mask"].cpu(), *([] if valid is None else [valid])]
    for image in range(len(whole[0])):
        tiled = [_tiles(one[image : image + 1], side) for one in whole]
        for cube, mask, *rest in zip(*tiled, strict=True):
            yield cube, mask, rest[0] if rest else None


def _tiles(image: Tensor, side: int) -> list[Tensor]:
    rows = image.tensor_split(side, 1)
    return [tile for row in rows for tile in row.tensor_split(side, 2)]
