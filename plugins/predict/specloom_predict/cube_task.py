"""One cube of many, from its ticket to its record: what any process can do with plain values.

A ticket says which cube and where its results go, an order what is made of every cube. Both, and
the outcome, are values that JSON holds. The folder of a cube is claimed first, its files are
written in a scratch folder and then moved, and its record is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom import (
    ConfigError,
    DataError,
    GraphError,
    IntegrityError,
    NodeError,
    PluginError,
    PortError,
    Problems,
    SpecloomError,
    UnavailableError,
    machine_error,
    process_tag,
    uninterrupted,
)
from specloom_cubes import files_of_reading
from specloom_predict import record
from specloom_predict.cube_prediction import FileOptions, RunOptions, predict_cube
from specloom_predict.in_work import InWork
from specloom_predict.input_state import InputState
from specloom_predict.inputs import Input
from specloom_predict.ledger import line_of
from specloom_predict.score_pictures import picture_name
from specloom_predict.scratch import WriteError, remove_leftovers, write_errors
from specloom_predict.split_cube import SplitCube, TilesOfCube
from specloom_predict.tile_files import folder_of_tiles, has_tile, write_tile
from specloom_statistics import engine_identity

if TYPE_CHECKING:
    from specloom_cubes import Cube
    from specloom_predict.prediction import Prediction
    from specloom_predict.predictor import Predictor

Ticket: TypeAlias = Mapping[str, Any]
"""``{"input": address, "key": what identifies it, "folder": where its results go}``.

Of a cube that is split, besides: ``tiles``, what identifies its tiles; ``files_in``, the state of
its files; and ``tile``, the number of the tile, or None to put all tiles together.
"""

CubeOutcome: TypeAlias = Mapping[str, Any]
"""What became of a cube: ``line`` for the ledger, ``entry`` for the summary, ``unexpected``."""

KINDS: Mapping[str, type[SpecloomError]] = {
    cls.__name__: cls
    for cls in (
        SpecloomError,
        ConfigError,
        DataError,
        GraphError,
        IntegrityError,
        NodeError,
        PluginError,
        PortError,
        UnavailableError,
    )
}
"""The classes of errors that outcomes name."""


LEAST_TILES = 2
"""A cube of fewer tiles is not split."""

KEY_DIGITS = 32
"""The digits of what identifies tiles."""

MOST_REPLACED = 2
"""How often a cube is made again whose record another process replaced before it was read."""


@dataclass(frozen=True)
class Order:
    """What is made of every cube of a call; all of it plain values.

    Args:
        out: The folder of all results, with its ledger.
        formats: The formats of files.
        pipeline: The hash of the pipeline.
        result_options: The options that change results.
        variable: The array that is the cube, where a file holds several.
        wavelengths: Band centres in nm, used instead of those in the files: a CSV file, or one
            number for each band.
        memory: Bytes that nodes may take which need the whole image.
        tile_bytes: Bytes of the cube in one tile.
        split_above: Bytes of a cube above which its tiles are made one by one; None for no cube.
    """

    out: str
    formats: Sequence[str]
    pipeline: str
    result_options: Mapping[str, Any] = field(default_factory=dict)
    variable: str | None = None
    wavelengths: str | Sequence[float] | None = None
    memory: int | None = None
    tile_bytes: int | None = None
    split_above: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The arguments, from which ``Order(**values)`` is made again."""
        return asdict(self)


def ticket_of(one: Input, folder: Path) -> dict[str, str]:
    """The ticket of an input whose results go into ``folder``."""
    return {"input": one.address, "key": one.key, "folder": str(folder)}


def predict_ticket(predictor: Predictor, order: Order, ticket: Ticket) -> dict[str, Any]:
    """Predict one cube into its folder, unless that was done already; an error is an outcome.

    Processes may do one cube at the same time: both write the same, and the last one stands.

    Args:
        predictor: The fitted pipeline, for one cube after another.
        order: What is made of every cube.
        ticket: The cube.

    Returns:
        ``line``, as the ledger has it; ``state``: ``done``, ``complete`` where it was already, or
        ``failed``; ``entry``, what the summary says of a cube that is done; ``stops``, whether no
        other cube could be written either; ``unexpected``, the trace of an error that is a bug.
    """
    with CubeTask(predictor, order) as task:
        return task.do(ticket)


