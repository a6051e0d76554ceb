"""Checks of parameters and wavelengths, before any work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from specloom import ConfigError, DataError
from specloom_mrmr.choice import can_be_distinct

Window: TypeAlias = tuple[float, float]


def check_windows(node: str, windows: Sequence[Window]) -> None:
    """Raise ConfigError unless there are three ranges of nm."""
    if len(windows) != 3 or not all(10 <= low <= high < math.inf for low, high in windows):
        fix = "set windows to three ranges in nm, (lowest, highest)"
        raise ConfigError(f"{node}: windows are {windows}", fix=fix)


def check_scoring(
    node: str,
    weights: Sequence[float],
    penalty: float,
    bins: int,
    shares: tuple[float, float] | None,
) -> None:
    """Raise ConfigError unless the parameters of the scores are in range."""
    good = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if not (good and sum(weights) > 0):
        fix = "set it to three numbers of 0 or more, for Fisher, AUC and information, not all 0"
        raise ConfigError(f"{node}: score_weights are {tuple(weights)}", fix=fix)
    if not (math.isfinite(penalty) and penalty >= 0):
        raise ConfigError(f"{node}: lambda_penalty is {penalty}", fix="set it to 0 or more")
    if bins < 2:
        raise ConfigError(f"{node}: mi_bins is {bins}", fix="set it to 2 or more")
    if shares is not None and not 0 <= shares[0] < shares[1] <= 1:
        fix = "set it to two shares from 0 to 1, the smaller one first, such as (0.001, 0.999)"
        raise ConfigError(f"{node}: winsorize is {shares}", fix=fix)


def bands_of_windows(node: str, centres: Sequence[float], windows: Sequence[Window]) -> Tensor:
    """Which bands lie in which window, ends included, bool (K, C).

    Raises:
        DataError: A window has no band, or none of its own.
    """
    nm = torch.tensor(list(centres), dtype=torch.float64)
    limits = torch.tensor(list(windows), dtype=torch.float64)
    inside = (nm >= limits[:, :1]) & (nm <= limits[:, 1:])
    available = f"the data have {len(nm)} bands from {min(centres):g} to {max(centres):g} nm"
    for (low, high), bands in zip(windows, inside, strict=True):
        if not bands.any():
            fix = "choose windows within these wavelengths"
            what = f"{node}: no band lies in the window {low:g} to {high:g} nm: {available}"
            raise DataError(what, fix=fix)
    if not can_be_distinct(inside):
        what = f"{node}: the windows share too few bands to have one each: {available}"
        raise DataError(what, fix="widen the windows")
    return inside
