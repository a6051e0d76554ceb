"""Cubes that are split: tiles are made one by one, and results are those of one process."""

from __future__ import annotations

import errno
import json
import os
import shutil
import weakref

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom import ConfigError, DataError, IntegrityError, Outcome, Pipeline, Plugins, impl
from specloom_cubes import AnomalyDataNode, Scene, open_cube
from specloom_deciders import BinaryDecider, QuantileBinaryDecider
from specloom_jobs import Here
from specloom_normalize import MinMaxNormalizer
from specloom_objects import FuseRanks, MinimumArea, Smooth
from specloom_predict import (
    Predictor,
    cube_job,
    many,
    predict_all,
    scratch,
    split_cube,
    split_work,
    tile_files,
)
from specloom_predict.command import predict as command
from specloom_predict.cube_task import CubeTask, Order
from specloom_predict.tile_files import TILES, TileFolder, read_tile, write_tile
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import StatisticalTrainer

HEIGHT, WIDTH, BANDS = 83, 41, 6
TILE = BANDS * 4 * WIDTH * 9
"""The bytes of nine rows: the cube has ten tiles of them."""

ALL_FORMATS = ("npy", "envi", "geotiff", "png", "csv")


@pytest.fixture(autouse=True)
def few_tiles_a_share(monkeypatch):
    """Tiles as quick as these would all be in one share."""
    monkeypatch.setattr(split_work, "LEAST_SECONDS", 0.0)


def write_cube(path, seed=1, dtype=np.float32):
    random = np.random.default_rng(seed)
    cube = random.normal(300, 10, (HEIGHT, WIDTH, BANDS))
    cube[20:24, 30:34] += 90
    cube[60:63, 2:9] += 90
    if dtype == np.float32:
        cube[7, 7] = np.nan
    np.save(path, cube.astype(dtype))
    return path


def fit(folder, source, connect, outputs):
    pipeline = Pipeline("split", Plugins())
    connect(pipeline)
    pipeline.outputs = outputs
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    folder.mkdir()
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Pixels, neighbours, strips, and nodes of the whole image, in two passes over the tiles."""
    folder = tmp_path_factory.mktemp("fitted")
    source = Scene(str(write_cube(folder / "scene.npy", seed=0)))
    data, rx, head, binary = AnomalyDataNode([0]), RXGlobal(), ScoreToLogit(), BinaryDecider()
    smooth, area, ranks = Smooth(), MinimumArea(pixels=3), FuseRanks()
    quantile = QuantileBinaryDecider(quantile=0.9)

    def connect(pipeline):
        pipeline.connect(
            (data.outputs.cube, rx.data),
            (data.outputs.valid, rx.valid),
            (rx.scores, head.scores),
            (head.logits, binary.logits),
            (rx.scores, smooth.scores),
            (binary.decisions, area.decisions),
            (data.outputs.valid, area.valid),
            (smooth.smoothed, ranks.scores),
            (ranks.fused, quantile.logits),
        )

    outputs = {
        "scores": "rx_global.scores",
        "decisions": "minimum_area.cleaned",
        "smoothed": "smooth.smoothed",
        "ranks": "fuse_ranks.fused",
        "highest": "quantile_binary_decider.decisions",
        "wavelengths": "anomaly_data_node.wavelengths",
    }
    return fit(folder / "run", source, connect, outputs)


@pytest.fixture
def cube(tmp_path):
    (tmp_path / "in").mkdir()
    return write_cube(tmp_path / "in/a.npy")


@pytest.fixture
def made(monkeypatch):
    """The numbers of the tiles that are made."""
    numbers = []
    make = split_cube.TilesOfCube.make

    def recorded(self, number):
        numbers.append(number)
        return make(self, number)

    monkeypatch.setattr(split_cube.TilesOfCube, "make", recorded)
    return numbers


def contents(folder):
    """The files of results by name, without what depends on time."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not file.is_file() or name.startswith("ledger/2"):
            continue
        data = file.read_bytes()
        if file.name == "predict.json":
            record = json.loads(data)
            assert record["measures"].pop("seconds") > 0
            data = json.dumps(record).encode()
        if name == "summary.csv":
            data = "\n".join(line.split(",")[1] for line in data.decode().splitlines()).encode()
        found[name] = data
    return found


def tiles_in(folder):
    return sorted(path.name for path in folder.glob(f"{TILES}*/*.safetensors"))


