"""What was trained, on what and how: written as a run file, and read from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import specloom
from specloom import STAGES, ConfigError, Metric, Plugins, Source, pack_source, write_file
from specloom_training.config import StrictConfig, TrainingConfig
from specloom_training.gradient.run_file import phase_of, training_from
from specloom_training.parsing import to_plain

OWN = "x-trainrun"
"""The key of the run file for what ``specloom run`` does not need."""
MEASURED = ("val", "test")
"""The stages of a loss that is not minimised."""
STATISTICAL = "training.StatisticalTrainer"
GRADIENT = "training.GradientTrainer"
EVALUATE = "training.Evaluate"
CU3S = "cubes.SingleCu3sDataModule"
"""The source that parameters without a type are those of, as in the tutorials."""


@dataclass
class TrainRunConfig(StrictConfig):
    """What was trained, on what and how.

    ``save_to_file`` writes a run file, which ``specloom run`` runs: the statistical phase, the
    gradient phase where there is a ``training``, and the evaluation of both splits, where a node
    of the pipeline measures them.

    Args:
        name: The name of the run.
        pipeline: What ``pipeline.serialize()`` gives.
        data: The source, or ``{"type": "cubes.Folder", "config": {…}}``; parameters without a type
            are those of ``cubes.SingleCu3sDataModule``.
        training: How it was trained, also as a nested mapping; None for statistics alone.
        output_dir: Where results went; ``specloom run`` has ``--out`` for it.
        loss_nodes: The losses that were minimised; empty for all.
        metric_nodes: The nodes that measured.
        freeze_nodes: Nodes that were not trained; none is that is not in ``unfreeze_nodes``.
        unfreeze_nodes: The nodes that were trained.
    """

    name: str
    pipeline: dict[str, Any] = field(default_factory=dict)
    data: Any = None
    training: TrainingConfig | None = None
    output_dir: str = ""
    loss_nodes: list[str] = field(default_factory=list)
    metric_nodes: list[str] = field(default_factory=list)
    freeze_nodes: list[str] = field(default_factory=list)
    unfreeze_nodes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        pipeline: Any = self.pipeline
        if not isinstance(pipeline, Mapping):
            what = f"the pipeline of the run {self.name!r} is {pipeline!r}, not a mapping"
            raise ConfigError(what, fix="pass pipeline=pipeline.serialize()")
        if isinstance(self.training, Mapping):
            self.training = TrainingConfig.from_dict(self.training)

    def run_file(self) -> dict[str, Any]:
        """The run file as plain values.

        Raises:
            ConfigError: There are no data, or names are of no node of the pipeline.
        """
        self._check_names()
        phases: list[dict[str, Any]] = [{"type": STATISTICAL}]
        if self.training is not None:
            phases.append(self._gradient_phase(self.training))
        for split in self._measured_splits():
            phases.append({"type": EVALUATE, "config": {"split": split}})
        seed = 0
        if self.training is not None:
            seed = self.training.seed
        own = {
            "output_dir": self.output_dir,
            "metric_nodes": list(self.metric_nodes),
            "freeze_nodes": list(self.freeze_nodes),
        }
        found = {
            "specloom": 1,
            "metadata": {"name": self.name},
            "seed": seed,
            # A serialised pipeline has the connections that the graph added.
            "companions": "off",
            "data": data_of(self.data),
            **self.pipeline,
            "nodes": self._nodes(),
            "phases": phases,
            OWN: own,
        }
        plain: dict[str, Any] = to_plain(found)
        return plain

    def save_to_file(self, path: str | Path) -> None:
        """Write the run file; folders are made.

        Raises:
            ConfigError: As ``run_file`` does.
        """
        import yaml

        text = yaml.safe_dump(self.run_file(), sort_keys=False, allow_unicode=True)
        write_file(Path(path), text.encode())

    @classmethod
    def load_from_file(cls, path: str | Path, plugins: Plugins | None = None) -> Self:
        """Read what ``save_to_file`` wrote, or a run file with the same phases.

        Args:
            path: The run file.
            plugins: Where names are looked up; by default the nearest manifest, else what is
                installed.

        Raises:
            SpecloomError: The run file is wrong.
            ConfigError: It has phases that a TrainRunConfig cannot hold.
        """
        run = specloom.load(Path(path), plugins=plugins, device="cpu")
        value: Mapping[str, Any] = run.document.value
        gradient = _gradient_config(str(path), value.get("phases") or [])
        training = None
        if gradient is not None:
            training = training_from(gradient)
            training.seed = run.seed
        own = _own_part(str(path), value)
        names = gradient or {}
        keys = ("nodes", "connections", "outputs", "stages")
        return cls(
            name=str(run.metadata["name"]),
            pipeline={key: value[key] for key in keys if key in value},
            data=value["data"],
            training=training,
            output_dir=str(own.get("output_dir") or ""),
            loss_nodes=list(names.get("losses") or []),
            metric_nodes=list(own.get("metric_nodes") or []),
            freeze_nodes=list(own.get("freeze_nodes") or []),
            unfreeze_nodes=list(names.get("unfreeze") or []),
        )

    def _serialised_nodes(self) -> Mapping[str, Any]:
        """The nodes as the serialised pipeline has them."""
        serialised: Mapping[str, Any] = self.pipeline
        nodes: Mapping[str, Any] = serialised.get("nodes", {})
        return nodes

    def _check_names(self) -> None:
        nodes = self._serialised_nodes()
        if not nodes:
            what = f"the pipeline of the run {self.name!r} has no nodes"
            raise ConfigError(what, fix="pass pipeline=pipeline.serialize()")
        groups = ("loss_nodes", "metric_nodes", "freeze_nodes", "unfreeze_nodes")
        for group in groups:
            names: Any = getattr(self, group)
            is_list = isinstance(names, list | tuple)
            if not is_list or any(not isinstance(name, str) for name in names):
                what = f"{group} is {names!r}, not a list of names of nodes"
                raise ConfigError(what, fix="write [node.name]")
            for name in names:
                if name not in nodes:
                    what = f"{group} has {name!r}, which is no node of the pipeline"
                    fix = specloom.did_you_mean(name, nodes, otherwise="pass pipeline.serialize()")
                    raise ConfigError(what, fix=fix)
        for name in self.freeze_nodes:
            if name in self.unfreeze_nodes:
                what = f"{name!r} is in freeze_nodes and in unfreeze_nodes"
                raise ConfigError(what, fix="remove it from one of them")

    def _measured_splits(self) -> list[str]:
        """The splits that a node measures; ``training.Evaluate`` refuses others."""
        plugins = Plugins()
        found = []
        for split in ("val", "test"):
            if any(_measures(node, split, plugins) for node in self._serialised_nodes().values()):
                found.append(split)
        return found

    def _nodes(self) -> dict[str, Any]:
        """The nodes of the pipeline; losses that are not minimised do not run in training."""
        losses = Plugins().offers(("losses",))
        nodes: dict[str, Any] = {}
        for name, node in self._serialised_nodes().items():
            nodes[name] = dict(node)
            is_minimised = self.training is not None
            if self.loss_nodes and name not in self.loss_nodes:
                is_minimised = False
            if node["type"] in losses and not is_minimised:
                nodes[name]["stages"] = [*MEASURED]
        return nodes

    def _gradient_phase(self, training: TrainingConfig) -> dict[str, Any]:
        config: dict[str, Any] = {"unfreeze": list(self.unfreeze_nodes)}
        if self.loss_nodes:
            config["losses"] = list(self.loss_nodes)
        return {"type": GRADIENT, "config": {**config, **phase_of(training)}}


def data_of(data: Any) -> dict[str, Any]:
    """Data as a run file has them.

    Raises:
        ConfigError: There are none, or they are no source and no parameters of one.
    """
    if isinstance(data, Source):
        return pack_source(data, Plugins())
    if isinstance(data, Mapping) and "type" in data:
        return dict(data)
    if isinstance(data, Mapping) and data:
        return {"type": CU3S, "config": dict(data)}
    what = f"the data of the run are {data!r}"
    raise ConfigError(what, fix="pass data=datamodule, or its type and config")


def _measures(node: Mapping[str, Any], split: str, plugins: Plugins) -> bool:
    """Whether a serialised node measures a split."""
    kinds = ("nodes", "losses")
    if node["type"] not in plugins.offers(kinds):
        # A node of another manifest may measure: the run checks it.
        return True
    _label, cls = plugins.find(node["type"], kinds, OWN)
    stages: Sequence[str] = getattr(cls, "stages", STAGES)
    if "stages" in node:
        stages = node["stages"]
    return issubclass(cls, Metric) and split in stages


def _own_part(path: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the run file has under ``x-trainrun``, of which a run checks nothing.

    Raises:
        ConfigError: It is no mapping, or has names that are no list of text.
    """
    own = value.get(OWN) or {}
    if not isinstance(own, Mapping):
        raise ConfigError(f"{path}: {OWN} is {own!r}", fix="make it a mapping, or remove it")
    for key in ("metric_nodes", "freeze_nodes"):
        names = own.get(key) or []
        is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not is_list:
            what = f"{path}: {OWN}: {key} is {names!r}"
            raise ConfigError(what, fix="make it a list of names of nodes")
    return own


def _gradient_config(path: str, phases: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The parameters of the gradient phase; None without one.

    Raises:
        ConfigError: There are phases that a TrainRunConfig cannot hold.
    """
    found: list[Mapping[str, Any]] = []
    for phase in phases:
        config = phase.get("config") or {}
        if phase["type"] == GRADIENT:
            found.append(config)
        elif phase["type"] == STATISTICAL and not config:
            continue
        elif phase["type"] != EVALUATE:
            raise _too_much(path, f"a phase {phase['type']}")
    if len(found) > 1:
        raise _too_much(path, f"{len(found)} gradient phases")
    if not found:
        return None
    if found[0].get("refit"):
        raise _too_much(path, "refit")
    return found[0]


def _too_much(path: str, what: str) -> ConfigError:
    fix = f"run it with 'specloom run {path}', or load it with specloom.load"
    return ConfigError(f"{path} has {what}, which a TrainRunConfig cannot hold", fix=fix)
