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

from kipoi_tfbind import SequenceModel, as_sequence_model
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


@cache
def wrapped(name: str) -> SequenceModel:
    """The model of this kind, wrapped; made once."""
    length = None if name == "keras" else LENGTH
    return as_sequence_model(MAKERS[name](), targets=TARGETS, length=length)
