"""Fits by moments that are collected once equal those that collect their own."""

import pytest
import torch

from specloom import Pipeline, Run
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_normalize import MinMaxNormalizer
from specloom_pca import TrainablePCA
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_selectors import SoftChannelSelector
from specloom_training import StatisticalTrainer, statistical

BANDS = 7


def batches(seed=0, **more):
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(BANDS, BANDS, generator=random)
    found = []
    for _ in range(3):
        cube = 40 + torch.randn(2, 9, 8, BANDS, generator=random) @ mixing
        mask = torch.rand(2, 9, 8, generator=random) < 0.1
        cube[0, 0, 0, 3] = torch.nan
        found.append({"cube": cube, "mask": mask.to(torch.int32), **more})
    return found


class Graph:
    """Normaliser, selector, RX, PCA and logits."""

    def __init__(self, *, masked=False, **normalizer):
        self.data = AnomalyDataNode([0], name="data")
        self.norm = MinMaxNormalizer(name="norm", **normalizer)
        self.selector = SoftChannelSelector(3, init_method="variance", name="selector")
        self.rx = RXGlobal(name="rx")
        self.pca = TrainablePCA(2, name="pca")
        self.head = ScoreToLogit(name="head")
        self.pipeline = Pipeline("shared")
        self.pipeline.connect(
            (self.data.outputs.cube, self.norm.data),
            (self.norm.normalized, self.selector.data),
            (self.norm.normalized, self.pca.data),
            (self.selector.selected, self.rx.data),
            (self.rx.scores, self.head.scores),
        )
        if masked:
            self.pipeline.connect((self.data.outputs.mask, self.rx.mask))

    def fit(self, source, monkeypatch, *, shared=True):
        passes = []
        run_pass = statistical._run_pass

        def noted(run, names, *others, **more):
            passes.append(list(names))
            run_pass(run, names, *others, **more)

        with monkeypatch.context() as patch:
            patch.setattr(statistical, "_run_pass", noted)
            if not shared:
                patch.setattr(statistical, "find_shared", lambda *_: [])
            StatisticalTrainer(pipeline=self.pipeline, datamodule=source).fit()
        return passes

    def state(self):
        nodes = (self.norm, self.selector, self.rx, self.pca, self.head)
        return {f"{node.name}.{key}": one for node in nodes for key, one in node.state().items()}


def hold(graph, other):
    state = graph.state()
    assert state.keys() == other.state().keys()
    for key, value in other.state().items():
        if value.dtype in (torch.float64, torch.float32):
            rtol = 1e-12 if value.dtype == torch.float64 else 1e-6
            size = float(value.abs().max())
            torch.testing.assert_close(state[key], value, rtol=rtol, atol=rtol * size, msg=key)
        else:
            assert torch.equal(state[key], value), key


@pytest.mark.parametrize(
    "normalizer", [{}, {"per_channel": True}, {"quantiles": (0.01, 0.99)}], ids=str
)
@pytest.mark.parametrize("masked", [False, True])
def test_two_passes_give_the_fits_of_four(normalizer, masked, monkeypatch):
    source = InMemory(train=batches())
    graph = Graph(masked=masked, **normalizer)
    assert graph.fit(source, monkeypatch) == [["norm"], ["head"]]
    other = Graph(masked=masked, **normalizer)
    before = [["norm"], ["selector", "pca"], ["rx"], ["head"]]
    assert other.fit(source, monkeypatch, shared=False) == before
    hold(graph, other)
    assert graph.rx.pixels == other.rx.pixels
    assert graph.rx.left_out == other.rx.left_out > 2
    assert graph.pca.left_out == other.pca.left_out == 3


def test_a_map_that_is_not_affine_is_read_again(monkeypatch):
    source = InMemory(train=batches())
    graph = Graph(clip=True)
    passes = graph.fit(source, monkeypatch)
    other = Graph(clip=True)
    other.fit(source, monkeypatch, shared=False)
    hold(graph, other)
    assert passes[-1] == ["head"]


def test_nodes_that_read_the_same_pixels_share_their_moments(monkeypatch):
    data = AnomalyDataNode([0], name="data")
    rx = RXGlobal(name="rx")
    pca = TrainablePCA(2, name="pca")
    pipeline = Pipeline("two")
    pipeline.connect((data.outputs.cube, rx.data), (data.outputs.cube, pca.data))
    source = InMemory(train=batches())
    seen = []
    update = statistical.SharedMoments.update
    monkeypatch.setattr(
        statistical.SharedMoments,
        "update",
        lambda self, **values: (seen.append(self.names), update(self, **values)),
    )
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    assert seen == [["rx", "pca"]] * 3
    assert torch.equal(rx.background_mean, pca.center)
    alone = RXGlobal(name="alone")
    single = Pipeline("one")
    single.connect((data.outputs.cube, alone.data))
    StatisticalTrainer(pipeline=single, datamodule=source).fit()
    assert len(seen) == 3  # a node alone collects its own
    assert torch.equal(alone.covariance, rx.covariance)


def test_other_pixels_are_not_shared(monkeypatch):
    graph = Graph(masked=True)
    source = InMemory(train=batches())
    run = Run(graph.pipeline.graph(source), source, device="cpu")
    names = ["norm", "selector", "rx", "pca", "head"]
    groups = statistical.find_shared(run.graph, {"norm": 0}, names)
    assert [moments.names for moments in groups] == [["selector", "pca"], ["rx"]]
    assert [moments.pixels.mask for moments in groups] == [None, "data.mask"]
    graph = Graph()
    run = Run(graph.pipeline.graph(source), source, device="cpu")
    groups = statistical.find_shared(run.graph, {"norm": 0}, names)
    assert [moments.names for moments in groups] == [["selector", "rx", "pca"]]


def test_without_folding_nothing_is_shared(monkeypatch):
    source = InMemory(train=batches())
    graph = Graph()
    run = Run(graph.pipeline.graph(source), source, device="cpu")
    run.fold = False
    assert statistical._shared_moments(run, {"norm": 0}, ["norm", "rx"]) == []
