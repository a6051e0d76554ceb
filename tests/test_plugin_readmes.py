"""Every plugin's README is run, and its port tables and nodes.json are what its classes are."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from specloom_registry.commands.plugins import plugins as command

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_python_of_the_readme_runs(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (folder / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = "\n".join(blocks)  # a later block may use what an earlier one made
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    exec(compile(code, str(folder / "README.md"), "exec"), vars(module))


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


def test_the_descriptor_of_the_registry_is_up_to_date():
    result = CliRunner().invoke(command, ["describe", "registry", "--check"])
    assert result.exit_code == 0, result.output
