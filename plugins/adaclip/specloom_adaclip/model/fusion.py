"""Hybrid semantic fusion: the image's feature, drawn towards its most suspicious patches."""

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


def suspicious(logits: Tensor, count: int) -> Tensor:
    """The indices (B, M) of the ``count`` patches that are most probably abnormal.

    Args:
        logits: The mean over taps of the patch logits, (B, N, 2).
        count: How many, at most N.
    """
    abnormal = logits.softmax(-1)[..., 1]
    return abnormal.topk(min(count, abnormal.shape[1]), dim=1).indices


def fused(patches: Tensor, labels: Tensor, clusters: int) -> Tensor:
    """The mean of the cluster centres, of unit length: (B, D).

    Args:
        patches: Unit features of the suspicious patches for each tap, (B, M, taps, D).
        labels: The cluster of each patch, (B, M).
        clusters: The number of clusters; one without patches is left out.
    """
    member = members(labels, clusters).to(patches.dtype)
    sizes = member.sum(1)
    centres = (member.mT @ patches.mean(2)) / sizes.clamp(min=1).unsqueeze(-1)
    filled = (sizes > 0).to(patches.dtype).unsqueeze(-1)
    return normalize((centres * filled).sum(1) / filled.sum(1), dim=-1)


def members(labels: Tensor, clusters: int) -> Tensor:
    """Which patch (B, M) is in which cluster: bool (B, M, clusters)."""
    # one_hot would look at the labels on the host first.
    return labels.unsqueeze(-1) == torch.arange(clusters, device=labels.device)


def sklearn_labels(features: Tensor, clusters: int) -> Tensor:
    """The labels by scikit-learn's k-means, image by image, always from the same seed.

    This is the reference; on a GPU the host waits for the features.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    made = []
    with warnings.catch_warnings():
        # Patches of a plain image are all alike, so that clusters stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for one in features.detach().float().cpu().numpy():
            found = KMeans(clusters, n_init="auto", random_state=0).fit(one)
            made.append(torch.from_numpy(found.labels_).long())
    return torch.stack(made).to(features.device)


def device_labels(features: Tensor, clusters: int) -> Tensor:
    """The labels by Lloyd's algorithm on the features' own device, all images at once.

    It starts from the first feature and then always takes the one farthest from those taken, and
    makes a fixed number of steps: nothing is drawn, and the host waits for nothing.
    """
    x = features.detach().float()
    centres = x[:, :1]
    nearest = torch.cdist(x, centres).squeeze(2)
    for _ in range(clusters - 1):
        far = nearest.argmax(1)[:, None, None].expand(-1, 1, x.shape[2])
        taken = x.gather(1, far)
        centres = torch.cat([centres, taken], 1)
        nearest = torch.minimum(nearest, torch.cdist(x, taken).squeeze(2))
    labels = torch.cdist(x, centres).argmin(2)
    for _ in range(ITERATIONS):
        member = members(labels, clusters).to(x.dtype)
        sizes = member.sum(1).unsqueeze(-1)
        centres = torch.where(sizes > 0, member.mT @ x / sizes.clamp(min=1), centres)
        labels = torch.cdist(x, centres).argmin(2)
    return labels
