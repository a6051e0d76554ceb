"""SPy's side of the workloads that it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import spectral
import torch


def rx(data: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics of the background, and RX with them."""
    image = torch.cat([*data["batches"]]).flatten(0, 1).numpy()
    background = spectral.calc_stats(image)
    return {
        "fit": lambda: spectral.calc_stats(image),
        "score": lambda: spectral.rx(image, background=background),
    }


def pca(data: Mapping[str, Any]) -> dict[str, Any]:
    """Principal components, and the projection on three of them."""
    image = torch.cat([*data["batches"]]).flatten(0, 1).numpy()
    found = spectral.principal_components(image).reduce(num=3)
    return {
        "fit": lambda: spectral.principal_components(image).reduce(num=3),
        "project": lambda: found.transform(image),
    }


W1, W3 = rx, pca
