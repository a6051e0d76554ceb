"""The first day with a cube: what is typed, and how long it takes, beside SPy and cuvis-ai.

``python benchmarks/first_day.py`` writes synthetic cubes into a folder of its own, does each task
as a new user would, and prints a table: for each tool the number of actions (commands, and lines of
Python without blank ones) and the seconds from the first to the last. ``--show`` prints what was
typed. The tasks end with the same: a picture of the scores, and decisions. A tool that is not
installed is counted and not timed; ``--cuvis-python`` names the interpreter of an environment in
which cuvis-ai is installed, with SPy and scikit-learn. Each task is done ``--repeats`` times, and
the median counts. ``--wheels`` names a folder of wheels (``make dist``): then the installation into
new environments is timed too, once, but for cuvis-ai, which brings gigabytes of CUDA.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np

SIZE = (128, 128, 61)
SEED = 7
RESULTS = ("found", "measured", "many", "fitted", "decided", "own")
"""The folders of results, which are empty at the beginning of each task."""

Pythons: TypeAlias = dict[str, str]
"""The interpreters of tools that are not in this environment, by the package that they have."""

SPY_DETECT = """\
import numpy as np
import spectral
from scipy.stats import chi2
cube = spectral.open_image("scene.hdr").load()
scores = spectral.rx(cube)
decided = scores > chi2.ppf(0.999, cube.shape[2])
spectral.save_rgb("scores.png", scores)
spectral.save_rgb("decided.png", decided.astype(np.uint8))
"""
SPY_MASK = """\
import numpy as np
import spectral
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score
cube = spectral.open_image("scene.hdr").load()
mask = np.load("mask.npy")
scores = spectral.rx(cube)
decided = scores > chi2.ppf(0.999, cube.shape[2])
spectral.save_rgb("scores.png", scores)
spectral.save_rgb("decided.png", decided.astype(np.uint8))
print(roc_auc_score(mask.ravel() > 0, scores.ravel()))
"""
SPY_FOLDER = """\
from pathlib import Path
import numpy as np
import spectral
from scipy.stats import chi2
files = sorted(Path("cubes").glob("*.hdr"))
cubes = [spectral.open_image(str(file)).load() for file in files]
background = spectral.calc_stats(np.concatenate(cubes))
for file, cube in zip(files, cubes):
    scores = spectral.rx(cube, background=background)
    decided = scores > chi2.ppf(0.999, cube.shape[2])
    spectral.save_rgb(f"{file.stem}.png", scores)
    spectral.save_rgb(f"{file.stem}_decided.png", decided.astype(np.uint8))
"""
SPY_OTHER = """\
import numpy as np
import spectral
from scipy.stats import chi2
cube = spectral.open_image("scene.hdr").load()
background = spectral.calc_stats(cube)
other = spectral.open_image("other.hdr").load()
scores = spectral.rx(other, background=background)
decided = scores > chi2.ppf(0.999, other.shape[2])
spectral.save_rgb("scores.png", scores)
spectral.save_rgb("decided.png", decided.astype(np.uint8))
"""
SPY_ARRAY = """\
import numpy as np
import spectral
from scipy.stats import chi2
cube = np.load("scene.npy")
scores = spectral.rx(cube)
decided = scores > chi2.ppf(0.999, cube.shape[2])
spectral.save_rgb("scores.png", scores)
spectral.save_rgb("decided.png", decided.astype(np.uint8))
"""
CUVIS_ARRAY = """\
import numpy as np
import torch
from cuvis_ai.node.anomaly.rx_detector import RXGlobal
from PIL import Image
from scipy.stats import chi2
cube = torch.from_numpy(np.load("scene.npy"))[None]
rx = RXGlobal(num_channels=cube.shape[-1], eps=1e-6)
rx.statistical_initialization([{"data": cube}])
scores = rx.forward(data=cube)["scores"][0, ..., 0].detach().numpy()
decided = scores > chi2.ppf(0.999, cube.shape[-1])
Image.fromarray((255 * scores / scores.max()).astype(np.uint8)).save("scores.png")
Image.fromarray(255 * decided.astype(np.uint8)).save("decided.png")
"""
CUVIS_FILE = CUVIS_ARRAY.replace(
    'np.load("scene.npy")', 'np.asarray(spectral.open_image("scene.hdr").load())'
).replace("import torch\n", "import spectral\nimport torch\n")
CUVIS_MASK = """\
import numpy as np
import spectral
import torch
from cuvis_ai.node.anomaly.rx_detector import RXGlobal
from PIL import Image
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score
cube = torch.from_numpy(np.asarray(spectral.open_image("scene.hdr").load()))[None]
mask = np.load("mask.npy")
rx = RXGlobal(num_channels=cube.shape[-1], eps=1e-6)
rx.statistical_initialization([{"data": cube}])
scores = rx.forward(data=cube)["scores"][0, ..., 0].detach().numpy()
decided = scores > chi2.ppf(0.999, cube.shape[-1])
Image.fromarray((255 * scores / scores.max()).astype(np.uint8)).save("scores.png")
Image.fromarray(255 * decided.astype(np.uint8)).save("decided.png")
print(roc_auc_score(mask.ravel() > 0, scores.ravel()))
"""
CUVIS_FOLDER = """\
from pathlib import Path
import numpy as np
import spectral
import torch
from cuvis_ai.node.anomaly.rx_detector import RXGlobal
from PIL import Image
from scipy.stats import chi2
files = sorted(Path("cubes").glob("*.hdr"))
loaded = [np.asarray(spectral.open_image(str(file)).load()) for file in files]
cubes = [torch.from_numpy(cube)[None] for cube in loaded]
rx = RXGlobal(num_channels=cubes[0].shape[-1], eps=1e-6)
rx.statistical_initialization([{"data": cube} for cube in cubes])
for file, cube in zip(files, cubes):
    scores = rx.forward(data=cube)["scores"][0, ..., 0].detach().numpy()
    decided = scores > chi2.ppf(0.999, cube.shape[-1])
    Image.fromarray((255 * scores / scores.max()).astype(np.uint8)).save(f"{file.stem}.png")
    Image.fromarray(255 * decided.astype(np.uint8)).save(f"{file.stem}_decided.png")
