"""Records of runs: of another user, with edited results, and what packages they had."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from run_world import made

from specloom import IntegrityError, SpecloomError
from specloom_registry.commands.reproduce import reproduce as command
from specloom_registry.packages import environment
from specloom_registry.provenance import reproduce, run_record

OTHER = 65534
PLUGINS = {
    "rx": {"version": "1.0.0", "git": "https://localhost:9/acme/rx.git", "tag": "v1.0.0"},
    "lab": {"version": "1.1.0", "path": "/home/eve/lab"},
    "cubes": {"version": "0.1.0"},
}
MANIFEST = "installer: {index-url: 'https://localhost:9/simple', find-links: [wheels]}\n"


@pytest.fixture
def run_of_another(tmp_path, monkeypatch):
    monkeypatch.delenv("SPECLOOM_SAFE_DIRECTORY", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.chdir(tmp_path)
    run = made(tmp_path / "run", plugins=PLUGINS, manifest_text=MANIFEST)
    os.chown(run, OTHER, OTHER)
    started = []
    monkeypatch.setattr(reproduce, "repeat", lambda *_: started.append(1) or 1)
    return run, started


needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@needs_root
@pytest.mark.parametrize("answer", ["n\n", ""])
def test_a_run_of_another_user_is_listed_and_not_run_without_consent(run_of_another, answer):
    run, started = run_of_another
    done = CliRunner().invoke(command, [str(run)], input=answer)
    error = done.exception
    assert isinstance(error, SpecloomError)
    owner = error.what.partition("(")[2].partition(")")[0]
    assert f"uid {OTHER}" in owner
    assert error.what == f"E-OWNER the run belongs to another user ({owner}); nothing was run"
    assert (error.where, error.exit_code) == (str(run), 3)
    assert error.fix == "look at the list above, and if you trust all of it add --yes"
    assert done.stderr.splitlines()[:5] == [
        f"{run} belongs to another user ({owner}). Reproducing it runs the code of",
        "  plugin rx: https://localhost:9/acme/rx.git v1.0.0 1.0.0",
        "  plugin lab: /home/eve/lab 1.1.0",
        "  plugin cubes: the environment 0.1.0",
        "  URL https://localhost:9/simple",
    ]
    assert not started


@needs_root
@pytest.mark.parametrize("consent", ["--yes", "y", "trust"])
def test_with_consent_it_is_run(run_of_another, monkeypatch, consent):
    run, started = run_of_another
    options = ["--yes"] if consent == "--yes" else []
    if consent == "trust":
        monkeypatch.setenv("SPECLOOM_SAFE_DIRECTORY", str(run))
    CliRunner().invoke(command, [str(run), *options], input="y\n")
    assert started


def test_edited_metrics_are_not_blamed_on_a_plugin(tmp_path):
    run = made(tmp_path / "run")
    digest = reproduce._metrics_hash(run)
    record = {**run_record.read(run), "metrics_sha256": digest}
    reproduce.check_results(run, record)
    metrics = run / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.5", "0.9"))
    with pytest.raises(IntegrityError) as caught:
        reproduce.check_results(run, record)
    what = f"E-RUN {metrics} is not what the run saved: its SHA-256 is another"
    assert (caught.value.what, caught.value.fix) == (
        what,
        "restore it from where the run was saved",
    )
    metrics.unlink()
    with pytest.raises(IntegrityError):
        reproduce.check_results(run, record)


def test_a_repetition_verifies_every_byte(tmp_path, monkeypatch):
    run = made(tmp_path / "run")
    seen = {}

    def started(_, **options):
        seen.update(options)
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(reproduce.subprocess, "run", started)
    reproduce.repeat(run_record.read(run), run, tmp_path / "out")
    assert seen["env"]["SPECLOOM_VERIFY"] == "full"


def test_the_packages_of_a_run_are_recorded_to_the_byte():
    hashes = environment.hashes()
    assert set(hashes) <= set(environment.installed())
    assert len(hashes["numpy"]) == 64
    assert "specloom" in environment.from_folders()


def test_packages_that_differ_only_in_their_bytes_are_named(tmp_path):
    one = made(tmp_path / "one", package_hashes={"numpy": "a" * 64})
    two = made(tmp_path / "two", package_hashes={"numpy": "b" * 64}, iou=0.25)
    changes = reproduce.compare(one, two).changes
    assert changes == [f"package numpy: 2.0 {'a' * 15} -> 2.0 {'b' * 15}"]


def test_requirements_are_a_file_that_pip_takes(tmp_path):
    versions = environment.installed()
    packages = {name: versions[name] for name in ("numpy", "click", "torch", "specloom")}
    about = {"local_packages": ["specloom"], "python": "3.11.7"}
    run = made(tmp_path / "run", packages=packages, **about)
    file = tmp_path / "requirements.txt"
    done = CliRunner().invoke(command, [str(run), "--requirements", str(file)])
    assert (done.exit_code, done.stdout) == (0, f"requirements: {file}\n")
    lines = file.read_text().splitlines()
    assert lines[0] == "# The packages of a run with Python 3.11.7."
    assert f"numpy=={versions['numpy']}" in lines
    assert f"# specloom {versions['specloom']} was installed from a folder" in lines
    assert not any("+" in line.partition("#")[0] for line in lines)
    offline = ["--dry-run", "--no-index", "--no-deps", "--report", str(tmp_path / "report")]
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "-r", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert pip.returncode == 0, pip.stderr
    assert json.loads((tmp_path / "report").read_text())["install"] == []
