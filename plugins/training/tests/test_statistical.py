"""The statistical phase: which node is fitted when, on what, and in how many passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from specloom import ConfigError, Graph, NodeError, Pipeline, Port, Run
from specloom.contract.ports import Connection
from specloom.torch import StatisticalNode
from specloom_training.statistical import StatisticalTrainer


class Counting:
    """Three batches a split; counts how often they are read."""

    outputs = {"cube": Port("B H W C", doc="Cubes."), "mask": Port("B H W 1", dtype="bool")}

    def __init__(self, mask: bool = True) -> None:
        self.passes, self.mask = 0, mask

    def sizes(self):
        return {"C": 4}

    def splits(self):
        return ("train", "val", "test")

    def count(self, split):
        return 3

    def batches(self, split):
        self.passes += 1
        rng = np.random.default_rng(3)
        for _ in range(3):
            cube = rng.normal(size=(2, 5, 6, 4)).astype("float32")
            yield {"cube": cube, **({"mask": cube[..., :1] > 1} if self.mask else {})}


class Centre(StatisticalNode):
    """Subtracts the mean of all pixels; ``fit_passes`` and what the fit reads are given."""

    inputs = {
        "data": Port("B H W C", doc="Cubes."),
        "labels": Port("B H W 1", dtype="bool", doc="Pixels that count.", for_fit=True),
    }
    outputs = {"centred": Port("B H W C", doc="Cubes about their mean.")}

    def __init__(self, passes: int = 1) -> None:
        super().__init__()
        self.passes = self.fit_passes = passes
        self.seen: list[int] = []

    def build(self, sizes):
        self.register_buffer("mean", torch.zeros(sizes["C"], dtype=torch.float64))

    def fit_start(self, pass_):
        self.seen.append(pass_)
        self.total, self.n = torch.zeros_like(self.mean), 0

    def fit_update(self, data, labels=None):
        self.total += data.double().sum((0, 1, 2))
        self.n += data[..., 0].numel()

    def fit_state(self):
        return {"total": self.total, "n": torch.tensor(self.n)}

    def fit_merge(self, state):
        self.total, self.n = self.total + state["total"], self.n + int(state["n"])

    def fit_end(self):
        self.mean.copy_(self.total / self.n)
        self.finish_fit(self.n)

    def forward(self, data, labels=None):
        return {"centred": (data - self.mean).float()}


def run_of(nodes, *pairs, source=None, **options) -> Run:
    source = source or Counting()
    links = [Connection(*pair) for pair in pairs]
    labels = [
        Connection("batch.mask", f"{name}.labels") for name in nodes if options.pop(name, True)
    ]
    graph = Graph(nodes, [*links, *labels], batch=source.outputs, batch_sizes=source.sizes())
    return Run(graph, source)


def test_nodes_whose_inputs_are_ready_share_one_pass():
    nodes = {"a": Centre(), "b": Centre(), "c": Centre()}
    run = run_of(nodes, ("batch.cube", "a.data"), ("batch.cube", "b.data"), ("a.centred", "c.data"))
    StatisticalTrainer().train(run)
    assert run.source.passes == 2
    assert nodes["c"].mean.abs().max() < 1e-7
    assert [node.pixels for node in nodes.values()] == [180, 180, 180]


def test_a_node_of_two_passes_shares_its_second_with_what_is_ready_then():
    nodes = {"a": Centre(), "b": Centre(2), "c": Centre()}
    run = run_of(nodes, ("batch.cube", "a.data"), ("batch.cube", "b.data"), ("a.centred", "c.data"))
    StatisticalTrainer().train(run)
    assert run.source.passes == 2
    assert nodes["b"].seen == [0, 1]


def test_only_the_named_nodes_are_fitted():
    nodes = {"a": Centre(), "b": Centre()}
    run = run_of(nodes, ("batch.cube", "a.data"), ("batch.cube", "b.data"))
    StatisticalTrainer(nodes=["b"]).train(run)
    assert (nodes["a"].fitted, nodes["b"].fitted) == (False, True)


def test_fitting_behind_an_unfitted_node_is_refused():
    nodes = {"a": Centre(), "b": Centre()}
    run = run_of(nodes, ("batch.cube", "a.data"), ("a.centred", "b.data"))
    with pytest.raises(NodeError, match=r"node 'a' \(Centre\) is not fitted"):
        StatisticalTrainer(nodes=["b"]).train(run)


def test_what_the_fit_needs_must_be_in_the_batch():
    run = run_of({"a": Centre()}, ("batch.cube", "a.data"), source=Counting(mask=False))
    with pytest.raises(ConfigError) as caught:
        StatisticalTrainer().train(run)
    assert caught.value.what == (
        "a is fitted with 'labels', which comes from batch.mask, and a batch has none"
    )


def test_wrong_names_are_found_before_anything_runs():
    run = run_of({"centre": Centre()}, ("batch.cube", "centre.data"))
    trainer = StatisticalTrainer(nodes=["center"], split="everything")
    found = list(trainer.check(run.graph, lambda parameter: f"f:{parameter}"))
    assert [str(error) for error in found] == [
        "f:split: there is no split 'everything'\n  fix: use one of: test, train, val",
        "f:nodes: there is no node 'center'\n  fix: did you mean 'centre'?",
    ]


def test_in_python_it_takes_a_pipeline_and_a_source():
    from specloom_cubes.data_node import AnomalyDataNode
    from specloom_cubes.sources.synthetic import Synthetic
    from specloom_normalize.min_max import MinMaxNormalizer

    data, normalizer = AnomalyDataNode(normal_class_ids=[0, 1]), MinMaxNormalizer()
    pipeline = Pipeline("two")
    pipeline.connect((data.outputs.cube, normalizer.data))
    source = Synthetic(scenes=4, height=16, width=16, batch_size=2)
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    assert normalizer.fitted


def test_without_a_pipeline_it_says_what_it_needs():
    with pytest.raises(ConfigError) as caught:
        StatisticalTrainer().fit()
    assert str(caught.value) == (
        "StatisticalTrainer has no pipeline or no datamodule\n"
        "  fix: pass pipeline= and datamodule=, or use it as a phase of a run file"
    )
