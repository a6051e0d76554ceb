"""Three bands for RX on SYNTHETIC lentils: fixed, mRMR, learned by gradients, and searched for.

    python plugins/mrmr/benchmarks/lentils.py [--seeds 7 1 2] [--write]

Every triple gets the same detector: global RX of the unscaled bands, fitted on the training
scenes. Fixed and mRMR bands and the discriminant's search see the training scenes alone;
ConcreteBandSelector (configs/bands/concrete.yaml) and the search over RX, a beam over pairs with
exchanges of single bands, also see the validation scenes, by average precision. All are scored on
the test scenes. ``--write`` puts the table into the plugin's README.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from use import README, Array, chosen, write

import specloom

CONFIG = Path(__file__).parents[3] / "configs/bands/concrete.yaml"
BEAM = 20
Pixels = tuple[Array, Array]
"""Values (N, C) and labels (N,)."""


class GlobalRX:
    """Squared Mahalanobis distances from the training pixels, of any few of their bands."""

    def __init__(self, rows: Array) -> None:
        self.mean, self.covariance = rows.mean(0), np.cov(rows.T)

    def scores(self, rows: Array, bands: Sequence[int]) -> Array:
        """The scores (N,) of the bands of ``rows`` (N, C)."""
        some = list(bands)
        root = np.linalg.cholesky(np.linalg.inv(self.covariance[np.ix_(some, some)]))
        white: Array = (rows[:, some] - self.mean[some]) @ root
        found: Array = (white**2).sum(1)
        return found


def precision(scores: Array, labels: Array) -> float:
    """The average precision; a fast one, for the search."""
    ranked = labels[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(ranked)[ranked]
    return float((hits / (np.flatnonzero(ranked) + 1)).mean())


def beam_search(rx: GlobalRX, rows: Array, labels: Array) -> list[int]:
    """The best triple found from the best pairs, then by exchanging one band at a time."""
    every = range(rows.shape[1])

    def value(bands: tuple[int, ...]) -> float:
        return precision(rx.scores(rows, bands), labels)

    pairs = sorted(itertools.combinations(every, 2), key=value, reverse=True)[:BEAM]
    known: dict[tuple[int, ...], float] = {}
    best_pairs: list[tuple[int, ...]] = list(pairs)
    while True:
        for few, band in itertools.product(best_pairs, every):
            if band not in few and (triple := tuple(sorted((*few, band)))) not in known:
                known[triple] = value(triple)
        best = max(known, key=lambda triple: known[triple])
        best_pairs = list(itertools.combinations(best, 2))
        if all(
            tuple(sorted({*two, b})) in known for two in best_pairs for b in every if b not in two
        ):
            return list(best)


def pixels(run: Any, split: str) -> Pixels:
    """The pixels of a split, and which are anomalous."""
    batches = list(run.source.batches(split))
    cubes = [batch["cube"].reshape(-1, batch["cube"].shape[-1]) for batch in batches]
    marks = [batch["mask"].reshape(-1) for batch in batches]
    return np.concatenate(cubes), np.concatenate(marks) > 1


def study(overrides: Sequence[str] = ()) -> dict[str, tuple[float, float, list[float]]]:
    """Of each way: average precision and ROC-AUC on the test scenes, and the bands in nm."""
    run = specloom.load(CONFIG, overrides, device="cpu")
    train, val, test = (pixels(run, split) for split in ("train", "val", "test"))
    rx = GlobalRX(train[0].astype(np.float64))
    centres = run.source.wavelengths.tolist()
    ways = chosen(*train, centres)
    ways["discriminant's search"] = ways.pop("search")
    run.run()
    ways["ConcreteBandSelector"] = run.graph.nodes["bands"].get_selected_bands().tolist()
    ways["search over RX"] = beam_search(rx, *val)
    ways["(all bands)"] = list(range(len(centres)))
    made = {}
    for name, bands in ways.items():
        scores = rx.scores(test[0], bands)
        both = average_precision_score(test[1], scores), roc_auc_score(test[1], scores)
        made[name] = (*both, [round(centres[band]) for band in bands])
    return made


def lines(seeds: Sequence[int], found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The Markdown table: test average precision and bands of each seed, and means."""
    titles = " | ".join(f"seed {seed}" for seed in seeds)
    yield f"| three bands | mean AP | mean ROC-AUC | {titles} |"
    yield "|---" * (len(seeds) + 3) + "|"
    for name in found[0]:
        means = np.mean([one[name][:2] for one in found], 0)
        cells = [
            f"{one[name][0]:.3f}" + (f" ({', '.join(map(str, nm))} nm)" if len(nm) == 3 else "")
            for one in found
            for nm in [one[name][2]]
        ]
        yield f"| {name} | {means[0]:.3f} | {means[1]:.3f} | {' | '.join(cells)} |"


def main() -> None:
    """Study the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 1, 2], help="of the scenes")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    found = [study([f"data.config.seed={seed}"]) for seed in options.seeds]
    print(text := "\n".join(lines(options.seeds, found)))
    if options.write:
        write(README, text, "lentils")


if __name__ == "__main__":
    main()
