"""Calibration against scikit-learn and against data whose true log-odds are known, at any prevalence."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.calibration import (
    Calibration,
    _slope,
    at_prevalence,
    calibration_metrics,
    fit_calibration,
)
from kipoi_tfbind.training.metrics import block_weights


def two_normals(rng, n, prevalence, distance=2.0):
    """Labels, and true log-odds of the label given a value drawn from one of two normals."""
    labels = (rng.random(n) < prevalence).astype(np.int8)
    value = rng.normal(size=n) + distance * labels
    return labels, distance * value - distance**2 / 2 + logit(prevalence)


def test_log_odds_restated_are_the_true_ones_of_the_other_prevalence():
    rng = np.random.default_rng(0)
    _labels, at_half = two_normals(rng, 1_000, 0.5)
    value = at_half / 2 + 1
    np.testing.assert_allclose(at_prevalence(at_half, 0.5, 0.01), 2 * value - 2 + logit(0.01), rtol=1e-12)
    # There and back.
    np.testing.assert_allclose(at_prevalence(at_prevalence(at_half, 0.5, 0.01), 0.01, 0.5), at_half)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 2.0])
def test_a_prevalence_that_is_no_share_is_refused(prevalence):
    with pytest.raises(InputError, match="prevalence: expected a share between 0 and 1"):
        at_prevalence(np.zeros(2), 0.1, prevalence)


def test_fit_is_that_of_scikit_learn_and_leaves_out_ambiguous_bins():
    rng = np.random.default_rng(1)
    labels, truth = two_normals(rng, 5_000, 0.05)
    log_odds = 3 * truth + 4
    labels[::9] = -1
    known = labels >= 0
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1_000).fit(log_odds[known, None], labels[known])
    line = fit_calibration(log_odds, labels)
    assert line is not None
    # L-BFGS ends where the loss no longer changes by 2e-9 of itself.
    assert line.scale == pytest.approx(oracle.coef_[0, 0], abs=2e-3)
    assert line.offset == pytest.approx(oracle.intercept_[0], abs=5e-3)
    assert line.prevalence == (labels[known] == 1).mean()


def test_a_target_of_one_class_has_no_calibration():
    assert fit_calibration(np.arange(5.0), np.array([0, 0, 0, -1, 0], np.int8)) is None
    assert fit_calibration(np.arange(3.0), np.ones(3, np.int8)) is None


def test_a_calibration_at_one_prevalence_is_good_at_another():
    rng = np.random.default_rng(2)
    labels, truth = two_normals(rng, 40_000, 0.03)
    line = fit_calibration(truth / 2 + 5, labels)
    assert line is not None
    others, other_truth = two_normals(rng, 40_000, 0.3)
    # What the same model says of the other bins: its log-odds do not know their prevalence.
    said = (other_truth - logit(0.3) + logit(0.03)) / 2 + 5
    blocks = block_weights(np.arange(40_000) // 400, 60, seed=1)
    good = calibration_metrics(others, line.log_odds(said, 0.3), blocks)
    for metric in good.values():
        assert metric["value"] == pytest.approx(1, abs=0.06)
        assert metric["low"] < metric["value"] < metric["high"]
    wrong = calibration_metrics(others, line.log_odds(said), blocks)
    assert wrong["expected_to_observed"]["high"] < 0.5
    # Bins weighed to the other prevalence stand for bins of it.
    weighed = calibration_metrics(labels, line.log_odds(truth / 2 + 5, 0.3), blocks, prevalence=0.3)
    assert weighed["expected_to_observed"]["value"] == pytest.approx(1, abs=0.06)
    assert weighed["slope"]["value"] == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_slope_is_that_of_scikit_learn_under_weights(factor):
    rng = np.random.default_rng(3)
    labels, truth = two_normals(rng, 3_000, 0.05)
    weights = rng.integers(0, 4, size=3_000).astype(float)
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=5_000)
    oracle.fit(factor * truth[:, None], labels, sample_weight=weights)
    # The oracle's own tolerance.
    assert _slope(factor * truth, labels == 1, weights) == pytest.approx(oracle.coef_[0, 0], rel=1e-4)


def test_expected_to_observed_is_the_ratio_of_sums():
    labels = np.array([1, 0, 0, 1, -1], np.int8)
    log_odds = np.array([1.0, -1, -2, 0.5, 9])
    found = calibration_metrics(labels, log_odds, np.ones((3, 5)))["expected_to_observed"]
    assert found["value"] == pytest.approx(expit(log_odds[:4]).sum() / 2)


def test_line_is_scale_and_offset():
    line = Calibration(0.5, 1.0, 0.1)
    np.testing.assert_allclose(line.log_odds(np.array([2.0]), 0.2), 2 + logit(0.2) - logit(0.1))
