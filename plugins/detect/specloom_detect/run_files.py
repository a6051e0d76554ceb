"""The run file behind ``specloom detect``, and the same graph in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from specloom import ConfigError, Pipeline, Plugins, Ported, did_you_mean
from specloom_detect.censored_tail import CENSORED

if TYPE_CHECKING:
    from specloom_detect.own import ScoreFunction

Method: TypeAlias = Literal["rx", "robust", "coreset"]

Detector: TypeAlias = "Method | ScoreFunction | Ported"
"""A detector: by name, a function from a cube to scores, or a node."""

DEFAULT_METHOD: Method = "robust"
"""The method where none is chosen; docs/explanation/choosing-a-detector.md has the figures."""

DEFAULT_RATE = 1e-3
"""The false-alarm rate where none is chosen: false alarms among a thousand normal pixels."""

DETECTORS: Mapping[str, dict[str, Any]] = {
    "rx": {"type": "rx.RXGlobal"},
    # What is censored when the threshold is set may be anomalous, and so is no background.
    "robust": {"type": "rx.RobustRX", "config": {"trim": CENSORED}},
    "coreset": {"type": "neighbours.CoresetNeighbours"},
}
"""The detector of each method."""

DATA = {"type": "cubes.AnomalyDataNode", "config": {"normal_class_ids": [0]}}
DECIDER = {"type": "deciders.BinaryDecider"}
METRICS = {"type": "metrics.AnomalyDetectionMetrics"}

CONNECTIONS = (
    ("data.cube", "detector.data"),
    ("data.valid", "detector.valid"),
    ("detector.scores", "decider.logits"),
    ("data.valid", "decider.valid"),
)

WITH_MASKS = (
    ("decider.decisions", "metrics.decisions"),
    ("detector.scores", "metrics.logits"),
    ("data.mask", "metrics.targets"),
    ("data.labelled", "metrics.valid"),
)

OUTPUTS = {"scores": "detector.scores", "decisions": "decider.decisions"}


def run_file(
    cubes: Sequence[str],
    masks: Sequence[str] = (),
    method: str = DEFAULT_METHOD,
    false_alarm_rate: float = DEFAULT_RATE,
    variable: str | None = None,
    name: str = "detect",
    normal: Sequence[int] = (0,),
    valid: str | None = None,
) -> dict[str, Any]:
    """What a run file holds that detects the anomalies of cubes.

    Args:
        cubes: The files.
        masks: A mask for each, or none.
        method: ``rx``, ``robust`` or ``coreset``.
        false_alarm_rate: The share of normal pixels that may be decided.
        variable: The array that is the cube, where a file holds several.
        name: The name of the run.
        normal: The classes in the masks that are normal.
        valid: The file that says which pixels count; of several cubes a pattern.

    Raises:
        ConfigError: There is no such method.
    """
    data = {"type": DATA["type"], "config": {"normal_class_ids": list(normal)}}
    nodes = {"data": data, "detector": detector_of(method), "decider": DECIDER}
    connections = [list(pair) for pair in CONNECTIONS]
    config = {"decider": "decider", "false_alarm_rate": false_alarm_rate}
    phases: list[dict[str, Any]] = [
        {"type": "training.StatisticalTrainer"},
        {"type": "detect.CensoredTail", "config": config},
    ]
    if masks:
        nodes["metrics"] = METRICS
        connections += [list(pair) for pair in WITH_MASKS]
        phases.append({"type": "training.Evaluate", "config": {"split": "test"}})
    return {
        "specloom": 1,
        "metadata": {
            "name": name,
            "description": f"Anomalies without masks by {method}: fitted on the cubes themselves.",
            "tags": ["detect", method],
        },
        "data": _data(cubes, masks, variable, valid),
        "nodes": nodes,
        "connections": connections,
        "phases": phases,
        "outputs": OUTPUTS,
    }


def _data(
    cubes: Sequence[str], masks: Sequence[str], variable: str | None, valid: str | None
) -> dict[str, Any]:
    """The source: one scene, or several."""
    if len(cubes) > 1:
        config: dict[str, Any] = {"cubes": list(cubes)}
        if masks:
            config["masks"] = list(masks)
        if variable is not None:
            config["variable"] = variable
        if valid is not None:
            config["valid"] = valid
        return {"type": "cubes.Scenes", "config": config}
    config = {"cube": cubes[0], "find_mask": False}
    if masks:
        config["mask"] = masks[0]
    if variable is not None:
        config["cube_variable"] = variable
    if valid is not None:
        config["valid"] = valid
    return {"type": "cubes.Scene", "config": config}


def detector_of(method: str) -> dict[str, Any]:
    """The detector of a method, as in a run file.

    Raises:
        ConfigError: There is no such method.
    """
    if method not in DETECTORS:
        what = f"there is no method {method!r}"
        raise ConfigError(what, fix=did_you_mean(method, DETECTORS))
    return DETECTORS[method]


def build_pipeline(method: Detector = DEFAULT_METHOD, plugins: Plugins | None = None) -> Pipeline:
    """The graph of the run file without a mask, in Python.

    Args:
        method: A name, a function from a cube (H, W, C) to scores (H, W), or a node whose first
            input is the cube, and which has an output ``scores``.
        plugins: The plugins; by default those that are installed.

    Raises:
        ConfigError: There is no such method, or the node has other ports.
    """
    plugins = plugins or Plugins()
    pipeline = Pipeline("detect", plugins)
    pipeline.add("data", _made(DATA, plugins))
    detector = _detector(method, plugins)
    pipeline.add("detector", detector)
    pipeline.add("decider", _made(DECIDER, plugins))
    for source, target in connections_of(detector):
        pipeline.connect(source, target)
    pipeline.outputs = OUTPUTS
    return pipeline


def _made(entry: Mapping[str, Any], plugins: Plugins) -> Any:
    """A node as a run file has it."""
    _label, cls = plugins.find(str(entry["type"]), ("nodes",), "")
    return cls(**entry.get("config", {}))


def _detector(method: Detector, plugins: Plugins) -> Any:
    """The node of a method.

    Raises:
        ConfigError: There is no such method, or the node has other ports.
    """
    if isinstance(method, str):
        return _made(detector_of(method), plugins)
    if isinstance(method, type):
        what = f"the method is the class {method.__name__}"
        raise ConfigError(what, fix=f"pass a node of it: method={method.__name__}()")
    if not isinstance(method, Ported):
        from specloom_detect.own import as_node

        return as_node(method)
    if not method.inputs or "scores" not in method.outputs:
        what = f"{type(method).__name__} has the outputs {list(method.outputs)} and no 'scores'"
        raise ConfigError(what, fix="pass a detector, a node with an output 'scores'")
    return method


def connections_of(detector: Ported) -> list[tuple[str, str]]:
    """The connections of the pipeline of a detector, whose first input is the cube."""
    first = next(iter(detector.inputs))
    found = []
    for source, target in CONNECTIONS:
        node, _, port = target.partition(".")
        if target == "detector.data":
            found.append((source, f"detector.{first}"))
        elif node != "detector" or port in detector.inputs:
            found.append((source, target))
    return found
