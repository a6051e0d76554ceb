"""T30 to T34, T47: plugins that cannot be imported, or not together, reported before a run."""

from importlib import metadata

import pytest
from registry_world import KERNEL, NEXT, Repo, plugin_files

import specloom
from specloom import PluginError, SpecloomWarning
from specloom.plugins import Plugins
from specloom_registry import resolve_plugins
from specloom_registry.importing import probe
from specloom_registry.model import lockfile, manifest
from specloom_registry.project.project import Project

OTHER = "use another version of 'rx', or report it to its author"
HARM = [
    (
        "raise ValueError('no')",
        "E-IMPORT plugin 'rx' raises ValueError: no (from acme_rx/__init__.py:6)",
        OTHER,
    ),
    (
        "raise SystemExit(0)",
        "E-IMPORT plugin 'rx' raises SystemExit: 0 (from acme_rx/__init__.py:6)",
        OTHER,
    ),
    (
        "import os; os._exit(0)",
        "E-IMPORT plugin 'rx' ends the process with 0 when it is imported",
        OTHER,
    ),
    (
        "import os; os._exit(7)",
        "E-IMPORT plugin 'rx' ends the process with 7 when it is imported",
        OTHER,
    ),
    (
        "import ctypes; ctypes.string_at(0)",
        "E-IMPORT plugin 'rx' is killed by SIGSEGV when it is imported",
        OTHER,
    ),
    (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "E-IMPORT plugin 'rx' is killed by SIGKILL when it is imported",
        OTHER,
    ),
    (
        "import acme_missing.part",
        "E-DEP plugin 'rx' imports 'acme_missing' (from acme_rx/__init__.py:6), which is not "
        "installed or among what it needs",
        "pip install what brings 'acme_missing', and report it to the plugin's author",
    ),
    ("def broken(:", "E-IMPORT plugin 'rx' raises SyntaxError: invalid syntax", OTHER),
]


def wants(world, init):
    world.repo("lab")
    repo = Repo(world.origins / "rx.git")
    repo.commit(plugin_files("rx", init=init), tag="v1.0.0")
    world.wants("lab@v1.0.0", "rx@v1.0.0")


@pytest.mark.parametrize(("init", "what", "fix"), HARM)
def test_a_harmful_import_is_reported_before_anything_is_locked(world, init, what, fix):
    wants(world, init)
    done = world.run("lock", code=2, probe=True)
    reported = done.error.what
    assert reported == what or (reported.startswith(what) and "SyntaxError" in what)
    assert (done.error.fix, done.error.where) == (fix, f"{world.manifest}:4")
    assert not world.lock.exists()


def test_a_dry_run_imports_nothing(world):
    wants(world, "raise SystemExit('imported')")
    done = world.run("lock", "--dry-run", probe=True)
    assert done.stdout.endswith("nothing was written\n")
    assert not world.lock.exists()


def test_a_hanging_import_is_killed_with_all_it_started(world):
    wants(world, "import subprocess, time; subprocess.Popen(['sleep', '300']); time.sleep(300)")
    world.run("lock")
    found, lock = manifest.read(world.manifest), lockfile.read(world.lock)
    project = Project(world.manifest)
    with pytest.raises(PluginError) as caught:
        probe.probe(project.packages(found, lock), lock, project.store, timeout=1.5)
    assert caught.value.what == "E-IMPORT plugin 'rx' hangs: it is not imported within 1.5 s"


def test_a_flood_of_output_does_no_harm(world):
    wants(world, "import os; os.write(1, b'x' * 5_000_000); os.write(2, b'y' * 5_000_000)")
    done = world.run("lock", probe=True)
    assert len(done.output) < 500


def test_what_a_plugin_writes_is_no_answer(world):
    wants(
        world,
        "import os\nfor i in range(1, 30):\n    try: os.write(i, b'{}')\n    "
        "except OSError: pass\nraise ValueError('no')",
    )
    done = world.run("lock", code=2, probe=True)
    assert done.error.what.startswith("E-IMPORT plugin 'rx' ")


def test_a_good_answer_is_remembered(world, monkeypatch):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock", probe=True)
    monkeypatch.setattr(probe, "_probe", None)
    world.run("sync", probe=True)


def test_in_a_run_a_broken_plugin_harms_only_those_who_use_it(world):
    wants(world, "raise ValueError('no')")
    world.run("lock")
    found = Plugins(resolve_plugins(world.manifest), world.manifest)
    assert found.find("lab.Twice", ("nodes",), "")[0] == "lab.Twice"
    with pytest.raises(PluginError, match="plugin 'rx' fails to import: ValueError: no"):
        found.find("rx.Twice", ("nodes",), "")
    assert "rx is broken: plugin 'rx' fails to import" in world.run("list").stderr


