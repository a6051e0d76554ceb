"""Wheels in new environments: all of them, and the kernel alone with plugins from tags."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import packages
import pytest
import release
import wheels
from fresh_environment import Environment, run
from registry_world import Repo, plugin_files

ROOT = Path(__file__).parents[2]
PARTS = ("kernel", "registry", "plugins", "configs")
FILES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore")
IGNORED = shutil.ignore_patterns("__pycache__", ".*_cache", "tests", "benchmarks")
RUN_FILE = "configs/rx_statistical.yaml"
NAMED = ("cubes", "native", "normalize", "rx", "deciders", "training", "predict", "report")
NEEDED = ("jobs", "metrics", "objects", "statistics")
SETTINGS = [
    "data.config.scenes=12",
    "data.config.height=32",
    "data.config.width=32",
]
SETS = [argument for setting in SETTINGS for argument in ("--set", setting)]
HERE = [sys.executable, "-m", "specloom"]
COMMANDS = """
@impl
def register_commands():
    return {"hello": "acme_lab.hello:hello"}
"""
HELLO = '''\
import click

import acme_lab

@click.command()
def hello():
    """Say it."""
    click.echo(f"{acme_lab.SAYS} of {acme_lab.__file__}")
'''


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the repository as it is released."""
    folder = tmp_path_factory.mktemp("source")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=IGNORED)
    for file in FILES:
        shutil.copy(ROOT / file, folder)
    for changelog in [folder / "CHANGELOG.md", *folder.glob("plugins/*/CHANGELOG.md")]:
        text = changelog.read_text("utf-8")
        released = f"## {packages.newest(changelog)}"
        changelog.write_text(text.replace("## Unreleased", released), "utf-8")
    return folder


@pytest.fixture(scope="module")
def dist(source, tmp_path_factory):
    """The wheels of that copy."""
    folder = tmp_path_factory.mktemp("dist")
    wheels.build(source, folder)
    return folder


@pytest.fixture
def released(source, world):
    """A bare repository with the tags of a release."""
    repo = Repo(world.root / "work")
    shutil.copytree(source, repo.path, dirs_exist_ok=True)
    release.write_index(repo.path)
    repo.commit()
    tags = release.tag(repo.path, [])
    assert len(tags) == 1 + len(list(repo.path.glob("plugins/*/pyproject.toml")))
    bare = world.origins / "specloom.git"
    repo.git("clone", "--quiet", "--bare", repo.path, bare)
    return Repo(bare)


def third_party(world):
    """The repository of a plugin lab with a command, hello."""
    files = plugin_files("lab", init=COMMANDS)
    described = json.loads(files["acme_lab/nodes.json"])
    described["hello"] = {"kind": "commands", "doc": "Say it."}
    files["acme_lab/nodes.json"] = json.dumps(described)
    files["acme_lab/hello.py"] = HELLO
    Repo(world.origins / "lab.git").commit(files, tag="v1.0.0")


def commands(text):
    """The part of a help text that lists commands."""
    return text.partition("Commands:")[2]


def result_files(folder):
    """The files of results by name, without times: those of records, ledgers, and in summaries."""
    timed = (".json", ".jsonl")
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in timed]
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as summary:
        rows = list(csv.DictReader(summary))
    assert all(float(row.pop("seconds")) >= 0 for row in rows)
    return {**found, "summary.csv": rows}


def test_the_extra_all_gives_every_command_from_wheels(dist, tmp_path):
    fresh = Environment(tmp_path, dist)
    work = tmp_path / "work"
    work.mkdir()
    assert fresh.distributions(work) == []
    fresh.install("specloom[all]")
    names = {folder.name for folder in ROOT.glob("plugins/*") if folder.is_dir()}
    assert set(fresh.distributions(work)) == {"specloom", *(f"specloom-{name}" for name in names)}
    listed = commands(fresh.specloom("--help", cwd=work))
    assert "predict" in listed
    assert listed == commands(run([*HERE, "--help"], work))
    assert "created: my.yaml\n" in fresh.specloom("new", "run", "rx", "--out", "my.yaml", cwd=work)
    assert (work / "my.yaml").read_bytes() == (ROOT / RUN_FILE).read_bytes()
    files = fresh.python(
        "import specloom, specloom_rx as r; print(specloom.__file__, r.__file__)", work
    )
    assert files.count(str(fresh.folder)) == 2
    assert fresh.specloom("new", "run", "--list", cwd=work) == run(
        [*HERE, "new", "run", "--list"], work
    )
    assert "created: acme-sam\n" in fresh.specloom("new", "plugin", "acme-sam", cwd=work)
    assert (work / "acme-sam/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_kernel_alone_runs_plugins_from_tags_as_installed_ones(dist, released, world):
    fresh = Environment(world.root, dist, SPECLOOM_INDEX=released.url)
    project = world.project
    assert fresh.distributions(project) == []
    fresh.python("import torch", project)
    fresh.install("specloom")
    assert fresh.distributions(project) == ["specloom"]
    assert fresh.specloom("predict", "one", "scene.npy", cwd=project, code=2) == (
        "error: no command 'predict' is offered here: the plugin 'predict' has it\n"
        "  fix: run: specloom plugins add predict, or: pip install specloom-predict\n"
    )

    added = fresh.specloom("plugins", "add", *NAMED, "--allow-file", "--no-probe", cwd=project)
    for name in (*NAMED, *NEEDED):
        assert f"{name}: new -> " in added
    locked = fresh.specloom("plugins", "lock", "--allow-file", "--no-probe", cwd=project)
    assert locked == "nothing changed\n"
    assert fresh.specloom("plugins", "sync", "--no-probe", cwd=project) == "fetched: nothing\n"

    installed = world.root / "installed"
    for folder in (project, installed):
        (folder / "configs").mkdir(parents=True)
        shutil.copy(ROOT / RUN_FILE, folder / RUN_FILE)
    np.save(world.root / "scene.npy", np.random.default_rng(7).random((9, 8, 61), np.float32))
    jobs = [
        ("run", RUN_FILE, *SETS, "--out", "one"),
        ("predict", "one", world.root / "scene.npy", "--out", "predicted"),
    ]
    for job in jobs:
        fresh.specloom(*job, cwd=project)
        run([*HERE, *job], installed, {"SPECLOOM_NO_REPORT": "1"})
    assert "rx.RXGlobal" in fresh.specloom("graph", "one", cwd=project)
    assert "nothing is broken" in fresh.specloom("doctor", cwd=project)
    fresh.specloom("report", "one", cwd=project)
    assert (project / "one/report.html").is_file()

    third_party(world)
    place = f"lab={world.repo_of('lab').url}@v1.0.0"
    fresh.specloom("plugins", "add", place, "--allow-file", cwd=project)
    assert "Say it." in fresh.specloom("--help", cwd=project)
    assert fresh.specloom("hello", cwd=project).startswith(f"one of {world.store}")

    record = json.loads((project / "one/run.json").read_text())
    tags = {name: plugin["tag"] for name, plugin in record["plugins"].items()}
    assert tags == {
        name: f"{name}-v{plugin['version']}" for name, plugin in record["plugins"].items()
    }
    assert "rx" in tags
    for name in ("metrics.json", "pipeline.safetensors"):
        assert (project / "one" / name).read_bytes() == (installed / "one" / name).read_bytes()
    predicted = result_files(project / "predicted")
    assert predicted
    assert predicted == result_files(installed / "predicted")
    assert fresh.distributions(project) == ["specloom"]
