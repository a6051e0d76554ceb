"""Twenty things that a beginner does wrong: those of run files, plugins and saved pipelines."""

import json

import pytest

from mistakes import LENTILS, SCENE, files, forking, mistake, shell

__all__ = ["files", "forking", "shell"]  # fixtures

NODE = '''\
"""Band ratios: a score from two bands."""

from specloom import Port, impl


class BandRatio:
    """The ratio of two bands as scores (B, H, W, 1)."""

    inputs = {"data": Port("B H W C", dtype="real", doc="Spectra.")}
    outputs = {"scores": Port("B H W 1", doc="One band over another.", unit="1")}
    locality = "pixel"

    def __init__(self, band: int = 1, over: int = 0) -> None:
        self.band, self.over = band, over

    def forward(self, data):
        return {"scores": data[..., self.band, None] / data[..., self.over, None]}


@impl
def register_nodes():
    return {"BandRatio": "specloom_ratio:BandRatio"}
'''
RUN = """\
specloom: 1
data: {type: cubes.Synthetic, config: {scenes: 12, height: 16, width: 16}}
nodes:
  ratio: {type: ratio.BandRatio, config: {band: 40, over: 10}}
connections:
  - [batch.cube, ratio.data]
outputs: {scores: ratio.scores}
"""


def install(shell, version, code=NODE):
    """Put the plugin where the shell's Python finds it, in place of an earlier version."""
    site = shell.folder / ".site"
    site.mkdir(exist_ok=True)
    for old in site.glob("*.dist-info"):
        old.rename(shell.folder / f"gone-{old.name}")
    (site / "specloom_ratio.py").write_text(code)
    about = site / f"specloom_ratio-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: specloom-ratio\nVersion: {version}\n"
    )
    (about / "entry_points.txt").write_text("[specloom]\nratio = specloom_ratio\n")


def test_a_typo_in_a_node(shell):
    mistake(
        shell,
        f"specloom check {SCENE} --set nodes.rx.type=rx.RXGlobl",
        "error: --set nodes.rx.type=rx.RXGlobl: no plugin offers 'rx.RXGlobl' as a node or loss"
        "\n  fix: did you mean 'rx.RXGlobal'?",
    )
    mistake(
        shell,
        f"specloom check {SCENE} --set nodes.rx.config.epss=0",
        "error: --set nodes.rx.config.epss=0: rx.RXGlobal has no parameter 'epss'\n"
        "  fix: did you mean 'eps'?",
    )
    mistake(
        shell,
        f"specloom check {SCENE} --set nodes.rxx.config.eps=0",
        "error: --set nodes.rxx.config.eps=0: nodes has no 'rxx'\n  fix: did you mean 'rx'?",
    )


def test_a_plugin_that_is_not_installed(shell):
    reported = shell(f"specloom check {SCENE} --set nodes.rx.type=cnn.Autoencoder")
    assert shell.code == 2
    what, fix = reported.splitlines()
    assert what == (
        "error: --set nodes.rx.type=cnn.Autoencoder: no plugin 'cnn' is in "
        f"{(shell.folder / 'configs').resolve()}/plugins.yaml"
    )
    assert fix.startswith("  fix: use one of: adaclip, bands, ")
    (shell.folder / "run.yaml").write_text(RUN)
    reported = shell("specloom check run.yaml")
    what, fix = reported.splitlines()
    assert what == "error: run.yaml:4: no plugin 'ratio' is installed"
    assert fix.startswith("  fix: ")


@pytest.mark.parametrize("command", ["graph run", "predict run scene.npy --out made"])
def test_an_old_pipeline_with_a_newer_plugin(shell, command):
    install(shell, "0.1.0")
    (shell.folder / "run.yaml").write_text(RUN)
    mistake(shell, "specloom run run.yaml --out run", "", 0)
    install(shell, "0.2.0")
    mistake(shell, "specloom graph run", "", 0)  # nothing that it uses has changed
    install(shell, "0.3.0", NODE.replace("over", "below"))
    lines = (shell.folder / "run/pipeline.yaml").read_text("utf-8").splitlines()
    mistake(
        shell,
        f"specloom {command}",
        f"error: run/pipeline.yaml:{lines.index('      over: 10') + 1}: ratio.BandRatio has no "
        "parameter 'over'\n  fix: use one of: band, below\n"
        "error: run/pipeline.yaml: it was saved with ratio 0.1.0, here is 0.3.0\n"
        "  fix: use the versions that it was saved with, or run its run file again with these",
    )


def test_a_pipeline_whose_plugin_is_gone(shell):
    install(shell, "0.1.0")
    (shell.folder / "run.yaml").write_text(RUN)
    mistake(shell, "specloom run run.yaml --out run", "", 0)
    (shell.folder / ".site").rename(shell.folder / "elsewhere")
    reported = shell("specloom graph run").splitlines()
    assert shell.code == 2
    assert reported[0].endswith(": no plugin 'ratio' is installed")
    assert reported[-2] == "error: run/pipeline.yaml: it was saved with ratio 0.1.0, here is none"


@pytest.mark.parametrize("command", ["check", "run", "profile"])
def test_a_saved_pipeline_given_as_a_run_file(shell, command):
    mistake(
        shell,
        f"specloom run {SCENE} --set data.config.cube=scene.npy "
        "--set data.config.mask=scene.png --out made",
        "",
        0,
    )
    mistake(
        shell,
        f"specloom {command} made/pipeline.yaml",
        "error: made/pipeline.yaml:1: a saved pipeline is not a run file\n"
        "  fix: apply it with 'specloom predict DIR INPUT', or give the run file that it came "
        "from",
    )


def test_a_pipeline_that_was_edited(shell):
    mistake(shell, f"specloom run {LENTILS} --set data.config.scenes=12 --out made", "", 0)
    file = shell.folder / "made/pipeline.yaml"
    file.write_text(file.read_text("utf-8").replace("rx_statistical", "mine"))
    mistake(
        shell,
        "specloom graph made",
        "error: made/pipeline.yaml: made/pipeline.yaml was changed after it was saved\n"
        "  fix: restore the file, or run its run file again",
        3,
    )
    about = json.loads((shell.folder / "made/run.json").read_text("utf-8"))
    assert about["ended"]
