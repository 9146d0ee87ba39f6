"""Deep feature interactions against DeepSHAP of each mutant, and against the pairs of a model of pairs."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch

from kipoi_tfbind import as_sequence_model, deep_feature_interaction, deep_shap
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models.mutants import mutant_engine
from kipoi_tfbind.sequences.references import make_references
from kipoi_tfbind.testing import bilinear_model, random_sequences
from tests import graph_models, same_weights


class Pairs(torch.nn.Module):
    """A bilinear model as a PyTorch module."""

    def __init__(self, length: int) -> None:
        super().__init__()
        model = bilinear_model(length)
        self.linear = torch.nn.Parameter(torch.tensor(model.weights[..., 0]))
        self.pairs = torch.nn.Parameter(torch.tensor(model.pair_weights[..., 0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        alone = (x * self.linear).sum(dim=(1, 2))
        both = torch.einsum("jbia,nia->njb", self.pairs.permute(2, 3, 0, 1), x)
        return (alone + (both * x).sum(dim=(1, 2)))[:, None]


def test_of_a_model_of_pairs_it_is_their_mean_epistasis() -> None:
    """f = sum w[i,a,j,b] x[i,a] x[j,b]: against a base at a reference, what both of the pair do together."""
    length = 6
    model = as_sequence_model(Pairs(length), length=length, double_precision=True)
    sequences = random_sequences(2, length, n_fraction=0.1, seed=4)
    result = deep_feature_interaction(model, sequences, references="zeros")
    weights = bilinear_model(length).pair_weights[..., 0]
    for row, codes in enumerate(codes_of(sequences["one_hot"].values)):
        for pair, (i, j) in enumerate(
            zip(result["position_a"].values, result["position_b"].values, strict=True)
        ):
            found = float(result["interaction"][row, pair, 0])
            if 4 in (codes[i], codes[j]):
                assert np.isnan(found)
                continue
            w = weights[i, :, j]
            own = w[codes[i], codes[j]]
            # Half of the product's contribution is j's: it changes by half of that of the weights.
            a = (own - (w[:, codes[j]].sum() - own) / 3) / 2
            b = (own - (w[codes[i]].sum() - own) / 3) / 2
            assert found == pytest.approx(a + b, abs=1e-10)
            np.testing.assert_allclose(
                result["contribution_change"].values[row, pair, :, 0], [a, b], atol=1e-10
            )


@pytest.mark.parametrize("path", ["incremental", "full"])
@pytest.mark.parametrize("kind", same_weights.DIFFERENTIABLE)
def test_it_is_deep_shap_of_each_mutant(kind: str, path: Literal["incremental", "full"]) -> None:
    model = same_weights.wrapped(kind)
    one = random_sequences(1, same_weights.LENGTH, seed=9)
    chosen = [3, 20, 24, 25]
    result = deep_feature_interaction(model, one, n_references=3, positions=chosen, path=path)
    assert result.attrs["path"] == path
    references = make_references(one["one_hot"].values, "dinucleotide_shuffle", 3, seed=0)
    contribution = deep_shap(model, one, references=references)["contribution"].sum("base").values[0]
    change = np.zeros((4, 4, 2))
    codes = codes_of(one["one_hot"].values)[0]
    for index, i in enumerate(chosen):
        for shift in (1, 2, 3):
            mutant = one.copy(deep=True)
            mutant["one_hot"].values[0, i] = np.eye(4)[(codes[i] + shift) % 4]
            other = deep_shap(model, mutant, references=references)["contribution"].sum("base").values[0]
            change[index] += (contribution - other)[chosen] / 3
    first, second = np.triu_indices(4, 1)
    expected = change[first, second] + change[second, first]
    # Contributions of float32 that are as large as the largest.
    np.testing.assert_allclose(
        result["interaction"].values[0], expected, atol=1e-5 * np.abs(contribution).max()
    )


class Exponential(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x)


class Residual(torch.nn.Module):
    """A block of a dilated residual network."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.branch = torch.nn.Sequential(
            *(torch.nn.BatchNorm1d(channels), torch.nn.ReLU()),
            torch.nn.Conv1d(channels, channels, 3, dilation=dilation, padding=dilation),
            *(torch.nn.BatchNorm1d(channels), torch.nn.ReLU(), torch.nn.Conv1d(channels, channels, 1)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class Strands(torch.nn.Module):
    """Maximum and mean over positions, and over twin channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        largest, mean = x.amax(dim=2), x.mean(dim=2)
        pair = torch.maximum(largest[:, :3], largest[:, 3:].flip(1))
        return torch.cat([pair, mean[:, :3] + mean[:, 3:].flip(1)], dim=1)


class CentralMean(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mean over the central positions, and over twin channels."""
        x = x[..., 4:-4].mean(dim=2)
        return x + x.flip(1)


# Normalisation before and behind a pool, padding, dilation, positions that no window has, and no padding.
CHAINS: dict[str, Callable[[], list[torch.nn.Module]]] = {
    "three blocks": lambda: [
        *(torch.nn.Conv1d(4, 6, 5, padding=2), torch.nn.BatchNorm1d(6), Exponential(), torch.nn.MaxPool1d(3)),
        *(torch.nn.BatchNorm1d(6), torch.nn.Conv1d(6, 5, 3, dilation=2, padding=1), torch.nn.Sigmoid()),
        *(torch.nn.MaxPool1d(2), torch.nn.Conv1d(5, 4, 2), torch.nn.Tanh()),
        *(torch.nn.Flatten(), torch.nn.LazyLinear(7), torch.nn.ReLU(), torch.nn.Linear(7, 2)),
    ],
    "a pool before its function": lambda: [
        *(torch.nn.Conv1d(4, 6, 4, dilation=2), torch.nn.MaxPool1d(4), torch.nn.BatchNorm1d(6)),
        *(torch.nn.ReLU(), torch.nn.Conv1d(6, 5, 3, padding=1), torch.nn.ReLU()),
        *(torch.nn.AdaptiveMaxPool1d(1), torch.nn.Flatten(), torch.nn.Linear(5, 2)),
    ],
    "sums of residual blocks": lambda: [
        *(torch.nn.Conv1d(4, 6, 5, padding=2), Exponential(), torch.nn.MaxPool1d(2)),
        *(Residual(6, 1), Residual(6, 2), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), CentralMean()),
        *(torch.nn.Linear(6, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)),
    ],
    "the larger of two strands": lambda: [
        *(torch.nn.Conv1d(4, 6, 5, padding=2), Exponential(), torch.nn.MaxPool1d(2)),
        *(Residual(6, 1), torch.nn.ReLU(), Strands(), torch.nn.Linear(6, 2)),
    ],
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CHAINS)
def test_both_paths_are_the_same(name: str, seed: int) -> None:
    """At all pairs of positions, those at the ends among them, and beside N; followed to the output."""
    torch.manual_seed(seed)
    module = torch.nn.Sequential(*CHAINS[name]())
    # Of the second, repeats make equal values in a window, which share what it gives.
    sequences = random_sequences(2, 33, n_fraction=0.05, seed=seed)
    sequences["one_hot"].values[1, 8:24] = np.eye(4)[[0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 2, 2, 2, 2, 2, 2]]
    with torch.no_grad():
        module(torch.tensor(sequences["one_hot"].values).float().transpose(1, 2))
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm1d):
                state = part.state_dict()
                state["running_mean"].normal_()
                state["running_var"].uniform_(0.5, 2)
                state["weight"].uniform_(-2, 2)
    model = as_sequence_model(module.eval(), length=33, double_precision=True)
    engine = mutant_engine(model, sequences["one_hot"].values, {})
    assert engine is not None
    assert engine.prefix.is_whole
    found, expected = (
        deep_feature_interaction(model, sequences, n_references=2, path=path)
        for path in ("incremental", "full")
    )
    change = expected["contribution_change"].values
    assert np.nanmax(np.abs(change)) > 1e-4
    # Rounding of float64.
    np.testing.assert_allclose(found["contribution_change"], change, rtol=0, atol=1e-14)
    auto = deep_feature_interaction(model, sequences, n_references=4)
    assert auto.attrs["path"] == "incremental"


