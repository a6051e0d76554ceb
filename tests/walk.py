"""Walks a page of documentation as its reader would: writes its files, runs its commands.

In a ``console`` block a line ``$ command`` is run, in the page's own folder, and what stands below
must be printed, in that order, anywhere in the output: ``…`` stands for anything, decimal numbers
may differ by a tenth. A command succeeds unless an ``error:`` is shown or ``$ echo $?`` follows.
``# needs the network`` (or another need) after a command: only its name and options are looked at.
A command with ``&`` at its end runs until ``kill %1``; the output that stands below it is waited
for. The ports 8080 and 8081 of pages are free ones of this machine.
A ``yaml``, ``toml``, ``python`` or ``csv`` block that begins with ``# name.ending`` is written to
that file; ``text`` is output or a picture, and nothing else is left as it is.

Commands run in forks of one process that has imported torch, so that each costs no start.
"""

import atexit
import importlib
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NUMBER = r"-?\d+\.\d+(?:e[+-]?\d+)?"
NEEDS = re.compile(r"\s+# needs .*$")
LIMIT = 120
PORTS = ("8080", "8081")
STORES = ("XDG_CACHE_HOME", "SPECLOOM_STORE", "SPECLOOM_WEIGHTS")
INSTALL = "python -m pip install -q --no-deps --no-build-isolation --no-index --target"


def blocks(text):
    """Language and text of each block."""
    return BLOCK.findall(text)


def steps(block):
    """The commands of a console block, each with the output shown below it."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(line)
    return found


def missing(shown, reported):
    """The first line shown that was not printed; None where all were."""
    lines = iter(reported.splitlines())
    return next((one for one in shown if not any(_fits(one, line) for line in lines)), None)


def _fits(shown, line):
    shown, line = " ".join(shown.split()), " ".join(line.split())
    pattern = "".join(
        ".*" if part == "…" else f"({NUMBER})" if re.fullmatch(NUMBER, part) else re.escape(part)
        for part in re.split(f"(…|{NUMBER})", shown)
    )
    if not (match := re.fullmatch(pattern, line)):
        return False
    pairs = zip(map(float, re.findall(NUMBER, shown)), map(float, match.groups()), strict=True)
    return all(abs(a - b) <= 0.1 * max(abs(a), abs(b)) for a, b in pairs)


def _free_ports(count):
    """Numbers of ports that no program uses, as texts."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return found