def split_all(fitted, inputs, out, **more):
    return predict_all(fitted, inputs, out, tile_bytes=TILE, split_above=1000, **more)


def test_results_are_those_of_one_process(fitted, cube, tmp_path, made):
    write_cube(tmp_path / "in/b.npy", seed=2, dtype=np.uint16)
    options = {"formats": ALL_FORMATS, "tile_bytes": TILE, "reject_when": ["largest > 20 px"]}
    alone = predict_all(fitted, [tmp_path / "in"], tmp_path / "alone", **options)
    assert not made
    split = predict_all(fitted, [tmp_path / "in"], tmp_path / "split", **options, split_above=1000)
    assert sorted(made) == sorted([*range(1, 10), *range(1, 5)])
    expected = contents(tmp_path / "alone")
    found = contents(tmp_path / "split")
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert len(expected) > 30
    assert [one.word for one in split.verdicts] == [one.word for one in alone.verdicts]
    for one, other in zip(split.done, alone.done, strict=True):
        assert one["unjudged"] == other["unjudged"]
        assert one["domain"] == other["domain"] is not None
        assert one["notes"] == other["notes"]
    assert not list(tmp_path.rglob(f"{TILES}*"))
    (ledger,) = (tmp_path / "split/ledger").glob("*.jsonl")
    line = json.loads(ledger.read_text().splitlines()[0])
    measures = json.loads((tmp_path / "split/a/predict.json").read_text())["measures"]
    assert line["seconds"] > measures["seconds"]


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_the_size_of_a_tile_changes_no_bit(fitted, cube, tmp_path, rows):
    size = BANDS * 4 * WIDTH * rows
    predict_all(fitted, [cube], tmp_path / "alone")
    predict_all(fitted, [cube], tmp_path / "split", tile_bytes=size, split_above=1000)
    assert contents(tmp_path / "split") == contents(tmp_path / "alone")


def test_the_file_of_valid_pixels_counts(tmp_path, made):
    folder = tmp_path / "in"
    folder.mkdir()
    write_cube(folder / "a.npy")
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[30:50, 5:20] = 0
    Image.fromarray(mask).save(folder / "a_roi.png")
    data, rx = AnomalyDataNode([0]), RXGlobal()

    def connect(pipeline):
        pipeline.connect((data.outputs.cube, rx.data), (data.outputs.valid, rx.valid))

    source = Scene(str(folder / "a.npy"), valid="*_roi.png")
    fitted = fit(tmp_path / "run", source, connect, {"scores": "rx_global.scores"})
    predict_all(fitted, [folder], tmp_path / "alone", tile_bytes=TILE)
    split = split_all(fitted, [folder], tmp_path / "split")
    assert contents(tmp_path / "split") == contents(tmp_path / "alone")
    assert len(made) == 9
    assert split.done[0]["unjudged"] == 20 * 15 + 1
    # Another file of valid pixels makes results old.
    Image.fromarray(255 - mask).save(folder / "a_roi.png")
    assert len(split_all(fitted, [folder], tmp_path / "split").done) == 1


def test_a_smaller_cube_and_one_of_one_tile_are_not_split(fitted, cube, tmp_path, made):
    size = HEIGHT * WIDTH * BANDS * 4
    predict_all(fitted, [cube], tmp_path / "a", tile_bytes=TILE, split_above=size)
    predict_all(fitted, [cube], tmp_path / "b", split_above=size - 1)
    assert made == []
    predict_all(fitted, [cube], tmp_path / "c", tile_bytes=TILE, split_above=size - 1)
    assert len(made) == 9


