"""The generators that an epoch begins with."""

import torch

from specloom_training.gradient.seeding import seed_all, seed_of


def test_torch_has_the_seed_of_manual_seed():
    torch.manual_seed(seed_of(7, "epoch", 3))
    expected = torch.rand(5)
    seed_all({}, 7, "epoch", 3)
    assert torch.equal(torch.rand(5), expected)


def test_an_accelerator_of_any_kind_is_seeded(monkeypatch):
    """Not only CUDA: on others an epoch would not be reproducible."""
    seeds = []
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    seed_all({}, 7)
    assert seeds == [seed_of(7)]
