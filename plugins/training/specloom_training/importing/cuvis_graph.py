"""The nodes and connections of a cuvis-ai pipeline as those of a run file."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specloom import Plugins, did_you_mean

if TYPE_CHECKING:
    from specloom_training.importing.placed_yaml import Keys, PlacedYaml
    from specloom_training.importing.report import Report

#: Names of classes there, by their last part, that are called otherwise here.
CLASSES = {
    "AnomalyDataNode": "AnomalyDataNode",
    "CIRSelector": "CIRFalseColorSelector",
    "ConcreteChannelMixer": "ConcreteBandSelector",
    "FixedWavelengthSelector": "BaselineFalseRGBSelector",
    "HighContrastSelector": "HighContrastBandSelector",
    "LentilsAnomalyDataNode": "AnomalyDataNode",
    "SupervisedCIRSelector": "SupervisedCIRBandSelector",
    "SupervisedFullSpectrumSelector": "SupervisedFullSpectrumBandSelector",
    "SupervisedWindowedSelector": "SupervisedWindowedFalseRGBSelector",
}
#: Sizes that the graph infers; those written there are often not the right ones.
INFERRED = ("num_channels", "input_channels", "num_spectral_bands")
#: Keys of the batch that unconnected inputs of the same name get there.
BATCH_KEYS = ("cube", "mask", "wavelengths")
DATA_NODE = "cubes.AnomalyDataNode"
NOT_IN_NAMES = re.compile(r"\W+", re.ASCII)
SIDES = ("inputs", "outputs")
NODE_KEYS = ("name", "class", "class_name", "params", "hparams")
CONNECTION_KEYS = ("from", "to", "source", "target")


@dataclass
class ImportedGraph:
    """A graph as a run file has it.

    Args:
        nodes: Type and config by name.
        connections: Pairs of ``node.port``.
        classes: The class of each node.
        names: The name here of each node there.
    """

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    connections: list[list[str]] = field(default_factory=list)
    classes: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class GraphImporter:
    """Imports one pipeline.

    Args:
        source: The file.
        keys: Where the pipeline is in it.
        report: Gets what is done.
        plugins: Where classes are looked up.
    """

    def __init__(self, source: PlacedYaml, keys: Keys, report: Report, plugins: Plugins) -> None:
        self.source = source
        self.keys = keys
        self.report = report
        self.plugins = plugins
        self.imported = ImportedGraph()
        self._offered = {
            label.rpartition(".")[2]: label for label in plugins.offers(("nodes", "losses"))
        }

    def run(self, pipeline: Mapping[str, Any]) -> ImportedGraph:
        """The graph."""
        for number, node in enumerate(pipeline.get("nodes") or []):
            self._node(node, (*self.keys, "nodes", number))
        by_target: dict[str, list[str]] = {}
        for number, connection in enumerate(pipeline.get("connections") or []):
            self._connect(connection, (*self.keys, "connections", number), by_target)
        self.imported.connections += [pair for pair in by_target.values() if pair]
        self._connect_batch(set(by_target))
        return self.imported

    def _node(self, node: Mapping[str, Any], keys: Keys) -> None:
        place = self.source.place(*keys)
        path = str(node.get("class_name") or node.get("class") or "")
        written = path.rpartition(".")[2]
        wanted = CLASSES.get(written, written)
        reference = self._offered.get(wanted)
        name = str(node.get("name") or written)
        if reference is None:
            what = f"node {name!r}, {place}: no plugin offers {path or 'its class'}"
            fix = did_you_mean(wanted, self._offered)
            if "did you mean" in fix:
                what = f"{what}; {fix}"
            self.report.excluded.append(what)
            return
        valid = self._valid_name(name, place)
        self.imported.names[name] = valid
        _label, cls = self.plugins.find(reference, ("nodes", "losses"), self.source.where(*keys))
        params = node.get("hparams") or node.get("params") or {}
        config = self._config(cls, params, f"{name}, {place}")
        entry: dict[str, Any] = {"type": reference}
        if config:
            entry["config"] = config
        self.imported.nodes[valid] = entry
        self.imported.classes[valid] = cls
        self.report.mapped.append(f"node {valid!r}, {place}: {path} is {reference}")
        self.report.exclude_others(node, NODE_KEYS, f"node {name!r}, {place}")

    def _valid_name(self, name: str, place: str) -> str:
        valid = NOT_IN_NAMES.sub("_", name)
        if not valid[:1].isalpha():
            valid = f"node_{valid}"
        base = valid
        number = 1
        while valid in self.imported.nodes:
            number += 1
            valid = f"{base}_{number}"
        if valid != name:
            self.report.renamed.append(f"node {name!r}, {place}: {valid!r}")
        return valid

    def _config(self, cls: type, params: Mapping[str, Any], label: str) -> dict[str, Any]:
        """The parameters that the class has."""
        known = inspect.signature(cls).parameters
        config = {}
        for key, value in params.items():
            if key == "name":
                continue
            if key in INFERRED:
                self.report.excluded.append(f"{label}: {key}: {value}, which the graph infers")
            elif key in known:
                config[key] = value
            else:
                self.report.excluded.append(f"{label}: the parameter {key}, which is unknown here")
        return config

    def _connect(
        self, connection: Mapping[str, Any], keys: Keys, by_target: dict[str, list[str]]
    ) -> None:
        place = self.source.place(*keys)
        source = self._end(connection.get("source") or connection.get("from"), "outputs", place)
        target = self._end(connection.get("target") or connection.get("to"), "inputs", place)
        if not source or not target:
            return
        node, _, port = target.partition(".")
        takes_many = self.imported.classes[node].inputs[port].many
        key = target
        if takes_many:
            key = f"{target} from {source}"
        elif target in by_target:
            before, _target = by_target[target]
            what = f"connection of {before} to {target}: the one of {place} replaces it"
            self.report.excluded.append(what)
        by_target[key] = [source, target]
        self.report.exclude_others(connection, CONNECTION_KEYS, f"connection, {place}")

    def _end(self, written: Any, side: str, place: str) -> str:
        """An end such as ``A.outputs.p`` as ``A.p``; empty where it cannot be."""
        name, _, port = str(written or "").rpartition(".")
        for other in SIDES:
            if name.endswith(f".{other}") and name not in self.imported.names:
                name = name.removesuffix(f".{other}")
                if other != side:
                    what = f"connection, {place}: {written!r} is no {side[:-1]} of a node"
                    self.report.excluded.append(what)
                    return ""
        node = self.imported.names.get(name, "")
        if not node:
            what = f"connection, {place}: the node of {written!r} is not imported"
            self.report.excluded.append(what)
            return ""
        ports = getattr(self.imported.classes[node], side)
        if port not in ports:
            fix = did_you_mean(port, ports)
            what = f"connection, {place}: {node} has no {side[:-1]} {port!r}; {fix}"
            self.report.excluded.append(what)
            return ""
        return f"{node}.{port}"

    def _connect_batch(self, connected: set[str]) -> None:
        """Write the connections of inputs that get a value of the batch by their name there."""
        data_nodes = [
            name for name, node in self.imported.nodes.items() if node["type"] == DATA_NODE
        ]
        for name, cls in self.imported.classes.items():
            if name in data_nodes:
                continue  # it reads the batch by the names of its ports
            for port, spec in cls.inputs.items():
                target = f"{name}.{port}"
                is_needed = port in BATCH_KEYS and not spec.optional
                if not is_needed or target in connected:
                    continue
                source = f"batch.{port}"
                if data_nodes:
                    source = f"{data_nodes[0]}.{port}"
                self.imported.connections.append([source, target])
                self.report.mapped.append(f"connection of {source} to {target}, which was implied")
