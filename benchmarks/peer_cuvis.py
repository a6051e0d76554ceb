"""cuvis-ai's side of the workloads: its own nodes, pipeline and trainers."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from cuvis_ai.node.anomaly.rx_detector import RXGlobal
from cuvis_ai.node.channel_selector import SupervisedFullSpectrumSelector
from cuvis_ai.node.dimensionality_reduction import TrainablePCA
from cuvis_ai.node.normalization import MinMaxNormalizer
from loguru import logger
from peer_cuvis_graphs import Batches, Detector, labelled

SMALL_BATCHES = 300
EPOCHS = 2
BANDS = 3
"""What goes band by band is timed on so many."""

Phases = dict[str, Callable[[], Any]]
logger.remove()


def _stream(data: Mapping[str, Any]) -> Iterable[dict[str, torch.Tensor]]:
    return ({"data": batch} for batch in data["batches"])


def _outputs(node: Any, port: str, data: Mapping[str, Any]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [node.forward(data=batch)[port] for batch in data["batches"]]


def _phases(node: Any, data: Mapping[str, Any], phase: str, port: str) -> Phases:
    return {
        "fit": lambda: node.statistical_initialization(_stream(data)),
        phase: lambda: _outputs(node, port, data),
    }


def rx(data: Mapping[str, Any]) -> Phases:
    """RX: fit, and scores."""
    return _phases(RXGlobal(num_channels=data["C"], eps=1e-6), data, "score", "scores")


def min_max(data: Mapping[str, Any]) -> Phases:
    """Minimum and maximum, and normalised data."""
    return _phases(MinMaxNormalizer(), data, "apply", "normalized")


def pca(data: Mapping[str, Any]) -> Phases:
    """Three principal components: fit, and projections."""
    node = TrainablePCA(num_channels=data["C"], n_components=3)
    return _phases(node, data, "project", "projected")


def mrmr(data: Mapping[str, Any]) -> Phases:
    """Scores of some bands; the time for all of them is in proportion."""
    bands = np.linspace(0, data["C"] - 1, min(BANDS, data["C"])).astype(int)
    node = SupervisedFullSpectrumSelector(num_spectral_bands=len(bands))
    batch = {
        "cube": torch.from_numpy(data["X"][:, bands]).view(1, 1, data["n"], len(bands)),
        "mask": torch.from_numpy(data["y"]).view(1, 1, data["n"], 1),
        "wavelengths": np.linspace(400, 1000, len(bands)).astype(np.int32),
    }

    def score() -> None:
        node.statistical_initialization(iter([batch]))

    score.scale = data["C"] / len(bands)  # type: ignore[attr-defined]  # read by who times it
    return {"score": score}


def executor(data: Mapping[str, Any]) -> Phases:
    """Small batches: through the pipeline, and by calling the same nodes by hand."""
    from scenes import cube

    graph = Detector(data["C"])
    graph.fit(
        Batches(
            labelled(
                {
                    "C": data["C"],
                    "batches": [cube(100, 200, data["C"], seed=9)],
                    "masks": [torch.zeros(1, 100, 200)],
                }
            )
        )
    )
    (batch, *_) = labelled(data)

    def full() -> None:
        with torch.no_grad():
            for _ in range(SMALL_BATCHES):
                graph.pipeline.forward(batch=batch)

    def bare() -> None:
        with torch.no_grad():
            for _ in range(SMALL_BATCHES):
                cubes = graph.data.forward(**batch)["cube"]
                normalized = graph.norm.forward(data=cubes)["normalized"]
                scores = graph.rx.forward(data=normalized)["scores"]
                graph.decider.forward(logits=graph.head.forward(scores=scores)["logits"])

    return {"full": full, "bare": bare, "full_folded": full}


def training(data: Mapping[str, Any]) -> Phases:
    """The tutorial's statistical phase; one epoch of its gradient phase."""
    import pytorch_lightning as lightning
    from cuvis_ai_core.training import GradientTrainer
    from cuvis_ai_core.training.config import TrainingConfig
    from torch.utils.data import DataLoader, Dataset

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    cubes, masks = torch.cat([*data["batches"]]), torch.cat([*data["masks"]]).to(torch.int32)
    size, centres = len(data["batches"][0]), torch.arange(data["C"], dtype=torch.int32)

    class Images(Dataset[dict[str, torch.Tensor]]):
        """Each image with its mask."""

        def __len__(self) -> int:
            return len(cubes)

        def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
            return {"cube": cubes[at], "mask": masks[at], "wavelengths": centres}

    class Module(lightning.LightningDataModule):
        """The images in batches."""

        def train_dataloader(self) -> Any:
            return DataLoader(Images(), batch_size=size)

    class Clock(lightning.Callback):
        """Wall and CPU time of each epoch."""

        def __init__(self) -> None:
            self.times: list[tuple[float, float]] = []

        def on_train_epoch_start(self, *_: Any) -> None:
            self.started = time.perf_counter(), time.process_time()

        def on_train_epoch_end(self, *_: Any) -> None:
            wall, cpu = self.started
            self.times.append((time.perf_counter() - wall, time.process_time() - cpu))

    fitted: list[Detector] = []

    def epoch() -> None:
        if not fitted:
            fitted.append(Detector(data["C"], selecting=True))
            fitted[0].fit(Module())
        graph, clock = fitted[0], Clock()
        names = [node.name for node in (graph.selector, graph.rx, graph.head)]
        graph.pipeline.unfreeze_nodes_by_name(names)
        config = TrainingConfig(
            max_epochs=EPOCHS,
            accelerator="cpu",
            devices=1,
            enable_progress_bar=False,
            default_root_dir=tempfile.gettempdir(),
        )
        GradientTrainer(
            pipeline=graph.pipeline,
            datamodule=Module(),
            loss_nodes=graph.losses,
            training_config=config,
            callbacks=[clock],
        ).fit()
        epoch.override = clock.times[-1]  # type: ignore[attr-defined]  # read by who times it

    return {"stat": lambda: Detector(data["C"], selecting=True).fit(Module()), "epoch": epoch}


def pipeline(data: Mapping[str, Any]) -> Phases:
    """From data to decisions: the whole fit, and the whole run."""
    graph, batches = Detector(data["C"]), labelled(data)
    end = (graph.decider.name, "decisions")

    def decide() -> list[torch.Tensor]:
        with torch.no_grad():
            return [graph.pipeline.forward(batch=batch)[end] for batch in batches]

    return {"fit": lambda: graph.fit(Batches(batches)), "run": decide}


W1, W2, W3, W4, W5, W6, W8 = rx, min_max, pca, mrmr, executor, training, pipeline
