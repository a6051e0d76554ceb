"""Statistics that follow the weights while these are trained."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from specloom.contract.ports import Connection
from specloom_rx.logit import ScoreToLogit
from specloom_training.gradient import GradientTrainer
from specloom_training.statistical import StatisticalTrainer

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")


def run_with_head():
    nodes = {**toys.nodes_of(), "head": ScoreToLogit()}
    moved = [link for link in toys.LINKS if link.source != "weigh.logits"]
    reads = ("bce.logits", "decider.logits", "metrics.logits")
    links = [
        Connection("weigh.logits", "head.scores"),
        *(Connection("head.logits", end) for end in reads),
    ]
    run = toys.run_of(nodes, links=[*moved, *links])
    nodes["weigh"].weights += 0.1
    StatisticalTrainer().train(run)
    return run


class Counting:
    """Counts the fits of a node."""

    def __init__(self, node) -> None:
        self.fits, end = 0, node.fit_end

        def counted() -> None:
            self.fits += 1
            end()

        node.fit_end = counted


OPTIONS = {"unfreeze": ["weigh", "head"], "refit": ["head"], "epochs": 4}


def test_a_refitted_node_fits_the_weights_that_are_kept():
    run = run_with_head()
    head, counting = run.graph.nodes["head"], Counting(run.graph.nodes["head"])
    GradientTrainer(**OPTIONS, check_val_every_n_epoch=2).train(run)
    assert counting.fits == 2 + 1
    before = {name: value.clone() for name, value in head.state().items()}
    StatisticalTrainer(nodes=["head"]).train(run)
    assert all(torch.equal(before[name], value) for name, value in head.state().items())
    assert head.scale != 1


def test_what_is_not_refitted_keeps_its_statistics():
    run = run_with_head()
    head, mean = run.graph.nodes["head"], run.graph.nodes["head"].score_mean.clone()
    GradientTrainer(unfreeze=["weigh", "head"], epochs=2).train(run)
    assert torch.equal(head.score_mean, mean)


def test_a_refit_that_is_interrupted_leaves_the_last_good_state():
    run = run_with_head()
    head, mean = run.graph.nodes["head"], run.graph.nodes["head"].score_mean.clone()

    def broken(**_):
        raise KeyboardInterrupt

    head.fit_update = broken
    with pytest.raises(KeyboardInterrupt):
        GradientTrainer(**OPTIONS).train(run)
    assert head.fitted
    assert torch.equal(head.score_mean, mean)
    assert not list(head.parameters())


def test_refitting_tells_no_observer_that_a_node_was_fitted():
    from specloom import impl

    class Watch:
        fitted = 0

        @impl
        def node_fitted(self, node):
            self.fitted += 1

    run, watch = run_with_head(), Watch()
    run.plugins.manager.register(watch)
    GradientTrainer(**OPTIONS).train(run)
    assert watch.fitted == 0
