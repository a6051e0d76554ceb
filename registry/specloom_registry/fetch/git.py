"""Everything that talks to Git, and the only file that imports ``git``.

Nothing is ever checked out: a tag is fetched into a throw-away repository and its blobs are read
from there, so that hooks, filters, submodules and links never come to act. Every argument list is
built here, names come after ``--``, and the transports are limited by the environment, which
outranks the user's configuration. That configuration (credential helpers, proxies) stays in force.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specloom_registry.base.faults import PluginUnavailableError, redacted
from specloom_registry.model.versions import allows

#: The variables of Git that stay: all others could redirect it or make it start programs.
PASSED_ON = (
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
)
NO_PROGRAMS = ("core.hooksPath=/dev/null", "core.fsmonitor=false")
SETTINGS = (
    *NO_PROGRAMS,
    "core.symlinks=false",
    "gc.auto=0",
    "transfer.fsckObjects=true",
    "fetch.recurseSubmodules=no",
    "maintenance.auto=false",
    "protocol.version=2",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
)
TIMEOUT = 900.0  # seconds for one command
STATUS_TIMEOUT = 30.0
ADVICE = {
    r"transport '(\w+)' not allowed": "remove url.<x>.insteadOf from your Git configuration",
    r"dubious ownership": "trust it: git config --global --add safe.directory <the repository>",
    r"Authentication failed|could not read Username|Permission denied": "check your credentials",
    r"Could not resolve host|unable to access|Connection|timed out": "check the network",
}
OLDEST_GITPYTHON = "3.2.1"
NO_ADVICE = "check the URL and the tag"
_environment_lock = threading.Lock()
_removed_variables: dict[str, str] = {}
_running_commands = 0


class GitError(PluginUnavailableError):
    """A Git command failed."""


def tags(url: str, tag: str = "") -> dict[str, tuple[str, str]]:
    """The tags of a repository, or one of them: the object's hash and the peeled one, by name.

    Raises:
        GitError: The repository cannot be reached.
    """
    patterns = []
    if tag:
        patterns = [f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}"]
    out = _git(["ls-remote", "--tags", "--", url, *patterns], url)
    found: dict[str, tuple[str, str]] = {}
    for line in out.splitlines():
        sha, _, ref = line.partition("\t")
        if not ref.startswith("refs/tags/"):
            continue
        listed = ref.removeprefix("refs/tags/")
        name = listed.removesuffix("^{}")
        if name == listed:
            found[name] = (sha, sha)
        else:  # the line of a tag's object comes before that of the commit it leads to
            tag_object = found[name][0]
            found[name] = (tag_object, sha)
    return found


def fetch(folder: Path, url: str, tag: str, commit: str = "") -> None:
    """Fetch one tag, or one commit, into a bare repository, which is made if it is not there.

    Raises:
        GitError: It is not there, or the repository cannot be reached.
    """
    if commit:
        _fetch(folder, url, [f"+{commit}:refs/heads/wanted"])
    else:
        fetch_tags(folder, url, [tag])


def fetch_tags(folder: Path, url: str, names: Iterable[str]) -> None:
    """Fetch tags together into a bare repository, which is made if it is not there.

    Raises:
        GitError: One is not there, or the repository cannot be reached.
    """
    _fetch(folder, url, [f"+refs/tags/{name}:refs/tags/{name}" for name in names])


def _fetch(folder: Path, url: str, refspecs: Sequence[str]) -> None:
    if not (folder / "HEAD").exists():
        _init_bare(folder)
    options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
    try:
        _git(["fetch", *options, "--depth=1", "--", url, *refspecs], url, folder)
    except GitError as e:
        if not re.search(r"shallow|dumb http", str(e)):
            raise
        _git(["fetch", *options, "--", url, *refspecs], url, folder)


def _init_bare(folder: Path) -> None:
    """Make a bare repository as ``git init`` would, without its process and its templates."""
    for name in ("objects", "refs"):
        (folder / name).mkdir(parents=True)
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    (folder / "HEAD").write_text("ref: refs/heads/main\n")


@contextmanager
def objects(folder: Path) -> Iterator[Objects]:
    """Read the objects of a repository, one after another, through a single process."""
    _require_git()
    try:
        started = subprocess.Popen(
            ["git", *_settings(), "cat-file", "--batch"],
            cwd=folder,
            env=_local_environment() | _repository(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    except OSError as e:
        raise _start_error(e) from e
    with started as process:
        try:
            yield Objects(process)
        finally:
            process.kill()


def status(folder: Path) -> str:
    """Return what ``git status`` says of a working copy's tracked files; the index stays as it is.

    Raises:
        GitError: There is no Git, or it cannot read the working copy.
    """
    options = ["--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=no"]
    options.append("--ignore-submodules=dirty")  # their own configuration is not looked at
    return _read_local(folder, [*_settings(_without_filters(folder)), "status", *options])


def _without_filters(folder: Path) -> Iterator[str]:
    """Yield settings that turn off the filters which a working copy's own configuration starts."""
    patterns = ["--name-only", "-z", "--get-regexp", r"^filter\..*\.(clean|process)$"]
    for scope in ("--local", "--worktree"):
        try:
            names = _read_local(folder, ["config", scope, "--includes", *patterns])
        except GitError:  # it has none
            continue
        for name in filter(None, names.split("\0")):
            yield f"{name}="


