"""Runs made again from their records: refusals, causes, and the bits of weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from registry_world import plugin_files
from run_world import call, made, safetensors

from specloom import SpecloomError, UnavailableError
from specloom_registry.commands.reproduce import reproduce as reproduce_command
from specloom_registry.provenance import compare_weights, reproduce, rerun, restore, run_record

ROOT = Path(__file__).parents[2]
RUN = """\
specloom: 1
data: {type: cubes.Scene, config: {cube: scene.npy, mask: mask.npy}}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0]}}
  twice: {type: lab.Twice}
  rx: {type: rx.RXGlobal}
  decider: {type: deciders.QuantileBinaryDecider}
  metrics: {type: metrics.AnomalyDetectionMetrics}
connections:
  - [data.cube, twice.data]
  - [twice.doubled, rx.data]
  - [rx.scores, decider.logits]
  - [decider.decisions, metrics.decisions]
  - [rx.scores, metrics.logits]
  - [data.mask, metrics.targets]
phases:
  - {type: training.StatisticalTrainer}
  - {type: training.Evaluate, config: {split: test}}
outputs: {scores: rx.scores}
"""
BUILT_IN = ("cubes", "statistics", "rx", "deciders", "metrics", "objects", "jobs", "training")


def lay(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_has_changed_is_named_when_results_differ(world):
    lay(world.root / "lab", plugin_files("lab"))
    lines = [f"{name}: {{path: {ROOT}/plugins/{name}}}" for name in BUILT_IN]
    world.write("\n".join(["lab: {path: ../lab}", "idle: {path: ../idle}", *lines]))
    lay(world.root / "idle", plugin_files("idle"))
    world.run("lock")
    rng = np.random.default_rng(0)
    scene = rng.normal(size=(12, 12, 5)).astype("float32")
    np.save(world.project / "scene.npy", scene)
    np.save(world.project / "mask.npy", (rng.random((12, 12)) > 0.9).astype("uint8"))
    (world.project / "run.yaml").write_text(RUN)
    call("specloom", "run", "run.yaml", "--out", "one", cwd=world.project)
    record = run_record.read(world.project / "one")
    assert [(one["used_by"], one["path"]) for one in record["data"]] == [
        ("data.config.cube", "scene.npy"),
        ("data.config.mask", "mask.npy"),
    ]

    np.save(world.project / "scene.npy", scene + rng.normal(size=scene.shape).astype("float32"))
    nodes = world.root / "lab/acme_lab/nodes.py"
    nodes.write_text(nodes.read_text().replace("data * 2", "data * 3"))
    project = world.root / "lab/pyproject.toml"
    project.write_text(project.read_text().replace("1.0.0", "1.1.0"))
    shutil.rmtree(world.root / "idle")  # in the manifest, but not used
    one, two, site = world.project / "one", world.root / "two", world.root / "site"
    lay(site / "acme_extra-1.0.dist-info", {"METADATA": "Name: acme-extra\nVersion: 1.0\n"})
    arguments = ("--check", "--json", "--out", str(two))
    reported = json.loads(
        call(
            "specloom",
            "reproduce",
            str(one),
            *arguments,
            cwd=world.root,
            code=1,
            PYTHONPATH=str(site),
        )
    )
    assert reported["equal"] is False
    assert reported["weights"]
    now = run_record.read(two)
    hashes = [record["plugins"]["lab"]["tree"][:15], now["plugins"]["lab"]["tree"][:15]]
    data = [one["data"][0]["sha256"][:15] for one in (record, now)]
    size = record["data"][0]["size"]
    assert reported["changes"] == [
        f"plugin lab: 1.0.0 {hashes[0]} -> 1.1.0 {hashes[1]}",
        f"data scene.npy: {size} bytes {data[0]} -> {size} bytes {data[1]}",
        "package acme-extra: absent -> 1.0",
    ]


def test_equal_results_are_equal_whatever_has_changed(tmp_path):
    one = made(tmp_path / "one")
    same = reproduce.compare(one, made(tmp_path / "two"))
    assert same.lines() == ["equal, bit for bit: 2 metrics, 2 tensors"]
    other = reproduce.compare(one, made(tmp_path / "three", packages={"numpy": "2.1"}))
    assert other.lines() == [
        "equal, bit for bit: 2 metrics, 2 tensors",
        "although changed: package numpy: 2.0 -> 2.1",
    ]


def test_differences_are_reported_with_their_causes(tmp_path):
    one = made(tmp_path / "one")
    more = {"python": "3.12.1", "platform": "Elsewhere", "packages": {"scipy": "1.0"}}
    more["plugins"] = {"rx": {"version": "1", "tree": "h1-a"}}
    two = made(tmp_path / "two", mean=(1.0, 2.5), iou=0.25, **more)
    assert reproduce.compare(one, two).lines() == [
        "different: 1 of 2 metrics, 1 of 2 tensors",
        "  metric test/m/iou: 0.5 -> 0.25",
        "  tensor rx.mean: 1 of 2 values differs, by at most 0.5",
        "changed since:",
        "  Python: 3.11.7 -> 3.12.1",
        "  platform: absent -> Elsewhere",
        "  package numpy: 2.0 -> absent",
        "  plugin rx: absent -> 1 h1-a",
        "  package scipy: absent -> 1.0",
    ]
    three = made(tmp_path / "three", iou=0.25)
    assert reproduce.compare(one, three).lines() == [
        "different: 1 of 2 metrics, 0 of 2 tensors",
        "  metric test/m/iou: 0.5 -> 0.25",
        "nothing that is recorded has changed: a plugin or library is not deterministic here",
    ]


def test_tensors_are_compared_by_type_shape_and_bits(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    nan = float("nan")
    first.write_bytes(
        safetensors(
            a=("F32", "f", [0.0, nan]),
            b=("F16", "h", [1]),
            c=("F64", "d", [1.0]),
            d=("U8", "B", [1]),
        )
    )
    second.write_bytes(
        safetensors(
            a=("F32", "f", [-0.0, nan]),
            b=("F16", "h", [2]),
            c=("F32", "f", [1.0]),
            e=("U8", "B", [1]),
        )
    )
    assert compare_weights.differences(first, first) == {}
    assert compare_weights.differences(first, second) == {
        "a": "1 of 2 values differs, by at most 0",
        "b": "differs",
        "c": "is F32 [1], was F64 [1]",
        "d": "is gone",
        "e": "is new",
    }


ENDS = [
    (
        UnavailableError("the disk is gone", fix="mount it"),
        4,
        "error: the disk is gone\n  fix: mou",
    ),
    (KeyboardInterrupt(), 130, "interrupted\n"),
    (OSError(28, "No space left on device"), 4, "error: "),
    (
        RuntimeError("odd"),
        70,
        "Internal error (RuntimeError: odd): this is a bug, please report it",
    ),
]


@pytest.mark.parametrize(("error", "code", "text"), ENDS)
def test_a_repeated_run_ends_as_a_command_does(monkeypatch, capsys, tmp_path, error, code, text):
    def fail(folder, out, *, fold):
        raise error

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(rerun, "rerun", fail)
    arguments = {"folder": "a", "out": "b", "fold": True}
    monkeypatch.setattr("sys.argv", ["rerun", json.dumps(arguments)])
    with pytest.raises(SystemExit) as ended:
        rerun.main()
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith(text)
    assert len(list(tmp_path.glob("*.log"))) == (code == 70)


def refusal(*arguments):
    done = CliRunner().invoke(reproduce_command, [str(one) for one in arguments])
    assert isinstance(done.exception, SpecloomError), done.output
    return done.exception.exit_code, str(done.exception)


RESTORE = "\n  fix: restore it from where the run was saved"


def test_what_cannot_be_reproduced_is_refused(tmp_path):
    nothing, one = tmp_path / "nothing", made(tmp_path / "one")
    assert refusal(nothing) == (
        2,
        f"E-RUN {nothing} holds no run: No such file or directory\n"
        "  fix: name the folder that 'specloom run' wrote",
    )
    killed = made(tmp_path / "killed", ended="")
    assert refusal(killed) == (
        2,
        f"E-RUN the run in {killed} was stopped before its end, or is still running\n"
        f"  fix: finish it: specloom run --resume {killed}",
    )
    assert refusal(one, "--out", one) == (
        2,
        f"{one} holds the run to reproduce\n  fix: choose another folder with --out",
    )
    saved = one / "pipeline.safetensors"
    saved.write_bytes(saved.read_bytes()[:-1] + b"\1")
    what = f"E-RUN {saved} is not what the run saved: its SHA-256 is another"
    assert refusal(one, "--check") == (3, what + RESTORE)
    saved.unlink()
    what = f"E-RUN {saved} cannot be read: No such file or directory"
    assert refusal(one, "--check") == (3, what + RESTORE)


def test_data_that_is_not_there_is_reported_before_the_run(tmp_path):
    data = [{"used_by": "data.config.cube", "path": "s.mat", "size": 3, "sha256": "ab"}]
    one = made(tmp_path / "one", data=data, folder=str(tmp_path))
    assert refusal(one, "--out", tmp_path / "two") == (
        4,
        f"E-DATA s.mat is not in {tmp_path} (data.config.cube: 3 bytes, SHA-256 ab)\n"
        "  fix: put it there, or run the command in the folder that holds it",
    )


TEXT = "schema: 1\nplugins: {lab: {path: ../lab}}\n"


def test_plugins_that_are_not_available_are_reported(tmp_path):
    about = {"manifest": str(tmp_path / "p/plugins.yaml"), "manifest_text": TEXT}
    record = {**about, "plugins": {"lab": {"tree": "h1-x"}}}
    with pytest.raises(SpecloomError) as caught:
        restore.restore_project(record, tmp_path / "out")
    assert str(caught.value) == (
        f"E-PATH-MISSING plugin 'lab' was in the folder {tmp_path / 'lab'}, which is not there "
        "(its tree was h1-x)\n"
        "  fix: put it there; a plugin from a Git tag would have been fetched"
    )
    with pytest.raises(SpecloomError) as caught:
        restore.restore_project({**record, "lock": {"digest": "wrong"}}, tmp_path / "out")
    assert str(caught.value) == (
        "E-LOCK the lock in the record was changed: its digest is not that of its contents\n"
        "  fix: restore run.json from where the run was saved"
    )
    with pytest.raises(SpecloomError) as caught:
        restore.restore_project({"manifest": "plugins.yaml"}, tmp_path / "out")
    assert str(caught.value) == (
        "E-RUN the record has no manifest: the registry did not observe this run\n"
        "  fix: run it again, with the registry installed"
    )
