"""Label sets cover what they promise, of both classes, and are the quantiles that the definition names."""

import numpy as np
import pytest

from kipoi_tfbind.training.conformal import LabelSets, coverage, fit_label_sets


def draw(rng, n):
    """Bins of which 3% are bound; log-odds that overlap, on a scale of their own."""
    labels = (rng.random(n) < 0.03).astype(np.int8)
    return 5 * (rng.standard_t(3, size=n) + 2 * labels) - 7, labels


def test_thresholds_are_the_order_statistics_of_the_definition():
    rng = np.random.default_rng(0)
    log_odds, labels = draw(rng, 3_000)
    found = fit_label_sets(log_odds, labels, 0.9)
    assert found is not None
    bound, unbound = np.sort(log_odds[labels == 1])[::-1], np.sort(log_odds[labels == 0])
    assert found.bound == bound[int(np.ceil((len(bound) + 1) * 0.9)) - 1]
    assert found.unbound == unbound[int(np.ceil((len(unbound) + 1) * 0.9)) - 1]


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_either_class_is_covered_as_promised(level):
    """Mean coverage over 300 draws is the level, to within three standard errors and 1 / (n + 1)."""
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(300):
        held_out, known = draw(rng, 2_000)
        sets = fit_label_sets(held_out, known, level)
        assert sets is not None
        log_odds, labels = draw(rng, 2_000)
        found = coverage(sets, log_odds, labels, np.ones((1, 2_000)))
        shares.append([found["bound"]["value"], found["unbound"]["value"]])
    np.testing.assert_allclose(np.mean(shares, axis=0), level, atol=0.02)
    # One threshold for both classes would cover the many and not the few.
    np.testing.assert_array_less(level - 0.01, np.mean(shares, axis=0))


def test_too_few_bins_of_a_class_have_no_sets():
    labels = np.array([1] * 8 + [0] * 50, np.int8)
    assert fit_label_sets(np.arange(58.0), labels, 0.9) is None
    labels[8] = 1
    assert fit_label_sets(np.arange(58.0), labels, 0.9) is not None


def test_coverage_by_hand():
    sets = LabelSets(bound=0.0, unbound=1.0, level=0.9)
    labels, log_odds = np.array([1, 1, 0, 0, 0, -1], np.int8), np.array([-1, 0.5, 0.5, 2, -3, 0.5])
    found = coverage(sets, log_odds, labels, np.array([[1, 1, 1, 1, 1, 1], [0, 2, 1, 0, 0, 1]]))
    assert found["bound"]["value"] == 0.5
    assert found["unbound"]["value"] == pytest.approx(2 / 3)
    assert found["both"]["value"] == pytest.approx(2 / 5)
    # Of the two resamples: 1/2 and 1.
    assert found["bound"]["low"] == pytest.approx(0.5 + 0.5 * 0.025)
    assert found["bound"]["high"] == pytest.approx(0.5 + 0.5 * 0.975)
