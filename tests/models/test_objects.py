"""Models of further kinds as objects: exported programs, object outputs, tokens, tracks, estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.testing import random_sequences
from tests import foreign_models as foreign

LENGTH = foreign.LENGTH
SEQUENCES = random_sequences(3, LENGTH, n_fraction=0.05, seed=5)
X = SEQUENCES["one_hot"].values


class Network(nn.Module):
    """The network of the foreign models for (4, L); its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, foreign.FILTERS, foreign.WIDTH)
        self.dropout = nn.Dropout(0.5)
        self.conv.weight.data = torch.from_numpy(foreign.KERNEL.transpose(2, 1, 0).copy())
        assert self.conv.bias is not None
        self.conv.bias.data = torch.from_numpy(foreign.BIAS)
        self.head = nn.Parameter(torch.from_numpy(foreign.HEAD))
        self.head_bias = nn.Parameter(torch.from_numpy(foreign.HEAD_BIAS))

    def forward(self, x: Any) -> Any:
        pooled = nn.functional.max_pool1d(torch.relu(self.conv(x)), foreign.POOL)
        return torch.einsum("nfp,pft->nt", self.dropout(pooled), self.head) + self.head_bias


def test_an_exported_program() -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(
        Network().eval(), (torch.zeros(2, 4, LENGTH),), dynamic_shapes={"x": {0: batch}}
    )
    model = tfb.as_sequence_model(program)
    assert (model.length, str(model.layout)) == (LENGTH, "4,L")
    with pytest.raises(InputError, match=f"takes sequences of {LENGTH} bases, not 7"):
        tfb.as_sequence_model(program, length=7)
    np.testing.assert_allclose(model.predict(X), foreign.logits(X), rtol=1e-5, atol=1e-5)
    result = tfb.deep_shap(model, SEQUENCES, references="zeros")
    assert np.abs(result["completeness_error"]).max() < 1e-4
    assert tfb.in_silico_mutagenesis(model, SEQUENCES, path="incremental").attrs["path"] == "incremental"


def test_a_program_that_takes_one_batch_size_only() -> None:
    program = torch.export.export(Network().eval(), (torch.zeros(2, 4, LENGTH),))
    with pytest.raises((InputError, UnsupportedModelError), match="export it with a dynamic batch"):
        tfb.as_sequence_model(program, length=LENGTH)


@dataclass
class Output:
    """As HuggingFace's: what is not asked for is None."""

    logits: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...]
    loss: torch.Tensor | None = None


class WithObject(Network):
    def __init__(self, as_dict: bool = False) -> None:
        super().__init__()
        self.as_dict = as_dict

    def forward(self, x: torch.Tensor) -> Any:
        logits = super().forward(x)
        output = Output(logits, (logits[:, :, None] * torch.arange(5.0), x[:, :, :3]))
        return vars(output) if self.as_dict else output


@pytest.mark.parametrize("as_dict", [False, True])
def test_an_output_by_its_name(as_dict: bool) -> None:
    whole = tfb.as_sequence_model(WithObject(as_dict), length=LENGTH)
    assert len(whole.target_names) == 2 + 10 + 12
    model = tfb.as_sequence_model(WithObject(as_dict), length=LENGTH, head="logits")
    assert model.target_names == ("logits/0", "logits/1")
    np.testing.assert_allclose(model.predict(X), foreign.logits(X), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match=r"head: no output 'logit'; this model has logits, hidden_states/0"):
        tfb.as_sequence_model(WithObject(as_dict), length=LENGTH, head="logit")


def test_a_transform_of_the_whole_output() -> None:
    model = tfb.as_sequence_model(
        WithObject(), length=LENGTH, transform=lambda output: output.hidden_states[0].sum(-1)
    )
    np.testing.assert_allclose(model.predict(X), 10 * foreign.logits(X), rtol=1e-5, atol=1e-5)
    tfb.gradients(model, SEQUENCES)


def test_one_position_of_a_profile() -> None:
    whole = tfb.as_sequence_model(WithObject(), length=LENGTH)
    for position, at in (("centre", 2), (4, 4)):
        model = tfb.as_sequence_model(
            WithObject(), length=LENGTH, head="hidden_states/0", output_position=position
        )
        assert model.target_names == (f"hidden_states/0/0/{at}", f"hidden_states/0/1/{at}")
        expected = whole.select_targets(model.target_names).predict(X)
        np.testing.assert_array_equal(model.predict(X), expected)
    with pytest.raises(InputError, match="a position of output hidden_states/0 from 0 to 4, got 5"):
        tfb.as_sequence_model(WithObject(), length=LENGTH, head="hidden_states/0", output_position=5)
    with pytest.raises(InputError, match="no output of this model has positions"):
        tfb.as_sequence_model(Network(), length=LENGTH, output_position="centre")