class Forking:
    """The process that has imported torch and forks for each command."""

    def __init__(self):
        env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        pipe, command = subprocess.PIPE, [sys.executable, __file__]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, text=True)

    def __call__(self, **request):
        """Run a command; its exit code."""
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Shell:
    """A reader's shell: it runs commands in a folder, where ``root`` is the repository."""

    def __init__(self, folder, root, forking):
        self.folder, self.here, self.root = Path(folder), Path(folder), root
        self.forking, self.code = forking, 0
        self.own = {"NO_COLOR": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        self.own |= {name: str(self.folder / ".cache" / name) for name in STORES}
        self.own["PYTHONPATH"] = str(self.folder / ".site")
        self.own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self.background = None

    def with_ports(self, text):
        """A text of a page with ports that are free."""
        for port, free in self.ports.items():
            text = text.replace(port, free)
        return text

    def close(self):
        """End what runs in the background."""
        if self.background is not None:
            self.background.terminate()
            self.background.wait(30)
            self.background = None

    def _start(self, command, shown):
        """Run a command in the background, and return what it reported when the page goes on."""
        file = self.folder / ".background"
        with file.open("w") as output:
            self.background = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.here,
                env=os.environ | self.own,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + LIMIT
        while missing(shown, file.read_text()) is not None and self.background.poll() is None:
            assert time.monotonic() < deadline, file.read_text()
            time.sleep(0.1)
        self.code = self.background.poll() or 0
        return file.read_text()

    def __call__(self, command, shown=()):
        """What a command reported, on both streams."""
        command = self.with_ports(command)
        if command.endswith(" &"):
            return self._start(command.removesuffix(" &"), shown)
        if command == "kill %1":
            self.close()
            self.code = 0
            return ""
        return self._run(command)

    def _run(self, command):
        """The output of a command that runs to its end."""
        if command == "echo $?":
            return f"{self.code}\n"
        only_look = bool(NEEDS.search(command))
        if command.startswith("make "):
            command = f"make -n -C {self.root} {command[5:]}"
        if command.startswith("pip install "):
            command = f"{INSTALL} {self.folder / '.site'} {command[12:]}"
        if command.startswith("pip uninstall "):
            command = f"rm -r {self.folder / '.site'}"
        words = shlex.split(NEEDS.sub("", command).replace("$PWD", str(self.here)))
        env = dict(one.split("=", 1) for one in words if re.match(r"[A-Z_]+=", one))
        words = words[len(env) :]
        if words[0] == "cd":
            self.here = (self.here / words[1]).resolve(strict=True)
            self.code = 0
            return ""
        if words[0] == "source":
            assert f"VENV := {words[1].partition('/')[0]}\n" in (self.root / "Makefile").read_text()
            return ""
        if words[0] in ("specloom", "python"):
            out, cwd = str(self.folder / ".told"), str(self.here)
            site, env = str(self.folder / ".site"), self.own | env
            request = {"words": words, "env": env, "look": only_look, "cwd": cwd, "site": site}
            self.code = self.forking(**request, out=out)
            return Path(out).read_text("utf-8")
        if only_look:
            assert shutil.which(words[0], path=self.own["PATH"]), command
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.here,
            env=os.environ | self.own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.code = done.returncode
        return done.stdout

    def walk(self, block):
        """Run the commands of a console block and compare what they tell."""
        commands = steps(block)
        for (command, shown), follows in zip(commands, [*commands[1:], ("", [])], strict=True):
            shown = [self.with_ports(line) for line in shown]
            reported = self(command, shown)
            about = f"$ {command}\n{reported}"
            wrong = any(re.match("(E|e)rror: ", line) for line in shown)
            if follows[0] != "echo $?" and command != "echo $?":
                assert bool(self.code) == wrong, f"{about}exit code {self.code}"
            assert "Traceback" not in reported, about
            gone = missing(shown, reported)
            assert gone is None, f"{about}not printed: {gone}"


def _serve():
    """Run each command that is asked for in a fork."""
    import torch

    import specloom.cli

    assert torch.get_num_threads() == 1, specloom.cli
    for line in sys.stdin:
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        else:
            _child(json.loads(line))


def _child(request):
    code = 99
    signal.alarm(LIMIT)
    try:
        file = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.pop("SPECLOOM_NO_REPORT", None)
        os.environ |= request["env"]
        sys.path.insert(0, request["site"])
        importlib.invalidate_caches()
        os.chdir(request["cwd"])
        program, *sys.argv = request["words"]
        if program == "specloom":
            sys.argv.insert(0, "specloom")
            _look() if request["look"] else _specloom()
        else:
            sys.path.insert(0, os.curdir)
            module = sys.argv[0] == "-m"
            sys.argv = sys.argv[module:]
            run = runpy.run_module if module else runpy.run_path
            run(sys.argv[0], run_name="__main__", **({"alter_sys": True} if module else {}))
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(bool(e.code))
    except BaseException as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr)
        code = 98
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _specloom():
    from specloom.cli import main

    main()


def _look():
    """Parse a command without running it."""
    from specloom.cli import cli

    group, words, context = cli, sys.argv[1:], None
    while hasattr(group, "commands"):
        context = group.make_context(group.name, list(words), parent=context)
        name, group, words = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
    group.make_context(name, list(words), parent=context)


if __name__ == "__main__":
    warnings.simplefilter("default")
    _serve()
