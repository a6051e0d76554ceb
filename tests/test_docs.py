"""Every page of the documentation is walked: its commands run, and what it shows is printed."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import broken_cubes
from specloom_registry.commands.plugins import plugins
from specloom_registry.model.entry import PATH_KEYS, SOURCE_KEYS
from specloom_registry.model.manifest import KEYS
from specloom_registry.model.options import INSTALLER_KEYS, LIMIT_KEYS
from walk import Forking, Shell, blocks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "examples/own_cubes/README.md"
# Pages that are walked one after the other in one folder, as a later one uses what is there.
WALKS = {
    "first-run": ["first-run", "reading-errors", "threads"],
    "your-own-cubes": ["your-own-cubes", "troubleshooting"],
    "annotations of cubes": ["annotations-and-data-sets"],
    "inspection": ["inspection", "serving"],
    "from-camera-to-cube": ["from-camera-to-cube"],
    "python": ["python"],
    "own-detector": ["own-detector"],
    "choosing-bands": ["choosing-bands"],
    "domain": ["domain"],
    "known-targets": ["known-targets"],
    "pretreatments": ["pretreatments"],
    "past-one-machine": ["past-one-machine", "clusters"],
    "choosing-a-detector": ["choosing-a-detector"],
    "two-phase-training": ["two-phase-training"],
    "selecting-channels": ["selecting-channels"],
    "from-cuvis-ai": ["from-cuvis-ai"],
    "thresholds": ["thresholds"],
    "plugins": [
        "writing-a-plugin",
        "pinning-and-reproducing",
        "upgrading-a-plugin",
        "plugins-of-a-project",
        "plugin-settings",
    ],
    "adaclip": ["adaclip"],
    "large-scenes": ["large-scenes"],
    "background": ["background"],
    "native": ["native"],
    "own_cubes": [EXAMPLE],
}
GENERATED = {"error-codes"}  # a reference without commands, as long as it need be
SOAK = {"adaclip"}  # makes the tiny weights, half a minute
NAMED = re.compile(r"# ([\w./-]+\.(?:yaml|toml|py|csv))\n")
LANGUAGES = {"console", "yaml", "toml", "python", "text"}


WALKED = [*DOCS.glob("*.md"), *DOCS.glob("explanation/*.md")]
PAGES = {path.stem: path for path in sorted(WALKED)} | {"own_cubes": EXAMPLE}


def page(name):
    return (name if isinstance(name, Path) else PAGES[name]).read_text("utf-8")


@pytest.fixture(scope="module")
def forking():
    made = Forking()
    yield made
    made.close()


@pytest.fixture
def shell(tmp_path, forking):
    """A reader's clone."""
    for name in ("configs", "plugins", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".git").mkdir()
    made = Shell(tmp_path, ROOT, forking)
    yield made
    made.close()


def prepare(name, shell):
    """What the reader of a page is said to have."""
    if name == "troubleshooting":
        broken_cubes.make(shell.folder)


def check_fragment(text, shell, whole):
    """A part of a run file is good in place of that part of a whole one."""
    part = yaml.safe_load(text)
    if part is None:
        assert text.startswith("# yaml-language-server: $schema=")
        return
    known = yaml.safe_load((ROOT / whole).read_text("utf-8"))
    for key, value in part.items():
        known[key] = {**known[key], **value} if key == "nodes" else value
    (shell.folder / "fragment.yaml").write_text(yaml.safe_dump(known, sort_keys=False))
    reported = shell("specloom check fragment.yaml")
    assert shell.code == 0, text + reported


@pytest.mark.parametrize(
    "walk", [pytest.param(n, marks=[pytest.mark.soak] * (n in SOAK)) for n in WALKS]
)
def test_a_reader_walks_through(walk, shell):
    for name in WALKS[walk]:
        prepare(name, shell)
        text = page(name)
        used = re.findall(r"configs/[\w/]+\.yaml", text)
        whole = "examples/own_cubes/run.yaml" if "cubes" in walk else used[0] if used else ""
        for language, block in blocks(text):
            if language == "console":
                shell.walk(block)
            elif named := NAMED.match(block):
                file = shell.folder / named[1]
                file.parent.mkdir(exist_ok=True)
                file.write_text(shell.with_ports(block[named.end() :]), "utf-8")
            elif language == "yaml":
                check_fragment(block, shell, whole)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_short_and_its_blocks_are_of_a_kind_that_is_run(name):
    text = page(PAGES[name])
    limits = {
        "choosing-a-detector": 250,
        "troubleshooting": 260,
        "your-own-cubes": 170,
        "error-codes": 2000,
    }
    limit = limits.get(name, 150)
    assert 20 <= len(text.splitlines()) <= limit
    for language, block in blocks(text):
        assert language in LANGUAGES
        assert language not in ("python", "toml") or NAMED.match(block)
    assert text.count("```") == 2 * len(blocks(text))


