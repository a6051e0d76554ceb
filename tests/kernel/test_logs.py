"""Runs report on the logger ``specloom``, and commands log to a file."""

import logging

import click
import numpy as np
import pytest
from click.testing import CliRunner

import specloom
from specloom import Run, UnavailableError, log_file_option
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_rx import RXGlobal
from specloom_training import StatisticalTrainer

CUBE = np.random.default_rng(0).normal(size=(1, 20, 30, 5)).astype(np.float32)


def run(*phases, observed=False):
    source = InMemory(train=[{"cube": CUBE}])
    pipeline = specloom.Pipeline("mine")
    data = pipeline.add("data", AnomalyDataNode([0]))
    rx = pipeline.add("rx", RXGlobal())
    pipeline.connect((data.cube, rx.data), (data.valid, rx.valid))
    graph = pipeline.graph(source)
    return Run(graph, source, phases, metadata={"name": "mine"}, observed=observed)


class Failing:
    def check(self, graph, at):
        return ()

    def train(self, run):
        run.log_metrics("train", {"rx/loss": 0.25})
        raise RuntimeError("no more\x1b[31m")


def messages(caplog):
    return [f"{one.levelname} {one.getMessage()}" for one in caplog.records]


def test_a_run_from_python_is_logged(caplog):
    caplog.set_level(logging.DEBUG, "specloom")
    run(("training.StatisticalTrainer", StatisticalTrainer())).run()
    found = messages(caplog)
    assert found[0] == "INFO the run 'mine' started"
    assert found[1] == "INFO training.StatisticalTrainer started"
    assert found[2].startswith("INFO fitted rx: 5 bands, 600 pixels")
    assert found[3:] == ["INFO training.StatisticalTrainer ended", "INFO the run 'mine' ended"]


def test_numbers_and_errors_are_logged(caplog):
    caplog.set_level(logging.DEBUG, "specloom")
    with pytest.raises(RuntimeError):
        run(("toy.Failing", Failing())).run()
    assert messages(caplog)[2:] == [
        "DEBUG step 0: train/rx/loss = 0.25",
        "ERROR the run 'mine' failed: no more\\u001b[31m",
    ]


def test_without_a_handler_nothing_is_printed(capfd):
    run(("training.StatisticalTrainer", StatisticalTrainer())).run()
    assert capfd.readouterr() == ("", "")


@click.command()
@log_file_option
def command():
    logging.getLogger("specloom").info("at work")
    raise UnavailableError("nothing is here")


def test_a_command_logs_to_a_file(tmp_path):
    file = tmp_path / "log.txt"
    for _ in range(2):
        done = CliRunner().invoke(command, ["--log-file", str(file)])
        assert isinstance(done.exception, UnavailableError)
    lines = [line.split(" ", 2)[2] for line in file.read_text().splitlines()]
    assert lines == ["INFO at work", "ERROR nothing is here"] * 2
    assert logging.getLogger("specloom").level == logging.NOTSET
    assert len(logging.getLogger("specloom").handlers) == 1


def test_a_log_file_that_cannot_be_written(tmp_path):
    done = CliRunner().invoke(command, ["--log-file", str(tmp_path / "no/log.txt")])
    assert str(done.exception) == (
        f"{tmp_path}/no/log.txt cannot be written: No such file or directory\n"
        "  fix: choose another file with --log-file"
    )


@click.command()
@log_file_option
def ending():
    raise SystemExit(1)


def test_an_exit_code_is_no_error_in_the_log(tmp_path):
    file = tmp_path / "log.txt"
    assert CliRunner().invoke(ending, ["--log-file", str(file)]).exit_code == 1
    assert file.read_text() == ""
