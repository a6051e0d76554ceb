"""How well a band separates two classes, from histograms and moments of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from specloom_statistics import varying_bands

if TYPE_CHECKING:
    from specloom_statistics import Moments

# A variance within the classes that is smaller than this part of the whole counts as this part.
LEAST_VARIANCE = 1e-12


class BandStatistics(NamedTuple):
    """The scores that bands are chosen by, each (C,) in float64 but for the last two."""

    fisher: Tensor
    auc: Tensor
    auc_bound: Tensor
    """How far ``auc`` may be from that of all pixels."""
    information: Tensor
    edges: Tensor
    """The bins of ``information``, (C, bins - 1)."""
    correlation: Tensor
    """Between bands, absolute, (C, C)."""


def fisher(whole: Moments, part: Moments) -> Tensor:
    """(m1 - m0)^2 / (v1 + v0) of each band, with population variances; 0 where nothing varies.

    Source: R. A. Fisher, Annals of Eugenics 7(2), 1936.

    Args:
        whole: The moments of all pixels.
        part: Those of one class; the other's follow from the difference.
    """
    mean, scatter = whole.mean_and_scatter()
    mean1, scatter1 = part.mean_and_scatter()
    total = whole.count
    count1 = part.count
    count0 = total - count1
    # The scatter of all pixels is that within the classes and that between their means.
    gap = (mean1 - mean) * (total / count0)
    between = gap.square() * (count0 * count1 / total)
    scatter0 = (scatter.diagonal() - scatter1.diagonal() - between).clamp(min=0)
    within = scatter0 / count0 + scatter1.diagonal() / count1
    score = gap.square() / torch.maximum(within, LEAST_VARIANCE * scatter.diagonal() / total)
    return torch.where(varying_bands_of(whole), score, 0)


def varying_bands_of(whole: Moments) -> Tensor:
    """Which bands are not constant, bool (C,)."""
    return varying_bands(whole.mean(), whole.covariance())


def correlation(whole: Moments) -> Tensor:
    """The absolute correlation of the bands over all pixels, (C, C); 0 with constant bands."""
    covariance = whole.covariance()
    factor = torch.where(varying_bands_of(whole), covariance.diagonal().rsqrt(), 0)
    return (factor[:, None] * covariance * factor).abs().clamp(max=1)


def auc(counts: Tensor, cuts: Tensor) -> tuple[Tensor, Tensor]:
    """The area under the ROC curve of each band, at least 1/2, and a bound on its error, (C,).

    A band that is darker on one class is as good as a brighter one: max(a, 1 - a). Pairs of
    pixels within a bin count half; the error is at most half their share, and pairs in a bin that
    holds only one number are ties, which count half anyway.

    Args:
        counts: Of both classes, (2, C, M + 1).
        cuts: What the bins lie between, (C, M).
    """
    normal, anomalous = counts.double()
    pairs = normal.sum(1) * anomalous.sum(1)
    below = normal.cumsum(1) - normal
    area = (anomalous * (below + normal / 2)).sum(1) / pairs
    together = normal * anomalous
    single = cuts[:, 1:] <= torch.nextafter(cuts[:, :-1], torch.full_like(cuts[:, 1:], torch.inf))
    together[:, 1:-1].masked_fill_(single, 0)
    return torch.maximum(area, 1 - area), together.sum(1) / (2 * pairs)


def information(counts: Tensor, cuts: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """The mutual information of band and class in bits, (C,), and the bins' edges, (C, bins - 1).

    The bins hold equal shares of the pixels, as far as cuts and equal values allow; a value that
    equals an edge belongs to the bin above.

    Args:
        counts: Of both classes, (2, C, M + 1).
        cuts: What the fine bins lie between, (C, M).
        bins: How many bins.
    """
    below = counts.cumsum(2)  # below cut i, for each i
    total = below[..., -1:].sum(0).double()  # an integer ratio would be float32
    share = torch.arange(1, bins, device=counts.device) * total / bins
    places = torch.searchsorted(below.sum(0)[:, :-1].double(), share)
    places = places.clamp(max=cuts.shape[1] - 1)
    lower = below.gather(2, places.expand(2, *places.shape))
    filled = torch.cat([torch.zeros_like(below[..., :1]), lower, below[..., -1:]], 2)
    joint = filled.diff(dim=2) / total
    alone = joint.sum(0, keepdim=True) * joint.sum(2, keepdim=True)
    ratio = torch.where(joint > 0, joint / alone, 1)
    bits = (joint * ratio.log2()).sum((0, 2)).clamp(min=0)
    return bits, cuts.gather(1, places)


def standardise(scores: Tensor, bands: Tensor) -> Tensor:
    """Scores (C,) minus their mean over ``bands``, over their standard deviation; 0 if that is 0.

    Args:
        scores: One number a band.
        bands: The bands that mean and deviation are taken over, bool (C,).
    """
    used = scores[bands]
    if not len(used):
        return torch.zeros_like(scores)
    spread = used.std(correction=0)
    if not spread > 1e-12 * used.abs().max():
        return torch.zeros_like(scores)
    return (scores - used.mean()) / spread


def relevance(statistics: BandStatistics, weights: Sequence[float], varying: Tensor) -> Tensor:
    """The weighted sum of the standardised scores of each band, (C,).

    Args:
        statistics: The scores.
        weights: Of Fisher's score, the AUC and the information.
        varying: The bands that the scores are standardised over, bool (C,).
    """
    parts = zip(weights, (statistics.fisher, statistics.auc, statistics.information), strict=True)
    total = torch.zeros_like(statistics.fisher)
    for weight, scores in parts:
        total += weight * standardise(scores, varying)
    return total
