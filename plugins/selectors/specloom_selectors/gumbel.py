"""Gumbel noise, which makes a softmax a sample."""

from __future__ import annotations

import torch
from torch import Tensor


def gumbel(like: Tensor, generator: torch.Generator | None, eps: float) -> Tensor:
    """Standard Gumbel noise in the shape and type of ``like``, at most -ln(eps).

    The largest of logits + noise falls on entry i with the probability softmax(logits)[i].

    Source: E. Jang, S. Gu, B. Poole, "Categorical reparameterization with Gumbel-softmax", and
    C. Maddison, A. Mnih, Y. W. Teh, "The Concrete distribution", both ICLR 2017.
    """
    exponential = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    return -exponential.exponential_(generator=generator).clamp(min=eps).log()
