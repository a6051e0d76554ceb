"""Which estimators may be used, what their parameters are, and which sign their scores have."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom import ConfigError, UnavailableError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENTRY_POINTS = "specloom.outliers"
"""The group of entry points by which installed packages offer estimators, each one a class."""

PYOD = "pyod."
"""How the names of PyOD's estimators start."""

BUILT_IN = {
    "EllipticEnvelope": "sklearn.covariance",
    "GaussianMixture": "sklearn.mixture",
    "IsolationForest": "sklearn.ensemble",
    "KernelDensity": "sklearn.neighbors",
    "LocalOutlierFactor": "sklearn.neighbors",
    "OneClassSVM": "sklearn.svm",
    "pyod.CBLOF": "pyod.models.cblof",
    "pyod.GMM": "pyod.models.gmm",
    "pyod.HBOS": "pyod.models.hbos",
    "pyod.IForest": "pyod.models.iforest",
    "pyod.INNE": "pyod.models.inne",
    "pyod.KDE": "pyod.models.kde",
    "pyod.KNN": "pyod.models.knn",
    "pyod.LODA": "pyod.models.loda",
    "pyod.LOF": "pyod.models.lof",
    "pyod.MCD": "pyod.models.mcd",
    "pyod.OCSVM": "pyod.models.ocsvm",
    "pyod.PCA": "pyod.models.pca",
}
"""The modules of the estimators that may be used."""

DEPENDS = "its score of a pixel depends on the other pixels that are scored with it"
NEEDS_PICKLE = "it cannot be saved without pickle"
REFUSED = {
    "pyod.AutoEncoder": NEEDS_PICKLE,
    "pyod.CD": DEPENDS,
    "pyod.COF": DEPENDS,
    "pyod.COPOD": DEPENDS,
    "pyod.ECOD": DEPENDS,
    "pyod.LMDD": NEEDS_PICKLE,
    "pyod.LOCI": DEPENDS,
    "pyod.LUNAR": NEEDS_PICKLE,
    "pyod.ROD": DEPENDS,
    "pyod.SOD": DEPENDS,
    "pyod.SOS": DEPENDS,
    "pyod.VAE": NEEDS_PICKLE,
}
"""Why estimators that one may look for cannot be used."""

FIXED: Mapping[str, Mapping[str, object]] = {"LocalOutlierFactor": {"novelty": True}}
"""Parameters that the node sets: without novelty this one scores only what it was fitted on."""


class Kind(NamedTuple):
    """A class of estimators."""

    name: str
    cls: type[Any]
    fixed: Mapping[str, object]
    """Parameters that the node sets."""

    def parameter_names(self) -> set[str]:
        """The parameters that a user may set."""
        signature = inspect.signature(self.cls)
        names = set()
        for parameter in signature.parameters.values():
            is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if not is_variadic:
                names.add(parameter.name)
        return names - self.fixed.keys()

    def score(self, estimator: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of ``rows`` (N, C), (N,); higher is more anomalous."""
        with np.errstate(all="ignore"):
            return np.asarray(self._score(estimator, rows), np.float64)

    def _score(self, estimator: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        scores: NDArray[np.float64]
        if _is_of_pyod(self.cls):
            scores = estimator.decision_function(rows)
        elif hasattr(estimator, "score_samples"):
            scores = -estimator.score_samples(rows)
        else:
            scores = -estimator.decision_function(rows)
        return scores


def find_kind(label: str, name: str) -> Kind:
    """The class of estimators of this name.

    Args:
        label: The node.
        name: A key of ``BUILT_IN``, or an entry point.

    Raises:
        ConfigError: It may not be used, or there is none.
        UnavailableError: Its package is not installed.
    """
    if name in REFUSED:
        raise ConfigError(
            f"{label}: {name} cannot be used: {REFUSED[name]}", fix="choose another estimator"
        )
    if name in BUILT_IN:
        return Kind(name, _built_in(label, name), FIXED.get(name, {}))
    offered = entry_points(group=ENTRY_POINTS)
    if name not in offered.names:
        raise ConfigError(
            f"{label}: there is no estimator {name!r}",
            fix=did_you_mean(name, [*BUILT_IN, *offered.names]),
        )
    cls = _offered(label, offered[name])
    has_scores = hasattr(cls, "score_samples") or hasattr(cls, "decision_function")
    is_whole = isinstance(cls, type) and hasattr(cls, "fit") and hasattr(cls, "get_params")
    if not has_scores or not is_whole:
        raise ConfigError(
            f"{label}: the entry point {name!r} of the group {ENTRY_POINTS} is no estimator",
            fix="let it name a class with fit and get_params, and with score_samples or "
            "decision_function",
        )
    return Kind(name, cls, {})


def new_estimator(label: str, kind: Kind, options: Mapping[str, object], random_state: int) -> Any:
    """An estimator that is not fitted.

    Args:
        label: The node.
        kind: Its class.
        options: What the user set.
        random_state: For an estimator that draws at random, unless ``options`` has another one.

    Raises:
        ConfigError: The class has no such parameter, or does not take a value.
    """
    known = kind.parameter_names()
    for name in options:
        if name in kind.fixed:
            raise ConfigError(
                f"{label}: {name} of {kind.name} is always {kind.fixed[name]}",
                fix=f"remove {name} from options",
            )
        if name not in known:
            raise ConfigError(
                f"{label}: {kind.name} has no parameter {name!r}",
                fix=did_you_mean(name, known, otherwise=f"remove {name} from options"),
            )
    chosen = {**options, **kind.fixed}
    if "random_state" in known:
        chosen.setdefault("random_state", random_state)
    try:
        estimator = kind.cls(**chosen)
        # scikit-learn checks values only when an estimator is fitted, after all data were read.
        if hasattr(estimator, "_parameter_constraints"):
            estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{label}: {kind.name} does not take its options: {error}",
            fix="correct options",
        ) from error
    return estimator


def _offered(label: str, entry: EntryPoint) -> Any:
    """What an entry point names.

    Raises:
        UnavailableError: Its package cannot be imported.
    """
    try:
        return entry.load()
    except Exception as error:  # a package of others fails in any way
        what = f"{label}: {entry.name} cannot be imported from {entry.value}"
        raise UnavailableError(
            f"{what}: {type(error).__name__}: {error}", fix="install its package again"
        ) from error


def _built_in(label: str, name: str) -> type[Any]:
    try:
        module = importlib.import_module(BUILT_IN[name])
    except ModuleNotFoundError as error:
        if not name.startswith(PYOD):
            raise
        raise UnavailableError(
            f"{label}: {name} needs the package {error.name}, which is not installed",
            fix="install specloom-outliers[pyod]",
        ) from error
    cls: type[Any] = getattr(module, name.removeprefix(PYOD))
    return cls


def _is_of_pyod(cls: type) -> bool:
    """Whether its scores are higher for outliers, as those of all of PyOD's estimators are."""
    for base in cls.__mro__:
        if base.__module__.startswith(PYOD) and base.__name__ == "BaseDetector":
            return True
    return False
