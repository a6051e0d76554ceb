"""How many threads commands give to BLAS and torch; a library call changes nothing.

The Makefile sets ``OMP_NUM_THREADS``, so the processes here start without it.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

from specloom import load, threads
from specloom.cli import cli
from specloom.plugins import Plugins
from specloom.threads import limited, threads_option
from specloom.torch import all_cores

ROOT = Path(__file__).parents[1]
RX = str(ROOT / "configs/rx_statistical.yaml")
SMALL = [
    part
    for one in ("scenes=8", "height=16", "width=16")
    for part in ("--set", f"data.config.{one}")
]
COMPUTE = ("bands", "detect", "doctor", "info", "predict", "profile", "run", "serve", "spectra")
PROBE = """
import json
from specloom.execution import result_files
from specloom.cli import main

write = result_files.write

def looked(run, folder):
    import torch
    from threadpoolctl import threadpool_info

    pools = [one for one in threadpool_info() if one["user_api"] == "blas"]
    found = {"torch": torch.get_num_threads(), "blas": [one["num_threads"] for one in pools]}
    print(json.dumps(found))
    write(run, folder)

result_files.write = looked
main()
"""


def clean(**chosen):
    """The environment without any choice of threads, and then these."""
    ours = {*threads.VARIABLES, threads.SETTING, "LOCAL_WORLD_SIZE"}
    return {name: one for name, one in os.environ.items() if name not in ours} | chosen


@pytest.fixture
def unset(monkeypatch):
    """This process without any choice of threads; torch has three, to tell them from others."""
    for name in (*threads.VARIABLES, threads.SETTING, "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield monkeypatch
    torch.set_num_threads(before)


def start(program, *arguments, cwd, **chosen):
    return subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        cwd=cwd,
        env=clean(**chosen),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "chosen", "torch_threads", "blas_threads"),
    [
        ([], {}, 1, 1),
        ([], {"OMP_NUM_THREADS": "2"}, 2, 2),
        ([], {"OPENBLAS_NUM_THREADS": "2"}, 1, 2),
        ([], {"SPECLOOM_THREADS": "2", "OMP_NUM_THREADS": "1"}, 1, 1),
        (["--threads", "2"], {"SPECLOOM_THREADS": "1", "OPENBLAS_NUM_THREADS": "2"}, 1, 1),
    ],
    ids=str,
)
def test_a_run_has_the_threads_that_were_chosen(
    options, chosen, torch_threads, blas_threads, tmp_path
):
    made = start(["-c", PROBE], "run", RX, *SMALL, "--out", "o", *options, cwd=tmp_path, **chosen)
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout.splitlines()[0])
    assert found["torch"] == torch_threads
    # OpenBLAS has never more threads than cores.
    most = os.cpu_count() or 1
    assert found["blas"]
    assert set(found["blas"]) == {min(blas_threads, most)}
    counts = json.loads((tmp_path / "o/run.json").read_text())["thread_counts"]
    by_default = not {"OMP_NUM_THREADS", "SPECLOOM_THREADS"} & set(chosen)
    many = threads.cores() if by_default else 2
    assert counts == {
        "blocks": many,
        "torch": torch_threads,
        "long_work": many,
        "by_default": by_default,
    }


def test_results_are_the_same_bits_and_a_reproduced_run_has_the_same_threads(tmp_path):
    for out, chosen in (("default", {}), ("two", {"SPECLOOM_THREADS": "2"})):
        made = start(["-m", "specloom"], "run", RX, *SMALL, "--out", out, cwd=tmp_path, **chosen)
        assert made.returncode == 0, made.stderr
    for name in ("metrics.json", "pipeline.safetensors"):
        assert (tmp_path / "default" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    for out in ("default", "two"):
        again = f"{out}-again"
        # What the shell says now is not what the run was given.
        made = start(
            ["-m", "specloom"],
            "reproduce",
            out,
            "--check",
            "--allow-file",
            "--out",
            again,
            cwd=tmp_path,
            OMP_NUM_THREADS="3",
            SPECLOOM_THREADS="3",
        )
        assert made.returncode == 0, made.stderr
        was, now = (json.loads((tmp_path / one / "run.json").read_text()) for one in (out, again))
        assert now["thread_counts"] == was["thread_counts"]
        assert "although changed" not in made.stdout


def test_every_command_that_computes_has_the_option():
    plugins = Plugins()
    offered = {label.partition(".")[2]: label for label in plugins.offers(("commands",))}
    commands = {name: plugins.find(label, ("commands",), "")[1] for name, label in offered.items()}
    commands |= cli.commands
    having = {
        name
        for name, command in commands.items()
        if any("--threads" in parameter.opts for parameter in command.params)
    }
    assert having == set(COMPUTE)
    for name in COMPUTE:
        (option,) = [one for one in commands[name].params if "--threads" in one.opts]
        assert option.envvar == "SPECLOOM_THREADS"


@pytest.mark.parametrize("wrong", ["0", "-1", "2.5", "two", "1025", "9" * 5000, "²"])
def test_a_wrong_number_is_refused(wrong):
    what = f"{wrong!r} is not a number of threads; write a whole number from 1 to 1024."
    made = CliRunner().invoke(cli, ["run", RX, "--threads", wrong])
    assert made.exit_code == 2
    assert f"Error: Invalid value for '--threads': {what}\n" in made.output
    made = CliRunner().invoke(cli, ["run", RX], env={"SPECLOOM_THREADS": wrong})
    assert made.exit_code == 2
    assert f"Error: Invalid value for 'SPECLOOM_THREADS': {what}\n" in made.output


@click.command()
@threads_option
def look():
    seen = {name: os.environ.get(name) for name in threads.VARIABLES}
    with all_cores():
        long_work = torch.get_num_threads()
    click.echo(json.dumps([torch.get_num_threads(), long_work, seen]))


@pytest.mark.parametrize(
    ("options", "long_work"),
    [([], 5), (["--threads", "2"], 2), (["--threads", " 04 "], 4)],
)
def test_a_command_in_a_process_of_others_leaves_it_as_it_was(unset, options, long_work):
    unset.setattr(threads, "cores", lambda: 5)
    before = dict(os.environ)
    made = CliRunner().invoke(look, options)
    assert made.exit_code == 0, made.output
    assert json.loads(made.output) == [1, long_work, dict.fromkeys(threads.VARIABLES, "1")]
    assert torch.get_num_threads() == 3
    assert dict(os.environ) == before
    assert not threads.chosen_by_default()


def test_what_the_user_set_stays(unset):
    unset.setenv("OMP_NUM_THREADS", "7")
    made = CliRunner().invoke(look, [])
    alone = {**dict.fromkeys(threads.VARIABLES), "OMP_NUM_THREADS": "7"}
    assert json.loads(made.output) == [3, 3, alone]  # torch was loaded before, by others


def test_a_failure_leaves_the_process_as_it_was(unset):
    unset.setenv("MKL_NUM_THREADS", "6")
    before = dict(os.environ)
    with suppress(ZeroDivisionError), limited(2):
        assert os.environ["MKL_NUM_THREADS"] == "1"
        raise ZeroDivisionError
    with limited():
        assert os.environ["MKL_NUM_THREADS"] == "6"
    assert dict(os.environ) == before
    assert torch.get_num_threads() == 3


def test_a_torch_that_a_command_loaded_gets_its_usual_threads_back(tmp_path):
    code = (
        "import sys\n"
        "from specloom.threads import cores, limited\n"
        "with limited():\n"
        "    assert 'torch' not in sys.modules\n"
        "    import torch\n"
        "    assert torch.get_num_threads() == 1\n"
        "assert torch.get_num_threads() == cores()\n"
    )
    made = start(["-c", code], cwd=tmp_path)
    assert made.returncode == 0, made.stderr


def test_a_library_call_changes_nothing(unset, tmp_path):
    unset.chdir(tmp_path)
    before = dict(os.environ)
    changes = ["data.config.scenes=30"]
    loaded = load(RX, changes, device="cpu")
    assert torch.get_num_threads() == 3
    with all_cores():
        assert torch.get_num_threads() == 3
    loaded.run()
    assert torch.get_num_threads() == 3
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("processes", "count"), [(None, 8), ("1", 8), ("2", 4), ("3", 2), ("16", 1), ("", 8), ("x", 8)]
)
def test_processes_of_torchrun_share_the_cores(unset, processes, count):
    unset.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    if processes is not None:
        unset.setenv("LOCAL_WORLD_SIZE", processes)
    assert threads.cores() == count


def test_cores_where_the_system_has_no_affinity(unset):
    unset.delattr(os, "sched_getaffinity", raising=False)
    unset.setattr(os, "cpu_count", lambda: 6)
    assert threads.cores() == 6
    unset.setattr(os, "cpu_count", lambda: None)
    assert threads.cores() == 1


def test_the_documents_tell_the_rule():
    page = (ROOT / "docs/threads.md").read_text("utf-8")
    for name in (*COMPUTE, "--threads", "SPECLOOM_THREADS", *threads.VARIABLES):
        assert f"`{name}" in page, name