def _read_local(folder: Path, arguments: Iterable[str]) -> str:
    """Return the output of a command that reads a working copy.

    Raises:
        GitError: There is no Git, or the command fails.
    """
    _require_git()
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *_settings(NO_PROGRAMS), *arguments],
            cwd=folder,
            env=_local_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=STATUS_TIMEOUT,
            check=False,
        )
    except OSError as e:
        raise _start_error(e) from e
    except subprocess.TimeoutExpired as e:
        what = f"E-GIT git takes longer than {STATUS_TIMEOUT:g} s in {folder}"
        raise GitError(what, fix=NO_ADVICE) from e
    if done.returncode:
        raise _command_error(done.returncode, os.fsdecode(done.stderr))
    return os.fsdecode(done.stdout)


class Objects:
    """The objects of a repository."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._in, self._out = process.stdin, process.stdout

    def read(self, name: str, most: int = 1 << 40) -> tuple[str, str, bytes]:
        """An object's hash, kind and contents.

        Raises:
            KeyError: There is none.
            OverflowError: It has more than ``most`` bytes.
        """
        assert self._in is not None
        assert self._out is not None
        self._in.write(name.encode() + b"\n")
        self._in.flush()
        header = self._out.readline().split()
        if len(header) != 3:
            raise KeyError(name)
        sha, kind, size = header[0].decode(), header[1].decode(), int(header[2])
        if size > most:
            raise OverflowError(size)
        contents = self._out.read(size)
        if len(contents) != size or self._out.read(1) != b"\n":
            raise KeyError(name)
        return sha, kind, contents


def _git(arguments: list[str], url: str, folder: Path | None = None) -> str:
    """Run git and return its output."""
    _require_git()
    git = _gitpython()
    with _clean_environment(), _working_folder(folder) as place:
        try:
            code, out, err = git.Git(place).execute(
                ["git", *_settings(), *arguments],
                with_extended_output=True,
                with_exceptions=False,
                shell=False,
                env=_environment(url) | _repository(folder, place),
                kill_after_timeout=TIMEOUT if os.name == "posix" else None,
            )
        except git.GitCommandError as e:
            raise _command_error(128, str(e)) from e
        except OSError as e:
            raise _start_error(e) from e
    if code:
        raise _command_error(code, str(err))
    return str(out)


def _command_error(code: int, message: str) -> GitError:
    """Return the error for a command that ended with ``code``, with a fix for what it says."""
    text = redacted(" ".join(message.split()))
    if not text:
        text = f"git ended with {code}"
    for pattern, fix in ADVICE.items():
        if re.search(pattern, text):
            return GitError(f"E-GIT {text}", fix=fix)
    return GitError(f"E-GIT {text}", fix=NO_ADVICE)


def _settings(settings: Iterable[str] = SETTINGS) -> Iterator[str]:
    for setting in settings:
        yield from ("-c", setting)


def _local_environment() -> dict[str, str]:
    """Return the environment of a command that needs no network."""
    environment = {key: value for key, value in os.environ.items() if not _is_dropped(key)}
    return environment | _environment("")


def _environment(url: str) -> dict[str, str]:
    local = url.startswith(("file://", "/"))
    ssh = "ssh -oBatchMode=yes -oConnectTimeout=15"
    return {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": os.environ.get("GIT_ASKPASS", ""),
        "GIT_ALLOW_PROTOCOL": "file" if local else "https:ssh",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", ssh),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "LC_ALL": "C",
    }


def _is_dropped(variable: str) -> bool:
    return variable.startswith("GIT_") and variable not in PASSED_ON


def _repository(folder: Path | None, place: Path | None = None) -> dict[str, str]:
    """Return what says where the repository is, so that no folder above is looked at.

    Args:
        folder: The bare repository; None for a command that needs none.
        place: The folder that the command runs in, if it is another.
    """
    if folder is not None:
        return {"GIT_DIR": str(folder)}
    assert place is not None
    return {"GIT_CEILING_DIRECTORIES": str(place.parent)}


@contextmanager
def _working_folder(folder: Path | None) -> Iterator[Path]:
    """Return the folder to run in: without a repository an empty one, whose configuration is none.

    A configuration in the present folder could name the program that talks to the other side.
    """
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="specloom-git-") as place:
        yield Path(place).resolve()


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Take variables that redirect git out of the environment, which GitPython hands on."""
    global _running_commands
    with _environment_lock:
        if _running_commands == 0:
            for name in filter(_is_dropped, list(os.environ)):
                _removed_variables[name] = os.environ.pop(name)
        _running_commands += 1
    try:
        yield
    finally:
        with _environment_lock:
            _running_commands -= 1
            if _running_commands == 0:
                os.environ.update(_removed_variables)
                _removed_variables.clear()


def _require_git() -> None:
    """Check that there is a git.

    Raises:
        GitError: No folder of the PATH holds a git that can be run.
    """
    if shutil.which("git") is None:
        what = "E-GIT the command 'git' is in no folder of the PATH"
        raise GitError(what, fix="install git, or add its folder to the PATH")


def _start_error(error: OSError) -> GitError:
    what = f"E-GIT the command {shutil.which('git')} cannot be started: {error.strerror}"
    return GitError(what, fix="install git again, or correct the PATH")


def _gitpython() -> Any:
    try:
        import git
    except ImportError as e:  # GitPython looks for the git command when it is imported
        what = "E-GIT GitPython cannot be used: " + str(e).strip().partition("\n")[0]
        raise PluginUnavailableError(what, fix="install git, and pip install GitPython") from e
    if not allows(f">={OLDEST_GITPYTHON}", git.__version__):
        what = f"E-GIT GitPython {git.__version__} has known vulnerabilities"
        raise PluginUnavailableError(what, fix=f"pip install 'GitPython>={OLDEST_GITPYTHON}'")
    return git
