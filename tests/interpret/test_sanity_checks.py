"""Sanity checks: they see a map that has nothing to do with the model, and leave the model alone."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from kipoi_tfbind import (
    as_sequence_model,
    deep_shap,
    finished_sequences,
    gradients,
    merge_shards,
    open_result,
    sanity_checks,
    stream_sanity_checks,
)
from kipoi_tfbind.backends.randomise import randomised, weighted_layers
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.testing import random_sequences
from tests import same_weights
from tests.test_contracts import snapshot_of_module

# Of few references, what a base has in common with them shows in every map: 20 are enough to see past it.
N_REFERENCES = 20
WRAPPING: dict[str, Any] = {"targets": same_weights.TARGETS}


def sequences() -> xr.Dataset:
    return random_sequences(12, same_weights.LENGTH, seed=4)


def a_map_of_the_sequence_alone(model: object, some: xr.Dataset, batch_size: int) -> xr.Dataset:
    result = gradients(model, some, method="saliency", batch_size=batch_size)
    weight = np.arange(4.0)[:, np.newaxis] + np.arange(some.sizes["position"])[:, np.newaxis, np.newaxis]
    return result.assign(
        contribution=(
            result["contribution"].dims,
            some["one_hot"].values[..., np.newaxis] * weight + np.zeros(2),
        )
    )


def snapshot(network: Any) -> list[Any]:
    if hasattr(network, "get_weights"):
        return [weight.tobytes() for weight in network.get_weights()]
    return snapshot_of_module(network)


@pytest.mark.parametrize("kind", ["keras", "torch"])
def test_deep_shap_depends_on_the_model_and_on_the_sequence(kind: str) -> None:
    wrapping = WRAPPING | ({} if kind == "keras" else {"length": same_weights.LENGTH})
    network = same_weights.MAKERS[kind]()
    before = snapshot(network)
    result = sanity_checks(network, sequences(), options={"n_references": N_REFERENCES}, wrapping=wrapping)
    assert result["randomised_correlation"].dims == ("sequence", "layer", "target")
    assert result.sizes["layer"] == 3
    np.testing.assert_allclose(result["randomised_correlation"].isel(layer=0), 1, rtol=1e-12)
    assert float(result["mean_randomised_correlation"].isel(layer=-1).max()) < 0.5
    assert all(text.startswith("deep_shap depends on what the model") for text in result["verdict"].values)
    assert snapshot(network) == before
    # The map itself is that of the method, and that of a twin the method's of the twin.
    names = weighted_layers(network)
    twin = as_sequence_model(randomised(network, names[:1], seed=0), **wrapping)
    one = sequences().isel(sequence=[1])
    maps = [
        deep_shap(model, one, n_references=N_REFERENCES)["contribution"].sum("base").values
        for model in (as_sequence_model(network, **wrapping), twin)
    ]
    from scipy import stats

    expected = stats.spearmanr(*(np.abs(each[0, :, 0]) for each in maps))[0]
    assert float(result["randomised_correlation"][1, 1, 0]) == pytest.approx(expected, abs=1e-6)


def test_a_map_of_the_sequence_alone_is_seen_through() -> None:
    result = sanity_checks(
        same_weights.keras_network(),
        sequences(),
        method=a_map_of_the_sequence_alone,
        wrapping=WRAPPING,
    )
    np.testing.assert_allclose(result["randomised_correlation"], 1)
    for text in result["verdict"].values:
        assert text.startswith("a_map_of_the_sequence_alone does not depend on what the model has learned")


def test_a_model_trained_on_shuffled_labels_has_another_map_and_pieces_add_up() -> None:
    network, other = same_weights.torch_network(), same_weights.torch_network()
    wrapping = WRAPPING | {"length": same_weights.LENGTH}
    options: dict[str, Any] = {"options": {"n_references": 5}, "wrapping": wrapping, "layers": ["head"]}
    # Labels that say nothing leave random weights: here those of the filters, in another order.
    with torch.no_grad():
        kernel = next(other.parameters())
        order = np.random.default_rng(0).permutation(kernel.numel())
        kernel.copy_(kernel.flatten()[torch.as_tensor(order)].reshape(tuple(kernel.shape)))
    whole = sanity_checks(network, sequences(), relabelled=other, **options)
    assert float(whole["mean_relabelled_correlation"].max()) < 0.5
    assert all("it depends on the labels: 0." in text for text in whole["verdict"].values)
    same = sanity_checks(network, sequences(), relabelled=same_weights.torch_network(), **options)
    np.testing.assert_allclose(same["relabelled_correlation"], 1)
    assert all("it does not depend on the labels: 1.00" in text for text in same["verdict"].values)
    pieces = (sequences().isel(sequence=slice(first, first + 5)) for first in (0, 5, 10))
    parts = sanity_checks(network, pieces, relabelled=other, **options)
    xr.testing.assert_allclose(parts.drop_vars("verdict"), whole.drop_vars("verdict"), atol=1e-6)
    wrong = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * same_weights.LENGTH, 3))
    with pytest.raises(InputError, match="relabelled: expected the model's targets 0, 1, got 0, 1, 2"):
        sanity_checks(network, sequences(), relabelled=wrong, wrapping={"length": same_weights.LENGTH})


class Stopped(Exception):
    """What stops a run in the middle."""


def test_a_stream_goes_on_after_an_interruption_and_shards_are_the_bytes_of_one_run(tmp_path: Path) -> None:
    network, some = same_weights.torch_network(), random_sequences(17, same_weights.LENGTH, seed=4)
    calls, last = 0, 10**6

    @functools.wraps(gradients)
    def method(*arguments: Any, **options: Any) -> xr.Dataset:
        nonlocal calls
        calls += 1
        if calls > last:
            raise Stopped
        return gradients(*arguments, **options)

    def stream(name: str, given: xr.Dataset = some, **changed: Any) -> int:
        options: dict[str, Any] = {
            "method": method,
            "relabelled": same_weights.torch_network(),
            "wrapping": WRAPPING | {"length": same_weights.LENGTH},
            "layers": ["head"],
        }
        return stream_sanity_checks(network, given, tmp_path / name, **options | changed)

    assert stream("whole.nc") == 17
    whole = open_result(tmp_path / "whole.nc")
    of_eight = calls // 3  # maps of a block: of the model, its twin, the shuffles, and the other model
    assert of_eight == 4
    options = {"wrapping": WRAPPING | {"length": same_weights.LENGTH}, "layers": ["head"]}
    at_once = sanity_checks(
        network, some, method=gradients, relabelled=same_weights.torch_network(), **options
    )
    xr.testing.assert_allclose(whole.drop_vars("verdict"), at_once.drop_vars("verdict"), atol=1e-6)
    assert whole["verdict"].values.tolist() == at_once["verdict"].values.tolist()

    # Killed in the third block; what is done is not done again.
    calls, last = 0, 2 * of_eight + 2
    with pytest.raises(Stopped):
        stream("stopped.nc")
    assert finished_sequences(tmp_path / "stopped.nc") == 16
    backwards = some.isel(sequence=slice(None, None, -1))
    cases: tuple[tuple[xr.Dataset, dict[str, Any], str], ...] = (
        (some, {"seed": 1}, "seed was 0, is now 1"),
        (
            some,
            {"layers": ["body.0"], "options": {"method": "gradient_x_input"}},
            "method was saliency.* layers",
        ),
        (some, {"relabelled": None}, "relabelled was .*, is now none"),
        (backwards, {}, "of other sequences"),
    )
    for given, changed, problem in cases:
        with pytest.raises(InputError, match=problem):
            stream("stopped.nc", given, **changed)
    calls, last = 0, 10**6
    assert stream("stopped.nc") == 17
    assert calls == of_eight
    assert (tmp_path / "stopped.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()

    parts = [tmp_path / f"{number}.nc" for number in (1, 2)]
    assert [stream(part.name, shard=f"{i}/2") for i, part in enumerate(parts, start=1)] == [9, 8]
    assert "verdict" not in open_result(parts[0])
    assert merge_shards(parts, tmp_path / "joined.nc") == 17
    assert (tmp_path / "joined.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_weights_are_permuted_layer_by_layer_and_nothing_else() -> None:
    network = same_weights.keras_network()
    names = weighted_layers(network)
    assert names == [layer.name for layer in network.layers if layer.weights][::-1]
    twin = randomised(network, names[:1], seed=3)
    changed = []
    for layer, other in zip(network.layers, twin.layers, strict=True):
        for a, b in zip(layer.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(np.sort(a, axis=None), np.sort(b, axis=None))
            changed += [] if np.array_equal(a, b) else [layer.name]
    assert set(changed) == {names[0]}


def test_what_cannot_be_copied_is_refused() -> None:
    with pytest.raises(InputError, match="a Kipoi model, one of them and not wrapped"):
        sanity_checks(same_weights.wrapped("keras"), sequences())
    with pytest.raises(UnsupportedModelError, match="a Keras model or a PyTorch module, whose weights"):
        sanity_checks(same_weights.logits, sequences())
    with pytest.raises(InputError, match="no layer 'nowhere' with weights; it has "):
        sanity_checks(same_weights.keras_network(), sequences(), layers=["nowhere"])
