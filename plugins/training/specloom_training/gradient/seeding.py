"""Every generator of random numbers, seeded again for each epoch.

What an epoch draws then follows from the seed and its number alone: a resumed training draws the
same, and so does each of several processes, whatever share of the images it has.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_of(*parts: object) -> int:
    """A seed that follows from ``parts`` alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")


def seed_all(nodes: Mapping[str, Any], *parts: object) -> None:
    """Seed the generators of Python, NumPy, torch and all nodes from ``parts``."""
    seed = seed_of(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    _seed_torch(seed)
    for name, node in nodes.items():
        if hasattr(node, "seed"):
            node.seed(seed_of(seed, name))


def _seed_torch(seed: int) -> None:
    """Seed the generators of torch, as ``torch.manual_seed`` does.

    That one notes the whole stack at each call, also where there is no GPU whose seed it is for.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
