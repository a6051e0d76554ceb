"""A new contributor's walk: every command of CONTRIBUTING.md is run, in a copy of the repository.

The environment at hand takes the place of ``make setup``, which takes minutes: the copy's packages
stand before the installed ones on the path. A command that ends with ``# takes minutes`` is only
looked at: make prints what it would do, and another program must be there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from walk import INSTALL, blocks, missing, steps

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
NAMED = re.compile(r"# ([\w./-]+\.py)\n")
ABSENT = shutil.ignore_patterns(
    *(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", ".coverage*", "runs", "build"),
)
LONG = "# takes minutes"
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Contributor:
    """Somebody with a clone: gives commands in it, and reads what they print."""

    def __init__(self, clone, scratch):
        self.clone = clone
        self.site = scratch / "site"
        self.code = 0
        packages = [clone / "kernel", clone / "registry", *sorted((clone / "plugins").iterdir())]
        self.environment = {
            **os.environ,
            "NO_COLOR": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, [*packages, self.site])),
            "XDG_CACHE_HOME": str(scratch / "cache"),
        }

    def command(self, line):
        """What is run in place of a command of the page."""
        if line.startswith("make "):
            dry = "-n" if LONG in line or line == "make setup" else ""
            ready = f"READY= BIN={Path(sys.executable).parent}"
            return f"make {dry} {line.removeprefix('make ').partition('#')[0]} {ready}"
        if line.startswith("pip install "):
            return f"{INSTALL} {self.site} {line.removeprefix('pip install ')}"
        if line.startswith("source "):
            return "true"
        if line.endswith(LONG):
            return f"command -v {line.split()[0]}"
        return line

    def __call__(self, line):
        if line == "echo $?":
            return f"{self.code}\n"
        done = subprocess.run(
            ["bash", "-c", self.command(line)],
            cwd=self.clone,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.code = done.returncode
        return done.stdout

    def walk(self, block):
        """Run the commands of a block; each succeeds, unless the next one shows its exit code."""
        commands = steps(block)
        for number, (line, shown) in enumerate(commands):
            following = commands[number + 1][0] if number + 1 < len(commands) else ""
            printed = self(line)
            about = f"$ {line}\n{printed}"
            if "echo $?" not in (line, following):
                assert self.code == 0, f"{about}exit code {self.code}"
            assert missing(shown, printed) is None, about

    def write(self, block):
        """Write the file that a block names."""
        named = NAMED.match(block)
        assert named, block
        (self.clone / named[1]).write_text(block[named.end() :], "utf-8")


@pytest.fixture
def contributor(tmp_path):
    clone = tmp_path / "specloom"
    shutil.copytree(ROOT, clone, ignore=ABSENT)
    subprocess.run(["git", "-C", str(clone), "init", "-q", "--template="], check=True)
    return Contributor(clone, tmp_path)


@pytest.mark.timeout(900)  # about 30 s of CPU, which a busy machine gives slowly
def test_a_contributor_walks_through(contributor):
    for language, block in blocks(PAGE.read_text("utf-8")):
        if language == "console":
            contributor.walk(block)
        else:
            contributor.write(block)
    described = contributor.clone / "plugins/deciders/README.md"
    assert "`deciders.LimitDecider`" in described.read_text("utf-8")


def test_the_walk_uses_the_copy(contributor):
    place = contributor("python -c 'import specloom, specloom_rx; print(specloom_rx.__file__)'")
    assert place.startswith(str(contributor.clone))


def test_a_command_that_fails_or_prints_something_else_ends_the_walk(contributor):
    with pytest.raises(AssertionError, match="exit code 2"):
        contributor.walk("$ ls no_such_file\n")
    with pytest.raises(AssertionError):
        contributor.walk("$ echo one\ntwo\n")
    contributor.walk("$ ls no_such_file\n$ echo $?\n2\n")


def test_every_block_is_of_a_kind_that_is_walked_and_every_make_target_exists():
    text = PAGE.read_text("utf-8")
    assert {language for language, _ in blocks(text)} == {"console", "python"}
    assert text.count("```") == 2 * len(blocks(text))
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