"""
CUVIS_OTHER = CUVIS_FILE.replace(
    "scores = rx",
    'other = torch.from_numpy(np.asarray(spectral.open_image("other.hdr").load()))[None]\n'
    "scores = rx",
).replace("forward(data=cube)", "forward(data=other)")
CUVIS_OWN = """\
import numpy as np
import torch
from cuvis_ai_core.node import Node
from cuvis_ai_schemas.pipeline import PortSpec
from PIL import Image
class Brightness(Node):
    INPUT_SPECS = {"data": PortSpec(dtype=torch.float32, shape=(-1, -1, -1, -1))}
    OUTPUT_SPECS = {"scores": PortSpec(dtype=torch.float32, shape=(-1, -1, -1, 1))}
    def forward(self, data, **_):
        return {"scores": data.mean(-1, keepdim=True)}
cube = torch.from_numpy(np.load("scene.npy"))[None]
scores = Brightness().forward(data=cube)["scores"][0, ..., 0].numpy()
decided = scores > np.quantile(scores, 0.999)
Image.fromarray((255 * scores / scores.max()).astype(np.uint8)).save("scores.png")
Image.fromarray(255 * decided.astype(np.uint8)).save("decided.png")
"""
OURS_ARRAY = """\
import numpy as np
from specloom_detect import detect
found = detect(np.load("scene.npy"))
found.plot().savefig("found.png")
decided = found.decisions
"""
OURS_OWN = """\
from specloom_detect import detect
def brightness(cube):
    return cube.mean(-1)
detect("scene.npy", method=brightness, out="own")
"""
SPY_OWN = """\
import numpy as np
import spectral
def brightness(cube):
    return cube.mean(-1)
scores = brightness(np.load("scene.npy"))
decided = scores > np.quantile(scores, 0.999)
spectral.save_rgb("scores.png", scores)
spectral.save_rgb("decided.png", decided.astype(np.uint8))
"""


@dataclass(frozen=True)
class Way:
    """How a task is done with a tool: commands of the shell, or a program in Python.

    Args:
        commands: The commands.
        program: The program, which is one file.
        needs: The package without which it cannot be timed.
    """

    commands: tuple[str, ...] = ()
    program: str = ""
    needs: str = ""

    @property
    def actions(self) -> int:
        """What is typed: commands, and lines of Python."""
        lines = [line for line in self.program.splitlines() if line.strip()]
        return len(self.commands) + len(lines)


@dataclass(frozen=True)
class Task:
    """What a user wants on the first day."""

    title: str
    ours: Way
    others: dict[str, Way] = field(default_factory=dict)


def spy(program: str) -> Way:
    """A program with SPy."""
    return Way(program=program, needs="spectral")


def cuvis(program: str) -> Way:
    """A program with cuvis-ai."""
    return Way(program=program, needs="cuvis_ai")


TASKS = (
    Task(
        "an ENVI cube without a mask",
        Way(("specloom detect scene.hdr -o found",)),
        {"SPy": spy(SPY_DETECT), "cuvis-ai": cuvis(CUVIS_FILE)},
    ),
    Task(
        "the same with a mask",
        Way(("specloom detect scene.hdr --mask mask.npy -o measured",)),
        {"SPy": spy(SPY_MASK), "cuvis-ai": cuvis(CUVIS_MASK)},
    ),
    Task(
        "a folder of cubes",
        Way(("specloom detect cubes -o many",)),
        {"SPy": spy(SPY_FOLDER), "cuvis-ai": cuvis(CUVIS_FOLDER)},
    ),
    Task(
        "fitted on one cube, another decided",
        Way(
            ("specloom detect scene.hdr -o fitted", "specloom predict fitted other.hdr -o decided")
        ),
        {"SPy": spy(SPY_OTHER), "cuvis-ai": cuvis(CUVIS_OTHER)},
    ),
    Task(
        "an array in Python, or in a notebook",
        Way(program=OURS_ARRAY),
        {"SPy": spy(SPY_ARRAY), "cuvis-ai": cuvis(CUVIS_ARRAY)},
    ),
    Task(
        "a detector of one's own",
        Way(program=OURS_OWN),
        {"SPy": spy(SPY_OWN), "cuvis-ai": cuvis(CUVIS_OWN)},
    ),
)


INSTALLED = {"specloom": ["specloom[all]"], "SPy": ["spectral", "scipy", "matplotlib"]}
"""What is installed for these tasks; of cuvis-ai it is the package of this name."""


def install_row(wheels: Path | None, constraints: Path) -> str:
    """The row of the installation: one command for each tool, timed where there are wheels."""
    cells = []
    for packages in INSTALLED.values():
        timed = "not timed"
        if wheels is not None:
            timed = f"{install_seconds(packages, wheels, constraints):.0f} s"
        cells.append(f"1, {timed}")
    return f"| installed from wheels | {' | '.join(cells)} | 1, not timed |"


def install_seconds(packages: list[str], wheels: Path, constraints: Path) -> float:
    """How long pip takes to install packages into a new environment."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        command = [f"{folder}/bin/python", "-m", "pip", "install", "-q"]
        command += ["--find-links", str(wheels), "-c", str(constraints), *packages]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - started


