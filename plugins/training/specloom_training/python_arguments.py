"""What is wrong with the arguments of trainers in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specloom import ConfigError, Pipeline, Source


def require_pipeline_and_data(
    trainer: str, pipeline: Any, datamodule: Any
) -> tuple[Pipeline, Source]:
    """The pipeline and the source of a trainer.

    Raises:
        ConfigError: One of them is missing, or is something else.
    """
    if pipeline is None or datamodule is None:
        raise ConfigError(
            f"{trainer} has no pipeline or no datamodule",
            fix="pass pipeline= and datamodule=, or use it as a phase of a run file",
        )
    fix = "pass pipeline=pipeline, datamodule=source"
    if not isinstance(pipeline, Pipeline):
        raise ConfigError(f"{trainer}: the pipeline is {pipeline!r}, no Pipeline", fix=fix)
    if not isinstance(datamodule, Source):
        raise ConfigError(f"{trainer}: the datamodule is {datamodule!r}, no data source", fix=fix)
    return pipeline, datamodule


def require_nodes(pipeline: Pipeline, nodes: Sequence[Any] | None, parameter: str) -> None:
    """Check that each node of an argument is a part of the pipeline.

    Raises:
        ConfigError: They are no list, or one of them is not in the pipeline.
    """
    if nodes is None:
        return
    if not isinstance(nodes, list | tuple):
        what = f"{parameter} is {nodes!r}, not a list of nodes"
        raise ConfigError(what, fix=f"write {parameter}=[node]")
    parts = {id(node) for node in pipeline.nodes.values()}
    for node in nodes:
        if isinstance(node, str):
            what = f"{parameter} has the name {node!r}, where a node belongs"
            raise ConfigError(what, fix=f"pass the node itself: pipeline.nodes[{node!r}]")
        if id(node) not in parts:
            name = getattr(node, "name", "")
            raise ConfigError(
                f"{type(node).__name__} {name!r} is not in the pipeline",
                fix=f"connect it, or remove it from {parameter}",
            )