@pytest.mark.parametrize("path", [*PAGES.values(), ROOT / "README.md"], ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_every_page_is_walked_and_the_readme_leads_to_it():
    walked = {PAGES.get(name, name) for names in WALKS.values() for name in names}
    assert walked == {PAGES[name] for name in PAGES.keys() - GENERATED}
    readme = (ROOT / "README.md").read_text("utf-8")
    assert all(f"docs/{path.name}" in readme for path in DOCS.glob("*.md"))
    assert "examples/own_cubes" in readme


def test_every_command_of_plugins_is_run_on_a_page():
    walked = "".join(page(name) for name in WALKS["plugins"])
    commands = re.findall(r"^\$ specloom plugins ([a-z]+)", walked, re.MULTILINE)
    assert set(commands) == set(plugins.commands)
    for command in ("run", "check", "graph", "nodes", "reproduce"):
        assert f"\n$ specloom {command} " in walked


def test_every_environment_variable_and_setting_is_on_the_page():
    text = page("plugin-settings")
    folders = [ROOT / "kernel/specloom", ROOT / "registry/specloom_registry"]
    folders += ROOT.glob("plugins/*/specloom_*")
    files = [file for folder in folders for file in folder.rglob("*.py")]
    code = "".join(file.read_text("utf-8") for file in files)
    variables = set(re.findall(r"\bSPECLOOM_[A-Z_]+\b", code))
    assert variables == set(re.findall(r"\| `(SPECLOOM_[A-Z_]+)`", text))
    for key in (*KEYS, *SOURCE_KEYS, *PATH_KEYS, *INSTALLER_KEYS, *LIMIT_KEYS):
        assert f"`{key}`" in text or f"({key})" in text, key


@pytest.mark.parametrize("name", PAGES)
def test_what_is_named_in_passing_exists(name):
    text = page(PAGES[name])
    for path in re.findall(r"`((?:configs|plugins|examples)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    for plugin, node in re.findall(r"`?\b([a-z]+)\.([A-Z][A-Za-z]+)\b", text):
        init = ROOT / f"plugins/{plugin}/specloom_{plugin}/__init__.py"
        if init.is_file() and node != "RXGlobl":  # a typo that is shown
            assert node in init.read_text("utf-8"), f"{plugin}.{node}"


def cells(line):
    return [cell.strip(" *`") for cell in line.strip().strip("|").split("|")]


def test_figures_of_choosing_bands_are_those_of_the_plugin():
    text = (ROOT / "plugins/mrmr/README.md").read_text("utf-8")
    made = {cells(line)[0]: cells(line)[1:] for line in text.splitlines() if "|" in line}
    shown = [cells(line) for line in page("choosing-bands").splitlines() if line[:1] == "|"]
    names = {"RGB": "fixed RGB", "CIR": "fixed CIR", "search": "search of all triples"}
    names |= {"mRMR CIR": "mrmr.SupervisedCIRBandSelector"}
    names |= {"mRMR full": "mrmr.SupervisedFullSpectrumBandSelector"}
    names |= {"mRMR RGB": "mrmr.SupervisedWindowedFalseRGBSelector"}
    measures = ("mean", "mean average precision", "better than RGB")
    for at, column in enumerate(made["scene, class against the rest (pixels)"]):
        if column in names:
            assert [names[column], *(made[row][at] for row in measures)] in shown
    names = {"RGB": "fixed RGB", "mRMR CIR": "mRMR CIR", "mRMR full": "mRMR full"}
    names |= {"ConcreteBandSelector": "selectors.ConcreteBandSelector"}
    names |= {"search over RX": "search over RX", "(all bands)": "all bands"}
    table = {c[0]: c[1:3] for c in map(cells, text[text.index("<!-- lentils") :].splitlines())}
    assert all([name, *table[row]] in shown for row, name in names.items())


def test_warnings_of_training_are_those_of_the_code():
    sources = [
        *ROOT.glob("plugins/training/specloom_training/gradient/diagnostics.py"),
        *ROOT.glob("plugins/metrics/specloom_metrics/anomaly.py"),
    ]
    code = "".join(source.read_text("utf-8") for source in sources)
    for fixed in (
        "did not move in ",
        "the loss swings up and down from epoch to epoch",
        "in every epoch",
        "no epoch was better than the first by ",
        "validation never ran in ",
        "no pixel is anomalous",
    ):
        assert fixed in code
        assert fixed in page("two-phase-training")


def test_ctrl_c_is_told_and_the_run_goes_on(tmp_path):
    arguments = [
        "--set",
        "data.config.scenes=12",
        "--set",
        "data.config.height=32",
        "--set",
        "data.config.width=32",
        "--out",
        str(tmp_path / "run"),
    ]
    file = str(ROOT / "configs/rx_statistical.yaml")
    command = [sys.executable, "-m", "specloom", "run", file, *arguments]
    # In the background a shell lets its children ignore interrupts, and so would this one.
    awake = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **awake) as process:
        while not (tmp_path / "run/run.json").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        reported = process.stderr.read()
    assert process.returncode == 130
    assert reported.splitlines()[-1] == "interrupted"
    assert "Traceback" not in reported


def test_a_wrong_python_is_told(tmp_path):
    command = ["make", "-C", str(ROOT), "setup", "PYTHON=/nowhere", f"VENV={tmp_path}/venv"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert made.stderr.splitlines()[0] == (
        "setup: needs Python 3.11; name one: make setup PYTHON=/path/to/python3.11"
    )
