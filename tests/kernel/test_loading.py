"""``specloom.load`` of the folder of a run, of a mapping, and what is wrong with them."""

import json

import numpy as np
import pytest

import specloom
from specloom import ConfigError, IntegrityError, Pipeline, SpecloomError
from specloom_detect import run_file

CUBE = np.random.default_rng(0).normal(size=(30, 30, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    np.save(folder / "scene.npy", CUBE)
    run = specloom.load(run_file([str(folder / "scene.npy")]), device="cpu")
    run.run_into(folder / "run")
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A copy of a run's folder."""
    for file in (written / "run").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_mapping_is_a_run_file(written):
    values = run_file([str(written / "scene.npy")])
    assert specloom.load(values).document.value == values
    with pytest.raises(ConfigError) as caught:
        specloom.load({**values, "phasen": []})
    assert str(caught.value) == (
        "the run: unknown key 'phasen' in the file\n  fix: did you mean 'phases'?"
    )


def test_a_run_comes_back_from_its_folder(folder):
    run = specloom.load(folder)
    assert run.graph.unfitted() == []
    assert list(run.metrics) == ["train"]
    assert run.document.value["metadata"]["name"] == "detect"
    assert run.record["calibrations"][0]["decider"] == "decider"
    np.testing.assert_array_equal(
        run.predict(CUBE).scores, Pipeline.load(folder).predict(CUBE).scores
    )


def test_what_needs_data_says_what_to_load(folder):
    run = specloom.load(folder)
    message = (
        f"the run in {folder} was loaded with its results, not with its data\n"
        "  fix: load its run file"
    )
    needing = [
        run.run,
        lambda: list(run.batches("test")),
        lambda: list(run.values("scores")),
        lambda: run.scores,
        lambda: run.source.count("test"),
    ]
    for call in needing:
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == message


def test_a_run_that_did_not_end(folder):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "ended": ""}))
    message = (
        f"the run in {folder} did not come to its end\n"
        f"  fix: continue it: specloom run --resume {folder}"
    )
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            specloom.load(folder)
        assert str(caught.value) == message
        (folder / "pipeline.yaml").unlink(missing_ok=True)


def test_overrides_change_no_run_that_ended(folder):
    with pytest.raises(ConfigError) as caught:
        specloom.load(folder, ["seed=1"])
    assert str(caught.value) == (
        f"{folder} holds a run that ended, of which 'seed=1' changes nothing\n"
        "  fix: load its run file with these overrides"
    )


@pytest.mark.parametrize("text", ["[1]", "{", "\xff"])
def test_damaged_metrics(folder, text):
    (folder / "metrics.json").write_text(text, "latin-1")
    with pytest.raises(IntegrityError) as caught:
        specloom.load(folder)
    assert str(caught.value) == (
        f"{folder}/metrics.json is damaged\n  fix: restore it, or run its run file again"
    )


def test_run_into_refuses_what_is_there(folder, written):
    run = specloom.load(run_file([str(written / "scene.npy")]), device="cpu")
    with pytest.raises(ConfigError, match="is not empty: it holds metrics"):
        run.run_into(folder)
    assert run.run_into(folder, overwrite=True) == folder


def test_a_pipeline_without_data():
    with pytest.raises(SpecloomError) as caught:
        specloom.execution.one_batch.NoData().count("test")
    assert str(caught.value) == (
        "a pipeline has no data of its own\n  fix: use Run(pipeline.graph(source), source)"
    )


def test_no_plugin_fits_or_predicts(monkeypatch, folder):
    from specloom import UnavailableError

    run = specloom.load(folder)
    pipeline = Pipeline.of(run.graph)
    monkeypatch.setattr("specloom.plugins.Plugins.first_answer", lambda *_, **__: None)
    with pytest.raises(UnavailableError) as caught:
        run.predict(CUBE)
    assert str(caught.value) == (
        "no plugin applies pipelines to cubes\n"
        "  fix: run: specloom plugins add predict, or: pip install specloom-predict"
    )
    with pytest.raises(UnavailableError) as caught:
        pipeline.fit(CUBE)
    assert str(caught.value) == (
        "no plugin fits pipelines\n"
        "  fix: run: specloom plugins add training, or: pip install specloom-training"
    )


@pytest.mark.parametrize("metrics", ['{"test": 5}', '{"test": {"auc": "x"}}', '{"test": [1]}'])
def test_metrics_that_are_no_numbers_are_damaged(folder, metrics):
    (folder / "metrics.json").write_text(metrics)
    with pytest.raises(IntegrityError) as caught:
        specloom.load(folder)
    assert str(caught.value) == (
        f"{folder / 'metrics.json'} is damaged\n  fix: restore it, or run its run file again"
    )


def test_a_seed_changes_nothing_of_a_run_that_ended(folder):
    with pytest.raises(ConfigError) as caught:
        specloom.load(folder, seed=5)
    assert str(caught.value) == (
        f"{folder} holds a run that ended, of which the seed 5 changes nothing\n"
        "  fix: load its run file with this seed"
    )


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("a" * 300, f"{'a' * 300} cannot be read: File name too long"),
        ("a\0b", "'a\\x00b' cannot be read: embedded null byte"),
    ],
)
def test_what_is_no_name_of_a_file(path, what):
    with pytest.raises(ConfigError) as caught:
        specloom.load(path)
    assert str(caught.value) == f"{what}\n  fix: check the path"
