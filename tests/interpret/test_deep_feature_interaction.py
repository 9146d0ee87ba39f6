"""Deep feature interactions against DeepSHAP of each mutant, and against the pairs of a model of pairs."""

import numpy as np
import pytest
import torch

from kipoi_tfbind import as_sequence_model, deep_feature_interaction, deep_shap
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.sequences.references import make_references
from kipoi_tfbind.testing import bilinear_model, random_sequences
from tests import same_weights


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


@pytest.mark.parametrize("kind", same_weights.DIFFERENTIABLE)
def test_it_is_deep_shap_of_each_mutant(kind: str) -> None:
    model = same_weights.wrapped(kind)
    one = random_sequences(1, same_weights.LENGTH, seed=9)
    chosen = [3, 20, 24, 25]
    result = deep_feature_interaction(model, one, n_references=3, positions=chosen)
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


def test_what_it_cannot_do_is_refused() -> None:
    one = random_sequences(1, same_weights.LENGTH)
    with pytest.raises(UnsupportedModelError, match=r"has no multipliers, which .* need; in_silico"):
        deep_feature_interaction(same_weights.wrapped("predict_only"), one)
    with pytest.raises(InputError, match="positions: expected at least two different ones to pair, got 1"):
        deep_feature_interaction(same_weights.wrapped("keras"), one, positions=[3, 3])
