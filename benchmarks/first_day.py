"""The first day with a cube: what is typed, and how long it takes, beside SPy and cuvis-ai.

``python benchmarks/first_day.py`` writes synthetic cubes into a folder of its own, does each task
as a new user would, and prints a table: for each tool the number of actions (commands, and lines of
Python without blank ones) and the seconds from the first to the last. ``--show`` prints what was
typed. A tool that is not installed is counted and not timed. The tasks end with the same: a picture
of the scores, and decisions.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

SIZE = (128, 128, 61)
SEED = 7

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
        {"SPy": spy(SPY_MASK)},
    ),
    Task(
        "a folder of cubes",
        Way(("specloom detect cubes -o many",)),
        {"SPy": spy(SPY_FOLDER)},
    ),
    Task(
        "fitted on one cube, another decided",
        Way(
            ("specloom detect scene.hdr -o fitted", "specloom predict fitted other.hdr -o decided")
        ),
        {"SPy": spy(SPY_OTHER)},
    ),
    Task(
        "an array in Python, or in a notebook",
        Way(program=OURS_ARRAY),
        {"SPy": spy(SPY_ARRAY), "cuvis-ai": cuvis(CUVIS_ARRAY)},
    ),
    Task("a detector of one's own", Way(program=OURS_OWN), {"SPy": spy(SPY_OWN)}),
)


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


def seconds(way: Way, folder: Path) -> float | None:
    """How long a task takes, each command in a process of its own; None where it cannot be done."""
    if way.needs and importlib.util.find_spec(way.needs) is None:
        return None
    start = time.perf_counter()
    for command in way.commands:
        words = command.split()
        _call([sys.executable, "-m", *words], folder)
    if way.program:
        (folder / "program.py").write_text(way.program, "utf-8")
        _call([sys.executable, "program.py"], folder)
    return time.perf_counter() - start


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def _cell(way: Way | None, taken: float | None) -> str:
    if way is None:
        return ""
    if taken is None:
        return f"{way.actions}, not timed"
    return f"{way.actions}, {taken:.1f} s"


@click.command()
@click.option("--show", is_flag=True, help="Print what is typed for each task.")
def main(*, show: bool) -> None:
    """Print the actions and seconds of the tasks of a first day."""
    tools = ("SPy", "cuvis-ai")
    rows = ["| task | specloom | SPy | cuvis-ai |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cubes(folder)
        for task in TASKS:
            ways = [task.ours, *(task.others.get(tool) for tool in tools)]
            cells = [_cell(way, None if way is None else seconds(way, folder)) for way in ways]
            rows.append(f"| {task.title} | {' | '.join(cells)} |")
            if show:
                click.echo("\n".join([f"# {task.title}", *task.ours.commands, task.ours.program]))
                for tool, way in task.others.items():
                    click.echo(f"# {tool}\n{way.program}")
    click.echo("\n".join(rows))


if __name__ == "__main__":
    main()
