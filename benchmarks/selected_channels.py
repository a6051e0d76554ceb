"""Few channels that a selector learns, beside other choices of as many, with RX on them alone.

The run file is configs/selected_channels.yaml. Every choice is evaluated in its graph: RX is fitted
on the chosen channels of the training split, the threshold is calibrated on the validation split,
and the test split is measured. Data: its synthetic lentils, and, where SPECLOOM_TEST_DATA is there,
EnMAP tiles and Salinas-A with one class as the anomaly. A seed of which a split lacks the class is
passed over, and reported. Prints tables as Markdown.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch

import specloom
from specloom import DataError, Run, SpecloomError
from specloom.runfile.yaml import Document, read

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
RUN_FILE = ROOT / "configs/selected_channels.yaml"
SHOWN = ("average_precision", "roc_auc", "iou")
CHANNELS = 3
DRAWS = 5
"""Random choices for each seed."""
SEARCHED = 6000
"""Normal pixels at most of which the search ranks its choices."""


def synthetic(seed: int) -> dict[str, Any]:
    """The run file's own lentils."""
    config = {"scenes": 32, "seed": seed, "batch_size": 4, "anomalies": ["lacquer"]}
    return {"type": "cubes.Synthetic", "config": config}


def usual(seed: int) -> dict[str, Any]:
    """Lentils whose foreign bodies differ in all bands."""
    return {"type": "cubes.Synthetic", "config": {"scenes": 32, "seed": seed, "batch_size": 4}}


def enmap(seed: int) -> dict[str, Any]:
    """The ten EnMAP tiles, dealt out as a whole."""
    folder = DATA / "enmap_potsdam"
    config = {"path": f"{folder}/images", "masks": f"{folder}/labels", "pattern": "*.tif"}
    return {"type": "cubes.Folder", "config": {**config, "batch_size": 1, "seed": seed}}


def salinas(seed: int) -> dict[str, Any]:
    """Salinas-A in blocks of 10 x 10 pixels, with even wavelengths, as its file states none."""
    folder = DATA / "salinas_a"
    table = Path(tempfile.gettempdir()) / "salinas_wavelengths.csv"
    table.write_text("nm\n" + "\n".join(f"{one:.1f}" for one in np.linspace(400, 2500, 204)))
    config = {
        "cube": str(folder / "SalinasA_corrected.mat"),
        "mask": str(folder / "SalinasA_gt.mat"),
        "wavelengths": str(table),
        "block": 10,
        "batch_size": 1,
        "seed": seed,
    }
    return {"type": "cubes.Blocks", "config": config}


ENMAP_CLASSES = (1, 2, 3, 4, 5, 6)
SALINAS_CLASSES = (1, 10, 11, 12, 13, 14)


def without(classes: Sequence[int], anomaly: int) -> list[int]:
    """The classes but for one."""
    return [one for one in classes if one != anomaly]


#: By name: the data of a seed, and, for each case, the classes that are normal and the anomaly.
SETS: dict[str, Any] = {
    "synthetic, few bands": (synthetic, [([0, 1], None)]),
    "synthetic, all bands": (usual, [([0, 1], None)]),
    "EnMAP": (enmap, [(without(ENMAP_CLASSES, 2), 2)]),
    "Salinas-A": (salinas, [(without(SALINAS_CLASSES, 11), 11)]),
}


def document_of(data: dict[str, Any], case: tuple[list[int], int | None]) -> Document:
    """The run file on some data."""
    document = read(RUN_FILE)
    document.value["data"] = data
    normal, anomaly = case
    ids: dict[str, Any] = {"normal_class_ids": normal}
    if anomaly is not None:
        ids["anomaly_class_ids"] = [anomaly]
    document.value["nodes"]["data"]["config"] = ids
    del document.value["nodes"]["tensorboard"]
    connections = document.value["connections"]
    document.value["connections"] = [one for one in connections if "tensorboard" not in one[1]]
    return document


def metrics_of(run: Run) -> list[float]:
    """The metrics of the test split."""
    return [run.metrics["test"][f"metrics/{name}"] for name in SHOWN]


def trained(document: Document) -> tuple[float, list[int]]:
    """The effective channels of the trained selector, and the channels of its largest weights."""
    document = deepcopy(document)
    document.value["phases"] = document.value["phases"][:2]
    run = specloom.load(document, device="cpu")
    run.run()
    selector = run.graph.nodes["selector"]
    chosen = sorted(selector.logits.topk(CHANNELS).indices.tolist())
    return selector.effective_channels(), chosen


def fixed(document: Document, channels: Sequence[int]) -> list[float]:
    """The metrics of some channels, without training."""
    document = deepcopy(document)
    phases = document.value["phases"]
    phases = [one for one in phases if "Gradient" not in one["type"]]
    document.value["phases"] = phases
    nodes = document.value["nodes"]
    nodes["channels"]["config"]["k"] = len(channels)
    for name in ("rx", "logits", "bce", "entropy"):
        del nodes[name]
    pairs = document.value["connections"]
    document.value["connections"] = [
        one for one in pairs if one[1].partition(".")[0] in nodes and one[0].split(".")[0] in nodes
    ]
    try:
        return metrics_of(run_of_channels(document, channels))
    except DataError:
        # No threshold is better than to decide almost all pixels, which the calibration refuses.
        document.value["phases"] = [one for one in phases if "Calibrate" not in one["type"]]
        found = metrics_of(run_of_channels(document, channels))
        return [*found[:-1], 0.0]