@pytest.mark.parametrize("name", graph_models.BUILDERS)
def test_paths_are_the_same_on_every_architecture(name: str) -> None:
    """Where a model begins with what can be followed; elsewhere that path is refused."""
    architecture = graph_models.build(name)
    if len(architecture.lengths) > 1:
        pytest.skip("has a second input, without a value here")
    model = as_sequence_model(
        architecture.torch, length=graph_models.LENGTH, double_precision=True, output="raw"
    )
    one = random_sequences(1, graph_models.LENGTH, seed=2)
    options: dict[str, Any] = {"n_references": 2, "positions": [0, 17, 20, graph_models.LENGTH - 1]}
    if mutant_engine(model, one["one_hot"].values, {}) is None:
        assert name not in ("relu", "exponential", "sigmoid", "tanh", "pooled")
        with pytest.raises(InputError, match=r"does not begin with convolutions and.*path='full'"):
            deep_feature_interaction(model, one, path="incremental", **options)
        return
    found, expected = (
        deep_feature_interaction(model, one, path=path, **options)["contribution_change"].values
        for path in ("incremental", "full")
    )
    # Rounding of float64, of contributions that may be larger than their change.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


def test_what_it_cannot_do_is_refused() -> None:
    one = random_sequences(1, same_weights.LENGTH)
    with pytest.raises(
        UnsupportedModelError, match=r"has no multipliers, which .* need; predict_sequences, in_silico"
    ):
        deep_feature_interaction(same_weights.wrapped("predict_only"), one)
    with pytest.raises(InputError, match="positions: expected at least two different ones to pair, got 1"):
        deep_feature_interaction(same_weights.wrapped("keras"), one, positions=[3, 3])
