"""``specloom.load``: a run from its run file, or from the folder that it wrote."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from specloom.assembly.assemble import assemble
from specloom.contract.errors import ConfigError, IntegrityError
from specloom.execution import saved_pipeline
from specloom.execution.one_batch import NoData
from specloom.execution.run import Run
from specloom.plugins import RECORD, Plugins
from specloom.runfile.form import interpret
from specloom.runfile.overrides import override
from specloom.runfile.yaml import Document, read

#: What messages call a run file that is no file.
IN_MEMORY = "the run"
#: What the record of a run has that is no addition of an observer.
OWN_ENTRIES = ("specloom", "file", "run", "seed", "device", "ended")


def load(
    path: str | Path | Document | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    plugins: Plugins | None = None,
    device: str = "auto",
    seed: int | None = None,
    observed: bool = False,
) -> Run:
    """A run: from its run file, checked and without reading a pixel, or from its folder.

    From the folder of a run that ended it has the fitted graph and the metrics, and no data.

    Args:
        path: The run file, what it holds, or the folder that a run wrote.
        overrides: Changes such as ``nodes.rx.config.eps=0``; only of a run file.
        plugins: Where names are looked up; by default the nearest manifest, else what is installed.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: In place of the file's own; only of a run file.
        observed: Whether observers of plugins watch the run.

    Raises:
        SpecloomError: Something is wrong; ``Problems`` has several errors together.
    """
    if isinstance(path, Document):
        document = path
    elif isinstance(path, Mapping):
        document = Document(IN_MEMORY, dict(path))
    elif _is_run_folder(Path(path)):
        _refuse_changes(Path(path), overrides, seed)
        return _ended_run(Path(path), plugins, device, observed)
    else:
        document = read(Path(path))
    _refuse_saved_pipeline(document)
    for text in overrides:
        override(document, text)
    file, problems = interpret(document)
    origin = Path(document.name)
    if plugins is None:
        plugins = Plugins.for_file(origin)
    if seed is None:
        seed = file.seed
    assembly = assemble(file, problems, plugins)
    return Run(
        assembly.graph,
        assembly.source,
        assembly.phases,
        plugins=plugins,
        device=device,
        seed=seed,
        metadata={"name": origin.stem, **file.metadata},
        observed=observed,
    )


def _is_run_folder(path: Path) -> bool:
    """Whether a path is the folder that a run wrote, or began to write."""
    with suppress(OSError, ValueError):  # no name of a file: an error where it is read
        return (path / "pipeline.yaml").is_file() or (path / RECORD).is_file()
    return False


def _refuse_changes(folder: Path, overrides: Sequence[str], seed: int | None) -> None:
    """Raise ConfigError where values or the seed of a run that ended are to be overridden."""
    if overrides:
        what = f"{folder} holds a run that ended, of which {overrides[0]!r} changes nothing"
        raise ConfigError(what, fix="load its run file with these overrides")
    if seed is not None:
        what = f"{folder} holds a run that ended, of which the seed {seed} changes nothing"
        raise ConfigError(what, fix="load its run file with this seed")


def _ended_run(folder: Path, plugins: Plugins | None, device: str, observed: bool) -> Run:
    """A run from the folder that it wrote.

    Raises:
        ConfigError: It did not come to its end, or its record cannot be read.
        IntegrityError: The pipeline or the metrics are not what was saved.
    """
    record = _read_json(folder / RECORD)
    if not (folder / "pipeline.yaml").is_file() or record.get("ended") == "":
        what = f"the run in {folder} did not come to its end"
        raise ConfigError(what, fix=f"continue it: specloom run --resume {folder}")
    if plugins is None:
        plugins = Plugins.for_file(folder / "pipeline.yaml")
    graph, metadata = saved_pipeline.load(folder / "pipeline.yaml", plugins)
    name = str(record.get("file", ""))
    file = name
    if name == IN_MEMORY:
        file = ""
    seed = record.get("seed")
    run = Run(
        graph,
        NoData(folder, file),
        plugins=plugins,
        device=device,
        seed=seed if isinstance(seed, int) else 0,
        metadata=metadata,
        observed=observed,
    )
    run.metrics = _read_metrics(folder / "metrics.json")
    run.document = Document(name, record.get("run"))
    run.record = {name: value for name, value in record.items() if name not in OWN_ENTRIES}
    run.folder = folder
    return run


def _read_metrics(path: Path) -> dict[str, dict[str, float]]:
    """The metrics of a run by split; none where their file is not there.

    Raises:
        IntegrityError: It holds something else than numbers by name for each split.
    """
    metrics = _read_json(path)
    for values in metrics.values():
        if not isinstance(values, dict) or not all(map(_is_number, values.values())):
            raise _damaged(path)
    return metrics


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(f"{path} is damaged", fix="restore it, or run its run file again")


def _read_json(path: Path) -> dict[str, Any]:
    """What a file of a run's folder holds; nothing where it is not there.

    Raises:
        IntegrityError: It holds something else than names with values.
    """
    if not path.is_file():
        return {}
    found: Any = None
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise _damaged(path)
    return found


def _refuse_saved_pipeline(document: Document) -> None:
    """Raise ConfigError where the file is a pipeline that a run saved."""
    if isinstance(document.value, dict) and "state" in document.value:
        what = "a saved pipeline is not a run file"
        fix = "apply it with 'specloom predict DIR INPUT', or give the run file that it came from"
        raise ConfigError(what, where=document.where(), fix=fix)
