"""Detectors on six published scenes: areas, false alarms, time and memory, beside published values.

Each detector is fitted on the scene that it scores, in a process of its own, with one thread. Needs
SPECLOOM_TEST_DATA. Prints tables as Markdown; ``--keep`` writes the results to leaderboard.json,
and the tables and the chart of docs/explanation/choosing-a-detector.md, which ``--tables`` makes
again from these results.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import leaderboard_chart
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explanation/choosing-a-detector.md"
CHART = ROOT / "docs/images/choosing-a-detector.svg"
RESULTS = ROOT / "benchmarks/leaderboard.json"
START = "<!-- leaderboard -->"
END = "<!-- /leaderboard -->"
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SCENES = {
    "airport-1": "abu/abu-airport-1.mat",
    "airport-4": "abu/abu-airport-4.mat",
    "urban-1": "abu/abu-urban-1.mat",
    "urban-4": "abu/abu-urban-4.mat",
    "San Diego": "sandiego/sandiego_plane.mat",
    "HYDICE": "hydice/HYDICE_urban.mat",
}


class Detector(NamedTuple):
    """A detector, and how it is fitted."""

    path: str
    """Module and class."""
    parameters: Mapping[str, Any] = {}
    draws: bool = False
    """It draws at random, so that the mean over some random states counts."""
    knows_target: bool = False
    """Its target is the mean of the anomalous pixels: an upper end, no anomaly detector."""


NEIGHBOURS = "specloom_neighbours:CoresetNeighbours"
ESTIMATOR = "specloom_outliers:Estimator"
MIXTURE = {"estimator": "GaussianMixture", "options": {"n_components": 5}, "components": 20}
SVM = {"estimator": "OneClassSVM", "components": 20}
# As the areas of the data README were found: the target stays in the background.
KNOWN = {"exclude_targets": False}
DETECTORS = {
    "global RX": Detector("specloom_rx:RXGlobal"),
    "robust RX": Detector("specloom_rx:RobustRX"),
    "subspace RX": Detector("specloom_rx:SubspaceRX"),
    "local RX": Detector("specloom_rx:LocalRX"),
    "coreset": Detector(NEIGHBOURS, draws=True),
    "isolation forest": Detector(ESTIMATOR, draws=True),
    "isolation forest, 20 components": Detector(ESTIMATOR, {"components": 20}, draws=True),
    "one-class SVM, 20 components": Detector(ESTIMATOR, SVM, draws=True),
    "Gaussian mixture, 20 components": Detector(ESTIMATOR, MIXTURE, draws=True),
    "spectral angle, known target": Detector("specloom_targets:SpectralAngle", knows_target=True),
    "ACE, known target": Detector("specloom_targets:ACE", KNOWN, knows_target=True),
    "matched filter, known target": Detector(
        "specloom_targets:MatchedFilter", KNOWN, knows_target=True
    ),
}
DRAWS = 5
BASELINE = "global RX"
DETECTION_RATE = 0.95
NORMAL_QUANTILE = 1.959964
"""Of the two-sided interval of 95 %."""

# The areas that the README of SM-HAD (IEEE TGRS 2026, doi 10.1109/TGRS.2026.3676658) lists; of
# LREN on San Diego that of its own README, and of LRASR on HYDICE that of the repository
# invadwe/lrasr-hsi-anomaly.
PUBLISHED = {
    "RX": {"airport-1": 0.8221, "airport-4": 0.9526, "urban-1": 0.9907},
    "CRD": {"airport-1": 0.9212, "airport-4": 0.9445, "urban-1": 0.9940},
    "KIFD": {"airport-1": 0.9359, "airport-4": 0.9728, "urban-1": 0.9303},
    "2S-GLRT": {"airport-1": 0.9236, "airport-4": 0.9183, "urban-1": 0.9970},
    "Auto-AD": {"airport-1": 0.9207, "airport-4": 0.9672, "urban-1": 0.9909},
    "LREN": {"airport-1": 0.7327, "airport-4": 0.8293, "urban-1": 0.9783, "San Diego": 0.9897},
    "LRASR": {"HYDICE": 0.9719},
    "PDBSNet": {"airport-1": 0.9005, "airport-4": 0.9905, "urban-1": 0.9913},
    "GT-HAD": {"airport-1": 0.9515, "airport-4": 0.9888, "urban-1": 0.9969},
}

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PRELOADED = [
    "scipy.io",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.metrics",
    "sklearn.mixture",
    "sklearn.svm",
    "skops.io",
    "specloom.testing",
    "specloom_neighbours.detector",
    "specloom_outliers.detector",
    "specloom_rx.detector",
    "specloom_targets.ace",
    "torch",
]
WARM_UP = 24
"""Rows and columns of a part of the scene that is scored first, so that all is imported."""

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
    """Of the processor, for fit and scores."""
    megabytes: float
    """What fit and scores add to the peak of the process."""


Results: TypeAlias = dict[str, dict[str, Result]]
"""By detector and scene."""


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


def measure(name: str, file: str) -> Result:
    """Fit one detector on a scene and score it, in a process where nothing else runs.

    Of a detector that draws, it is the mean over some random states.
    """
    warnings.simplefilter("ignore")
    detector = DETECTORS[name]
    content = loadmat(file)
    cube = content["data"].astype(np.float32)
    mask = content["map"] > 0
    corner = slice(0, WARM_UP)
    target = np.zeros((WARM_UP, WARM_UP), bool)
    target[0] = True
    score_scene(detector, cube[corner, corner], target, {})
    found = []
    for number in range(DRAWS if detector.draws else 1):
        drawn = {"random_state": number} if detector.draws else {}
        found.append(measure_draw(detector, cube, mask, drawn))
    megabytes = found[0].megabytes
    mean = Result(*(float(column) for column in np.mean(found, 0)))
    # Later draws add nothing to a peak that was reached before.
    return mean._replace(megabytes=megabytes)


def measure_draw(detector: Detector, cube: Array, mask: Array, drawn: Mapping[str, int]) -> Result:
    """The result with one random state."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    scores = score_scene(detector, cube, mask, drawn)
    seconds = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flat = mask.ravel()
    area, half_interval = area_with_interval(scores, flat)
    precision = float(average_precision_score(flat, scores))
    alarms = false_alarm_rate(scores, flat)
    return Result(area, half_interval, precision, alarms, seconds, (after - before) / 1024)


