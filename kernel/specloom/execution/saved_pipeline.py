"""Saved pipelines: a YAML text and safetensors that name each other's hash.

The YAML holds the nodes with their current parameters, the connections, how the files were read
that the pipeline was fitted on, the plugins' versions and the hash of the weights; the weights hold
the hash of that description, and, under the name of the batch, what nodes were fitted on. ``pack``
and ``unpack`` work on text and bytes, ``save`` and ``load`` on files. The YAML file is replaced
last but for the weights' final name, so a kill at any moment leaves the old pipeline or the new
one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from specloom.assembly.assemble import assemble
from specloom.contract.abilities import Stateful
from specloom.contract.errors import (
    ConfigError,
    IntegrityError,
    Problems,
    SpecloomError,
    UnavailableError,
    raise_all,
)
from specloom.execution.files import sha256, write_file
from specloom.graph.graph import Graph, default_stages
from specloom.plugins import Plugins
from specloom.runfile import parameters
from specloom.runfile.form import SAVED, VERSION, RunFile, interpret
from specloom.runfile.names import BATCH
from specloom.runfile.yaml import Document, dump, parse, read

PENDING = ".new"
RESTORE = "restore both files from where the pipeline was saved"
#: A graph with its state, and its metadata.
Restored: TypeAlias = tuple[Graph, Mapping[str, Any]]


def to_dict(graph: Graph, plugins: Plugins) -> dict[str, Any]:
    """A graph as a run file would hold it, with the current values of its parameters.

    Raises:
        ConfigError: A node's class is offered by no plugin.
        GraphError: A node or an output has a name that it cannot have.
    """
    wrong_names = list(graph.wrong_names())  # outputs may have been added since it was checked
    raise_all(wrong_names)
    nodes = {}
    for name in graph.nodes:
        nodes[name] = _node_to_dict(graph, name, plugins)
    pairs = []
    for connection in graph.connections:
        if not graph.connections.is_implied(connection):
            pairs.append([connection.source, connection.target])
    return {"nodes": nodes, "connections": pairs, "outputs": dict(graph.outputs)}


def pack(
    graph: Graph,
    plugins: Plugins,
    metadata: Mapping[str, Any] | None = None,
    weights_name: str = "pipeline.safetensors",
) -> tuple[str, bytes]:
    """A graph as YAML text and its state as safetensors, fitted or not.

    Args:
        graph: The graph.
        plugins: The plugins that offer the classes of its nodes.
        metadata: Name, description, tags and author.
        weights_name: The name of the file that the bytes are for.

    Raises:
        ConfigError: A node's class is offered by no plugin, so it could not be loaded.
    """
    body = to_dict(graph, plugins)
    references = [node["type"] for node in body["nodes"].values()]
    description: dict[str, Any] = {
        "specloom": VERSION,
        "metadata": dict(metadata or {}),
        "batch": _batch_sizes(graph),
    }
    if graph.read_options:
        description["reading"] = graph.read_options
    description["plugins"] = plugins.versions(references)
    description.update(body)
    runtime = plugins.runtime()
    weights_metadata = {"graph": _digest(description)}
    arrays = graph.state()
    for key, value in graph.fitted_on.items():
        arrays[f"{BATCH}.{key}"] = value
    weights = runtime.dump(arrays, weights_metadata)
    state = {"file": weights_name, "sha256": sha256(weights)}
    text = dump({**description, "state": state})
    return text, weights


def unpack(
    text: str,
    weights: bytes,
    plugins: Plugins,
    name: str = "pipeline.yaml",
) -> Restored:
    """The graph that was packed, with its state, and its metadata.

    Args:
        text: The YAML text.
        weights: The safetensors.
        plugins: Where the classes of nodes are looked up.
        name: What messages call the text.

    Raises:
        ConfigError: ``text`` is no packed pipeline.
        IntegrityError: Text and weights are not what they say they are.
    """
    document = parse(text, name)
    file = _interpret(document)
    weights_name = _weights_name(file)
    digest = sha256(weights)
    if digest != file.state["sha256"]:
        raise _foreign_weights(weights_name)
    return _restore_graph(file, weights, weights_name, plugins)


def save(
    path: Path,
    graph: Graph,
    metadata: Mapping[str, Any],
    plugins: Plugins,
) -> None:
    """Write a pipeline as ``path`` and, next to it, ``<stem>.safetensors``.

    Raises:
        ConfigError: A node's class is offered by no plugin, so it could not be loaded.
        UnavailableError: The files cannot be written.
    """
    weights = path.with_suffix(".safetensors")
    text, data = pack(graph, plugins, metadata, weights.name)
    pending = _pending(weights)
    if _finishes_killed_save(pending, path):
        pending.replace(weights)
    write_file(pending, data)
    write_file(path, text.encode())
    pending.replace(weights)


def file_of(path: Path) -> Path:
    """The YAML file of a saved pipeline: of the folder of a run, or beside its weights."""
    if path.is_dir():
        return path / "pipeline.yaml"
    if path.suffix == ".safetensors":
        return path.with_suffix(".yaml")
    return path


def load(path: Path, plugins: Plugins | None = None) -> Restored:
    """A saved pipeline's graph with its state, and its metadata.

    Raises:
        ConfigError: ``path`` is no saved pipeline.
        IntegrityError: The files are not what they say they are.
    """
    document = read(path)
    file = _interpret(document)
    weights = path.parent / _weights_name(file)
    if plugins is None:
        plugins = Plugins.for_file(path)
    data = _read_weights(weights, file.state["sha256"])
    return _restore_graph(file, data, str(weights), plugins)


def _node_to_dict(graph: Graph, name: str, plugins: Plugins) -> dict[str, Any]:
    """A node as a run file would hold it."""
    node = graph.nodes[name]
    reference = graph.types.get(name)
    if not reference:
        reference = plugins.reference(type(node))
    entry: dict[str, Any] = {"type": reference}
    config = parameters.values(node)
    if config:
        entry["config"] = config
    stages = graph.stages[name]
    if stages != default_stages(node):
        entry["stages"] = list(stages)
    return entry


def _batch_sizes(graph: Graph) -> dict[str, int]:
    """The sizes, but for the images', of what reads the batch: a loaded graph has no source."""
    found = {}
    for connection in graph.connections:
        if connection.source_node != BATCH:
            continue
        sizes = graph.sizes(connection.target_node)
        _output, target = graph.connections.ports(connection)
        for axis in target.names:
            if axis in sizes:
                found[axis] = sizes[axis]
    return found


