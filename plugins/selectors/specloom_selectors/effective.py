"""How many channels carry the weight."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_channels(weights: Tensor) -> Tensor:
    """exp(H) of weights (..., C) with the entropy H of their shares, float64 (...).

    It is 1 where one channel has all weight, and C where all are alike: the number of channels of
    equal weight that would have this entropy (M. O. Hill, "Diversity and evenness", Ecology 54,
    1973, the number of order 1).
    """
    shares = weights.detach().double()
    shares = shares / shares.sum(-1, keepdim=True)
    entropy: Tensor = torch.special.entr(shares).sum(-1)
    return entropy.exp()
