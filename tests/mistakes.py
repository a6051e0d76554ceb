"""What the tests of beginners' mistakes share: a folder with files, and the command line in it."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import broken_cubes
from walk import Forking, Shell

ROOT = Path(__file__).parents[1]
SCENE = "configs/rx_scene.yaml"
LENTILS = "configs/rx_statistical.yaml"
SMALL = "--set data.config.scenes=12 --set data.config.height=32 --set data.config.width=32"
OVERRIDES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with them, root may write and read anything."""


@pytest.fixture(scope="session")
def forking():
    made = Forking()
    yield made
    made.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory, forking):
    """Cubes of which most are wrong in one way."""
    folder = tmp_path_factory.mktemp("files")
    made = Shell(folder, ROOT, forking)
    made(f"python {ROOT}/examples/own_cubes/make_cubes.py cubes 4")
    assert made.code == 0
    broken_cubes.make(folder)
    return folder


@pytest.fixture
def shell(tmp_path, forking, files):
    """A beginner's clone, with those files in it."""
    for one in (*(ROOT / name for name in ("configs", "plugins", "examples")), *files.iterdir()):
        if one.name[0] != "." and one.name != "um.hdr":
            (tmp_path / one.name).symlink_to(one)
    shutil.copy(files / "um.hdr", tmp_path)
    (tmp_path / ".git").mkdir()
    return Shell(tmp_path, ROOT, forking)


SAME_PIXELS = re.compile(r"warning: \S+ train, val and test are the same pixels: .*\n  fix: .*\n?")
"""What every run of one scene reports, beside the mistake of a test."""


def errors(reported):
    """What was reported from the first error or warning on, without progress and results."""
    lines = SAME_PIXELS.sub("", reported).splitlines()
    remaining = []
    for line in lines:
        begins = line.startswith(("error: ", "warning: ", "interrupted", "to resume: "))
        if begins or (remaining and line.startswith("  ") and remaining[-1] is not None):
            remaining.append(line)
        else:
            remaining.append(None)
    assert "Traceback" not in reported, reported
    return "\n".join(line for line in remaining if line is not None)


def mistake(shell, command, message, code=2):
    """Give a command, and compare the whole message and the exit code."""
    reported = shell(command)
    assert errors(reported) == message, reported
    assert shell.code == code


def alone(command, folder, *, before=None, **environment):
    """Give a command in a process of its own, which calls ``before`` first."""
    words = [sys.executable, "-m", *command.split()]
    made = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **environment}
    return subprocess.Popen(
        words,
        cwd=folder,
        env=made,
        preexec_fn=before,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def as_anybody():
    """Give up root's rights to write and read anything; for others there is nothing to give up."""
    for right in OVERRIDES:
        ctypes.CDLL(None).prctl(24, right, 0, 0, 0)  # PR_CAPBSET_DROP


def interruptible():
    """In the background a shell lets its children ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
