"""Saving in one step: a kill at any moment leaves the old pipeline or the new one."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest
import torch

from specloom import Graph, Plugins, Port, UnavailableError, impl
from specloom.contract.ports import Connection
from specloom.execution import saved_pipeline
from specloom.execution.files import write_file, write_json
from specloom.torch import TorchNode

CUBE = Port("B H W C")


class Gain(TorchNode):
    inputs = {"data": CUBE}
    outputs = {"gained": CUBE}

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.start = start

    def build(self, sizes):
        self.register_buffer("gain", torch.full((sizes["C"],), self.start))

    def forward(self, data):
        return {"gained": data * self.gain}


def plugins():
    toy = ModuleType("toy")

    def register_nodes():
        return {"Gain": f"{__name__}:Gain"}

    toy.register_nodes = impl(register_nodes)
    return Plugins({"toy": toy})


def graph(start):
    links = [Connection("batch.cube", "gain.data")]
    return Graph({"gain": Gain(start)}, links, batch={"cube": CUBE}, batch_sizes={"C": 4})


def save(path, start):
    saved_pipeline.save(path, graph(start), {"name": "p"}, plugins())


def start_of(path):
    made = saved_pipeline.load(path, plugins())[0].nodes["gain"]
    assert made.gain.tolist() == [made.start] * 4
    return made.start


class Killed(BaseException):
    pass


def dying(monkeypatch, step):
    """Let a save be killed before its ``step``-th file gets its final name."""
    steps, replace = [], Path.replace

    def counted(self, target):
        steps.append(target)
        if len(steps) == step:
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", counted)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_leaves_the_old_pipeline_or_the_new_one(tmp_path, monkeypatch, step):
    path = tmp_path / "p.yaml"
    save(path, 1.0)
    with monkeypatch.context() as m:
        dying(m, step)
        with pytest.raises(Killed):
            save(path, 2.0)
    expected = 2.0 if step == 3 else 1.0
    assert start_of(path) == expected
    for again in (1, 2):  # and a second kill, during the next save, does no harm either
        with monkeypatch.context() as m:
            dying(m, again)
            with pytest.raises(Killed):
                save(path, 3.0)
        assert start_of(path) == expected
    save(path, 4.0)
    assert start_of(path) == 4.0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p.safetensors", "p.yaml"]


def test_a_first_save_that_was_killed_before_the_last_step(tmp_path, monkeypatch):
    with monkeypatch.context() as m:
        dying(m, 3)
        with pytest.raises(Killed):
            save(tmp_path / "p.yaml", 1.0)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["p.safetensors.new", "p.yaml"]
    assert start_of(tmp_path / "p.yaml") == 1.0


def test_writing_leaves_no_temporary_files(tmp_path, monkeypatch):
    write_file(tmp_path / "new" / "a.json", b"1")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.json"]
    (tmp_path / "plain").touch()
    modes = [(tmp_path / name).stat().st_mode for name in ("new/a.json", "plain")]
    assert modes[0] == modes[1]

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError) as caught:
        write_file(tmp_path / "new" / "a.json", b"2")
    assert str(caught.value) == (
        f"{tmp_path}/new/a.json cannot be written: No space left on device\n"
        "  fix: choose another folder with --out, or make room on the disk"
    )
    assert [file.read_bytes() for file in (tmp_path / "new").iterdir()] == [b"1"]


def test_json_is_readable(tmp_path):
    write_json(tmp_path / "a.json", {"ü": [1]})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "ü": [\n    1\n  ]\n}\n'


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
def test_folders_and_files_that_an_ordinary_user_may_not_use(tmp_path):
    """The child works in the folder, whose parents the other user may not be able to enter.

    A session of pytest that starts later shuts the folder of all temporary folders again.
    """
    folder = tmp_path / "shut"
    folder.mkdir(mode=0o555)
    is_root = os.getuid() == 0
    if is_root:
        (folder / "p.safetensors").write_bytes(b"1")
        (folder / "p.safetensors").chmod(0o600)
    code = f"""
        import os
        from pathlib import Path
        from specloom import UnavailableError
        from specloom.execution import saved_pipeline
        from specloom.execution.files import write_file
        if {is_root}:
            os.setuid(65534)
        calls = [lambda: write_file(Path("a.json"), b"1")]
        if {is_root}:
            calls.append(lambda: saved_pipeline._read_weights(Path("p.safetensors"), "0"))
        for call in calls:
            try:
                call()
            except UnavailableError as e:
                print(e)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.stderr == ""
    written = "a.json cannot be written: Permission denied"
    assert done.stdout.startswith(f"{written}\n  fix: choose another folder with --out")
    if is_root:
        read = "p.safetensors cannot be read: Permission denied"
        assert f"{read}\n  fix: check its" in done.stdout
    assert not (folder / "a.json").exists()


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(pipe, b"one")
        assert os.read(reader, 9) == b"one"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]
