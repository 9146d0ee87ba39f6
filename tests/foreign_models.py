"""Kipoi entries as other groups write them, each with what it is to predict, by plain NumPy.

All entries compute one small network (or a part of it) in whatever framework and layout: a
convolution over 60 bp with ReLU, max pooling, and a dense layer with a sigmoid. So they can be
compared with each other, too. `FOREIGN_MODELS` lists them by name.

An entry's folder has a model.yaml, its weights and code, a dataloader (kipoiseq's or its own), and in
``example_files`` a FASTA and a BED file for it.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

LENGTH = 60
WIDTH, FILTERS, POOL, TARGETS = 7, 6, 4, 2
POSITIONS = (LENGTH - WIDTH + 1) // POOL
AUXILIARY = np.array([0.5, -1.0, 2.0], dtype=np.float32)
"""Values of the auxiliary input that the entries' own dataloaders hand to the model."""

_draw = np.random.default_rng(20)


def _drawn(*shape: int) -> NDArray:
    return _draw.normal(0, 0.4, shape).astype(np.float32)


KERNEL = _drawn(WIDTH, 4, FILTERS)
BIAS = _drawn(FILTERS)
HEAD = _drawn(POSITIONS, FILTERS, TARGETS)
HEAD_BIAS = _drawn(TARGETS)
GLOBAL_HEAD = _drawn(FILTERS, TARGETS)
AUXILIARY_HEAD = _drawn(3, TARGETS)
UNITS = 2
# Of the LSTM that reads forward, and of the one that reads backward: from the base, from the state, bias.
GATES = [(_drawn(4, 4 * UNITS), _drawn(UNITS, 4 * UNITS), _drawn(4 * UNITS)) for _ in range(2)]
# Steep enough that the probabilities along a sequence spread over more than a tenth.
STEP_HEAD, STEP_BIAS = 8 * _drawn(2 * UNITS, 1), _drawn(1)
DILATED, DILATION, CROP = _drawn(3, FILTERS, FILTERS), 4, 20
TRACK, TRACK_KERNEL = np.linspace(0, 1, LENGTH, dtype=np.float32)[:, np.newaxis], _drawn(WIDTH, 1, FILTERS)
SPLINE = np.float32(0.5)
"""All numbers of a spline, which is constant then, as B-splines add up to 1."""


# The network, in float64.


def features(one_hot: NDArray) -> NDArray:
    """(sequence, position, base) -> (sequence, position, filter) after the convolution and ReLU."""
    windows = sliding_window_view(one_hot.astype(np.float64), WIDTH, axis=1)
    return np.maximum(np.einsum("npbw,wbf->npf", windows, KERNEL) + BIAS, 0)


def logits(one_hot: NDArray) -> NDArray:
    """(sequence, position, base) -> (sequence, target)."""
    found = features(one_hot)[:, : POSITIONS * POOL]
    pooled = found.reshape(len(one_hot), POSITIONS, POOL, FILTERS).max(axis=2)
    return np.einsum("npf,pft->nt", pooled, HEAD) + HEAD_BIAS


def sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x))


def probabilities(one_hot: NDArray) -> NDArray:
    """(sequence, position, base) -> (sequence, target)."""
    return sigmoid(logits(one_hot))


def global_probabilities(one_hot: NDArray) -> NDArray:
    """For any length: the largest value of each filter, and a dense layer with a sigmoid."""
    return sigmoid(features(one_hot).max(axis=1) @ GLOBAL_HEAD + HEAD_BIAS)


def auxiliary_probabilities(one_hot: NDArray, auxiliary: NDArray = AUXILIARY) -> NDArray:
    return sigmoid(logits(one_hot) + auxiliary @ AUXILIARY_HEAD)


def flat_profile(one_hot: NDArray) -> NDArray:
    """(sequence, position, base) -> (sequence, position x filter): the features as a profile."""
    return features(one_hot).reshape(len(one_hot), -1)


def cropped_probabilities(one_hot: NDArray) -> NDArray:
    """(sequence, position x target): a dilated residual layer, and the middle of what comes of it."""
    found = features(one_hot)
    padded = np.pad(found, [(0, 0), (DILATION, DILATION), (0, 0)])
    taps = [padded[:, k * DILATION : k * DILATION + found.shape[1]] @ DILATED[k] for k in range(3)]
    found = (found + np.maximum(sum(taps), 0))[:, CROP:-CROP]
    return sigmoid(found @ GLOBAL_HEAD + HEAD_BIAS).reshape(len(one_hot), -1)


def spline_probabilities(one_hot: NDArray) -> NDArray:
    """(sequence, position, base) -> (sequence, target): a sum over positions, with a weight."""
    return sigmoid((1 + SPLINE) * features(one_hot).sum(axis=1) @ (GLOBAL_HEAD / POOL**2) + HEAD_BIAS)


def track_probabilities(one_hot: NDArray) -> NDArray:
    """The network on five channels, the last of which is the track."""
    windows = sliding_window_view(TRACK.astype(np.float64), WIDTH, axis=0)
    of_track = np.einsum("pcw,wcf->pf", windows, TRACK_KERNEL)
    of_bases = np.einsum("npbw,wbf->npf", sliding_window_view(one_hot, WIDTH, axis=1), KERNEL)
    found = np.maximum(of_bases + of_track + BIAS, 0)[:, : POSITIONS * POOL]
    pooled = found.reshape(len(one_hot), POSITIONS, POOL, FILTERS).max(axis=2)
    return sigmoid(np.einsum("npf,pft->nt", pooled, HEAD) + HEAD_BIAS)


def _lstm(one_hot: NDArray, kernel: NDArray, recurrent: NDArray, bias: NDArray) -> NDArray:
    """(sequence, position, base) -> (sequence, position, unit)."""
    state = cell = np.zeros((len(one_hot), UNITS))
    found = []
    for position in range(one_hot.shape[1]):
        gates = one_hot[:, position] @ kernel + state @ recurrent + bias
        take, forget, new, give = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(take) * np.tanh(new)
        state = sigmoid(give) * np.tanh(cell)
        found.append(state)
    return np.stack(found, axis=1)


def step_probabilities(one_hot: NDArray) -> NDArray:
    """(sequence, position, base) -> (sequence, position), by an LSTM in either direction."""
    x = one_hot.astype(np.float64)
    states = [_lstm(x, *GATES[0]), _lstm(x[:, ::-1], *GATES[1])[:, ::-1]]
    return sigmoid(np.concatenate(states, axis=2) @ STEP_HEAD + STEP_BIAS)[..., 0]


