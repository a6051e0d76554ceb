"""Hybrid semantic fusion: the image's feature, shifted towards its most suspicious patches."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import normalize

#: From features (B, M, dimensions) and a number of clusters to labels (B, M), int64.
Clustering: TypeAlias = Callable[[Tensor, int], Tensor]
ITERATIONS = 25


def most_suspicious(logits: Tensor, count: int) -> Tensor:
    """Return the indices (B, M) of the ``count`` patches that are most probably abnormal.

    Args:
        logits: The mean over taps of the patch logits, (B, N, 2).
        count: How many, at most N.
    """
    probability = logits.softmax(-1)[..., 1]
    count = min(count, probability.shape[1])
    return probability.topk(count, dim=1).indices


def fuse(patches: Tensor, labels: Tensor, clusters: int) -> Tensor:
    """Return the mean of the cluster centres, of unit length: (B, D).

    Args:
        patches: Unit features of the suspicious patches for each tap, (B, M, taps, D).
        labels: The cluster of each patch, (B, M).
        clusters: The number of clusters; one without patches is excluded.
    """
    features = patches.mean(2)
    membership = cluster_membership(labels, clusters).to(patches.dtype)
    sizes = membership.sum(1)
    centres = (membership.mT @ features) / sizes.clamp(min=1).unsqueeze(-1)
    has_patches = (sizes > 0).to(patches.dtype).unsqueeze(-1)
    mean = (centres * has_patches).sum(1) / has_patches.sum(1)
    return normalize(mean, dim=-1)


def cluster_membership(labels: Tensor, clusters: int) -> Tensor:
    """Return which patch (B, M) is in which cluster: bool (B, M, clusters)."""
    # one_hot would look at the labels on the host first.
    return labels.unsqueeze(-1) == torch.arange(clusters, device=labels.device)


def sklearn_labels(features: Tensor, clusters: int) -> Tensor:
    """Return the labels by scikit-learn's k-means, image by image, always from the same seed.

    This is the reference; on a GPU the host waits for the features.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    labels = []
    with warnings.catch_warnings():
        # Patches of a plain image are all alike, so that clusters stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for image in features.detach().float().cpu().numpy():
            fitted = KMeans(clusters, n_init="auto", random_state=0).fit(image)
            labels.append(torch.from_numpy(fitted.labels_).long())
    return torch.stack(labels).to(features.device)


def device_labels(features: Tensor, clusters: int) -> Tensor:
    """Return the labels by Lloyd's algorithm on the features' own device, for all images together.

    It starts from the first feature and then always adds the one farthest from those chosen, and
    makes a fixed number of steps: nothing is random, and the host waits for nothing.
    """
    points = features.detach().float()
    centres = _farthest_points(points, clusters)
    labels = torch.cdist(points, centres).argmin(2)
    for _ in range(ITERATIONS):
        membership = cluster_membership(labels, clusters).to(points.dtype)
        sizes = membership.sum(1).unsqueeze(-1)
        means = membership.mT @ points / sizes.clamp(min=1)
        centres = torch.where(sizes > 0, means, centres)
        labels = torch.cdist(points, centres).argmin(2)
    return labels


def _farthest_points(points: Tensor, count: int) -> Tensor:
    """Return ``count`` points (B, count, D), each the farthest from those before it."""
    chosen = points[:, :1]
    nearest = torch.cdist(points, chosen).squeeze(2)
    for _ in range(count - 1):
        index = nearest.argmax(1)[:, None, None].expand(-1, 1, points.shape[2])
        farthest = points.gather(1, index)
        chosen = torch.cat([chosen, farthest], 1)
        nearest = torch.minimum(nearest, torch.cdist(points, farthest).squeeze(2))
    return chosen