def _interpret(document: Document) -> RunFile:
    """The document as a saved pipeline.

    Raises:
        ConfigError: It is none; ``Problems`` where its form is wrong in several ways.
    """
    file, problems = interpret(document, SAVED)
    if "file" not in file.state or "sha256" not in file.state:
        what = f"{document.name} is no saved pipeline"
        fix = "give the pipeline.yaml that a run wrote"
        raise ConfigError(what, where=document.where(), fix=fix)
    raise_all(problems)
    return file


def _weights_name(file: RunFile) -> str:
    """The name of the file with the weights, without any folder."""
    path = Path(str(file.state["file"]))
    return path.name


def _restore_graph(
    file: RunFile,
    weights: bytes,
    weights_place: str,
    plugins: Plugins,
) -> Restored:
    """The graph that a saved pipeline describes, with its state, and its metadata.

    Raises:
        IntegrityError: The description was changed, or the state does not fit the nodes.
    """
    runtime = plugins.runtime()
    arrays, weights_metadata = runtime.load(weights)
    description = dict(file.document.value)
    del description["state"]
    if weights_metadata.get("graph") != _digest(description):
        name = file.document.name
        what = f"{name} was changed after it was saved"
        fix = "restore the file, or run its run file again"
        raise IntegrityError(what, where=name, fix=fix)
    try:
        assembly = assemble(file, [], plugins)
        _restore_nodes(assembly.graph, arrays, weights_place)
        assembly.graph.fitted_on.update(_node_state(arrays, BATCH))
    except SpecloomError as e:
        errors: list[SpecloomError] = [e]
        if isinstance(e, Problems):
            errors = list(e.errors)
        errors += _version_problems(file, plugins)
        raise_all(errors)
        raise
    return assembly.graph, file.metadata


