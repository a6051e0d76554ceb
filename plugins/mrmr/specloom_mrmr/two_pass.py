"""The two passes over the data: a sample that gives the cuts, then the counts between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from specloom import DataError, NodeError
from specloom_mrmr.class_statistics import ClassStatistics
from specloom_mrmr.counts import Cuts, cuts_of
from specloom_mrmr.sample import ClassSample, check_classes
from specloom_statistics import image_masks

CUTS = 16384
"""Of the fine histograms: the bound on the AUC is then at most 1e-4."""

TOLERANCE_NM = 0.5


class TwoPassStatistics:
    """The statistics of a fit: a sample of each class in pass 0, their histograms in pass 1.

    Args:
        node: The name of the node, for errors.
        bands: C.
        device: The device of the cubes.
        limits: Two quantiles that the values for the moments are limited to, or None.
        cuts: The number of cuts of the histograms.
    """

    def __init__(
        self,
        node: str,
        bands: int,
        device: torch.device | str = "cpu",
        limits: tuple[float, float] | None = None,
        cuts: int = CUTS,
    ) -> None:
        self.node = node
        self.device = device
        self.limit_quantiles = limits
        self.cut_count = cuts
        self.centres: list[float] = []
        """The wavelengths in nm; empty while they are not known."""
        self._sample: ClassSample | None = ClassSample(bands)
        # How many pixels are not valid, and how many are of class 0 and of class 1.
        self._pixels = torch.zeros(3, dtype=torch.int64)
        self._cuts: Cuts | None = None
        self._limits: Tensor | None = None
        self._classes: ClassStatistics | None = None

    @property
    def classes(self) -> ClassStatistics:
        """The statistics of the second pass.

        Raises:
            NodeError: It was not started.
        """
        if self._classes is None:
            raise NodeError(f"{self.node} is not in its second pass", fix="call fit_start(1) first")
        return self._classes

    def start_counting(self) -> None:
        """Start the second pass with empty histograms.

        Raises:
            NodeError: The first pass has not ended.
        """
        if self._cuts is None:
            raise NodeError(f"{self.node} has not ended its first pass", fix="call fit_end first")
        if self._classes is not None:
            self._classes = self._classes.new_empty()
            return
        second_is_rarer = bool(self._pixels[2] <= self._pixels[1])
        self._classes = ClassStatistics(self._cuts, self._limits, second_is_rarer)

    def set_wavelengths(self, centres: Sequence[float]) -> bool:
        """Set the wavelengths and return True, or compare later ones with the first ones.

        Raises:
            DataError: They differ by more than 0.5 nm.
        """
        if not self.centres:
            self.centres = list(centres)
            return True
        check_wavelengths(self.node, centres, self.centres)
        return False

    def update(self, cube: Tensor, mask: Tensor, valid: Tensor | None) -> None:
        """Add the pixels of (B, H, W, C) ``cube`` that are valid."""
        bands = cube.shape[-1]
        if self._sample is None:
            keep = None if valid is None else valid.reshape(-1)
            self.classes.update(cube.reshape(-1, bands), mask.reshape(-1), keep)
            return
        self._pixels = self._pixels + _class_counts(mask, valid).cpu()
        keeps = image_masks(valid, len(cube))
        for image, labels, keep in zip(cube, mask, keeps, strict=True):
            self._sample.update(image.reshape(-1, bands), labels.reshape(-1), keep)

    def state(self) -> dict[str, Tensor]:
        """The statistics of this pass so far."""
        centres = torch.tensor(self.centres, dtype=torch.float64)
        if self._sample is None:
            return {**self.classes.state(), "centres": centres}
        return {**self._sample.state(), "centres": centres, "seen": self._pixels}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one in the same pass.

        Raises:
            DataError: Its wavelengths differ by more than 0.5 nm.
        """
        centres = state.get("centres")
        if centres is not None and len(centres):
            self.set_wavelengths(centres.tolist())
        if self._sample is None:
            self.classes.merge(state)
            return
        self._sample.merge(state)
        self._pixels = self._pixels + state["seen"].cpu()

    def end_sampling(self) -> bool:
        """End the first pass, if it is that; whether it was.

        Raises:
            DataError: No pixel is labelled, or only one class has usable pixels.
        """
        sample = self._sample
        self._sample = None
        if sample is None:
            return False
        check_classes(self.node, sample, self._pixels, self.centres)
        cuts = cuts_of(sample.rows(0), sample.rows(1), self.cut_count)
        self._cuts = cuts.to(self.device)
        if self.limit_quantiles is not None:
            self._limits = sample.quantiles(self.limit_quantiles).to(self.device)
        return True


def _class_counts(mask: Tensor, valid: Tensor | None) -> Tensor:
    """How many pixels are not valid, and how many are of class 0 and of class 1, (3,)."""
    if valid is None:
        positive = mask.sum()
        return torch.stack([torch.zeros_like(positive), mask.numel() - positive, positive])
    return torch.stack([(~valid).sum(), (valid & ~mask).sum(), (valid & mask).sum()])


def combine_masks(valid: Tensor | None, labelled: Tensor | None) -> Tensor | None:
    """The pixels in two masks of one shape, bool; None where there is no mask, for all pixels."""
    if valid is None:
        return labelled
    if labelled is None:
        return valid
    return valid & labelled


def check_wavelengths(node: str, centres: Sequence[float], fitted: Sequence[float]) -> None:
    """Raise DataError unless both have the same bands within 0.5 nm."""
    fix = "use data of the camera that it was fitted on, or resample it"
    if len(centres) != len(fitted):
        raise DataError(f"{node} got {len(centres)} wavelengths, before {len(fitted)}", fix=fix)
    gaps = [abs(here - before) for here, before in zip(centres, fitted, strict=True)]
    largest = max(gaps)
    if largest > TOLERANCE_NM:
        band = gaps.index(largest)
        what = f"{node}: band {band} is at {centres[band]:g} nm, in the fit at {fitted[band]:g} nm"
        raise DataError(f"{what} (more than {TOLERANCE_NM} nm apart)", fix=fix)
