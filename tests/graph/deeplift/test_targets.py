"""All targets at once give what one after the other gives, however their gradients are taken."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph import Graph, trace_tensorflow, trace_torch
from kipoi_tfbind.graph.deeplift import engine
from kipoi_tfbind.graph.deeplift.convolution_1d import Convolution1D
from kipoi_tfbind.graph.deeplift.convolution_gradient import (
    by_spectrum,
    cost_of_convolution,
    cost_of_routed,
    few_channels,
    one_position,
    routed,
)
from kipoi_tfbind.graph.tensorflow.ops import TensorFlowOps
from kipoi_tfbind.graph.torch.ops import TorchOps
from kipoi_tfbind.graph.vjp import Factored, Windows
from tests import graph_models as m
from tests.graph.explain import deep_lift, engine_of

# Not a multiple of the pools: what is left over belongs to no window.
LENGTH, N_TARGETS = 51, 19
N, N_REFERENCES = 2, 3


def one_hot(*shape: int, seed: int) -> NDArray:
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(4, size=shape)]


X, REFERENCES = one_hot(N, LENGTH, seed=1), one_hot(N, N_REFERENCES, LENGTH, seed=2)


def basset() -> m.Twin:
    """Max pooling after convolutions, of which one is dilated and one loses the edges; flattened."""
    x = m.maxpool(m.activation(m.batch_norm(m.conv(m.source(0, LENGTH), 6, 7)), "relu"), 4)
    x = m.maxpool(m.activation(m.conv(x, 7, 3, padding="valid"), "exponential"), 3)
    x = m.activation(m.dense(m.flatten(x), 5), "relu")
    return m.dense(x, N_TARGETS)


def dilated() -> m.Twin:
    """Skip connections, dilation, a pool above a dilated convolution, several groups, an average."""
    x = m.activation(m.conv(m.source(0, LENGTH), 8, 5, dilation_rate=2), "relu")
    x = m.maxpool(x, 5)
    y = m.activation(m.conv(x, 8, 3, dilation_rate=2), "relu")
    x = m.add(x, m.batch_norm(m.conv(y, 8, 1)))
    x = m.activation(m.conv(x, 8, 3, groups=2), "softplus")
    return m.dense(m.average(x), N_TARGETS)


def rc_tied() -> m.Twin:
    x = m.activation(m.rc_norm(m.rc_conv(m.source(0, LENGTH), 4, 7)), "exponential")
    x = m.rc_conv(m.activation(m.rc_norm(m.maxpool(x, 4)), "relu"), 4, 3, 2)
    return m.dense(m.rc_pool(m.average(m.activation(x, "relu")), "sum"), N_TARGETS)


def attention() -> m.Twin:
    """Has operations that take one target after the other."""
    x = m.maxpool(m.activation(m.conv(m.source(0, LENGTH)), "relu"), 4)
    return m.dense(m.average(m.attention(x)), N_TARGETS)


ARCHITECTURES = {function.__name__: function for function in (basset, dilated, rc_tied, attention)}
FRAMEWORKS = ("keras", "torch")


@cache
def graph(name: str, framework: str) -> Graph:
    keras.utils.set_random_seed(0)
    output = ARCHITECTURES[name]()
    if framework == "torch":
        module = m.TwinModule([output]).eval()
        return trace_torch(module, [torch.zeros(1, 4, LENGTH)]).in_precision("float64")
    model = keras.Model(keras.utils.get_source_inputs(output.keras), output.keras)
    spec = tf.TensorSpec((None, LENGTH, 4))
    return trace_tensorflow(lambda x: [model(x, training=False)], [spec]).in_precision("float64")


def explained(name: str, framework: str, references: NDArray = REFERENCES, targets: Any = None) -> NDArray:
    """Multipliers (sequence, reference, position, base, target)."""
    arrays = [X, references]
    if framework == "torch":
        arrays = [np.swapaxes(a, -1, -2) for a in arrays]
    result = deep_lift(graph(name, framework), arrays[:1], arrays[1], targets=targets).multipliers
    return np.swapaxes(result, 2, 3) if framework == "torch" else result


@cache
def one_by_one(name: str, framework: str, kind: str) -> NDArray:
    parts = [explained(name, framework, REFERENCE_KINDS[kind], [k]) for k in range(N_TARGETS)]
    return np.concatenate(parts, axis=-1)


# Against zeros every position of a window has the maximum; in repeats, several have.
REFERENCE_KINDS = {
    "random": REFERENCES,
    "zeros": np.zeros_like(REFERENCES),
    "repeats": np.tile(one_hot(N, N_REFERENCES, 2, seed=3), (1, 1, LENGTH, 1))[:, :, :LENGTH],
}


@pytest.mark.parametrize("kind", REFERENCE_KINDS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_at_once_as_one_by_one(name: str, framework: str, kind: str) -> None:
    expected = one_by_one(name, framework, kind)
    assert np.abs(expected).max() > 1e-3
    found = explained(name, framework, REFERENCE_KINDS[kind])
    # Sums in another order, in float64.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    some = explained(name, framework, REFERENCE_KINDS[kind], [7, 3])
    np.testing.assert_allclose(some, expected[..., [7, 3]], rtol=0, atol=1e-13 * np.abs(expected).max())


# Pairs that may be run at once, for speed and for memory, and the sequences and references in each part.
PARTS = {
    "both sequences": (6, 6, {(2, 3)}),
    "each sequence": (1, 4, {(1, 3)}),
    "some references": (6, 2, {(1, 2), (1, 1)}),
    "each reference": (1, 1, {(1, 1)}),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("case", PARTS)
def test_parts_as_a_whole(framework: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither sequences nor references depend on what is run with them."""
    for_speed, for_memory, parts = PARTS[case]
    expected = explained("basset", framework)
    (compiled,) = engine_of(graph("basset", framework)).compiled.values()
    monkeypatch.setattr(engine, "_AT_ONCE", for_speed * compiled.largest)
    monkeypatch.setattr(engine, "WITH_TARGETS", for_memory * compiled.largest * N_TARGETS)
    shapes = set()
    original = type(compiled).__call__

    def counted(self: Any, inputs: Any, references: NDArray, columns: Any) -> Any:
        shapes.add(references.shape[:2])
        return original(self, inputs, references, columns)

    monkeypatch.setattr(type(compiled), "__call__", counted)
    found = explained("basset", framework)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    assert shapes == parts


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["basset", "dilated", "rc_tied"])
def test_which_take_all_targets_at_once(name: str, framework: str) -> None:
    explained(name, framework)
    (compiled,) = engine_of(graph(name, framework)).compiled.values()
    assert compiled.takes_targets


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_targets_in_parts(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = explained("basset", framework)
    own = engine_of(graph("basset", framework))
    (compiled,) = own.compiled.values()
    monkeypatch.setattr(engine, "WITH_TARGETS", 8 * compiled.largest * N * N_REFERENCES)
    own.compiled.clear()
    # Three parts, of which the last is smaller.
    found = explained("basset", framework)
    own.compiled.clear()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def arrays(framework: str) -> Any:
    return TensorFlowOps() if framework == "keras" else TorchOps(torch.device("cpu"))


def tensor(framework: str, array: NDArray) -> Any:
    return tf.constant(array) if framework == "keras" else torch.from_numpy(array.copy())


def gradient(kernel: NDArray, cotangent: NDArray, padding: int, dilation: int, length: int) -> NDArray:
    """Input gradient (row, position, channel) by the definition."""
    result = np.zeros((len(cotangent), length, kernel.shape[1]))
    for row, position, tap in np.ndindex(*cotangent.shape[:2], len(kernel)):
        at = position + tap * dilation - padding
        if 0 <= at < length:
            result[row, at] += kernel[tap] @ cotangent[row, position]
    return result


# Padding, dilation, positions of the output and of the input.
SHAPES = [(3, 1, 20, 20), (0, 1, 14, 20), (6, 2, 20, 20), (0, 3, 10, 28), (2, 1, 17, 19)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradients_of_a_convolution(
    framework: str, channels_last: bool, shape: tuple[int, int, int, int]
) -> None:
    padding, dilation, n_out, n_in = shape
    rng = np.random.default_rng(4)
    kernel, cotangent = rng.normal(size=(7, 4, 5)), rng.normal(size=(6, n_out, 5))
    ops = arrays(framework)
    convolution = Convolution1D(tensor(framework, kernel), padding, dilation, n_in, channels_last)

    def to(array: NDArray) -> Any:
        return tensor(framework, array if channels_last else np.swapaxes(array, 1, 2))

    def back(found: Any) -> NDArray:
        return found.numpy() if channels_last else np.swapaxes(found.numpy(), 1, 2)

    found = back(few_channels(ops, convolution, to(cotangent)))
    expected = gradient(kernel, cotangent, padding, dilation, n_in)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)

    # Windows of 3: three targets for each of two rows, one position of each window.
    n = n_out // 3
    values, scale = rng.normal(size=(6, n, 5)), rng.normal(size=(2, n, 1, 5))
    factor = np.zeros((2, n_out, 5))
    factor[:, : 3 * n] = (scale * (rng.integers(3, size=(2, n, 1, 5)) == np.arange(3)[:, None])).reshape(
        2, 3 * n, 5
    )
    windows = Windows(1, n_out, 5, 3) if channels_last else Windows(5, n_out, 1, 3)
    at, place, complete = one_position(ops, convolution, to(factor), windows)
    assert complete
    found = back(routed(ops, convolution, to(values), at, place, windows, 3))
    spread = np.zeros((6, n_out, 5))
    spread[:, : 3 * n] = np.repeat(values, 3, 1)
    spread *= np.tile(factor, (3, 1, 1))
    expected = gradient(kernel, spread, padding, dilation, n_in)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(
        back(Factored(to(values), to(factor), windows, 2).multiplied_out(ops, 3)), spread, rtol=0, atol=1e-15
    )
    factor[1, 1] = factor[1, 0] = 1
    assert not one_position(ops, convolution, to(factor), windows)[2]


@pytest.mark.parametrize("shape", [(5, 1, 40, 40), (0, 1, 30, 40), (10, 1, 50, 40)])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradient_by_the_spectrum(
    framework: str, channels_last: bool, shape: tuple[int, int, int, int]
) -> None:
    """A wide convolution of many channels; as exact in float32 as the convolution."""
    padding, dilation, n_out, n_in = shape
    rng = np.random.default_rng(5)
    kernel, cotangent = rng.normal(size=(11, 40, 48)), rng.normal(size=(3, n_out, 48))
    expected = gradient(kernel, cotangent, padding, dilation, n_in)
    for dtype, tolerance in (("float64", 1e-14), ("float32", 1e-6)):
        convolution = Convolution1D(
            tensor(framework, kernel.astype(dtype)), padding, dilation, n_in, channels_last
        )
        given = (cotangent if channels_last else np.swapaxes(cotangent, 1, 2)).astype(dtype)
        found = by_spectrum(arrays(framework), convolution, tensor(framework, given))
        assert found is not None
        found = found.numpy() if channels_last else np.swapaxes(found.numpy(), 1, 2)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_what_is_faster() -> None:
    """Windows of one position, single targets, and narrow kernels are left to the convolution."""
    first = Convolution1D(np.zeros((19, 4, 64)), 9, 1, 100, True)
    direct = 100 * 19 * 4 * 64
    assert cost_of_convolution(first, 100) == direct
    assert cost_of_routed(first, Windows(1, 100, 64, 4), 19) < direct
    assert cost_of_routed(first, Windows(1, 100, 64, 1), 19) > direct
    assert cost_of_routed(first, Windows(1, 100, 64, 4), 1) > direct
    wide, narrow = (Convolution1D(np.zeros((k, 200, 300)), 0, 1, 300, True) for k in (11, 3))
    assert cost_of_convolution(wide, 300) < 0.5 * 300 * 11 * 200 * 300
    assert cost_of_convolution(narrow, 300) == 300 * 3 * 200 * 300
    dilated = Convolution1D(np.zeros((11, 200, 300)), 0, 2, 300, True)
    assert cost_of_convolution(dilated, 300) == 300 * 11 * 200 * 300
