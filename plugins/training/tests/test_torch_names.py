"""Every optimiser and scheduler of torch by name, and its state without pickle."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from specloom_training.config import OptimizerConfig, SchedulerConfig, TrainerConfig
from specloom_training.gradient import known_names, torch_names
from specloom_training.gradient.json_state import from_json, to_json
from specloom_training.gradient.optimization import Optimization
from specloom_training.gradient.settings import Settings

SCHEDULERS = {
    "step": {"step_size": 2},
    "multi_step": {"milestones": [1, 3]},
    "constant": {},
    "linear": {},
    "exponential": {"gamma": 0.9},
    "polynomial": {},
    "cosine_annealing": {},
    "cyclic": {"base_lr": 0.01, "max_lr": 0.1, "cycle_momentum": False},
    "cosine_annealing_warm_restarts": {"T_0": 2},
    "one_cycle": {"max_lr": 0.5},
    "reduce_on_plateau": {"monitor": "train/total", "patience": 0, "mode": "min"},
}
#: Adam for gradients that are sparse, which no node of ours makes.
DENSE = sorted(torch_names.optimizers().keys() - {"sparseadam"})


def test_what_is_known_without_torch_is_as_torch_has_it():
    tables = (
        (known_names.OPTIMIZERS, torch_names.optimizers()),
        (known_names.SCHEDULERS, torch_names.schedulers()),
    )
    for known, classes in tables:
        for name, types in known.items():
            cls = classes[name]
            accepted = torch_names.parameters(cls)
            for key, expected in types.items():
                assert torch_names.type_of_parameter(cls, key) == expected, (name, key)
            needed = {key for key, one in accepted.items() if one.default is one.empty}
            assert needed == known_names.NEEDED.get(name, frozenset())


@pytest.mark.parametrize(
    ("name", "options", "right"),
    [
        ("adamw", {"lr": 1, "betas": [0.5, 0.9], "amsgrad": True}, True),
        ("adamw", {"lr": True}, False),
        ("adamw", {"lr": "0.1"}, False),
        ("adamw", {"betas": [0.5]}, False),
        ("adamw", {"rate": 0.1}, False),
        ("AdamW", {"lr": 0.1}, False),
        ("adafactor", {}, False),
    ],
)
def test_only_what_is_surely_right_is_known_without_torch(name, options, right):
    assert known_names.is_right(name, options, known_names.OPTIMIZERS) is right


def test_schedulers_are_known_with_what_they_need():
    is_right = known_names.is_right
    assert is_right("step", {"step_size": 3}, known_names.SCHEDULERS)
    assert not is_right("step", {}, known_names.SCHEDULERS)
    assert not is_right("cosine_annealing", {}, known_names.SCHEDULERS)
    assert is_right("cosine_annealing", {}, known_names.SCHEDULERS, {"T_max"})
    assert is_right("reduce_on_plateau", {"mode": "max"}, known_names.SCHEDULERS)
    assert not is_right("reduce_on_plateau", {"mode": "most"}, known_names.SCHEDULERS)


def made(optimizer: str, scheduler: str = "", **options):
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(3, 4))
    plan = SchedulerConfig(name=scheduler, **options) if scheduler else None
    settings = Settings(
        [], None, [], TrainerConfig(max_epochs=8), OptimizerConfig(name=optimizer), plan, [], None
    )
    return Optimization(settings, [parameter]), parameter


def step(optimizing, parameter, value: float) -> None:
    def closure():
        optimizing.optimizer.zero_grad()
        loss = (parameter - 3).square().sum()
        loss.backward()
        return loss

    optimizing.optimizer.step(closure)
    optimizing.epoch_ended(value)


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [*((name, "") for name in DENSE), *(("sgd", name) for name in SCHEDULERS)],
)
def test_its_state_goes_through_json_and_back(optimizer, scheduler):
    options = SCHEDULERS.get(scheduler, {})
    whole, parameter = made(optimizer, scheduler, **options)
    for value in (3.0, 2.0, 2.5):
        step(whole, parameter, value)
    tensors, about = whole.state()
    twin, other = made(optimizer, scheduler, **options)
    other.data.copy_(parameter.data)
    twin.restore(tensors, json.loads(json.dumps(about)))
    for value in (2.6, 2.7, 1.0):
        step(whole, parameter, value)
        step(twin, other, value)
        assert torch.equal(parameter, other)
        assert whole.rates() == twin.rates()


def test_every_scheduler_that_has_a_name_is_tried():
    assert torch_names.schedulers().keys() == SCHEDULERS.keys()


@pytest.mark.parametrize(
    ("name", "known", "cls"),
    [
        ("adamw", torch_names.optimizers, torch.optim.AdamW),
        ("AdamW", torch_names.optimizers, torch.optim.AdamW),
        ("SGD", torch_names.optimizers, torch.optim.SGD),
        ("CosineAnnealingLR", torch_names.schedulers, torch.optim.lr_scheduler.CosineAnnealingLR),
        ("step_lr", torch_names.schedulers, torch.optim.lr_scheduler.StepLR),
        ("ReduceLROnPlateau", torch_names.schedulers, torch.optim.lr_scheduler.ReduceLROnPlateau),
    ],
)
def test_torchs_own_names_are_known_as_well(name, known, cls):
    assert torch_names.find(name, known())[1] is cls


def test_nested_values_are_turned_into_json_and_back():
    value = {0: [torch.arange(3), (1, 2.5, None)], "a": {"b": True, "c": []}}
    tensors: dict[str, torch.Tensor] = {}
    again = from_json(json.loads(json.dumps(to_json(copy.deepcopy(value), "x", tensors))), tensors)
    assert torch.equal(again[0].pop(0), value[0].pop(0))
    assert again == value