def gc_and_motif(one_hot: NDArray) -> NDArray:
    """Number of G and C, and of the word GATA, in each sequence."""
    gc = one_hot[:, :, 1:3].sum(axis=(1, 2))
    words = np.stack([one_hot[:, i : LENGTH - 3 + i, base] for i, base in enumerate((2, 0, 3, 0))]).prod(
        axis=0
    )
    return np.stack([gc, words.sum(axis=1)], axis=1)


def linear_probabilities(one_hot: NDArray) -> NDArray:
    """Of a logistic regression on flattened sequences: both classes."""
    score = one_hot.reshape(len(one_hot), -1).astype(np.float64) @ _linear_weights() + 0.1
    return np.stack([1 - sigmoid(score), sigmoid(score)], axis=1)


def _linear_weights() -> NDArray:
    return np.random.default_rng(21).normal(0, 0.4, LENGTH * 4)


# The entries


@dataclass(frozen=True)
class ForeignModel:
    """An entry, how to write it, and what it computes.

    Attributes
    ----------
    build
        Writes the entry into an empty folder, and returns the folder for ``source="dir"``.
    expected
        One-hot (sequence, position, base), bases A C G T -> (sequence, target), outputs side by side.
    batch
        The same one-hot array as the model's own dataloader would hand it to the model.
    length
        Length of its sequences; None for any.
    neutral_value
        What its dataloader writes four times for an N. `batch` and `expected` take sequences without N.
    output
        "probability" where it ends in a sigmoid or softmax that its framework can show, else "raw".
    options
        What `load_model` has to be told, because the entry does not say it.
    pickled
        Whether it is refused unless pickles are allowed.
    frameworks
        Packages that it needs beside Kipoi.
    """

    build: Callable[[Path], str]
    expected: Callable[[NDArray], NDArray]
    batch: Callable[[NDArray], Any] = lambda one_hot: one_hot
    length: int | None = LENGTH
    neutral_value: float = 0.25
    output: str = "probability"
    options: Mapping[str, Any] = field(default_factory=dict)
    pickled: bool = False
    frameworks: tuple[str, ...] = ("keras",)


INFO = {
    "authors": [{"name": "Another Group", "github": "another-group"}],
    "doc": "Binding of two transcription factors",
    "license": "MIT",
}
KIPOISEQ = "kipoiseq.dataloaders.SeqIntervalDl"


def _write_entry(
    folder: Path,
    model: Mapping[str, Any],
    inputs: Any,
    *,
    loader: Any = None,
    targets: Any = None,
    **loader_arguments: Any,
) -> str:
    """Write model.yaml and the example files; `loader` None is kipoiseq's with these arguments."""
    if loader is None:
        loader = {
            "defined_as": KIPOISEQ,
            "default_args": {"auto_resize_len": LENGTH, "ignore_targets": True, **loader_arguments},
        }
    if targets is None:
        targets = {
            "name": "bound",
            "shape": f"({TARGETS},)",
            "doc": "bound",
            "column_labels": ["CTCF", "MAX"],
        }
    entry = {
        **model,
        "default_dataloader": loader,
        "info": INFO,
        "dependencies": {"pip": ["numpy"]},
        "schema": {"inputs": inputs, "targets": targets},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(entry, sort_keys=False))
    examples = folder / "example_files"
    examples.mkdir(exist_ok=True)
    bases = np.random.default_rng(22).choice(list("ACGT"), 500)
    (examples / "genome.fa").write_text(">chr1\n" + "".join(bases) + "\n")
    starts = (0, 37, 200, 433)
    (examples / "intervals.bed").write_text("".join(f"chr1\t{start}\t{start + LENGTH}\n" for start in starts))
    return str(folder)


def _dna(shape: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "seq",
        "shape": shape,
        "special_type": "DNASeq",
        "doc": "one-hot DNA sequence",
        "associated_metadata": "ranges",
        **more,
    }


LOADER_YAML = """
type: Dataset
defined_as: dataloader.Windows
args:
  intervals_file: {doc: BED file, example: example_files/intervals.bed}
  fasta_file: {doc: reference genome, example: example_files/genome.fa}
info:
  authors: [{name: Another Group}]
  doc: Windows of a genome
output_schema:
  metadata:
    ranges: {type: GenomicRanges, doc: the windows}
"""
LOADER_CODE = """
import numpy as np
from pyfaidx import Fasta
from kipoi.data import Dataset
from kipoi.metadata import GenomicRanges


class Windows(Dataset):
    def __init__(self, intervals_file, fasta_file):
        self.intervals = [line.split()[:3] for line in open(intervals_file)]
        self.genome = Fasta(fasta_file)

    def __len__(self):
        return len(self.intervals)

    def __getitem__(self, i):
        chrom, start, end = self.intervals[i]
        bases = str(self.genome[chrom][int(start) : int(end)]).upper()
        one_hot = np.array([[base == other for other in "ACGT"] for base in bases], dtype=np.float32)
        ranges = GenomicRanges(chrom, int(start), int(end), str(i))
        return {"inputs": INPUTS, "metadata": {"ranges": ranges}}
"""


