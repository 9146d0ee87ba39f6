"""DeepSHAP against DeepLIFT's rescale rule by hand, and its references."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind import testing
from kipoi_tfbind.errors import CompletenessWarning, InputError
from tests import foreign_models as foreign
from tests import same_weights

LENGTH = 24
SEQUENCES = testing.random_sequences(3, LENGTH, seed=21)
X = SEQUENCES["one_hot"].values
REFERENCES = testing.random_sequences(6, LENGTH, seed=22)["one_hot"].values.reshape(3, 2, LENGTH, 4)
N_PLACES = LENGTH - foreign.WIDTH + 1
HEAD = np.random.default_rng(23).normal(0, 0.4, (N_PLACES, foreign.FILTERS, 2)).astype(np.float32)


class Network(nn.Module):
    """Convolution, ReLU, dense layer and a sigmoid, for (4, length)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(4, foreign.FILTERS, foreign.WIDTH)
        self.head = nn.Linear(foreign.FILTERS * N_PLACES, 2, bias=False)
        # (filter, base, position); the features are flattened filter by filter.
        arrays = {
            "convolution.weight": foreign.KERNEL.transpose(2, 1, 0),
            "convolution.bias": foreign.BIAS,
            "head.weight": HEAD.transpose(2, 1, 0).reshape(2, -1),
        }
        self.load_state_dict({name: torch.tensor(array.copy()) for name, array in arrays.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.head(torch.relu(self.convolution(x)).flatten(1)))


def wrapped(**options: Any) -> tfb.SequenceModel:
    return tfb.as_sequence_model(Network(), length=LENGTH, targets=["a", "b"], **options)


def before_relu(one_hot: NDArray) -> NDArray[np.float64]:
    """(..., position, base) -> (..., place, filter)."""
    windows = np.lib.stride_tricks.sliding_window_view(one_hot.astype(np.float64), foreign.WIDTH, axis=-2)
    return np.einsum("...pbw,wbf->...pf", windows, foreign.KERNEL) + foreign.BIAS


def by_hand(x: NDArray, references: NDArray) -> NDArray[np.float64]:
    """Hypothetical contributions (sequence, position, base, target), a position and a base at a time."""
    hypothetical = np.zeros((*x.shape, 2))
    for sequence, own in enumerate(references):
        for reference in own:
            z, at_reference = before_relu(x[sequence]), before_relu(reference)
            # Rescale (Shrikumar et al. 2017): change after over change before; no two are equal here.
            ratio = (np.maximum(z, 0) - np.maximum(at_reference, 0)) / (z - at_reference)
            multiplier = np.zeros((LENGTH, 4, 2))
            for place, unit in np.ndindex(ratio.shape):
                slope = ratio[place, unit] * foreign.KERNEL[:, :, unit, np.newaxis] * HEAD[place, unit]
                multiplier[place : place + foreign.WIDTH] += slope
            for position, base in np.ndindex(LENGTH, 4):
                difference = np.eye(4)[base] - reference[position]
                hypothetical[sequence, position, base] += difference @ multiplier[position] / len(own)
    return hypothetical


@pytest.mark.parametrize("double_precision", [False, True])
def test_rescale_by_hand(double_precision: bool) -> None:
    expected = by_hand(X, REFERENCES)
    result = tfb.deep_shap(wrapped(double_precision=double_precision), SEQUENCES, references=REFERENCES)
    # Ratios of differences lose a digit or two of float32's seven; of float64's sixteen as well.
    tolerance = (1e-12 if double_precision else 1e-5) * np.abs(expected).max()
    np.testing.assert_allclose(result["hypothetical_contribution"], expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(result["contribution"], expected * X[..., np.newaxis], rtol=0, atol=tolerance)
    places = np.maximum(before_relu(REFERENCES), 0)
    background = np.einsum("nrpf,pft->nt", places, HEAD) / REFERENCES.shape[1]
    np.testing.assert_allclose(result["mean_reference_prediction"], background, rtol=1e-5, atol=1e-6)
    assert result.attrs["references"] == "given"
    # Nothing was drawn.
    assert not {"seed", "n_references"} & set(result.attrs)


def test_references_for_all_sequences_are_those_for_each() -> None:
    model = wrapped()
    shared = tfb.deep_shap(model, SEQUENCES, references=REFERENCES[0])
    each = tfb.deep_shap(model, SEQUENCES, references=np.broadcast_to(REFERENCES[0], REFERENCES.shape))
    for name in ("hypothetical_contribution", "mean_reference_prediction"):
        np.testing.assert_array_equal(shared[name], each[name])


def test_references_are_drawn_from_the_seed_and_the_sequence() -> None:
    model = wrapped()

    def run(sequences: Any = SEQUENCES, **options: Any) -> NDArray:
        result = tfb.deep_shap(model, sequences, n_references=3, **options)
        return result["hypothetical_contribution"].values

    np.testing.assert_array_equal(run(seed=5), run(seed=5))
    assert np.abs(run(seed=5) - run(seed=6)).max() > 0.01
    alone = run(SEQUENCES.isel(sequence=[2]), seed=5)
    np.testing.assert_allclose(run(seed=5)[[2]], alone, rtol=0, atol=1e-6)
    drawn = tfb.make_references(X, "dinucleotide_shuffle", 3, seed=5)
    np.testing.assert_array_equal(run(seed=5), run(references=drawn))


@pytest.mark.parametrize("kind", same_weights.DIFFERENTIABLE)
def test_contributions_add_up_where_n_is_a_quarter(kind: str) -> None:
    length = None if kind == "keras" else same_weights.LENGTH
    model = tfb.as_sequence_model(same_weights.MAKERS[kind](), length=length, neutral_value=0.25)
    some_n = testing.random_sequences(2, same_weights.LENGTH, n_fraction=0.1, seed=24)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CompletenessWarning)
        for references in ("dinucleotide_shuffle", "zeros", "uniform"):
            result = tfb.deep_shap(model, some_n, references=references, n_references=3)
            assert np.abs(result["completeness_error"]).max() < 1e-5
    quarters = np.full((1, same_weights.LENGTH, 4), 0.25, dtype=np.float32)
    # The last of them: a quarter for each base is what the model sees of N.
    np.testing.assert_allclose(
        result["mean_reference_prediction"], np.repeat(same_weights.logits(quarters), 2, axis=0), rtol=1e-5
    )


def test_weights_of_nan_are_named() -> None:
    """Training that diverged is told; a constant that is not equal to itself is no obstacle to the trace."""
    module = Network()
    with torch.no_grad():
        module.head.weight[1, 0] = float("nan")
    model = tfb.as_sequence_model(module, length=LENGTH, targets=["a", "b"])
    with pytest.raises(InputError, match=r"prediction of b for sequence 0 .* is nan; are .* weights sound"):
        tfb.deep_shap(model, SEQUENCES, references=REFERENCES)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_references_of_other_sequences_are_refused(n: int) -> None:
    references = np.zeros((n, 2, LENGTH, 4), dtype=np.float32)
    message = rf"references: .* \(3, reference, 24, 4\), got \({n}, 2, 24, 4\)"
    with pytest.raises(InputError, match=message):
        tfb.deep_shap(wrapped(), SEQUENCES, references=references)


def test_what_is_no_reference_is_refused() -> None:
    with pytest.raises(InputError, match=r"references: expected .* or an array of numbers, got list"):
        tfb.deep_shap(wrapped(), SEQUENCES, references=["ACGT", "TTTT"])


class Attention(nn.Module):
    """Convolution, GELU, layer normalisation, self-attention and a residual connection, for (4, length)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.convolution = nn.Conv1d(4, 16, 5, padding=2)
        self.before, self.after = nn.LayerNorm(16), nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.before(nn.functional.gelu(self.convolution(x)).transpose(1, 2))
        hidden = self.after(hidden + self.attention(3 * hidden, 3 * hidden, hidden)[0])
        return self.head(nn.functional.gelu(hidden).mean(dim=1))


def attention(kind: str, **options: Any) -> tfb.SequenceModel:
    if kind == "torch":
        return tfb.as_sequence_model(Attention(), length=LENGTH, **options)
    import keras

    keras.utils.set_random_seed(5)
    layers = keras.layers
    inputs = keras.Input((LENGTH, 4))
    hidden = layers.LayerNormalization()(layers.Conv1D(16, 5, padding="same", activation="gelu")(inputs))
    scaled = layers.Rescaling(2.0)(hidden)
    attended = layers.MultiHeadAttention(2, 8)(scaled, hidden, scaled)
    hidden = layers.LayerNormalization()(layers.Add()([hidden, attended]))
    hidden = layers.GlobalAveragePooling1D()(layers.Activation("gelu")(hidden))
    return tfb.as_sequence_model(keras.Model(inputs, layers.Dense(2)(hidden)), **options)


@pytest.mark.parametrize(
    ("kind", "options"), [("torch", {}), ("torch", {"average_strands": True}), ("keras", {})]
)
def test_sequences_that_float32_is_too_coarse_for_are_computed_in_float64(
    kind: str, options: dict[str, bool]
) -> None:
    sequences = testing.random_sequences(6, LENGTH, seed=31)
    references = testing.random_sequences(12, LENGTH, seed=32)["one_hot"].values.reshape(6, 2, LENGTH, 4)
    model = attention(kind, **options)

    def explained(model: tfb.SequenceModel, tolerance: float) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CompletenessWarning)
            return tfb.deep_shap(model, sequences, references=references, tolerance=tolerance)

    coarse = explained(model, 1.0)
    np.testing.assert_array_equal(coarse["precision"], 32)
    precise = explained(attention(kind, double_precision=True, **options), 1e-10)
    np.testing.assert_array_equal(precise["precision"], 64)

    difference = np.abs(coarse["prediction"] - coarse["mean_reference_prediction"])
    scale = np.maximum(difference, np.abs(coarse["contribution"]).max(["position", "base"]))
    relative = (np.abs(coarse["completeness_error"]) / scale).max("target").values
    tolerance = float(np.sort(relative)[2:4].mean())  # half of the sequences miss it
    found = explained(model, tolerance)
    again = relative > tolerance
    assert again.sum() == 3
    np.testing.assert_array_equal(found["precision"], np.where(again, 64, 32))
    for name in ("hypothetical_contribution", "contribution", "prediction", "mean_reference_prediction"):
        np.testing.assert_array_equal(found[name][~again], coarse[name][~again])
        # The numbers of float64, in the float32 of the result.
        np.testing.assert_array_equal(found[name][again], precise[name][again].astype(np.float32))
    largest = float(np.abs(found["contribution"]).max())
    # Sums of some hundred numbers that were rounded to float32.
    assert float(np.abs(found["completeness_error"][again]).max()) < 1e-6 * largest


def test_what_cannot_be_computed_in_float64_is_warned_of() -> None:
    """A model of shap's engine, which computes in the model's own precision."""
    model = wrapped()
    with pytest.warns(CompletenessWarning, match=r"deep_shap: .* not complete within 1e-12"):
        result = tfb.deep_shap(model, SEQUENCES, references=REFERENCES, tolerance=1e-12, engine="shap")
    np.testing.assert_array_equal(result["precision"], 32)


def test_precision_of_an_ensemble_is_the_mean() -> None:
    both = tfb.as_sequence_model([wrapped(), wrapped(double_precision=True)])
    result = tfb.deep_shap(both, SEQUENCES, references=REFERENCES, tolerance=1.0)
    np.testing.assert_array_equal(result["precision"], 48)