def write_cubes(folder: Path) -> None:
    """Write a scene with a mask, another one, and a folder of three, with bright pixels in each."""
    import spectral.io.envi

    rng = np.random.default_rng(SEED)
    (folder / "cubes").mkdir()
    names = ("scene", "other", "cubes/a", "cubes/b", "cubes/c")
    for name in names:
        light = rng.normal(1, 0.1, (*SIZE[:2], 1))
        cube = (light * np.linspace(1, 2, SIZE[2]) + rng.normal(0, 0.02, SIZE)).astype(np.float32)
        cube[40:44, 60:64, 20:30] += 0.5
        spectral.io.envi.save_image(str(folder / f"{name}.hdr"), cube, dtype=np.float32)
        if name == "scene":
            np.save(folder / "scene.npy", cube)
    mask = np.zeros(SIZE[:2], np.uint8)
    mask[40:44, 60:64] = 1
    np.save(folder / "mask.npy", mask)


def median_seconds(way: Way, folder: Path, pythons: Pythons, repeats: int) -> float | None:
    """The median of how long a task takes; None where the tool is not installed."""
    python = pythons.get(way.needs, sys.executable)
    if way.needs and not _has(python, way.needs):
        return None
    return statistics.median(seconds(way, folder, python) for _ in range(repeats))


def _has(python: str, package: str) -> bool:
    """Whether an interpreter finds a package."""
    looked = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{package}') is None)"
    return subprocess.run([python, "-c", looked], check=False).returncode == 0


def seconds(way: Way, folder: Path, python: str) -> float:
    """How long a task takes once, each command in a process of its own."""
    for name in RESULTS:
        shutil.rmtree(folder / name, ignore_errors=True)
    start = time.perf_counter()
    for command in way.commands:
        words = command.split()
        _call([sys.executable, "-m", *words], folder)
    if way.program:
        (folder / "program.py").write_text(way.program, "utf-8")
        _call([python, "program.py"], folder)
    return time.perf_counter() - start


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def _cell(way: Way | None, taken: float | None) -> str:
    if way is None:
        return ""
    if taken is None:
        return f"{way.actions}, not installed"
    return f"{way.actions}, {taken:.1f} s"


@click.command()
@click.option("--repeats", default=3, show_default=True, help="How often each task is done.")
@click.option("--cuvis-python", metavar="FILE", help="An interpreter that has cuvis-ai.")
@click.option(
    "--wheels", type=click.Path(path_type=Path, exists=True), help="A folder of wheels to install."
)
@click.option("--show", is_flag=True, help="Print what is typed for each task.")
def main(*, repeats: int, cuvis_python: str | None, wheels: Path | None, show: bool) -> None:
    """Print the actions and seconds of the tasks of a first day."""
    tools = ("SPy", "cuvis-ai")
    pythons: Pythons = {}
    if cuvis_python is not None:
        pythons["cuvis_ai"] = cuvis_python
    rows = ["| task | specloom | SPy | cuvis-ai |", "|---|---|---|---|"]
    rows.append(install_row(wheels, Path(__file__).parents[1] / "constraints.txt"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cubes(folder)
        for task in TASKS:
            ways = [task.ours, *(task.others.get(tool) for tool in tools)]
            cells = []
            for way in ways:
                taken = None
                if way is not None:
                    taken = median_seconds(way, folder, pythons, repeats)
                cells.append(_cell(way, taken))
            rows.append(f"| {task.title} | {' | '.join(cells)} |")
            if show:
                click.echo("\n".join([f"# {task.title}", *task.ours.commands, task.ours.program]))
                for tool, way in task.others.items():
                    click.echo(f"# {tool}\n{way.program}")
    click.echo("\n".join(rows))


if __name__ == "__main__":
    main()