def _write_loader(folder: Path, inputs: Any, code: str) -> None:
    """A dataloader of the entry's own: what it hands out as `inputs`, and how, as a Python expression."""
    description = yaml.safe_load(LOADER_YAML)
    description["output_schema"]["inputs"] = inputs
    (folder / "dataloader.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    (folder / "dataloader.py").write_text(LOADER_CODE.replace("INPUTS", code))


# Keras 1 and 2


def _write_layers(file: Any, layers: Mapping[str, list[tuple[str, NDArray]]]) -> None:
    """Weights by layers, as Keras 1 and 2 stored them."""
    file.attrs["layer_names"] = [name.encode() for name in layers]
    for name, arrays in layers.items():
        group = file.create_group(name)
        group.attrs["weight_names"] = [weight.encode() for weight, _ in arrays]
        for weight, array in arrays:
            group.create_dataset(weight, data=array)


# As Keras 1.2.2 and 2.2.4 write them; the names in capitals stand for numbers.
KERAS_1_SEQUENTIAL = """
{"class_name": "Sequential", "keras_version": "1.2.2", "config": [
 {"class_name": "Convolution1D", "config": {"name": "convolution1d_1", "trainable": true,
  "batch_input_shape": [null, LENGTH, 4], "input_dtype": "float32", "nb_filter": FILTERS,
  "filter_length": WIDTH, "init": "glorot_uniform", "activation": "relu", "border_mode": "valid",
  "subsample_length": 1, "W_regularizer": {"name": "L1L2Regularizer", "l1": 0.0, "l2": 1e-06},
  "b_regularizer": null, "activity_regularizer": null, "W_constraint": null, "b_constraint": null,
  "bias": true, "input_dim": 4, "input_length": LENGTH}},
 {"class_name": "MaxPooling1D", "config": {"name": "maxpooling1d_1", "trainable": true,
  "stride": POOL, "pool_length": POOL, "border_mode": "valid"}},
 {"class_name": "Dropout", "config": {"name": "dropout_1", "trainable": true, "p": 0.2}},
 {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": true}},
 {"class_name": "Dense", "config": {"name": "dense_1", "trainable": true, "output_dim": TARGETS,
  "init": "glorot_uniform", "activation": "sigmoid", "W_regularizer": null, "b_regularizer": null,
  "activity_regularizer": null, "W_constraint": null, "b_constraint": null, "bias": true,
  "input_dim": null}}]}
"""
KERAS_1_FUNCTIONAL = """
{"class_name": "Model", "keras_version": "1.2.2", "config": {"name": "model_1", "layers": [
 {"class_name": "InputLayer", "name": "input_1", "inbound_nodes": [], "config":
  {"batch_input_shape": [null, 4, 1, LENGTH], "input_dtype": "float32", "sparse": false, "name": "input_1"}},
 {"class_name": "Convolution2D", "name": "convolution2d_1", "inbound_nodes": [[["input_1", 0, 0]]],
  "config": {"name": "convolution2d_1", "trainable": true, "nb_filter": FILTERS, "nb_row": 1,
  "nb_col": WIDTH, "init": "glorot_uniform", "activation": "linear", "border_mode": "valid",
  "subsample": [1, 1], "dim_ordering": "th", "W_regularizer": null, "b_regularizer": null,
  "activity_regularizer": null, "W_constraint": null, "b_constraint": null, "bias": true}},
 {"class_name": "Activation", "name": "activation_1", "inbound_nodes": [[["convolution2d_1", 0, 0]]],
  "config": {"name": "activation_1", "trainable": true, "activation": "relu"}},
 {"class_name": "MaxPooling2D", "name": "maxpooling2d_1", "inbound_nodes": [[["activation_1", 0, 0]]],
  "config": {"name": "maxpooling2d_1", "trainable": true, "pool_size": [1, POOL], "border_mode": "valid",
  "strides": [1, POOL], "dim_ordering": "th"}},
 {"class_name": "Flatten", "name": "flatten_1", "inbound_nodes": [[["maxpooling2d_1", 0, 0]]],
  "config": {"name": "flatten_1", "trainable": true}},
 {"class_name": "Dense", "name": "dense_1", "inbound_nodes": [[["flatten_1", 0, 0]]],
  "config": {"name": "dense_1", "trainable": true, "output_dim": TARGETS, "init": "glorot_uniform",
  "activation": "sigmoid", "W_regularizer": null, "b_regularizer": null, "activity_regularizer": null,
  "W_constraint": null, "b_constraint": null, "bias": true, "input_dim": null}}],
 "input_layers": [["input_1", 0, 0]], "output_layers": [["dense_1", 0, 0]]}}
"""
KERAS_2_SEQUENTIAL = """
{"class_name": "Sequential", "config": {"name": "sequential_1", "layers": [
 {"class_name": "Conv1D", "config": {"name": "conv1d_1", "trainable": true,
  "batch_input_shape": [null, LENGTH, 4], "dtype": "float32", "filters": FILTERS, "kernel_size": [WIDTH],
  "strides": [1], "padding": "valid", "data_format": "channels_last", "dilation_rate": [1],
  "activation": "relu", "use_bias": true, "kernel_initializer": {"class_name": "VarianceScaling",
  "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": null}},
  "bias_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": null,
  "bias_regularizer": null, "activity_regularizer": null, "kernel_constraint": null,
  "bias_constraint": null}},
 {"class_name": "MaxPooling1D", "config": {"name": "max_pooling1d_1", "trainable": true,
  "strides": [POOL], "pool_size": [POOL], "padding": "valid", "data_format": "channels_last"}},
 {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": true,
  "data_format": "channels_last"}},
 {"class_name": "Dense", "config": {"name": "dense_1", "trainable": true, "units": TARGETS,
  "activation": "linear", "use_bias": true, "kernel_regularizer": null}},
 {"class_name": "Activation", "config": {"name": "activation_1", "trainable": true,
  "activation": "sigmoid"}}]}}
"""
KERAS_2_IMAGE = """
{"class_name": "Sequential", "config": [
 {"class_name": "Conv2D", "config": {"name": "conv2d_1", "trainable": true,
  "batch_input_shape": [null, LENGTH, 4, 1], "dtype": "float32", "filters": FILTERS,
  "kernel_size": [WIDTH, 4], "strides": [1, 1], "padding": "valid", "data_format": "channels_last",
  "dilation_rate": [1, 1], "activation": "relu", "use_bias": true, "kernel_regularizer": null}},
 {"class_name": "MaxPooling2D", "config": {"name": "max_pooling2d_1", "trainable": true,
  "pool_size": [POOL, 1], "padding": "valid", "strides": [POOL, 1], "data_format": "channels_last"}},
 {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": true}},
 {"class_name": "Dense", "config": {"name": "dense_1", "trainable": true, "units": TARGETS,
  "activation": "sigmoid", "use_bias": true, "kernel_regularizer": null}}]}
"""


def _filled_in(text: str) -> str:
    for name in ("LENGTH", "FILTERS", "WIDTH", "POOL", "TARGETS"):
        text = text.replace(name, str(globals()[name]))
    return text


def build_keras_1_json(folder: Path) -> str:
    """JSON with a list of layers, and weights, of Keras 1.2.2 on TensorFlow."""
    (folder / "model.json").write_text(_filled_in(KERAS_1_SEQUENTIAL))
    with h5py.File(folder / "weights.h5", "w") as file:
        layers = {
            "convolution1d_1": [("convolution1d_1_W", KERNEL[:, np.newaxis]), ("convolution1d_1_b", BIAS)],
            "maxpooling1d_1": [],
            "dropout_1": [],
            "flatten_1": [],
            "dense_1": [("dense_1_W", HEAD.reshape(-1, TARGETS)), ("dense_1_b", HEAD_BIAS)],
        }
        _write_layers(file, layers)
    arguments = {"arch": "model.json", "weights": "weights.h5"}
    arguments |= {"backend": "tensorflow", "image_dim_ordering": "tf"}
    return _write_entry(folder, {"type": "keras", "args": arguments}, _dna(f"({LENGTH}, 4)"))


def build_keras_1_channels_first(folder: Path) -> str:
    """A functional model with dim_ordering "th" and inputs of the shape (4, 1, length)."""
    (folder / "model.json").write_text(_filled_in(KERAS_1_FUNCTIONAL))
    # (filter, base, 1, position), and the features flattened filter by filter.
    kernel = KERNEL.transpose(2, 1, 0)[:, :, np.newaxis]
    head = HEAD.transpose(1, 0, 2).reshape(-1, TARGETS)
    with h5py.File(folder / "weights.h5", "w") as file:
        arrays = {
            "convolution2d_1": [("convolution2d_1_W", kernel), ("convolution2d_1_b", BIAS)],
            "dense_1": [("dense_1_W", head), ("dense_1_b", HEAD_BIAS)],
        }
        _write_layers(file, arrays)
    arguments = {"arch": "model.json", "weights": "weights.h5", "backend": "tensorflow"}
    model = {"defined_as": "kipoi.model.KerasModel", "args": arguments}
    return _write_entry(folder, model, _dna(f"(4, 1, {LENGTH})"), alphabet_axis=0, dummy_axis=1)


def _write_keras_2_model(path: Path, config: str, convolution: str, kernel: NDArray) -> None:
    """A whole Sequential model as Keras 2.2.4 writes it."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = _filled_in(config).encode()
        group = file.create_group("model_weights")
        for place in (file, group):
            place.attrs["keras_version"], place.attrs["backend"] = b"2.2.4", b"tensorflow"
        arrays = {
            convolution: [(f"{convolution}/kernel:0", kernel), (f"{convolution}/bias:0", BIAS)],
            "flatten_1": [],
            "dense_1": [("dense_1/kernel:0", HEAD.reshape(-1, TARGETS)), ("dense_1/bias:0", HEAD_BIAS)],
        }
        _write_layers(group, arrays)


def build_keras_2_h5(folder: Path) -> str:
    """A whole model in HDF5, with batch_input_shape."""
    _write_keras_2_model(folder / "model.h5", KERAS_2_SEQUENTIAL, "conv1d_1", KERNEL)
    return _write_entry(folder, _keras_model("model.h5"), _dna(f"({LENGTH}, 4)"))


def build_keras_2_image(folder: Path) -> str:
    """Inputs of the shape (length, 4, 1), as images; the layers in a list, as Keras 2.0 had them."""
    _write_keras_2_model(folder / "model.hdf5", KERAS_2_IMAGE, "conv2d_1", KERNEL[:, :, np.newaxis])
    model = {"type": "keras", "args": {"weights": "model.hdf5"}}
    return _write_entry(folder, model, _dna(f"({LENGTH}, 4, 1)"), alphabet_axis=1, dummy_axis=2)


KERAS_2_CONCISE = """
{"class_name": "Sequential", "config": {"name": "sequential_1", "layers": [
 {"class_name": "ConvDNA", "config": {"name": "conv_dna_1", "trainable": true,
  "batch_input_shape": [null, LENGTH, 4], "filters": FILTERS, "kernel_size": [WIDTH], "strides": [1],
  "padding": "valid", "dilation_rate": [1], "activation": "relu", "use_bias": true,
  "kernel_regularizer": null, "background_probs": null, "seq_length": LENGTH}},
 {"class_name": "SplineWeight1D", "config": {"name": "spline_weight1d_1", "trainable": true, "n_bases": 10,
  "spline_degree": 3, "share_splines": true, "use_bias": false}},
 {"class_name": "GlobalSumPooling1D", "config": {"name": "global_sum_pooling1d_1", "trainable": true}},
 {"class_name": "Dense", "config": {"name": "dense_1", "trainable": true, "units": TARGETS,
  "activation": "sigmoid", "use_bias": true, "kernel_regularizer": null}}]}}
"""


def build_concise(folder: Path) -> str:
    """Layers of the package concise, whose custom objects import it."""
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["model_config"] = _filled_in(KERAS_2_CONCISE).encode()
        group = file.create_group("model_weights")
        for place in (file, group):
            place.attrs["keras_version"], place.attrs["backend"] = b"2.1.6", b"tensorflow"
        arrays = {
            "conv_dna_1": [("conv_dna_1/kernel:0", KERNEL), ("conv_dna_1/bias:0", BIAS)],
            "spline_weight1d_1": [("spline_weight1d_1/kernel:0", np.full((10, 1), SPLINE))],
            "global_sum_pooling1d_1": [],
            "dense_1": [("dense_1/kernel:0", GLOBAL_HEAD / POOL**2), ("dense_1/bias:0", HEAD_BIAS)],
        }
        _write_layers(group, arrays)
    (folder / "custom_keras_objects.py").write_text("import concise\n\nOBJECTS = None\n")
    arguments = {"weights": "model.h5", "custom_objects": "custom_keras_objects.py"}
    return _write_entry(folder, {"type": "keras", "args": arguments}, _dna(f"({LENGTH}, 4)"))


def _keras_model(weights: str) -> dict[str, Any]:
    return {"defined_as": "kipoi.model.KerasModel", "args": {"weights": weights}}


# Keras 3


def keras_network(kernel: NDArray = KERNEL) -> Any:
    """The network with today's Keras, on (length, 4)."""
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((LENGTH, 4), name="seq"),
            layers.Conv1D(FILTERS, WIDTH, activation="relu"),
            layers.MaxPooling1D(POOL),
            layers.Flatten(),
            layers.Dense(TARGETS, activation="sigmoid"),
        ]
    )
    network.set_weights([kernel, BIAS, HEAD.reshape(-1, TARGETS), HEAD_BIAS])
    return network


