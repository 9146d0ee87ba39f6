"""One network in every kind of model that the package takes, with the same weights.

It is the network of `tests.foreign_models`: a convolution over 60 bp with ReLU, max pooling, and a dense
layer with a sigmoid, for two targets. Everything here gives its logits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kipoi_tfbind import SequenceModel, as_sequence_model, load_model
from tests import foreign_models as foreign

LENGTH = foreign.LENGTH
TARGETS = ("CTCF", "MAX")


class TorchNetwork(nn.Module):
    """The network for (4, length), with layers that only act in training, and weights as in a trained one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(4, foreign.FILTERS, foreign.WIDTH),
            nn.ReLU(),
            nn.MaxPool1d(foreign.POOL),
            nn.Flatten(),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(foreign.FILTERS * foreign.POSITIONS, foreign.TARGETS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.head(self.body(x)))


def torch_network() -> TorchNetwork:
    """A new PyTorch module with the weights."""
    network = TorchNetwork()
    # (filter, base, position); the features are flattened filter by filter.
    arrays = {
        "body.0.weight": foreign.KERNEL.transpose(2, 1, 0),
        "body.0.bias": foreign.BIAS,
        "head.weight": foreign.HEAD.transpose(2, 1, 0).reshape(foreign.TARGETS, -1),
        "head.bias": foreign.HEAD_BIAS,
    }
    network.load_state_dict({name: torch.tensor(array.copy()) for name, array in arrays.items()})
    return network


def keras_network() -> Any:
    """A new Keras model with the weights."""
    return foreign.keras_network()


def saved_model() -> Any:
    """The Keras model as a SavedModel, written and loaded again."""
    import tensorflow as tf

    network = keras_network()
    module = tf.Module()
    module.network = network
    module.__call__ = tf.function(
        lambda x: network(x, training=False), input_signature=[tf.TensorSpec((None, LENGTH, 4))]
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, str(Path(folder) / "model"), signatures=module.__call__)
        return tf.saved_model.load(str(Path(folder) / "model"))


def onnx_network(*, pool: str = "MaxPool", end: str = "Sigmoid", extra: tuple[Any, ...] = ()) -> Any:
    """The network of the foreign models for (4, L), as exporters write it: shapes are computed on the way."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {
        "kernel": foreign.KERNEL.transpose(2, 1, 0),
        "bias": foreign.BIAS,
        "head": foreign.HEAD.transpose(1, 0, 2).reshape(-1, foreign.TARGETS),
        "head_bias": foreign.HEAD_BIAS,
        "first": np.array(0),
        "zero": np.array([0]),
        "minus_one": np.array([-1]),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "kernel", "bias"], ["hidden"], kernel_shape=[foreign.WIDTH]),
        node("Relu", ["hidden"], ["active"]),
        node(pool, ["active"], ["pooled"], kernel_shape=[foreign.POOL], strides=[foreign.POOL]),
        node("Shape", ["pooled"], ["shape"]),
        node("Gather", ["shape", "first"], ["n"]),
        node("Unsqueeze", ["n", "zero"], ["n_1"]),
        node("Concat", ["n_1", "minus_one"], ["wanted"], axis=0),
        node("Reshape", ["pooled", "wanted"], ["flat"]),
        node("Gemm", ["flat", "head", "head_bias"], ["logits"]),
        node(end, ["logits"], ["y"]),
        *extra,
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in (("x", (4, LENGTH)), ("y", (foreign.TARGETS,)))
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        values[:1],
        values[1:],
        [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def jax_function() -> Any:
    """The logits as a function of JAX's arrays."""
    import jax
    import jax.numpy as jnp

    kernel, head = jnp.asarray(foreign.KERNEL), jnp.asarray(foreign.HEAD)

    def function(x: Any) -> Any:
        found = jax.lax.conv_general_dilated(
            x, kernel, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC")
        )
        found = jax.nn.relu(found + foreign.BIAS)[:, : foreign.POSITIONS * foreign.POOL]
        pooled = found.reshape(-1, foreign.POSITIONS, foreign.POOL, foreign.FILTERS).max(axis=2)
        return {"logits": jnp.einsum("npf,pft->nt", pooled, head) + foreign.HEAD_BIAS, "none": None}

    return function


def _file(name: str, write: Callable[[str], Any], double_precision: bool) -> SequenceModel:
    """A model loaded from a file of its weights, without any model.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / name)
        write(path)
        return load_model(path, targets=TARGETS, length=LENGTH, double_precision=double_precision)


def logits(one_hot: NDArray) -> NDArray[np.float64]:
    """The logits by NumPy in float64: predictions only, and the oracle of all others."""
    return foreign.logits(one_hot)


MAKERS: dict[str, Callable[[], Any]] = {
    "keras": keras_network,
    "saved_model": saved_model,
    "torch": torch_network,
    "predict_only": lambda: logits,
}
# With these a model has gradients and DeepLIFT multipliers.
DIFFERENTIABLE = ("keras", "saved_model", "torch")


FILES: dict[str, tuple[str, Callable[[str], Any]]] = {
    ".keras": ("model.keras", lambda path: keras_network().save(path)),
    ".h5": ("model.h5", lambda path: keras_network().save(path)),
    "SavedModel": ("model", lambda path: keras_network().export(path)),
    ".pt": ("model.pt", lambda path: torch.jit.script(torch_network()).save(path)),
    ".onnx": ("model.onnx", lambda path: Path(path).write_bytes(_bytes(onnx_network()))),
}
"""Kinds of files that are a model by themselves."""
OTHERS: dict[str, Callable[[], Any]] = {"onnx": onnx_network, "jax": jax_function}
"""Kinds of models that need another package, by its name."""


def _bytes(proto: Any) -> bytes:
    return proto.SerializeToString()


@cache
def wrapped(name: str, *, double_precision: bool = False) -> SequenceModel:
    """The model of this kind, wrapped; made once."""
    if name in FILES:
        return _file(*FILES[name], double_precision)
    made = (MAKERS | OTHERS)[name]()
    length = None if name == "keras" else LENGTH
    return as_sequence_model(made, targets=TARGETS, length=length, double_precision=double_precision)
