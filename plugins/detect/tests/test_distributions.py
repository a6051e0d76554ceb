"""The distributions are those of scipy.stats, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from specloom_detect.distributions import (
    chi_square_quantile,
    pareto_log_density,
    pareto_log_survival,
    pareto_quantile,
)

SHAPES = (-0.5, -0.25, -1e-3, -1e-12, 0.0, 1e-12, 1e-3, 0.1, 0.37, 1.0)
SCALES = (1e-6, 0.3, 1.0, 17.5, 1e9)
VALUES = np.concatenate([[0.0], np.random.default_rng(0).exponential(2, 500), [4.0, 8.0, 1e6]])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", SCALES)
def test_the_pareto_distribution_is_that_of_scipy(shape, scale):
    values = VALUES * scale
    expected = stats.genpareto.logpdf(values, shape, scale=scale)
    assert np.array_equal(pareto_log_density(values, shape, scale), expected)
    for value in values:
        survival = float(stats.genpareto.logsf(value, shape, scale=scale))
        assert pareto_log_survival(float(value), shape, scale) == survival
    for rate in (0.0, 1e-12, 1e-4, 0.01, 0.5, 0.999, 1.0):
        quantile = float(stats.genpareto.isf(rate, shape, scale=scale))
        assert pareto_quantile(rate, shape, scale) == quantile
    assert np.isnan(pareto_quantile(1.1, shape, scale))
    assert np.isnan(stats.genpareto.isf(1.1, shape, scale=scale))


def test_the_chi_square_distribution_is_that_of_scipy():
    for freedom in (1, 3, 61, 224.0, 1000.5):
        for rate in (1e-12, 1e-6, 1e-3, 0.05, 0.5, 0.999):
            assert chi_square_quantile(rate, freedom) == float(stats.chi2.isf(rate, freedom))
