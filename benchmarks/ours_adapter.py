"""Our side of each workload, as its users get it: nodes' fit protocol, phases and plans.

Every function takes the data of a workload and gives the calls to be timed, by phase. A harness
beside the repository can run them under their numbers: ``peer_bench.py --impl ours`` with
``BENCH_OURS=ours_adapter``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ours_graphs import Detector, labelled_source, selecting, source_of
from scenes import cube

from specloom import Pipeline, Run, impl
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_normalize import MinMaxNormalizer
from specloom_pca import TrainablePCA
from specloom_rx import RXGlobal

Phases = dict[str, Callable[[], Any]]

SMALL_BATCHES = 300
"""How many batches W5 runs in one call."""
EPOCHS = 2
"""How many epochs W6 trains; the last one is timed."""


def built(node: Any, channels: int) -> Any:
    """The node as a graph on cubes of so many channels builds it."""
    entry, pipeline = AnomalyDataNode([0]), Pipeline()
    pipeline.connect((entry.outputs.cube, node.inputs.data))
    pipeline.graph(InMemory([{"cube": torch.zeros(1, 1, 1, channels)}]))
    return node.eval()


def fitted(node: Any, batches: Sequence[Mapping[str, Any]]) -> Any:
    """The node after all passes of its fit, as a statistical phase drives them."""
    with torch.no_grad():
        for pass_ in range(node.fit_passes):
            node.fit_start(pass_)
            for batch in batches:
                node.fit_update(**batch)
            node.fit_end()
    return node


def outputs(node: Any, port: str, batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """One output of the node for each batch."""
    with torch.no_grad():
        return [node(data=batch)[port] for batch in batches]


def _one_node(node: Any, data: Mapping[str, Any]) -> tuple[Any, list[dict[str, torch.Tensor]]]:
    return built(node, data["C"]), [{"data": batch} for batch in data["batches"]]


def rx(data: Mapping[str, Any]) -> Phases:
    """RX: fit, and scores."""
    node, batches = _one_node(RXGlobal(), data)

    def fit() -> tuple[torch.Tensor, torch.Tensor]:
        fitted(node, batches)
        return node.background_mean, node.covariance

    return {"fit": fit, "score": lambda: outputs(node, "scores", data["batches"])}


def min_max(data: Mapping[str, Any]) -> Phases:
    """Minimum and maximum, and normalised data."""
    node, batches = _one_node(MinMaxNormalizer(), data)

    def fit() -> tuple[torch.Tensor, torch.Tensor]:
        fitted(node, batches)
        return node.low, node.high

    return {"fit": fit, "apply": lambda: outputs(node, "normalized", data["batches"])}


def pca(data: Mapping[str, Any]) -> Phases:
    """Three principal components: fit, and projections."""
    node, batches = _one_node(TrainablePCA(3), data)

    def fit() -> torch.Tensor:
        directions: torch.Tensor = fitted(node, batches).directions.T
        return directions

    return {"fit": fit, "project": lambda: outputs(node, "projected", data["batches"])}


def mrmr(data: Mapping[str, Any]) -> Phases:
    """Both passes of the supervised selection: scores of the bands, and the choice."""
    from specloom_mrmr import SupervisedFullSpectrumBandSelector

    node = SupervisedFullSpectrumBandSelector(data["C"])
    batch = {
        "cube": torch.from_numpy(data["X"]).view(1, 1, data["n"], data["C"]),
        "mask": torch.from_numpy(data["y"]).view(1, 1, data["n"], 1),
        "wavelengths": torch.linspace(400, 1000, data["C"]),
    }

    def score() -> dict[str, Any]:
        fitted(node, [batch])
        return {
            "fisher": node.fisher_scores.numpy(),
            "auc": node.auc_scores.numpy(),
            "mi": node.mi_scores.numpy(),
            "sel": node.selected_indices.tolist(),
            "auc_bound": float(node.auc_bounds.max()),
        }

    return {"score": score}


def executor(data: Mapping[str, Any]) -> Phases:
    """Small batches: through the plan, and by calling the same nodes by hand."""
    detector = Detector()
    detector.fit(labelled_source(cube(100, 200, data["C"], seed=9)))
    source = source_of(data)
    run = Run(detector.pipeline.graph(source), source, device="cpu")
    ends = ["decider.decisions"]
    plain, folded = run.plan("predict", ends, fold=False), run.plan("predict", ends)
    batch = next(iter(source.batches("train")))

    def through(plan: Callable[[Any], Any]) -> None:
        with run.inference():
            for _ in range(SMALL_BATCHES):
                plan(batch)

    def bare() -> None:
        with run.inference():
            for _ in range(SMALL_BATCHES):
                cubes = detector.data.forward(**batch)["cube"]
                normalized = detector.norm.forward(data=cubes)["normalized"]
                scores = detector.rx.forward(data=normalized)["scores"]
                logits = detector.head.forward(scores=scores)["logits"]
                detector.decider.forward(logits=logits)

    return {"full": lambda: through(plain), "bare": bare, "full_folded": lambda: through(folded)}


class _Clock:
    """Wall and CPU time of the epochs but the first, which has the start-up in it."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    @impl
    def epoch_ended(self, epoch: int) -> None:
        self.times.append((time.perf_counter(), time.process_time()))

    def last(self) -> tuple[float, float]:
        (wall, cpu), (wall_then, cpu_then) = self.times[-1], self.times[-2]
        return wall - wall_then, cpu - cpu_then


def training(data: Mapping[str, Any]) -> Phases:
    """The tutorial's statistical phase; one epoch of its gradient phase, statistics fixed."""
    source = source_of(data)

    def stat() -> None:
        selecting()[0].fit(source)

    fitted_once: list[Any] = []

    def epoch() -> None:
        from specloom_training import GradientTrainer, OptimizerConfig, TrainerConfig

        if not fitted_once:
            fitted_once.extend(selecting())
            fitted_once[0].fit(source)
        (one, losses), clock = fitted_once, _Clock()
        one.pipeline.unfreeze_nodes_by_name(["selector", "rx", "head"])
        GradientTrainer(
            one.pipeline,
            source,
            loss_nodes=losses,
            monitors=[clock],
            trainer_config=TrainerConfig(max_epochs=EPOCHS),
            optimizer_config=OptimizerConfig(name="adamw", lr=1e-3),
        ).fit()
        epoch.override = clock.last()  # type: ignore[attr-defined]  # read by who times the call

    return {"stat": stat, "epoch": epoch}


def pipeline(data: Mapping[str, Any]) -> Phases:
    """From data to decisions: the whole fit, and the whole run."""
    detector, source = Detector(), source_of(data)
    graph = detector.pipeline.graph(source)
    run = Run(graph, source, device="cpu")

    def decide() -> list[torch.Tensor]:
        plan = run.plan("predict", ["decider.decisions"])
        with run.inference():
            return [plan(batch)["decider.decisions"] for batch in run.batches("train")]

    return {"fit": lambda: detector.fit(source), "run": decide}


W1, W2, W3, W4, W5, W6, W8 = rx, min_max, pca, mrmr, executor, training, pipeline
