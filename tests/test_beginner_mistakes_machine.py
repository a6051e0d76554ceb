"""Twenty things that a beginner does wrong: those of the machine, and of where results go."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from mistakes import (
    LENTILS,
    ROOT,
    SCENE,
    SMALL,
    alone,
    as_anybody,
    errors,
    files,
    forking,
    interruptible,
    mistake,
    shell,
)

__all__ = ["files", "forking", "shell"]  # fixtures

ROOM = "  fix: choose another folder with --out, or make room on the disk"
TRIAL = f"specloom run {LENTILS} {SMALL}"
FULL = """\
import errno, os
def fsync(file): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
os.fsync = fsync
"""


def ended(process):
    """What a process printed, and its exit code."""
    reported = process.communicate(timeout=120)[0]
    return errors(reported), process.returncode


@pytest.mark.parametrize("command", [f"run {LENTILS}", f"profile {LENTILS}"])
def test_a_device_of_no_kind(shell, command):
    for device in ("gpu", "cuda:first"):
        mistake(
            shell,
            f"specloom {command} --device {device}",
            f"error: there is no device {device!r}\n  fix: use auto, cpu, cuda or cuda:0",
        )


def test_a_gpu_where_there_is_none(shell):
    # The shell's processes see no GPU, whatever the machine has.
    for device in ("cuda", "cuda:1"):
        mistake(
            shell,
            f"specloom run {LENTILS} --device {device}",
            f"error: device {device!r} is not available: torch {torch.__version__} finds no "
            "GPU\n  fix: use --device cpu, or install a CUDA build of torch and its driver",
            4,
        )


def test_no_permission_to_write(shell):
    closed = shell.folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    reported = ended(alone(f"{TRIAL} --out closed/run", shell.folder, before=as_anybody))
    assert reported == (
        f"error: closed/run/run.json cannot be written: Permission denied\n{ROOM}",
        4,
    )
    mistake(
        shell,
        f"{TRIAL} --out scene.npy/run",
        "error: scene.npy/run/run.json cannot be written: scene.npy is a file, not a folder\n"
        "  fix: choose another folder with --out",
        4,
    )


def test_no_permission_to_read(shell):
    secret = shell.folder / "secret.npy"
    secret.write_bytes((shell.folder / "scene.npy").read_bytes())
    secret.chmod(0)
    command = f"specloom run {SCENE} --set data.config.cube=secret.npy"
    reported, code = ended(alone(command, shell.folder, before=as_anybody))
    assert reported.startswith("error: ")
    assert "secret.npy cannot be read" in reported
    assert "Permission denied" in reported
    assert code == 2


def test_a_full_disk(shell):
    (shell.folder / "sitecustomize.py").write_text(FULL)
    process = alone(f"{TRIAL} --out full", shell.folder, PYTHONPATH=str(shell.folder))
    assert ended(process) == (
        f"error: full/run.json cannot be written: No space left on device\n{ROOM}",
        4,
    )
    assert list((shell.folder / "full").iterdir()) == []  # nothing half-written


def test_a_disk_that_fills_up_during_the_run(shell):
    def little():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    reported, code = ended(alone(f"{TRIAL} --out full", shell.folder, before=little))
    *_, what, fix = reported.splitlines()
    assert (what, fix) == (
        "error: full/pipeline.safetensors.new cannot be written: File too large",
        ROOM,
    )
    assert code == 4
    assert not (shell.folder / "full/pipeline.yaml").exists()
    cached = f"{TRIAL} --set data.config.cache=kept --out cached"
    lines = ended(alone(cached, shell.folder, before=little))[0].splitlines()
    assert any(line.startswith("error: the cache cannot be used: kept/") for line in lines)


def test_ctrl_c(shell):
    process = alone(f"{TRIAL} --out run", shell.folder, before=interruptible)
    process.stdout.readline()  # the run has begun
    process.send_signal(signal.SIGINT)
    assert ended(process) == ("to resume: specloom run --resume run\ninterrupted", 130)
    mistake(shell, "specloom run --resume run", "", 0)


def test_two_runs_into_one_folder(shell):
    mistake(shell, f"{TRIAL} --out run", "", 0)
    before = {path: path.read_bytes() for path in (shell.folder / "run").iterdir()}
    mistake(
        shell,
        f"{TRIAL} --seed 5 --out run",
        "error: run is not empty: it holds metrics.json, pipeline.safetensors, pipeline.yaml, "
        "…\n  fix: use another --out, resume it with --resume run, or replace it with --overwrite",
    )
    assert before == {path: path.read_bytes() for path in (shell.folder / "run").iterdir()}
    mistake(shell, f"{TRIAL} --seed 5 --out run --overwrite", "", 0)
    assert before[shell.folder / "run/run.json"] != (shell.folder / "run/run.json").read_bytes()


def test_two_runs_into_one_folder_at_once(shell):
    first = alone(
        f"{TRIAL} --set data.config.scenes=400 --out run", shell.folder, before=interruptible
    )
    while not (shell.folder / "run/run.json").exists() and first.poll() is None:
        time.sleep(0.01)
    mistake(
        shell,
        f"{TRIAL} --out run",
        "error: run is not empty: it holds run.json\n"
        "  fix: use another --out, resume it with --resume run, or replace it with --overwrite",
    )
    first.send_signal(signal.SIGINT)
    assert ended(first)[1] == 130


def test_a_wrong_python(tmp_path):
    command = ["make", "-C", str(ROOT), "setup", "PYTHON=/nowhere", f"VENV={tmp_path}/venv"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert made.stderr.splitlines()[0] == (
        "setup: needs Python 3.11; name one: make setup PYTHON=/path/to/python3.11"
    )
    for project in (ROOT, *(ROOT / "plugins").iterdir()):
        if (file := project / "pyproject.toml").is_file():  # so that pip refuses others
            assert 'requires-python = ">=3.11,<3.12"' in file.read_text("utf-8"), file


def script(file, text):
    """A program in Bash that stands for another one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)
    return file


