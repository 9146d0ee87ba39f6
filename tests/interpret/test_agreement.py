"""Agreement against SciPy and sums by hand."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import spatial, stats

from kipoi_tfbind import (
    agreement,
    as_sequence_model,
    deep_shap,
    finished_sequences,
    in_silico_mutagenesis,
    merge_shards,
    occlusion,
    open_result,
    stream_agreement,
    surrogate,
)
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.agreement import MEASURES, position_maps
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


def test_a_surrogate_is_compared_by_its_additive_model_not_by_the_mutants_beside_it() -> None:
    model = as_sequence_model(bilinear_model(10), targets=["product"])
    sequences = random_sequences(3, 10, seed=4)
    fitted = surrogate(model, sequences, n_mutants=400)
    effect = fitted["surrogate_effect"].values[..., 0]
    by_hand = np.where(sequences["one_hot"].values.any(axis=-1), -effect.sum(axis=-1) / 3, np.nan)
    np.testing.assert_array_equal(position_maps(fitted)[..., 0], by_hand)
    # Far from additive: the maps differ by more than rounding.
    cosine = agreement({"ISM": in_silico_mutagenesis(model, sequences), "surrogate": fitted})["cosine"]
    assert float(cosine.max()) < 0.999


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
        ({"a": ism, "b": agreement({"a": ism, "b": ism})}, r"b \(agreement\) has no map of the bases"),
    ):
        with pytest.raises(InputError, match=message):
            agreement(results)


def test_a_stream_goes_on_after_an_interruption_and_shards_are_the_bytes_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("kipoi_tfbind.interpret.agreement")
    monkeypatch.setattr(module, "_AT_ONCE", 40)
    model, sequences = as_sequence_model(bilinear_model(12), targets=["y"]), random_sequences(130, 12)
    maps = {
        "ISM": in_silico_mutagenesis(model, sequences),
        "occlusion": occlusion(model, sequences, width=3, stride=1),
    }
    expected = agreement(maps, top=3)
    assert stream_agreement(maps, tmp_path / "whole.nc", top=3) == 130
    xr.testing.assert_identical(open_result(tmp_path / "whole.nc"), expected)

    compare, calls, last = module.compare_maps, 0, 100

    def stopped(*arguments: Any) -> tuple[float, float, float]:
        nonlocal calls
        calls += 1
        if calls > last:
            raise KeyboardInterrupt
        return compare(*arguments)

    monkeypatch.setattr(module, "compare_maps", stopped)
    with pytest.raises(KeyboardInterrupt):
        stream_agreement(maps, tmp_path / "stopped.nc", top=3)
    done = finished_sequences(tmp_path / "stopped.nc")
    assert 0 < done <= 100
    others = maps | {"ISM": maps["ISM"].assign_attrs(seed=3)}
    fewer = {name: result.isel(sequence=slice(100)) for name, result in maps.items()}
    for given, options, problem in (
        (maps, {"top": 4}, "top was 3, is now 4"),
        (others, {"top": 3}, "results was"),
        (fewer, {"top": 3}, "results was"),
    ):
        with pytest.raises(InputError, match=problem):
            stream_agreement(given, tmp_path / "stopped.nc", **options)
    calls, last = 0, 130
    stream_agreement(maps, tmp_path / "stopped.nc", top=3)
    assert calls == 130 - done
    assert (tmp_path / "stopped.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()

    parts = [tmp_path / f"{number}.nc" for number in (1, 2, 3)]
    last = 10**6
    for number, part in enumerate(parts, start=1):
        stream_agreement(maps, part, top=3, shard=f"{number}/3")
    assert "mean_cosine" not in open_result(parts[0])
    assert merge_shards(parts, tmp_path / "joined.nc") == 130
    assert (tmp_path / "joined.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    doubled = maps["occlusion"].assign(occlusion_effect=2 * maps["occlusion"]["occlusion_effect"])
    stream_agreement(maps | {"occlusion": doubled}, parts[2], shard="3/3", top=3)
    with pytest.raises(InputError, match=r"of another run than .* \(input was"):
        merge_shards(parts, tmp_path / "joined.nc")
