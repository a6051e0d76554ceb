"""The run behind a file: a run file, a saved pipeline, or the folder that a run wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from specloom import Batch, Pipeline, Plugins, Port, Run, UnavailableError, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class NoData:
    """The source of a saved pipeline, which names none."""

    outputs: ClassVar[Mapping[str, Port]] = {}

    def sizes(self) -> Mapping[str, int]:
        """Nothing: a saved pipeline knows its sizes."""
        return {}

    def splits(self) -> Sequence[str]:
        """None."""
        return ()

    def count(self, split: str) -> int:
        """None."""
        return 0

    def batches(self, split: str) -> Iterator[Batch]:
        """None."""
        return iter(())


def opened(path: Path, overrides: Sequence[str] = ()) -> tuple[Run, bool, str]:
    """A run that can be looked at, whether it is of a saved pipeline, and its source's type.

    Raises:
        SpecloomError: Something is wrong with the file.
    """
    if path.is_dir():
        path = path / "pipeline.yaml"
    try:
        saved = path.is_file() and re.search(r"^state:", path.read_text("utf-8"), re.MULTILINE)
    except (OSError, UnicodeDecodeError) as e:
        what, fix = f"{path} cannot be read: {e}", "give a run file or a saved pipeline"
        raise UnavailableError(what, fix=fix) from e
    if not saved:
        run = load(path, overrides, device="cpu")
        return run, False, str(run.graph.document.value["data"]["type"])
    plugins = Plugins.for_file(path)
    graph = Pipeline.load(path, plugins).graph()
    return Run(graph, NoData(), plugins=plugins, device="cpu"), True, ""
