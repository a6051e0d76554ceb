"""Everything from wheels, as a user has it: make dist, pip in a new environment, every command."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fresh_environment import Environment, run

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
PLUGINS = {folder.parent.name for folder in ROOT.glob("plugins/*/pyproject.toml")}
#: How a command is called, by its name, in an order in which each finds what it needs.
CALLS = {
    "new": [
        "new run rx --out my.yaml",
        "new run bands/mrmr_full --out mrmr.yaml",
        "new run --list",
    ],
    "check": ["check my.yaml mrmr.yaml"],
    "run": ["run my.yaml --out demo", "run mrmr.yaml --out banded"],
    "predict": ["predict demo scene.npy --out predicted"],
    "report": ["report demo"],
    "fleet": ["fleet check --on dask --workers 1"],
    "graph": ["graph demo"],
    "doctor": ["doctor"],
    "info": ["info scene.npy"],
    "bands": ["bands banded"],
    "data": ["data list"],
    "detect": ["detect large.npy --out found"],
    "import": ["import --help"],
    "init": ["init --template bands/cir"],
    "serve": ["serve --help"],
    "spectra": ["spectra scene.npy --pixel 2,3 --out spectra.csv"],
    "compare": ["compare demo banded"],
    "nodes": ["nodes", "nodes rx.RXGlobal"],
    "plugins": ["plugins list"],
    "profile": ["profile my.yaml"],
    "reproduce": ["reproduce demo --check"],
    "schema": ["schema"],
    "weights": ["weights list"],
}
PRINTED = {
    "check": "mrmr.yaml: good",
    "run": "results: banded",
    "predict": "1 cube predicted",
    "report": "report: demo/report.html",
    "detect": "look at: found/report.html",
    "init": "created: run.yaml",
    "fleet": "specloom-dask",
    "graph": "rx.RXGlobal",
    "doctor": "nothing is broken",
    "reproduce": "equal, bit for bit: ",
}


def require_cpu_torch(folder):
    """Skip where pip would get no torch, or one with CUDA, which takes gigabytes."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]
    options = ["--report", report, "-c", CONSTRAINTS, "torch"]
    done = subprocess.run(
        [*command, *map(str, options)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"pip gets no torch here: {done.stderr.strip().splitlines()[-1]}")
    packages = [one["metadata"]["name"] for one in json.loads(report.read_text())["install"]]
    if any(name.startswith("nvidia") for name in packages):
        pytest.skip("pip gets a torch with CUDA here; configure it to get a CPU build")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_command_works_from_wheels_that_pip_installs(tmp_path):
    require_cpu_torch(tmp_path)
    dist = tmp_path / "dist"
    ready = f"{sys.prefix}/.ready"
    built = run(["make", "-C", ROOT, "-o", ready, f"VENV={sys.prefix}", f"DIST={dist}", "dist"])
    assert len(list(dist.glob("specloom*.whl"))) == 1 + len(PLUGINS), built

    fresh = Environment(tmp_path, dist, bare=True, OMP_NUM_THREADS="1")
    fresh.pip("install", "-q", "--find-links", dist, "specloom[all]", "-c", CONSTRAINTS)
    work = tmp_path / "work"
    work.mkdir()
    expected = {"specloom", *(f"specloom-{name}" for name in PLUGINS)}
    assert set(fresh.distributions(work)) == expected
    run([fresh.folder / "bin/python", ROOT / "tools/install_torchvision_cpu_hook.py"])

    np.save(work / "scene.npy", np.random.default_rng(7).random((9, 8, 61), np.float32))
    np.save(work / "large.npy", np.random.default_rng(8).random((40, 40, 61), np.float32))
    listed = fresh.specloom("--help", cwd=work).partition("Commands:")[2]
    assert set(re.findall(r"^  (\w+) ", listed, re.MULTILINE)) == CALLS.keys()
    for name, calls in CALLS.items():
        for call in calls:
            printed = fresh.specloom(*call.split(), cwd=work)
        assert PRINTED.get(name, "") in printed

    here = tmp_path / "here"
    run([sys.executable, "-m", "specloom", "run", work / "my.yaml", "--out", here], work)
    for name in ("metrics.json", "pipeline.safetensors"):
        assert (work / "demo" / name).read_bytes() == (here / name).read_bytes()
