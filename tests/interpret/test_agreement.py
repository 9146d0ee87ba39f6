"""Agreement against SciPy and sums by hand."""

import numpy as np
import pytest
from scipy import spatial, stats

from kipoi_tfbind import agreement, as_sequence_model, deep_shap, in_silico_mutagenesis, occlusion
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.agreement import MEASURES
from kipoi_tfbind.testing import bilinear_model, linear_model, random_sequences
from tests import same_weights


def test_measures_are_those_of_scipy_by_target() -> None:
    model = same_weights.wrapped("keras")
    sequences = random_sequences(4, same_weights.LENGTH, n_fraction=0.03, seed=6)
    maps = {
        "ISM": in_silico_mutagenesis(model, sequences, start=10, end=40),
        "DeepSHAP": deep_shap(model, sequences, n_references=2),
        "occlusion": occlusion(model, sequences, width=5, stride=1),
    }
    result = agreement(maps, top=5)
    assert list(zip(result["map_a"].values, result["map_b"].values, strict=True)) == [
        ("ISM", "DeepSHAP"),
        ("ISM", "occlusion"),
        ("DeepSHAP", "occlusion"),
    ]
    known = sequences["one_hot"].values[2, 10:40].any(axis=-1)
    for target in range(2):
        ism = -maps["ISM"]["mutation_effect"].values[2, known, :, target].sum(axis=-1) / 3
        shap = maps["DeepSHAP"]["contribution"].values[2, 10:40, :, target].sum(axis=-1)[known]
        one = result.isel(comparison=0, sequence=2, target=target)
        assert float(one["cosine"]) == pytest.approx(1 - spatial.distance.cosine(ism, shap), abs=1e-6)
        assert float(one["rank_correlation"]) == pytest.approx(stats.spearmanr(ism, shap)[0], abs=1e-6)
        top = [set(np.argsort(-np.abs(each))[:5]) for each in (ism, shap)]
        assert float(one["top_overlap"]) == len(top[0] & top[1]) / 5
    for name in MEASURES:
        assert (result[f"mean_{name}_low"] <= result[f"mean_{name}"]).all()
        assert (result[f"mean_{name}"] <= result[f"mean_{name}_high"]).all()
        np.testing.assert_allclose(result[f"mean_{name}"], result[name].mean("sequence"), rtol=1e-12)


def test_members_of_an_ensemble_that_are_the_same_agree_fully() -> None:
    function = bilinear_model(12)
    model = as_sequence_model(function, targets=["y"])
    other = as_sequence_model(lambda x: -2 * function(x), targets=["y"])
    one = random_sequences(3, 12)
    maps = {name: in_silico_mutagenesis(m, one) for name, m in (("a", model), ("b", model), ("c", other))}
    result = agreement(maps, top=3)
    np.testing.assert_allclose(result["cosine"].values[:, 0, 0], [1, -1, -1], rtol=1e-6)
    np.testing.assert_allclose(result["rank_correlation"].values[:, 0, 0], [1, -1, -1], rtol=1e-6)
    np.testing.assert_allclose(result["top_overlap"].values[:, 0, 0], 1)


def test_a_map_of_nothing_agrees_with_none_and_one_sequence_has_no_interval() -> None:
    model = as_sequence_model(linear_model(8), targets=["y"])
    nothing = as_sequence_model(lambda x: 0 * x[:, 0, 0], targets=["y"])
    one = random_sequences(1, 8)
    result = agreement({"a": in_silico_mutagenesis(model, one), "b": in_silico_mutagenesis(nothing, one)})
    assert np.isnan(result["cosine"].values).all()
    assert np.isnan(result["mean_cosine_low"].values).all()


def test_results_that_cannot_be_compared_are_refused() -> None:
    model, other = (as_sequence_model(linear_model(8), targets=[name]) for name in "yz")
    first, second = random_sequences(2, 8, seed=0), random_sequences(2, 8, seed=1)
    ism = in_silico_mutagenesis(model, first)
    for results, message in (
        ({"a": ism}, "expected at least two to compare, got 1"),
        ({"a": ism, "b": in_silico_mutagenesis(model, second)}, "b is of other sequences than a"),
        ({"a": ism, "b": in_silico_mutagenesis(other, first)}, "a and b have no target in common"),
        (
            {"a": ism.isel(position=slice(0, 4)), "b": ism.isel(position=slice(3, 8))},
            "no three positions in common",
        ),
    ):
        with pytest.raises(InputError, match=message):
            agreement(results)