def build_keras_3(folder: Path) -> str:
    keras_network().save(folder / "model.keras")
    return _write_entry(folder, _keras_model("model.keras"), _dna(f"({LENGTH}, 4)"))


def build_recurrent(folder: Path) -> str:
    """A probability at each position, by an LSTM in both directions."""
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((LENGTH, 4), name="seq"),
            layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(1, activation="sigmoid")),
        ]
    )
    network.set_weights([*GATES[0], *GATES[1], STEP_HEAD, STEP_BIAS])
    network.save(folder / "model.keras")
    targets = {"name": "branchpoint", "shape": f"({LENGTH}, 1)", "doc": "at each position"}
    return _write_entry(folder, _keras_model("model.keras"), _dna(f"({LENGTH}, 4)"), targets=targets)


def build_other_alphabet(folder: Path) -> str:
    """Bases in the order A G C T, as kipoiseq's argument `alphabet` has it."""
    keras_network(KERNEL[:, [0, 2, 1, 3]]).save(folder / "model.keras")
    return _write_entry(folder, _keras_model("model.keras"), _dna(f"({LENGTH}, 4)"), alphabet="AGCT")


def build_any_length(folder: Path) -> str:
    """Inputs of the shape (None, 4)."""
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((None, 4)),
            layers.Conv1D(FILTERS, WIDTH, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(TARGETS, activation="sigmoid"),
        ]
    )
    network.set_weights([KERNEL, BIAS, GLOBAL_HEAD, HEAD_BIAS])
    network.save(folder / "model.keras")
    loader = {"defined_as": KIPOISEQ, "default_args": {"ignore_targets": True}}
    return _write_entry(folder, _keras_model("model.keras"), _dna("(None, 4)"), loader=loader)


