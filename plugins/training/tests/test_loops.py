"""The plain loop does what Lightning's does, and an eager optimiser what torch's does."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from specloom_training.gradient import GradientTrainer, training
from specloom_training.gradient.eager_optimizers import eager
from specloom_training.gradient.plain_loop import numbered
from specloom_training.gradient.torch_names import optimizers

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")

OPTIONS = {
    "momentum": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}},
    "plateau": {
        "optimizer": {"name": "adamw", "lr": 0.05},
        "scheduler": {"name": "reduce_on_plateau", "monitor": "metrics/iou", "patience": 0},
        "checkpoint": {"monitor": "metrics/iou", "mode": "max"},
    },
    "by step": {
        "optimizer": {"name": "rmsprop", "lr": 0.01},
        "scheduler": {"name": "exponential", "gamma": 0.9, "interval": "step"},
    },
    "several losses in a step": {"optimizer": {"name": "lbfgs", "lr": 0.1, "max_iter": 3}},
    "accumulated, the last step of fewer batches": {"accumulate_grad_batches": 2},
    "clipped by norm": {"gradient_clip_val": 0.01},
    "clipped by value": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    "stopped early": {"early_stopping": [{"monitor": "train/learning_rate", "patience": 1}]},
    "no cache": {"cache": False, "shuffle": False},
}


def trained(**options):
    run = toys.run_of(noise=0.3, source=toys.Scenes(images=10))
    phase = GradientTrainer(unfreeze=["weigh"], epochs=4, **options)
    phase.train(run)
    return run, phase


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_both_loops_give_the_same_bits(options, monkeypatch):
    run, phase = trained(**options)
    monkeypatch.setattr(training, "needs_lightning", lambda settings: True)
    other_run, other_phase = trained(**options)
    node = run.graph.nodes["weigh"]
    other = other_run.graph.nodes["weigh"]
    assert node.weights.any()
    assert torch.equal(node.weights, other.weights)
    assert torch.equal(node.bias, other.bias)
    assert run.metrics == other_run.metrics
    assert phase.best_epoch == other_phase.best_epoch


def test_batches_are_numbered_and_the_last_one_is_known():
    assert list(numbered([])) == []
    assert [(one.number, one.is_last) for one in numbered([{}, {}, {}])] == [
        (0, False),
        (1, False),
        (2, True),
    ]


def test_training_imports_neither_lightning_nor_the_compiler_of_torch():
    code = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "import training_toys as toys\n"
        "from specloom_training.gradient import GradientTrainer\n"
        "GradientTrainer(unfreeze=['weigh'], epochs=2, optimizer={'name': 'adamw'},"
        " scheduler={'name': 'step', 'step_size': 1}).train(toys.run_of())\n"
        "loaded = {'pytorch_lightning', 'torchmetrics', 'torch._dynamo', 'sympy'}\n"
        "assert not loaded & set(sys.modules), loaded & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def steps_of(cls):
    """The weights before and after each of five steps, the state read and loaded in between."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(4, 3, generator=generator))
    data = torch.randn(8, 4, generator=generator)
    optimizer = cls([weights])
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    found = [weights.detach().clone()]

    def closure():
        optimizer.zero_grad()
        loss = ((data @ weights) ** 2).mean()
        loss.backward()
        if cls.__name__ == "SparseAdam":
            weights.grad = weights.grad.to_sparse()
        return loss

    for _ in range(5):
        optimizer.step(closure)
        scheduler.step()
        optimizer.load_state_dict(optimizer.state_dict())
        found.append(weights.detach().clone())
    return torch.stack(found)


@pytest.mark.parametrize("name", optimizers())
def test_an_eager_optimiser_makes_the_steps_of_its_class(name):
    cls = optimizers()[name]
    steps = steps_of(eager(cls))
    assert torch.equal(steps, steps_of(cls))
    assert torch.equal(steps, steps_of(eager(cls)))
    assert not torch.equal(steps[0], steps[1])


def test_an_eager_optimiser_is_one_of_its_class():
    optimizer = eager(torch.optim.AdamW)([torch.nn.Parameter(torch.zeros(2))])
    assert isinstance(optimizer, torch.optim.AdamW)
    assert repr(optimizer) == repr(torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))]))