def test_a_cube_that_a_node_needs_as_a_whole_is_not_split(tmp_path, made):
    (tmp_path / "in").mkdir()
    for name in "abcd":
        write_cube(tmp_path / f"in/{name}.npy", dtype=np.uint16)
    data, limits = AnomalyDataNode([0]), MinMaxNormalizer(use_running_stats=False)
    rx = RXGlobal()

    def connect(pipeline):
        pipeline.connect((data.outputs.cube, limits.data), (limits.normalized, rx.data))

    source = Scene(str(tmp_path / "in/a.npy"))
    fitted = fit(tmp_path / "run", source, connect, {"scores": "rx_global.scores"})
    summary = split_all(fitted, [tmp_path / "in"], tmp_path / "out")
    assert len(summary.done) == 4
    assert made == []
    assert summary.notes[-1] == (
        "a.npy, b.npy, c.npy, …: one worker each predicts the whole cubes, as node "
        "'min_max_normalizer' (MinMaxNormalizer) needs the whole image anomaly_data_node.cube"
    )
    one = split_all(fitted, [tmp_path / "in/a.npy"], tmp_path / "one")
    assert one.notes[-1].startswith("a.npy: one worker predicts the whole cube, as node 'min_max")
    assert "whole" not in (tmp_path / "one/a/predict.json").read_text()
    predict_all(fitted, [tmp_path / "in/a.npy"], tmp_path / "alone")
    assert contents(tmp_path / "one") == contents(tmp_path / "alone")
    refused = split_all(fitted, [tmp_path / "in/a.npy"], tmp_path / "refused", memory=1000)
    assert "needs the whole image" in str(refused.failed[0][1])


class KilledError(Exception):
    """Stands for the end of the process."""


class Few:
    """An executor in this process that ends after some shares, as if it was killed."""

    def __init__(self, shares):
        self.here = Here()
        self.left = shares

    def each(self, job, shares):
        for outcome in self.here.each(job, shares):
            if not self.left:
                raise KilledError
            self.left -= 1
            yield outcome


@pytest.mark.parametrize("shares", [2, 5, 9])
def test_a_call_that_was_killed_goes_on_where_it_was(fitted, cube, tmp_path, made, shares):
    predict_all(fitted, [cube], tmp_path / "alone", tile_bytes=TILE)
    out = tmp_path / "out"
    with pytest.raises(KilledError):
        split_all(fitted, [cube], out, on=Few(shares))
    assert len(tiles_in(out)) == len(made) >= shares - 1
    before = list(made)
    made.clear()
    split_all(fitted, [cube], out, resume=True)
    assert sorted([*before, *made]) == [*range(1, 10)]
    assert contents(out) == contents(tmp_path / "alone")


@pytest.mark.parametrize("other", ["tile", "cube", "outputs", "cubes"])
def test_tiles_of_another_call_are_not_used_and_go(fitted, cube, tmp_path, made, other):
    out = tmp_path / "out"
    with pytest.raises(KilledError):
        split_all(fitted, [cube], out, on=Few(4))
    made.clear()
    options = {"tile_bytes": TILE, "split_above": 1000}
    inputs = [cube]
    if other == "tile":
        options["tile_bytes"] = 2 * TILE
    if other == "cube":
        write_cube(cube, seed=7)
    if other == "outputs":
        options["outputs"] = ["scores"]
    if other == "cubes":
        inputs = [write_cube(tmp_path / "in/b.npy")]
        options["split_above"] = None
    predict_all(fitted, inputs, out, **options)
    predict_all(fitted, inputs, tmp_path / "alone", **{**options, "split_above": None})
    count = {"tile": 4, "cubes": 0}.get(other, 9)
    assert sorted(made) == [*range(1, count + 1)]
    assert contents(out) == contents(tmp_path / "alone")