class OfTokens(Network):
    def __init__(self, tokens: list[int]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 4)
        self.embedding.weight.data = torch.full((20, 4), 7.0)
        self.embedding.weight.data[tokens] = torch.eye(5, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(self.embedding(x).transpose(1, 2))


@pytest.mark.parametrize(
    ("layout", "tokens"), [("tokens", [0, 1, 2, 3, 4]), ("tokens:7,8,9,10,11", [7, 8, 9, 10, 11])]
)
def test_tokens(layout: str, tokens: list[int]) -> None:
    model = tfb.as_sequence_model(OfTokens(tokens), length=LENGTH, layout=layout)
    assert str(model.layout).startswith("tokens")
    np.testing.assert_allclose(model.predict(X), foreign.logits(X), rtol=1e-5, atol=1e-5)
    effect = tfb.in_silico_mutagenesis(model, SEQUENCES, start=5, end=8)["mutation_effect"]
    plain = tfb.as_sequence_model(Network(), length=LENGTH)
    expected = tfb.in_silico_mutagenesis(plain, SEQUENCES, start=5, end=8)["mutation_effect"]
    np.testing.assert_allclose(effect, expected, atol=1e-5)
    np.testing.assert_array_equal(model.layout.to_one_hot(model.layout.to_model(X)), X)
    with pytest.raises(UnsupportedModelError, match="gradients"):
        tfb.gradients(model, SEQUENCES)
    with pytest.raises(InputError, match="a number for each of A, C, G, T and N"):
        tfb.as_sequence_model(OfTokens(tokens), length=LENGTH, layout="tokens:1,2,3,4")


class WithTracks(Network):
    """The bases, and what two tracks add to every position's features."""

    def forward(self, x: torch.Tensor) -> Any:
        weights = torch.arange(LENGTH) / LENGTH
        return super().forward(x[:, :4]) + ((x[:, 4:] * weights).sum(-1) * x[:, 0].sum(-1)[:, None])


def expected_with_tracks(one_hot: NDArray, tracks: NDArray) -> NDArray:
    weights = np.arange(LENGTH) / LENGTH
    added = np.einsum("...lc,l->...c", tracks, weights)
    return foreign.logits(one_hot) + added * one_hot[:, :, 0].sum(axis=1)[:, np.newaxis]


@pytest.mark.parametrize("kind", ["torch", "function", "keras"])
def test_further_channels_are_held_fixed(kind: str) -> None:
    tracks = np.random.default_rng(6).normal(size=(LENGTH, 2)).astype(np.float32)
    layout = "4+2,L" if kind == "torch" else "L,4+2"
    if kind == "torch":
        bare: Any = WithTracks()
    elif kind == "function":

        def bare(x: Any) -> Any:
            assert x.shape[1:] == (LENGTH, 6)
            return expected_with_tracks(x[:, :, :4], x[:, :, 4:])
    else:
        import keras

        network = WithTracks().eval()
        inputs = keras.Input((LENGTH, 6))
        conv = keras.layers.Conv1D(foreign.FILTERS, foreign.WIDTH, activation="relu")
        pooled = keras.layers.MaxPooling1D(foreign.POOL)(conv(inputs[:, :, :4]))
        logits = keras.ops.einsum("npf,pft->nt", pooled, foreign.HEAD) + foreign.HEAD_BIAS
        weights = (np.arange(LENGTH) / LENGTH).astype(np.float32)[:, np.newaxis]
        added = keras.ops.sum(inputs[:, :, 4:] * weights, axis=1)
        added = added * keras.ops.sum(inputs[:, :, :1], axis=1)
        bare = keras.Model(inputs, logits + added)
        conv.set_weights([foreign.KERNEL, foreign.BIAS])
        assert network is not None
    options: dict[str, Any] = {} if kind != "function" else {"targets": ["a", "b"]}
    model = tfb.as_sequence_model(bare, layout=layout, length=LENGTH, auxiliary={"tracks": tracks}, **options)
    expected = expected_with_tracks(X, tracks)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5, atol=1e-4)
    effect = tfb.in_silico_mutagenesis(model, SEQUENCES, start=7, end=9)["mutation_effect"].values
    mutant = X.copy()
    mutant[:, 8] = np.eye(4)[2]
    known = X[:, 8].any(axis=1)
    difference = expected_with_tracks(mutant, tracks) - expected
    np.testing.assert_allclose(effect[known, 1, 2], difference[known], atol=1e-4)
    if kind != "function":
        result = tfb.deep_shap(model, SEQUENCES, references="zeros")
        assert np.abs(result["completeness_error"]).max() < 1e-4
        assert tfb.gradients(model, SEQUENCES)["contribution"].shape == (3, LENGTH, 4, 2)
    with pytest.raises(UnsupportedModelError, match="no reverse complement"):
        model.average_strands()
    without = tfb.as_sequence_model(bare, layout=layout, length=LENGTH, **options)
    with pytest.raises(InputError, match="'tracks'"):
        without.predict(X)
    own = SEQUENCES.assign(auxiliary_tracks=(("sequence", "position", "track"), np.stack([tracks] * 3)))
    found = tfb.in_silico_mutagenesis(without, own, start=7, end=9)["mutation_effect"]
    np.testing.assert_allclose(found, effect, atol=1e-5)
    wrong = tfb.as_sequence_model(
        bare, layout=layout, length=LENGTH, auxiliary={"tracks": tracks[:5]}, **options
    )
    with pytest.raises(InputError, match=r"expected \(position, channel\) of \(60, 2\)"):
        wrong.predict(X)


def test_estimators_of_scikit_learn() -> None:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(7)
    train = random_sequences(40, 20, seed=8)["one_hot"].values
    labels = np.where(train[:, :, 2].sum(axis=1) > 5, "bound", "free")
    some = random_sequences(2, 20, seed=9)
    flat = some["one_hot"].values.reshape(2, -1)
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(train.reshape(40, -1), labels)
    model = tfb.as_sequence_model(classifier)
    assert model.target_names == ("bound", "free")
    assert model.length == 20
    np.testing.assert_allclose(
        model.predict(some["one_hot"].values), classifier.predict_proba(flat), rtol=1e-6
    )
    regressor = RandomForestRegressor(5, random_state=0).fit(train.reshape(40, -1), rng.normal(size=40))
    model = tfb.as_sequence_model(regressor)
    np.testing.assert_allclose(
        model.predict(some["one_hot"].values)[:, 0], regressor.predict(flat), rtol=1e-6
    )
    assert tfb.in_silico_mutagenesis(model, some).sizes["target"] == 1
    with pytest.raises(UnsupportedModelError, match="is not fitted"):
        tfb.as_sequence_model(LogisticRegression())
