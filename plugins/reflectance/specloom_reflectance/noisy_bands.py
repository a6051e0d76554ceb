"""Bands with more noise than is useful, interpolated from those around them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from specloom import Batch, ConfigError, Input, NodeError, Output, node
from specloom.torch import buffer
from specloom_cubes import water_vapour
from specloom_reflectance.band_maps import lazy_bands, map_bands
from specloom_statistics import RunningVariance, StreamingNode, join_states, part_of_state


class SignalToNoise:
    """Mean of each band, and the variance of differences of neighbouring pixels, which merge.

    Args:
        channels: C.
        device: The device of the sums.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self.signal = RunningVariance(channels, device)
        self.differences = RunningVariance(channels, device)
        #: Band centres in nm, NaN where they are not known.
        self.wavelengths = torch.full((channels,), torch.nan, dtype=torch.float64)

    def update(self, data: Tensor, valid: Tensor | None) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``, and their differences to the right."""
        self.signal.update(data, valid)
        for number, image in enumerate(data):
            both = None
            if valid is not None:
                both = valid[number, :, 1:] & valid[number, :, :-1]
            self.differences.update(image[:, 1:].double() - image[:, :-1].double(), both)

    def ratio(self) -> Tensor:
        """The mean over the standard deviation of the noise, (C,); 0 where the mean is not above 0.

        The variance of the noise is half of that of the differences.
        """
        noise = (self.differences.variance() / 2).sqrt()
        mean = self.signal.mean().clamp(min=0)
        ratio = torch.where(noise > 0, mean / noise.where(noise > 0, 1), torch.inf)
        return ratio.where(mean > 0, 0.0)

    def state(self) -> dict[str, Tensor]:
        """All sums so far."""
        states = {"signal": self.signal.state(), "differences": self.differences.state()}
        return {"wavelengths": self.wavelengths, **join_states(states)}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""
        self.signal.merge(part_of_state(state, "signal"))
        self.differences.merge(part_of_state(state, "differences"))
        if not state["wavelengths"].isnan().any():
            self.wavelengths = state["wavelengths"]


@node
class NoisyBands(StreamingNode[SignalToNoise]):
    """Finds bands of low signal to noise, and replaces them.

    The noise of a band is estimated from the differences of each pixel to its right neighbour: half
    of their variance. A band is bad where its mean over the standard deviation of its noise is
    below ``least_ratio``, or, with ``water_vapour``, where its centre lies in a strong absorption
    of water vapour (1340 to 1450 and 1790 to 1960 nm). The number of bands stays: bad ones are
    interpolated linearly between the good ones around them, or become 0, so that a detector that
    leaves constant bands out does not use them. To exclude them altogether, write the ranges that
    the summary of the fit has into ``bands: {exclude: ...}`` of the source.

    Texture counts as noise: a scene without uniform areas has lower ratios than its camera.

    Source: R. O. Green et al., Remote Sensing of Environment 65(3), 1998 (signal to noise); A. A.
    Green et al., IEEE TGRS 26(1), 1988, section IV (noise from differences).

    Args:
        least_ratio: The ratio of mean and noise below which a band is bad.
        water_vapour: Whether bands in absorptions of water vapour are bad too.
        replace: ``interpolate`` or ``zero``.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: ``least_ratio`` is negative.
        NodeError: The fit saw no usable pixel or no pair of neighbours, every band is bad, or
            ``water_vapour`` is set and no centre is known.
    """

    data = Input("B H W num_channels", doc="Pixels.")
    valid = Input(
        "B H W 1", "bool", optional=True, for_fit=True, labelled=False, doc="Pixels to fit."
    )
    wavelengths = Input(
        "num_channels",
        "real",
        unit="nm",
        optional=True,
        for_fit=True,
        host=True,
        doc="Band centres.",
    )
    cleaned = Output("B H W num_channels", doc="Pixels with the bad bands replaced.")
    ratio = Output("num_channels", "float64", unit="1", doc="Mean over noise of each band.")
    locality = "pixel"
    linear_output = "cleaned"
    example: ClassVar[Mapping[str, object]] = {"least_ratio": 4.95, "num_channels": 6}

    least_ratio: float = 10.0
    water_vapour: bool = False
    replace: Literal["interpolate", "zero"] = "interpolate"
    num_channels: int | None = None

    ratios = buffer()
    matrix = buffer()
    centres = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters; every band is good before a fit."""
        if not (math.isfinite(self.least_ratio) and self.least_ratio >= 0):
            raise ConfigError(
                f"{self.label}: least_ratio is {self.least_ratio}", fix="set it to 0 or more"
            )
        count = sizes["num_channels"]
        self.register_buffer("ratios", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("matrix", torch.eye(count, dtype=torch.float64))
        self.register_buffer("centres", torch.full((count,), torch.nan, dtype=torch.float64))

    def fit_start(self, pass_: int) -> None:
        """Start with empty statistics."""
        self.start_statistics(SignalToNoise(len(self.ratios), self.ratios.device))

    def fit_update(
        self, data: Tensor, valid: Tensor | None = None, wavelengths: Tensor | None = None
    ) -> None:
        """Add the usable pixels of (B, H, W, C) ``data``."""
        statistics = self.statistics()
        statistics.update(data.detach(), valid)
        if wavelengths is not None:
            statistics.wavelengths = wavelengths.detach().cpu().double()

    def fit_end(self) -> None:
        """Find the bad bands, and the map that replaces them."""
        statistics = self.take_statistics()
        self.left_out = statistics.signal.left_out
        self.finish_fit(statistics.signal.count)
        if not statistics.differences.count:
            self.fitted = False
            what = f"{self.label}: no usable pixel has a usable right neighbour"
            raise NodeError(what, fix="fit images of two columns or more")
        centres = statistics.wavelengths
        ratios = statistics.ratio()
        bad = (ratios < self.least_ratio).cpu()
        if self.water_vapour:
            bad |= self._in_water_vapour(centres)
        if bool(bad.all()):
            self.fitted = False
            what = (
                f"{self.label}: every band has a ratio of mean and noise below {self.least_ratio:g}"
            )
            raise NodeError(
                what,
                fix=f"lower least_ratio; the highest ratio is {float(ratios.max()):.3g}",
            )
        places = torch.arange(len(bad), dtype=torch.float64)
        if not bool(centres.isnan().any()):
            places = centres
        matrix = replacing_matrix(bad.numpy(), places.numpy(), self.replace)
        self.ratios.copy_(ratios)
        self.centres.copy_(centres)
        self.matrix.copy_(torch.from_numpy(matrix))

    def _in_water_vapour(self, centres: Tensor) -> Tensor:
        if bool(centres.isnan().any()):
            raise NodeError(
                f"{self.label}: water_vapour is set, and the band centres are not known",
                fix="connect wavelengths, and give the data a table of them",
            )
        return torch.from_numpy(water_vapour(centres.numpy()))

    def forward(
        self, data: Tensor, valid: Tensor | None = None, wavelengths: Tensor | None = None
    ) -> Batch:
        """Replace the bad bands of (B, H, W, C) ``data``."""
        return {"cleaned": map_bands(data, self.matrix), "ratio": self.ratios}

    def forward_lazy(
        self, data: Tensor, valid: Tensor | None = None, wavelengths: Tensor | None = None
    ) -> Batch:
        """As ``forward``, with the map left to the readers."""
        return {"cleaned": lazy_bands(data, self.matrix), "ratio": self.ratios}

    def fit_summary(self) -> str:
        """What was fitted, in one line, with the bad bands as ranges in nm or by number."""
        bad = (self.matrix.diagonal() != 1).cpu().numpy()
        if not bad.any():
            return f"no bad band of {len(bad)}, {self.pixel_summary()}"
        known = not bool(self.centres.isnan().any())
        shown = ", ".join(_ranges(bad, self.centres.cpu().numpy() if known else None))
        return f"{int(bad.sum())} of {len(bad)} bands are bad ({shown}), {self.pixel_summary()}"


def replacing_matrix(
    bad: np.ndarray[tuple[int], np.dtype[np.bool_]],
    places: np.ndarray[tuple[int], np.dtype[np.float64]],
    replace: Literal["interpolate", "zero"],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The matrix (C, C) that leaves good bands and replaces bad ones.

    Args:
        bad: The bands to replace, (C,), not all.
        places: Where the bands are, such as their centres, in any order, (C,).
        replace: By what.
    """
    count = len(bad)
    matrix = np.diag((~bad).astype(np.float64))
    if replace == "zero":
        return matrix
    good = np.flatnonzero(~bad)
    good = good[np.argsort(places[good], kind="stable")]
    for band in np.flatnonzero(bad):
        for place, source in enumerate(good):
            unit = np.zeros(len(good))
            unit[place] = 1.0
            matrix[band, source] = np.interp(places[band], places[good], unit)
    assert matrix.shape == (count, count)
    return matrix


def _ranges(
    bad: np.ndarray[tuple[int], np.dtype[np.bool_]],
    centres: np.ndarray[tuple[int], np.dtype[np.float64]] | None,
) -> list[str]:
    """Runs of bad bands, in nm or by number."""
    found = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(int)))
    for first, stop in edges.reshape(-1, 2):
        if centres is None:
            found.append(f"band {first}" if stop - first == 1 else f"bands {first}-{stop - 1}")
        else:
            part = centres[first:stop]
            found.append(f"{part.min():g}-{part.max():g} nm")
    return found
