"""A fitted pipeline that gives its outputs for one cube after another, tile by tile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from specloom import ConfigError, DataError, Graph, Pipeline, Plugins, Run, did_you_mean
from specloom_cubes import (
    ALL_COUNT,
    OneCube,
    Reading,
    check_valid_files,
    expand,
    is_address,
    is_cube,
    is_valid_pattern,
    open_cube,
    opened_by_plugin,
)
from specloom_predict.domain import FittedDomain, SampledScene, judged_by, unjudged_pixels
from specloom_predict.split_cube import TilesOfCube
from specloom_predict.tile_plan import is_map
from specloom_predict.tiled_run import TILE_BYTES, FirstPass, run_tiled, to_array
from specloom_predict.writers.layout import Map

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from specloom_cubes import Cube
    from specloom_predict.split_cube import SplitCube
    from specloom_predict.tiled_run import Allocate
    from specloom_statistics import DomainMeasure


Scale: TypeAlias = Literal["physical", "stored"]

STORED: Scale = "stored"
"""The scale of pipelines that do not say which: those of before scales were applied."""


@dataclass(frozen=True)
class Outputs:
    """What a pipeline makes of one cube.

    Args:
        maps: The outputs that are maps.
        others: The other outputs, by name.
        notes: What the user should know.
        unjudged: Which pixels are unjudged, bool (H, W).
        domain: How the cube compares with what the pipeline was fitted on; None where nothing can
            be compared.
    """

    maps: list[Map]
    others: dict[str, Any]
    notes: list[str]
    unjudged: NDArray[Any]
    domain: DomainMeasure | None


class FittedPipeline:
    """What makes the outputs of a fitted pipeline for one cube after another.

    Args:
        pipeline: The ``pipeline.yaml`` that a run wrote, that run's folder, a fitted pipeline, or
            a run. Of the latter two, without declared outputs, all maps count that no node reads,
            and those that are called scores.
        outputs: The names of those wanted; all that are declared where empty.
        device: ``auto``, ``cpu`` or ``cuda``; by default that of the run, or ``auto``.
        observed: Whether observers of plugins watch, such as the console's progress.
        scale: ``physical`` or ``stored``; by default as the pipeline was fitted.
        valid: The files that say which pixels count: a pattern such as ``*_roi.png``, with ``*``
            for the name of a cube, in whose folder it begins; one file; or ``all`` for no file. By
            default those of the fit.

    Raises:
        ConfigError: There is no such pipeline, it declares no output of that name, or there is no
            such scale.
        IntegrityError: The pipeline's files are not what they say they are.
    """

    def __init__(
        self,
        pipeline: str | Path | Pipeline | Run,
        outputs: Sequence[str] = (),
        device: str | None = None,
        observed: bool = False,
        scale: Scale | None = None,
        valid: str | None = None,
    ) -> None:
        fitted = _fitted(pipeline)
        graph = fitted.graph
        self.run = Run(
            graph,
            OneCube(),
            plugins=fitted.plugins,
            device=device or fitted.device,
            observed=observed,
            metadata={"name": fitted.name},
        )
        self.notes: list[str] = graph.setup_notes()
        fitted_scale = graph.read_options.get("scale")
        self._scale_is_known = scale is not None or fitted_scale is not None
        self.reading = Reading.of_options(graph.read_options, scale or fitted_scale or STORED)
        #: The pattern of the files that say which pixels of cubes count; None for none.
        self.valid_files: str | None = None
        self._valid_variable: str | None = None
        #: The same as the caller stated it, with one file as an absolute path; None as fitted.
        self.stated_valid = _absolute_valid(valid)
        if self.stated_valid is None:
            self._use_valid_of_fit(graph.read_options)
        elif self.stated_valid != ALL_COUNT:
            self.valid_files = self.stated_valid
        declared = graph.outputs
        if not declared and not isinstance(pipeline, str | Path):
            declared = default_outputs(graph)
        self.ends = dict(self._chosen(declared, outputs))
        self._number_maps = self._maps_that_judge()
        self._domain: FittedDomain | None = None
        self._fitted_states: dict[str, dict[str, Any]] = {}
        for name in graph.entries:
            node = graph.nodes[name]
            if hasattr(node, "state"):
                self._fitted_states[name] = dict(node.state())

    def _use_valid_of_fit(self, read_options: Mapping[str, Any]) -> None:
        """Read the valid pixels of cubes as those of the fit."""
        valid = read_options.get("valid")
        if valid is not None and not is_valid_pattern(valid):
            self.notes.append(note_on_valid(valid))
            return
        self.valid_files = valid
        self._valid_variable = read_options.get("valid_variable")

    def open(self, address: str | Path, variable: str | None = None) -> Cube:
        """Open a cube: a file, or what a plugin opens by its hook ``open_cube``.

        Raises:
            DataError: It is absent, damaged, or nothing opens it.
        """
        path = Path(address)
        for_plugins = path.is_file() and not is_cube(path)
        if for_plugins or (is_address(address) and not path.exists()):
            for _ in self.run.plugins.working():
                pass  # a plugin answers hooks once it was imported
            opened: Cube | None = self.run.hook.open_cube(address=str(address))
            if opened is not None:
                return opened_by_plugin(opened, self.reading)
        return open_cube(address, variable, self.reading)

    def maps(
        self,
        cube: Cube,
        wavelengths: str | Path | ArrayLike | None = None,
        memory: int | None = None,
        tile_bytes: int | None = None,
        allocate: Allocate | None = None,
    ) -> tuple[list[Map], dict[str, Any], list[str]]:
        """The outputs for one cube: maps of its pixels, other values by name, and notes.

        Raises:
            SpecloomError: As ``outputs_of``.
        """
        found = self.outputs_of(cube, wavelengths, memory, tile_bytes, allocate)
        return found.maps, found.others, found.notes

    def outputs_of(
        self,
        cube: Cube,
        wavelengths: str | Path | ArrayLike | None = None,
        memory: int | None = None,
        tile_bytes: int | None = None,
        allocate: Allocate | None = None,
        split: SplitCube | None = None,
    ) -> Outputs:
        """The outputs for one cube, and whether the cube is like those of the fit.

        A pixel is unjudged where the cube says that it is not valid, and where its score is NaN.
        The maps of numbers are NaN there, and decisions are False.

        What a data node stored of the cube before (its wavelengths) is forgotten, so that results
        do not depend on the order of cubes.

        Args:
            cube: The cube.
            wavelengths: Band centres in nm, used instead of the cube's own.
            memory: Bytes that nodes may take which need the whole image.
            tile_bytes: Bytes of the cube in one tile.
            allocate: Makes the array of each map.
            split: What other processes made of the cube's tiles.

        Raises:
            SpecloomError: The cube does not fit the pipeline; ``NodeError`` where a node needs
                the whole image and that takes more than ``memory`` bytes.
        """
        scene = self._scene_of(cube, wavelengths)
        size = cube.shape[:2]
        values = run_tiled(
            self.run,
            scene,
            size,
            self._wanted(),
            memory,
            allocate,
            tile_bytes or TILE_BYTES,
            None if split is None else split.tiles_for(scene),
        )
        judging = self._judging(values)
        everywhere = unjudged_pixels(judging.values(), scene, size)
        maps: list[Map] = []
        others: dict[str, Any] = {}
        notes = [*self.notes, *self._notes_on_scale(cube)]
        if cube.check is not None:
            notes += cube.check()
        for name, end in self.ends.items():
            value = values[end]
            if value is None:
                notes.append(f"output {name!r} has no value: the cube does not have it")
            elif is_map(self.run.graph.port(end)):
                numbers = [judging[end] for end in self._judging_of(name) if end in judging]
                found = _with_unjudged(name, _plain(value[0]), numbers, scene)
                maps.append(replace(found, names=self._band_names(end)))
            else:
                others[name] = to_array(value)
        share = float(everywhere.mean())
        scores = next(iter(judging.values()), None)
        domain = self.domain().measure(scene, share, scores)
        if domain is not None and domain.reasons:
            notes.append(f"unlike what the pipeline was fitted on: {'; '.join(domain.reasons)}")
        return Outputs(maps, others, notes, everywhere, domain)

    def tiles_of(
        self,
        cube: Cube,
        wavelengths: str | Path | ArrayLike | None = None,
        memory: int | None = None,
        tile_bytes: int | None = None,
    ) -> TilesOfCube:
        """The tiles of a cube, of which this process makes any, until it has another cube.

        Raises:
            SpecloomError: As ``outputs_of``.
        """
        scene = self._scene_of(cube, wavelengths)
        size = cube.shape[:2]
        wanted = self._wanted()
        first = FirstPass(self.run, scene, size, wanted, memory, tile_bytes or TILE_BYTES)
        return TilesOfCube(first, scene)

    def _wanted(self) -> set[str]:
        """The values that are made of each cube, as ``node.port``."""
        return {*self.ends.values(), *self._number_maps.values()}

    def _scene_of(self, cube: Cube, wavelengths: str | Path | ArrayLike | None) -> SampledScene:
        """A cube as the graph reads it, which forgets the cube before."""
        for name, state in self._fitted_states.items():
            self.run.graph.nodes[name].restore(state)
        source = self._source_of(cube, wavelengths)
        self.run.source = source
        self.check_bands(cube)
        return SampledScene(
            source,
            cube.shape[:2],
            only_finite=not self._number_maps,
            as_float32=not self._takes(source),
        )

    def _source_of(self, cube: Cube, wavelengths: str | Path | ArrayLike | None) -> OneCube:
        """A cube with the valid pixels of the fit's rule; one in memory has those of its array."""
        if cube.format == "array":
            return OneCube(cube, wavelengths)
        return OneCube(cube, wavelengths, self.valid_files, self._valid_variable)

    def _takes(self, source: OneCube) -> bool:
        """Whether the nodes that read the cube take its type of numbers, or do not read it.

        A data node takes every real number; other nodes take float32.
        """
        port = self.run.graph.batch.get("cube")
        if port is None:
            return True
        pixel = source.window(slice(0, 1), slice(0, 1))["cube"]
        return port.takes_dtype(to_array(pixel).dtype.name)

    def domain(self) -> FittedDomain:
        """What the pipeline was fitted on."""
        if self._domain is None:
            scores = next(iter(self._number_maps.values()), "")
            self._domain = FittedDomain(self.run, scores)
        return self._domain

    def _maps_that_judge(self) -> dict[str, str]:
        """For each output that is a map, the map of numbers that says which pixels are unjudged."""
        graph = self.run.graph
        found = {}
        for name, end in self.ends.items():
            numbers = judged_by(graph, end) if is_map(graph.port(end)) else ""
            if numbers and "predict" in graph.stages[numbers.partition(".")[0]]:
                found[name] = numbers
        return found

    def _judging(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The maps of numbers that say which pixels are unjudged, (H, W), by ``node.port``."""
        ends = dict.fromkeys(self._number_maps.values())
        return {end: _plain(values[end][0]) for end in ends if values[end] is not None}

    def _band_names(self, end: str) -> tuple[str, ...]:
        """What the node of an output calls its bands."""
        name, _, port = end.partition(".")
        node = self.run.graph.nodes[name]
        if not hasattr(node, "band_names"):
            return ()
        return tuple(node.band_names(port))

    def _judging_of(self, name: str) -> list[str]:
        """The map of numbers of one output, if there is one."""
        return [self._number_maps[name]] if name in self._number_maps else []

    def origin(self) -> dict[str, Any]:
        """The plugins with versions and pins, and the kernel, as the record of a run has them.

        Pins and the kernel's commit are known only while observers watch.
        """
        known = self.run.record
        plugins = known.get("plugins")
        if plugins is None:
            plugins = {name: {"version": number} for name, number in self._versions.items()}
        kernel = {"version": self._kernel_version}
        if "kernel_commit" in known:
            kernel |= {"commit": known["kernel_commit"], "tree": known["kernel"]}
        return {"plugins": plugins, "kernel": kernel}

    @cached_property
    def _versions(self) -> Mapping[str, str]:
        """The version of each plugin of the graph, which is looked up once for all cubes."""
        return self.run.plugins.versions(self.run.graph.types.values())

    @cached_property
    def _kernel_version(self) -> str:
        return version("specloom")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A context in which observers of plugins watch, as they watch a run."""
        run = self.run
        error = None
        watching = run.plugins.observers() if run.observed else {}
        for label, observer in watching.items():
            run.plugins.add(label, observer)
        try:
            run.hook.run_started(run=run)
            yield
        except BaseException as e:
            error = e
            raise
        finally:
            run.hook.run_ended(run=run, error=error)
            for observer in watching.values():
                run.plugins.manager.unregister(observer)

    def _notes_on_scale(self, cube: Cube) -> Iterator[str]:
        """That a scale is not applied, where the pipeline does not say whether it should be."""
        if cube.scale_from and not self._scale_is_known:
            yield (
                f"{cube.path.name} states a scale ({cube.scale_from}), which is not applied: the "
                "pipeline was saved without one; --scale physical applies it"
            )

    def check_cube(self, cube: Cube) -> None:
        """Check what of a cube is known before its pixels are read.

        Raises:
            DataError: It has other bands than those of the fit, or no file that says which of its
                pixels count.
        """
        self.check_bands(cube)
        if self.valid_files is not None:
            check_valid_files([cube.path], self.valid_files)

    def check_bands(self, cube: Cube) -> None:
        """Check that a cube has as many bands as those that the pipeline was fitted on.

        Raises:
            DataError: It has not.
        """
        graph = self.run.graph
        bands = len(cube.good_bands)
        for link in graph.connections:
            if link.source != "batch.cube":
                continue
            axis = graph.connections.ports(link)[1].names[-1]
            fitted = graph.sizes(link.target_node).get(axis, bands)
            if fitted != bands:
                raise DataError(
                    f"{cube.path} has {bands} bands, the pipeline was made for {fitted}",
                    fix="use cubes of the camera, and with the bands, that it was fitted on",
                )

    def _chosen(
        self, declared: Mapping[str, str], wanted: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        graph = self.run.graph
        if not declared:
            fix = "add for example 'outputs: {scores: rx.scores}' to the run file, and run it again"
            raise ConfigError("the pipeline declares no outputs", fix=fix)
        for name in wanted:
            if name not in declared:
                what = f"the pipeline declares no output {name!r}"
                raise ConfigError(what, fix=did_you_mean(name, declared))
        for name, end in declared.items():
            if wanted and name not in wanted:
                continue
            node = end.partition(".")[0]
            port = graph.port(end)
            if port.axes is None or port.per_stage:
                self.notes.append(
                    f"output {name!r} ({end}) is skipped: it is not one array per image"
                )
            elif "predict" not in graph.stages.get(node, ("predict",)):
                self.notes.append(f"output {name!r} ({end}) is not made in the stage predict")
            else:
                yield name, end


@dataclass(frozen=True)
class _Fitted:
    """A fitted graph, and what it is to run with."""

    graph: Graph
    plugins: Plugins
    device: str
    name: str


def _fitted(pipeline: str | Path | Pipeline | Run) -> _Fitted:
    """The fitted graph of a pipeline or a run.

    Raises:
        ConfigError: There is no such pipeline.
        IntegrityError: Its files are not what they say they are.
    """
    if isinstance(pipeline, Run):
        plugins = pipeline.plugins
        if not plugins.modules:
            plugins = Plugins()
        name = str(pipeline.metadata.get("name", "pipeline"))
        return _Fitted(pipeline.graph, plugins, pipeline.runtime.device, name)
    if isinstance(pipeline, Pipeline):
        return _Fitted(pipeline.graph(), pipeline.plugins or Plugins(), "auto", pipeline.name)
    file = pipeline_file(Path(pipeline))
    plugins = Plugins.for_file(file)
    loaded = Pipeline.load(file, plugins)
    return _Fitted(loaded.graph(), plugins, "auto", loaded.name)


def default_outputs(graph: Graph) -> dict[str, str]:
    """The maps, as ``node.port``, that no node reads or that are called scores, by their port.

    Where several ports have one name, it is ``node_port``.
    """
    read = {connection.source for connection in graph.connections}
    ends = []
    for name in graph.order:
        for port, declared in graph.nodes[name].outputs.items():
            end = f"{name}.{port}"
            is_result = end not in read or port == "scores"
            if is_result and is_map(declared) and "predict" in graph.stages[name]:
                ends.append(end)
    ports = Counter(end.partition(".")[2] for end in ends)
    found = {}
    for end in ends:
        port = end.partition(".")[2]
        name = port if ports[port] == 1 else end.replace(".", "_")
        found[name] = end
    return found


def _absolute_valid(valid: str | None) -> str | None:
    """One file as an absolute path; a pattern and ``all`` as they are."""
    if valid is None or valid == ALL_COUNT or is_valid_pattern(valid):
        return valid
    return str(expand(valid).absolute())


def note_on_valid(file: str) -> str:
    """That pixels which a fit excluded by a file count in other cubes."""
    what = f"{file} excluded pixels from the fit, and says nothing of other cubes: theirs all count"
    fix = (
        "use --valid with the files of these cubes, such as '*_roi.png', where * is the name of a "
        "cube, or fit with such a pattern"
    )
    return str(DataError(what, fix=fix))


def pipeline_file(path: Path) -> Path:
    """The ``pipeline.yaml`` of a run's folder; a file is itself.

    Raises:
        ConfigError: There is none, or the run in the folder did not come to its end.
    """
    file = path / "pipeline.yaml" if path.is_dir() else path
    if path.is_file() and path.suffix == ".safetensors":
        what = f"{path} holds the numbers of a pipeline, not the pipeline itself"
        raise ConfigError(what, fix=f"give {path.with_suffix('.yaml')}, which names that file")
    if path.is_dir() and file.is_file() and _did_not_end(path / "run.json"):
        what = f"the run in {path} did not come to its end: its pipeline may lack a later phase"
        fix = f"continue it with specloom run --resume {path}, or give {file} to use it as it is"
        raise ConfigError(what, fix=fix)
    if file.is_file():
        return file
    if (path / "run.json").is_file():
        what = f"{path} holds no pipeline.yaml: the run in it was not completed"
        raise ConfigError(what, fix=f"specloom run --resume {path}")
    what = f"there is no pipeline {path}"
    if path.is_dir():
        what = f"{path} holds no pipeline.yaml"
    raise ConfigError(what, fix="give the folder that a run wrote, or the pipeline.yaml in it")


def _did_not_end(record: Path) -> bool:
    """Whether the record of a run says that it started and did not end."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(record.read_text("utf-8"))
        return isinstance(found, dict) and found.get("ended") == ""
    return False


def _with_unjudged(
    name: str, values: Any, numbers: Iterable[NDArray[Any]], scene: SampledScene
) -> Map:
    """A map with its unjudged pixels: NaN in numbers, False in decisions."""
    unjudged = unjudged_pixels(numbers, scene, values.shape[:2])
    if not unjudged.any():
        return Map(name, values)
    if values.dtype.kind == "f":
        values[unjudged] = np.nan
    elif values.dtype.kind == "b":
        values[unjudged] = False
    return Map(name, values, unjudged)


def _plain(values: Any) -> Any:
    """(H, W, 1) as (H, W), without a copy."""
    if values.ndim == 3 and values.shape[2] == 1:
        return values[..., 0]
    return values
