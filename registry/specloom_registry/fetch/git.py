"""Everything that talks to Git, and the only file that imports ``git``.

Nothing is ever checked out: a tag is fetched into a throw-away repository and its blobs are read
from there, so that hooks, filters, submodules and links never come to act. Every argument list is
built here, names come after ``--``, and the transports are limited by the environment, which
outranks the user's configuration. That configuration (credential helpers, proxies) is kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specloom_registry.base.faults import PluginUnavailableError, redacted

DROPPED = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG_PARAMETERS", "GIT_EXTERNAL_DIFF"),
    *("GIT_TEMPLATE_DIR", "GIT_EXEC_PATH", "GIT_COMMON_DIR", "GIT_SHALLOW_FILE"),
)
SETTINGS = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.symlinks=false", "gc.auto=0"),
    *("transfer.fsckObjects=true", "fetch.recurseSubmodules=no", "maintenance.auto=false"),
    *("protocol.version=2", "http.lowSpeedLimit=1000", "http.lowSpeedTime=30"),
)
LONGEST = 900.0  # seconds for one command
ADVICE = {
    r"transport '(\w+)' not allowed": "remove url.<x>.insteadOf from your Git configuration",
    r"dubious ownership": "trust it: git config --global --add safe.directory <the repository>",
    r"Authentication failed|could not read Username|Permission denied": "check your credentials",
    r"Could not resolve host|unable to access|Connection|timed out": "check the network",
}
NO_ADVICE = "check the URL and the tag"
_cleaning = threading.Lock()
_cleaned: dict[str, str] = {}
_users = 0


class GitError(PluginUnavailableError):
    """Git could not do what was asked."""


def tags(url: str, tag: str = "") -> dict[str, tuple[str, str]]:
    """The tags of a repository, or one of them: the object's hash and the peeled one, by name.

    Raises:
        GitError: The repository cannot be reached.
    """
    wanted = [f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}"] if tag else []
    out = _git(["ls-remote", "--tags", "--", url, *wanted], url)
    found: dict[str, tuple[str, str]] = {}
    for line in out.splitlines():
        sha, _, ref = line.partition("\t")
        name = ref.removeprefix("refs/tags/")
        if ref.startswith("refs/tags/"):
            plain = name.removesuffix("^{}")
            found[plain] = (sha, sha) if plain == name else (found[plain][0], sha)
    return found


def fetch(folder: Path, url: str, tag: str, commit: str = "") -> None:
    """Fetch one tag, or one commit, into a new bare repository.

    Raises:
        GitError: It is not there, or the repository cannot be reached.
    """
    if not (folder / "HEAD").exists():
        _make(folder)
    what = f"+{commit}:refs/heads/wanted" if commit else f"+refs/tags/{tag}:refs/tags/{tag}"
    options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
    try:
        _git(["fetch", *options, "--depth=1", "--", url, what], url, folder)
    except GitError as e:
        if not re.search(r"shallow|dumb http", str(e)):
            raise
        _git(["fetch", *options, "--", url, what], url, folder)


def _make(folder: Path) -> None:
    """A bare repository as ``git init`` would make it, without its process and its templates."""
    for name in ("objects", "refs"):
        (folder / name).mkdir(parents=True)
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    (folder / "HEAD").write_text("ref: refs/heads/main\n")


@contextmanager
def objects(folder: Path) -> Iterator[Objects]:
    """Read the objects of a repository, one after another, through a single process."""
    _need_git()
    command = ["git", *_settings(), "cat-file", "--batch"]
    environment = {key: value for key, value in os.environ.items() if key not in DROPPED}
    pipe = subprocess.PIPE
    try:
        started = subprocess.Popen(
            command, cwd=folder, env=environment | _environment(""), stdin=pipe, stdout=pipe
        )
    except OSError as e:
        raise _not_started(e) from e
    with started as process:
        try:
            yield Objects(process)
        finally:
            process.kill()


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
    """Run git; its output."""
    _need_git()
    git = _gitpython()
    command = ["git", *_settings(), *arguments]
    with _clean_environment():
        try:
            status, out, err = git.Git(folder).execute(
                command,
                with_extended_output=True,
                with_exceptions=False,
                shell=False,
                env=_environment(url),
                kill_after_timeout=LONGEST if os.name == "posix" else None,
            )
        except git.GitCommandError as e:
            status, out, err = 128, "", str(e)
        except OSError as e:
            raise _not_started(e) from e
    if status:
        text = redacted(" ".join(str(err).split())) or f"git ended with {status}"
        found = (fix for part, fix in ADVICE.items() if re.search(part, text))
        raise GitError(f"E-GIT {text}", fix=next(found, NO_ADVICE))
    return str(out)


def _settings() -> Iterator[str]:
    for setting in SETTINGS:
        yield from ("-c", setting)


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


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Take variables that redirect git out of the environment, which GitPython hands on."""
    global _users
    with _cleaning:
        if _users == 0:
            _cleaned.update((k, os.environ.pop(k)) for k in DROPPED if k in os.environ)
        _users += 1
    try:
        yield
    finally:
        with _cleaning:
            _users -= 1
            if _users == 0:
                os.environ.update(_cleaned)
                _cleaned.clear()


def _need_git() -> None:
    """Refuse to go on where there is no git.

    Raises:
        GitError: No folder of the PATH holds a git that can be run.
    """
    if shutil.which("git") is None:
        what = "E-GIT the command 'git' is in no folder of the PATH"
        raise GitError(what, fix="install git, or add its folder to the PATH")


def _not_started(error: OSError) -> GitError:
    what = f"E-GIT the command {shutil.which('git')} cannot be started: {error.strerror}"
    return GitError(what, fix="install git again, or correct the PATH")


def _gitpython() -> Any:
    try:
        import git
    except ImportError as e:  # GitPython looks for the git command when it is imported
        what = "E-GIT GitPython cannot be used: " + str(e).strip().partition("\n")[0]
        raise PluginUnavailableError(what, fix="install git, and pip install GitPython") from e
    numbers: Mapping[int, str] = dict(enumerate(re.findall(r"\d+", git.__version__)))
    if tuple(int(numbers.get(i, "0")) for i in range(3)) < (3, 2, 1):
        what = f"E-GIT GitPython {git.__version__} has known holes"
        raise PluginUnavailableError(what, fix="pip install 'GitPython>=3.2.1'")
    return git
