"""Every plugin's README is run, and its port tables and nodes.json are what its classes are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from specloom_registry.commands.plugins import plugins as command

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
BLOCKS = [
    pytest.param(folder, code, id=f"{folder.name}-{i}")
    for folder in FOLDERS
    for i, code in enumerate(
        re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    )
]


@pytest.mark.parametrize(("folder", "code"), BLOCKS)
def test_python_of_the_readme_runs(folder, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(folder / "README.md"), "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_descriptor_and_the_port_tables_are_up_to_date(folder):
    if not list(folder.glob("specloom_*/nodes.json")):
        registers = (next(folder.glob("specloom_*")) / "__init__.py").read_text("utf-8")
        assert not re.search("register_(nodes|losses|trainers|sources)", registers)
        return
    manifest = str(ROOT / "configs/plugins.yaml")
    result = CliRunner().invoke(
        command, ["describe", folder.name, "--check", "--manifest", manifest]
    )
    assert result.exit_code == 0, result.output
