"""Statistics of paired differences, against SciPy's one at a time, and on models with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind import as_sequence_model, global_importance_analysis, make_backgrounds
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance.statistics import (
    benjamini_hochberg,
    half_width,
    paired_statistics,
    rounding_of,
    sample_size,
)

N_EXPERIMENTS, N = 2000, 100
LENGTH = 12
PATTERN = "GATTA"


def series(n: int, size: int, seed: int = 0) -> NDArray[np.float64]:
    """Skewed differences (observation, series) with different means."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(n, size)) - np.linspace(0.5, 1.5, size)


def test_t_intervals_and_tests_are_scipys() -> None:
    values = series(30, 7)
    found = paired_statistics(values, confidence=0.9, n_resamples=10)
    for column in range(7):
        expected = stats.ttest_1samp(values[:, column], 0)
        interval = expected.confidence_interval(0.9)
        got = [found.mean[column], found.p_value[column], found.low[column], found.high[column]]
        want = [values[:, column].mean(), expected.pvalue, interval.low, interval.high]
        np.testing.assert_allclose(got, want, rtol=1e-10)  # float64, another order of sums
        np.testing.assert_allclose(found.standard_error[column], stats.sem(values[:, column]), rtol=1e-12)


def test_exact_sign_flips_are_scipys() -> None:
    values = series(8, 5)
    found = paired_statistics(values, n_resamples=1000).permutation_p_value
    for column in range(5):
        expected = stats.permutation_test(
            (values[:, column],), lambda x: np.mean(x), permutation_type="samples", n_resamples=np.inf
        )
        # SciPy doubles the smaller tail: for the symmetric null of sign flips that is the same.
        assert found[column] == pytest.approx(expected.pvalue, abs=1e-12)


def test_random_sign_flips_approach_the_exact_ones() -> None:
    values = series(11, 4, seed=3)
    exact = paired_statistics(values, n_resamples=4096).permutation_p_value
    drawn = paired_statistics(values, n_resamples=2000).permutation_p_value
    assert (exact != drawn).any()  # these are two ways
    # Four standard errors of a share of 2,000 flips.
    assert (np.abs(exact - drawn) < 4 * np.sqrt(0.25 / 2000)).all()


def test_bootstrap_is_scipys_bca() -> None:
    values = series(40, 4, seed=5)
    found = paired_statistics(values, n_resamples=20_000, seed=1)
    for column in range(4):
        expected = stats.bootstrap(
            (values[:, column],), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2)
        ).confidence_interval
        # A quantile of 20,000 resamples varies by some 2% of the standard error, on either side.
        tolerance = 0.1 * found.standard_error[column]
        assert found.bootstrap_low[column] == pytest.approx(expected.low, abs=tolerance)
        assert found.bootstrap_high[column] == pytest.approx(expected.high, abs=tolerance)
        assert abs(found.bootstrap_low[column] - found.low[column]) > tolerance  # it is not the t interval


def test_many_series_are_as_one_by_one_and_missing_ones_are_left_out() -> None:
    values = series(25, 6)
    values[3, 2] = values[7, 2] = values[3, 4] = np.nan
    values[:, 5] = np.nan
    together = paired_statistics(values, n_resamples=200)
    assert together.n.tolist() == [25, 25, 23, 25, 24, 0]
    assert np.isnan(together.mean[5])
    assert np.isnan(together.p_value[5])
    for column in range(5):
        known = values[~np.isnan(values[:, column]), column]
        alone = paired_statistics(known, n_resamples=200)
        for name in together._fields:
            np.testing.assert_allclose(getattr(together, name)[column], getattr(alone, name), rtol=1e-12)


def test_parts_of_a_table_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = series(20, 5)
    whole = paired_statistics(values, n_resamples=300)
    monkeypatch.setattr("kipoi_tfbind.interpret.global_importance.statistics._SERIES", 2)
    for one, other in zip(whole, paired_statistics(values, n_resamples=300), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_equal_differences() -> None:
    found = paired_statistics(np.array([[0.1, 0.0]] * 10), rounding=1e-6)
    np.testing.assert_array_equal(found.standard_error, 0)
    np.testing.assert_array_equal(found.low, found.high)
    np.testing.assert_array_equal(found.bootstrap_low, found.mean)
    np.testing.assert_array_equal(found.p_value, [0, 1])
    assert found.permutation_p_value[1] == 1


def test_what_rounding_makes_is_no_effect() -> None:
    rng = np.random.default_rng(0)
    predictions = rng.normal(5, 1, size=200).astype(np.float32)
    # The same numbers, one unit in the last place up on average: "significant" without the floor.
    noise = np.nextafter(predictions, np.float32(np.inf)) - predictions
    floor = rounding_of(predictions, axis=0)
    assert paired_statistics(noise).p_value < 1e-10
    assert paired_statistics(noise, rounding=floor).p_value == 1
    assert paired_statistics(noise, rounding=floor).permutation_p_value == 1
    assert paired_statistics(noise + 1e-3, rounding=floor).p_value < 1e-10


@pytest.mark.parametrize("problem", [{"confidence": 1.0}, {"confidence": 0.0}, {"n_resamples": 0}])
def test_options_that_are_none(problem: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(problem))):
        paired_statistics([1.0, 2.0], **problem)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 2"):
        paired_statistics([1.0])


