"""Edits and pairs of edits by what they reach, against whole forward passes in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from typing import Any

import keras as k
import numpy as np
import pytest
import tensorflow as tf
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph import trace_tensorflow, trace_torch
from kipoi_tfbind.graph.incremental.engine import Incremental
from kipoi_tfbind.graph.tensorflow.incremental import TensorFlowIncremental
from kipoi_tfbind.graph.torch.incremental import TorchIncremental
from tests import graph_models

# In float64 both ways round at 1e-16 of numbers up to some 1e3 times the effects.
TOLERANCE = 1e-9
FRAMEWORKS = ("tensorflow", "torch")
PAIRS = (
    "relu",
    "exponential",
    "swish",
    "batch_norm",
    "layer_norm",
    "rc_tied_sum",
    "rc_tied_max",
    "dilated_residual",
    "dilated_dense",
    "tanh_sigmoid_gate",
    "glu",
    "squeeze_excite",
    "global_average",
    "global_max",
    "attention_pooling",
    "transformer",
    "lstm",
    "conv_2d",
    "two_inputs",
    "overlapping_pool",
    "functional",
    "strided_upsampled",
)


@dataclass
class Case:
    """A model in float64, with two sequences, one of which has an N."""

    incremental: Incremental
    predict: Callable[[list[NDArray]], NDArray]
    codes: NDArray
    others: list[NDArray]
    positions_last: bool
    in_float32: Callable[[], Incremental]

    @property
    def length(self) -> int:
        return self.codes.shape[1]

    def inputs(self, codes: NDArray, sequence: NDArray) -> list[NDArray]:
        x = np.eye(5, 4)[codes]
        return [x.swapaxes(1, 2) if self.positions_last else x, *(other[sequence] for other in self.others)]

    def whole(self, codes: NDArray, sequence: NDArray) -> NDArray:
        return self.predict(self.inputs(codes, sequence))


def tensorflow_case(model: Any, shapes: list[tuple[int, int]]) -> Case:
    specs = [tf.TensorSpec((None, *shape)) for shape in shapes]
    graph = trace_tensorflow(
        lambda tensors: [model(tensors if len(tensors) > 1 else tensors[0], training=False)], specs
    )
    exact = graph.in_precision("float64")
    function = exact.as_function()

    def incremental(chosen: Any) -> Incremental:
        return TensorFlowIncremental(chosen, 0, shapes, 1, np.eye(5, 4))

    def predict(inputs: list[NDArray]) -> NDArray:
        return function([tf.constant(x) for x in inputs])[0].numpy()

    codes, others = edited_inputs(shapes)
    return Case(incremental(exact), predict, codes, others, False, partial(incremental, graph))


def torch_case(model: Any, shapes: list[tuple[int, int]]) -> Case:
    turned = [(channels, length) for length, channels in shapes]
    graph = trace_torch(lambda tensors: [model(*tensors)], [torch.zeros(2, *shape) for shape in turned])
    exact = graph.in_precision("float64")
    function = exact.as_function()

    def predict(inputs: list[NDArray]) -> NDArray:
        with torch.no_grad():
            return function([torch.as_tensor(np.ascontiguousarray(x)) for x in inputs])[0].numpy()

    def incremental(chosen: Any) -> Incremental:
        return TorchIncremental(chosen, 0, turned, 2, np.eye(5, 4))

    codes, others = edited_inputs(shapes)
    others = [other.swapaxes(1, 2) for other in others]
    return Case(incremental(exact), predict, codes, others, True, partial(incremental, graph))


def edited_inputs(shapes: list[tuple[int, int]]) -> tuple[NDArray, list[NDArray]]:
    """Codes of two sequences, one of which has an N, and what the other inputs get."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 4, (2, shapes[0][0]))
    codes[1, 5] = 4
    return codes, [rng.random((2, *shape)) for shape in shapes[1:]]


@lru_cache(maxsize=1)
def built(name: str, framework: str) -> Case:
    """For the tests that follow each other; all of them at once would take gigabytes."""
    architecture = graph_models.build(name)
    shapes = [tuple(x.shape[1:]) for x in architecture.keras.inputs]
    if framework == "tensorflow":
        return tensorflow_case(architecture.keras, shapes)
    if architecture.torch is None:
        pytest.skip("in Keras only")
    return torch_case(architecture.torch, shapes)


def edited(codes: NDArray, sequence: NDArray, first: NDArray, new: NDArray) -> NDArray:
    found = codes[sequence]
    found[np.arange(len(sequence))[:, np.newaxis], first[:, np.newaxis] + np.arange(new.shape[1])] = new
    return found


