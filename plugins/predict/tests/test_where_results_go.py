"""Results among the inputs, pipelines that are none, dry runs: what the messages say."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from specloom import ConfigError, Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_predict import predict_all
from specloom_predict.command import predict as command


@pytest.fixture
def run(tmp_path):
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube", "decisions": "data.valid"}
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}]))
    (tmp_path / "run").mkdir()
    pipeline.save_to_file(tmp_path / "run/pipeline.yaml")
    return tmp_path / "run"


@pytest.fixture
def cubes(tmp_path):
    folder = tmp_path / "cubes/day"
    folder.mkdir(parents=True)
    for name in "ab":
        np.save(folder / f"{name}.npy", np.ones((4, 5, 3), np.float32))
    return folder


def called(*arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


def refused(*arguments):
    with pytest.raises(ConfigError) as error:
        predict_all(*arguments)
    return str(error.value)


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_results_in_the_folder_of_the_inputs(run, cubes):
    before = listing(cubes)
    assert refused(run, [cubes], cubes) == (
        f"--out {cubes}: the results would lie among the inputs, where no cube is read\n"
        "  fix: choose another folder, for example --out day-predicted"
    )
    assert listing(cubes) == before


def test_results_in_a_folder_above_the_inputs(run, cubes):
    before = listing(cubes.parent)
    assert refused(run, [cubes], cubes.parent) == (
        f"--out {cubes.parent}: the inputs in {cubes} lie in {cubes.parent}, the folder of the "
        "results\n"
        "  fix: choose another folder, for example --out cubes-predicted"
    )
    assert listing(cubes.parent) == before


def test_results_in_a_folder_of_their_own_within_the_inputs(run, cubes):
    first = predict_all(run, [cubes], cubes / "out")
    assert [one["input"] for one in first.done] == [str(cubes / f"{name}.npy") for name in "ab"]
    again = predict_all(run, [cubes, f"{cubes}/*/*/*.npy"], cubes / "out")
    assert (len(again.done), len(again.skipped)) == (0, 2)  # no result is an input


def test_the_numbers_in_place_of_the_pipeline(run, cubes, tmp_path):
    (run / "pipeline.safetensors").write_bytes(b"\x80\x00")
    assert refused(run / "pipeline.safetensors", [cubes], tmp_path / "out") == (
        f"{run}/pipeline.safetensors holds the numbers of a pipeline, not the pipeline itself\n"
        f"  fix: give {run}/pipeline.yaml, which names that file"
    )


def test_the_file_of_the_pipeline_is_as_good_as_its_folder(run, cubes, tmp_path):
    made = [
        predict_all(pipeline, [cubes], tmp_path / "out")
        for pipeline in (run, run / "pipeline.yaml")
    ]
    assert [(len(one.done), len(one.skipped)) for one in made] == [(2, 0), (0, 2)]


@pytest.mark.parametrize("name", ["run.json", "own.yaml"])
def test_a_file_that_is_no_pipeline(run, cubes, tmp_path, name):
    (run / name).write_text('{"specloom": 1}')
    assert refused(run / name, [cubes], tmp_path / "out") == (
        f"{run / name}:1: {run / name} is no saved pipeline\n"
        "  fix: give the pipeline.yaml that a run wrote"
    )


def test_a_run_that_did_not_come_to_its_end(run, cubes, tmp_path):
    (run / "run.json").write_text(json.dumps({"ended": ""}))
    assert refused(run, [cubes], tmp_path / "out") == (
        f"the run in {run} did not come to its end: its pipeline may lack a later phase\n"
        f"  fix: continue it with specloom run --resume {run}, or give {run}/pipeline.yaml to use "
        "it as it is"
    )
    assert len(predict_all(run / "pipeline.yaml", [cubes], tmp_path / "out").done) == 2
    (run / "run.json").write_text(json.dumps({"ended": "2025-01-01T00:00:00+00:00"}))
    assert len(predict_all(run, [cubes], tmp_path / "out").skipped) == 2


def test_a_dry_run_writes_nothing(run, cubes, tmp_path):
    predict_all(run, [cubes / "a.npy"], tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    np.save(tmp_path / "cubes/other.npy", np.ones((4, 5, 7), np.float32))
    before[tmp_path / "cubes/other.npy"] = (tmp_path / "cubes/other.npy").stat().st_mtime_ns
    before[tmp_path / "cubes"] = (tmp_path / "cubes").stat().st_mtime_ns
    inputs = [cubes, tmp_path / "cubes/other.npy", tmp_path / "absent.npy"]
    made = called(run, *inputs, "--out", tmp_path / "out", "--dry-run")
    assert made.exit_code == 2
    *_, plan, counts = made.stderr.splitlines()
    assert plan == f"would predict {cubes / 'b.npy'} into {tmp_path}/out/b"
    assert counts == "dry run, nothing is written: 1 cube to predict, 1 up to date, 2 failed"
    assert f"error: {tmp_path}/cubes/other.npy has 7 bands, the pipeline was made for 3" in (
        made.stderr.splitlines()
    )
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_dry_run_checks_the_rules(run, cubes, tmp_path):
    options = ["--out", tmp_path / "new", "--dry-run"]
    assert called(run, cubes, *options).exit_code == 0
    wrong = called(run, cubes, *options, "--reject-when", "object > 0")
    assert isinstance(wrong.exception, ConfigError)
    assert not (tmp_path / "new").exists()