def test_benjamini_hochberg_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((40, 3)) ** 2
    p[5, 1] = p[7, 1] = np.nan
    found = benjamini_hochberg(p)
    for column in range(3):
        known = p[~np.isnan(p[:, column]), column]
        for row in range(40):
            if np.isnan(p[row, column]):
                assert np.isnan(found[row, column])
                continue
            # The smallest level at which the step-up procedure rejects it.
            larger = known[known >= p[row, column]]
            expected = min(1, min(value * len(known) / (known <= value).sum() for value in larger))
            assert found[row, column] == pytest.approx(expected, rel=1e-12)


def test_sample_size_is_the_least_that_is_enough() -> None:
    n = sample_size(2.5, 0.3)
    assert half_width(2.5, n) <= 0.3 < half_width(2.5, n - 1)
    assert sample_size(0.0, 0.1) == 2
    values = np.random.default_rng(1).normal(0, 2.5, size=n)
    found = paired_statistics(values)
    assert (found.high - found.low) / 2 == pytest.approx(half_width(values.std(ddof=1), n), rel=1e-12)
    with pytest.raises(InputError, match="half-width"):
        sample_size(1.0, 0.0)


# Models whose importance is known: bases of uniform backgrounds are independent.


def weights(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(LENGTH, 4))


def linear(one_hot: NDArray) -> NDArray:
    return np.einsum("nlb,lb->n", one_hot, weights(0))


def exponential(one_hot: NDArray) -> NDArray:
    """Skewed: its logarithm is linear."""
    return np.exp(0.25 * np.einsum("nlb,lb->n", one_hot, weights(1)))


def known_importance(model: str, offset: int) -> float:
    rows, codes = slice(offset, offset + len(PATTERN)), ["ACGT".index(base) for base in PATTERN]
    if model == "linear":
        w = weights(0)[rows]
        return float((w[np.arange(len(PATTERN)), codes] - w.mean(axis=1)).sum())
    factors = np.exp(0.25 * weights(1))
    means = factors.mean(axis=1)
    inside = factors[rows][np.arange(len(PATTERN)), codes].prod()
    return float((inside - means[rows].prod()) * np.delete(means, np.arange(LENGTH)[rows]).prod())


@pytest.mark.parametrize("model", ["linear", "exponential"])
def test_intervals_cover_the_known_importance(model: str) -> None:
    """Of 2,000 experiments with 100 backgrounds each, 93 to 97% have an interval with the truth in it."""
    function = {"linear": linear, "exponential": exponential}[model]
    backgrounds = make_backgrounds("uniform", N_EXPERIMENTS * N, length=LENGTH, seed=7)
    result = global_importance_analysis(
        as_sequence_model(function, length=LENGTH),
        backgrounds,
        {"p": [(PATTERN, 4)]},
        n_resamples=1,
        batch_size=4096,
    )
    effects = result["pattern_effect"].values.reshape(N_EXPERIMENTS, N)
    found = paired_statistics(effects, axis=1, n_resamples=1000)
    truth = known_importance(model, 4)
    for low, high in ((found.low, found.high), (found.bootstrap_low, found.bootstrap_high)):
        coverage = ((low <= truth) & (truth <= high)).mean()
        assert 0.93 <= coverage <= 0.97
    assert truth != 0
    assert abs(effects.mean() - truth) < 5 * effects.std() / np.sqrt(effects.size)


def test_no_effect_is_found_at_most_so_often_as_promised() -> None:
    """At 5%, both tests call at most 5.5% of 10,000 experiments in which there is nothing."""
    w = np.zeros((LENGTH, 4))
    codes = ["ACGT".index(base) for base in PATTERN]
    # The embedded base is worth as much as the mean of all four, each of which is worth something else.
    w[4:9] = np.random.default_rng(3).normal(size=(5, 4))
    w[np.arange(4, 9), codes] = 0
    w[4:9] -= w[4:9].sum(axis=1, keepdims=True) / 3 * (np.eye(4)[codes] == 0)
    np.testing.assert_allclose(w[4:9].mean(axis=1), w[np.arange(4, 9), codes], atol=1e-12)
    backgrounds = make_backgrounds("uniform", 10_000 * 50, length=LENGTH, seed=11)
    result = global_importance_analysis(
        as_sequence_model(lambda one_hot: np.einsum("nlb,lb->n", one_hot, w), length=LENGTH),
        backgrounds,
        {"p": [(PATTERN, 4)]},
        n_resamples=1,
        batch_size=8192,
    )
    effects = result["pattern_effect"].values.reshape(10_000, 50)
    found = paired_statistics(effects, axis=1, n_resamples=400)
    assert effects.std() > 0.5
    for p in (found.p_value, found.permutation_p_value):
        assert 0.04 < (p <= 0.05).mean() <= 0.055


def test_false_discoveries_are_as_rare_as_promised() -> None:
    """Of 30 patterns with an effect and 30 without, 300 times, at most 5% of what is called is false."""
    rng = np.random.default_rng(0)
    n_patterns, repeats, n = 60, 300, 40
    truth = np.where(np.arange(n_patterns) < 30, 0.0, 0.45)
    shares, power = [], []
    for _ in range(repeats):
        # What linear models give: the sum of independent bases that are replaced.
        effects = truth + rng.normal(size=(n, 4, n_patterns)).sum(axis=1) / 2 * rng.exponential(1, n_patterns)
        p = paired_statistics(effects, n_resamples=1).p_value
        called = benjamini_hochberg(p) <= 0.05
        shares.append((called & (truth == 0)).sum() / max(called.sum(), 1))
        power.append(called[truth > 0].mean())
    assert np.mean(shares) <= 0.05
    assert np.mean(power) > 0.3  # it does call something
