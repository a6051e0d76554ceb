"""From an empty folder to a run on another machine: new, test, tag, add, run, reproduce."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from registry_world import Repo, open_up
from run_world import call, guide

from specloom import SpecloomError
from specloom_registry.commands import new, reproduce
from specloom_registry.project.maintenance import collect_garbage
from specloom_registry.store.store import Store

ROOT = Path(__file__).parents[2]
RUN = """\
specloom: 1
data: {type: cubes.Synthetic, config: {scenes: 4, height: 16, width: 16, seed: 7}}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  normalizer: {type: normalize.MinMaxNormalizer}
  sam: {type: acme-sam.SpectralAngle}
  decider: {type: deciders.QuantileBinaryDecider, config: {quantile: 0.98}}
  metrics: {type: metrics.AnomalyDetectionMetrics}
connections:
  - [data.cube, normalizer.data]
  - [normalizer.normalized, sam.data]
  - [sam.scores, decider.logits]
  - [decider.decisions, metrics.decisions]
  - [sam.scores, metrics.logits]
  - [data.mask, metrics.targets]
phases:
  - {type: training.StatisticalTrainer}
  - {type: training.Evaluate, config: {split: test}}
outputs: {scores: sam.scores}
"""
BUILT_IN = (
    "cubes",
    "normalize",
    "statistics",
    "deciders",
    "metrics",
    "objects",
    "training",
    "jobs",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authors")
    said = call("specloom", "new", "plugin", "acme-sam", cwd=folder)
    assert said == "created: acme-sam\n  cd acme-sam && pip install -e '.[dev]' && pytest\n"
    return folder / "acme-sam"


@pytest.fixture
def package(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "acme-sam"))


def test_a_new_plugin_is_whole_and_passes_everything(package, tmp_path):
    names = {str(one.relative_to(package)) for one in package.rglob("*") if one.is_file()}
    assert names == {
        *("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "conftest.py"),
        *(f"specloom_acme_sam/{one}" for one in ("__init__.py", "angle.py", "nodes.json")),
        *("specloom_acme_sam/py.typed", "tests/test_angle.py", "tests/test_conformance.py"),
    }
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert not re.search(
        r"@\w+@", "".join(p.read_text() for p in package.rglob("*.*") if p.is_file())
    )
    readme = (package / "README.md").read_text()
    assert "| `data` | input | `B H W C` | float32 | Spectra. |" in readme
    site = tmp_path / "site"
    apart = {"PYTHONPATH": str(site), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache")}
    apart |= {"RUFF_NO_CACHE": "true", "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    first, second, *rest = guide(0)
    assert (first, second) == ("specloom new plugin acme-sam", "cd acme-sam")
    said = ""
    for line in rest:
        if line == "pip install -e '.[dev]'":  # in an environment of its own
            line = "pip install -q --no-deps --no-build-isolation --no-index "
            line += f"--disable-pip-version-check --target {site} ."
        said += call(*line.split(), cwd=package, **apart)
    assert re.search(r"^tests/test_conformance\.py: [12]\d checks ran$", said, re.MULTILINE)
    assert "All checks passed!" in said
    assert "Success: no issues found" in said
    assert re.search(r"nodes\.json: 1 described\n$", said)
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    call("python", "example.py", cwd=tmp_path, PYTHONPATH=str(site))


def test_a_new_plugin_is_tagged_added_run_and_reproduced_elsewhere(
    world, package, tmp_path, monkeypatch
):
    repo = Repo(package)
    repo.git("init", "--quiet", "--initial-branch=main", "--template=")
    repo.commit(tag="v0.1.0", annotated=True)
    bare = world.origins / "acme-sam.git"
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(bare))
    lines = "\n".join(f"{name}: {{path: {ROOT}/plugins/{name}}}" for name in BUILT_IN)
    mirror = f'mirrors: [{{match: "https://example.org/acme/", use: "file://{world.origins}/"}}]\n'
    world.write(lines, mirrored=False, head=mirror)
    (world.project / "run.yaml").write_text(RUN)
    add, test, run, again, compare = (line.split() for line in guide(1))
    said = world.run(*add[2:], probe=True).stdout
    assert "acme-sam: new -> 0.1.0 (v0.1.0 " in said
    assert world.run("lock").stdout == "nothing changed\n"
    assert world.run("sync").stdout == "fetched: nothing\n"
    said = call(*test, "-q", "-k", "plugin-", cwd=world.project)
    assert "\ntest_conformance.py: 5 checks ran\n" in said
    assert "test_kit.py" not in said  # the kit runs once
    assert not list(world.tree("acme-sam").rglob("__pycache__"))

    call(*run, cwd=world.project)
    record = json.loads((world.project / "runs/one/run.json").read_text())
    assert record["plugins"]["acme-sam"]["tag"] == "v0.1.0"
    assert set(record["plugins"]) == {"acme-sam", *BUILT_IN}
    assert record["data"] == []

    copied, other = tmp_path / "elsewhere", tmp_path / "other"
    shutil.copytree(world.project / "runs/one", copied / "runs/one")
    world.project.rename(tmp_path / "gone")
    said = call(*again, cwd=copied, SPECLOOM_STORE=str(other))
    assert re.fullmatch(r"equal, bit for bit: \d+ metrics, \d+ tensors\nresults: runs/two\n", said)
    assert [one.name for one in (other / "trees").iterdir()] == [
        record["plugins"]["acme-sam"]["tree"]
    ]
    lock = json.loads((copied / "runs/two/plugins.lock").read_text())
    assert lock["plugins"]["acme-sam"] == record["lock"]["plugins"]["acme-sam"]
    assert collect_garbage(Store(other), dry_run=True) == []  # the reproduced run keeps it
    monkeypatch.chdir(copied)
    assert "differs" not in CliRunner().invoke(reproduce.compare, compare[2:]).stdout
    open_up(other)


REFUSED = [
    (
        "Acme_SAM",
        "E-NAME 'Acme_SAM' is not a plugin name\n"
        "  fix: use lower-case letters, digits and single hyphens: 'acme-sam'",
    ),
    (
        "registry",
        "E-NAME the name 'registry' is reserved\n  fix: leave it out: it comes with specloom",
    ),
    (
        "3d",
        "E-NAME '3d' begins with a digit, which the name of a module cannot\n"
        "  fix: use another name, such as 'my-3d'",
    ),
    ("rx", "E-NAME the index has a plugin 'rx' already\n  fix: use another name, such as 'my-rx'"),
    (
        "full",
        "E-DIR {folder} exists and is not empty\n  fix: choose another folder with --dir",
    ),
]


@pytest.mark.parametrize(("name", "reported"), REFUSED)
def test_what_cannot_be_made_is_reported(name, reported, tmp_path):
    folder = tmp_path / name
    if name == "full":
        folder.mkdir()
        (folder / "mine").write_text("")
    done = CliRunner().invoke(new.new, ["plugin", name, "--dir", str(folder)])
    assert isinstance(done.exception, SpecloomError)
    assert str(done.exception) == reported.format(folder=folder)
    assert folder.exists() == (name == "full")


def test_a_plugin_that_cannot_be_described_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(new.sys, "executable", "/bin/false")
    with pytest.raises(SpecloomError) as caught:
        new.create("acme-sam", tmp_path / "it")
    assert str(caught.value) == (
        f"the plugin was created in {tmp_path / 'it'}, but cannot be described: \n"
        "  fix: correct that, then run: specloom plugins describe acme-sam --write"
    )


def test_no_check_at_all_is_an_error(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    ran = world.run("test", "rx", "-q", "-k", "nothing_of_the_kind", code=1)
    assert ran.stderr == (
        "error: no check of the conformance kit ran for plugin 'rx'\n"
        "  fix: leave out options that deselect them; -rs shows why checks are skipped\n"
    )
