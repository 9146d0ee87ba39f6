"""The baselines against Biopython and plain Python, and on a case with a planted motif."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from kipoi_tfbind.dna.one_hot import decode_codes, encode_bases
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.training.baselines import (
    best_motif_score,
    jaspar_log_odds,
    kmer_counts,
    kmer_model_scores,
)

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def reverse_complement(text: str) -> str:
    return text[::-1].translate(COMPLEMENT)


def random_codes(seed: int, shape: tuple[int, int], n_share: float = 0.0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, size=shape).astype(np.uint8)
    codes[rng.random(shape) < n_share] = 4
    return codes


def test_matrix_and_best_score_equal_biopythons() -> None:
    database = pytest.importorskip("pyjaspar").jaspardb(release="JASPAR2024")
    motif = database.fetch_motif_by_id("MA0139.1")
    pssm = motif.counts.normalize(pseudocounts=0.2).log_odds()
    matrix = jaspar_log_odds("MA0139.1")
    assert matrix.shape == (19, 4)
    np.testing.assert_allclose(matrix, np.array([pssm[base] for base in "ACGT"]).T)
    codes = random_codes(1, (20, 60))
    strands = pssm, pssm.reverse_complement()
    expected = [max(strand.calculate(text).max() for strand in strands) for text in decode_codes(codes)]
    np.testing.assert_allclose(best_motif_score(codes, matrix), expected, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_best_score_is_the_best_over_both_strands_and_all_positions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(7, 4))
    codes = random_codes(seed, (15, 30), n_share=0.1)

    def score(text: str) -> float:
        # An N scores 0.
        rows = zip(matrix, text, strict=True)
        return float(sum(row["ACGT".index(base)] for row, base in rows if base != "N"))

    for text, found in zip(decode_codes(codes), best_motif_score(codes, matrix), strict=True):
        places = [text[start : start + 7] for start in range(24)]
        assert found == pytest.approx(max(map(score, places + [reverse_complement(p) for p in places])))


def test_best_score_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, codes = np.random.default_rng(0).normal(size=(5, 4)), random_codes(0, (25, 20))
    whole = best_motif_score(codes, matrix)
    monkeypatch.setattr("kipoi_tfbind.training.baselines._CHUNK", 7)
    np.testing.assert_array_equal(best_motif_score(codes, matrix), whole)


@pytest.mark.parametrize("matrix_id", ["MA9999.1", "CTCF"])
@pytest.mark.filterwarnings("ignore:Failed to fetch")
def test_matrix_that_jaspar_does_not_have_is_named(matrix_id: str) -> None:
    pytest.importorskip("pyjaspar")
    with pytest.raises(InputError, match=f"motif '{matrix_id}': JASPAR 2024 has no such matrix"):
        jaspar_log_odds(matrix_id)


def test_pyjaspar_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyjaspar", None)
    with pytest.raises(MissingProgramError, match=r"pip install 'kipoi_tfbind\[motifs\]'"):
        jaspar_log_odds("MA0139.1")


@pytest.mark.parametrize("k", [1, 3, 4, 6])
@pytest.mark.parametrize("chunk", [7, 1_000])
def test_kmer_counts_equal_a_counter_of_canonical_kmers(
    k: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kipoi_tfbind.training.baselines._CHUNK", chunk)
    codes = random_codes(k, (20, 50), n_share=0.05)
    counts = kmer_counts(codes, k)
    assert counts.shape == (20, 4**k)
    for text, row in zip(decode_codes(codes), counts.toarray(), strict=True):
        kmers = [text[start : start + k] for start in range(50 - k + 1)]
        expected = Counter(min(kmer, reverse_complement(kmer)) for kmer in kmers if "N" not in kmer)
        found = {decode_codes(digits(i, k))[0]: int(row[i]) for i in np.flatnonzero(row).tolist()}
        assert found == expected


def digits(number: int, k: int) -> NDArray[np.uint8]:
    """Base codes (1, k) of a number to the base 4."""
    return np.array([[number // 4 ** (k - 1 - place) % 4 for place in range(k)]], dtype=np.uint8)


def test_kmer_counts_are_those_of_the_reverse_complement() -> None:
    codes = random_codes(9, (5, 40), n_share=0.02)
    twins = np.where(codes == 4, 4, 3 - codes)[:, ::-1].astype(np.uint8)
    assert (kmer_counts(codes, 6) != kmer_counts(twins, 6)).nnz == 0


def planted(seed: int, n: int) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Sequences of 120 bp, a third of them with a degenerate 12-bp site on either strand."""
    rng = np.random.default_rng(seed)
    codes = random_codes(seed, (n, 120))
    labels = (rng.random(n) < 0.33).astype(np.int8)
    for row in np.flatnonzero(labels):
        # Every site differs from the consensus in two of its twelve bases.
        site = encode_bases(["GGCACTTCCGTA"])[0]
        site[rng.choice(12, 2, replace=False)] = rng.integers(0, 4, 2)
        place = rng.integers(0, 108)
        codes[row, place : place + 12] = site if rng.random() < 0.5 else 3 - site[::-1]
    return codes, labels


def test_kmer_model_finds_a_degenerate_site() -> None:
    (training, labels), (held_out, held_out_labels) = planted(1, 1_500), planted(2, 500)
    scores = kmer_model_scores(kmer_counts(training, 8), labels, kmer_counts(held_out, 8))
    assert average_precision_score(held_out_labels, scores) > 0.75


def test_kmer_model_leaves_out_ambiguous_bins() -> None:
    codes, labels = planted(3, 400)
    counts = kmer_counts(codes, 5)
    ambiguous = labels.copy()
    ambiguous[::3] = -1
    kept = ambiguous >= 0
    expected = kmer_model_scores(counts[kept], labels[kept], counts)
    np.testing.assert_allclose(kmer_model_scores(counts, ambiguous, counts), expected, rtol=1e-5)


def test_kmer_model_is_the_penalised_optimum_on_both_strands() -> None:
    """Enough iterations end where plain gradients of the same loss, in dense float64, vanish."""
    codes, labels = planted(4, 300)
    k, similarity, penalty = 3, 0.2, 5.0
    counts = kmer_counts(codes, k).toarray().astype(np.float64)
    letters = [decode_codes(digits(i, k))[0] for i in range(4**k)]
    distance = np.array([[sum(a != b for a, b in zip(x, y, strict=True)) for y in letters] for x in letters])
    twin = [letters.index(reverse_complement(x)) for x in letters]
    features = (counts + counts[:, twin]) / 2 @ similarity**distance
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_SIMILARITY", similarity), ("_L2", penalty), ("_ITERATIONS", 500)):
            patch.setattr(f"kipoi_tfbind.training.baselines.{name}", value)
        scores = kmer_model_scores(kmer_counts(codes, k), labels, kmer_counts(codes, k))
    oracle = LogisticRegression(C=1 / penalty, max_iter=5_000, tol=1e-8).fit(features, labels)
    expected = features @ oracle.coef_[0]
    np.testing.assert_allclose(scores - scores.mean(), expected - expected.mean(), atol=0.02)


def test_kmer_model_of_a_target_that_is_never_bound_is_finite() -> None:
    codes, labels = planted(5, 100)
    counts = kmer_counts(codes, 4)
    assert np.isfinite(kmer_model_scores(counts, np.zeros_like(labels), counts)).all()
