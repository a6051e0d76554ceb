"""The two passes over the data: a sample that gives the cuts, then the counts between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from specloom import DataError, NodeError
from specloom_mrmr.counts import Cuts, cuts_of
from specloom_mrmr.sample import ClassSample, check_classes
from specloom_mrmr.statistics import ClassStatistics

CUTS = 16384
"""Of the fine histograms: the bound on the AUC is then at most 1e-4."""

TOLERANCE_NM = 0.5


class Gathering:
    """What a fit has gathered of a stream, pass by pass.

    Args:
        node: Who is fitted, for errors.
        bands: C.
        device: Where cubes are.
        shares: Two quantiles that the moments are limited to, or None.
        cuts: How many cuts the histograms have.
    """

    def __init__(
        self,
        node: str,
        bands: int,
        device: torch.device | str = "cpu",
        shares: tuple[float, float] | None = None,
        cuts: int = CUTS,
    ) -> None:
        self.node, self.device, self.shares, self.size = node, device, shares, cuts
        self.centres: list[float] = []
        self._sample: ClassSample | None = ClassSample(bands)
        self._seen = torch.zeros(3, dtype=torch.int64)
        self._cuts: Cuts | None = None
        self._limits: Tensor | None = None
        self._statistics: ClassStatistics | None = None

    @property
    def statistics(self) -> ClassStatistics:
        """What the second pass gathers.

        Raises:
            NodeError: It has not begun.
        """
        if self._statistics is None:
            raise NodeError(f"{self.node} is not in its second pass", fix="call fit_start(1) first")
        return self._statistics

    def start(self) -> None:
        """Begin the second pass, or begin it anew."""
        if self._cuts is None:
            raise NodeError(f"{self.node} has not ended its first pass", fix="call fit_end first")
        before = self._statistics
        rare = bool(self._seen[2] <= self._seen[1])
        fresh = before.fresh() if before else ClassStatistics(self._cuts, self._limits, rare)
        self._statistics = fresh

    def meet(self, centres: Sequence[float]) -> bool:
        """Learn the first wavelengths, and give True for them; hold later ones to these.

        Raises:
            DataError: They differ by more than 0.5 nm.
        """
        if not self.centres:
            self.centres = list(centres)
            return True
        check_same(self.node, centres, self.centres)
        return False

    def update(self, cube: Tensor, mask: Tensor, valid: Tensor | None) -> None:
        """Take in the pixels of (B, H, W, C) ``cube`` that are valid."""
        bands = cube.shape[-1]
        if self._sample is None:
            keep = None if valid is None else valid.reshape(-1)
            self.statistics.update(cube.reshape(-1, bands), mask.reshape(-1), keep)
            return
        counts = torch.ones_like(mask) if valid is None else valid
        seen = torch.stack([(~counts).sum(), (counts & ~mask).sum(), (counts & mask).sum()])
        self._seen = self._seen + seen.cpu()
        for image, marks, keep in zip(cube, mask, counts, strict=True):
            self._sample.update(image.reshape(-1, bands), marks.reshape(-1), keep.reshape(-1))

    def state(self) -> dict[str, Tensor]:
        """What this pass has gathered so far."""
        known = torch.tensor(self.centres, dtype=torch.float64)
        if self._sample is None:
            return {**self.statistics.state(), "centres": known}
        return {**self._sample.state(), "centres": known, "seen": self._seen}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in the ``state()`` of another one in the same pass."""
        if self._sample is None:
            self.statistics.merge(state)
            return
        self._sample.merge(state)
        self._seen = self._seen + state["seen"].cpu()

    def end_sample(self) -> bool:
        """End the first pass, if it is that; give True then.

        Raises:
            DataError: No pixel is labelled, or only one class has usable pixels.
        """
        sample, self._sample = self._sample, None
        if sample is None:
            return False
        check_classes(self.node, sample, self._seen, self.centres)
        self._cuts = cuts_of(sample.rows(0), sample.rows(1), self.size).to(self.device)
        if self.shares is not None:
            self._limits = sample.quantiles(self.shares).to(self.device)
        return True


def check_same(node: str, centres: Sequence[float], known: Sequence[float]) -> None:
    """Raise DataError unless both have the same bands within 0.5 nm."""
    fix = "use data of the camera that it was fitted on, or resample it"
    if len(centres) != len(known):
        raise DataError(f"{node} got {len(centres)} wavelengths, before {len(known)}", fix=fix)
    gaps = [abs(here - before) for here, before in zip(centres, known, strict=True)]
    if max(gaps) > TOLERANCE_NM:
        band = gaps.index(max(gaps))
        what = f"{node}: band {band} is at {centres[band]:g} nm, in the fit at {known[band]:g} nm"
        raise DataError(f"{what} (more than {TOLERANCE_NM} nm apart)", fix=fix)
