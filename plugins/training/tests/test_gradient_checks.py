"""What is wrong with a gradient phase is told before anything runs."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from specloom_training.gradient import GradientTrainer

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")


def found(nodes=None, links=None, **options) -> list[str]:
    run = toys.run_of(nodes, links=links)
    phase = GradientTrainer(**{"unfreeze": ["weigh"], **options})
    return [
        str(error)
        for error in phase.check(run.graph, lambda *keys: f"f:{'.'.join(map(str, keys))}")
    ]


MISTAKES = {
    "unfreeze": (
        {"unfreeze": ["weight"]},
        ["f:unfreeze: there is no node 'weight'\n  fix: did you mean 'weigh'?"],
    ),
    "nothing to train": (
        {"unfreeze": ["weigh", "double"]},
        ["f:unfreeze: node 'double' cannot be trained\n  fix: use one of: weigh"],
    ),
    "losses": (
        {"losses": ["bce", "metrics"]},
        ["f:losses: node 'metrics' cannot be minimised\n  fix: use one of: bce"],
    ),
    "no losses": (
        {"losses": []},
        [
            "f:losses: no loss in this graph is minimised\n"
            "  fix: add a loss node, such as losses.AnomalyBCEWithLogits"
        ],
    ),
    "refit": (
        {"refit": ["weigh"]},
        ["f:refit: node 'weigh' cannot be fitted\n  fix: remove refit"],
    ),
    "frozen": (
        {"unfreeze": []},
        [
            "f:unfreeze: every node is frozen: nothing can be learned\n"
            "  fix: name nodes under unfreeze: weigh"
        ],
    ),
    "optimizer": (
        {"optimizer": {"name": "adamx", "lr": 0.1}},
        ["f:optimizer.name: there is no optimizer 'adamx'\n  fix: did you mean 'adamax'?"],
    ),
    "optimizer parameter": (
        {"optimizer": {"name": "sgd", "momentun": 0.9}},
        ["f:optimizer.momentun: sgd has no parameter 'momentun'\n  fix: did you mean 'momentum'?"],
    ),
    "optimizer type": (
        {"optimizer": {"name": "adamw", "lr": "fast"}},
        [
            "f:optimizer.lr: adamw: lr should be a valid number, got 'fast'\n"
            "  fix: change lr, or remove it"
        ],
    ),
    "optimizer name": (
        {"optimizer": {"lr": 0.1}},
        ["f:optimizer: optimizer has no name\n  fix: add name: … to it"],
    ),
    "scheduler": (
        {"scheduler": {"name": "reduce_on_plato", "monitor": "train/bce"}},
        [
            "f:scheduler.name: there is no scheduler 'reduce_on_plato'\n"
            "  fix: did you mean 'reduce_on_plateau'?"
        ],
    ),
    "scheduler needs": (
        {"scheduler": {"name": "step"}},
        [
            "f:scheduler.name: step needs the parameter 'step_size'\n"
            "  fix: add step_size: … to the scheduler"
        ],
    ),
    "plateau": (
        {"scheduler": {"name": "reduce_on_plateau"}},
        [
            "f:scheduler: reduce_on_plateau needs the parameter 'monitor'\n"
            "  fix: add monitor: train/total"
        ],
    ),
    "no plateau": (
        {"scheduler": {"name": "step", "step_size": 2, "monitor": "train/bce"}},
        [
            "f:scheduler: step has no parameter 'monitor'\n"
            "  fix: use reduce_on_plateau, or remove it"
        ],
    ),
    "interval": (
        {"scheduler": {"name": "step", "step_size": 2, "interval": "steps"}},
        ["f:scheduler: scheduler: interval is 'steps'\n  fix: did you mean 'step'?"],
    ),
    "monitor": (
        {"early_stopping": [{"monitor": "train/bec"}]},
        [
            "f:early_stopping: early_stopping monitors 'train/bec', which nothing records\n"
            "  fix: did you mean 'train/bce/loss'?"
        ],
    ),
    "checkpoint monitor": (
        {"checkpoint": {"monitor": "metric/iou"}},
        [
            "f:checkpoint: checkpoint monitors 'metric/iou', which nothing records\n"
            "  fix: did you mean 'metrics/iou'?"
        ],
    ),
    "metric that is none": (
        {"checkpoint": {"monitor": "metrics/iuo"}},
        [
            "f:checkpoint: checkpoint monitors 'metrics/iuo', which nothing records\n"
            "  fix: did you mean 'metrics/iou'?"
        ],
    ),
    "checkpoint": (
        {"checkpoint": {"save_topk": 3, "mode": "max"}},
        [
            "f:checkpoint.save_topk: checkpoint has no parameter 'save_topk'\n"
            "  fix: did you mean 'save_top_k'?"
        ],
    ),
    "checkpoint type": (
        {"checkpoint": {"save_top_k": "three"}},
        [
            "f:checkpoint.save_top_k: checkpoint.save_top_k should be a valid integer, got "
            "'three'\n  fix: change save_top_k, or remove it to use the default"
        ],
    ),
    "file name": (
        {"checkpoint": {"filename": "{epch:02d}"}},
        [
            "f:checkpoint: checkpoint: the file name contains 'epch', which nothing records\n"
            "  fix: did you mean 'epoch'?"
        ],
    ),
    "file name that is a path": (
        {"checkpoint": {"filename": "../../{epoch:02d}"}},
        [
            "f:checkpoint: checkpoint: the file name '../../{epoch:02d}' is a path\n"
            "  fix: name the folder as dirpath, the file as filename"
        ],
    ),
    "file name that a format makes a path": (
        {"checkpoint": {"filename": "{epoch:/>3}"}},
        [
            "f:checkpoint: checkpoint: the file name '{epoch:/>3}' is a path\n"
            "  fix: name the folder as dirpath, the file as filename"
        ],
    ),
    "file name form": (
        {"checkpoint": {"filename": "{epoch:0z}"}},
        [
            "f:checkpoint: checkpoint: '{epoch:0z}' is not a valid number format\n"
            "  fix: use a format such as {epoch:02d} or {train/total:.3f}"
        ],
    ),
    "early stopping": (
        {"early_stopping": [{"patience": 2}]},
        [
            "f:early_stopping.0: early_stopping needs the parameter 'monitor'\n"
            "  fix: add monitor: … to it"
        ],
    ),
    "mode": (
        {"early_stopping": [{"monitor": "train/bce", "mode": "maximum"}]},
        ["f:early_stopping: early_stopping: mode is 'maximum'\n  fix: did you mean 'max'?"],
    ),
    "precision as Lightning had it": (
        {"precision": 16},
        ["f:precision: precision is 16\n  fix: use one of: 16-mixed, 32-true, bf16-mixed"],
    ),
    "precision as text": (
        {"precision": "16"},
        ["f:precision: precision is '16'\n  fix: use one of: 16-mixed, 32-true, bf16-mixed"],
    ),
    "precision": (
        {"precision": "bf16"},
        ["f:precision: precision is 'bf16'\n  fix: use one of: 16-mixed, 32-true, bf16-mixed"],
    ),
    "epochs": ({"epochs": 0}, ["f:epochs: epochs is 0\n  fix: give 1 or more"]),
    "clipping": (
        {"gradient_clip_val": 0.0},
        ["f:gradient_clip_val: gradient_clip_val is 0.0\n  fix: give more than 0, or remove it"],
    ),
}


@pytest.mark.parametrize(("options", "messages"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_found_before_anything_runs(options, messages):
    assert found(**options) == messages


def test_a_good_phase_has_no_mistakes():
    assert (
        found(
            losses=["bce"],
            optimizer={"name": "AdamW", "lr": 1e-3, "betas": [0.9, 0.99]},
            scheduler={"name": "reduce_on_plateau", "monitor": "metrics/iou", "mode": "max"},
            early_stopping=[{"monitor": "train/bce"}, {"monitor": "val/bce/loss", "patience": 2}],
            checkpoint={
                "monitor": "train/weigh/temperature",
                "filename": "{epoch}-{train/bce:.2f}",
            },
        )
        == []
    )


def test_an_empty_training_split():
    run = toys.run_of(source=toys.Scenes(images=0))
    phase = GradientTrainer(unfreeze=["weigh"])
    (error,) = phase.check(run.graph, lambda *keys: "f")
    assert str(error) == (
        "f: the training split is empty\n  fix: assign images of the data to the split 'train'"
    )


def test_no_loss_in_the_graph():
    nodes = toys.nodes_of()
    del nodes["bce"]
    links = [link for link in toys.LINKS if "bce" not in link.target]
    assert found(nodes, links) == [
        "f:losses: no loss in this graph is minimised\n"
        "  fix: add a loss node, such as losses.AnomalyBCEWithLogits"
    ]


def test_losses_and_unfrozen_nodes_that_have_nothing_to_do_with_each_other():
    nodes = {**toys.nodes_of(), "other": toys.Weigh(), "small": toys.Small()}
    links = [
        *toys.LINKS,
        toys.Connection("batch.cube", "other.data"),
        toys.Connection("other.logits", "small.logits"),
    ]
    assert found(nodes, links) == [
        "f:unfreeze: the loss 'small' depends on no node that is unfrozen\n"
        "  fix: unfreeze other, or remove 'small' from losses"
    ]
    assert found(nodes, links, losses=["bce"], unfreeze=["weigh", "other"]) == [
        "f:unfreeze: node 'other' is unfrozen, but no loss depends on it\n"
        "  fix: remove 'other' from unfreeze, or connect it to a loss"
    ]


def test_checking_imports_no_lightning():
    code = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "import training_toys as toys\n"
        "from specloom_training.gradient import GradientTrainer\n"
        "phase = GradientTrainer(unfreeze=['weigh'], scheduler={'name': 'step', 'step_size': 3})\n"
        "assert [*phase.check(toys.run_of().graph, str)] == []\n"
        "assert not any('lightning' in name for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
