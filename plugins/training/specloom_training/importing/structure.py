"""The structure of files of cuvis-ai: what has to be a mapping, a list or a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from specloom import ConfigError

if TYPE_CHECKING:
    from specloom_training.importing.placed_yaml import Keys, PlacedYaml

NODE_LISTS = ("loss_nodes", "metric_nodes", "freeze_nodes", "unfreeze_nodes")
#: Keys of a node in the documents, and those of cuvis-ai.
DOCUMENTED = {"type": "class_name", "config": "hparams"}
SHARES = ("train_split", "val_split")


def as_lists(source: PlacedYaml, pipeline: Mapping[str, Any], keys: Keys) -> Mapping[str, Any]:
    """A pipeline with the list of nodes and the connections that cuvis-ai has.

    Its documents print them otherwise: nodes as a mapping of names to ``type`` and ``config``, and
    connections as pairs ``[data.cube, rx.data]``.

    Raises:
        ConfigError: A node of the mapping is no mapping.
    """
    found = dict(pipeline)
    if isinstance(pipeline["nodes"], dict):
        found["nodes"] = []
        for number, (name, node) in enumerate(pipeline["nodes"].items()):
            check_mapping(source, pipeline["nodes"], *keys, "nodes", name)
            source.move((*keys, "nodes", str(name)), (*keys, "nodes", number))
            found["nodes"].append(_as_listed(str(name), node or {}))
    connections = pipeline.get("connections")
    if isinstance(connections, list):
        found["connections"] = [_as_connection(one) for one in connections]
    return found


def _as_listed(name: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """A node of the documents' mapping as one of cuvis-ai's list."""
    listed: dict[str, Any] = {"name": name}
    for key, value in node.items():
        listed[DOCUMENTED.get(key, key)] = value
    return listed


def _as_connection(written: Any) -> Any:
    """A pair as a connection of cuvis-ai; anything else as it is."""
    if isinstance(written, list) and len(written) == 2:
        source, target = written
        return {"source": source, "target": target}
    return written


def check_pipeline(source: PlacedYaml, pipeline: Mapping[str, Any], keys: Keys) -> None:
    """Check a pipeline before it is imported.

    Args:
        source: The file.
        pipeline: Its pipeline.
        keys: Where the pipeline is in it.

    Raises:
        ConfigError: A part has another structure than that of a pipeline.
    """
    check_list_of_mappings(source, pipeline, *keys, "nodes")
    check_list_of_mappings(source, pipeline, *keys, "connections")
    for number, node in enumerate(pipeline["nodes"]):
        for name in ("hparams", "params"):
            check_mapping(source, node, *keys, "nodes", number, name)
    check_mapping(source, pipeline, *keys, "metadata")
    about = pipeline.get("metadata") or {}
    check_list(source, about, *keys, "metadata", "tags")
    if not isinstance(pipeline.get("plugins"), dict):
        check_list(source, pipeline, *keys, "plugins")


def check_train_run(source: PlacedYaml) -> None:
    """Check the data and the training of a file.

    Raises:
        ConfigError: A part has another structure than that of a train run.
    """
    value: Mapping[str, Any] = source.value
    for name in NODE_LISTS:
        check_list(source, value, name)
    _check_data(source, value)
    check_mapping(source, value, "training")
    training = value.get("training") or {}
    for name in ("trainer", "optimizer", "scheduler", "callbacks"):
        check_mapping(source, training, "training", name)
    _check_callbacks(source, training, "training")
    trainer = training.get("trainer") or {}
    check_mapping(source, trainer, "training", "trainer", "callbacks")
    _check_callbacks(source, trainer, "training", "trainer")


def _check_data(source: PlacedYaml, value: Mapping[str, Any]) -> None:
    check_mapping(source, value, "data")
    data = value.get("data") or {}
    _check_shares(source, data, "data")
    for name in ("params", "splits"):
        check_mapping(source, data, "data", name)
        _check_shares(source, data.get(name) or {}, "data", name)


def _check_shares(source: PlacedYaml, values: Mapping[str, Any], *keys: Any) -> None:
    for name in SHARES:
        share = values.get(name)
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if share is not None and not is_number:
            raise _wrong(source, share, "a number", (*keys, name))


def _check_callbacks(source: PlacedYaml, values: Mapping[str, Any], *keys: Any) -> None:
    callbacks = values.get("callbacks") or {}
    place = (*keys, "callbacks")
    check_list_of_mappings(source, callbacks, *place, "early_stopping")
    for name in ("model_checkpoint", "checkpoint"):
        check_mapping(source, callbacks, *place, name)


def check_mapping(source: PlacedYaml, values: Mapping[str, Any], *keys: Any) -> None:
    """Check that a value, the last of the keys, is a mapping, empty or not there.

    Raises:
        ConfigError: It is something else.
    """
    value = values.get(keys[-1])
    if value is not None and not isinstance(value, dict):
        raise _wrong(source, value, "a mapping", keys)


def check_list(source: PlacedYaml, values: Mapping[str, Any], *keys: Any) -> None:
    """Check that a value, the last of the keys, is a list, empty or not there.

    Raises:
        ConfigError: It is something else.
    """
    value = values.get(keys[-1])
    if value is not None and not isinstance(value, list):
        raise _wrong(source, value, "a list", keys)


def check_list_of_mappings(source: PlacedYaml, values: Mapping[str, Any], *keys: Any) -> None:
    """Check that a value, the last of the keys, is a list of mappings, empty or not there.

    Raises:
        ConfigError: It, or an item of it, is something else.
    """
    check_list(source, values, *keys)
    for number, item in enumerate(values.get(keys[-1]) or []):
        if not isinstance(item, dict):
            raise _wrong(source, item, "a mapping", (*keys, number))


def _wrong(source: PlacedYaml, value: Any, wanted: str, keys: Keys) -> ConfigError:
    written = repr(value)
    if len(written) > 60:
        written = f"{written[:60]}…"
    name = ".".join(map(str, keys))
    what = f"{name} is {written}, where cuvis-ai has {wanted}"
    return ConfigError(what, where=source.where(*keys), fix=f"write {wanted}")
