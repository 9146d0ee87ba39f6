"""First-layer filters from motifs: their responses are log-likelihood ratios."""

import keras
import numpy as np
import pytest

from kipoi_tfbind.architectures import dilated_residual_cnn
from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.baselines import jaspar_log_odds
from kipoi_tfbind.training.motif_anchor import start_from_motifs
from kipoi_tfbind.training.motif_filters import motif_filter, set_motif_filters

CTCF, YY1 = "MA0139.1", "MA0095.2"


@pytest.mark.parametrize("matrix_id", [CTCF, YY1])
def test_response_of_the_layer_is_the_log_likelihood_ratio_up_to_a_constant(matrix_id):
    model = dilated_residual_cnn(filters=6, kernel_size=21)
    start_from_motifs(model, [CTCF, YY1])
    layer = model.get_layer("motifs")
    codes = np.random.default_rng(0).integers(4, size=(3, 600)).astype(np.uint8)
    response = keras.ops.convert_to_numpy(layer(one_hot_codes(codes)))
    index = [CTCF, YY1].index(matrix_id)

    log_odds = jaspar_log_odds(matrix_id) * np.log(2)
    width = len(log_odds)
    windows = np.lib.stride_tricks.sliding_window_view(codes, width, axis=1)
    first = (21 - width) // 2 - 10  # of the motif, from the middle of the filter
    for channel, matrix in ((index, log_odds), (11 - index, log_odds[::-1, ::-1])):
        score = np.take_along_axis(matrix[None, None], windows[..., None], axis=3)[..., 0].sum(axis=2)
        offset = first if channel == index else -(first + width - 1)
        found = response[:, -offset : -offset + score.shape[1], channel]
        shift = found - score[:, : found.shape[1]]
        # float32 resolves 2e-6 of a score of some tens.
        assert np.ptp(shift) < 1e-5
        assert shift.mean() == pytest.approx(-log_odds.mean(axis=1).sum(), abs=1e-5)


def test_filter_in_double_precision_is_exact():
    log_odds = jaspar_log_odds(CTCF) * np.log(2)
    kernel = motif_filter(log_odds, 19)
    codes = np.random.default_rng(1).integers(4, size=(200, 19))
    score, response = (m[np.arange(19), codes].sum(axis=1) for m in (log_odds, kernel))
    assert np.ptp(response - score) < 1e-12
    assert (response - score).mean() == pytest.approx(-log_odds.mean(axis=1).sum(), abs=1e-6)


def test_a_wide_motif_keeps_its_informative_stretch():
    log_odds = np.zeros((30, 4))
    log_odds[20:26, 2] = 3.0
    kernel = motif_filter(log_odds, 7)
    assert (kernel.argmax(axis=1)[kernel.any(axis=1)] == 2).all()
    assert kernel.any(axis=1).sum() == 6


def test_other_filters_stay_and_too_many_motifs_are_refused():
    kernel = np.random.default_rng(0).normal(size=(19, 4, 3))
    changed = set_motif_filters(kernel, [CTCF])
    np.testing.assert_array_equal(changed[:, :, 1:], kernel[:, :, 1:])
    with pytest.raises(InputError, match="4 motifs for 3 filters"):
        set_motif_filters(kernel, [CTCF] * 4)