def test_tiles_of_a_process_that_lives_stay(fitted, cube, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    living = TileFolder(out, "other")
    living.open()
    split_all(fitted, [cube], out)
    assert [path.name for path in out.glob(f"{TILES}*")] == [f"{TILES}other"]
    living.remove()
    assert not living.path.exists()


def test_a_folder_of_tiles_that_goes_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """Another call may take it for abandoned."""
    calls = []
    open_locked = tile_files.open_locked

    def removed_first(path):
        calls.append(path)
        if len(calls) == 1:
            tile_files.remove_abandoned_tiles(tmp_path)
        return open_locked(path)

    monkeypatch.setattr(tile_files, "open_locked", removed_first)
    made = TileFolder(tmp_path, "key")
    made.open()
    tile_files.remove_abandoned_tiles(tmp_path)
    assert made.path.exists()
    made.remove()
    assert list(tmp_path.iterdir()) == []
    assert len(calls) == 2


def test_two_calls_share_the_tiles_of_a_cube(fitted, cube, tmp_path, made):
    """The second call comes while the first has made some tiles, and is done before it."""
    out = tmp_path / "out"
    summaries = []

    class Meanwhile(Few):
        def each(self, job, shares):
            for outcome in self.here.each(job, shares):
                if self.left == 0:
                    summaries.append(split_all(fitted, [cube], out))
                    assert len(tiles_in(out)) == 9, "they are of the other call"
                self.left -= 1
                yield outcome

    first = split_all(fitted, [cube], out, on=Meanwhile(3))
    assert not list(out.glob(f"{TILES}*"))
    assert [len(one.done) for one in summaries] == [1]
    assert (len(first.done), len(first.skipped), len(first.failed)) == (0, 1, 0)
    assert sorted(made) == [*range(1, 10)]
    predict_all(fitted, [cube], tmp_path / "alone", tile_bytes=TILE)
    assert contents(out / "a") == contents(tmp_path / "alone/a")


def test_a_cube_whose_tiles_have_gone_is_an_error(fitted, cube, tmp_path):
    class Removing(Few):
        def each(self, job, shares):
            for outcome in self.here.each(job, shares):
                self.left -= 1
                if self.left == 0:
                    for folder in tmp_path.rglob(f"{TILES}*"):
                        shutil.rmtree(folder)
                yield outcome

    summary = split_all(fitted, [cube], tmp_path / "out", on=Removing(3))
    ((address, error),) = summary.failed
    assert address == str(cube)
    assert error.what.endswith("cannot be written: No such file or directory")
    assert error.exit_code == 4
    again = split_all(fitted, [cube], tmp_path / "out")
    assert len(again.done) == 1
    late = split_all(fitted, [cube], tmp_path / "late", on=Removing(10))
    assert late.failed[0][1].what.endswith("was removed or changed by another program")


@pytest.mark.parametrize("last", [False, True])
def test_a_cube_that_changes_meanwhile_is_an_error(fitted, cube, tmp_path, last):
    write_cube(tmp_path / "in/b.npy")

    class Changing(Few):
        def each(self, job, shares):
            for outcome in self.here.each(job, shares):
                self.left -= 1
                if self.left == 0:
                    write_cube(cube, seed=9)
                    os.utime(cube, ns=(1, 1))
                yield outcome

    shares = 10 if last else 4
    summary = split_all(fitted, [tmp_path / "in"], tmp_path / "out", on=Changing(shares))
    ((address, error),) = summary.failed
    assert address == str(cube)
    assert error.what == f"{cube} was changed while it was read"
    assert isinstance(error, DataError)
    assert len(summary.done) == 1
    assert not list(tmp_path.rglob(f"{TILES}*"))
    assert not (tmp_path / "out/a").exists()


def test_an_error_in_a_tile_is_one_error_of_its_cube(fitted, cube, tmp_path, monkeypatch):
    make = split_cube.TilesOfCube.make

    def broken(self, number):
        if number in (3, 5):
            raise DataError("row 30 cannot be read", fix="copy the cube again")
        return make(self, number)

    monkeypatch.setattr(split_cube.TilesOfCube, "make", broken)
    monkeypatch.setattr(split_work.SplitWork, "_size", lambda self: 9)
    summary = split_all(fitted, [cube], tmp_path / "out")
    ((_, error),) = summary.failed
    assert str(error) == f"{cube}: row 30 cannot be read\n  fix: copy the cube again"
    assert not list(tmp_path.rglob(f"{TILES}*"))

    monkeypatch.setattr(split_cube.TilesOfCube, "make", lambda self, number: 1 / 0)
    summary = split_all(fitted, [cube], tmp_path / "out")
    assert "ZeroDivisionError" in str(summary.unexpected)
    assert len(summary.failed) == 1


def test_a_share_that_was_lost_is_done_again_tile_by_tile(fitted, cube, tmp_path, made):
    class Losing(Few):
        def each(self, job, shares):
            for outcome in self.here.each(job, shares):
                self.left -= 1
                if self.left == 0:
                    error = {"what": "killed", "where": "", "fix": "", "exit_code": 2}
                    outcome = Outcome(outcome.number, None, (error,))
                yield outcome

    work = pytest.MonkeyPatch()
    work.setattr(split_work.SplitWork, "_size", lambda self: 3)
    with work.context():
        summary = split_all(fitted, [cube], tmp_path / "out", on=Losing(3))
    work.undo()
    assert len(summary.done) == 1
    assert sorted(made) == [*range(1, 10)]
    lost = split_all(fitted, [cube], tmp_path / "lost", on=Losing(3))
    assert lost.failed[0][1].what == "killed"
    # Perhaps for want of memory: the tiles are there for a call with more of it.
    there = len(tiles_in(tmp_path / "lost"))
    assert there == 2
    made.clear()
    split_all(fitted, [cube], tmp_path / "lost")
    assert len(made) == 9 - there
    assert not list(tmp_path.rglob(f"{TILES}*"))


def test_a_full_disk_stops_and_leaves_the_tiles(fitted, cube, tmp_path, monkeypatch, made):
    fsync = os.fsync

    def full(handle):
        if len(made) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(tile_files.os, "fsync", full)
    summary = split_all(fitted, [cube], tmp_path / "out")
    assert summary.exit_code == 4
    assert str(summary.failed[0][1]).endswith("make room on the disk")
    assert len(tiles_in(tmp_path / "out")) == 3
    assert not list(tmp_path.glob(f"out/{TILES}*/.[0-9]*"))
    monkeypatch.undo()
    again = split_all(fitted, [cube], tmp_path / "out")
    assert len(again.done) == 1
    assert not list(tmp_path.rglob(f"{TILES}*"))


def test_the_file_of_a_tile(tmp_path):
    write_tile(tmp_path, 3, {"map:a.b": np.arange(6.0).reshape(1, 2, 3)[:, ::-1]}, 0.25)
    arrays, seconds = read_tile(tmp_path, 3)
    assert seconds == 0.25
    np.testing.assert_array_equal(arrays["map:a.b"], [[[3, 4, 5], [0, 1, 2]]])
    data = (tmp_path / "3.safetensors").read_bytes()
    damaged = {"1": data[:-1], "2": b"", "4": data.replace(b"seconds", b"fortnit")}
    for number, content in damaged.items():
        (tmp_path / f"{number}.safetensors").write_bytes(content)
        with pytest.raises(IntegrityError) as caught:
            read_tile(tmp_path, int(number))
        assert caught.value.what.endswith("was removed or changed by another program")
        assert caught.value.fix == "predict the cube again"


def test_a_tile_of_another_size_is_refused(fitted, cube, tmp_path, monkeypatch):
    def read(folder, number):
        arrays, seconds = read_tile(folder, number)
        return {name: values[:, :1] for name, values in arrays.items()}, seconds

    monkeypatch.setattr(split_cube, "read_tile", read)
    summary = split_all(fitted, [cube], tmp_path / "out")
    assert "is of another cube" in str(summary.failed[0][1])


def test_the_command(fitted, cube, tmp_path, made):
    arguments = [str(fitted), str(cube), "--out", str(tmp_path / "out"), "--tile", "4kB"]
    done = CliRunner().invoke(command, [*arguments, "--split-above", "10kB"])
    assert done.exit_code == 0, done.output
    assert len(made) > 9
    assert f"1 cube predicted, 0 up to date, 0 failed: {tmp_path / 'out'}" in done.stderr
    refused = CliRunner().invoke(command, [*arguments, "--split-above", "5"])
    assert refused.exit_code == 2
    assert "'5' would be bytes; write the unit, as in 5GB" in refused.output
    with pytest.raises(ConfigError) as caught:
        predict_all(fitted, [cube], tmp_path / "out", split_above=0)
    assert str(caught.value) == (
        "split_above is 0\n  fix: set a number of bytes from 1 on, or leave it out"
    )


def test_the_last_task_has_one_tile_in_memory_and_maps_in_files(
    fitted, cube, tmp_path, monkeypatch
):
    """Memory of the last task is that of one process: maps lie in files, and tiles come and go."""
    alive = []
    most = []
    mapped = []

    def read(folder, number):
        arrays, seconds = read_tile(folder, number)
        alive.extend(weakref.ref(values) for values in arrays.values())
        alive[:] = [one for one in alive if one() is not None]
        most.append(len(alive) / len(arrays))
        return arrays, seconds

    reserve = scratch._reserve

    def reserved(path):
        mapped.append(path.name)
        reserve(path)

    monkeypatch.setattr(split_cube, "read_tile", read)
    monkeypatch.setattr(scratch, "_reserve", reserved)
    outputs = ["scores", "decisions"]
    split_all(fitted, [cube], tmp_path / "out", outputs=outputs)
    assert len(most) == 9
    assert max(most) <= 2
    assert sorted(mapped) == [
        ".between-anomaly_data_node.valid.npy",
        ".between-binary_decider.decisions.npy",
        ".between-score_to_logit.logits.npy",
        "decisions.npy",
        "scores.npy",
    ]


def test_progress_counts_the_tiles_of_all_cubes(fitted, cube, tmp_path, monkeypatch):
    write_cube(tmp_path / "in/b.npy")
    reported = []

    def progress(self, made, more=0):
        count_tiles(self, made, more)
        reported.append((self._tiles_made, self._tiles))

    count_tiles = cube_job.CubeWork._count_tiles
    monkeypatch.setattr(cube_job.CubeWork, "_count_tiles", progress)
    split_all(fitted, [tmp_path / "in"], tmp_path / "out")
    assert len(reported) == 2 * (1 + 9 + 1)
    assert reported == sorted(reported)
    assert reported[-1] == (20, 20)


class Store:
    """A plugin that opens what it calls ``mem://…``."""

    def __init__(self, folder):
        self.folder = folder

    @impl
    def open_cube(self, address):
        return open_cube(self.folder / address.removeprefix("mem://"))


def test_tiles_of_an_address_are_of_one_call(fitted, cube, tmp_path):
    """Whether the cube was changed since is not known."""
    predictor = Predictor(fitted)
    predictor.run.plugins.add("store", Store(cube.parent))
    out = tmp_path / "out"
    (out / "ledger").mkdir(parents=True)
    order = Order(str(out), ("npy",), "of the pipeline", tile_bytes=TILE, split_above=1000)
    ticket = {"input": "mem://a.npy", "key": "mem://a.npy", "folder": str(out / "a")}
    with CubeTask(predictor, order) as task:
        splits = [task.do(ticket) for _ in range(2)]
        assert [one["state"] for one in splits] == ["split", "split"]
        assert splits[0]["tiles"] != splits[1]["tiles"]
        tiles = TileFolder(out, splits[0]["tiles"])
        tiles.open()
        ticket |= {"tiles": splits[0]["tiles"], "files_in": splits[0]["files_in"]}
        made = [task.do({**ticket, "tile": number}) for number in range(1, splits[0]["count"])]
        assert {one["state"] for one in made} == {"tile"}
        joined = task.do({**ticket, "tile": None})
        tiles.remove()
    assert joined["state"] == "done"
    alone = predict_all(fitted, [cube], tmp_path / "alone")
    assert len(alone.done) == 1
    for name in joined["entry"]["files"]:
        expected = (tmp_path / "alone/a" / name).read_bytes()
        assert (out / "a" / name).read_bytes() == expected


@pytest.mark.parametrize("options", [{"split_above": 1000}, {"on": Here()}])
def test_another_device_than_that_of_workers_is_refused(fitted, cube, tmp_path, options):
    with pytest.raises(ConfigError) as caught:
        predict_all(fitted, [cube], tmp_path / "out", device="cuda:1", **options)
    assert str(caught.value) == (
        "--device cuda:1: workers compute on the CPU, not on cuda:1\n"
        "  fix: leave it out, or leave out --on and --split-above"
    )
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_not_used_is_noted(fitted, cube, tmp_path, monkeypatch):
    def on_gpu(run):
        monkeypatch.setattr(run.runtime, "device", "cuda")
        return Here(run.plugins)

    monkeypatch.setattr(many, "_executor_here", on_gpu)
    summary = split_all(fitted, [cube], tmp_path / "out")
    assert len(summary.done) == 1
    assert summary.notes == [
        "the GPU is not used: with --on and --split-above cubes are predicted on the CPU"
    ]


@pytest.mark.parametrize(
    ("seconds", "least", "sizes"),
    [
        (0.01, 0.0, [1, 4, 3]),
        (0.01, 0.05, [1, 5, 5]),
        (0.01, 10.0, [1, 98]),
        (1.0, 0.05, [1, 2, 2]),
        (9.0, 0.05, [1, 1, 1]),
    ],
)
def test_a_share_has_tiles_for_some_time_unless_few_are_left(
    tmp_path, monkeypatch, seconds, least, sizes
):
    monkeypatch.setattr(split_work, "LEAST_SECONDS", least)
    split = split_work.SplitWork({"tiles": "a"}, 100, tmp_path)
    found = []
    for _ in sizes:
        share = split.following()
        found.append(len(share))
        for _ticket in share:
            split.take({"seconds": seconds})
    split.folder.remove()
    assert found == sizes
    assert split.made == sum(sizes)
