"""Nodes and pipelines as they were before any fit."""

from __future__ import annotations

import inspect
from typing import Any

from specloom import ConfigError, Pipeline

PIXEL = "pixel"


def fresh_node(node: Any) -> Any:
    """A node with the parameters of another one, and without its fit.

    Parameters that only repeat a size that the other was built for are left out.
    """
    built = getattr(node, "built_for", None) or {}
    arguments = {}
    for name, parameter in inspect.signature(type(node)).parameters.items():
        if name == "name" or (name in built and parameter.default is None):
            continue
        arguments[name] = getattr(node, name)
    return type(node)(**arguments)


def fresh_pipeline(pipeline: Pipeline) -> Pipeline:
    """A pipeline with fresh nodes, connected as those of another one."""
    made = Pipeline(pipeline.name, pipeline.plugins, companions=pipeline.companions)
    for name, node in pipeline.nodes.items():
        made.add(name, fresh_node(node))
    for connection in pipeline.connections:
        made.connect(connection.source, connection.target)
    made.outputs = pipeline.outputs
    made.stages = dict(pipeline.stages)
    return made


def require_pixels(detector: Any) -> None:
    """Accept nodes and pipelines in which a pixel's score follows from that pixel alone.

    Raises:
        ConfigError: A node sees more than a pixel.
    """
    nodes = [detector]
    if isinstance(detector, Pipeline):
        nodes = list(detector.nodes.values())
    for node in nodes:
        locality = getattr(node, "locality", "image")
        if locality != PIXEL:
            what = f"{node!r} sees more than one pixel (its locality is {locality!r})"
            fix = "use nodes with locality 'pixel': a table of spectra has no neighbours"
            raise ConfigError(what, fix=fix)
