"""Weights that Keras 1 and 2 stored in HDF5, set in the layers of a model that was built anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import WeightsError
from kipoi_tfbind.repairs.legacy_keras.build import BuiltLayer
from kipoi_tfbind.repairs.legacy_keras.keras1 import Config

# Arrays that Keras 1 stored of a recurrent layer: input and recurrent kernel and bias of each gate, in
# this order of the gates, and the order in which later versions join them.
_GATES_OF_KERAS_1 = {"LSTM": ("icfo", "ifco"), "GRU": ("zrh", "zrh")}
_CONVOLUTIONS = {"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv1DTranspose"}


def is_legacy_weights_file(path: Path) -> bool:
    """Tell whether an HDF5 file stores weights as Keras 1 and 2 did, by layers in an order."""
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "layer_names" in _weights_group(file).attrs or "layer_names0" in _weights_group(file).attrs


def load_weights(path: Path, layers: Sequence[BuiltLayer], backend: str | None = None) -> str | None:
    """Set the weights of a model's layers to those that a file holds.

    Parameters
    ----------
    path
        HDF5 file of weights, or of a whole model.
    layers
        The model's layers in the order of its description. Groups of the file are matched to them by
        name where the names are the same, else by their order, as Keras itself did.
    backend
        Backend that wrote the weights, where the file does not say.

    Returns
    -------
    backend
        Backend that wrote the weights; None where that is not known.

    Raises
    ------
    WeightsError
        The file's layers or shapes are not those of the model.
    """
    with h5py.File(path) as file:
        group = _weights_group(file)
        if "nb_layers" in group.attrs:
            raise WeightsError(
                f"{path}: weights of Keras 0, which are numbered and not named; save them anew"
            )
        # Keras 1 did not write its version.
        keras_1 = (_text(group.attrs.get("keras_version")) or "1").startswith("1")
        backend = _text(group.attrs.get("backend")) or backend
        stored = {name: _arrays(group[name]) for name in _names(group, "layer_names")}
    stored = {name: arrays for name, arrays in stored.items() if arrays}
    takers = [built for built in layers if _n_arrays(built, keras_1)]
    names = [built.entry["name"] for built in takers]
    if len(stored) != len(takers):
        raise WeightsError(
            f"{path}: expected weights of {len(takers)} layers ({', '.join(names)}), got those of "
            f"{len(stored)} ({', '.join(stored)}); is it the file of this architecture?"
        )
    ordered = [stored[name] for name in names] if set(names) == set(stored) else list(stored.values())
    for built, arrays in zip(takers, ordered, strict=True):
        _set_layer(path, built, arrays, keras_1, flip=backend == "theano")
    return backend


def _weights_group(file: Any) -> Any:
    return file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file


def _text(attribute: Any) -> str | None:
    return attribute.decode("utf-8") if isinstance(attribute, bytes) else attribute


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; a long one is stored in numbered parts."""
    names = list(group.attrs.get(attribute, []))
    part = 0
    while f"{attribute}{part}" in group.attrs:
        names += list(group.attrs[f"{attribute}{part}"])
        part += 1
    return [_text(name) or "" for name in names]


def _arrays(group: Any) -> list[NDArray]:
    return [np.asarray(group[name]) for name in _names(group, "weight_names")]


def _leaves(built: BuiltLayer) -> Iterator[BuiltLayer]:
    """The layers without layers of their own, in the order of the description, each once."""
    if built.children is None:
        yield built
        return
    for child in built.children:
        yield from _leaves(child)


def _n_trainable(built: BuiltLayer, keras_1: bool) -> tuple[int, int]:
    """Number of arrays that the file has of a plain layer: trainable, and not."""
    trainable, all_weights = len(built.layer.trainable_weights), len(built.layer.weights)
    if keras_1:
        inner = (
            built.entry["config"].get("layer")
            if built.entry["class_name"] == "Bidirectional"
            else built.entry
        )
        gates = _GATES_OF_KERAS_1.get(inner["class_name"]) if inner else None
        if inner and gates and inner.get("consume_less") != "gpu":
            in_file = 3 * len(gates[0]) * (2 if inner is not built.entry else 1)
            return (in_file, 0) if trainable else (0, in_file)
    return trainable, all_weights - trainable


def _n_arrays(built: BuiltLayer, keras_1: bool) -> int:
    return sum(sum(_n_trainable(leaf, keras_1)) for leaf in _leaves(built))