def build_profile(folder: Path) -> str:
    """One output of the shape (position, channel)."""
    import keras

    network = keras.Sequential(
        [keras.Input((LENGTH, 4)), keras.layers.Conv1D(FILTERS, WIDTH, activation="relu")]
    )
    network.set_weights([KERNEL, BIAS])
    network.save(folder / "model.keras")
    targets = {"name": "profile", "shape": f"({LENGTH - WIDTH + 1}, {FILTERS})", "doc": "coverage"}
    return _write_entry(folder, _keras_model("model.keras"), _dna(f"({LENGTH}, 4)"), targets=targets)


def build_cropped(folder: Path) -> str:
    """A dilated residual layer, and a profile of the middle, as models of splicing have it."""
    import keras

    layers = keras.layers
    sequence = keras.Input((LENGTH, 4), name="seq")
    hidden = layers.Conv1D(FILTERS, WIDTH, activation="relu")(sequence)
    dilated = layers.Conv1D(
        FILTERS, 3, dilation_rate=DILATION, padding="same", activation="relu", use_bias=False
    )
    hidden = layers.Cropping1D(CROP)(layers.Add()([hidden, dilated(hidden)]))
    network = keras.Model(sequence, layers.Conv1D(TARGETS, 1, activation="sigmoid")(hidden))
    network.set_weights([KERNEL, BIAS, DILATED, GLOBAL_HEAD[np.newaxis], HEAD_BIAS])
    network.save(folder / "model.keras")
    n_positions = LENGTH - WIDTH + 1 - 2 * CROP
    targets = {"name": "sites", "shape": f"({n_positions}, {TARGETS})", "doc": "at each position"}
    return _write_entry(folder, _keras_model("model.keras"), _dna(f"({LENGTH}, 4)"), targets=targets)


def build_dict_inputs(folder: Path) -> str:
    """A sequence and the chromatin state of a cell type, by name."""
    import keras

    layers = keras.layers
    sequence, state = keras.Input((LENGTH, 4), name="seq"), keras.Input((3,), name="chromatin")
    hidden = layers.Conv1D(FILTERS, WIDTH, activation="relu")(sequence)
    hidden = layers.Flatten()(layers.MaxPooling1D(POOL)(hidden))
    output = layers.Dense(TARGETS, activation="sigmoid")(layers.Concatenate()([hidden, state]))
    network = keras.Model([sequence, state], output)
    head = np.concatenate([HEAD.reshape(-1, TARGETS), AUXILIARY_HEAD])
    network.set_weights([KERNEL, BIAS, head, HEAD_BIAS])
    network.save(folder / "model.keras")
    inputs = {
        "seq": {"shape": f"({LENGTH}, 4)", "special_type": "DNASeq", "doc": "one-hot DNA"},
        "chromatin": {"shape": "(3,)", "doc": "principal components of the cell type's chromatin"},
    }
    state_code = f"np.array({AUXILIARY.tolist()}, dtype=np.float32)"
    _write_loader(folder, inputs, f'{{"seq": one_hot, "chromatin": {state_code}}}')
    return _write_entry(folder, _keras_model("model.keras"), inputs, loader=".")


# TensorFlow


def build_saved_model(folder: Path) -> str:
    """A SavedModel of a tf.Module that can be called."""
    import tensorflow as tf

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel, self.bias = tf.Variable(KERNEL), tf.Variable(BIAS)
            self.head, self.head_bias = tf.Variable(HEAD.reshape(-1, TARGETS)), tf.Variable(HEAD_BIAS)

        @tf.function(input_signature=[tf.TensorSpec((None, LENGTH, 4), tf.float32)])
        def __call__(self, x: Any) -> Any:
            hidden = tf.nn.relu(tf.nn.conv1d(x, self.kernel, 1, "VALID") + self.bias)
            hidden = tf.nn.max_pool1d(hidden, POOL, POOL, "VALID")
            hidden = tf.reshape(hidden, (-1, POSITIONS * FILTERS))
            return tf.sigmoid(tf.matmul(hidden, self.head) + self.head_bias)

    tf.saved_model.save(Network(), str(folder / "saved_model"))
    arguments = {"savedmodel_path": "saved_model"}
    return _write_entry(
        folder, {"defined_as": "kipoi.model.TensorFlow2Model", "args": arguments}, _dna(f"({LENGTH}, 4)")
    )


def build_exported(folder: Path) -> str:
    """A SavedModel that Keras 3 exported: its function is `serve`."""
    keras_network().export(folder / "exported", verbose=False)
    arguments = {"savedmodel_path": "exported"}
    return _write_entry(
        folder, {"defined_as": "kipoi.model.TensorFlow2Model", "args": arguments}, _dna(f"({LENGTH}, 4)")
    )


