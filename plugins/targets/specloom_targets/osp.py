"""Orthogonal subspace projection."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specloom import ConfigError, LazyAffine, NodeError, SpecloomError, node, param
from specloom.torch import buffer
from specloom_targets.base import TargetDetector
from specloom_targets.blocks import filter_scores, score_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom_cubes import Spectra
    from specloom_targets.accumulator import TargetStatistics

ROUNDING = 1e-12
"""A target of which no larger share is left by the projection, squared, lies in the subspace."""


@node
class OSP(TargetDetector):
    """Scores pixels by orthogonal subspace projection: 1 for the target, 0 for undesired spectra.

    t^T P x / t^T P t with P = I - U U^+, where the columns of U are the undesired spectra: those
    of the file ``undesired``, or for each target all the others. Scores are computed in float64. A
    pixel that is not finite in a band scores NaN. The fit learns only the bands of the scene, and
    the target where it comes from ``mask``.

    Source: J. C. Harsanyi and C.-I. Chang, IEEE Trans. Geoscience and Remote Sensing 32(4), 1994;
    normalised as in Q. Du, H. Ren and C.-I. Chang, IEEE TGRS 41(6), 2003.

    Args:
        undesired: A file of undesired spectra; None for the other targets.
        undesired_names: Which spectra of that file; None for all.

    Raises:
        ConfigError: There are neither undesired spectra nor other targets.
        NodeError: A target is a combination of the undesired spectra.
    """

    per_target = ("spectra", "filters")

    undesired: Path | None = param(default=None, kw_only=True)
    undesired_names: list[str] | None = param(default=None, kw_only=True)

    filters = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters."""
        super().build(sizes)
        if self.undesired is None and self.undesired_names is not None:
            raise ConfigError(
                f"{self.label}: undesired_names without a file", fix="set undesired to a file"
            )
        if self.undesired is None and self.targets is None:
            raise self._nothing_undesired()

    def _nothing_undesired(self) -> ConfigError:
        return ConfigError(
            f"{self.label} has one target and no undesired spectra",
            fix="set undesired to a file of spectra, or targets to one with several",
        )

    def missing(self) -> Iterable[SpecloomError]:
        """The errors that files are not there; a fitted node does not need them."""
        from specloom_targets.loading import file_problem

        problems = list(super().missing())
        if not self.fitted and self.undesired is not None:
            problem = file_problem(self.label, "undesired", self.undesired)
            if problem is not None:
                problems.append(problem)
        return problems

    def fit_start(self, pass_: int) -> None:
        """Read the spectra, and start with empty statistics."""
        super().fit_start(pass_)
        self._undesired_file: Spectra | None = None
        if self.undesired is not None:
            self._undesired_file = self._load(self.undesired, self.undesired_names)
        elif self._file is not None and len(self._file.names) == 1:
            raise self._nothing_undesired()

    def _set_targets(self, statistics: TargetStatistics) -> None:
        undesired = None
        if self._undesired_file is not None:
            undesired = self._matched(self._undesired_file, statistics)
            self._undesired_file = None
        filters = []
        for number, name in enumerate(self.target_names):
            others = undesired
            if others is None:
                others = torch.cat([self.spectra[:number], self.spectra[number + 1 :]])
            filters.append(self._filter(name, self.spectra[number], others))
        self._store("filters", torch.stack(filters))

    def _filter(self, name: str, target: Tensor, undesired: Tensor) -> Tensor:
        """P t / t^T P t, (C,).

        Raises:
            NodeError: P t is zero.
        """
        columns = undesired.mT
        left = target - columns @ (torch.linalg.pinv(columns) @ target)
        energy = left @ left
        if not bool(energy > ROUNDING**2 * (target @ target)):
            raise NodeError(
                f"{self.label}: the target {name!r} is a combination of the undesired spectra",
                fix="remove some of the undesired spectra",
            )
        result: Tensor = left / energy
        return result

    def _score(self, data: Tensor | LazyAffine) -> Tensor:
        return score_pixels(data, None, filter_scores(self.filters))
