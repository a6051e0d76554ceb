"""The phase that plugins/README.md shows does what the page says."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import specloom
from specloom import ConfigError
from specloom.testing import checks_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "plugins/README.md"
SMALL = ["data.config.scenes=12", "data.config.height=32", "data.config.width=32"]


@pytest.fixture
def phase(monkeypatch):
    """The class of the page."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "class MeanOf" in block]
    module = ModuleType("author_page")
    monkeypatch.setitem(sys.modules, "author_page", module)
    exec(compile(code, str(PAGE), "exec"), vars(module))
    return module.MeanOf


@pytest.fixture(scope="module")
def run():
    """A fitted RX on synthetic scenes."""
    fitted = specloom.load(ROOT / "configs/rx_statistical.yaml", SMALL, device="cpu")
    fitted.run()
    return fitted


def place(*keys):
    return ".".join(("run.yaml", *keys))


def test_the_phase_holds_to_the_contract(phase):
    checks = dict(checks_of(phase, "trainers"))
    assert {"init_only_stores", "trainer_is_whole"} <= set(checks)
    for check in checks.values():
        check()


def test_the_phase_refuses_what_is_not_there_at_its_place(phase, run):
    assert list(phase("rx.scores").check(run.graph, place)) == []
    value, split = phase("rx.score", split="vall").check(run.graph, place)
    assert isinstance(value, ConfigError)
    assert (value.what, value.where) == ("no node gives 'rx.score'", "run.yaml.value")
    assert value.fix == "did you mean 'rx.scores'?"
    assert (split.what, split.where) == ("there is no split 'vall'", "run.yaml.split")
    assert split.fix == "did you mean 'val'?"


def test_the_phase_records_the_mean(phase, run):
    phase("rx.scores").train(run)
    plan = run.plan("val", ["rx.scores"])
    with run.inference():
        means = [float(plan(batch)["rx.scores"].double().mean()) for batch in run.batches("val")]
    assert run.metrics["val"]["rx/mean"] == pytest.approx(sum(means) / len(means), rel=1e-9)
