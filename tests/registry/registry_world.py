"""A world for the registry's tests: real Git repositories, plugins in them, a project, a store."""

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from click.testing import CliRunner

import specloom
from specloom import SpecloomError
from specloom_registry.commands.plugins import plugins as command

ORIGIN = "https://localhost:9/acme/"  # no server listens there: only mirrors answer
MADE = Path(tempfile.mkdtemp(prefix="specloom-repos-"))
atexit.register(shutil.rmtree, MADE, ignore_errors=True)
GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}
MAJOR, MINOR = specloom.__version__.split(".")[:2]
NEXT = f"{MAJOR}.{int(MINOR) + 1}"
KERNEL = f">={MAJOR}.{MINOR},<{NEXT}"
"""The range of kernels that a plugin made for this one names."""
PROBING = ("add", "remove", "lock", "update", "sync")
PROJECT = """\
[project]
name = "{distribution}"
version = "{version}"
requires-python = "{python}"
dependencies = {dependencies}
[project.entry-points.specloom]
{name} = "{top}"
{more}"""
INIT = """\
from specloom import impl
SAYS = {says!r}
@impl
def register_nodes():
    return {nodes!r}
{more}"""
NODE = '''\
from specloom import Port

class {node}:
    """Twice the cube."""

    inputs = {{"data": Port("B H W C", doc="A cube.")}}
    outputs = {{"doubled": Port("B H W C", doc="Twice the cube.")}}

    def forward(self, data):
        return {{"doubled": data * 2}}
'''


def plugin_files(
    name="rx",
    version="1.0.0",
    *,
    node="Twice",
    says="one",
    needs=(),
    init="",
    kernel=KERNEL,
    python=">=3.11",
    more="",
    top="",
):
    """The files of a plugin, by path."""
    top = top or f"acme_{name.replace('-', '_')}"
    project = PROJECT.format(
        distribution=f"specloom-{name}",
        version=version,
        python=python,
        name=name,
        top=top,
        more=more,
        dependencies=json.dumps([f"specloom{kernel}", *needs]),
    )
    nodes = {node: f"{top}.nodes:{node}"}
    described = {node: {"kind": "nodes", "doc": "Twice the cube.", "params": {}, "required": []}}
    return {
        "pyproject.toml": project,
        f"{top}/__init__.py": INIT.format(says=says, nodes=nodes, more=textwrap.dedent(init)),
        f"{top}/nodes.py": NODE.format(node=node),
        f"{top}/nodes.json": json.dumps(described),
    }


class Repo:
    """A Git repository with a working copy."""

    def __init__(self, path):
        self.path, self.url = path, f"file://{path}"
        if not path.exists():
            path.mkdir(parents=True)
            self.git("init", "--quiet", "--initial-branch=main", "--template=")

    def git(self, *arguments, data=None):
        done = subprocess.run(
            ["git", "-C", str(self.path), *map(str, arguments)],
            input=data,
            capture_output=True,
            env=os.environ | GIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def write(self, files, under=""):
        for name, text in files.items():
            file = self.path / under / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, files=None, under="", tag=None, annotated=False):
        self.write(files or {}, under)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", "one")
        if tag:
            self.tag(tag, annotated=annotated)
        return self.git("rev-parse", "HEAD")

    def tag(self, name, *, annotated=False, force=False, at="HEAD"):
        options = ["-a", "-m", name] if annotated else []
        self.git("tag", *(["-f"] if force else []), *options, name, at)

    def raw_tree(self, entries):
        """A tree as bytes say, past git's own checks: ``(mode, name, hash)``."""
        data = b"".join(
            f"{mode} {name}\0".encode("utf-8", "surrogateescape") + bytes.fromhex(sha)
            for mode, name, sha in entries
        )
        return self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", data=data)

    def raw_tag(self, tree, tag):
        self.git("tag", "-f", tag, self.git("commit-tree", tree, "-m", "raw"))


class World:
    """A folder with repositories, one project, and one store."""

    def __init__(self, root):
        self.root, self.origins = root, root / "origins"
        self.project, self.store = root / "project", root / "store"
        self.project.mkdir()
        self.manifest, self.lock = self.project / "plugins.yaml", self.project / "plugins.lock"

    def repo(self, name="rx", **about):
        """The repository of a plugin with one tag; ``about`` is for ``plugin_files``."""
        made = MADE / hashlib.sha256(f"{name}{about}".encode()).hexdigest()
        if not made.exists():  # most tests want one that is as another's
            repo = Repo(made)
            repo.commit(plugin_files(name, **about), tag=f"v{about.get('version', '1.0.0')}")
        shutil.copytree(made, self.origins / f"{name}.git", symlinks=True)
        return Repo(self.origins / f"{name}.git")

    def repo_of(self, name):
        """A repository that was made before."""
        return Repo(self.origins / f"{name}.git")

    def write(self, lines, head="", mirrored=True):
        """Write the manifest; repositories of ``ORIGIN`` are had from this folder."""
        body = textwrap.indent(textwrap.dedent(lines).strip(), "  ")
        text = f"schema: 1\nplugins:{f'{chr(10)}{body}' if lines else ' {}'}\n{head}"
        if mirrored:
            text += f'mirrors: [{{match: "{ORIGIN}", use: "file://{self.origins}/"}}]\n'
        self.manifest.write_text(text)
        return self.manifest

    def wants(self, *tags, **options):
        """Write a manifest of plugins, such as ``rx@v1.0.0``."""
        pairs = (tag.partition("@")[::2] for tag in tags)
        lines = "\n".join(f"{n}: {{git: {ORIGIN}{n}.git, tag: {t}}}" for n, t in pairs)
        return self.write(lines, **options)

    def run(self, *arguments, code=0, probe=False):
        """Run ``specloom plugins`` in this process; the result, with errors as the CLI ends."""
        name, *rest = map(str, arguments)
        about = [] if name == "gc" else ["--manifest", str(self.manifest)]
        about += ["--no-probe"] if name in PROBING and not probe else []
        done = CliRunner().invoke(command, [name, *about, *rest])
        failed = done.exception
        if isinstance(failed, SpecloomError):
            done.exit_code = failed.exit_code
        elif failed is not None and not isinstance(failed, SystemExit):
            raise failed
        done.error = failed if isinstance(failed, SpecloomError) else None
        assert done.exit_code == code, (done.output, failed)
        return done

    def locked(self):
        return json.loads(self.lock.read_text())

    def tree(self, name="rx"):
        return self.store / "trees" / self.locked()["plugins"][name]["tree"]

    def trees(self):
        folder = self.store / "trees"
        return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []

    def leftovers(self):
        return sorted(str(one) for one in self.store.glob("tmp/*"))

    def python(self, program, **environment):
        """Run a program in a process of its own, in the project's folder."""
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            cwd=self.project,
            env=os.environ | environment,
            check=False,
        )


def open_up(folder):
    """Let a sealed tree be changed."""
    for place, _, names in os.walk(folder):
        Path(place).chmod(0o755)
        for name in names:
            Path(place, name).chmod(0o644)
    return folder
