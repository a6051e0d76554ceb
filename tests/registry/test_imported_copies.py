"""In a project whose plugins are pinned, no module of an installed copy of one is imported."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from registry_world import Repo

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
PROGRAM = """
import atexit, json, sys
from specloom import cli

def write():
    files = {name: str(getattr(m, "__file__", "")) for name, m in sys.modules.items()}
    with open(FILE, "w") as file:
        json.dump(files, file)

FILE = sys.argv.pop(1)
atexit.register(write)
cli.main()
"""
RUN = """
specloom: 1
metadata: {name: pinned}
data: {type: cubes.Synthetic, config: {scenes: 8, height: 24, width: 24, bands: 21, batch_size: 2}}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  selector: {type: mrmr.SupervisedFullSpectrumBandSelector}
  rx: {type: rx.RXGlobal}
connections:
  - [data.cube, selector.cube]
  - [data.mask, selector.mask]
  - [data.valid, selector.valid]
  - [data.wavelengths, selector.wavelengths]
  - [selector.rgb_image, rx.data]
  - [data.valid, rx.valid]
phases:
  - {type: training.StatisticalTrainer}
outputs: {scores: rx.scores}
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A repository with every plugin of this one, and a tag for each."""
    repo = Repo(tmp_path_factory.mktemp("origin") / "all.git")
    skip = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(ROOT / "plugins", repo.path / "plugins", ignore=skip)
    repo.commit()
    for name in NAMES:
        repo.tag(f"{name}-v{_version(name)}")
    return repo


def _version(name):
    return tomllib.loads((ROOT / "plugins" / name / "pyproject.toml").read_text())["project"][
        "version"
    ]


@pytest.fixture
def project(world, origin):
    """A project that pins them all, in an environment that has them installed, too."""
    lines = "\n".join(
        f"{name}: {{git: {origin.url}, tag: {name}-v{_version(name)}, subdir: plugins/{name}, "
        f'tag-pattern: "{name}-v{{version}}"}}'
        for name in NAMES
    )
    world.write(lines, mirrored=False)
    world.run("lock", "--allow-file")
    (world.project / "run.yaml").write_text(RUN)
    return world


def imported(world, *arguments):
    """The files that a command has imported of plugins, and what it printed."""
    file = world.root / "imported.json"
    command = [sys.executable, "-c", PROGRAM, str(file), *map(str, arguments)]
    done = subprocess.run(command, cwd=world.project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "W-" not in done.stderr, done.stderr
    modules = json.loads(file.read_text())
    tops = tuple(f"specloom_{name.replace('-', '_')}" for name in NAMES)
    return {name: file for name, file in modules.items() if name.partition(".")[0] in tops}


def assert_pinned(world, files):
    assert files
    strays = {name: file for name, file in files.items() if str(world.store) not in file}
    assert strays == {}


def cube(world):
    """A cube with the bands of the run."""
    import numpy as np

    from specloom_cubes import Synthetic

    source = Synthetic(scenes=8, height=24, width=24, bands=21, batch_size=2)
    batch = next(iter(source.batches("test")))
    file = world.project / "scene.npy"
    np.save(file, np.asarray(batch["cube"])[0])
    return file


def test_no_module_of_an_installed_copy_is_imported(project):
    assert_pinned(project, imported(project, "run", "run.yaml", "--out", "out"))
    record = json.loads((project.project / "out/run.json").read_text())
    pins = record["plugins"]["rx"]
    assert pins["tag"] == f"rx-v{_version('rx')}"
    assert record["kernel_version"] == record["specloom"]
    assert record["kernel_commit"] == _commit_here()
    scene = cube(project)
    bands = project.project / "bands.csv"
    bands.write_text("\n".join(map(str, range(430, 430 + 21 * 24, 24))) + "\n")
    commands = [
        ("predict", "out", scene, "--out", "predicted", "--wavelengths", bands),
        ("report", "out"),
        ("bands", "out", "--resamples", "2"),
        ("graph", "out"),
        ("graph", "run.yaml"),
        ("doctor",),
        ("check", "run.yaml"),
    ]
    for command in commands:
        assert_pinned(project, imported(project, *command))
    predicted = json.loads(next(project.project.glob("predicted/*/predict.json")).read_text())
    assert predicted["plugins"]["rx"] == pins
    assert predicted["kernel"]["version"] == record["kernel_version"]
    assert predicted["kernel"]["commit"] == record["kernel_commit"]
    page = (project.project / "out/report.html").read_text()
    assert pins["tree"][:20] in page
    assert pins["commit"][:12] in page
    assert record["kernel_commit"][:12] in page


def _commit_here():
    if not (ROOT / ".git").exists():
        return ""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    return done.stdout.strip()
