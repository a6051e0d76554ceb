"""Programs that git would start for a configuration or a variable of somebody else."""

import json
import shutil
import subprocess

import pytest
from registry_world import open_up

from specloom_registry.fetch import git


@pytest.fixture
def mark(world):
    """A program that leaves a mark, and the mark."""
    program = world.root / "evil"
    ran = world.root / "ran"
    program.write_text(f'#!/bin/sh\ntouch {ran}\nexec git-upload-pack "$@"\n')
    program.chmod(0o755)
    return program, ran


@pytest.fixture
def locked(world):
    world.repo("rx")
    world.write(f"rx: {{git: 'file://{world.origins}/rx.git', tag: v1.0.0}}", mirrored=False)
    world.run("lock", "--allow-file")
    return world


def configured(folder, program, url):
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    config = folder / ".git/config"
    with config.open("a") as file:
        file.write(f'[remote "{url}"]\n\tuploadpack = {program}\n\turl = {url}\n')
        file.write(f"[core]\n\tsshCommand = {program}\n")


COMMANDS = [("outdated",), ("verify", "--remote"), ("update", "--allow-file"), ("lock", "--check")]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_uploadpack_of_the_present_folder_is_not_started(locked, mark, monkeypatch, command):
    program, ran = mark
    url = f"file://{locked.origins}/rx.git"
    configured(locked.project, program, url)
    monkeypatch.chdir(locked.project)
    assert subprocess.run(["git", "ls-remote", url], capture_output=True, check=False)
    assert ran.exists()  # git itself starts it
    ran.unlink()
    locked.run(*command)
    assert not ran.exists()


def test_a_configuration_above_the_temporary_folder_is_not_looked_at(locked, mark, monkeypatch):
    program, ran = mark
    above = locked.root / "tmp"
    above.mkdir()
    configured(above, program, f"file://{locked.origins}/rx.git")
    monkeypatch.setattr("tempfile.tempdir", str(above))
    locked.run("outdated")
    assert not ran.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_configuration_in_variables_has_no_effect(locked, mark, monkeypatch, command):
    program, ran = mark
    url = f"file://{locked.origins}/rx.git"
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"remote.{url}.uploadpack")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(program))
    subprocess.run(["git", "ls-remote", url], capture_output=True, check=False)
    assert ran.exists()
    ran.unlink()
    locked.run(*command)
    assert not ran.exists()


def test_only_the_variables_on_a_short_list_reach_git(monkeypatch):
    for name in ("GIT_TRACE", "GIT_PROXY_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_NEW_THING"):
        monkeypatch.setenv(name, "/evil")
    monkeypatch.setenv("GIT_SSL_CAINFO", "/certificates")
    environment = git._local_environment()
    assert "/evil" not in environment.values()
    assert environment["GIT_SSL_CAINFO"] == "/certificates"


@pytest.mark.parametrize("kind", ["clean", "process"])
def test_a_filter_of_a_working_copy_is_not_started(world, mark, kind):
    program, ran = mark
    repo = world.repo("lab")
    repo.commit({".gitattributes": "*.py filter=evil\n", "a.py": "x = 1\n"})
    repo.git("config", f"filter.evil.{kind}", str(program))
    (repo.path / "a.py").write_text("x = 2\n")
    assert "a.py" in git.status(repo.path)
    assert not ran.exists()
    subprocess.run(["git", "-C", str(repo.path), "status"], capture_output=True, check=False)
    (repo.path / "a.py").write_text("x = 3\n")
    subprocess.run(["git", "-C", str(repo.path), "diff"], capture_output=True, check=False)
    assert ran.exists()


@pytest.mark.parametrize("by", ["the option", "the variable"])
def test_a_lock_that_names_a_commit_of_another_branch_is_refused_when_frozen(
    world, monkeypatch, by
):
    """As a pull request could name the commit of a fork, which the same server hands out."""
    repo = world.repo("rx")
    tagged = repo.git("rev-parse", "HEAD")
    world.wants("rx@v1.0.0")
    world.run("lock")
    honest = world.lock.read_bytes()
    repo.git("checkout", "--quiet", "-b", "fork")
    forked = repo.commit({"acme_rx/__init__.py": "SAYS = 'evil'\n"})
    repo.tag("v1.0.0", force=True)
    world.run("update", "rx", "--accept-moved-tag")
    assert world.locked()["plugins"]["rx"]["source"]["commit"] == forked
    repo.tag("v1.0.0", force=True, at=tagged)
    shutil.rmtree(open_up(world.store))
    options = ["--frozen"]
    if by == "the variable":
        monkeypatch.setenv("SPECLOOM_FROZEN", "1")
        options = []
    error = world.run("sync", *options, code=3).error
    assert error.what == (
        "E-TAG-MOVED plugin 'rx': tag 'v1.0.0' does not hold the locked commit: locked "
        f"{forked[:12]}, remote now {tagged[:12]}; nothing was changed"
    )
    assert error.fix == (
        "find out who changed the lock or moved the tag; then lock it again: "
        "specloom plugins update rx --accept-moved-tag"
    )
    assert world.trees() == []
    world.lock.write_bytes(honest)
    assert json.loads(honest)["plugins"]["rx"]["source"]["commit"] == tagged
    world.run("sync", *options)