def test_another_kernel_is_refused_with_the_newest_tag_that_fits(world):
    repo = world.repo("rx", version="1.9.1")
    for version, kernel in [("1.9.2", f"<{NEXT}"), ("2.0.0", ">=2,<3"), ("2.1.0", ">=2,<3")]:
        repo.commit(plugin_files("rx", version, kernel=kernel), tag=f"v{version}")
    repo.commit(plugin_files("rx", "3.0.0a1"), tag="v3.0.0a1")
    world.wants("rx@v2.0.0")
    done = world.run("lock", code=2, probe=True)
    here = specloom.__version__
    assert done.error.what == f"E-API plugin 'rx' 2.0.0 needs specloom >=2,<3; this is {here}"
    assert done.error.fix == "name the newest compatible tag: v1.9.2"
    assert done.error.where == f"{world.manifest}:3"
    world.wants("rx@v1.9.1")
    world.run("lock")
    done = world.run("outdated")
    assert done.stdout.splitlines()[2].split() == ["rx", "v1.9.1", "v2.1.0", "v1.9.2"]
    world.run("update")
    assert "tag: v1.9.2" in world.manifest.read_text()


def test_another_python_is_refused(world):
    world.repo("rx", python=">=4")
    world.wants("rx@v1.0.0")
    import platform

    done = world.run("lock", code=2)
    assert done.error.what == (
        f"E-PYTHON plugin 'rx' 1.0.0 needs Python >=4; this is {platform.python_version()}"
    )
    assert done.error.fix == "use another Python, or another version of the plugin"


def test_a_locked_plugin_for_another_kernel_is_refused_before_import(world, monkeypatch):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    monkeypatch.setattr("specloom.__version__", NEXT)
    with pytest.raises(Exception) as caught:  # noqa: PT011  # its fields are looked at
        resolve_plugins(world.manifest)
    what = f"E-API plugin 'rx' 1.0.0 needs specloom {KERNEL}; this is {NEXT}"
    assert caught.value.what == what
    assert caught.value.fix == f"request a version for specloom {NEXT} from its author"


def test_two_plugins_with_one_node_name_are_distinguished_by_their_prefix(world):
    world.repo("rx")
    world.repo("lab")
    world.wants("rx@v1.0.0", "lab@v1.0.0")
    done = world.run("lock")
    assert done.stderr == (
        "warning: W-NODE-CLASH 'Twice' is offered by several plugins: write lab.Twice or rx.Twice\n"
    )
    found = Plugins(resolve_plugins(world.manifest), world.manifest)
    assert found.find("lab.Twice", ("nodes",), "")[1].__module__ == "acme_lab.nodes"
    with pytest.raises(PluginError) as caught:
        found.find("Twice", ("nodes",), "run.yaml:4")
    assert caught.value.what == "'Twice' is offered by several plugins"
    assert caught.value.fix == "write one of: lab.Twice, rx.Twice"


def test_two_plugins_with_one_module_are_refused(world):
    world.repo("rx", top="acme_same")
    world.repo("lab", top="acme_same")
    world.wants("rx@v1.0.0", "lab@v1.0.0")
    done = world.run("lock", code=2)
    assert done.error.what == "E-CLASH plugins 'rx' and 'lab' both bring the module 'acme_same'"
    assert done.error.where == f"{world.manifest}:4"


def test_an_installed_package_of_the_same_name_cannot_stand_in(world, monkeypatch):
    for name, text in plugin_files("rx", says="installed").items():
        file = world.root / "site" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(world.root / "site")
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    resolve_plugins(world.manifest)
    with pytest.warns(SpecloomWarning, match="W-INSTALLED rx: the environment has another copy"):
        assert __import__("acme_rx").SAYS == "one"
    found = Plugins(resolve_plugins(world.manifest), world.manifest)
    assert found.version("rx") == metadata.version("acme-rx") == "1.0.0"
    assert "acme-rx" not in {one.name for one in metadata.distributions()}
    assert __import__("acme_rx.nodes").nodes.__file__ == str(world.tree() / "acme_rx/nodes.py")


@pytest.mark.parametrize(
    ("needs", "what", "fix"),
    [
        (
            {"rx": ["specloom-base>=1"]},
            "E-REQUIRES plugin 'rx' needs plugin 'base' >=1",
            "add it: specloom plugins add base",
        ),
        (
            {"rx": ["specloom-lab>=2"], "lab": []},
            "E-REQUIRES plugin 'rx' needs plugin 'lab' >=2, but 1.0.0 is named",
            "name another version of 'lab' or of 'rx'",
        ),
        (
            {"rx": ["specloom-lab"], "lab": ["specloom-rx"]},
            "E-REQUIRES plugins need each other: {cycle}",
            "report the circle to their authors",
        ),
    ],
)
def test_what_plugins_need_of_one_another(world, needs, what, fix):
    for name, one in needs.items():
        world.repo(name, needs=one)
    world.wants(*(f"{name}@v1.0.0" for name in needs))
    done = world.run("lock", code=2)
    assert done.error.what in {
        what.replace("{cycle}", c) for c in ("rx <- lab <- rx", "lab <- rx <- lab")
    }
    assert done.error.fix == fix
    assert not world.lock.exists()


def test_a_plugin_that_another_needs_is_found(world):
    world.repo("rx", needs=["specloom-lab>=1,<2"])
    world.repo("lab")
    world.wants("rx@v1.0.0", "lab@v1.0.0")
    world.run("lock", probe=True)
    assert world.locked()["plugins"]["rx"]["requires_plugins"] == {"specloom-lab": ">=1,<2"}