def check_edits(
    model: Case, width: int, positions: NDArray | None = None, tolerance: float = TOLERANCE
) -> None:
    """Edits at all positions, or some, of both sequences, of any base or N."""
    rng = np.random.default_rng(width)
    starts = np.arange(model.length - width + 1) if positions is None else positions
    n = len(starts)
    sequence, first = np.repeat([0, 1], n), np.tile(starts, 2)
    new = rng.integers(0, 5, (2 * n, width))
    own = model.inputs(model.codes, np.arange(2))
    cached = model.incremental.cached_activations(own, model.codes, width)
    found = model.incremental.predict(cached, sequence, first, new)
    expected = model.whole(edited(model.codes, sequence, first, new), sequence)
    effect = expected - model.whole(model.codes, np.arange(2))[sequence]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(effect).max())


def check_pairs(model: Case, positions: NDArray | None = None) -> None:
    """Pairs of all positions, or of some, at many distances, each among its likes."""
    codes, zero = model.codes[:1], np.array([0])
    positions = np.arange(model.length) if positions is None else positions
    first = np.repeat(positions, 3)
    new = (codes[0, first] + np.tile([1, 2, 3], len(positions))) % 4
    pairs = model.incremental.pairs(model.inputs(codes, zero), codes, first, new)
    a, b = np.triu_indices(len(first), 1)
    distance = first[b] - first[a]
    rng = np.random.default_rng(0)
    for low, high in ((1, 3), (3, 8), (8, 16), (16, model.length)):
        group = rng.permutation(np.flatnonzero((distance >= low) & (distance < high)))[:150]
        pairs.measure(a[group], b[group])
        found = pairs.predict(a[group], b[group])
        sequence = np.zeros(len(group), int)
        both = edited(codes, sequence, first[a[group]], new[a[group], np.newaxis])
        both[np.arange(len(group)), first[b[group]]] = new[b[group]]
        expected = model.whole(both, sequence)
        effect = np.abs(expected - model.whole(codes, zero)).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * effect)


def of(names: Iterable[str]) -> pytest.MarkDecorator:
    """Architectures in both frameworks; all tests of one come after each other."""
    return pytest.mark.parametrize(("name", "framework"), list(product(names, FRAMEWORKS)), scope="class")


class Edits:
    def test_edits_are_exact(self, name: str, framework: str) -> None:
        model = built(name, framework)
        for width in (1, 4):
            check_edits(model, width)

    def test_edits_in_float32(self, name: str, framework: str) -> None:
        """Against whole passes in float64, 1e-4 being what whole passes in float32 may round."""
        model = built(name, framework)
        check_edits(replace(model, incremental=model.in_float32()), 1, tolerance=1e-4)


@of(PAIRS)
class TestEditsAndPairs(Edits):
    def test_pairs_are_exact(self, name: str, framework: str) -> None:
        check_pairs(built(name, framework))


@of(name for name in graph_models.NAMES if name not in PAIRS)
class TestEdits(Edits):
    pass


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("relu", ""),
        ("dilated_residual", ""),
        ("rc_tied_max", ""),
        ("global_max", ""),
        ("two_inputs", ""),
        ("lstm", "max_pooling1d"),
        ("group_norm", "group_norm"),
        ("squeeze_excite", "activation"),
    ],
)
def test_windows_end_where_they_cannot_be_followed(name: str, layer: str, framework: str) -> None:
    ended = built(name, framework).incremental.plan(1).whole_from
    if not layer:
        assert ended == ""
    elif framework == "tensorflow":
        assert layer in ended
    else:
        assert ended


def test_the_plan_counts_what_is_multiplied() -> None:
    """A convolution of one base is looked up; of the rest, by hand."""
    inputs = k.Input((100, 4))
    x = k.layers.Conv1D(8, 5, padding="same", activation="relu")(inputs)
    x = k.layers.Conv1D(6, 3, padding="same", activation="relu")(x)
    model = k.Model(inputs, k.layers.Dense(2)(k.layers.GlobalAveragePooling1D()(x)))
    plan = tensorflow_case(model, [(100, 4)]).incremental.plan(1)
    assert plan.full_macs == 100 * 5 * 4 * 8 + 100 * 3 * 8 * 6 + 6 * 2
    # A base reaches 5 positions of the first map, each of which has a share in 3 of the second.
    assert plan.macs == 5 * 3 * 8 * 6 + 6 * 2
