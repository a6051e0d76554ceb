"""The command line: exit codes, what goes to which stream, and no traceback for a user's errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RX = str(ROOT / "configs/rx_statistical.yaml")
SMALL = [
    argument
    for one in ("scenes=8", "height=16", "width=16")
    for argument in ("--set", f"data.config.{one}")
]


def specloom(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "specloom", *arguments],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_keeps_progress_off_stdout(tmp_path):
    done = specloom("run", RX, *SMALL, "--out", "o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "results: o\n"
    assert "fitted rx: 61 bands" in done.stderr
    assert "\nmetric " in done.stderr


def test_without_out_each_run_gets_a_folder_of_its_own(tmp_path):
    for _ in range(2):
        assert specloom("run", RX, *SMALL, cwd=tmp_path).returncode == 0
    folders = [path.name for path in (tmp_path / "runs").iterdir()]
    assert len(folders) == 2
    assert all(name.startswith("rx_statistical-") for name in folders)


def test_the_same_seed_gives_the_same_results_to_the_last_bit(tmp_path):
    for out in ("a", "b"):
        assert specloom("run", RX, *SMALL, "--out", out, cwd=tmp_path).returncode == 0
    for name in ("metrics.json", "pipeline.yaml", "pipeline.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_users_mistake_exits_with_2_and_no_traceback(tmp_path):
    done = specloom("run", RX, "--set", "nodes.rx.config.epss=0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: --set nodes.rx.config.epss=0: rx.RXGlobal has no parameter 'epss'\n"
        "  fix: did you mean 'eps'?\n"
    )


def test_check_does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = specloom("check", "pipe", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: pipe is a pipe or a socket, not a file\n  fix: give the path of a YAML file\n"
    )


def without_lines(text, *parts):
    lines = text.splitlines(keepends=True)
    return [line for line in lines if not any(part in line for part in parts)]


@pytest.mark.parametrize(
    ("removed", "fix"),
    [
        (["[data.valid"], "connect it to normalizer.valid, rx.valid, logits.valid, decider.valid"),
        (
            ["[data.valid", "[data.labelled"],
            "connect it to normalizer.valid, rx.valid, logits.valid, decider.valid, "
            "and connect data.labelled to metrics.valid",
        ),
    ],
)
def test_check_notes_that_no_data_pixels_are_not_excluded(tmp_path, removed, fix):
    without = without_lines(Path(RX).read_text(), *removed)
    (tmp_path / "run.yaml").write_text("".join(without))
    done = specloom("check", "run.yaml", cwd=tmp_path)
    assert done.returncode == 0
    place = 1 + next(i for i, line in enumerate(without) if line.startswith("  data:"))
    # The second "data:" of the file is the node; the first is the source, which is not indented.
    assert done.stderr == (
        f"warning: run.yaml:{place}: data.valid is not connected: no-data pixels are not excluded\n"
        f"  fix: {fix}\n"
    )


def test_check_tells_of_every_file(tmp_path):
    (tmp_path / "bad.yaml").write_text("specloom: 1\nnodes: {}\n")
    done = specloom("check", "bad.yaml", RX, cwd=tmp_path)
    assert done.returncode == 2
    assert f"{RX}: good, 6 nodes" in done.stdout
    assert "error: bad.yaml:" in done.stderr


def test_a_device_that_is_not_there_exits_with_4(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = specloom("run", RX, "--device", "cuda", cwd=tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith("error: device 'cuda' is not available: torch ")
    assert "\n  fix: use --device cpu, or install a CUDA build of torch" in done.stderr


def test_an_unknown_command_gets_a_suggestion(tmp_path):
    done = specloom("chekc", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'chekc'. Did you mean 'check'?" in done.stderr


def test_a_mistake_of_ours_exits_with_70_and_leaves_a_log(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import specloom.execution.run\n"
        "def fails(*_, **__): raise RuntimeError('broken on purpose')\n"
        "specloom.load = fails\n"
    )
    done = specloom("check", RX, cwd=tmp_path, PYTHONPATH=str(tmp_path), TMPDIR=str(tmp_path))
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    (log,) = tmp_path.glob("specloom-*.log")
    assert done.stderr == (
        "Internal error (RuntimeError: broken on purpose): this is a bug, "
        f"please report it with the log {log}\n"
    )
    assert "broken on purpose" in log.read_text()


def test_an_interrupt_exits_with_130_and_leaves_no_results(tmp_path):
    command = [sys.executable, "-m", "specloom", "run", RX, "--out", "o"]
    with subprocess.Popen(
        [*command, "--set", "data.config.scenes=4000"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # In the background a shell lets its children ignore interrupts, and so would this one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            process.stderr.readline()  # the run has begun
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err.rstrip().endswith("interrupted")
    left = {path.name for path in (tmp_path / "o").iterdir()}
    assert "run.json" in left  # so that it can be resumed
    assert not left & {"metrics.json", "pipeline.yaml", "pipeline.safetensors"}


def test_data_that_are_not_there_are_named_before_the_fit(tmp_path):
    done = specloom("run", str(ROOT / "configs/rx_scene.yaml"), "--out", "o", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        f"error: {ROOT}/configs/rx_scene.yaml:11: there is no scene.mat, the cube of the data",
        "  fix: check the path; it is relative to where you run",
    ]


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_folder_of_a_run_is_no_run_file(tmp_path, command):
    (tmp_path / "run.json").write_text("{}")
    done = specloom(command, ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: . is the folder that a run wrote, not a run file\n"
        "  fix: give the run file; to apply the pipeline: specloom predict . CUBE --out DIR\n"
    )


def test_a_quiet_run_logs_to_a_file(tmp_path):
    done = specloom("run", RX, *SMALL, "--out", "o", "-q", "--log-file", "log.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fitted rx" not in done.stderr
    assert "metrics/iou" not in done.stderr
    lines = [line.split(" ", 2)[2] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert lines[0] == "INFO the run 'rx_statistical' started"
    assert lines[-1] == "INFO the run 'rx_statistical' ended"
    assert any(line.startswith("INFO fitted rx: 61 bands") for line in lines)
