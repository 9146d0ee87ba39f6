"""Every architecture at a size that tests can afford, with weights that hide nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.architectures import ARCHITECTURES

LENGTH = 48
SETTINGS: dict[str, dict[str, Any]] = {
    "motif_cnn": {
        "kernel_size": 7,
        "pool_size": 4,
        "second_filters": 3,
        "hidden_units": 5,
        "composition": True,
    },
    "dilated_residual_cnn": {
        "kernel_size": 7,
        "pool_size": 4,
        "bin_length": 32,
        "dilation_rates": (1, 2),
        "block_filters": 5,
        "exponential_bound": 50.0,
    },
    "dilated_dense_cnn": {
        "kernel_size": 7,
        "pool_size": 4,
        "dilation_rates": (1, 2),
        "growth": 3,
        "composition": True,
    },
    "cnn_lstm": {"kernel_size": 9, "pool_size": 8, "units": 3, "hidden_units": 5},
    "cnn_lstm_accessibility": {"kernel_size": 9, "pool_size": 8, "units": 3, "hidden_units": 5},
    "cnn_attention": {"kernel_size": 7, "pool_size": 4, "heads": 2, "head_size": 3, "units": 5},
    "circular_cnn": {"kernel_size": 6, "dropout": 0.2},
    "biophysical": {"kernel_size": 7},
    "motif_scan": {"kernel_size": 7, "scan_length": 40, "hidden_units": 5},
    "profile_cnn": {"kernel_size": 7, "dilation_rates": (2, 4), "profile_kernel_size": 5},
}
RECURRENT = ("cnn_lstm", "cnn_lstm_accessibility")
assert set(SETTINGS) == set(ARCHITECTURES)


def small(name: str, strands: str = "tied", dtype: str = "float32", **options: Any) -> keras.Model:
    """A small model of two targets, all of whose weights and moving averages are drawn."""
    settings = {"length": LENGTH, "n_targets": 2, "strands": strands} | SETTINGS[name] | options
    if name != "biophysical":
        settings.setdefault("filters", 4)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = ARCHITECTURES[name](**settings)
    finally:
        keras.config.set_dtype_policy(before)
    randomise(model)
    return model


def randomise(model: keras.Model, seed: int = 0) -> None:
    """Give every weight a value of its own: nothing stays at its initial zero or one."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        size = np.sqrt(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 3
        drawn = rng.normal(0, 1, weight.shape) / size
        # Shifts above 0, or a rectifier may be silent for all sequences.
        positive = any(part in weight.path for part in ("variance", "gamma", "beta", "bias"))
        weight.assign(np.abs(drawn) + 0.5 if positive else drawn)


def inputs(name: str, n: int = 3, dtype: str = "float32", seed: int = 1) -> list[NDArray]:
    """Sequences, and the accessibility of the one that reads it."""
    rng = np.random.default_rng(seed)
    x = np.eye(4, dtype=dtype)[rng.integers(4, size=(n, LENGTH))]
    return [x, rng.random((n, LENGTH, 1)).astype(dtype)] if name == "cnn_lstm_accessibility" else [x]


def turned(arrays: list[NDArray]) -> list[NDArray]:
    """Inputs on the other strand."""
    return [np.ascontiguousarray(x[:, ::-1, ::-1]) for x in arrays]


def outputs(model: Callable[..., Any], arrays: list[NDArray]) -> dict[str, NDArray]:
    """Outputs by name, in prediction."""
    found = model(arrays if len(arrays) > 1 else arrays[0], training=False)
    found = found if isinstance(found, dict) else {"probability": found}
    return {name: ops.convert_to_numpy(value) for name, value in found.items()}
