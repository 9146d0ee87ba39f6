"""What a model has learned, told of models that are known to have learned their motif, or GC content."""

import numpy as np

from kipoi_tfbind.dna.one_hot import encode_bases
from kipoi_tfbind.motifs.read import read_jaspar
from kipoi_tfbind.training.baselines import best_motif_score, jaspar_log_odds
from kipoi_tfbind.training.learned import (
    CONTEXT_ONLY,
    LEARNED,
    TOO_FEW_PEAKS,
    motif_response,
    what_is_learned,
)

CTCF = "MA0139.1"


def ctcf_and_gc(codes):
    """First target: best CTCF score; the others: GC content."""
    gc = ((codes == 1) | (codes == 2)).mean(axis=1)
    return np.stack([best_motif_score(codes, jaspar_log_odds(CTCF)), 20 * gc, 20 * gc], axis=1)


def windows(n=60, length=120):
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=(n, length)).astype(np.uint8)
    site = encode_bases([read_jaspar(CTCF).consensus().text])[0]
    codes[: n // 2, 50 : 50 + len(site)] = site
    return codes, np.repeat([[1, 1, 1], [0, 0, 0]], n // 2, axis=0).astype(np.int8)


def test_verdicts_of_known_models():
    codes, labels = windows()
    found = what_is_learned(
        *(ctcf_and_gc, codes, labels, dict.fromkeys("ABC", CTCF), list("ABC"), np.array([5000, 5000, 50]))
    )
    assert [found[name]["verdict"] for name in "ABC"] == [LEARNED, CONTEXT_ONLY, TOO_FEW_PEAKS]
    assert found["A"]["own_motif"]["low"] > 5
    assert found["A"]["shuffles"]["auroc"] == 1
    # The scramble has the bases of the consensus, so that composition does not answer.
    assert abs(found["B"]["own_motif"]["value"]) < 1e-9
    assert found["A"]["best_motif"]["matrix"] == CTCF


def test_response_is_that_of_explicit_embedding():
    backgrounds = np.random.default_rng(2).integers(4, size=(4, 60)).astype(np.uint8)
    site = encode_bases([read_jaspar(CTCF).consensus().text])[0]
    start = (60 - len(site)) // 2

    def matches(codes):
        forward, reverse = ((codes[:, start : start + 19] == s).all(axis=1) for s in (site, 3 - site[::-1]))
        return np.stack([forward, 3.0 * reverse], axis=1)

    np.testing.assert_allclose(motif_response(matches, backgrounds, CTCF), [[0.5, 1.5]] * 4)


def test_a_factor_without_a_matrix_is_never_said_to_be_learned():
    codes, labels = windows()
    found = what_is_learned(ctcf_and_gc, codes, labels, {}, list("ABC"), np.array([5000] * 3))
    assert {entry["verdict"] for entry in found.values()} == {CONTEXT_ONLY}