def _set_layer(path: Path, built: BuiltLayer, arrays: list[NDArray], keras_1: bool, flip: bool) -> None:
    """Share a group's arrays out among the layers in it: of a nested model, first all trainable ones."""
    leaves = list(_leaves(built))
    counts = [_n_trainable(leaf, keras_1) for leaf in leaves]
    name = built.entry["name"]
    if sum(map(sum, counts)) != len(arrays):
        raise WeightsError(
            f"{path}: layer {name!r}: expected {sum(map(sum, counts))} arrays, got {len(arrays)}; "
            "is it the file of this architecture?"
        )
    remaining = iter(arrays)
    shares: list[list[NDArray]] = [[next(remaining) for _ in range(trainable)] for trainable, _ in counts]
    for share, (_, frozen) in zip(shares, counts, strict=True):
        share += [next(remaining) for _ in range(frozen)]
    for leaf, share in zip(leaves, shares, strict=True):
        converted = convert_arrays(leaf.entry["class_name"], leaf.entry["config"], share, keras_1, flip)
        expected = [tuple(weight.shape) for weight in leaf.layer.weights]
        if [array.shape for array in converted] != expected:
            shapes = [array.shape for array in converted]
            raise WeightsError(
                f"{path}: layer {leaf.entry['name'] or name!r}: expected arrays of the shapes {expected}, "
                f"got {shapes}; is it the file of this architecture?"
            )
        leaf.layer.set_weights(converted)


def convert_arrays(
    class_name: str, config: Config, arrays: list[NDArray], keras_1: bool = False, flip: bool = False
) -> list[NDArray]:
    """Bring the arrays of one layer into the order and shapes of Keras 2, which are today's.

    Parameters
    ----------
    class_name, config
        The layer in the words of Keras 2.
    arrays
        As the file has them.
    keras_1
        Whether Keras 1 stored them.
    flip
        Whether they are from Theano, which turns the kernel of a convolution round.

    Examples
    --------
    A kernel of Keras 1 over one axis has a second one, of length 1.

    >>> config = {"filters": 8, "kernel_size": [5]}
    >>> convert_arrays("Conv1D", config, [np.zeros((5, 1, 4, 8)), np.zeros(8)], keras_1=True)[0].shape
    (5, 4, 8)
    """
    if class_name == "TimeDistributed":
        inner = config["layer"]
        return convert_arrays(inner["class_name"], inner["config"], arrays, keras_1, flip)
    if class_name == "Bidirectional":
        inner, half = config["layer"], len(arrays) // 2
        return [
            array
            for part in (arrays[:half], arrays[half:])
            for array in convert_arrays(inner["class_name"], inner["config"], part, keras_1, flip)
        ]
    if class_name in _CONVOLUTIONS and arrays:
        kernel = _kernel_of_keras_1(class_name, config, arrays[0]) if keras_1 else arrays[0]
        if flip:
            kernel = np.flip(kernel, axis=tuple(range(kernel.ndim - 2)))
        return [kernel, *arrays[1:]]
    if class_name in _GATES_OF_KERAS_1 and keras_1 and len(arrays) > 3:
        return _join_gates(*_GATES_OF_KERAS_1[class_name], arrays)
    if class_name in ("CuDNNLSTM", "CuDNNGRU"):
        return _from_cudnn(class_name, arrays)
    return arrays


def _kernel_of_keras_1(class_name: str, config: Config, kernel: NDArray) -> NDArray:
    """Windows first, then input and output channels."""
    if class_name == "Conv1D":
        size = config["kernel_size"]
        length = size[0] if isinstance(size, list | tuple) else size
        if kernel.shape[:2] != (length, 1) or kernel.shape[3] != config["filters"]:
            # Written before Keras 1.1: (filter, channel, position, 1).
            kernel = kernel.transpose(2, 3, 1, 0)
        return kernel[:, 0]
    if config.get("data_format") == "channels_first":
        return kernel.transpose(*range(2, kernel.ndim), 1, 0)
    return kernel


def _join_gates(stored: str, joined: str, arrays: list[NDArray]) -> list[NDArray]:
    """Join the kernels, recurrent kernels and biases of the gates."""
    position = [stored.index(gate) for gate in joined]
    return [np.concatenate([arrays[3 * gate + part] for gate in position], axis=-1) for part in range(3)]


def _from_cudnn(class_name: str, arrays: list[NDArray]) -> list[NDArray]:
    """Undo the transposition of each gate's kernels, and give the two biases their form."""
    kernel, recurrent, bias = arrays
    n_gates = 4 if class_name == "CuDNNLSTM" else 3
    gates = [gate.reshape(gate.shape[::-1]).T for gate in np.split(kernel, n_gates, axis=1)]
    recurrent_gates = [gate.T for gate in np.split(recurrent, n_gates, axis=1)]
    # An LSTM adds both biases; the GRU multiplies one of them with the reset gate.
    bias = bias.reshape(2, -1).sum(axis=0) if class_name == "CuDNNLSTM" else bias.reshape(2, -1)
    return [np.concatenate(gates, axis=1), np.concatenate(recurrent_gates, axis=1), bias]
