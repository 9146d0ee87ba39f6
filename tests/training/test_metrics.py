"""Metrics of held-out bins against scikit-learn, and the coverage of their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from kipoi_tfbind.training.metrics import (
    block_weights,
    mean_auprc,
    ranking_metrics,
    score_target,
    weights_at_prevalence,
)


def simulate(
    rng: np.random.Generator, n: int, *, prevalence: float = 0.1, signal: float = 1.5
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    labels = (rng.random(n) < prevalence).astype(np.int8)
    return labels, rng.normal(size=n) + signal * labels


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_scikit_learns_under_weights(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = simulate(rng, 400)
    if ties:
        scores = np.round(scores)
    weights = rng.integers(0, 4, size=(6, 400)).astype(np.uint16)
    found = ranking_metrics(labels == 1, scores, weights)
    for metric, function in (("auprc", average_precision_score), ("auroc", roc_auc_score)):
        expected = [function(labels, scores, sample_weight=weight) for weight in weights]
        np.testing.assert_allclose(found[metric], expected, rtol=1e-12)


def test_metrics_of_float32_scores_and_of_a_constant() -> None:
    rng = np.random.default_rng(1)
    labels, scores = simulate(rng, 300)
    once = np.ones((1, 300), dtype=np.uint16)
    found = ranking_metrics(labels == 1, scores.astype(np.float32), once)
    assert found["auprc"][0] == pytest.approx(average_precision_score(labels, scores.astype(np.float32)))
    constant = ranking_metrics(labels == 1, np.zeros(300), once)
    assert constant["auprc"][0] == pytest.approx(labels.mean())
    assert constant["auroc"][0] == pytest.approx(0.5)


@pytest.mark.parametrize("ties", [False, True])
def test_recall_is_the_best_of_all_thresholds_with_nine_in_ten_bound(ties: bool) -> None:
    rng = np.random.default_rng(8)
    labels, scores = simulate(rng, 300, signal=3)
    if ties:
        scores = np.round(scores)
    weights = rng.integers(0, 3, size=(5, 300))
    weights[0] = 1
    found = ranking_metrics(labels == 1, scores, weights)["recall"]
    for row, weight in enumerate(weights):
        recalls = [0.0]
        for threshold in np.unique(scores):
            called = weight * (scores >= threshold)
            if called.sum() and 10 * (called @ labels) >= 9 * called.sum():
                recalls.append((called @ labels) / (weight @ labels))
        assert found[row] == pytest.approx(max(recalls), rel=1e-12)
    assert found[0] > 0.2
    assert ranking_metrics(labels == 1, -scores, weights)["recall"][0] == 0


def test_metrics_at_a_prevalence_are_those_of_repeated_bins() -> None:
    rng = np.random.default_rng(9)
    labels, scores = simulate(rng, 400, prevalence=0.5)
    labels[:400] = np.tile([1, 0], 200)
    bound = labels == 1
    # 200 bound bins of 2,000 when each unbound one stands for nine.
    repeated = np.concatenate([np.flatnonzero(bound), np.repeat(np.flatnonzero(~bound), 9)])
    expected = ranking_metrics(bound[repeated], scores[repeated], np.ones((1, len(repeated))))
    weights = weights_at_prevalence(bound, np.ones((1, 400)), 0.1)
    found = ranking_metrics(bound, scores, weights)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
    entry = score_target(labels, {"model": scores}, block_weights(np.arange(400) // 8, 40, 1), prevalence=0.1)
    assert entry["model"]["auprc"]["value"] == pytest.approx(expected["auprc"][0])
    assert entry["model"]["auprc"]["low"] < expected["auprc"][0] < entry["model"]["auprc"]["high"]


def test_mean_auprc_leaves_out_ambiguous_bins_and_unbound_targets() -> None:
    rng = np.random.default_rng(2)
    labels = rng.choice(np.array([-1, 0, 1], dtype=np.int8), p=[0.2, 0.6, 0.2], size=(200, 3))
    labels[:, 2] = np.minimum(labels[:, 2], 0)
    scores = rng.random((200, 3))
    expected = [
        average_precision_score(labels[labels[:, t] >= 0, t], scores[labels[:, t] >= 0, t]) for t in (0, 1)
    ]
    assert mean_auprc(labels, scores) == pytest.approx(np.mean(expected))


def test_value_of_a_predictor_is_scikit_learns_on_the_unambiguous_bins() -> None:
    rng = np.random.default_rng(3)
    labels, scores = simulate(rng, 500)
    labels[::7] = -1
    known = labels >= 0
    result = score_target(labels, {"model": scores}, block_weights(np.arange(500) // 10, 50, seed=1))
    assert result["model"]["auprc"]["value"] == pytest.approx(
        average_precision_score(labels[known], scores[known])
    )
    assert result["model"]["auroc"]["value"] == pytest.approx(roc_auc_score(labels[known], scores[known]))
    for entry in result["model"].values():
        assert entry["low"] < entry["value"] < entry["high"]
        assert "gain_low" not in entry


def test_block_weights_draw_whole_blocks() -> None:
    blocks = np.array(["c:0", "c:0", "c:1", "d:0", "d:0", "d:0"])
    weights = block_weights(blocks, 200, seed=5)
    assert weights.shape == (200, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    # As many blocks as there are, with replacement.
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.2)
    np.testing.assert_array_equal(weights, block_weights(blocks, 200, seed=5))
    assert (weights != block_weights(blocks, 200, seed=6)).any()


def test_interval_covers_the_true_value_as_often_as_it_says() -> None:
    # Two normals a standard deviation d apart: AUROC = Phi(d / sqrt 2), here Phi(1) = 0.8413.
    rng = np.random.default_rng(4)
    n_runs, covered = 150, 0
    for run in range(n_runs):
        labels, scores = simulate(rng, 400, prevalence=0.3, signal=np.sqrt(2))
        weights = block_weights(np.arange(400) // 4, 150, seed=run)
        entry = score_target(labels, {"model": scores}, weights, confidence=0.9)["model"]["auroc"]
        covered += entry["low"] <= 0.8413 <= entry["high"]
    # 0.9 of 150, give or take three standard errors, and a little for the percentile method.
    assert 0.80 <= covered / n_runs <= 0.98


def test_blocks_make_the_interval_wider_where_neighbours_are_alike() -> None:
    rng = np.random.default_rng(6)
    alone = simulate(rng, 100, prevalence=0.3)
    labels, scores = np.repeat(alone[0], 20), np.repeat(alone[1], 20)

    def width(blocks: NDArray[np.int64]) -> float:
        entry = score_target(labels, {"model": scores}, block_weights(blocks, 200, seed=1))["model"]["auroc"]
        return entry["high"] - entry["low"]

    assert width(np.arange(2_000) // 20) > 3 * width(np.arange(2_000))


def test_gain_is_the_first_predictors_value_minus_the_others() -> None:
    rng = np.random.default_rng(7)
    labels, scores = simulate(rng, 2_000)
    worse = scores + rng.normal(size=2_000)
    weights = block_weights(np.arange(2_000) // 10, 200, seed=1)
    behind = score_target(labels, {"model": scores, "worse": worse}, weights)["worse"]["auprc"]
    assert 0 < behind["gain_low"] < behind["gain_high"]
    ahead = score_target(labels, {"model": worse, "better": scores}, weights)["better"]["auprc"]
    assert ahead["gain_low"] == pytest.approx(-behind["gain_high"])
    assert ahead["gain_high"] == pytest.approx(-behind["gain_low"])
    same = score_target(labels, {"model": scores, "twin": scores.copy()}, weights)["twin"]["auprc"]
    assert (same["gain_low"], same["gain_high"]) == (0, 0)


def test_resamples_without_a_bound_bin_are_passed_over() -> None:
    labels = np.zeros(50, dtype=np.int8)
    labels[3] = 1
    weights = block_weights(np.arange(50) // 5, 100, seed=1)
    assert (weights[:, 3] == 0).any()
    entry = score_target(labels, {"model": -np.arange(50.0)}, weights)["model"]["auroc"]
    assert np.isfinite([entry["value"], entry["low"], entry["high"]]).all()