def build_checkpoint(folder: Path) -> str:
    """A checkpoint of TensorFlow 1."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, (None, LENGTH, 4), name="inputs")
        kernel, bias = (tf.Variable(array, use_resource=False) for array in (KERNEL, BIAS))
        hidden = tf.nn.relu(tf.nn.conv1d(x, kernel, stride=1, padding="VALID") + bias)
        hidden = tf.nn.max_pool2d(hidden[:, :, tf.newaxis], [POOL, 1], [POOL, 1], "VALID")
        head, head_bias = (
            tf.Variable(array, use_resource=False) for array in (HEAD.reshape(-1, TARGETS), HEAD_BIAS)
        )
        hidden = tf.reshape(hidden, (-1, POSITIONS * FILTERS))
        tf.sigmoid(tf.matmul(hidden, head) + head_bias, name="probabilities")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt"))
    arguments = {"input_nodes": "inputs", "target_nodes": "probabilities", "checkpoint_path": "model.ckpt"}
    return _write_entry(
        folder, {"defined_as": "kipoi.model.TensorFlowModel", "args": arguments}, _dna(f"({LENGTH}, 4)")
    )


def build_saved_model_two_inputs(folder: Path) -> str:
    """A SavedModel whose signature takes a sequence and a chromatin state by name."""
    import tensorflow as tf

    module = tf.Module()
    kernel, head = tf.constant(KERNEL), tf.constant(HEAD.reshape(-1, TARGETS))

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, LENGTH, 4), tf.float32, name="seq"),
            tf.TensorSpec((None, 3), tf.float32, name="chromatin"),
        ]
    )
    def run(seq: Any, chromatin: Any) -> Any:
        hidden = tf.nn.relu(tf.nn.conv1d(seq, kernel, 1, "VALID") + BIAS)
        hidden = tf.reshape(tf.nn.max_pool1d(hidden, POOL, POOL, "VALID"), (-1, POSITIONS * FILTERS))
        return tf.sigmoid(hidden @ head + chromatin @ AUXILIARY_HEAD + HEAD_BIAS)

    module.run = run
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=run.get_concrete_function())
    inputs = {
        "seq": {"shape": f"({LENGTH}, 4)", "special_type": "DNASeq", "doc": "one-hot DNA"},
        "chromatin": {"shape": "(3,)", "doc": "principal components of the cell type's chromatin"},
    }
    state_code = f"np.array({AUXILIARY.tolist()}, dtype=np.float32)"
    _write_loader(folder, inputs, f'{{"seq": one_hot, "chromatin": {state_code}}}')
    arguments = {"savedmodel_path": "saved_model"}
    return _write_entry(
        folder, {"defined_as": "kipoi.model.TensorFlow2Model", "args": arguments}, inputs, loader="."
    )


# PyTorch

TORCH_CODE = f"""
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self, n_targets={TARGETS}):
        super().__init__()
        self.convolution = nn.Conv1d(4, {FILTERS}, {WIDTH})
        self.pool = nn.MaxPool1d({POOL})
        self.head = nn.Linear({FILTERS * POSITIONS}, n_targets)

    def hidden(self, x):
        return torch.flatten(self.pool(torch.relu(self.convolution(x))), 1)

    def forward(self, x):
        return torch.sigmoid(self.head(self.hidden(x)))


class WithState(Network):
    def __init__(self):
        super().__init__()
        self.state = nn.Linear(3, {TARGETS}, bias=False)

    def forward(self, x, state):
        return torch.sigmoid(self.head(self.hidden(x)) + self.state(state))


class TwoHeads(Network):
    def forward(self, x):
        logits = self.head(self.hidden(x))
        return [torch.sigmoid(logits[:, :1]), torch.sigmoid(logits[:, 1:])]


class NamedHeads(Network):
    def forward(self, x):
        logits = self.head(self.hidden(x))
        return {{"ctcf": torch.sigmoid(logits[:, :1]), "max": torch.sigmoid(logits[:, 1:])}}


class JoinedHeads(Network):
    def forward(self, x):
        logits = self.head(self.hidden(x))
        return torch.cat([torch.sigmoid(logits[:, i : i + 1]) for i in range({TARGETS})], 1)


class Tokens(Network):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)

    def forward(self, x):
        return super().forward(self.embedding(x.long()).transpose(1, 2))


class Tracks(Network):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv1d(5, {FILTERS}, {WIDTH})


class Spectral(Network):
    \"\"\"The convolution as a product of spectra.\"\"\"

    def hidden(self, x):
        n = {LENGTH}
        kernel = torch.fft.rfft(self.convolution.weight.flip(2), n=n)
        spectrum = torch.einsum("nbf,obf->nof", torch.fft.rfft(x, n=n), kernel)
        found = torch.fft.irfft(spectrum, n=n)[:, :, {WIDTH} - 1 :] + self.convolution.bias[:, None]
        return torch.flatten(self.pool(torch.relu(found)), 1)


class Image(nn.Module):
    \"\"\"For inputs with an axis of length 1: kernel and pool have two axes.\"\"\"

    def __init__(self, channels, kernel, pool):
        super().__init__()
        self.convolution = nn.Conv2d(channels, {FILTERS}, tuple(kernel))
        self.pool = nn.MaxPool2d(tuple(pool))
        self.head = nn.Linear({FILTERS * POSITIONS}, {TARGETS})

    def forward(self, x):
        hidden = self.pool(nn.functional.relu(self.convolution(x)))
        return torch.sigmoid(self.head(hidden.flatten(1)))
