"""scikit-learn's side of the workloads that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import MinMaxScaler

BANDS = 3
"""What goes band by band is timed on so many."""


def _rows(data: Mapping[str, Any]) -> Any:
    return torch.cat([batch.reshape(-1, data["C"]) for batch in data["batches"]]).numpy()


def rx(data: Mapping[str, Any]) -> dict[str, Any]:
    """The covariance, and Mahalanobis distances."""
    rows = _rows(data)
    found = EmpiricalCovariance().fit(rows)
    return {
        "fit": lambda: EmpiricalCovariance().fit(rows),
        "score": lambda: found.mahalanobis(rows),
    }


def min_max(data: Mapping[str, Any]) -> dict[str, Any]:
    """Scaling by minimum and maximum of each band."""
    rows = _rows(data)
    found = MinMaxScaler().fit(rows)
    return {"fit": lambda: MinMaxScaler().fit(rows), "apply": lambda: found.transform(rows)}


def pca(data: Mapping[str, Any]) -> dict[str, Any]:
    """Three principal components, from a covariance in the data's own float32."""
    rows = _rows(data)
    found = PCA(3, svd_solver="covariance_eigh").fit(rows)
    return {
        "fit": lambda: PCA(3, svd_solver="covariance_eigh").fit(rows),
        "project": lambda: found.transform(rows),
    }


def mrmr(data: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """F values and AUC of each band: neither mutual information nor a choice."""
    bands = np.linspace(0, data["C"] - 1, min(BANDS, data["C"])).astype(int)
    rows, labels = np.ascontiguousarray(data["X"][:, bands]), data["y"]

    def score() -> Any:
        return f_classif(rows, labels), [roc_auc_score(labels, band) for band in rows.T]

    score.scale = data["C"] / len(bands)  # type: ignore[attr-defined]  # read by who times it
    return {"score": score}


W1, W2, W3, W4 = rx, min_max, pca, mrmr