def score_scene(detector: Detector, cube: Array, mask: Array, drawn: Mapping[str, int]) -> Array:
    """The scores of all pixels of a scene that the detector is fitted on, (H*W,)."""
    import torch

    from specloom.testing import fit, run

    module, _, name = detector.path.partition(":")
    cls = getattr(importlib.import_module(module), name)
    node = cls(num_channels=cube.shape[2], **detector.parameters, **drawn)
    batch = {"data": torch.from_numpy(cube)[None]}
    if detector.knows_target:
        batch["mask"] = torch.from_numpy(mask)[None, ..., None]
    if hasattr(node, "fit_passes"):
        fit(node, [batch])
    scores: Array = run(node, batch)["scores"].flatten().numpy()
    return scores


def measure_all(detectors: Sequence[str], scenes: Sequence[str]) -> Results:
    """The results of detectors on scenes, each in a process of its own."""
    for name in THREADS:
        os.environ[name] = "1"
    # Each process is a copy of one that has imported everything.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    results: Results = {}
    for detector in detectors:
        results[detector] = {}
        for scene in scenes:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                found = pool.submit(measure, detector, str(DATA / SCENES[scene])).result()
            results[detector][scene] = found
            print(detector, scene, f"{found.area:.4f}", file=sys.stderr, flush=True)
    return results


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_scene(results: Mapping[str, Mapping[str, Result]], field: str, digits: int) -> str:
    """One row for each detector, one column for each scene, and the mean of a field."""
    scenes = list(next(iter(results.values())))
    rows = []
    for detector, found in results.items():
        values = [getattr(found[scene], field) for scene in scenes]
        cells = [f"{value:.{digits}f}" for value in values]
        if field == "area":
            halves = [found[scene].half_interval for scene in scenes]
            cells = [f"{cell} ± {half:.4f}" for cell, half in zip(cells, halves, strict=True)]
        rows.append([detector, *cells, f"{np.mean(values):.{digits}f}"])
    return table(["detector", *scenes, "mean"], rows)