"""


def _torch_network(
    folder: Path, class_name: str = "Network", *, weight: NDArray | None = None, **arguments: Any
) -> Any:
    """Write the network's code into the entry's folder, and return it with its weights."""
    import torch

    path = folder / "binding_network.py"
    path.write_text(TORCH_CODE)
    spec = importlib.util.spec_from_file_location("binding_network", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    # A pickle names the module of a class, and torch looks for the source of what it scripts.
    sys.modules["binding_network"] = module
    try:
        spec.loader.exec_module(module)
        network = getattr(module, class_name)(**arguments)
    finally:
        del sys.modules["binding_network"]
    # (filter, base, position); the features are flattened filter by filter.
    weight = KERNEL.transpose(2, 1, 0) if weight is None else weight
    state = {
        "convolution.weight": weight,
        "convolution.bias": BIAS,
        "head.weight": HEAD.transpose(2, 1, 0).reshape(TARGETS, -1),
        "head.bias": HEAD_BIAS,
    }
    if class_name == "Tokens":
        state["embedding.weight"] = np.eye(5, 4, dtype=np.float32)
    if class_name == "Tracks":
        state["convolution.weight"] = np.concatenate([KERNEL, TRACK_KERNEL], axis=1).transpose(2, 1, 0)
    if class_name == "WithState":
        state["state.weight"] = AUXILIARY_HEAD.T
    network.load_state_dict({name: torch.tensor(array.copy()) for name, array in state.items()})
    return network.eval()


def _write_torch_entry(folder: Path, network: Any, inputs: Any, **options: Any) -> str:
    import torch

    torch.save(network.state_dict(), folder / "weights.pt")
    arguments = {
        "module_file": "binding_network.py",
        "module_class": type(network).__name__,
        "weights": "weights.pt",
        **options.pop("arguments", {}),
    }
    model = {"defined_as": "kipoi.model.PyTorchModel", "args": arguments}
    return _write_entry(folder, model, inputs, **options)


def build_torch(folder: Path) -> str:
    """A class and a state dict, for inputs of the shape (4, length)."""
    return _write_torch_entry(folder, _torch_network(folder), _dna(f"(4, {LENGTH})"), alphabet_axis=0)


def build_torch_basset(folder: Path) -> str:
    """Inputs of the shape (4, length, 1), as those of Basset."""
    sizes = {"channels": 4, "kernel": [WIDTH, 1], "pool": [POOL, 1]}
    weight = KERNEL.transpose(2, 1, 0)[..., np.newaxis]
    network = _torch_network(folder, "Image", weight=weight, **sizes)
    return _write_torch_entry(
        folder,
        network,
        _dna(f"(4, {LENGTH}, 1)"),
        arguments={"module_kwargs": sizes},
        alphabet_axis=0,
        dummy_axis=2,
    )


def build_torch_image(folder: Path) -> str:
    """Inputs of the shape (1, 4, length)."""
    sizes = {"channels": 1, "kernel": [4, WIDTH], "pool": [1, POOL]}
    weight = KERNEL.transpose(2, 1, 0)[:, np.newaxis]
    network = _torch_network(folder, "Image", weight=weight, **sizes)
    return _write_torch_entry(
        folder,
        network,
        _dna(f"(1, 4, {LENGTH})"),
        arguments={"module_kwargs": sizes},
        alphabet_axis=1,
        dummy_axis=0,
    )


def build_torch_pickle(folder: Path) -> str:
    """A whole pickled module: to load it is to run whatever code is in it."""
    import torch

    network = _torch_network(folder)
    module = sys.modules["binding_network"] = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("binding_network", loader=None)  # type: ignore[arg-type]
    )
    setattr(module, "Network", type(network))  # noqa: B010
    try:
        torch.save(network, folder / "model.pt")
    finally:
        del sys.modules["binding_network"]
    model = {"type": "pytorch", "args": {"weights": "model.pt"}}
    return _write_entry(folder, model, _dna(f"(4, {LENGTH})"), alphabet_axis=0)


def build_torchscript(folder: Path) -> str:
    import torch

    traced = torch.jit.trace(_torch_network(folder), torch.zeros(1, 4, LENGTH))
    traced.save(str(folder / "model.pt"))
    model = {"type": "pytorch", "args": {"weights": "model.pt"}}
    return _write_entry(folder, model, _dna(f"(4, {LENGTH})"), alphabet_axis=0)


def build_list_inputs(folder: Path) -> str:
    """A sequence and a chromatin state, in a list."""
    inputs = [_dna(f"(4, {LENGTH})"), {"name": "chromatin", "shape": "(3,)", "doc": "state of the chromatin"}]
    _write_loader(folder, inputs, f"[one_hot.T, np.array({AUXILIARY.tolist()}, dtype=np.float32)]")
    return _write_torch_entry(folder, _torch_network(folder, "WithState"), inputs, loader=".")


def build_list_outputs(folder: Path) -> str:
    targets = [{"name": name, "shape": "(1,)", "doc": "bound"} for name in ("ctcf", "max")]
    network = _torch_network(folder, "TwoHeads")
    return _write_torch_entry(folder, network, _dna(f"(4, {LENGTH})"), targets=targets, alphabet_axis=0)


def build_dict_outputs(folder: Path) -> str:
    targets = {name: {"shape": "(1,)", "doc": "bound"} for name in ("ctcf", "max")}
    network = _torch_network(folder, "NamedHeads")
    return _write_torch_entry(folder, network, _dna(f"(4, {LENGTH})"), targets=targets, alphabet_axis=0)


def build_joined_heads(folder: Path) -> str:
    """The heads side by side, each with a sigmoid of its own."""
    network = _torch_network(folder, "JoinedHeads")
    return _write_torch_entry(folder, network, _dna(f"(4, {LENGTH})"), alphabet_axis=0)


def build_spectral(folder: Path) -> str:
    """Complex numbers within."""
    network = _torch_network(folder, "Spectral")
    return _write_torch_entry(folder, network, _dna(f"(4, {LENGTH})"), alphabet_axis=0)


def build_tokens(folder: Path) -> str:
    """A number for each base, which an embedding takes."""
    inputs = {"name": "seq", "shape": f"({LENGTH},)", "special_type": "DNASeq", "doc": "numbers of bases"}
    _write_loader(folder, inputs, "one_hot.argmax(axis=1)")
    return _write_torch_entry(folder, _torch_network(folder, "Tokens"), inputs, loader=".")


def build_tracks(folder: Path) -> str:
    """Five channels: the bases, and a track of the genome."""
    inputs = _dna(f"(5, {LENGTH})")
    track = f"np.linspace(0, 1, {LENGTH}, dtype=np.float32)[np.newaxis]"
    _write_loader(folder, inputs, f"np.concatenate([one_hot.T, {track}])")
    return _write_torch_entry(folder, _torch_network(folder, "Tracks"), inputs, loader=".")


# scikit-learn, and models without a framework


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression()
    regression.classes_ = np.array([0, 1])
    regression.coef_, regression.intercept_ = _linear_weights()[np.newaxis], np.array([0.1])
    regression.n_features_in_ = LENGTH * 4
    return regression


def build_sklearn(folder: Path) -> str:
    """A pickled scikit-learn model, with a dataloader that hands out flattened sequences."""
    (folder / "model.pkl").write_bytes(pickle.dumps(_regression()))
    arguments = {"pkl_file": "model.pkl", "predict_method": "predict_proba"}
    inputs = {"name": "features", "shape": f"({LENGTH * 4},)", "doc": "flattened one-hot DNA"}
    _write_loader(folder, inputs, "one_hot.ravel()")
    return _write_entry(
        folder, {"defined_as": "kipoi.model.SklearnModel", "args": arguments}, inputs, loader="."
    )


def build_sklearn_custom(folder: Path) -> str:
    """A class of the group's own around scikit-learn, which flattens."""
    (folder / "model.pkl").write_bytes(pickle.dumps(_regression()))
    (folder / "model.py").write_text(
        "from kipoi.model import SklearnModel\n\n\n"
        "class Flattening(SklearnModel):\n"
        '    def __init__(self):\n        super().__init__("model.pkl", "predict_proba")\n\n'
        "    def predict_on_batch(self, x):\n        return super().predict_on_batch(x.reshape(len(x), -1))\n"
    )
    return _write_entry(folder, {"defined_as": "model.Flattening", "args": {}}, _dna(f"({LENGTH}, 4)"))


def build_strings(folder: Path) -> str:
    """A model that takes DNA as text."""
    (folder / "model.py").write_text(
        "import numpy as np\nfrom kipoi.model import BaseModel\n\n\n"
        "class Counts(BaseModel):\n"
        "    def predict_on_batch(self, x):\n"
        "        texts = [str(text).upper() for text in x]\n"
        "        words = [sum(t.startswith('GATA', i) for i in range(len(t))) for t in texts]\n"
        "        return np.array([[t.count('G') + t.count('C'), n] for t, n in zip(texts, words)], float)\n"
    )
    loader = {
        "defined_as": "kipoiseq.dataloaders.StringSeqIntervalDl",
        "default_args": {"auto_resize_len": LENGTH, "ignore_targets": True},
    }
    inputs = {"name": "seq", "shape": "()", "special_type": "DNAStringSeq", "doc": "DNA as text"}
    return _write_entry(folder, {"defined_as": "model.Counts", "args": {}}, inputs, loader=loader)


