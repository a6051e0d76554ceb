"""The first commands of a project: init, templates, completion, colours."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from specloom.cli import cli, coloured

ROOT = Path(__file__).parents[1]


def call(*arguments):
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_a_project_begins_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("init")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "created: run.yaml",
        "created: .gitignore",
        "created: plugins.yaml",
        "next: name your data in run.yaml, then",
        "  specloom check run.yaml && specloom run run.yaml",
    ]
    assert (tmp_path / ".gitignore").read_text() == "runs/\n"
    assert yaml.safe_load((tmp_path / "plugins.yaml").read_text())["installed"] is True
    (tmp_path / "cubes").mkdir()
    rng = np.random.default_rng(7)
    for number in range(6):
        np.save(tmp_path / f"cubes/{number}.npy", rng.normal(5, 1, (40, 50, 8)).astype("f4"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "specloom", "run", "run.yaml", "-o", "runs/a"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "results: runs/a\n"
    assert run.stderr.splitlines()[-1] == "look at: runs/a/report.html"


def test_a_project_is_begun_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text("specloom: 1\n")
    with pytest.raises(Exception, match=r"E-NAME run\.yaml exists: there is a project"):
        call("init")
    assert (tmp_path / "run.yaml").read_text() == "specloom: 1\n"


@pytest.mark.parametrize("template", ["rx", "selector", "mrmr", "adaclip", "inspection"])
def test_every_template_is_a_good_run_file(template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("new", "run", template, "-o", "mine.yaml").output == "created: mine.yaml\n"
    done = call("check", "mine.yaml")
    assert done.exit_code == 0, done.output
    assert "mine.yaml: good" in done.output


def complete(words, folder):
    """What is offered for the last word of a command line."""
    environment = {
        **os.environ,
        "_SPECLOOM_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1 + words.endswith(" ")),
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("specloom")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_names_and_folders_are_completed(tmp_path):
    for folder in ("runs/a", "runs/b", "other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs/a/run.json").write_text("{}")
    (tmp_path / "runs/b/run.json").write_text("{}")
    assert complete("specloom pre", tmp_path) == ["predict"]
    assert complete("specloom predict --form", tmp_path) == ["--format"]
    assert complete("specloom nodes rx.RXG", tmp_path) == ["rx.RXGlobal"]
    assert complete("specloom predict ru", tmp_path) == ["runs/"]
    assert complete("specloom predict runs/", tmp_path) == ["runs/a", "runs/b"]
    assert complete("specloom compare runs/b", tmp_path) == ["runs/b"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_messages_have_colours_on_a_terminal_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = "error: no\n  fix: yes"
    in_colour = "\x1b[31m\x1b[1merror:\x1b[0m no\n\x1b[32m\x1b[1m  fix:\x1b[0m yes"
    assert coloured(text, Terminal()) == in_colour
    assert coloured("results: a: b", Terminal()) == "results: a: b"
    assert coloured(text, io.StringIO()) == text
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured(text, Terminal()) == text
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert coloured(text, Terminal()) == text


def test_help_texts_are_whole_sentences():
    listed = call("--help").output.partition("Commands:")[2]
    entries = []
    for line in listed.splitlines():
        if line.startswith("  ") and line[2:3].strip():
            entries.append(line.split(None, 1)[1])
        elif line.strip():
            entries[-1] += f" {line.strip()}"
    assert len(entries) > 15
    for text in entries:
        assert text[0].isupper()
        assert text.endswith(".")
        assert "..." not in text
