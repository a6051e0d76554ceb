"""The gradient phase, in run files and in Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

from specloom import At, ConfigError, Graph, Pipeline, Run, Source, SpecloomError, raise_all
from specloom_training import processes
from specloom_training.config import (
    OptimizerConfig,
    SchedulerConfig,
    TrainerConfig,
    TrainingConfig,
)
from specloom_training.evaluate import evaluate_noted, losses_of, nodes_on
from specloom_training.gradient import checks, extension, record
from specloom_training.gradient.run_file import phase_of
from specloom_training.gradient.settings import settings_of, training_of
from specloom_training.history import note_phase, observed_end, save_run
from specloom_training.log_lines import LOGGER, LogLines
from specloom_training.parsing import in_python, to_plain


class GradientTrainer:
    """A phase that minimises losses by gradients.

    PyTorch Lightning does mixed precision and several processes; one process in full precision
    needs no import of it.

    Unfrozen nodes are trained, all others stay as they are. After it the pipeline holds the best
    checkpoint by the checkpoint's monitor (without one: the last epoch), and ``best_epoch`` says
    which. In Python: ``GradientTrainer(pipeline, datamodule, loss_nodes=[bce], …).fit()``, then
    ``validate()`` and ``test()``.

    Args:
        pipeline: The pipeline, in Python.
        datamodule: The data source, in Python.
        loss_nodes: In Python, the nodes that ``losses`` names.
        metric_nodes: In Python, metric nodes; they must be part of the pipeline.
        trainer_config: In Python, in place of the parameters after ``refit``. Of a whole
            ``TrainingConfig``, or of the trainer of one, what is not passed by itself is used too:
            optimiser, scheduler and seed.
        optimizer_config: In Python, in place of ``optimizer``.
        scheduler_config: In Python, in place of ``scheduler``.
        monitors: In Python, observers: objects with hooks, or nodes that make one.
        seed: In Python, the seed of every generator; by default that of the ``TrainingConfig``.
        unfreeze: The nodes to train; those that are unfrozen already are trained as well.
        losses: The loss nodes to minimise; by default all.
        refit: Nodes whose statistics are fitted again with the current weights before each
            validation and at the end. What of them is unfrozen is trained all the same; a fit
            that sets a parameter (that of RX does) resets it each time.
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
        deterministic: Let torch refuse operations that are not deterministic.
        shuffle: Shuffle the images in each epoch, where the source can.
        cache: Compute the frozen front of the graph once for each image.
        cache_memory_mb: How much of its output is stored in memory.
        cache_disk_mb: How much more is stored on disk; the rest is computed again each epoch.
    """

    extendable: ClassVar = ("epochs",)
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
        trainer_config: TrainerConfig | TrainingConfig | None = None,
        optimizer_config: OptimizerConfig | None = None,
        scheduler_config: SchedulerConfig | None = None,
        monitors: Sequence[Any] | None = None,
        seed: int | None = None,
        *,
        unfreeze: list[str] | None = None,
        losses: list[str] | None = None,
        refit: list[str] | None = None,
        epochs: int = 30,
        optimizer: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        early_stopping: list[dict[str, Any]] | None = None,
        checkpoint: dict[str, Any] | None = None,
        precision: str | int = "32-true",
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
        self.pipeline = pipeline
        self.datamodule = datamodule
        self.loss_nodes = loss_nodes
        self.metric_nodes = metric_nodes
        self.trainer_config = trainer_config
        self.optimizer_config = optimizer_config
        self.scheduler_config = scheduler_config
        self.monitors = monitors
        self.seed = seed
        self.unfreeze = unfreeze
        self.losses = losses
        self.refit = refit
        self.epochs = epochs
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.early_stopping = early_stopping
        self.checkpoint = checkpoint
        self.precision = precision
        self.gradient_clip_val = gradient_clip_val
        self.gradient_clip_algorithm = gradient_clip_algorithm
        self.accumulate_grad_batches = accumulate_grad_batches
        self.check_val_every_n_epoch = check_val_every_n_epoch
        self.deterministic = deterministic
        self.shuffle = shuffle
        self.cache = cache
        self.cache_memory_mb = cache_memory_mb
        self.cache_disk_mb = cache_disk_mb
        self.best_epoch: int | None = None
        """The epoch, counted from 0, whose weights the pipeline holds after training."""

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find wrong names, parameters and monitors, and graphs without anything to learn."""
        settings, problems = settings_of(self, at)
        yield from problems
        if settings is not None:
            yield from checks.find_problems(settings, graph, at)

    def extension_problems(self, run: Run, at: At) -> Iterable[SpecloomError]:
        """Why the training in ``run.folder`` cannot go on with these parameters."""
        settings, _problems = settings_of(self, at)
        path = record.path_of(run, self)
        if settings is None or path is None:
            return
        found = record.read(run, path)
        if found is not None:
            _tensors, values = found
            yield from extension.find_problems(values, settings, str(path), at("epochs"))

    def losses_of(self, graph: Graph) -> list[str]:
        """The loss nodes that this phase minimises."""
        names = losses_of(graph)
        chosen = self.losses
        if self.loss_nodes:
            chosen = [node.name for node in self.loss_nodes]
        if chosen is None:
            return names
        return [name for name in names if name in chosen]

    def fits(self, graph: Graph) -> list[str]:
        """The nodes that are fitted again."""
        return [name for name in self.refit or () if name in graph.nodes]

    def uses_fits(self, graph: Graph) -> set[str]:
        """The nodes that lead to the losses, or run on the validation split."""
        ends = [f"{name}.loss" for name in self.losses_of(graph)]
        found = graph.ancestors(ends)
        if "val" in graph.splits:
            found.update(nodes_on(graph, "val"))
        return found - set(self.fits(graph))

    def train(self, run: Run) -> None:
        """Train the unfrozen nodes."""
        from specloom_training.gradient.training import train

        settings, problems = settings_of(self)
        raise_all(problems)
        if settings is not None:
            self.best_epoch = train(run, settings, self)

    def fit(self) -> None:
        """Train ``pipeline`` on ``datamodule``; each epoch is logged.

        Raises:
            ConfigError: Something is set up wrongly; ``Problems`` where it is several things.
        """
        run = self._run()
        raise_all(list(self.check(run.graph, in_python)))
        minimised = self.losses_of(run.graph)
        for name in losses_of(run.graph):
            if name not in minimised:
                warnings.warn(
                    f"the loss {name!r} is in the pipeline, but it is not minimised: add it to "
                    "loss_nodes, or remove it",
                    stacklevel=2,
                )
        LOGGER.info("gradient phase")
        phase = self._as_in_run_file(run.graph)
        started = perf_counter()
        with observed_end(run):
            self.train(run)
        note_phase(self._pipeline(), run, ("training.GradientTrainer", phase), started)
        LOGGER.info("best epoch: %s", self.best_epoch)

    def validate(self) -> dict[str, float]:
        """The metrics of the validation split, by ``node/name``, of the best checkpoint."""
        return evaluate_noted(self._pipeline(), self._run(), "val")

    def test(self) -> dict[str, float]:
        """The metrics of the test split, by ``node/name``, of the best checkpoint."""
        return evaluate_noted(self._pipeline(), self._run(), "test")

    def save_run(self, folder: str | Path) -> Path:
        """Write the folder of a run: what all trainers did with the pipeline, and its results.

        It is the folder that ``specloom run --out`` writes, and ``specloom reproduce`` repeats it.

        Raises:
            ConfigError: Nothing was trained yet, or phases had different data.
            UnavailableError: The folder cannot be written.
        """
        return save_run(self._pipeline(), folder)

    def options(self) -> dict[str, Any]:
        """The parameters that a TrainerConfig holds as well, under its names."""
        names = {one.name for one in fields(TrainerConfig)}
        options = {name: value for name, value in vars(self).items() if name in names}
        return {"max_epochs": self.epochs, **options}

    def _as_in_run_file(self, graph: Graph) -> GradientTrainer:
        """A phase with the parameters of a run file, in place of Python's objects."""
        settings, problems = settings_of(self)
        raise_all(problems)
        assert settings is not None
        training = TrainingConfig(
            trainer=settings.trainer, optimizer=settings.optimizer, scheduler=settings.scheduler
        )
        config = phase_of(training)
        config["early_stopping"] = [to_plain(one) for one in settings.early_stopping] or None
        config["checkpoint"] = to_plain(settings.checkpoint)
        return GradientTrainer(
            unfreeze=checks.unfrozen(settings, graph),
            losses=settings.losses,
            refit=settings.refit or None,
            **config,
        )

    def _pipeline(self) -> Pipeline:
        """The pipeline.

        Raises:
            ConfigError: There is none.
        """
        if self.pipeline is None:
            raise _nothing_to_train()
        return self.pipeline

    def seed_of_run(self) -> int:
        """The seed of a run from Python: as passed, or that of the configuration, or 0."""
        if self.seed is not None:
            return self.seed
        training = training_of(self)
        if training is not None:
            return training.seed
        return 0

    def _run(self) -> Run:
        if self.pipeline is None or self.datamodule is None:
            raise _nothing_to_train()
        self._require_in_pipeline(self.pipeline)
        run = Run(
            self.pipeline.graph(self.datamodule),
            self.datamodule,
            seed=self.seed_of_run(),
            metadata={"name": self.pipeline.name},
        )
        processes.join()
        if processes.rank() == 0:
            self._add_monitors(run)
        return run

    def _require_in_pipeline(self, pipeline: Pipeline) -> None:
        """Raise ConfigError if a loss or metric node is not part of the pipeline."""
        parts = {id(node) for node in pipeline.nodes.values()}
        nodes: list[Any] = []
        nodes += self.loss_nodes or []
        nodes += self.metric_nodes or []
        for node in nodes:
            if id(node) not in parts:
                name = getattr(node, "name", "")
                raise ConfigError(
                    f"{type(node).__name__} {name!r} is not in the pipeline",
                    fix="connect it, or remove it from loss_nodes and metric_nodes",
                )

    def _add_monitors(self, run: Run) -> None:
        settings, _problems = settings_of(self)
        monitored = [] if settings is None else [name for name, _place in settings.monitors()]
        run.plugins.add("log lines", LogLines(monitored))
        for number, monitor in enumerate(self.monitors or ()):
            observer = monitor
            if hasattr(monitor, "observer"):
                observer = monitor.observer()
            run.plugins.add(f"monitor {number}", observer)


def _nothing_to_train() -> ConfigError:
    return ConfigError(
        "GradientTrainer has no pipeline or no datamodule",
        fix="pass pipeline= and datamodule=, or use it as a phase of a run file",
    )