class CubeTask:
    """Predicts one cube after another with the same pipeline and order.

    Args:
        predictor: The fitted pipeline.
        order: What is made of every cube.
    """

    def __init__(self, predictor: Predictor, order: Order) -> None:
        self.predictor = predictor
        self.order = order
        self.unexpected: Exception | None = None
        """The first error that is a bug."""
        self._in_work = InWork(Path(order.out))
        self._tiles: _OpenTiles | None = None

    def __enter__(self) -> CubeTask:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Note that nothing is in work; without it, the next call into the folder does so."""
        self._tiles = None
        self._in_work.close()

    def do(self, ticket: Ticket) -> dict[str, Any]:
        """Predict a cube, as ``predict_ticket`` does, or make a tile of one.

        Of a cube that is to be split, ``state`` is ``split``, and ``tiles`` and ``count`` say what
        identifies its tiles and how many there are, ``files_in`` the state of its files. Of a tile
        ``state`` is ``tile``, and ``seconds`` how long it took. ``whole`` is why a cube is not
        split that is large enough.
        """
        started = time.monotonic()
        try:
            outcome = self._predict(ticket)
        except Exception as error:
            outcome = self.failure(ticket, error)
        line = outcome["line"]
        seconds = time.monotonic() - started + outcome.pop("seconds_of_tiles", 0.0)
        line["seconds"] = round(seconds, 6)
        line["worker"] = _worker()
        return outcome

    def stamp(self, one: Input) -> dict[str, Any]:
        """What the results of an input depend on, as it is now."""
        return record.stamp(self._files(one), self.order.pipeline, self.order.result_options)

    def _files(self, one: Input) -> list[Path]:
        """Every file on this machine that the results of an input depend on."""
        files = one.files(self.predictor.valid_files)
        if files:
            files += files_of_reading(files[0], self.predictor.reading)
        return files

    def _predict(self, ticket: Ticket) -> dict[str, Any]:
        one = Input(ticket["input"], "")
        folder = Path(ticket["folder"])
        known = self._complete(one, folder)
        if known is not None:
            return known
        self._require_out()
        try:
            return self._make_or_again(one, ticket, folder)
        except (WriteError, IntegrityError):
            known = self._complete(one, folder)
            if known is None:
                self._require_out()
                raise
            return known

    def _make_or_again(self, one: Input, ticket: Ticket, folder: Path) -> dict[str, Any]:
        """Make a tile, or a cube: again where another process starts to replace it."""
        if ticket.get("tile") is not None:
            return self._make_tile(one, ticket)
        for _ in range(MOST_REPLACED):
            with suppress(IntegrityError):
                return self._make(one, ticket, folder)
            known = self._complete(one, folder)
            if known is not None:
                return known
        return self._make(one, ticket, folder)

    def _make(self, one: Input, ticket: Ticket, folder: Path) -> dict[str, Any]:
        """Predict a cube as a whole, or put its tiles together, unless it is to be split."""
        self._tiles = None
        state = self._state(one, ticket)
        cube = self._open(one, state)
        outcome: dict[str, Any] = {"state": "done"}
        split = None
        if "tiles" in ticket:
            split = SplitCube(folder_of_tiles(Path(self.order.out), ticket["tiles"]))
        elif self.order.split_above is not None and cube.good_bytes() > self.order.split_above:
            found = self._split(one, cube, state)
            if "tiles" in found:
                line = {"input": ticket["key"], "folder": self._place(folder)}
                return {"state": "split", "line": line, **found}
            outcome |= found
        stamped = record.stamp(state.files, self.order.pipeline, self.order.result_options)
        entry = self._write(cube, ticket["key"], folder, state, stamped, split)
        if split is not None:
            outcome["seconds_of_tiles"] = split.seconds
        return {**outcome, "line": self._line(folder), "entry": entry}

    def _state(self, one: Input, ticket: Ticket) -> InputState:
        """The files of a cube, as they are now, or were when it was split.

        Raises:
            DataError: They have changed since.
        """
        state = InputState.of(one.address, self._files(one))
        if "tiles" in ticket:
            state = replace(state, before=ticket["files_in"])
            state.check()
        return state

    def _open(self, one: Input, state: InputState) -> Cube:
        try:
            return self.predictor.open(one.address, self.order.variable)
        except Exception as error:
            raise _changed_or(error, state) from error

    def _split(self, one: Input, cube: Cube, state: InputState) -> dict[str, Any]:
        """How a cube is split, or ``whole``, why it is not; empty where it has one tile."""
        try:
            tiles = self._tiles_of(cube)
        except Exception as error:
            raise _changed_or(error, state) from error
        if tiles.reader_of_bands is not None:
            name, image = tiles.reader_of_bands
            label = self.predictor.run.graph.label(name)
            return {"whole": f"{label} needs the whole image {image}"}
        if tiles.count < LEAST_TILES:
            return {}
        key = self._key_of_tiles(one, state)
        return {"tiles": key, "count": tiles.count, "files_in": dict(state.before)}

    def _tiles_of(self, cube: Cube) -> TilesOfCube:
        order = self.order
        return self.predictor.tiles_of(cube, order.wavelengths, order.memory, order.tile_bytes)

    def _key_of_tiles(self, one: Input, state: InputState) -> str:
        """What identifies the tiles of a cube: all that they depend on.

        Where the cube has no file on this machine, whether it was changed is not known, and its
        tiles are of this call alone.
        """
        stamped = record.stamp(state.files, self.order.pipeline, self.order.result_options)
        origin = self.predictor.origin()
        made_by = [origin, engine_identity(), self.order.tile_bytes]
        description = json.dumps([one.key, stamped, made_by], sort_keys=True, default=str)
        digest = hashlib.sha256(description.encode()).hexdigest()[:KEY_DIGITS]
        return digest if state.before else f"{digest}-{os.urandom(4).hex()}"

    def _make_tile(self, one: Input, ticket: Ticket) -> dict[str, Any]:
        """Make a tile of a cube, unless it is there."""
        number = ticket["tile"]
        folder = folder_of_tiles(Path(self.order.out), ticket["tiles"])
        place = self._place(Path(ticket["folder"]))
        outcome = {"state": "tile", "line": {"input": ticket["key"], "folder": place}}
        if has_tile(folder, number):
            return {**outcome, "seconds": 0.0}
        state = self._state(one, ticket)
        if self._tiles is None or self._tiles.key != ticket["tiles"]:
            cube = self._open(one, state)
            self._tiles = _OpenTiles(ticket["tiles"], self._tiles_of(cube))
        try:
            tile = self._tiles.tiles.make(number)
        except Exception as error:
            raise _changed_or(error, state) from error
        state.check()
        write_tile(folder, number, tile.arrays, tile.seconds)
        return {**outcome, "seconds": tile.seconds}

    def _complete(self, one: Input, folder: Path) -> dict[str, Any] | None:
        """The outcome of a cube whose results are complete; None where they are not.

        Those of version 0.2, whose records have no measures, are not.
        """
        known = record.read(folder)
        if not known or "measures" not in known:
            return None
        if not record.complete(known, self.stamp(one), self.order.formats, folder):
            return None
        return {"state": "complete", "line": self._line(folder)}

    def _line(self, folder: Path) -> dict[str, Any]:
        line = line_of(Path(self.order.out), folder)
        if line is None:
            what = f"the record in {folder} was removed or changed by another program"
            raise IntegrityError(what, fix="predict the cube again")
        return line

    def _require_out(self) -> None:
        """Refuse to write where the folder of all results is no longer there.

        Raises:
            WriteError: The folder, or the disk that it is on, has gone.
        """
        out = Path(self.order.out)
        if not (out / record.LEDGER).is_dir():
            what = f"{out} has gone while results were written into it"
            fix = "check the disk that it is on, then repeat the call"
            raise WriteError(what, fix=fix, stops=True)

    def _write(
        self,
        cube: Cube,
        key: str,
        folder: Path,
        state: InputState,
        stamped: Mapping[str, Any],
        split: SplitCube | None,
    ) -> dict[str, Any]:
        """Write the files of a cube and its record; what the summary says of it."""
        order = self.order
        predictor = self.predictor
        with write_errors(folder):
            self._in_work.note(folder)
            before = record.claim(folder, key, stamped)
        entry: dict[str, Any] = {}

        def write_record(made: Prediction) -> None:
            entry.update(_entry_of(made))
            more = {**entry, "measures": made.measures.as_json(), **predictor.origin()}
            more["kernels"] = engine_identity()
            files = made.files.values()
            self._require_out()
            with write_errors(folder):
                record.finish(folder, key, stamped, order.formats, files, before, more)
            entry["files"] = sorted(picture_name(name) for name in made.files)

        files = FileOptions(
            folder, order.formats, draw_scores=False, input_state=state, record=write_record
        )
        options = RunOptions(order.wavelengths, order.memory, order.tile_bytes, split)
        try:
            predict_cube(predictor, cube, files, options, predictor.rules)
        except WriteError:
            _release(folder)
            raise
        except Exception as error:
            _release(folder)
            raise _changed_or(error, state) from error
        except BaseException:
            with uninterrupted():
                _release(folder)
            raise
        return entry

    def failure(self, ticket: Ticket, error: Exception) -> dict[str, Any]:
        """The outcome of a cube that failed."""
        outcome: dict[str, Any] = {"state": "failed"}
        reported: SpecloomError | None = machine_error(error)
        if isinstance(error, SpecloomError):
            reported = error
        if reported is None:
            if self.unexpected is None:
                self.unexpected = error
            outcome["unexpected"] = "".join(traceback.format_exception(error))
            what = f"specloom failed on it: {type(error).__name__}: {error}"
            reported = SpecloomError(what, where=ticket["input"])
        outcome["stops"] = isinstance(reported, WriteError) and reported.stops
        reported = with_address(reported, ticket["input"])
        outcome["line"] = {
            "input": ticket["key"],
            "folder": self._place(Path(ticket["folder"])),
            "time": round(time.time(), 3),
            "errors": errors_as_json(reported),
        }
        return outcome

    def _place(self, folder: Path) -> str:
        """A folder of results, from that of all results on."""
        return folder.relative_to(self.order.out).as_posix()


@dataclass(frozen=True)
class _OpenTiles:
    """The tiles of the cube that is open, with what identifies them."""

    key: str
    tiles: TilesOfCube


def _entry_of(made: Prediction) -> dict[str, Any]:
    """What record and summary say of a prediction."""
    domain = None
    if made.domain is not None:
        domain = made.domain.as_json()
    return {
        "notes": list(made.notes),
        "geometry": {"transform": made.geometry.transform, "crs": made.geometry.crs},
        "pixels": made.pixels,
        "unjudged": made.unjudged,
        "domain": domain,
    }


def _release(folder: Path) -> None:
    """Take back the claim on a folder, as far as the disk allows, and what dead processes left."""
    try:
        remove_leftovers(folder)
        record.release(folder)
    except OSError:  # the error that led here is the one to report
        return


def _changed_or(error: Exception, state: InputState) -> Exception:
    """The error of a cube that was changed while it was read, or else the error that there was."""
    if state.changed():
        return state.error()
    return error


def _worker() -> str:
    """Host and process."""
    host, _, _ = process_tag().partition("-")
    return f"{host}-{os.getpid()}"


def errors_as_json(error: SpecloomError) -> list[dict[str, Any]]:
    """An error, or the several that it is made of, as plain values."""
    errors = error.errors if isinstance(error, Problems) else (error,)
    return [
        {
            "kind": _kind(one),
            "what": one.what,
            "where": one.where,
            "fix": one.fix,
            "exit_code": one.exit_code,
        }
        for one in errors
    ]


def error_from(values: Sequence[Mapping[str, Any]]) -> SpecloomError:
    """The error that plain values describe; ``Problems`` where they are several."""
    errors = []
    for one in values:
        kind = KINDS.get(one["kind"], SpecloomError)
        error = kind(one["what"], where=one["where"], fix=one["fix"])
        error.exit_code = one["exit_code"]
        errors.append(error)
    return errors[0] if len(errors) == 1 else Problems(errors)


def _kind(error: SpecloomError) -> str:
    """The class of an error, or the nearest above it that is public."""
    names = [cls.__name__ for cls in type(error).__mro__]
    return next(name for name in names if name in KINDS)


def with_address(error: SpecloomError, address: str) -> SpecloomError:
    """``error`` with the input that it is about, where it does not name it."""
    if isinstance(error, Problems):
        return Problems([with_address(one, address) for one in error.errors])
    if Path(address).name in str(error):
        return error
    where = f"{address}, {error.where}" if error.where else address
    return type(error)(error.what, where=where, fix=error.fix)
