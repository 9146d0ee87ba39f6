"""Each architecture learns: a few steps on real windows, profiles and energies that were planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.architectures import ARCHITECTURES
from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.training.config import Region, TrainingConfig, WindowsConfig
from kipoi_tfbind.training.fit import MaskedCrossEntropy, build_model, start_at_prevalence
from kipoi_tfbind.training.profile_losses import MultinomialNLL
from kipoi_tfbind.training.windows import training_bins
from tests.architectures.small import LENGTH, RECURRENT, SETTINGS

EXAMPLE = Path(__file__).parents[2] / "model_zoo" / "TFBind" / "example_data"
OTHER_INPUTS_OR_OUTPUTS = ("cnn_lstm_accessibility", "profile_cnn")
TRAINABLE = [name for name in ARCHITECTURES if name not in OTHER_INPUTS_OR_OUTPUTS]


def config(name: str, **more: Any) -> TrainingConfig:
    settings = {"length": LENGTH} | SETTINGS[name] | more
    return TrainingConfig(
        architecture=name,
        hyperparameters=settings if name == "biophysical" else {"filters": 8} | settings,
        targets={"CTCF": ("CTCF.HepG2.narrowPeak.gz",)},
        validation=(Region("chr20", 0, 100_000),),
        test=(Region("chr20", 100_000, 200_000),),
        windows=WindowsConfig(bin_length=LENGTH, stride=LENGTH),
    )


@pytest.fixture(scope="module")
def windows() -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Bound and unbound windows of the repository's own piece of a chromosome."""
    genome = Genome(EXAMPLE / "chr20.hg19.1-1Mb.fa.gz")
    bins = training_bins(config("motif_cnn"), genome, EXAMPLE)
    rows = np.concatenate([np.flatnonzero(bins.labels[:, 0] == label)[:32] for label in (1, 0)])
    return one_hot_codes(bins.codes(genome, LENGTH)[rows]), bins.labels[rows]


@pytest.mark.parametrize("strands", ["tied", "siamese"])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in RECURRENT else n for n in TRAINABLE]
)
def test_a_few_steps_on_real_windows(name: str, strands: str, windows: Any) -> None:
    sequences, labels = windows
    keras.utils.set_random_seed(1)
    model = build_model(config(name, strands=strands))
    start_at_prevalence(model, labels)
    on_logits = keras.Model(model.input, model.get_layer("logit").output)
    # Eagerly: as many compiled functions would take longer than their steps.
    loss = MaskedCrossEntropy([1.0])
    on_logits.compile(keras.optimizers.Adam(0.02), loss, run_eagerly=True)
    before = float(loss(labels, on_logits(sequences, training=True)))
    for _ in range(8):
        on_logits.train_on_batch(sequences, labels)
    assert float(loss(labels, on_logits(sequences, training=True))) < before


@pytest.mark.parametrize("name", OTHER_INPUTS_OR_OUTPUTS)
def test_what_a_training_run_cannot_feed_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' takes .*sequence.* a training run has sequences alone"):
        build_model(config(name))


def test_likelihood_of_a_profile_is_that_of_multinomial_draws() -> None:
    from scipy.stats import multinomial

    rng = np.random.default_rng(0)
    counts, log_odds = rng.integers(0, 5, (3, 8, 2)), rng.normal(size=(3, 8, 2))
    p = np.exp(log_odds) / np.exp(log_odds).sum(axis=1, keepdims=True)

    def log_likelihood(x: NDArray, p: NDArray) -> float:
        without_p = multinomial.logpmf(x, x.sum(), np.full(len(x), 1 / len(x))) + x.sum() * np.log(len(x))
        return multinomial.logpmf(x, x.sum(), p) - without_p

    expected = -np.sum([log_likelihood(counts[i, :, t], p[i, :, t]) for i in range(3) for t in range(2)]) / 3
    found = float(MultinomialNLL(dtype="float64")(counts, ops.convert_to_tensor(log_odds)))
    assert found == pytest.approx(expected, rel=1e-9)
