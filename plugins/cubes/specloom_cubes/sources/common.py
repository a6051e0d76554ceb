"""What the sources share: their ports, and a split by shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specloom import STAGES, ConfigError, Port, did_you_mean

PORTS: Mapping[str, Port] = {
    "cube": Port("B H W C", dtype="real", doc="Cubes as stored, bad bands left out."),
    "mask": Port("B H W", dtype="integer", optional=True, doc="Class numbers, -1 unlabelled."),
    "wavelengths": Port("C", unit="nm", optional=True, host=True, doc="Band centres."),
}
"""What every source of this plugin gives; ``mask`` and ``wavelengths`` where they are known."""


def split_ranges(count: int, shares: Sequence[float], label: str) -> dict[str, range]:
    """Cut ``count`` items, in their order, into train, val and test; predict is test.

    Raises:
        ConfigError: The shares are negative or do not sum to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            f"{label}: split {list(shares)} is not three shares that sum to 1",
            fix="write split: [train, val, test], such as [0.5, 0.25, 0.25]",
        )
    first, second = (round(count * sum(shares[:n])) for n in (1, 2))
    test = range(second, count)
    return {"train": range(first), "val": range(first, second), "test": test, "predict": test}


def known_split(split: str, splits: Mapping[str, Any] | Sequence[str] = STAGES) -> str:
    """``split`` itself.

    Raises:
        ConfigError: There is no such split.
    """
    if split not in splits:
        raise ConfigError(f"there is no split {split!r}", fix=did_you_mean(split, splits))
    return split
