"""Each architecture learns: a few steps on real windows, profiles and energies that were planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.architectures import ARCHITECTURES, binding_energies, biophysical, profile_cnn
from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.training.config import Region, TrainingConfig, WindowsConfig
from kipoi_tfbind.training.fit import build_model, start_at_prevalence
from kipoi_tfbind.training.objective import MaskedCrossEntropy
from kipoi_tfbind.training.profile_losses import MultinomialNLL, profile_losses
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

    def loss_of_all() -> float:
        return float(ops.convert_to_numpy(loss(labels, on_logits(sequences, training=True))))

    before = loss_of_all()
    for _ in range(8):
        on_logits.train_on_batch(sequences, labels)
    assert loss_of_all() < before


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
    # Keras' sum rounds float64 to float32 on PyTorch and JAX.
    assert found == pytest.approx(expected, rel=1e-9 if keras.backend.backend() == "tensorflow" else 1e-6)


def simulated_profiles(n: int, length: int, seed: int) -> tuple[NDArray, NDArray]:
    """Sequences with a site in every other one, and reads: 20 anywhere, and 100 about the site."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(4, size=(n, length))
    site = np.array([0, 2, 1, 3, 3, 0, 2, 1])
    rates = np.full((n, length), 20 / length)
    footprint = np.exp(-0.5 * ((np.arange(-12, 13)) / 4) ** 2)
    for row in range(0, n, 2):
        start = rng.integers(12, length - 20)
        codes[row, start : start + 8] = site
        rates[row, start + 4 - 12 : start + 4 + 13] += 100 * footprint / footprint.sum()
    return np.eye(4, dtype=np.float32)[codes], rng.poisson(rates)[:, :, None].astype(np.float32)


@pytest.mark.slow
def test_profiles_and_counts_are_learned_from_simulated_reads() -> None:
    keras.utils.set_random_seed(0)
    (x, reads), (held_out, truth) = (simulated_profiles(n, 80, seed) for n, seed in ((2048, 1), (128, 2)))
    model = profile_cnn(
        length=80, filters=16, kernel_size=9, dilation_rates=(2, 4), profile_kernel_size=15, strands="none"
    )
    model.compile(keras.optimizers.Adam(0.01), **profile_losses(counts_weight=60))
    targets = {"profile": reads, "log_counts": np.log1p(reads.sum(axis=1))}
    model.fit(x, targets, epochs=16, batch_size=64, verbose=0)
    found = {name: ops.convert_to_numpy(value) for name, value in model(held_out, training=False).items()}
    counts = np.log1p(truth.sum(axis=1))
    assert np.corrcoef(found["log_counts"][:, 0], counts[:, 0])[0, 1] > 0.9
    bound = slice(0, None, 2)
    flat = -np.log(1 / 80) * truth[bound].sum(axis=(1, 2)).mean()
    share = truth[bound] / truth[bound].sum(axis=1, keepdims=True)
    best = -(truth[bound] * np.log(np.maximum(share, 1e-9))).sum(axis=(1, 2)).mean()
    likelihood = float(MultinomialNLL()(truth[bound], found["profile"][bound]))
    # The observed frequencies themselves are more than a model can know: they hold the noise.
    assert flat - likelihood > 0.6 * (flat - best)


@pytest.mark.slow
def test_planted_energies_are_recovered_in_kt() -> None:
    """Of three starts, that with the best loss: a start may see the motif shifted out of its matrix."""
    rng = np.random.default_rng(3)
    planted_width, width, length, mu, n = 8, 16, 60, 3.0, 20_000
    energy = rng.uniform(1.0, 4.0, size=(planted_width, 4))
    energy[np.arange(planted_width), rng.integers(4, size=planted_width)] = 0
    x = np.eye(4, dtype=np.float32)[rng.integers(4, size=(n, length))]
    windows = np.lib.stride_tricks.sliding_window_view(x, planted_width, axis=1)
    free = np.ones(n)
    for matrix in (energy, energy[::-1, ::-1]):
        free *= np.prod(1 - 1 / (1 + np.exp(np.einsum("nscw,wc->ns", windows, matrix) - mu)), axis=1)
    bound = (rng.random(n) > free).astype(np.float32)[:, None]
    assert 0.1 < bound.mean() < 0.9

    def fitted(seed: int) -> tuple[float, keras.Model]:
        keras.utils.set_random_seed(seed)
        model = biophysical(length=length, kernel_size=width, l2=0.0)
        logits = keras.Model(model.input, model.get_layer("logit").output)
        schedule = keras.optimizers.schedules.CosineDecay(0.05, 15 * n // 256)
        logits.compile(keras.optimizers.Adam(schedule), keras.losses.BinaryCrossentropy(from_logits=True))
        return logits.fit(x, bound, epochs=15, batch_size=256, verbose=0).history["loss"][-1], model

    _, model = min((fitted(seed) for seed in (1, 2, 3)), key=lambda found: found[0])
    found, potential = (values[0] for values in binding_energies(model))
    # The matrix may lie anywhere in the wider one, on either strand.
    placed = [
        np.pad(matrix, ((start, width - planted_width - start), (0, 0)))
        for matrix in (energy, energy[::-1, ::-1])
        for start in range(width - planted_width + 1)
    ]
    correlations = [np.corrcoef(planted.ravel(), found.ravel())[0, 1] for planted in placed]
    assert max(correlations) >= 0.95
    # In kT, not on a scale of their own.
    assert np.abs(found - placed[int(np.argmax(correlations))]).mean() < 0.3
    assert potential == pytest.approx(mu, abs=0.5)