def means(found: Mapping[str, Result]) -> tuple[float, float]:
    """Mean area and mean average precision over the scenes."""
    area = float(np.mean([result.area for result in found.values()]))
    precision = float(np.mean([result.precision for result in found.values()]))
    return area, precision


def comparison(results: Mapping[str, Mapping[str, Result]]) -> str:
    """Which detectors beat global RX: those whose both means are above its."""
    if BASELINE not in results:
        return ""
    area, precision = means(results[BASELINE])
    rows = []
    for name, found in results.items():
        if name == BASELINE or DETECTORS[name].knows_target:
            continue
        own_area, own_precision = means(found)
        verdict = "does not beat it: lower mean area"
        if own_area > area:
            verdict = "beats it"
        if own_precision < precision:
            verdict = "does not beat it: lower mean average precision"
        if own_precision < precision and own_area < area:
            verdict = "does not beat it: both means are lower"
        gains = [f"{own_area - area:+.4f}", f"{own_precision - precision:+.4f}"]
        higher = 0
        for scene, result in found.items():
            other = results[BASELINE][scene]
            higher += result.area > other.area and result.precision > other.precision
        rows.append([name, *gains, f"{higher} of {len(found)}", verdict])
    head = [
        f"beside {BASELINE}",
        "mean ROC-AUC",
        "mean average precision",
        "scenes where both are higher",
        "verdict",
    ]
    return table(head, rows)


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
        "**ROC-AUC**, with half of its interval of 95 %",
        by_scene(results, "area", 4),
        published(scenes),
        "**Average precision**",
        by_scene(results, "precision", 4),
        comparison(results),
        "**False alarms**: the share of normal pixels where 95 % of the anomalous ones are found",
        by_scene(results, "false_alarms", 4),
        "**Seconds** of one processor core, for fit and scores",
        by_scene(results, "seconds", 2),
        "**Megabytes** that fit and scores add to the peak of memory",
        by_scene(results, "megabytes", 0),
    ]
    return "\n\n".join(part for part in parts if part)


def as_json(results: Mapping[str, Mapping[str, Result]]) -> str:
    """The results as JSON, rounded to what the tables show and two digits more."""
    plain: dict[str, dict[str, dict[str, float]]] = {}
    for detector, found in results.items():
        plain[detector] = {}
        for scene, result in found.items():
            fields = result._asdict().items()
            plain[detector][scene] = {name: round(value, 6) for name, value in fields}
    return json.dumps(plain, indent=1) + "\n"


def from_json(text: str) -> Results:
    """The results that ``as_json`` wrote."""
    results: Results = {}
    for detector, found in json.loads(text).items():
        results[detector] = {scene: Result(**fields) for scene, fields in found.items()}
    return results


def page_with_tables(page: str, results: Results) -> str:
    """A page with its tables made again, between the markers."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{report(results)}\n\n{END}{after}"


def keep(results: Results) -> None:
    """Write the results, the tables of the page and its chart."""
    RESULTS.write_text(as_json(results), "utf-8")
    # What was written is rounded: the same tables follow from the file.
    rounded = from_json(RESULTS.read_text("utf-8"))
    PAGE.write_text(page_with_tables(PAGE.read_text("utf-8"), rounded), "utf-8")
    CHART.write_text(leaderboard_chart.draw(rounded, DETECTORS), "utf-8")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--keep", action="store_true", help="write results, tables and chart")
    parser.add_argument("--tables", action="store_true", help="measure nothing, use the results")
    options = parser.parse_args()
    if options.tables:
        results = from_json(RESULTS.read_text("utf-8"))
    else:
        results = measure_all(options.detectors, options.scenes)
    if options.keep:
        keep(results)
    print(as_json(results) if options.json else report(results))


if __name__ == "__main__":
    main()
