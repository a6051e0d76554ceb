"""Anomaly scores by the distance to the nearest spectra of a sample of the background."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from specloom import Batch, ConfigError, LazyAffine, Output, node
from specloom.torch import buffer
from specloom_neighbours.distances import Coreset, neighbour_distances, whiten
from specloom_neighbours.farthest import farthest_points
from specloom_pca import principal_components, standardising_factors
from specloom_statistics import BackgroundNode, BackgroundSample

# k-centre chooses from a sample that is this many times larger than the coreset.
K_CENTRE_SAMPLE = 10
RELATIVE_DEVIATION = 1e-6
"""Components whose standard deviation, over the first one's, is not above this are not used."""

SAME_SPECTRUM = 1e-9
"""A pixel that is nearer to a member, in standard deviations, differs from it by rounding."""


class Seen(NamedTuple):
    """What was seen of a batch that was scored."""

    members: Tensor
    """How many pixels are members of the coreset, on the device of the batch."""
    pixels: int


@node
class CoresetNeighbours(BackgroundNode[BackgroundSample]):
    """Scores each pixel by its mean distance to the nearest of a sample of background spectra.

    z are the first whitened principal components of x - m, with the mean m and the covariance of
    the background pixels of the fit. The coreset is a bounded random sample of these pixels; the
    score is the mean Euclidean distance of z to the ``neighbours`` nearest members. The pixels are
    drawn by a hash of the image and the place in it, so that neither order nor size of batches
    nor the number of processes change the coreset.

    A member that is scored has itself as a neighbour at distance 0. With ``neighbours: 1``, and
    with ``selection: k_centre``, whose members are outliers, anomalies of the scenes of the fit
    are then not found: there is a warning when members are scored. Where the background supports
    fewer components, fewer are used, with a warning. A pixel that is not finite in every band
    scores NaN and is not fitted. Distances are computed in float64.

    Source: K. Roth et al., CVPR 2022, eq. 6 (PatchCore), here for spectra.

    Args:
        components: The number of principal components, or C where that is less.
        size: The number of spectra in the coreset.
        neighbours: The number of nearest members.
        selection: ``hash`` draws the members at random; ``k_centre`` takes those that are
            farthest from each other, out of a random sample of 10 times as many.
        random_state: Another number draws other pixels.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: A number is below 1, ``neighbours`` is above ``size``, or ``selection`` is
            unknown.
        NodeError: The fit saw no usable pixel.
    """

    scores = Output("B H W 1", unit="1", doc="Mean distances to the nearest members.")
    example: ClassVar[Mapping[str, object]] = {"components": 3, "num_channels": 5}

    components: int = 20
    size: int = 1000
    neighbours: int = 5
    selection: Literal["hash", "k_centre"] = "hash"
    random_state: int = 0
    num_channels: int | None = None

    center = buffer()
    directions = buffer()
    variances = buffer()
    spectra = buffer()
    members = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the coreset."""
        self._check_parameters()
        channels = sizes["num_channels"]
        count = min(self.components, channels)
        self.register_buffer("center", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("directions", torch.eye(count, channels, dtype=torch.float64))
        self.register_buffer("variances", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("spectra", torch.zeros(self.size, channels, dtype=torch.float64))
        self.register_buffer("members", torch.tensor(0))
        self.register_load_state_dict_post_hook(_state_loaded)  # type: ignore[no-untyped-call]  # torch has no types here
        self._warned = False
        self._seen: Seen | None = None
        self.update_derived()

    def update_derived(self) -> None:
        """Derive from the saved state what ``forward`` needs on the host."""
        self._member_count = int(self.members)
        self._used_components = int((self.variances > 0).sum())

    def _check_parameters(self) -> None:
        for name in ("components", "size", "neighbours"):
            number = getattr(self, name)
            if number < 1:
                what = f"{self.label}: {name} is {number}"
                raise ConfigError(what, fix=f"set {name} to 1 or more")
        if self.neighbours > self.size:
            what = f"{self.label}: neighbours is {self.neighbours}, but size is {self.size}"
            raise ConfigError(what, fix=f"set neighbours to a number from 1 to {self.size}")
        if self.selection not in ("hash", "k_centre"):
            what = f"{self.label}: selection is {self.selection!r}"
            raise ConfigError(what, fix="set selection to 'hash' or 'k_centre'")

    def fit_start(self, pass_: int) -> None:
        """Start with an empty sample."""
        size = self.size
        if self.selection == "k_centre":
            size *= K_CENTRE_SAMPLE
        channels = len(self.center)
        sample = BackgroundSample(channels, size, self.random_state, self.center.device)
        self.start_statistics(sample)

    def fit_end(self) -> None:
        """Compute the components and choose the members."""
        background = self.take_background()
        moments = background.moments
        covariance = moments.covariance()
        found = principal_components(covariance, len(self.variances), RELATIVE_DEVIATION)
        self.center.copy_(moments.mean())
        self.directions.copy_(found.directions)
        self.variances.copy_(found.variances)
        chosen = self._choose(background.spectra().to(self.spectra))
        self.spectra.zero_()
        self.spectra[: len(chosen)] = chosen
        self.members.fill_(len(chosen))
        self.update_derived()
        self._warned = False
        self._warn_about_few(found.rank)

    def _choose(self, sample: Tensor) -> Tensor:
        if self.selection == "hash":
            return sample
        points = whiten(sample, self._coreset(sample))
        return sample[farthest_points(points, self.size)]

    def _warn_about_few(self, rank: int) -> None:
        """Warn where the background supports fewer components or neighbours than are set."""
        members = self._member_count
        if rank < len(self.variances):
            text = (
                f"{self.label}: {self.pixels} background pixels support {rank} of "
                f"{len(self.variances)} components; the others are not used. Use more pixels, or "
                "lower components"
            )
            warnings.warn(text, UserWarning, stacklevel=3)
        if members < self.neighbours:
            text = (
                f"{self.label}: there are {members} background pixels for {self.neighbours} "
                "neighbours; the scores are mean distances to all of them. Use more pixels"
            )
            warnings.warn(text, UserWarning, stacklevel=3)

    def _coreset(self, spectra: Tensor) -> Coreset:
        scaled = self.directions * standardising_factors(self.variances)[:, None]
        coreset = Coreset(self.center, scaled.T.contiguous(), spectra)
        return coreset._replace(members=whiten(spectra, coreset))

    def forward(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Batch:
        """Score (B, H, W, C) ``data``; the scores are (B, H, W, 1)."""
        coreset = self._coreset(self.spectra[: self._member_count])
        distances = neighbour_distances(data, coreset, self.neighbours)
        is_sensitive = self.neighbours == 1 or self.selection == "k_centre"
        if is_sensitive and not self._warned:
            self._look_for_members(distances.nearest)
        return {"scores": distances.mean.to(data.dtype)}

    def _look_for_members(self, nearest: Tensor) -> None:
        """Warn where members of the coreset are scored; on a GPU one batch later, without a wait.

        Args:
            nearest: The distance of each pixel to the nearest member.
        """
        seen = Seen((nearest < SAME_SPECTRUM).sum(), nearest.numel())
        if nearest.device.type == "cpu":
            self._warn_about_members(seen)
            return
        before = self._seen
        self._seen = seen
        if before is not None:
            self._warn_about_members(before)

    def _warn_about_members(self, seen: Seen) -> None:
        equal = int(seen.members)
        if not equal or not self._used_components:
            return
        self._warned = True
        why = "is its own nearest neighbour and scores 0"
        if self.selection == "k_centre":
            why = "scores low, and k_centre chooses outliers"
        text = (
            f"{self.label}: {equal} of {seen.pixels} pixels are members of the coreset; a "
            f"member {why}. Score scenes that were not fitted, or set neighbours to 5 and "
            "selection to hash"
        )
        warnings.warn(text, UserWarning, stacklevel=3)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        used = self._used_components
        return f"{self._member_count} spectra in {used} components, {self.pixel_summary()}"


def _state_loaded(node: CoresetNeighbours, _keys: object) -> None:
    node.update_derived()
