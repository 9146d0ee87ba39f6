"""Edits and pairs of edits by what they reach, against whole forward passes in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import keras as k
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kipoi_tfbind import (
    encode_sequences,
    in_silico_mutagenesis,
    load_model,
    second_order_mutagenesis,
)
from kipoi_tfbind.graph import trace_tensorflow, trace_torch
from kipoi_tfbind.graph.incremental.engine import Incremental
from kipoi_tfbind.graph.tensorflow.incremental import TensorFlowIncremental
from kipoi_tfbind.graph.torch.incremental import TorchIncremental
from tests import graph_models

# In float64 both ways round at 1e-16 of numbers up to some 1e3 times the effects.
TOLERANCE = 1e-9
ZOO = Path(__file__).parents[3] / "model_zoo" / "TFBind"
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


def large(name: str, length: int) -> graph_models.Twin:
    """Networks as they are used, with fewer channels."""
    m = graph_models
    x = m.source(0, length)
    if name == "basset":
        for width, size in ((19, 3), (11, 4), (7, 4)):
            x = m.maxpool(m.activation(m.batch_norm(m.conv(x, 16, width)), "relu"), size)
        return m.dense(m.activation(m.dense(m.flatten(x), 24), "relu"))
    x = m.activation(m.conv(x, 16, 21), "relu")
    for i in range(1, int(name.removeprefix("bpnet-")) + 1):
        x = m.add(x, m.activation(m.conv(x, 16, 3, dilation_rate=2**i), "relu"))
    return m.dense(m.average(x))


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("name", "length"),
    [("basset", 1000), ("basset", 600), ("bpnet-4", 101), ("bpnet-6", 1000), ("bpnet-9", 1000)],
)
def test_long_sequences(name: str, length: int, framework: str) -> None:
    """Both ends, the middle, and anywhere."""
    k.utils.set_random_seed(2)
    output = large(name, length)
    if framework == "tensorflow":
        model = tensorflow_case(k.Model(k.utils.get_source_inputs(output.keras), output.keras), [(length, 4)])
    else:
        model = torch_case(graph_models.TwinModule([output]).eval(), [(length, 4)])
    rng = np.random.default_rng(0)
    for width in (1, 12):
        last = length - width
        check_edits(model, width, np.array([0, 1, 2, last // 2, last - 1, last, *rng.integers(0, last, 12)]))
    # Runs of positions, so that near pairs are among them: the edits of all 1,000 would take gigabytes.
    runs = np.r_[0, length - 20, rng.integers(20, length - 40, 3)]
    check_pairs(model, np.unique(runs[:, np.newaxis] + np.arange(20)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HepG2-single", "CTCF"])
def test_the_models_of_the_zoo(name: str) -> None:
    """With their trained weights, at their own length."""
    model = load_model(str(ZOO / name), source="dir", double_precision=True)
    rng = np.random.default_rng(0)
    assert model.length is not None
    sequences = encode_sequences(["".join(rng.choice(list("ACGTN"), model.length, p=[0.24] * 4 + [0.04]))])
    some = [0, 1, model.length // 2, model.length - 1, *rng.integers(0, model.length, 10).tolist()]
    options: dict[str, Any] = {"positions": some, "batch_size": 64}
    for method, variable in (
        (in_silico_mutagenesis, "mutation_effect"),
        (second_order_mutagenesis, "epistasis"),
    ):
        found = method(model, sequences, path="incremental", **options)
        expected = method(model, sequences, path="full", **options)
        scale = float(np.abs(expected["mutation_effect"]).max())
        np.testing.assert_allclose(found[variable], expected[variable], rtol=0, atol=TOLERANCE * scale)


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


@st.composite
def architectures(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Layers of a small network: kind and its options."""
    layers: list[tuple[Any, ...]] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "pool", "average", "residual", "crop", "activation"]))
        if kind == "conv":
            stride = draw(st.integers(1, 3))
            dilation = draw(st.integers(1, 4)) if stride == 1 else 1
            padding = draw(st.sampled_from(["same", "valid"]))
            layers.append((kind, draw(st.integers(1, 5)), stride, dilation, padding))
        elif kind == "pool":
            layers.append((kind, draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.booleans())))
        elif kind == "average":
            layers.append((kind, draw(st.integers(1, 4))))
        elif kind == "residual":
            layers.append((kind, draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from(["relu", "gelu"]))))
        elif kind == "crop":
            layers.append((kind, draw(st.integers(0, 2)), draw(st.integers(0, 2))))
        else:
            layers.append((kind, draw(st.sampled_from(["relu", "swish", "exponential", "tanh"]))))
    layers.append(("head", draw(st.sampled_from(["flatten", "mean", "max"]))))
    return layers


def keras_of(layers: list[tuple[Any, ...]], length: int) -> Any:
    """The network; a layer for which too few positions are left is left out."""
    inputs = x = k.Input((length, 4))
    for kind, *options in layers:
        if x.shape[1] < 17 and kind not in ("activation", "residual", "head"):
            continue
        if kind == "conv":
            width, stride, dilation, padding = options
            x = k.layers.Conv1D(3, width, strides=stride, dilation_rate=dilation, padding=padding)(x)
        elif kind == "pool":
            size, stride, same = options
            x = k.layers.MaxPooling1D(size, stride, padding="same" if same else "valid")(x)
        elif kind == "average":
            x = k.layers.AveragePooling1D(options[0])(x)
        elif kind == "residual":
            dilation, activation = options
            branch = k.layers.Conv1D(
                x.shape[2], 3, padding="same", dilation_rate=dilation, activation=activation
            )(x)
            x = k.layers.Add()([x, branch])
        elif kind == "crop":
            x = k.layers.Cropping1D(tuple(options))(x)
        elif kind == "activation":
            x = k.layers.Activation(options[0])(k.layers.BatchNormalization()(x))
        else:
            pool = {
                "flatten": k.layers.Flatten,
                "mean": k.layers.GlobalAveragePooling1D,
                "max": k.layers.GlobalMaxPooling1D,
            }[options[0]]
            x = k.layers.Dense(2)(k.layers.Activation("softplus")(pool()(x)))
    return k.Model(inputs, x)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(architectures(), st.sampled_from([23, 40, 61]), st.sampled_from([1, 2, 7]))
def test_any_small_network(layers: list[tuple[Any, ...]], length: int, width: int) -> None:
    k.utils.set_random_seed(1)
    model = tensorflow_case(keras_of(layers, length), [(length, 4)])
    check_edits(model, width)
    check_pairs(model)
