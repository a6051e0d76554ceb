"""A training in a process of its own, to be killed: ``python training_runner.py FOLDER [EPOCHS]``.

It goes on with what is in FOLDER, if anything is; after its first epoch it says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import specloom
from specloom_training.gradient import GradientTrainer

sys.path.append(str(Path(__file__).parent))
import training_toys as toys  # its folder is on the path only now


class Saying:
    @specloom.impl
    def epoch_ended(self, epoch):
        print(epoch, flush=True)


def trained(folder: Path, epochs: int, resumed: bool = True) -> specloom.Run:
    """A run of a noisy training, with all that a record must hold."""
    torch.set_num_threads(1)
    run = toys.run_of(noise=0.3, source=toys.Scenes(seed=5))
    run.folder, run.resumed = folder, resumed
    run.plugins.manager.register(Saying())
    plateau = {"name": "reduce_on_plateau", "monitor": "metrics/iou", "mode": "max", "patience": 1}
    GradientTrainer(
        unfreeze=["weigh"],
        epochs=epochs,
        optimizer={"name": "adamw", "lr": 0.05},
        scheduler=plateau,
        early_stopping=[{"monitor": "train/bce", "patience": 1000}],
        checkpoint={"monitor": "metrics/iou", "mode": "max", "save_top_k": 2, "save_last": True},
    ).train(run)
    return run


if __name__ == "__main__":
    trained(Path(sys.argv[1]), int(sys.argv[2]))
    print("done", flush=True)
