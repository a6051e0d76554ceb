"""New environments without specloom: with the third-party packages of this one, or with none."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

OWN = "specloom"
NAMES = (
    "import json\nfrom importlib.metadata import distributions\n"
    "print(json.dumps(sorted({one.name for one in distributions()})))"
)


class Environment:
    """A new virtual environment in a folder.

    Args:
        folder: Where it is created.
        wheels: The folder of wheels that are installed into it.
        bare: Whether it has pip alone; else it sees the third-party packages of this environment.
        variables: Variables of the environment of its commands.
    """

    def __init__(self, folder, wheels, *, bare=False, **variables):
        self.folder = folder / "environment"
        self.wheels = wheels
        self.variables = variables
        venv.create(self.folder, symlinks=True, with_pip=bare)
        if not bare:
            self.see_packages_of_this(folder / "third-party")

    def see_packages_of_this(self, packages):
        """Let it import the third-party packages of this environment, through a folder of links."""
        link_packages(packages)
        (site,) = self.folder.glob("lib/python*/site-packages")
        (site / "third_party.pth").write_text(f"{packages}\n")

    def install(self, requirement):
        """Install from the folder of wheels; what they need must be there already."""
        options = ["-q", "--no-index", "--no-compile", "--disable-pip-version-check"]
        python = str(self.folder / "bin/python")
        command = [sys.executable, "-m", "pip", "--python", python, "install", *options]
        run([*command, "--find-links", str(self.wheels), requirement])

    def pip(self, *arguments):
        """What its own pip prints, which gets packages from where pip is configured to."""
        return run([self.folder / "bin/pip", *arguments], variables=self.variables)

    def python(self, program, cwd):
        """What a program prints."""
        return run([self.folder / "bin/python", "-c", program], cwd, self.variables)

    def distributions(self, cwd):
        """The distributions of specloom that importlib.metadata finds."""
        names = json.loads(self.python(NAMES, cwd))
        return [name for name in names if name.startswith(OWN)]

    def specloom(self, *arguments, cwd, code=0):
        """What a command of specloom prints on both streams."""
        return run([self.folder / "bin/specloom", *arguments], cwd, self.variables, code)


def link_packages(folder):
    """Fill a folder with links to the installed packages but those of specloom."""
    folder.mkdir()
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for package in Path(site).iterdir():
            if OWN not in package.name and package.suffix != ".pth":
                (folder / package.name).symlink_to(package)


def run(command, cwd=None, variables=None, code=0):
    """What a command prints on both streams; it must end with the code."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{command}\n{done.stdout}"
    return done.stdout
