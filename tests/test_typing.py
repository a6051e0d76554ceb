"""Type checkers agree with the Python API: examples, pages, correct code, and mistakes.

Each checker runs once over all files. Both read torch, which takes longer than 5 s where the cache
of mypy, the one of ``make types``, is empty.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TYPED = ROOT / "tests/typed"
PAGES = ["README.md", "docs/*.md", "docs/*/*.md", "plugins/README.md", "plugins/*/README.md"]


def extract_blocks(folder):
    """Write the Python blocks of each page as one module, and return the files."""
    files = []
    for page in (page for pattern in PAGES for page in sorted(ROOT.glob(pattern))):
        blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        own = "|".join(re.findall(r"^# (\w+)\.py$", "\n".join(blocks), re.MULTILINE))
        if own:  # what one file of the page imports from another one stands above it
            blocks = [re.sub(rf"^from ({own}) import .*$", "", one, flags=re.M) for one in blocks]
        name = re.sub(r"\W", "_", page.relative_to(ROOT).with_suffix("").as_posix()).lower()
        if blocks:
            file = folder / f"page_{name}.py"
            file.write_text("\n".join(blocks), "utf-8")
            files.append(file)
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What is correct, and the file of mistakes."""
    pages = extract_blocks(tmp_path_factory.mktemp("pages"))
    assert len(pages) > 10
    examples = sorted((ROOT / "examples").rglob("*.py"))
    return [*pages, *examples, TYPED / "correct.py", TYPED / "mistakes.py"]


def marked_lines():
    text = (TYPED / "mistakes.py").read_text("utf-8")
    return {i for i, line in enumerate(text.splitlines(), 1) if "# mistake:" in line}


def run_checker(*command):
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1, done.stdout + done.stderr  # the mistakes are found
    return done.stdout


def check_places(places):
    """Exactly the marked lines of the file of mistakes are wrong."""
    others = [place for place in places if place[0] != "mistakes.py"]
    assert others == []
    assert {line for _, line, _ in places} == marked_lines()


def test_there_are_eight_mistakes():
    assert len(marked_lines()) == 8


@pytest.mark.timeout(600)  # mypy reads torch where its cache is empty
def test_mypy_finds_the_mistakes_and_nothing_else(files):
    options = ["--strict", "--no-error-summary", "--hide-error-context"]
    out = run_checker("mypy", *options, *map(str, files))
    found = re.findall(r"^(\S+):(\d+): error: (.*)$", out, re.MULTILINE)
    check_places([(Path(file).name, int(line), what) for file, line, what in found])


@pytest.mark.timeout(600)  # pyright reads torch as well
def test_pyright_finds_the_mistakes_and_nothing_else(files):
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable]
    found = json.loads(run_checker(*command, *map(str, files)))["generalDiagnostics"]
    check_places(
        [
            (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"])
            for one in found
            if one["severity"] == "error"
        ]
    )


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("from specloom_rx import RX", {"RXGlobal", "RXPerBatch"}),
        (
            "from specloom_rx import RXGlobal\nRXGlobal(name='a').",
            {"data", "scores", "num_channels"},
        ),
        ("from specloom_rx import RXGlobal\nRXGlobal(ep", {"eps="}),
    ],
    ids=["classes", "ports and parameters", "arguments"],
)
def test_editors_complete_classes_ports_and_parameters(code, wanted):
    import jedi

    script = jedi.Script(code, path=TYPED / "completed.py")
    assert wanted <= {one.name for one in script.complete()}
