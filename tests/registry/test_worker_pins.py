"""Pinned plugins in other processes: sent by the hash of their tree, and imported from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from specloom import (
    IntegrityError,
    Job,
    PluginError,
    SpecloomError,
    UnavailableError,
    install_pins,
    pack_tree,
    store_tree,
)
from specloom.plugins import Plugins
from specloom_dask import Dask
from specloom_jobs import begin, make_shares

sys.path.append(str(Path(__file__).parents[2] / "plugins/dask/tests"))
from fleet_toys import scheduler  # its folder is on the path only now

TASKS = """
import json

@impl
def register_tasks():
    return {"Count": "acme_rx:Count"}

class Count:
    def begin(self, job):
        self.says = [SAYS, __file__]

    def do(self, tickets):
        return json.dumps([self.says for _ in tickets]).encode()

    def merge(self, parts):
        return json.dumps([one for part in parts for one in json.loads(part)]).encode()
"""
PROCESS = """
import json, sys
from specloom import Plugins, install_pins
pins = json.loads(sys.stdin.read())
assert install_pins(pins) == []
from importlib.metadata import version
import acme_rx
print(acme_rx.__file__, version("specloom-rx"), acme_rx.SAYS)
"""


@pytest.fixture
def pinned(world):
    """The plugins of a manifest that pins one by its tag."""
    world.repo("rx", init=TASKS)
    world.wants("rx@v1.0.0")
    world.run("lock")
    return Plugins.for_file(world.project / "run.yaml")


def test_another_process_gets_the_pinned_copy(world, pinned):
    (pin,) = pinned.pins()
    assert pin["tree"] == world.tree().name
    job = Job("rx.Count", pins=pinned.pins())
    assert json.loads(json.dumps(job.pins)) == job.pins
    assert job.key != Job("rx.Count").key
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        input=json.dumps(job.pins),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(world.tree() / "acme_rx/__init__.py"), "1.0.0", "one"]


def test_a_machine_without_the_tree_takes_it_by_its_hash(world, pinned, tmp_path, monkeypatch):
    (pin,) = pinned.pins()
    files = pack_tree(pin["tree"])
    assert "acme_rx/nodes.py" in files
    monkeypatch.setenv("SPECLOOM_STORE", str(tmp_path / "other"))
    assert install_pins([pin]) == [pin["tree"]]
    with pytest.raises(UnavailableError) as caught:
        begin(Job("rx.Count", pins=[pin]))
    assert caught.value.what == "pinned plugins are not on this machine: rx"
    assert caught.value.fix == "run: specloom plugins sync"
    changed = {**files, "acme_rx/nodes.py": b"import os"}
    with pytest.raises(PluginError, match="have the hash h1-") as wrong:
        store_tree(pin["tree"], changed)
    assert wrong.value.exit_code == IntegrityError.exit_code
    with pytest.raises(SpecloomError, match=r"E-PATH .* leads out of its folder"):
        store_tree(pin["tree"], {**files, "../out.py": b"import os"})
    assert not (tmp_path / "other/trees").exists() or not list((tmp_path / "other/trees").iterdir())
    store_tree(pin["tree"], files)
    begin(Job("rx.Count", pins=[pin]))
    import acme_rx  # found only now

    assert acme_rx.__file__.startswith(str(tmp_path / "other"))


def test_another_copy_that_was_imported_is_refused(world, pinned, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere/acme_rx"
    elsewhere.mkdir(parents=True)
    (elsewhere / "__init__.py").write_text("SAYS = 'another'")
    program = PROCESS.replace(
        "import json, sys",
        f"import json, sys; sys.path[:0] = ['{elsewhere.parent}']; import acme_rx",
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(pinned.pins()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "E-LOADED plugin 'rx'" in done.stderr


def test_a_local_plugin_is_used_where_its_folder_is(world):
    local = world.project / "mine"
    world.repo("rx", init="")
    (world.origins / "rx.git").rename(local)
    world.write("rx: {path: mine}", mirrored=False)
    (pin,) = Plugins.for_file(world.project / "run.yaml").pins()
    assert pin["tree"] == ""
    assert install_pins([pin]) == []
    local.rename(world.project / "moved")
    with pytest.raises(PluginError, match=r"is not in .* on this machine"):
        install_pins([pin])


@pytest.mark.soak
def test_workers_without_the_tree_get_it_and_run_it(world, pinned, tmp_path):
    other = tmp_path / "other"
    environment = {**os.environ, "SPECLOOM_STORE": str(other)}
    job = Job("rx.Count", pins=pinned.pins(), plugins={"rx": "1.0.0"})
    tickets = [{"number": number} for number in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", environment)
        with scheduler(tmp_path / "dask", 1) as (address, _):
            patch.undo()
            executor = Dask(address, plugins=pinned)
            found = json.loads(executor.total(job, make_shares(tickets)))
            executor.close()
    assert {says for says, _ in found} == {"one"}
    assert all(file.startswith(str(other / "trees")) for _, file in found)


def test_a_worker_that_imported_another_copy_is_started_again(world, pinned, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "acme_rx").mkdir(parents=True)
    copy = f"from specloom import impl\nSAYS = 'another'\n{TASKS}"
    (elsewhere / "acme_rx/__init__.py").write_text(copy)
    monkeypatch.syspath_prepend(str(elsewhere))  # which workers started here get
    shares = list(make_shares([{"number": number} for number in range(2)]))
    executor = Dask(workers=1, plugins=Plugins({"rx": "acme_rx"}))
    try:
        installed = json.loads(executor.total(Job("rx.Count"), shares))
        assert {says for says, _ in installed} == {"another"}
        executor.plugins = pinned
        job = Job("rx.Count", pins=pinned.pins(), plugins={"rx": "1.0.0"})
        found = json.loads(executor.total(job, shares))
        assert {says for says, _ in found} == {"one"}
        assert executor._watch.lost == 1
    finally:
        executor.close()
