"""As test_incremental: networks as large as they are used, and any small ones; what takes longest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras as k
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kipoi_tfbind import (
    encode_sequences,
    in_silico_mutagenesis,
    load_model,
    second_order_mutagenesis,
)
from tests import graph_models
from tests.graph.incremental.test_incremental import (
    FRAMEWORKS,
    TOLERANCE,
    check_edits,
    check_pairs,
    tensorflow_case,
    torch_case,
)

ZOO = Path(__file__).parents[3] / "model_zoo" / "TFBind"


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
@pytest.mark.parametrize("name", ["HepG2-single", "CTCF-single"])
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
