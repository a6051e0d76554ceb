"""Anomaly scores of outlier estimators."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from specloom import (
    Batch,
    ConfigError,
    Input,
    IntegrityError,
    LazyAffine,
    LazyLinear,
    NodeError,
    Output,
    node,
)
from specloom.torch import buffer, usable_pixels
from specloom_outliers.catalogue import find_kind, new_estimator
from specloom_outliers.saving import SAVED_FIX, from_bytes, to_bytes
from specloom_pca import principal_components, standardising_factors
from specloom_statistics import BackgroundNode, BackgroundSample, background_pixels

P = TypeVar("P", bound=Tensor | LazyAffine | LazyLinear)

BLOCK = 1920
"""Pixels that are scored at a time: always as many, so that no score depends on the others."""

RELATIVE_DEVIATION = 1e-6
"""Components whose standard deviation, over the first one's, is not above this are not used."""


@node
class Estimator(BackgroundNode[BackgroundSample]):
    """Scores each pixel by an outlier estimator of scikit-learn or PyOD; higher is more anomalous.

    The estimator is fitted to a bounded random sample of the background pixels, in float64, in all
    bands or in the first whitened principal components. Scores are ``-score_samples`` of
    scikit-learn and ``decision_function`` of PyOD, and so in the unit of the estimator. The pixels
    are drawn by a hash of the image and the place in it, so that neither order nor size of batches
    nor the number of processes change them.

    Of scikit-learn ``EllipticEnvelope``, ``GaussianMixture``, ``IsolationForest``,
    ``KernelDensity``, ``LocalOutlierFactor`` (``novelty`` is set) and ``OneClassSVM`` can be used;
    of PyOD, which is an extra, ``pyod.CBLOF``, ``pyod.GMM``, ``pyod.HBOS``, ``pyod.IForest``,
    ``pyod.INNE``, ``pyod.KDE``, ``pyod.KNN``, ``pyod.LODA``, ``pyod.LOF``, ``pyod.MCD``,
    ``pyod.OCSVM`` and ``pyod.PCA``; and what installed packages offer as entry points of the group
    ``specloom.outliers``. The fitted estimator is saved by skops, without pickle.

    A pixel that is not finite in every band scores NaN and is not fitted. Scores have no gradient.

    Source: F. Pedregosa et al., JMLR 12, 2011 (scikit-learn); Y. Zhao, Z. Nasrullah, Z. Li, JMLR
    20(96), 2019 (PyOD).

    Args:
        estimator: The class.
        options: Its parameters.
        components: The number of whitened principal components; None for all bands as they are.
        size: The number of spectra that it is fitted on.
        random_state: Another number draws other pixels, and is that of the estimator.
        num_channels: C; the graph infers it.

    Raises:
        ConfigError: The estimator or a parameter cannot be used, or a number is below 1.
        UnavailableError: The package of the estimator is not installed.
        NodeError: The fit saw no usable pixel, the estimator cannot be fitted to the pixels, or
            cannot be saved without pickle.
        IntegrityError: A saved estimator is not that of the parameters of the node.
    """

    data = Input("B H W num_channels", host=True, doc="Pixels; the estimator works on the CPU.")
    scores = Output("B H W 1", unit="1", doc="Scores of the estimator; higher is more anomalous.")
    example: ClassVar[Mapping[str, object]] = {
        "options": {"n_estimators": 10},
        "num_channels": 5,
    }

    estimator: str = "IsolationForest"
    options: dict[str, Any] | None = None
    components: int | None = None
    size: int = 5000
    random_state: int = 0
    num_channels: int | None = None

    center = buffer()
    directions = buffer()
    variances = buffer()
    content = buffer()

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the parameters and allocate the statistics."""
        self._check_numbers()
        self._kind = find_kind(self.label, self.estimator)
        self._new_estimator()
        channels = sizes["num_channels"]
        count = 0
        if self.components is not None:
            count = min(self.components, channels)
        self.register_buffer("center", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("directions", torch.eye(count, channels, dtype=torch.float64))
        self.register_buffer("variances", torch.zeros(count, dtype=torch.float64))
        # Its size is known when the fit ends.
        self.register_buffer("content", torch.zeros(0, dtype=torch.uint8))
        self._fitted_estimator: Any = None

    def _check_numbers(self) -> None:
        for name in ("components", "size"):
            number = getattr(self, name)
            if number is not None and number < 1:
                what = f"{self.label}: {name} is {number}"
                raise ConfigError(what, fix=f"set {name} to 1 or more")

    def _new_estimator(self) -> Any:
        return new_estimator(self.label, self._kind, self.options or {}, self.random_state)

    def fit_start(self, pass_: int) -> None:
        """Start with an empty sample."""
        self.start_statistics(BackgroundSample(len(self.center), self.size, self.random_state))

    def fit_update(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        """Add the usable background pixels of (B, H, W, C) ``data``."""
        background = background_pixels(valid, mask)
        if background is not None:
            background = background.cpu()
        self.statistics().update(_on_cpu(data), background)

    def fit_end(self) -> None:
        """Fit the estimator to the sample."""
        background = self.take_background()
        moments = background.moments
        self.center.copy_(moments.mean())
        if self.components is not None:
            count = len(self.variances)
            found = principal_components(moments.covariance(), count, RELATIVE_DEVIATION)
            self.directions.copy_(found.directions)
            self.variances.copy_(found.variances)
            if found.rank < count:
                self._warn_about_rank(found.rank)
        # A node whose estimator fails is not fitted.
        self.fitted = False
        rows = self._features(background.spectra())
        self._fitted_estimator = self._fit_estimator(rows.numpy())
        content = to_bytes(self.label, self._kind, self._fitted_estimator)
        self._store(content)
        self.fitted = True

    def _warn_about_rank(self, rank: int) -> None:
        text = (
            f"{self.label}: {self.pixels} background pixels support {rank} of "
            f"{len(self.variances)} components; the others are not used. Use more pixels, or "
            "lower components"
        )
        warnings.warn(text, UserWarning, stacklevel=3)

    def _fit_estimator(self, rows: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        estimator = self._new_estimator()
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            try:
                estimator.fit(rows)
                scores = self._kind.score(estimator, rows[:1])
            except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                raise self._fit_error(rows.shape, str(error)) from error
        if not np.isfinite(scores).all():
            raise self._fit_error(rows.shape, "its scores of these are not finite")
        for warning in found:
            warnings.warn(f"{self.label}: {warning.message}", warning.category, stacklevel=3)
        return estimator

    def _fit_error(self, shape: tuple[int, ...], why: str) -> NodeError:
        count, width = shape
        return NodeError(
            f"{self.label}: {self.estimator} cannot be fitted to {count} spectra of {width} "
            f"values: {why}",
            fix="use more pixels, set components, or change options",
        )

    def _store(self, content: bytes) -> None:
        """Set the saved estimator, whose size the fit decides."""
        values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self.register_buffer("content", values.to(self.center.device))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state, with the estimator.

        Raises:
            IntegrityError: It is that of another node, or its estimator is another one.
        """
        saved = state.get("content")
        if saved is not None and saved.ndim == 1:
            self.register_buffer("content", torch.zeros_like(saved, device=self.center.device))
        super().restore(state)
        self._fitted_estimator = None
        if self.fitted:
            self._fitted_estimator = self._saved_estimator()

    def _saved_estimator(self) -> Any:
        estimator = from_bytes(self.label, self._kind, bytes(self.content.cpu().numpy()))
        wanted = self._new_estimator().get_params(deep=False)
        found = estimator.get_params(deep=False)
        for name, value in wanted.items():
            if found.get(name) != value:
                raise IntegrityError(
                    f"{self.label}: {name} of the saved {self.estimator} is {found.get(name)!r}, "
                    f"but that of options is {value!r}",
                    fix=SAVED_FIX,
                )
        width = self._features(self.center.cpu()[None]).shape[1]
        own_width = getattr(estimator, "n_features_in_", width)
        if own_width != width:
            raise IntegrityError(
                f"{self.label}: the saved {self.estimator} was fitted on spectra of {own_width} "
                f"values, these have {width}",
                fix=SAVED_FIX,
            )
        return estimator

    def _features(self, rows: Tensor) -> Tensor:
        """What the estimator sees of ``rows`` (N, C): themselves, or whitened components."""
        if self.components is None:
            return rows
        # An estimator needs one column at least.
        count = max(int((self.variances > 0).sum()), 1)
        scaled = self.directions * standardising_factors(self.variances)[:, None]
        return (rows - self.center.cpu()) @ scaled[:count].T.cpu()

    @torch.no_grad()
    def forward(
        self,
        data: Tensor | LazyAffine,
        valid: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Batch:
        """Score (B, H, W, C) ``data``; the scores are (B, H, W, 1)."""
        here = _on_cpu(data)
        raw = here.data if isinstance(here, LazyAffine) else here
        pixels = raw.reshape(-1, raw.shape[-1])
        scores = torch.empty(len(pixels), dtype=torch.float64)
        for start in range(0, len(pixels), BLOCK):
            rows = pixels[start : start + BLOCK].double()
            if isinstance(here, LazyAffine):
                rows = rows * here.scale + here.offset
            scores[start : start + BLOCK] = self._score_block(rows)
        made = scores.view(*raw.shape[:-1], 1).to(data.dtype)
        return {"scores": made.to(self.center.device)}

    def _score_block(self, rows: Tensor) -> Tensor:
        """The scores of some rows (N, C), filled up to a block with the mean, (N,)."""
        center = self.center.cpu()
        block = center.repeat(BLOCK, 1)
        usable = usable_pixels(rows)[:, None]
        block[: len(rows)] = torch.where(usable, rows, center)
        found = self._kind.score(self._fitted_estimator, self._features(block).numpy())
        return torch.where(usable[:, 0], torch.from_numpy(found)[: len(rows)], torch.nan)

    def fit_summary(self) -> str:
        """What was fitted, in one line."""
        count = min(self.size, self.pixels)
        values = f"{len(self.center)} bands"
        if self.components is not None:
            values = f"{int((self.variances > 0).sum())} components"
        return f"{self.estimator} on {count} spectra in {values}, {self.pixel_summary()}"


def _on_cpu(data: P) -> P:
    """Data in the memory of the host, without gradients."""
    if isinstance(data, Tensor):
        return cast("P", data.detach().cpu())
    parts: list[Any] = []
    for part in data:
        if isinstance(part, Tensor):
            parts.append(part.detach().cpu())
        else:
            parts.append(part)
    return cast("P", type(data)(*parts))
