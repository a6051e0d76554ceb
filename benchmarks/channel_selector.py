"""What training adds to RX on synthetic lentils, and which part of the graph adds it.

Test IoU at the best checkpoint, for each seed of the data, beside RX with the same shrinkage on
the same scenes; thresholds of both are calibrated on the validation scenes. Prints a table as
Markdown, or JSON with ``--json``.
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path

import specloom

CONFIGS = Path(__file__).parents[1] / "configs"
TRAIN = "phases.1.config"
SHRINKAGE = "nodes.rx.config.shrinkage"

#: By name: the run file, and what is changed of it.
VARIANTS: dict[str, tuple[str, list[str]]] = {
    "RX without training": ("rx_statistical", [f"{SHRINKAGE}=1e-4"]),
    "RX, shrinkage 0": ("rx_statistical", []),
    "channel_selector.yaml": ("channel_selector", []),
    "only the selector and the head are trained": (
        "channel_selector",
        [f"{TRAIN}.unfreeze=[selector, logits]", f"{TRAIN}.optimizer.lr=0.1"],
    ),
    "only RX and the head are trained": (
        "channel_selector",
        [f"{TRAIN}.unfreeze=[rx, logits]", "-entropy", "-diversity"],
    ),
    "RX and the head behind a selector that does not anneal": (
        "channel_selector",
        [
            f"{TRAIN}.unfreeze=[rx, logits]",
            "nodes.selector.config.temperature_decay=1.0",
            "-entropy",
            "-diversity",
        ],
    ),
    "RX does not follow the weights": ("channel_selector", ["-rx.weights"]),
    "without refit": ("channel_selector", [f"{TRAIN}.refit=[]"]),
    "without pos_weight": ("channel_selector", ["nodes.bce.config.pos_weight=null"]),
    "without entropy": ("channel_selector", ["-entropy"]),
    "without diversity": ("channel_selector", ["-diversity"]),
    "with Gumbel noise": ("channel_selector", ["nodes.selector.config.gumbel=true"]),
    "shrinkage 0": ("channel_selector", [f"{SHRINKAGE}=0"]),
    "shrinkage 1e-3": ("channel_selector", [f"{SHRINKAGE}=1e-3"]),
    "shrinkage 0.01": ("channel_selector", [f"{SHRINKAGE}=0.01"]),
}


def test_iou(file: str, changes: list[str], seed: int, epochs: int) -> float:
    """The test IoU of one run."""
    from specloom.runfile.yaml import read

    document = read(CONFIGS / f"{file}.yaml")
    for gone in (change[1:] for change in changes if change.startswith("-")):
        pairs = document.value["connections"]
        remaining = [p for p in pairs if gone not in (p[1], p[1].partition(".")[0])]
        document.value["connections"] = remaining
        document.value["nodes"].pop(gone, None)
    sets = [change for change in changes if not change.startswith("-")]
    sets.append(f"data.config.seed={seed}")
    if file == "channel_selector":
        sets.append(f"{TRAIN}.epochs={epochs}")
    run = specloom.load(document, sets, device="cpu")
    run.run()
    return run.metrics["test"]["metrics/iou"]


def main() -> None:
    """Run the variants and print their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9, 10, 11])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, list[float]] = {}
    if not options.json:
        print("| test IoU |", *(f"seed {seed} |" for seed in options.seeds), "mean |")
        print("|---|" + "---|" * (len(options.seeds) + 1))
    for name in options.only:
        found[name] = [test_iou(*VARIANTS[name], seed, options.epochs) for seed in options.seeds]
        if not options.json:
            row = " | ".join(f"{value:.3f}" for value in found[name])
            print(f"| {name} | {row} | {statistics.fmean(found[name]):.3f} |", flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
