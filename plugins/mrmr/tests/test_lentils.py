import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def lentils(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("lentils", BENCHMARKS / "lentils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_beam_finds_the_best_triple(lentils):
    rng = np.random.default_rng(0)
    labels = rng.random(900) < 0.1
    rows = rng.normal(size=(900, 9)) @ rng.normal(size=(9, 9))
    rows[:, [1, 4, 6]] += 2 * labels[:, None] * rng.normal(size=(900, 3))
    rx = lentils.GlobalRX(rows)
    best = max(
        itertools.combinations(range(9), 3),
        key=lambda triple: lentils.precision(rx.scores(rows, triple), labels),
    )
    assert lentils.beam_search(rx, rows, labels) == [*best]
    from sklearn.metrics import average_precision_score

    scores = rx.scores(rows, best)
    found = lentils.precision(scores, labels)
    assert found == pytest.approx(average_precision_score(labels, scores))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_study_of_small_scenes(lentils):
    small = ["scenes=8", "height=24", "width=24", "bands=21", "clean_scenes=0"]
    sets = [f"data.config.{one}" for one in (*small, "anomaly_fraction=0.05")]
    found = lentils.study([*sets, "phases.1.config.epochs=2"])
    rows = list(lentils.lines([7, 8], [found, found]))
    assert {line.count("|") for line in rows} == {6}
    assert all(len(set(nm)) == 3 for name, (*_, nm) in found.items() if name != "(all bands)")
    assert {"RGB", "mRMR full", "ConcreteBandSelector", "search over RX"} < set(found)
