"""An outlier detector of scikit-learn behind which a node or a pipeline scores spectra."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from specloom import Pipeline
from specloom_sklearn.fresh import fresh_node, fresh_pipeline, require_pixels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class PixelDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """An outlier detector of spectra (n, bands), whose scores a node or a pipeline gives.

    Args:
        node: A node of which the first output is a score of each pixel, or a pipeline with an
            output ``scores``. It stays as it is; each fit makes a fresh one, ``node_``.
        contamination: The share of outliers among the spectra of the fit, which sets ``offset_``.
    """

    def __init__(self, node: Any, contamination: float = 0.1) -> None:
        self.node = node
        self.contamination = contamination

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Fit on spectra (n, bands).

        Raises:
            ConfigError: A node sees more than one pixel.
            ValueError: ``contamination`` is no share, or X is no table of finite numbers.
        """
        require_pixels(self.node)
        if not _is_share(self.contamination):
            raise ValueError(f"contamination is {self.contamination!r}: set it over 0, to 0.5")
        spectra = validate_data(self, X, ensure_min_samples=2)
        if isinstance(self.node, Pipeline):
            self.node_: Any = fresh_pipeline(self.node)
        else:
            self.node_ = fresh_node(self.node)
        self.node_.fit(_image(spectra))
        self.offset_ = float(np.quantile(self._score(spectra), self.contamination))
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Minus the score of each spectrum: the lower, the more anomalous, (n,)."""
        check_is_fitted(self)
        return self._score(validate_data(self, X, reset=False))

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """``score_samples`` over ``offset_``: below 0 for outliers, (n,)."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """-1 for outliers, 1 for inliers, (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _score(self, spectra: NDArray[Any]) -> NDArray[np.float64]:
        image = _image(spectra)
        if isinstance(self.node_, Pipeline):
            scores = self.node_.predict(image)["scores"]
        else:
            scores = self.node_(image)
        flat: NDArray[np.float64] = -np.asarray(scores, np.float64).reshape(-1)
        return flat


def as_estimator(node: Any, contamination: float = 0.1) -> PixelDetector:
    """An estimator of scikit-learn of a node, or of a pipeline, that scores pixels.

    Args:
        node: The node, fitted or not, or the pipeline.
        contamination: The share of outliers among the spectra of the fit.

    Raises:
        ConfigError: A node sees more than one pixel.
    """
    require_pixels(node)
    return PixelDetector(node, contamination)


def _is_share(contamination: Any) -> bool:
    """Whether a value is a share of outliers: over 0, to 0.5."""
    if not isinstance(contamination, Real):
        return False
    return 0 < float(contamination) <= 0.5


def _image(spectra: NDArray[Any]) -> NDArray[Any]:
    """Spectra (n, bands) as an image of one column, (n, 1, bands)."""
    return spectra[:, None, :]
