"""Layers of the package concise (Avsec et al. 2018, doi:10.1093/bioinformatics/btx727) for today's Keras.

About 100 entries of Kipoi's zoo (`rbp_eclip`) and MMSplice are made of them, and concise does not run on
Keras 3. The layers are written anew from what they compute; regularisers and initialisers, which only act in
training, are left out.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from kipoi_tfbind.errors import UnsupportedModelError

_PACKAGE = "kipoi_tfbind.concise"
# The knots begin and end so far outside of the range, in parts of it.
_MARGIN = 0.001


def spline_basis(length: int, n_bases: int, degree: int) -> NDArray[np.float32]:
    """B-splines over positions 0 to `length` - 1, with equidistant knots: (position, base function).

    Examples
    --------
    >>> spline_basis(5, 4, 2).sum(axis=1).round(6)
    array([1., 1., 1., 1., 1.], dtype=float32)
    """
    low, high = -_MARGIN * (length - 1), (1 + _MARGIN) * (length - 1)
    step = (high - low) / (n_bases - degree)
    knots = np.linspace(low - degree * step, high + degree * step, n_bases + degree + 1)
    # concise keeps them in float32.
    knots = knots.astype(np.float32).astype(np.float64)
    return BSpline(knots, np.eye(n_bases), degree)(np.arange(length)).astype(np.float32)


class _FromLegacyConfig(keras.layers.Layer):
    """A layer that takes of an old description what decides on its predictions."""

    _arguments: tuple[str, ...] = ()

    def __init__(self, **kwargs: Any) -> None:
        own = {name: kwargs.pop(name) for name in self._arguments if name in kwargs}
        self._own = own
        super().__init__(**kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _FromLegacyConfig:
        """Make the layer from the description of Keras 1, 2 or 3."""
        return cls(**{key: config[key] for key in ("name", "trainable", *cls._arguments) if key in config})

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), **self._own}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class GlobalSumPooling1D(_FromLegacyConfig):
    """Sum over positions: (batch, position, channel) -> (batch, channel)."""

    def call(self, inputs: Any) -> Any:
        """Return the output."""
        return keras.ops.sum(inputs, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return input_shape[0], input_shape[2]


@keras.saving.register_keras_serializable(package=_PACKAGE)
class GlobalAveragePooling1D_Mask0(_FromLegacyConfig):
    """Mean over positions that are no padding: [(batch, position, channel), (batch, position, base)].

    The second input is the one-hot sequence, which is zero where it is padded.
    """

    def call(self, inputs: Any) -> Any:
        """Return the output."""
        values, sequence = inputs
        mask = keras.ops.max(sequence, axis=2, keepdims=True)
        count = keras.ops.maximum(keras.ops.sum(mask, axis=1), keras.config.epsilon())
        return keras.ops.sum(values * mask, axis=1) / count

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return input_shape[0][0], input_shape[0][2]


@keras.saving.register_keras_serializable(package=_PACKAGE)
class SplineWeight1D(_FromLegacyConfig):
    """Each position times 1 + a spline of the position: (batch, position, channel), the same shape.

    With `share_splines` all channels have one spline.
    """

    _arguments: tuple[str, ...] = ("n_bases", "spline_degree", "share_splines", "use_bias")
    _degree = "spline_degree"

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        n_bases, degree = self._own.get("n_bases", 10), self._own.get(self._degree, 3)
        self._basis = spline_basis(input_shape[1], n_bases, degree)
        n_splines = 1 if self._own.get("share_splines") else input_shape[2]
        self.kernel = self.add_weight(shape=(n_bases, n_splines), initializer="zeros", name="kernel")
        if self._own.get("use_bias"):
            self.bias = self.add_weight(shape=(n_splines,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Return the output."""
        spline = keras.ops.matmul(keras.ops.convert_to_tensor(self._basis), self.kernel)
        if self._own.get("use_bias"):
            spline = spline + self.bias
        return inputs * self._weight(spline)

    def _weight(self, spline: Any) -> Any:
        return 1 + spline

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output."""
        return input_shape


@keras.saving.register_keras_serializable(package=_PACKAGE)
class GAMSmooth(SplineWeight1D):
    """An earlier `SplineWeight1D`; with `spline_exp` the exponential of the spline instead of 1 + spline."""

    _arguments: tuple[str, ...] = ("n_bases", "spline_order", "share_splines", "spline_exp", "use_bias")
    _degree = "spline_order"

    def _weight(self, spline: Any) -> Any:
        return keras.ops.exp(spline) if self._own.get("spline_exp") else 1 + spline


@keras.saving.register_keras_serializable(package=_PACKAGE)
class SplineT(_FromLegacyConfig):
    """A spline of each feature: (batch, ..., feature, base function) -> (batch, ..., feature).

    With `shared_weights` all features have one spline, to which no bias is added.
    """

    _arguments: tuple[str, ...] = ("shared_weights", "use_bias")

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        *_, n_features, n_bases = input_shape
        is_shared = bool(self._own.get("shared_weights"))
        shape = (n_bases, 1 if is_shared else n_features)
        self.kernel = self.add_weight(shape=shape, initializer="zeros", name="kernel")
        if self._own.get("use_bias"):
            self.bias = self.add_weight(shape=(n_features,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Return the output."""
        output = keras.ops.sum(inputs * keras.ops.transpose(self.kernel), axis=-1)
        if self._own.get("use_bias") and not self._own.get("shared_weights"):
            output = output + self.bias
        return output

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output."""
        return input_shape[:-1]


class ConvSequence:
    """Stands for a `Conv1D` over a sequence, which is what concise's convolutions of another name are."""


CONVOLUTIONS = dict.fromkeys(
    ("ConvSequence", "ConvDNA", "ConvRNA", "ConvAA", "ConvRNAStructure", "ConvCodon"), ConvSequence
)
LAYERS: dict[str, Any] = {
    **CONVOLUTIONS,
    **{
        layer.__name__: layer
        for layer in (GAMSmooth, GlobalAveragePooling1D_Mask0, GlobalSumPooling1D, SplineT, SplineWeight1D)
    },
}


@contextmanager
def concise_importable() -> Iterator[None]:
    """Let files of custom objects import `concise.layers` in this block, where concise is not installed."""
    if "concise" in sys.modules or importlib.util.find_spec("concise") is not None:
        yield
        return
    package, layers = ModuleType("concise"), ModuleType("concise.layers")

    def unknown(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedModelError(
            f"concise.layers.{name}: concise is not installed, and of its layers these are known: "
            f"{', '.join(sorted(LAYERS))}"
        )

    layers.__dict__.update(LAYERS, __getattr__=unknown)
    package.__dict__.update(layers=layers, custom_objects=LAYERS)
    package.__path__ = []
    sys.modules.update({"concise": package, "concise.layers": layers})
    try:
        yield
    finally:
        for name in ("concise", "concise.layers"):
            sys.modules.pop(name, None)
