"""Nodes and pipelines as estimators of scikit-learn."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from specloom import ConfigError, Pipeline
from specloom_normalize import MinMaxNormalizer
from specloom_rx import LocalRX, RXGlobal
from specloom_sklearn import PixelDetector, as_estimator


@pytest.mark.filterwarnings("ignore")  # checks fit on few or constant samples
def test_check_estimator():
    results = check_estimator(as_estimator(RXGlobal()), on_fail=None)
    failed = [one["check_name"] for one in results if one["status"] == "failed"]
    passed = [one for one in results if one["status"] == "passed"]
    assert failed == []
    assert len(passed) >= 40


def spectra():
    values = np.random.default_rng(0).normal(size=(400, 8))
    values[:4] += 7
    return values


def test_the_scores_are_those_of_the_node():
    table = spectra()
    node = RXGlobal()
    found = as_estimator(node, contamination=0.01).fit(table)
    expected = RXGlobal().fit(table[:, None])(table[:, None])[:, 0]
    np.testing.assert_array_equal(found.score_samples(table), -expected.astype(np.float64))
    np.testing.assert_array_equal(np.flatnonzero(found.predict(table) == -1), range(4))
    assert node.num_channels is None
    assert found.node_.num_channels == 8


def test_a_fitted_node_is_fitted_again_for_other_bands():
    node = RXGlobal().fit(spectra()[:, None])
    assert as_estimator(node).fit(spectra()[:, :5]).n_features_in_ == 5


def test_it_is_cloned_and_searched():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), as_estimator(RXGlobal())),
        {"pixeldetector__contamination": [0.01, 0.2]},
        scoring=lambda one, X, y=None: -float((one.predict(X) == -1).mean()),
        cv=2,
    )
    assert search.fit(spectra()).best_params_ == {"pixeldetector__contamination": 0.01}
    assert clone(as_estimator(RXGlobal(eps=0.5))).node.eps == 0.5


def pipeline(detector):
    made = Pipeline("normalized")
    normalizer = made.add("normalizer", MinMaxNormalizer())
    rx = made.add("rx", detector)
    made.chain("batch.cube", normalizer, rx)
    made.outputs = {"scores": rx.scores}
    return made


def test_a_pipeline_of_pixels():
    table = spectra()
    found = as_estimator(pipeline(RXGlobal()), contamination=0.01).fit(table)
    np.testing.assert_array_equal(np.flatnonzero(found.predict(table) == -1), range(4))


def test_what_sees_more_than_a_pixel_is_refused():
    for detector in (LocalRX(), pipeline(LocalRX())):
        with pytest.raises(ConfigError) as caught:
            as_estimator(detector)
        assert str(caught.value).endswith(
            "sees more than one pixel (its locality is 'halo')\n"
            "  fix: use nodes with locality 'pixel': a table of spectra has no neighbours"
        )
    with pytest.raises(ValueError, match="contamination is 0"):
        PixelDetector(RXGlobal(), contamination=0).fit(spectra())
    with pytest.raises(ValueError, match="contamination is 'auto': set it over 0"):
        PixelDetector(RXGlobal(), contamination="auto").fit(spectra())
