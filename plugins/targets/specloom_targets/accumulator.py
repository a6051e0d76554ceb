"""What a fit collects of a stream: the background, the target's pixels, and the band centres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from specloom import DataError, LazyAffine
from specloom_statistics import Moments, RunningVariance, join_states, part_of_state

TOLERANCE_NM = 0.5

Background: TypeAlias = Moments | RunningVariance


class TargetStatistics:
    """The background, the pixels of the target, and the band centres of a scene.

    Args:
        background: The statistics of the background.
        channels: C.
        device: Where the sums are.
    """

    def __init__(self, background: Background, channels: int, device: torch.device) -> None:
        self.background = background
        self.target = RunningVariance(channels, device)
        self.wavelengths = torch.full((channels,), torch.nan, dtype=torch.float64)
        self.floored = torch.zeros((), dtype=torch.int64, device=device)
        """How many shares were below machine epsilon."""

    def update(
        self, data: Tensor | LazyAffine, background: Tensor | None, target: Tensor | None
    ) -> None:
        """Add pixels.

        Args:
            data: (B, H, W, C).
            background: Those of the background, bool (B*H*W,); None for all.
            target: Those of the target; None for none.
        """
        self.background.update(data, background)
        if target is None:
            return
        if target.device.type != "cpu":
            # A shift of its own, and whether there is a pixel, the host would wait for.
            self.target.share_shift(self.background)
        elif not bool(target.any()):
            return
        self.target.update(data, target)

    def set_wavelengths(self, wavelengths: Tensor) -> None:
        """Take over band centres in nm, (C,).

        Raises:
            DataError: Others were there before.
        """
        found = wavelengths.detach().to("cpu", torch.float64)
        if not bool(self.wavelengths.isnan().all()):
            gap = (found - self.wavelengths).abs()
            if float(gap.max()) > TOLERANCE_NM:
                raise DataError(
                    f"the wavelengths of the data differ by up to {float(gap.max()):.3g} nm "
                    "within a fit",
                    fix="use data of one camera, or resample them",
                )
            return
        self.wavelengths = found.clone()

    def level(self) -> Tensor:
        """The root mean square of each band over the background, (C,)."""
        if isinstance(self.background, Moments):
            variance = self.background.covariance(ddof=0).diagonal()
        else:
            variance = self.background.variance()
        return (self.background.mean().square() + variance).sqrt()

    def state(self) -> Mapping[str, Tensor]:
        """All sums so far."""
        parts = join_states({"background": self.background.state(), "target": self.target.state()})
        return {"wavelengths": self.wavelengths, "floored": self.floored, **parts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        self.background.merge(part_of_state(state, "background"))
        self.target.merge(part_of_state(state, "target"))
        self.floored = self.floored + state["floored"].to(self.floored)
        if not bool(state["wavelengths"].isnan().all()):
            self.set_wavelengths(state["wavelengths"])
