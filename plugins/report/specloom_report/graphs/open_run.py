"""The run behind a file: a run file, a saved pipeline, or the folder that a run wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from specloom import Batch, Pipeline, Plugins, Port, Run, UnavailableError, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class NoData:
    """The source of a saved pipeline, which has none."""

    outputs: ClassVar[Mapping[str, Port]] = {}

    def sizes(self) -> Mapping[str, int]:
        """Return nothing: a saved pipeline knows its sizes."""
        return {}

    def splits(self) -> Sequence[str]:
        """Return none."""
        return ()

    def count(self, split: str) -> int:
        """Return 0."""
        return 0

    def batches(self, split: str) -> Iterator[Batch]:
        """Yield none."""
        return iter(())


class OpenedRun(NamedTuple):
    """A run that is not run, and the reference of its source, empty for a saved pipeline."""

    run: Run
    source: str


def open_run(path: Path, overrides: Sequence[str] = ()) -> OpenedRun:
    """Load the run behind a file, on the CPU.

    Raises:
        SpecloomError: The file cannot be read, or is neither a run file nor a saved pipeline.
    """
    if path.is_dir():
        path = path / "pipeline.yaml"
    if not _is_saved_pipeline(path):
        run = load(path, overrides, device="cpu")
        return OpenedRun(run, str(run.graph.document.value["data"]["type"]))
    plugins = Plugins.for_file(path)
    graph = Pipeline.load(path, plugins).graph()
    return OpenedRun(Run(graph, NoData(), plugins=plugins, device="cpu"), "")


def _is_saved_pipeline(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        fix = "give a run file or a saved pipeline"
        raise UnavailableError(f"{path} cannot be read: {e}", fix=fix) from e
    return re.search(r"^state:", text, re.MULTILINE) is not None