def _restore_nodes(graph: Graph, arrays: Mapping[str, Any], where: str) -> None:
    """Restore the state of every node.

    Raises:
        IntegrityError: It does not fit a node.
    """
    for name, node in graph.nodes.items():
        if not isinstance(node, Stateful):
            continue
        state = _node_state(arrays, name)
        if getattr(node, "array_library", "") == "numpy":
            state = {key: value.numpy() for key, value in state.items()}
        try:
            node.restore(state)
        except Exception as e:
            reason = getattr(e, "what", repr(e))
            what = f"node {name!r}: {reason}"
            fix = getattr(e, "fix", "") or "load it with the plugin versions it was saved with"
            raise IntegrityError(what, where=where, fix=fix) from e


def _node_state(arrays: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The arrays of one node, by their own names."""
    prefix = f"{name}."
    state = {}
    for key, value in arrays.items():
        if key.startswith(prefix):
            own_name = key.removeprefix(prefix)
            state[own_name] = value
    return state


def _version_problems(file: RunFile, plugins: Plugins) -> Sequence[SpecloomError]:
    """One error where plugins have other versions than when the pipeline was saved."""
    differing = []
    for name, saved_version in file.plugins.items():
        version = "none"
        if name in plugins.modules:
            version = plugins.version(name)
        if version != saved_version:
            differing.append(f"{name} {saved_version}, here is {version}")
    if not differing:
        return ()
    listed = "; ".join(differing)
    what = f"it was saved with {listed}"
    fix = "use the versions that it was saved with, or run its run file again with these"
    error = IntegrityError(what, where=file.document.name, fix=fix)
    return [error]


def _finishes_killed_save(pending: Path, path: Path) -> bool:
    """Whether pending weights are those of the present YAML: a save was killed at its last step."""
    if not pending.is_file() or not path.is_file():
        return False
    digest = sha256(pending.read_bytes())
    return digest in path.read_text()


def _pending(weights: Path) -> Path:
    """Where weights are written before they get their name."""
    return weights.with_name(weights.name + PENDING)


def _read_weights(weights: Path, digest: str) -> bytes:
    """The weights that the YAML names: under their name, or where a killed save left them.

    Raises:
        IntegrityError: They are not there, or are others.
        UnavailableError: They cannot be read.
    """
    paths = [weights, _pending(weights)]
    present = [path for path in paths if path.is_file()]
    if not present:
        what = f"{weights} is missing"
        fix = "copy it from where the pipeline was saved"
        raise IntegrityError(what, where=str(weights), fix=fix)
    for data in _contents(present):
        if sha256(data) == digest:
            return data
    raise _foreign_weights(str(weights))


def _contents(paths: Iterable[Path]) -> list[bytes]:
    """What files hold.

    Raises:
        UnavailableError: One cannot be read.
    """
    try:
        return [path.read_bytes() for path in paths]
    except OSError as e:
        what = f"{e.filename} cannot be read: {e.strerror}"
        raise UnavailableError(what, fix="check its permissions") from e


def _foreign_weights(weights: str) -> IntegrityError:
    what = f"{weights} is not the file that was saved with the pipeline (its SHA-256 differs)"
    return IntegrityError(what, where=weights, fix=RESTORE)


def _digest(description: Mapping[str, Any]) -> str:
    """The hash of a description, whatever its layout and comments."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode())
