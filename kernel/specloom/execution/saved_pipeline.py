"""Saved pipelines: a YAML file and a safetensors file that name each other's hash.

The YAML holds the nodes with their current parameters, the connections, the plugins' versions and
the hash of the weights; the weights hold the hash of that description. The YAML is replaced last
but for the weights' final name, so a kill at any moment leaves the old pipeline or the new one.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from specloom.contract.errors import (
    ConfigError,
    IntegrityError,
    SpecloomError,
    UnavailableError,
    raise_all,
)
from specloom.contract.nodes import STAGES, Stateful
from specloom.execution.process_tag import temporary_name
from specloom.graph.connections import BATCH
from specloom.graph.graph import Graph
from specloom.plugins import Plugins
from specloom.runfile import build, parameters
from specloom.runfile.yaml import read, scalar

PENDING = ".new"
RESTORE = "restore both files from where the pipeline was saved"


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step: readers see the old contents or the new ones, never a part.

    A device or a pipe, such as ``/dev/null``, is written to and stays what it is.

    Raises:
        UnavailableError: The disk is full, or the folder cannot be written.
    """
    if not path.name:
        fix = "give the name of a file"
        raise UnavailableError(f"{str(path)!r} cannot be written: it is a folder", fix=fix)
    temporary = path.with_name(temporary_name(path.name))
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as e:
        fix = "choose another folder with --out, or make room on the disk"
        raise UnavailableError(f"{path} cannot be written: {e.strerror}", fix=fix) from e
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON in one step."""
    write_file(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def described(graph: Graph, plugins: Plugins) -> dict[str, Any]:
    """A graph as a run file would hold it, with the current values of its parameters.

    Raises:
        ConfigError: A node's class is offered by no plugin.
        GraphError: A node or an output has a name that it cannot have.
    """
    raise_all([*graph.wrong_names()])  # outputs may have been added since it was checked
    nodes = dict[str, dict[str, Any]]()
    for name, node in graph.nodes.items():
        entry = nodes[name] = {"type": graph.types.get(name) or plugins.reference(type(node))}
        if given := parameters.values(node):
            entry["config"] = given
        if graph.stages[name] != tuple(getattr(node, "stages", STAGES)):
            entry["stages"] = list(graph.stages[name])
    pairs = [[link.source, link.target] for link in graph.links if not graph.by_name(link)]
    return {"nodes": nodes, "connections": pairs, "outputs": dict(graph.outputs)}


def save(path: Path, graph: Graph, metadata: Mapping[str, Any], plugins: Plugins) -> None:
    """Write a pipeline as ``path`` and, beside it, ``<stem>.safetensors``.

    Raises:
        ConfigError: A node's class is offered by no plugin, so that nobody could load it.
        UnavailableError: The files cannot be written.
    """
    body = described(graph, plugins)
    about = {"specloom": build.VERSION, "metadata": dict(metadata), "batch": _batch_sizes(graph)}
    about |= {"plugins": plugins.versions(one["type"] for one in body["nodes"].values()), **body}
    weights = path.with_suffix(".safetensors")
    data = plugins.runtime().dump(graph.state(), {"graph": _digest(about)})
    text = _dump({**about, "state": {"file": weights.name, "sha256": _sha256(data)}})
    pending = weights.with_name(weights.name + PENDING)
    if pending.is_file() and path.is_file() and _sha256(pending.read_bytes()) in path.read_text():
        pending.replace(weights)  # a save that was killed: these are the old pipeline's weights
    write_file(pending, data)
    write_file(path, text.encode())
    pending.replace(weights)


def load(path: Path, plugins: Plugins | None = None) -> tuple[Graph, Mapping[str, Any]]:
    """A saved pipeline's graph with its state, and its metadata.

    Raises:
        ConfigError: ``path`` is no saved pipeline.
        IntegrityError: The files are not what they say they are.
    """
    document = read(path)
    file, problems = build.interpret(document, build.SAVED)
    if {"file", "sha256"} - file.state.keys():
        what, fix = f"{path} is no saved pipeline", "give the pipeline.yaml that a run wrote"
        raise ConfigError(what, where=document.where(), fix=fix)
    raise_all(problems)
    weights = path.parent / Path(str(file.state["file"])).name
    plugins = plugins or Plugins.for_file(path)
    arrays, metadata = plugins.runtime().load(_read_weights(weights, file.state["sha256"]))
    about = {key: value for key, value in document.value.items() if key != "state"}
    if metadata.get("graph") != _digest(about):
        fix = "restore the file, or run its run file again"
        raise IntegrityError(f"{path} was changed after it was saved", where=str(path), fix=fix)
    try:
        graph, _, _ = build.assemble(file, [], plugins)
        _restore(graph, arrays, str(weights))
    except SpecloomError as e:
        here = {n: plugins.version(n) if n in plugins.modules else "none" for n in file.plugins}
        old = [f"{n} {was}, here is {here[n]}" for n, was in file.plugins.items() if here[n] != was]
        fix = "use the versions that it was saved with, or run its run file again with these"
        aged = IntegrityError(f"it was saved with {'; '.join(old)}", where=str(path), fix=fix)
        raise_all([*getattr(e, "errors", [e]), *([aged] if old else [])])
    return graph, file.metadata


def _restore(graph: Graph, arrays: Mapping[str, Any], where: str) -> None:
    for name, node in graph.nodes.items():
        if isinstance(node, Stateful):
            mine = {k.partition(".")[2]: v for k, v in arrays.items() if k.split(".")[0] == name}
            if getattr(node, "array_library", "") == "numpy":
                mine = {key: value.numpy() for key, value in mine.items()}
            try:
                node.restore(mine)
            except Exception as e:
                what = f"node {name!r}: {getattr(e, 'what', repr(e))}"
                fix = getattr(e, "fix", "") or "load it with the plugin versions it was saved with"
                raise IntegrityError(what, where=where, fix=fix) from e


def _read_weights(weights: Path, sha256: str) -> bytes:
    """The weights that the YAML names: under their name, or where a killed save left them."""
    where, pending = str(weights), weights.with_name(weights.name + PENDING)
    if not (found := [one for one in (weights, pending) if one.is_file()]):
        fix = "copy it from where the pipeline was saved"
        raise IntegrityError(f"{weights} is missing", where=where, fix=fix)
    try:
        named = [data for one in found if _sha256(data := one.read_bytes()) == sha256]
    except OSError as e:
        what, fix = f"{e.filename} cannot be read: {e.strerror}", "check its permissions"
        raise UnavailableError(what, fix=fix) from e
    if not named:
        what = "is not the file that was saved with the pipeline (its SHA-256 differs)"
        raise IntegrityError(f"{weights} {what}", where=where, fix=RESTORE)
    return named[0]


def _batch_sizes(graph: Graph) -> dict[str, int]:
    """The sizes, but for the images', of what the batch feeds: a loaded graph has no source."""
    fed = [
        (link.target_node, graph.ends(link)[1].names)
        for link in graph.links
        if link.source_node == BATCH
    ]
    return {a: sizes[a] for n, axes in fed for a in axes if a in (sizes := graph.sizes(n))}


def _digest(about: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(about, sort_keys=True, separators=(",", ":")).encode())


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _dump(value: Mapping[str, Any]) -> str:
    """YAML that ``runfile/yaml.py`` reads back to the same value."""
    import yaml

    class Dumper(yaml.SafeDumper):
        ignore_aliases: Any = staticmethod(lambda data: True)

    def text(dumper: yaml.SafeDumper, one: str) -> yaml.Node:
        plain = isinstance(scalar(one), str) and one.isprintable()
        return dumper.represent_scalar("tag:yaml.org,2002:str", one, style=None if plain else '"')

    Dumper.add_representer(str, text)
    return yaml.dump(dict(value), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
