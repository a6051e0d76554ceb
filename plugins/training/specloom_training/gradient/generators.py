"""Every generator of random numbers, started anew for each epoch.

What an epoch draws then follows from the seed and its number alone: a resumed training draws the
same, and so does each of several processes, whatever share of the images it has.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from specloom_training.gradient.feeding import seed_of


def start(nodes: Mapping[str, Any], *parts: object) -> None:
    """Start the generators of Python, NumPy, torch and all nodes from ``parts``."""
    seed = seed_of(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    for name, node in nodes.items():
        if hasattr(node, "seed"):
            node.seed(seed_of(seed, name))
