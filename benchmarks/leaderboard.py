"""Detectors on six published scenes: areas, false alarms, time and memory, beside published values.

Each detector is fitted on the scene that it scores, with its default parameters, in a process of
its own. Needs SPECLOOM_TEST_DATA. Prints tables as Markdown.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SCENES = {
    "airport-1": "abu/abu-airport-1.mat",
    "airport-4": "abu/abu-airport-4.mat",
    "urban-1": "abu/abu-urban-1.mat",
    "urban-4": "abu/abu-urban-4.mat",
    "San Diego": "sandiego/sandiego_plane.mat",
    "HYDICE": "hydice/HYDICE_urban.mat",
}
DETECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "global RX": ("specloom_rx:RXGlobal", {}),
    "robust RX": ("specloom_rx:RobustRX", {}),
    "subspace RX": ("specloom_rx:SubspaceRX", {}),
    "local RX": ("specloom_rx:LocalRX", {}),
    "coreset": ("specloom_neighbours:CoresetNeighbours", {}),
}
DRAWN = {"coreset": "random_state"}
"""Detectors that draw at random, and the parameter that makes them draw otherwise."""

DRAWS = 5
BASELINE = "global RX"
DETECTION_RATE = 0.95
NORMAL_QUANTILE = 1.959964
"""Of the two-sided interval of 95 %."""

# The areas that the README of SM-HAD (IEEE TGRS 2026, doi 10.1109/TGRS.2026.3676658) lists.
PUBLISHED = {
    "RX": {"airport-1": 0.8221, "airport-4": 0.9526, "urban-1": 0.9907},
    "CRD": {"airport-1": 0.9212, "airport-4": 0.9445, "urban-1": 0.9940},
    "KIFD": {"airport-1": 0.9359, "airport-4": 0.9728, "urban-1": 0.9303},
    "2S-GLRT": {"airport-1": 0.9236, "airport-4": 0.9183, "urban-1": 0.9970},
    "Auto-AD": {"airport-1": 0.9207, "airport-4": 0.9672, "urban-1": 0.9909},
    "LREN": {"airport-1": 0.7327, "airport-4": 0.8293, "urban-1": 0.9783},
    "PDBSNet": {"airport-1": 0.9005, "airport-4": 0.9905, "urban-1": 0.9913},
    "GT-HAD": {"airport-1": 0.9515, "airport-4": 0.9888, "urban-1": 0.9969},
}

Array = NDArray[Any]


class Result(NamedTuple):
    """One detector on one scene."""

    area: float
    """ROC-AUC."""
    half_interval: float
    """Half of its interval of 95 %."""
    precision: float
    """Average precision."""
    false_alarms: float
    """The share of normal pixels decided where 95 % of the anomalous ones are found."""
    seconds: float
    """Fit and scores."""
    megabytes: float
    """What fit and scores add to the peak of the process."""


def area_with_interval(scores: Array, mask: Array) -> tuple[float, float]:
    """The area under the ROC curve, and half of its interval of 95 %.

    Source: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44(3), 1988.
    """
    ranks = rankdata(scores)
    anomalous = (ranks[mask] - rankdata(scores[mask])) / (~mask).sum()
    normal = 1 - (ranks[~mask] - rankdata(scores[~mask])) / mask.sum()
    variance = anomalous.var(ddof=1) / len(anomalous) + normal.var(ddof=1) / len(normal)
    return float(anomalous.mean()), NORMAL_QUANTILE * float(np.sqrt(variance))


def false_alarm_rate(scores: Array, mask: Array) -> float:
    """The share of normal pixels at the highest threshold that finds 95 % of the anomalous ones."""
    rising = np.sort(scores[mask])
    missed = int((1 - DETECTION_RATE) * len(rising) + 1e-9)
    return float((scores[~mask] >= rising[missed]).mean())


def measure(path: str, parameters: Mapping[str, Any], file: str) -> Result:
    """Fit one detector on a scene and score it, in a process where nothing else runs."""
    import importlib

    import torch

    from specloom.testing import fit, run

    module, _, name = path.partition(":")
    detector = getattr(importlib.import_module(module), name)
    content = loadmat(file)
    cube = content["data"].astype(np.float32)
    mask = content["map"].ravel() > 0
    batch = {"data": torch.from_numpy(cube)[None]}
    node = detector(num_channels=cube.shape[2], **parameters)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if hasattr(node, "fit_passes"):
        fit(node, [batch])
    scores = run(node, batch)["scores"].flatten().numpy()
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    area, half_interval = area_with_interval(scores, mask)
    precision = float(average_precision_score(mask, scores))
    alarms = false_alarm_rate(scores, mask)
    return Result(area, half_interval, precision, alarms, seconds, (after - before) / 1024)


def measure_draws(detector: str, scene: str) -> Result:
    """The mean over the draws of a detector, each in a process of its own."""
    path, parameters = DETECTORS[detector]
    draws: list[dict[str, Any]] = [dict(parameters)]
    if detector in DRAWN:
        draws = [{**parameters, DRAWN[detector]: number} for number in range(DRAWS)]
    found = []
    context = multiprocessing.get_context("spawn")
    for draw in draws:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found.append(pool.submit(measure, path, draw, str(DATA / SCENES[scene])).result())
    return Result(*(float(column) for column in np.mean(found, 0)))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_scene(
    results: Mapping[str, Mapping[str, Result]], show: Callable[[Result], str], mean: str
) -> str:
    """One row for each detector, one column for each scene, and the mean of a field."""
    scenes = list(next(iter(results.values())))
    rows = []
    for detector, found in results.items():
        cells = [show(found[scene]) for scene in scenes]
        average = float(np.mean([getattr(result, mean) for result in found.values()]))
        rows.append([detector, *cells, f"{average:.4f}"])
    return table(["detector", *scenes, "mean"], rows)


def comparison(results: Mapping[str, Mapping[str, Result]]) -> str:
    """What may be said of each detector beside global RX, in one line each."""
    means = {}
    for detector, found in results.items():
        area = float(np.mean([result.area for result in found.values()]))
        precision = float(np.mean([result.precision for result in found.values()]))
        means[detector] = (area, precision)
    area, precision = means.get(BASELINE, (1.0, 1.0))
    lines = []
    for detector, (own_area, own_precision) in means.items():
        if detector == BASELINE or BASELINE not in means:
            continue
        line = f"- {detector}: one of both means is not above that of {BASELINE}"
        if own_area > area and own_precision > precision:
            line = f"- {detector}: above {BASELINE} in mean area and mean average precision"
        if own_precision < precision:
            line = f"- {detector}: mean average precision below that of {BASELINE}"
        lines.append(line)
    return "\n".join(lines)


def published(scenes: Sequence[str]) -> str:
    """The published areas of these scenes."""
    rows = []
    for method, areas in PUBLISHED.items():
        cells = [f"{areas[scene]:.4f}" if scene in areas else "" for scene in scenes]
        rows.append([method, *cells])
    return table(["published", *scenes], rows)


def report(results: Mapping[str, Mapping[str, Result]]) -> str:
    """All tables."""
    scenes = list(next(iter(results.values())))
    parts = [
        "ROC-AUC, with half of its interval of 95 %",
        by_scene(results, lambda one: f"{one.area:.4f} ± {one.half_interval:.4f}", "area"),
        published(scenes),
        "Average precision",
        by_scene(results, lambda one: f"{one.precision:.4f}", "precision"),
        comparison(results),
        "Share of false alarms where 95 % of the anomalous pixels are found",
        by_scene(results, lambda one: f"{one.false_alarms:.4f}", "false_alarms"),
        "Seconds for fit and scores, with the threads that are set",
        by_scene(results, lambda one: f"{one.seconds:.2f}", "seconds"),
        "Megabytes that fit and scores add to the peak of memory",
        by_scene(results, lambda one: f"{one.megabytes:.0f}", "megabytes"),
    ]
    return "\n\n".join(part for part in parts if part)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    results = {}
    for detector in options.detectors:
        results[detector] = {scene: measure_draws(detector, scene) for scene in options.scenes}
    if options.json:
        plain = {
            detector: {scene: result._asdict() for scene, result in found.items()}
            for detector, found in results.items()
        }
        print(json.dumps(plain, indent=2))
        return
    print(report(results))


if __name__ == "__main__":
    main()
