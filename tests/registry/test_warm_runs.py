"""A run that has everything: nothing is started, no network is used, and it is quick."""

import subprocess
import sys

import pytest
from registry_world import plugin_files

WARM = """
import sys
STARTED = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.")
def watch(event, args):
    if event.startswith(STARTED):
        raise RuntimeError(f"a warm run did {event} {args}")
sys.addaudithook(watch)
from pathlib import Path
from specloom.plugins import Plugins
found = Plugins.for_file(Path("run.yaml").resolve())
print(found.find("rx.Twice", ("nodes",), "")[1].__module__)
print(*sorted({"git", "pip", "yaml", "filelock", "packaging"} & sys.modules.keys()))
"""
TWELVE = [f"p{i}" for i in range(12)]


@pytest.fixture
def warm(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    return world


def test_a_warm_run_starts_nothing_and_uses_no_network(warm):
    first, second = (
        subprocess.run(
            [sys.executable, "-c", WARM],
            cwd=warm.project,
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    )
    assert first.stdout.splitlines()[0] == "acme_rx.nodes", first.stderr
    assert second.stdout == "acme_rx.nodes\n\n", second.stderr


def test_the_watch_sees_what_it_should(warm):
    for harm in ("import subprocess; subprocess.run(['true'])", "import socket; socket.socket()"):
        done = subprocess.run(
            [sys.executable, "-c", WARM.replace("from pathlib", f"{harm}\nfrom pathlib", 1)],
            cwd=warm.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "a warm run did" in done.stderr


def test_each_of_twelve_plugins_is_verified_again_when_it_is_imported(world):
    from specloom_registry.importing import activate
    from specloom_registry.importing.import_hook import PluginFinder

    for name in TWELVE:
        files = plugin_files(name)
        more = {f"acme_{name}/part{i}.py": "x = 1\n" * 200 for i in range(34)}
        world.repo(name).commit({**files, **more}, tag="v2.0.0")
    world.wants(*(f"{name}@v1.0.0" for name in TWELVE))
    text = world.manifest.read_text().replace("v1.0.0", "v2.0.0")
    for name in TWELVE:  # the version that the tag says
        repo = world.repo_of(name)
        repo.commit(plugin_files(name, "2.0.0"))
        repo.tag("v2.0.0", force=True)
    world.manifest.write_text(text)
    world.run("lock")
    activate.activate(world.manifest)
    finder = next(one for one in sys.meta_path if isinstance(one, PluginFinder))
    assert finder.checks.keys() >= {f"acme_{name}" for name in TWELVE}
    for guard in finder.checks.values():
        guard()  # how long it takes is measured by benchmarks/registry_sync.py
