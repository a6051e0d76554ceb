"""One of several processes that train together: ``training_processes.py FOLDER``.

``RANK``, ``WORLD_SIZE`` and so on are set as ``torchrun`` sets them.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path

import torch

from specloom import impl
from specloom.contract.ports import Connection
from specloom_normalize.min_max import MinMaxNormalizer
from specloom_rx.logit import ScoreToLogit
from specloom_training.gradient import GradientTrainer
from specloom_training.statistical import StatisticalTrainer

sys.path.append(str(Path(__file__).parent))
import training_toys as toys  # its folder is on the path only now


class Recording:
    def __init__(self):
        self.values = {}

    @impl
    def recorded(self, step, values):
        self.values |= {f"{name} {step}": value for name, value in values.items()}


KINDS = {"shuffled": toys.Scenes, "in turn": toys.InTurn}


def trained(folder: Path, world: int, rank: int, kind: str) -> None:
    """Train with a global batch of 4 of 9 images, and write what came out."""
    torch.set_num_threads(1)
    nodes = toys.nodes_of(noise=0.1)
    nodes |= {"double": MinMaxNormalizer(), "head": ScoreToLogit(), "small": toys.Small(1e-6)}
    nodes |= {"flat": toys.Flat()}
    nodes["bce"] = toys.Bce(rows=True)
    links = [
        Connection("batch.cube", "double.data"),
        Connection("double.normalized", "weigh.data"),
        Connection("weigh.logits", "head.scores"),
        Connection("head.logits", "small.logits"),
        Connection("weigh.used", "flat.used"),
        Connection("head.logits", "metrics.logits"),
        *(link for link in toys.LINKS if link.source == "batch.mask"),
        Connection("head.logits", "bce.logits"),
        Connection("head.logits", "decider.logits"),
        Connection("decider.decisions", "metrics.decisions"),
    ]
    source = KINDS[kind](images=9, batch_size=4 // world)
    folder.mkdir(parents=True, exist_ok=True)
    run, watch = toys.run_of(nodes, source, links), Recording()
    run.folder = folder
    run.plugins.manager.register(watch)
    nodes["weigh"].weights += 0.1
    StatisticalTrainer().train(run)
    fitted = {name: value.clone() for name, value in nodes["head"].state().items()}
    phase = GradientTrainer(
        unfreeze=["weigh", "head"],
        refit=["head"],
        epochs=3,
        optimizer={"name": "sgd", "lr": 0.1},
        scheduler={"name": "reduce_on_plateau", "monitor": "metrics/iou", "patience": 1},
        checkpoint={"monitor": "val/metrics/iou", "mode": "max"},
    )
    phase.train(run)
    tensors = {f"fitted/{name}": value for name, value in fitted.items()}
    tensors |= dict(run.graph.state().items())
    (folder / f"{rank}.safetensors").write_bytes(run.runtime.dump(tensors, {}))
    about = {"values": watch.values, "metrics": run.metrics, "best": phase.best_epoch}
    (folder / f"{rank}.json").write_text(json.dumps(about))


def still_there() -> None:
    """Print the threads of a process group that are left, which could abort the process."""
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    print(*(name for name in names if "gloo" in name), sep="\n", end="")


if __name__ == "__main__":
    atexit.register(still_there)  # before the trainers', which are called in reverse order
    size, number = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    for kind in KINDS:
        trained(Path(sys.argv[1]) / kind, size, number, kind)
