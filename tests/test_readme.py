"""The README is run: its commands, its run file, its plugin, its Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def call(*arguments: str, cwd: Path, path: Path | None = None) -> str:
    environment = {**os.environ, "NO_COLOR": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr + done.stdout


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("console")).splitlines()
    return [line.split()[1:] for line in lines if line.startswith("specloom ")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The folder in which a reader of the README stands, with a scene of their own."""
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("reader")
    for name in ("configs", "plugins"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".git").mkdir()
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(30, 40, 12)).astype("float32")
    mask = np.zeros((30, 40), "uint8")
    mask[4:7, 5:9] = 1
    savemat(folder / "scene.mat", {"data": cube + 3 * mask[..., None], "map": mask})
    savemat(folder / "other.mat", {"data": cube[::-1], "map": mask})
    np.save(folder / "scene.npy", cube + 3 * mask[..., None])
    return folder


def prepare(checkout, arguments):
    """Make what the commands before one made, as each may be tested in a process of its own."""
    run_file = checkout / "scene.yaml"
    if arguments[0] == "new":
        run_file.unlink(missing_ok=True)
    elif not run_file.is_file():
        call("-m", "specloom", "new", "run", "rx_scene", "--out", "scene.yaml", cwd=checkout)
    if arguments[0] == "predict" and not (checkout / arguments[1]).is_dir():
        wrote = next(one for one in commands() if arguments[1] in one and one != arguments)
        call("-m", "specloom", *wrote, cwd=checkout)


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_of_the_readme_works(checkout, arguments):
    prepare(checkout, arguments)
    out = call("-m", "specloom", *arguments, cwd=checkout)
    if arguments[0] == "run":
        assert re.search(r"metrics/roc_auc +\d\.\d{4}", out)
        assert out.rstrip().endswith("results: runs/scene")
        files = {file.name for file in (checkout / "runs/scene").iterdir()}
        written = {"metrics.json", "run.json", "pipeline.yaml", "pipeline.safetensors"}
        assert written | {"report.html"} <= files
    elif arguments[0] == "check":
        assert "good, 4 nodes" in out
    elif arguments[0] == "nodes":
        assert "rx.RXGlobal" in out
    elif arguments[0] == "detect":
        printed = out.splitlines()
        shown = blocks("text")[0].splitlines()
        same = re.sub(r"[\d.,]+", "0", shown[1]).split(";")[1]
        assert re.sub(r"[\d.,]+", "0", printed[1]).endswith(same)
        assert printed[-1] == shown[-1] == "look at: found/report.html"
        assert "decided, about" in printed[2]
    elif arguments[:2] == ["predict", "found"]:
        assert (checkout / "decided/other/decisions.npy").is_file()
    elif arguments[0] == "predict":
        made = {file.name for file in (checkout / "predicted/scene").iterdir()}
        assert {"scores.png", "decisions.png", "decisions_objects.csv"} <= made
    elif arguments[0] == "doctor":
        assert "nothing is broken" in out


def test_the_readme_is_short():
    assert len(README.splitlines()) < 230


def test_the_run_file_of_the_readme_runs(tmp_path):
    (tmp_path / "run.yaml").write_text(blocks("yaml")[0])
    out = call("-m", "specloom", "run", "run.yaml", "--out", "out", cwd=tmp_path)
    assert re.search(r"metrics/roc_auc +(0\.9\d+|1\.0000)", out)


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make (\w+)`", README))
    assert {"demo", "dist", "docs", "bench"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_python_of_the_readme_runs(checkout):
    text = blocks("python")[0]
    (checkout / "first.py").write_text(text)
    out = call("first.py", cwd=checkout)
    assert re.match(r"Detection\(\d+ objects?, .* strongest at row \d+, column \d+\)", out)


def test_the_picture_of_the_readme_is_there_and_small():
    (name,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    data = (ROOT / name).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 120_000
    assert (
        f"tools/readme_picture.py`` writes {name}" in (ROOT / "tools/readme_picture.py").read_text()
    )


def test_the_plugin_of_the_readme_is_small():
    module = blocks("python")[1]
    assert len([line for line in module.splitlines() if line.strip()]) <= 25


def test_a_third_party_installs_checks_and_uses_the_plugin_of_the_readme(tmp_path):
    _, module, kit = blocks("python")
    package, site = tmp_path / "package", tmp_path / "site"
    package.mkdir()
    (package / "specloom_ratio.py").write_text(module)
    (package / "pyproject.toml").write_text(blocks("toml")[0])
    (package / "test_ratio.py").write_text(kit)
    call(
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
        "--target",
        str(site),
        ".",
        cwd=package,
    )
    out = call(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_ratio.py", cwd=package, path=site
    )
    assert int(re.search(r"(\d+) passed", out).group(1)) >= 10

    text = blocks("yaml")[0].replace("rx.RXGlobal", "ratio.BandRatio, config: {band: 40, over: 10}")
    text = "\n".join(line for line in text.splitlines() if "[data.valid, rx.valid]" not in line)
    (tmp_path / "run.yaml").write_text(text)
    out = call("-m", "specloom", "run", "run.yaml", "--out", "out", cwd=tmp_path, path=site)
    assert "metrics/roc_auc" in out
    assert "ratio.BandRatio" in (tmp_path / "out/pipeline.yaml").read_text()
