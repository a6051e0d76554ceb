"""Nothing but the plugin adaclip needs open_clip and torchvision, nor loads them."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
HEAVY = {"open-clip-torch", "timm", "torchvision"}
PROJECTS = {path.parent.name: path for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))}
CONFIGS = sorted((ROOT / "configs/adaclip").glob("*.yaml"))

ABSENT = """
import importlib.abc, importlib.metadata, socket, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("open_clip", "timm", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from_name = importlib.metadata.Distribution.from_name
def there(name):  # torchmetrics looks for torchvision here, and takes it where it is
    if name.lower().replace("_", "-") in ("open-clip-torch", "timm", "torchvision"):
        raise importlib.metadata.PackageNotFoundError(name)
    return from_name(name)
importlib.metadata.Distribution.from_name = there
def refused(*args, **kwargs):
    raise OSError("the network is blocked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from specloom.cli import main
main()
"""


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needs(requirements):
    """The names of requirements that hold here, without extras."""
    found = [Requirement(one) for one in requirements]
    return {
        plain(one.name) for one in found if not one.marker or one.marker.evaluate({"extra": ""})
    }


def closure(names):
    """These distributions and all that they need, as far as they are installed."""
    seen, ahead = set(), set(names)
    while ahead:
        seen.add(name := ahead.pop())
        try:
            ahead |= needs(requires(name) or ()) - seen
        except PackageNotFoundError:
            continue
    return seen


@pytest.mark.parametrize("name", PROJECTS)
def test_only_adaclip_needs_torchvision_and_open_clip(name):
    project = tomllib.loads(PROJECTS[name].read_text("utf-8"))["project"]
    found = closure(needs(project["dependencies"]))
    assert "specloom" in found
    if name == "adaclip":
        assert found >= HEAVY
    else:
        assert not found & HEAVY
        assert "specloom-adaclip" not in found


def test_the_kernel_needs_neither():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert not closure(needs([*project["dependencies"], *extras["torch"]])) & HEAVY


def specloom(*arguments, folder):
    environment = {
        **os.environ,
        "SPECLOOM_WEIGHTS": str(folder / "weights"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", ABSENT, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize("name", ["rx_statistical", "channel_selector"])
def test_other_run_files_run_without_them(name, tmp_path):
    sets = [
        "data.config.scenes=8",
        "data.config.height=24",
        "data.config.width=24",
        "data.config.clean_scenes=0",
    ]
    sets += ["phases.1.config.epochs=1"] if name == "channel_selector" else []
    changes = [part for one in sets for part in ("--set", one)]
    made = specloom("run", ROOT / f"configs/{name}.yaml", *changes, "--out", "out", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "out/metrics.json").is_file()


def test_graphs_with_adaclip_are_checked_without_weights_network_and_open_clip(tmp_path):
    made = specloom("check", *CONFIGS, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.count(": good, ") == len(CONFIGS) == 11
    assert not list(tmp_path.iterdir())  # and nothing was made
