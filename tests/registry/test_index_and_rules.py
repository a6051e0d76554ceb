"""The index names this repository's plugins; only one file imports git; the commands are light."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import specloom_registry
from specloom_registry.model import index
from specloom_registry.model.metadata import version_from_tag

ROOT = Path(__file__).parents[2]
PACKAGE = Path(specloom_registry.__file__).parent


def test_the_index_and_the_plugins_of_the_repository_agree():
    known = index.read()
    for project in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        name = project.parent.name
        version = tomllib.loads(project.read_text("utf-8"))["project"]["version"]
        assert name in known, f"add {name} to registry/index.yaml"
        assert version in known[name]["versions"], f"add {version} of {name} to registry/index.yaml"
    for name, one in known.items():
        assert (ROOT / one["folder"] / "pyproject.toml").is_file(), name
        tag = one["tag-pattern"].replace("{version}", one["versions"][-1])
        assert version_from_tag(tag, name, one["tag-pattern"]) == one["versions"][-1]
        assert index.find_source(name, "https://localhost/x.git")["subdir"] == f"plugins/{name}"


def test_no_plugin_of_the_index_comes_from_a_place_that_does_not_exist():
    assert "example." not in (ROOT / "registry/index.yaml").read_text("utf-8")
    assert all("git" not in plugin for plugin in index.read().values())


def test_only_the_git_room_imports_git_and_starts_it():
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        names = {
            alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        names |= {
            str(node.module).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert ("git" in names) == (file == PACKAGE / "fetch/git.py"), file
        lists = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.List)]
        started = any(one.startswith("['git'") for one in lists)
        assert not started or file == PACKAGE / "fetch/git.py", file


def test_nothing_of_the_registry_brings_torch_or_numpy():
    program = (
        "import importlib, pkgutil, sys, specloom_registry as r\n"
        "for one in pkgutil.walk_packages(r.__path__, 'specloom_registry.'):\n"
        "    importlib.import_module(one.name)\n"
        "print(sorted({'torch', 'numpy', 'git'} & sys.modules.keys()), len(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("[] ")
    for file in PACKAGE.rglob("*.py"):
        names = {
            (getattr(node, "module", None) or alias.name).partition(".")[0]
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not names & {"torch", "numpy"}, file


def test_the_help_of_every_command_loads_nothing_heavy():
    program = (
        "import sys; sys.argv[1:] = ['plugins', '--help']\n"
        "from specloom_registry.commands.plugins import plugins\n"
        "try: plugins(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'git', 'yaml', 'pydantic', 'torch', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    names = "add describe gc info list lock outdated remove sync test update vendor verify why"
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert sorted(set(shown) & set(names.split())) == names.split()


def test_a_plugin_is_held_to_the_kit_and_its_own_tests(world):
    from registry_world import plugin_files

    repo = world.repo("rx")
    own = "def test_own():\n    import acme_rx\n    assert acme_rx.SAYS == 'one'\n"
    repo.commit({**plugin_files("rx", "1.2.0", says="two"), "tests/test_own.py": own}, tag="v1.2.0")
    world.wants("rx@v1.2.0")
    world.run("lock")
    command = [sys.executable, "-m", "specloom", "plugins", "test", "rx", "-q", "-k", "own"]
    ran = subprocess.run(command, cwd=world.project, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "test_own.py::test_own" in ran.stdout
    assert re.search("1 failed, .* deselected", ran.stdout)  # those of the kit
    assert not list(world.tree().rglob("__pycache__"))
