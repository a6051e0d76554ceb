"""Hostile files of every format: an error says what is wrong, soon, and with little memory."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
hostile = import_module("hostile_cubes")

FEW = 500
MANY = 100_000


def check(found, count):
    """Every file was read or refused, some were read, and little memory was used."""
    outcomes = dict(found["outcomes"])
    read = outcomes.pop("read", 0)
    refused = outcomes.pop("refused", 0)
    assert outcomes == {}, found["examples"]
    assert read + refused == count
    assert read > 0
    assert refused > 0
    assert found["megabytes"] < hostile.MOST_BYTES >> 20


def share(kind, count):
    """How many of a number of files are of a kind."""
    return count * hostile.KINDS[kind][1] // 100


def test_the_shares_are_those_of_a_whole():
    assert sum(part for _, part in hostile.KINDS.values()) == 100


def test_a_file_is_made_by_its_number_alone():
    for kind, (make, _) in hostile.KINDS.items():
        once = make(hostile.chance_of(kind, 0, 7))
        assert once == make(hostile.chance_of(kind, 0, 7)), kind
        assert once != make(hostile.chance_of(kind, 0, 8)), kind


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_hostile_files(kind):
    count = share(kind, FEW)
    check(hostile.run(kind, count, seed=0), count)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", hostile.KINDS)
def test_very_many_hostile_files(kind):
    """In a process of its own, which a library may end."""
    count = share(kind, MANY)
    program = HERE / "hostile_cubes.py"
    command = [sys.executable, "-X", "faulthandler", program, kind, str(count), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout), count)