def build_custom(folder: Path) -> str:
    """A class that has only predict_on_batch."""
    arrays = {"kernel": KERNEL, "bias": BIAS, "head": HEAD, "head_bias": HEAD_BIAS}
    np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
    (folder / "model.py").write_text(
        "import numpy as np\nfrom kipoi.model import BaseModel\n\n\n"
        "class Binding(BaseModel):\n"
        "    def __init__(self, weights):\n        self.weights = dict(np.load(weights))\n\n"
        "    def predict_on_batch(self, x):\n"
        "        w = self.weights\n"
        "        windows = np.lib.stride_tricks.sliding_window_view(x, len(w['kernel']), axis=1)\n"
        "        hidden = np.maximum(np.einsum('npbw,wbf->npf', windows, w['kernel']) + w['bias'], 0)\n"
        f"        hidden = hidden[:, :{POSITIONS * POOL}].reshape(len(x), {POSITIONS}, {POOL}, {FILTERS})\n"
        "        hidden = hidden.max(axis=2)\n"
        "        logits = np.einsum('npf,pft->nt', hidden, w['head']) + w['head_bias']\n"
        "        return 1 / (1 + np.exp(-logits))\n"
    )
    arguments = {"weights": "weights.npz"}
    return _write_entry(folder, {"defined_as": "model.Binding", "args": arguments}, _dna(f"({LENGTH}, 4)"))


def channels_first(one_hot: NDArray) -> NDArray:
    return one_hot.transpose(0, 2, 1)


def to_text(one_hot: NDArray) -> NDArray:
    """As StringSeqIntervalDl hands it to the model, in a batch."""
    return np.array(["".join("ACGT"[code] for code in row) for row in one_hot.argmax(axis=2)])


def with_state(one_hot: NDArray) -> NDArray:
    return np.repeat(AUXILIARY[np.newaxis], len(one_hot), axis=0)


def with_track(one_hot: NDArray) -> NDArray:
    track = np.repeat(TRACK.T[np.newaxis], len(one_hot), axis=0)
    return np.concatenate([channels_first(one_hot), track.astype(one_hot.dtype)], axis=1)


FOREIGN_MODELS: dict[str, ForeignModel] = {
    "keras_1_json": ForeignModel(build_keras_1_json, probabilities),
    "keras_1_channels_first": ForeignModel(
        build_keras_1_channels_first, probabilities, lambda x: channels_first(x)[:, :, np.newaxis]
    ),
    "keras_2_h5": ForeignModel(build_keras_2_h5, probabilities),
    "keras_2_image": ForeignModel(build_keras_2_image, probabilities, lambda x: x[..., np.newaxis]),
    "keras_3": ForeignModel(build_keras_3, probabilities),
    "recurrent": ForeignModel(build_recurrent, step_probabilities),
    "other_alphabet": ForeignModel(build_other_alphabet, probabilities, lambda x: x[..., [0, 2, 1, 3]]),
    "any_length": ForeignModel(build_any_length, global_probabilities, length=None),
    "profile": ForeignModel(build_profile, flat_profile, output="raw"),
    "concise": ForeignModel(build_concise, spline_probabilities),
    "cropped": ForeignModel(build_cropped, cropped_probabilities),
    "saved_model_two_inputs": ForeignModel(
        build_saved_model_two_inputs,
        auxiliary_probabilities,
        lambda x: {"seq": x, "chromatin": with_state(x)},
        neutral_value=0.0,
        options={"auxiliary": {"chromatin": AUXILIARY}},
        frameworks=("tensorflow",),
    ),
    "tokens": ForeignModel(
        build_tokens,
        probabilities,
        lambda x: x.argmax(axis=2),
        neutral_value=0.0,
        options={"layout": "tokens"},
        frameworks=("torch",),
    ),
    "tracks": ForeignModel(
        build_tracks,
        track_probabilities,
        with_track,
        neutral_value=0.0,
        options={"layout": "4+1,L", "auxiliary": {"tracks": TRACK}},
        frameworks=("torch",),
    ),
    "dict_inputs": ForeignModel(
        build_dict_inputs,
        auxiliary_probabilities,
        lambda x: {"seq": x, "chromatin": with_state(x)},
        neutral_value=0.0,
        options={"auxiliary": {"chromatin": AUXILIARY}},
    ),
    "saved_model": ForeignModel(build_saved_model, probabilities, frameworks=("tensorflow",)),
    "exported": ForeignModel(build_exported, probabilities, frameworks=("keras", "tensorflow")),
    "checkpoint": ForeignModel(build_checkpoint, probabilities, frameworks=("tensorflow",)),
    "torch": ForeignModel(build_torch, probabilities, channels_first, frameworks=("torch",)),
    "torch_basset": ForeignModel(
        build_torch_basset, probabilities, lambda x: channels_first(x)[..., np.newaxis], frameworks=("torch",)
    ),
    "torch_image": ForeignModel(
        build_torch_image, probabilities, lambda x: channels_first(x)[:, np.newaxis], frameworks=("torch",)
    ),
    "torch_pickle": ForeignModel(
        build_torch_pickle, probabilities, channels_first, pickled=True, frameworks=("torch",)
    ),
    "joined_heads": ForeignModel(build_joined_heads, probabilities, channels_first, frameworks=("torch",)),
    "spectral": ForeignModel(build_spectral, probabilities, channels_first, frameworks=("torch",)),
    "torchscript": ForeignModel(build_torchscript, probabilities, channels_first, frameworks=("torch",)),
    "list_inputs": ForeignModel(
        build_list_inputs,
        auxiliary_probabilities,
        lambda x: [channels_first(x), with_state(x)],
        neutral_value=0.0,
        options={"auxiliary": {"chromatin": AUXILIARY}},
        frameworks=("torch",),
    ),
    "list_outputs": ForeignModel(build_list_outputs, probabilities, channels_first, frameworks=("torch",)),
    "dict_outputs": ForeignModel(build_dict_outputs, probabilities, channels_first, frameworks=("torch",)),
    "sklearn": ForeignModel(
        build_sklearn,
        linear_probabilities,
        lambda x: x.reshape(len(x), -1),
        neutral_value=0.0,
        options={"layout": "L*4"},
        output="raw",
        pickled=True,
        frameworks=("sklearn",),
    ),
    "sklearn_custom": ForeignModel(
        build_sklearn_custom, linear_probabilities, output="raw", pickled=True, frameworks=("sklearn",)
    ),
    "strings": ForeignModel(build_strings, gc_and_motif, to_text, output="raw", frameworks=()),
    "custom": ForeignModel(build_custom, probabilities, output="raw", frameworks=()),
}
