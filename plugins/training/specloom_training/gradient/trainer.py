"""The gradient phase, in run files and in Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, ClassVar

from specloom import At, ConfigError, Graph, Pipeline, Run, Source, SpecloomError, raise_all
from specloom_training import processes
from specloom_training.config import OptimizerConfig, SchedulerConfig, TrainerConfig
from specloom_training.evaluate import evaluate, losses_of
from specloom_training.gradient import checks
from specloom_training.gradient.settings import settle
from specloom_training.reading import nowhere


class GradientTrainer:
    """A phase that minimises losses by gradients, on PyTorch Lightning.

    Unfrozen nodes are trained, all others stay as they are. After it the pipeline holds the best
    checkpoint by the checkpoint's monitor (without one: the last epoch), and ``best_epoch`` says
    which. In Python: ``GradientTrainer(pipeline, datamodule, loss_nodes=[bce], …).fit()``, then
    ``validate()`` and ``test()``.

    Args:
        pipeline: The pipeline, in Python.
        datamodule: The data source, in Python.
        loss_nodes: In Python, the nodes that ``losses`` names.
        metric_nodes: In Python, metric nodes; they must be part of the pipeline.
        trainer_config: In Python, in place of the parameters after ``refit``.
        optimizer_config: In Python, in place of ``optimizer``.
        scheduler_config: In Python, in place of ``scheduler``.
        monitors: In Python, what watches: objects with hooks, or nodes that make one.
        seed: In Python, the seed of every generator.
        unfreeze: The nodes to train; those that are unfrozen already are trained as well.
        losses: The loss nodes to minimise; by default all.
        refit: Nodes whose statistics are fitted again with the current weights before each
            validation and at the end. What of them is unfrozen is trained all the same; a fit
            that sets a parameter (that of RX does) starts it anew each time.
        epochs: How many passes over the training data.
        optimizer: ``{name: adamw, lr: 0.001, …}``, any of ``torch.optim``.
        scheduler: ``{name: reduce_on_plateau, monitor: metrics/iou, mode: max, …}``, any of torch.
        early_stopping: ``[{monitor: train/bce, mode: min, patience: 20, min_delta: 0}]``.
        checkpoint: ``{monitor: metrics/iou, mode: max, save_top_k: 3, save_last: true, …}``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed`` (GPU).
        gradient_clip_val: The largest gradient, by ``gradient_clip_algorithm``.
        gradient_clip_algorithm: ``norm`` or ``value``.
        accumulate_grad_batches: Batches for one step of the optimiser.
        check_val_every_n_epoch: Validate after every so many epochs.
        deterministic: Let torch refuse operations that give other results each time.
        shuffle: Give the images in a new order each epoch, where the source can.
        cache: Keep what the frozen front of the graph makes of each image.
        cache_memory_mb: How much of it in memory.
        cache_disk_mb: How much more on disk; the rest is made anew each epoch.
    """

    python_only: ClassVar = (
        "pipeline",
        "datamodule",
        "loss_nodes",
        "metric_nodes",
        "trainer_config",
        "optimizer_config",
        "scheduler_config",
        "monitors",
        "seed",
    )

    def __init__(
        self,
        pipeline: Pipeline | None = None,
        datamodule: Source | None = None,
        loss_nodes: Sequence[Any] | None = None,
        metric_nodes: Sequence[Any] | None = None,
        trainer_config: TrainerConfig | None = None,
        optimizer_config: OptimizerConfig | None = None,
        scheduler_config: SchedulerConfig | None = None,
        monitors: Sequence[Any] | None = None,
        seed: int = 0,
        *,
        unfreeze: list[str] | None = None,
        losses: list[str] | None = None,
        refit: list[str] | None = None,
        epochs: int = 30,
        optimizer: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        early_stopping: list[dict[str, Any]] | None = None,
        checkpoint: dict[str, Any] | None = None,
        precision: str = "32-true",
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str = "norm",
        accumulate_grad_batches: int = 1,
        check_val_every_n_epoch: int = 1,
        deterministic: bool = False,
        shuffle: bool = True,
        cache: bool = True,
        cache_memory_mb: int = 1024,
        cache_disk_mb: int = 8192,
    ) -> None:
        self.pipeline, self.datamodule = pipeline, datamodule
        self.loss_nodes, self.metric_nodes, self.monitors = loss_nodes, metric_nodes, monitors
        self.trainer_config, self.optimizer_config = trainer_config, optimizer_config
        self.scheduler_config, self.seed = scheduler_config, seed
        self.unfreeze, self.losses, self.refit, self.epochs = unfreeze, losses, refit, epochs
        self.optimizer, self.scheduler = optimizer, scheduler
        self.early_stopping, self.checkpoint = early_stopping, checkpoint
        self.precision, self.deterministic = precision, deterministic
        self.gradient_clip_val = gradient_clip_val
        self.gradient_clip_algorithm = gradient_clip_algorithm
        self.accumulate_grad_batches = accumulate_grad_batches
        self.check_val_every_n_epoch = check_val_every_n_epoch
        self.shuffle, self.cache = shuffle, cache
        self.cache_memory_mb, self.cache_disk_mb = cache_memory_mb, cache_disk_mb
        self.best_epoch: int | None = None
        """The epoch, counted from 0, whose weights the pipeline holds after training."""

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find wrong names, parameters and monitors, and graphs that could learn nothing."""
        settings, problems = settle(self, at)
        yield from problems
        if settings is not None:
            yield from checks.wrong(settings, graph, at)

    def losses_of(self, graph: Graph) -> list[str]:
        """The loss nodes that this phase minimises."""
        chosen = [one.name for one in self.loss_nodes or ()] or self.losses
        return [name for name in losses_of(graph) if chosen is None or name in chosen]

    def train(self, run: Run) -> None:
        """Train the unfrozen nodes."""
        from specloom_training.gradient.fitting import train

        settings, problems = settle(self)
        raise_all(problems)
        if settings is not None:
            self.best_epoch = train(run, settings, self)

    def fit(self) -> None:
        """Train ``pipeline`` on ``datamodule``.

        Raises:
            ConfigError: Something is set up wrongly; ``Problems`` where it is several things.
        """
        run = self._run()
        raise_all([*self.check(run.graph, nowhere)])
        minimised = self.losses_of(run.graph)
        for name in losses_of(run.graph):
            if name not in minimised:
                text = f"the loss {name!r} is in the pipeline, but it is not trained"
                warnings.warn(f"{text}: add it to loss_nodes, or remove it", stacklevel=2)
        self.train(run)

    def validate(self) -> dict[str, float]:
        """The metrics of the validation split, by ``node/name``, of the best checkpoint."""
        return evaluate(self._run(), "val")

    def test(self) -> dict[str, float]:
        """The metrics of the test split, by ``node/name``, of the best checkpoint."""
        return evaluate(self._run(), "test")

    def options(self) -> dict[str, Any]:
        """The parameters that a TrainerConfig holds as well, under its names."""
        names = {one.name for one in fields(TrainerConfig)} & vars(self).keys()
        return {"max_epochs": self.epochs, **{name: getattr(self, name) for name in names}}

    def _run(self) -> Run:
        if self.pipeline is None or self.datamodule is None:
            raise ConfigError(
                "GradientTrainer has no pipeline or no datamodule",
                fix="give pipeline= and datamodule=, or use it as a phase of a run file",
            )
        for node in (*(self.loss_nodes or ()), *(self.metric_nodes or ())):
            if not any(node is one for one in self.pipeline.nodes.values()):
                what = f"{type(node).__name__} {getattr(node, 'name', '')!r} is not in the pipeline"
                raise ConfigError(what, fix="connect it, or leave it out of the nodes")
        graph = self.pipeline.graph(self.datamodule)
        name = {"name": self.pipeline.name}
        run = Run(graph, self.datamodule, seed=self.seed, metadata=name)
        processes.join()
        for i, monitor in enumerate(() if processes.rank() else self.monitors or ()):
            observer = monitor.observer() if hasattr(monitor, "observer") else monitor
            run.plugins.add(f"monitor {i}", observer)
        return run