def make(folder, *arguments):
    """Run make where the PATH has nothing but the folder ``bin``; the environment is ``venv``."""
    program = shutil.which("make")
    command = [program, "-C", ROOT, "--no-print-directory", f"VENV={folder}/venv", *arguments]
    variables = {"PATH": str(folder / "bin"), "HOME": str(folder)}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


SHOW = ["--eval=show: ; @echo found=$(PYTHON)", "show"]


def test_a_shim_without_a_python_is_passed_over(tmp_path):
    script(tmp_path / "bin/python3.11", "echo no such version; echo no such version >&2; exit 127")
    script(tmp_path / "bin/python3", f'exec {sys.executable} "$@"')
    made = make(tmp_path, *SHOW)
    assert (made.returncode, made.stdout) == (0, "found=python3\n"), made.stderr


def test_a_python_that_was_not_tried_is_refused(tmp_path):
    for name in ("python3.11", "python3", "python3.12", "python3.13"):
        script(tmp_path / "bin" / name, "exit 1")
    assert make(tmp_path, *SHOW).stdout == "found=\n"
    made = make(tmp_path, "setup")
    assert made.returncode == 2
    assert made.stderr.splitlines()[0] == (
        "setup: needs Python 3.11; name one: make setup PYTHON=/path/to/python3.11"
    )


def test_a_python_without_ensurepip(tmp_path):
    script(tmp_path / "bin/python3.11", '[[ "$*" != *ensurepip* && "$*" != *venv* ]]')
    made = make(tmp_path, "setup")
    assert made.returncode == 2
    assert made.stderr.splitlines()[0] == (
        f"setup: python3.11 has no ensurepip, which puts pip into {tmp_path}/venv; "
        "on Debian and Ubuntu: apt install python3.11-venv"
    )
    assert not (tmp_path / "venv").exists()


def test_an_environment_of_another_python(tmp_path):
    script(tmp_path / "bin/python3.11", "exit 0")
    script(
        tmp_path / "venv/bin/python",
        "if [[ $1 == --version ]]; then echo Python 3.12.1; fi; [[ $2 != *version_info* ]]",
    )
    made = make(tmp_path, "setup")
    assert made.returncode == 2
    assert made.stderr.splitlines()[0] == (
        f"setup: {tmp_path}/venv was made with Python 3.12.1; remove it: make clean setup"
    )


def test_set_up_installs_what_makes_wheels_first_and_only_pinned_versions(tmp_path):
    for program in ("touch", "mkdir"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / program).symlink_to(shutil.which(program))
    log = tmp_path / "log"
    script(
        tmp_path / "bin/python3.11",
        f"""
if [[ "$*" == "-m venv "* ]]; then
    mkdir -p "$3/bin"
    echo '#!/bin/bash
    echo "$@" >> {log}' > "$3/bin/python"
    /bin/chmod +x "$3/bin/python"
fi""",
    )
    (tmp_path / "venv/bin").mkdir(parents=True)  # as an interrupted set-up leaves it
    script(tmp_path / "venv/bin/python", "exit 1")
    made = make(tmp_path, "setup")
    assert made.returncode == 0, made.stderr
    installs = [line for line in log.read_text().splitlines() if " install " in line]
    assert all(" -c constraints.txt " in line for line in installs)
    assert installs[0].partition("constraints.txt ")[2].split()[0] == "setuptools"
    assert "--no-build-isolation" not in installs[0]
    assert "--no-build-isolation" in installs[1]
    assert re.search(r"^setuptools==\d", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_tests_without_git(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/.ready").touch()
    made = make(tmp_path, "tests")
    assert made.returncode == 2
    assert made.stderr.splitlines()[0] == (
        "tests: needs git; on Debian and Ubuntu: apt install git"
    )


def test_the_doctor_tells_the_python(shell):
    reported = shell("specloom doctor")
    assert re.search(r"ok +Python: 3\.\d+", reported)
    assert str(sys.version_info[1]) in reported


def test_a_missing_optional_package(shell):
    data = "{type: cubes.SingleCu3sDataModule, config: {data_dir: cubes}}"
    reported = shell(f"specloom run {SCENE} --set 'data={data}'")
    lines = errors(reported).splitlines()
    assert lines[0].startswith(
        f"error: --set data={data}: reading .cu3s needs the package cuvis, which cannot be imported"
    )
    assert lines[1:] == [
        "  fix: pip install cuvis, or export to ENVI or MATLAB, which need nothing more"
    ]
    assert shell.code == 4 or os.environ.get("CUVIS")