def run_of_channels(document: Document, channels: Sequence[int]) -> Run:
    """A run in which the selector has chosen some channels."""
    run = specloom.load(document, device="cpu")
    logits = torch.full_like(run.graph.nodes["selector"].logits, -1000.0)
    logits[list(channels)] = 1000.0
    run.graph.nodes["selector"].logits.copy_(logits)
    run.run()
    return run


def mrmr(document: Document) -> list[int]:
    """The channels that mRMR of the whole spectrum chooses on the training split."""
    other = read(ROOT / "configs/bands/mrmr_full.yaml")
    other.value["data"] = document.value["data"]
    other.value["nodes"]["data"]["config"] = document.value["nodes"]["data"]["config"]
    other.value["phases"] = [{"type": "training.StatisticalTrainer"}]
    run = specloom.load(other, device="cpu")
    run.run()
    found: list[int] = run.graph.nodes["bands"].selected_indices.tolist()
    return found


def training_pixels(document: Document) -> tuple[Any, Any]:
    """Pixels (N, C) of the training split, and whether each is an anomaly."""
    run = specloom.load(document, device="cpu")
    plan = run.plan("train", ["data.cube", "data.mask", "data.valid", "data.labelled"])
    spectra = []
    labels = []
    with run.inference():
        for batch in run.batches("train"):
            values = plan(batch)
            usable = torch.ones_like(values["data.mask"])
            for name in ("data.valid", "data.labelled"):
                if values[name] is not None:
                    usable = usable & values[name]
            counted = usable[..., 0]
            spectra.append(values["data.cube"][counted].double())
            labels.append(values["data.mask"][counted][:, 0])
    return torch.cat(spectra).numpy(), torch.cat(labels).numpy()


def search(document: Document) -> list[int]:
    """The channels by exhaustive search of pairs, then greedily, by training average precision."""
    pixels, labels = training_pixels(document)
    mean = pixels.mean(0)
    covariance = np.cov(pixels.T)
    generator = np.random.default_rng(0)
    normal = np.flatnonzero(~labels)
    if len(normal) > SEARCHED:
        normal = generator.choice(normal, SEARCHED, replace=False)
    rows = np.concatenate([np.flatnonzero(labels), normal])
    centred = pixels[rows] - mean
    ranked = labels[rows]

    def quality(channels: list[int]) -> float:
        part = centred[:, channels]
        inverse = np.linalg.pinv(covariance[np.ix_(channels, channels)])
        scores = ((part @ inverse) * part).sum(1)
        return average_precision(scores, ranked)

    count = pixels.shape[1]
    pairs = [[one, other] for one in range(count) for other in range(one + 1, count)]
    chosen = max(pairs, key=quality)
    while len(chosen) < CHANNELS:
        rest = [one for one in range(count) if one not in chosen]
        chosen = max(([*chosen, one] for one in rest), key=quality)
    return chosen


def average_precision(scores: Any, labels: Any) -> float:
    """Average precision of scores, without ties."""
    hits = labels[np.argsort(-scores)]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def choices(
    document: Document, seed: int, searches: bool
) -> Iterator[tuple[str, list[float], Any]]:
    """Each choice of channels: its name, its metrics, and what is to be said of it."""
    effective, chosen = trained(document)
    about = {"effective": effective, "channels": chosen}
    yield "trained selector", fixed(document, chosen), about
    count = len(specloom.load(document, device="cpu").graph.nodes["selector"].logits)
    yield "all channels", fixed(document, range(count)), {}
    channels = mrmr(document)
    yield "mRMR", fixed(document, channels), {"channels": sorted(channels)}
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(count, CHANNELS, replace=False).tolist() for _ in range(DRAWS)]
    found = [fixed(document, one) for one in drawn]
    columns = zip(*found, strict=True)
    yield "random", [statistics.fmean(column) for column in columns], {"channels": drawn}
    if searches:
        channels = search(document)
        yield "search", fixed(document, channels), {"channels": sorted(channels)}


def main() -> None:
    """Run every choice on every case and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9, 10, 11])
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--search", action="store_true", help="add a search of all pairs")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: list[dict[str, Any]] = []
    for name in options.only:
        source, cases = SETS[name]
        for case in cases:
            for seed in options.seeds:
                document = document_of(source(seed), case)
                try:
                    rows = list(choices(document, seed, options.search))
                except (SpecloomError, KeyError) as e:
                    print(f"{name} {case[1]} {seed}: {type(e).__name__} {e}", file=sys.stderr)
                    continue  # a split without the class
                for choice, metrics, about in rows:
                    values = dict(zip(SHOWN, metrics, strict=True))
                    place = {"data": name, "anomaly": case[1], "seed": seed, "choice": choice}
                    found.append({**place, **values, **about})
                if options.json:
                    options.json.write_text(json.dumps(found, indent=1), "utf-8")
        print_table(name, [one for one in found if one["data"] == name])


def print_table(name: str, rows: list[dict[str, Any]]) -> None:
    """One row for each choice: means over cases and seeds."""
    pairs = {(one["anomaly"], one["seed"]) for one in rows}
    print(f"\n{name}, {len(pairs)} runs\n\n| channels | {' | '.join(SHOWN)} | effective |")
    print("|---|" + "---|" * (len(SHOWN) + 1))
    for choice in dict.fromkeys(one["choice"] for one in rows):
        own = [one for one in rows if one["choice"] == choice]
        means = [statistics.fmean(one[metric] for one in own) for metric in SHOWN]
        cells = [f"{mean:.3f}" for mean in means]
        effective = [one["effective"] for one in own if "effective" in one]
        shown = f"{max(effective):.1f} at most" if effective else "-"
        print(f"| {choice} | {' | '.join(cells)} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
