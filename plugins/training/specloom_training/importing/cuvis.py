"""Pipelines and train runs of cuvis-ai, of its versions 0.2.4 to 0.19.3, as run files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specloom import ConfigError, Metric, Plugins
from specloom_training.importing.cuvis_graph import GraphImporter, ImportedGraph
from specloom_training.importing.placed_yaml import Keys, PlacedYaml, read
from specloom_training.importing.report import Report
from specloom_training.importing.structure import (
    as_lists,
    check_list,
    check_mapping,
    check_pipeline,
    check_train_run,
)

CU3S = "cubes.SingleCu3sDataModule"
#: Parameters of the data there that the data module here has.
DATA = (
    "data_dir",
    "cu3s_file_path",
    "annotation_json_path",
    "train_ids",
    "val_ids",
    "test_ids",
    "batch_size",
    "num_workers",
    "processing_mode",
)
#: Parameters of the trainer there, and the name of each here.
TRAINER = {
    "max_epochs": "epochs",
    "precision": "precision",
    "accumulate_grad_batches": "accumulate_grad_batches",
    "gradient_clip_val": "gradient_clip_val",
    "gradient_clip_algorithm": "gradient_clip_algorithm",
    "check_val_every_n_epoch": "check_val_every_n_epoch",
    "deterministic": "deterministic",
}
PRECISIONS = {
    "16": "16-mixed",
    "16-mixed": "16-mixed",
    "bf16": "bf16-mixed",
    "bf16-mixed": "bf16-mixed",
    "32": "32-true",
    "32-true": "32-true",
}
SCHEDULERS = {
    "plateau": "reduce_on_plateau",
    "reduce_on_plateau": "reduce_on_plateau",
    "cosine": "cosine_annealing",
    "step": "step",
    "exponential": "exponential",
}
SCHEDULER_OPTIONS = {
    "reduce_on_plateau": (
        "monitor",
        "mode",
        "factor",
        "patience",
        "threshold",
        "cooldown",
        "min_lr",
    ),
    "cosine_annealing": ("t_max", "min_lr"),
    "step": ("step_size", "gamma"),
    "exponential": ("gamma",),
}
OPTION_NAMES = {"t_max": "T_max"}
OPTIMIZER_OPTIONS = ("name", "lr", "weight_decay", "momentum", "betas")
STOPPING_OPTIONS = ("monitor", "mode", "patience", "min_delta")
CHECKPOINT_OPTIONS = (
    "monitor",
    "mode",
    "save_top_k",
    "save_last",
    "filename",
    "dirpath",
    "every_n_epochs",
    "verbose",
)
LOSSES = "losses."
METADATA = ("name", "description", "tags", "author")
PIPELINE_KEYS = ("metadata", "plugins", "nodes", "connections")
TRAIN_RUN_KEYS = (
    "name",
    "output_dir",
    "pipeline",
    "data",
    "training",
    "loss_nodes",
    "metric_nodes",
    "unfreeze_nodes",
    "freeze_nodes",
)
OWN_GROUPS = ("pipeline", "data", "training")


def import_file(path: Path, plugins: Plugins) -> tuple[dict[str, Any], Report]:
    """A run file from a pipeline or a train run of cuvis-ai, and what was done with each part.

    Nothing of it is executed, and no weights are read.

    Raises:
        ConfigError: It is neither, has values that are computed, or its parts are no mappings or
            lists where they have to be.
        UnavailableError: It cannot be read.
    """
    source = _with_defaults(read(path))
    report = Report(str(path))
    pipeline, keys = _pipeline_of(source, report)
    report.excluded += source.repeated
    pipeline = as_lists(source, pipeline, keys)
    check_pipeline(source, pipeline, keys)
    check_train_run(source)
    imported = GraphImporter(source, keys, report, plugins).run(pipeline)
    if not imported.nodes:
        what = f"{path} has no node that a plugin offers"
        raise ConfigError(what, fix="install the plugins of its nodes: specloom plugins list")
    run_file = _RunFile(source, report, imported)
    return run_file.build(pipeline), report


def _with_defaults(source: PlacedYaml) -> PlacedYaml:
    """The file with the groups that its Hydra list ``defaults`` names, ``/pipeline@pipeline: x``.

    They are files below the folder ``configs`` that the file is in.

    Raises:
        ConfigError: A file is not there.
    """
    check_list(source, source.value, "defaults")
    defaults = source.value.pop("defaults", None) or []
    for entry in defaults:
        if not isinstance(entry, dict):
            continue  # _self_
        for key, name in entry.items():
            group, _, place = str(key).partition("@")
            place = place or group.strip("/").rpartition("/")[2]
            if place not in OWN_GROUPS:
                continue
            path = _group_file(source.path, group.strip("/"), str(name))
            part = read(path)
            check_mapping(source, source.value, place)
            present = source.value.get(place) or {}
            source.value[place] = {**part.value, **present}
            source.include(part, place)
    return source


def _group_file(path: Path, group: str, name: str) -> Path:
    """The file of a group, in the nearest folder above that has it.

    Raises:
        ConfigError: There is none.
    """
    relative = Path(group) / f"{name}.yaml"
    if ".." in relative.parts or relative.is_absolute():
        raise ConfigError(f"defaults leads out of its folder: {relative}", fix="name a group")
    for folder in path.absolute().parents:
        if (folder / relative).is_file():
            return folder / relative
    what = f"defaults of {path} names {relative}, which is in no folder above it"
    raise ConfigError(what, fix="give the file in its configs folder")


def _pipeline_of(source: PlacedYaml, report: Report) -> tuple[Mapping[str, Any], Keys]:
    """The pipeline of a file, and where it is.

    Raises:
        ConfigError: There is none.
    """
    value = source.value
    if isinstance(value.get("nodes"), list | dict):
        return value, ()
    pipeline = value.get("pipeline")
    if isinstance(pipeline, str):
        path = source.path.parent / pipeline
        other = read(path)
        source.include(other, "pipeline")
        report.mapped.append(f"pipeline, {source.place('pipeline')}: {path}")
        pipeline = other.value
    if isinstance(pipeline, dict) and isinstance(pipeline.get("nodes"), list | dict):
        return pipeline, ("pipeline",)
    if isinstance(pipeline, dict) and pipeline:
        what = (
            f"pipeline has {', '.join(map(str, pipeline))} and no nodes: a script makes its graph"
        )
        fix = "import a pipeline that cuvis-ai saved, or write its nodes and connections"
        raise ConfigError(what, where=source.where("pipeline"), fix=fix)
    what = f"{source.path} is no pipeline and no train run of cuvis-ai"
    if "plugins" in value:
        what = f"{source.path} is a manifest of plugins, which has no pipeline"
    fix = "give a file with a list of nodes (name, class or class_name) or with pipeline:"
    raise ConfigError(what, fix=fix)


class _RunFile:
    """Builds the run file around an imported graph."""

    def __init__(self, source: PlacedYaml, report: Report, imported: ImportedGraph) -> None:
        self.source = source
        self.report = report
        self.imported = imported
        self.value: Mapping[str, Any] = source.value

    def build(self, pipeline: Mapping[str, Any]) -> dict[str, Any]:
        """The run file."""
        training = self.value.get("training") or {}
        data = self._data()
        phases: list[dict[str, Any]] = [{"type": "training.StatisticalTrainer"}]
        gradient = self._gradient(training)
        if gradient is not None:
            phases.append(gradient)
        minimised = self._minimised() if gradient is not None else []
        self._measure_other_losses(minimised)
        phases += self._evaluations(data)
        self._exclude_the_rest(pipeline)
        found: dict[str, Any] = {"specloom": 1, "metadata": self._metadata(pipeline)}
        seed = training.get("seed")
        if isinstance(seed, int):
            found["seed"] = seed
        elif seed is not None:
            self.report.excluded.append(f"training: seed: {seed}, which is no whole number")
        found["data"] = data
        found["nodes"] = self.imported.nodes
        found["connections"] = self.imported.connections
        found["phases"] = phases
        return found

    def _metadata(self, pipeline: Mapping[str, Any]) -> dict[str, Any]:
        about = pipeline.get("metadata") or {}
        name = self.value.get("name") or about.get("name") or self.source.path.stem
        metadata: dict[str, Any] = {"name": str(name)}
        for key in ("description", "author"):
            if about.get(key):
                metadata[key] = str(about[key])
        tags = about.get("tags") or []
        if tags:
            metadata["tags"] = [str(tag) for tag in tags]
        return metadata

    def _data(self) -> dict[str, Any]:
        data = dict(self.value.get("data") or {})
        if not data:
            what = "data: the file has none; change the path under data"
            self.report.excluded.append(what)
            return {"type": "cubes.Folder", "config": {"path": "data"}}
        place = self.source.place("data")
        module = data.pop("data_module", "SingleCu3sDataModule")
        if "SingleCu3s" not in str(module):
            what = f"data, {place}: the data module {module}; {CU3S} stands for it"
            self.report.renamed.append(what)
        params = {**(data.pop("params", None) or {}), **(data.pop("splits", None) or {}), **data}
        config = {}
        for key, value in params.items():
            if key in DATA:
                config[key] = value
            elif key not in ("train_split", "val_split", "shuffle"):
                what = f"data, {place}: the parameter {key}, which is unknown here"
                self.report.excluded.append(what)
        self._split(params, config)
        self.report.mapped.append(f"data, {place}: {CU3S}")
        return {"type": CU3S, "config": config}

    def _split(self, params: Mapping[str, Any], config: dict[str, Any]) -> None:
        """Shares of the measurements, where none are listed."""
        train = params.get("train_split")
        val = params.get("val_split")
        if train is None and val is None:
            return
        if train is None or val is None or "train_ids" in config:
            reason = "measurements are listed"
            if "train_ids" not in config:
                reason = "one of the two is missing"
            what = f"data: train_split: {train}, val_split: {val}; {reason}"
            self.report.excluded.append(what)
            return
        config["split"] = [float(train), float(val), round(1 - train - val, 6)]

    def _minimised(self) -> list[str]:
        names = [self.imported.names.get(str(name)) for name in self.value.get("loss_nodes") or []]
        return [name for name in names if name in self.imported.nodes]

    def _gradient(self, training: Mapping[str, Any]) -> dict[str, Any] | None:
        """The gradient phase; None where nothing is unfrozen."""
        unfrozen = [str(name) for name in self.value.get("unfreeze_nodes") or []]
        names = [self.imported.names[name] for name in unfrozen if name in self.imported.names]
        for name in unfrozen:
            if name not in self.imported.names:
                self.report.excluded.append(f"unfreeze_nodes: {name!r}, which is not imported")
        if not names:
            if training:
                place = self.source.place("training")
                what = f"training, {place}: no node is unfrozen, so there is no gradient phase"
                self.report.excluded.append(what)
            return None
        config: dict[str, Any] = {"unfreeze": names}
        losses = self._minimised()
        if losses:
            config["losses"] = losses
        trainer = {**(training.get("trainer") or {})}
        for key, value in training.items():
            if key not in ("trainer", "optimizer", "scheduler", "seed", "callbacks"):
                trainer.setdefault(key, value)
        callbacks = training.get("callbacks") or trainer.pop("callbacks", None) or {}
        trainer.pop("callbacks", None)
        config |= self._trainer(trainer)
        config |= self._optimizer(training)
        config |= self._callbacks(callbacks)
        if (self.value.get("data") or {}).get("shuffle") is False:
            config["shuffle"] = False
        self.report.mapped.append(f"training, {self.source.place('training')}: a gradient phase")
        return {"type": "training.GradientTrainer", "config": config}

    def _trainer(self, trainer: Mapping[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = {}
        for key, value in trainer.items():
            if value is None:
                continue
            if key == "precision" and str(value) in PRECISIONS:
                config["precision"] = PRECISIONS[str(value)]
            elif key in TRAINER and key != "precision":
                config[TRAINER[key]] = value
            else:
                self.report.excluded.append(f"training: {key}: {value}, which has no counterpart")
        return config

    def _optimizer(self, training: Mapping[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = {}
        optimizer = training.get("optimizer")
        if optimizer:
            config["optimizer"] = self._options(optimizer, OPTIMIZER_OPTIONS, "optimizer")
        scheduler = training.get("scheduler")
        if scheduler and scheduler.get("name") not in (None, "none"):
            written = str(scheduler["name"])
            name = SCHEDULERS.get(written)
            if name is None:
                self.report.excluded.append(f"scheduler: {written}, which is unknown here")
                return config
            options = self._options(scheduler, SCHEDULER_OPTIONS[name], "scheduler")
            config["scheduler"] = {"name": name, **options}
        return config

    def _options(
        self, values: Mapping[str, Any], known: tuple[str, ...], label: str
    ) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for key, value in values.items():
            if value is None or (label == "scheduler" and key == "name"):
                continue
            if key == "monitor" and key in known:
                options[key] = self._monitor(value)
            elif key in known:
                options[OPTION_NAMES.get(key, key)] = value
            else:
                self.report.excluded.append(f"{label}: {key}: {value}, which has no counterpart")
        if label == "scheduler" and "min_lr" in options and "T_max" in options:
            options["eta_min"] = options.pop("min_lr")
        return options

    def _callbacks(self, callbacks: Mapping[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = {}
        stopping = callbacks.get("early_stopping") or []
        if stopping:
            config["early_stopping"] = [
                self._options(one, STOPPING_OPTIONS, "early_stopping") for one in stopping
            ]
        checkpoint = callbacks.get("model_checkpoint") or callbacks.get("checkpoint")
        if checkpoint:
            config["checkpoint"] = self._options(checkpoint, CHECKPOINT_OPTIONS, "checkpoint")
        if callbacks.get("learning_rate_monitor"):
            what = "callbacks: learning_rate_monitor: the learning rate is always recorded"
            self.report.excluded.append(what)
        return config

    def _measure_other_losses(self, minimised: list[str]) -> None:
        """Let losses that are not minimised be measured only."""
        for name, node in self.imported.nodes.items():
            if node["type"].startswith(LOSSES) and name not in minimised:
                node["stages"] = ["val", "test"]
                self.report.renamed.append(f"loss {name!r}: measured only, not minimised there")

    def _evaluations(self, data: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not any(issubclass(cls, Metric) for cls in self.imported.classes.values()):
            return []
        config = data.get("config") or {}
        has_lists = "train_ids" in config
        found = []
        for split in ("val", "test"):
            if not has_lists or config.get(f"{split}_ids"):
                found.append({"type": "training.Evaluate", "config": {"split": split}})
        return found

    def _exclude_the_rest(self, pipeline: Mapping[str, Any]) -> None:
        self._exclude_unknown_names()
        self.report.exclude_others(pipeline.get("metadata") or {}, METADATA, "metadata")
        if "nodes" in self.value:
            self.report.exclude_others(self.value, (*PIPELINE_KEYS, *TRAIN_RUN_KEYS), "the file")
        else:
            self.report.exclude_others(pipeline, PIPELINE_KEYS, "pipeline")
            self.report.exclude_others(self.value, TRAIN_RUN_KEYS, "the file")
        if self.value.get("freeze_nodes"):
            self.report.excluded.append("freeze_nodes: what is not unfrozen stays as it was fitted")
        if self.value.get("output_dir"):
            output = self.value["output_dir"]
            self.report.excluded.append(f"output_dir: use specloom run --out {output}")
        if pipeline.get("plugins"):
            names = ", ".join(map(str, pipeline["plugins"]))
            self.report.excluded.append(f"plugins: {names}; name plugins in plugins.yaml")
        weights = self.source.path.with_suffix(".pt")
        if weights.is_file():
            self.report.excluded.append(f"{weights}: weights are not read; train again")

    def _exclude_unknown_names(self) -> None:
        """Report names in lists of nodes that no node there has, or that is not imported."""
        for key in ("loss_nodes", "metric_nodes", "freeze_nodes"):
            for name in self.value.get(key) or []:
                if str(name) not in self.imported.names:
                    self.report.excluded.append(f"{key}: {str(name)!r}, which is not imported")

    def _monitor(self, name: Any) -> Any:
        """A monitored value, ``node/quantity`` or ``stage/node``, with the names of nodes here."""
        if not isinstance(name, str):
            return name
        parts = [self.imported.names.get(part, part) for part in name.split("/")]
        return "/".join(parts)
