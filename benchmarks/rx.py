"""RX fit and score beside SPy on the same pixels, interleaved in one run; prints JSON.

    python benchmarks/rx.py [--size 512 512 61] [--repeats 7] [--threads 1]

Times are milliseconds, the median of the repeats; ``ratio`` is SPy's time over ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from spectral import calc_stats, rx

from specloom_rx.detector import RXGlobal


def pixels(height: int, width: int, bands: int) -> np.ndarray:
    """Six smooth sources, noise and an offset, like the spectra of a real scene; float32."""
    rng = np.random.default_rng(0)
    grid = np.linspace(0, 1, bands)
    sources = np.stack([np.exp(-(((grid - c) / 0.2) ** 2)) for c in np.linspace(0, 1, 6)])
    mixed = rng.dirichlet(np.ones(6), (height, width)) @ sources
    return (mixed + 0.01 * rng.normal(size=mixed.shape) + 0.1).astype("float32")


def timed(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median time of each call in milliseconds, the calls taking turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            found[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def main() -> None:
    """Time both and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=3, default=[512, 512, 61])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cube = pixels(*options.size)
    data, node = torch.from_numpy(cube[None]), RXGlobal(cube.shape[2])

    def fit() -> None:
        node.fit_start(0)
        node.fit_update(data)
        node.fit_end()

    fit()
    background = calc_stats(cube)
    calls = {
        "fit": fit,
        "spy fit": lambda: calc_stats(cube),
        "score": lambda: node(data)["scores"],
        "spy score": lambda: rx(cube, background=background),
    }
    with torch.no_grad():
        ours, theirs = node(data)["scores"][0, ..., 0].numpy(), rx(cube, background=background)
        times = timed(calls, options.repeats)
    figures = {
        "size": options.size,
        "threads": options.threads,
        "milliseconds": {name: round(value, 1) for name, value in times.items()},
        "ratio": {name: round(times[f"spy {name}"] / times[name], 2) for name in ("fit", "score")},
        "largest relative difference of the scores": float(np.max(np.abs(ours / theirs - 1))),
        "scored in": node.fit_summary().rpartition(" ")[2],
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
