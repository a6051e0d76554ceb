"""``specloom new run``: the run files that come with specloom, listed and copied."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from specloom import SpecloomError
from specloom_registry.catalogue import run_files
from specloom_registry.commands.new import new

CONFIGS = Path(__file__).parents[2] / "configs"


def invoke(*arguments):
    return CliRunner().invoke(new, ["run", *map(str, arguments)])


def test_run_files_are_named_by_their_paths():
    paths = CONFIGS.rglob("*.yaml")
    names = {path.relative_to(CONFIGS).with_suffix("").as_posix() for path in paths}
    assert run_files.find_all().keys() == names - {"plugins"}
    assert set(run_files.SHORT_NAMES.values()) <= names


def test_the_list_has_every_name_and_description():
    done = invoke("--list")
    assert done.exit_code == 0
    header, _, *rows = done.stdout.splitlines()
    assert header.split() == ["name", "what", "it", "shows"]
    assert [row.split()[0] for row in rows] == sorted(run_files.find_all())
    assert "RX on SYNTHETIC scenes of lentils with stones and foreign bodies." in done.stdout


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("rx", "rx_statistical.yaml"),
        ("rx_statistical", "rx_statistical.yaml"),
        ("bands/cir", "bands/cir.yaml"),
    ],
)
def test_a_run_file_is_copied(name, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(name, "--out", "sub/my.yaml")
    assert done.stdout == "created: sub/my.yaml\n"
    assert Path("sub/my.yaml").read_bytes() == (CONFIGS / source).read_bytes()
    own_name = Path(source).name
    assert invoke(name).stdout == f"created: {own_name}\n"
    assert Path(own_name).read_bytes() == (CONFIGS / source).read_bytes()


def test_what_cannot_be_copied_is_reported(tmp_path):
    target = tmp_path / "my.yaml"
    done = invoke("bands/cri", "--out", target)
    assert isinstance(done.exception, SpecloomError)
    assert str(done.exception) == (
        "E-NAME no run file 'bands/cri' comes with specloom\n  fix: did you mean 'bands/cir'?"
    )
    target.write_text("mine")
    done = invoke("rx", "--out", target)
    assert str(done.exception) == f"E-NAME {target} exists\n  fix: choose another file with --out"
    assert target.read_text() == "mine"


def test_without_a_name_the_list_is_named():
    done = invoke()
    assert done.exit_code == click.UsageError.exit_code
    assert "name a run file, or list them: specloom new run --list" in done.stderr
