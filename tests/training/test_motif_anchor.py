"""How far an anchor lets training move filters that start as motifs; on all of Keras' backends."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.architectures import motif_scan
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.layers import RevCompConv1D
from kipoi_tfbind.training.motif_anchor import AnchoredFilters, start_from_motifs
from kipoi_tfbind.training.objective import MaskedCrossEntropy

MOTIFS = ("MA0139.1", "MA0062.2")


def kernel_of(model: keras.Model) -> NDArray:
    return np.array(ops.convert_to_numpy(model.get_layer("motifs").kernel))


@cache
def trained(anchor: float | None, tied: bool = True) -> tuple[keras.Model, NDArray]:
    """A small model after some steps on labels that its motifs say nothing about, and its first kernel."""
    keras.utils.set_random_seed(0)
    kind = RevCompConv1D if tied else keras.layers.Conv1D
    model = keras.Sequential(
        [
            keras.Input((40, 4)),
            kind(6, 19, name="motifs"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1),
        ]
    )
    if anchor is None:
        start_from_motifs(model, MOTIFS)
    else:
        start_from_motifs(model, MOTIFS, anchor)
    start = kernel_of(model)
    rng = np.random.default_rng(1)
    x = np.eye(4, dtype=np.float32)[rng.integers(4, size=(256, 40))]
    y = (x[:, :, 0].mean(axis=1) > 0.25).astype(np.int8)[:, None]
    model.compile(keras.optimizers.AdamW(0.02, weight_decay=0.01), MaskedCrossEntropy([1.0]))
    model.fit(x, y, batch_size=32, epochs=3, shuffle=False, verbose=0)
    return model, start


def distances(anchor: float | None, tied: bool) -> NDArray:
    """Root mean square over a filter's entries of how far it was moved (filter)."""
    model, start = trained(anchor, tied)
    return np.sqrt(np.square(kernel_of(model) - start).mean(axis=(0, 1)))


def test_anchored_filters_pay_for_the_squared_distance_beside_the_other_penalty() -> None:
    rng = np.random.default_rng(0)
    kernel, motifs = rng.normal(size=(7, 4, 5)), rng.normal(size=(7, 4, 2))
    penalty = AnchoredFilters(motifs, 0.3, lambda values: 0.01 * ops.sum(ops.square(values)))
    expected = 0.3 * ((kernel[:, :, :2] - motifs) ** 2).sum() + 0.01 * (kernel**2).sum()
    assert float(penalty(ops.convert_to_tensor(kernel))) == pytest.approx(expected, rel=1e-6)


def test_without_an_anchor_filters_are_trained_as_they_were() -> None:
    np.testing.assert_array_equal(kernel_of(trained(0.0)[0]), kernel_of(trained(None)[0]))


@pytest.mark.parametrize("tied", [True, False])
def test_an_anchor_holds_the_motifs_and_nothing_else(tied: bool) -> None:
    n = 2 if tied else 4  # both strands' of each motif
    free, loose, tight = (distances(weight, tied) for weight in (0.0, 0.1, 100.0))
    assert free.min() > 0.05
    assert free[:n].mean() > 2 * loose[:n].mean() > 10 * tight[:n].mean()
    assert tight[n:].min() > 0.05
    fixed = distances(np.inf, tied)
    # Set back after every step: as they were, whatever the optimiser and its weight decay do.
    np.testing.assert_array_equal(fixed[:n], 0)
    assert fixed[n:].min() > 0.05


@pytest.mark.parametrize("anchor", [0.01, np.inf])
def test_an_anchored_model_is_saved_without_its_anchor(anchor: float, tmp_path: Path) -> None:
    model, _ = trained(anchor)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    kernel = loaded.get_layer("motifs").kernel
    assert kernel.constraint is None
    assert not isinstance(kernel.regularizer, AnchoredFilters)
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(2).integers(4, size=(5, 40))]
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))


def test_an_anchor_where_nothing_is_trained_is_refused() -> None:
    with pytest.raises(InputError, match="motif_anchor: the filters of this architecture are not trained"):
        start_from_motifs(motif_scan(length=240, filters=4), MOTIFS, 1.0)
