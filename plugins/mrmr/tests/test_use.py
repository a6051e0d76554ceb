import importlib.util
import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

PLUGIN = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", PLUGIN / "../../../shared/data/hsi"))
SPEC = importlib.util.spec_from_file_location("use", PLUGIN / "benchmarks/use.py")
use = importlib.util.module_from_spec(SPEC)
sys.path.append(str(PLUGIN / "benchmarks"))
SPEC.loader.exec_module(use)


def made(bands=14, pixels=1600, seed=0):
    """The classes differ in the difference of two bands that are nearly the same."""
    rng = np.random.default_rng(seed)
    labels = rng.random(pixels) < 0.2
    rows = rng.normal(size=(pixels, bands)) @ rng.normal(size=(bands, bands)) + labels[:, None]
    rows[:, 9] = rows[:, 5] + 0.3 * rng.normal(size=pixels) + 0.9 * labels
    half = np.arange(pixels) // 40 % 2
    centres = np.linspace(450, 900, bands).tolist()
    return use.Case("made", "up", rows.astype(np.float32), labels, half, centres)


def test_the_search_finds_the_triple_that_a_plain_one_finds():
    case = made()
    wide = case.rows.astype(float)
    gap = wide[case.labels].mean(0) - wide[~case.labels].mean(0)
    model = LinearDiscriminantAnalysis(store_covariance=True).fit(wide, case.labels)
    within = model.covariance_
    parted = {
        triple: gap[[*triple]] @ np.linalg.solve(within[np.ix_(triple, triple)], gap[[*triple]])
        for triple in itertools.combinations(range(14), 3)
    }
    best = max(parted, key=parted.get)
    assert {5, 9} < set(best)
    assert use.best_triple(case.rows, case.labels) == [*best]


def test_a_duplicated_and_a_constant_band_do_no_harm():
    case = made()
    rows = np.concatenate([case.rows, case.rows[:, [5]], np.ones((1600, 1), np.float32)], 1)
    found = use.best_triple(rows, case.labels)
    assert len({9, 5, 14} & set(found)) == 2
    assert 15 not in found


def test_halves_share_no_pixel_and_the_table_is_written(tmp_path):
    case = made()
    scores = use.study(case)
    assert scores["search"][0] > scores["RGB"][0]
    assert next(iter(scores)) == "RGB"
    assert use.study(case._replace(half=np.zeros(1600))) == {}
    (readme := tmp_path / "README.md").write_text("a\n<!-- use -->\nold\n<!-- /use -->\nb\n")
    few = case._replace(target="few", labels=np.arange(1600) < 10)
    text = "\n".join(use.lines([(case, scores), (few, use.study(few))]))
    use.write(readme, text)
    written = readme.read_text()
    assert written.startswith("a\n<!-- use -->\n\n| scene")
    assert written.endswith("<!-- /use -->\nb\n")
    assert "old" not in written
    assert "fewer than 20 pixels of the class: made few." in written
    table = [line for line in written.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1


@pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
def test_the_scenes_are_read_in_two_halves():
    for read, cases, bands in ((use.sandiego, 1, 189), (use.salinas, 6, 204), (use.enmap, 6, 218)):
        found = list(read(DATA))
        assert len(found) == cases
        for case in found:
            assert case.rows.shape == (len(case.labels), bands)
            assert len(case.centres) == bands
            assert np.isfinite(case.rows).all()
            assert 0.3 < case.half.mean() < 0.7
            assert 0 < case.labels.mean() < 0.5


def test_the_readme_has_the_table():
    written = (PLUGIN / "README.md").read_text("utf-8")
    table = written.partition("<!-- use -->")[2].partition("<!-- /use -->")[0]
    assert "| **mean** |" in table
    for name in (*use.selectors(3), "full, tuned"):
        assert f"| {name} |" in table
