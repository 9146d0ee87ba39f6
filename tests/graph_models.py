"""Architectures of the field, each built twice with the same weights: in Keras and in PyTorch.

A `Twin` is a tensor of a Keras model and the PyTorch code that computes the same. Maps are (batch, length,
channels) in Keras and (batch, channels, length) in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
import torch
from keras import layers, ops
from torch import nn
from torch.nn import functional as F

from kipoi_tfbind.architectures import dilated_residual_cnn
from kipoi_tfbind.layers import RevCompBatchNormalization, RevCompConv1D, StrandPool

LENGTH = 48
FILTERS = 8


@dataclass(frozen=True)
class Twin:
    """One value of both models."""

    keras: Any
    torch: Callable[[dict[int, Any]], Any]
    modules: tuple[nn.Module, ...] = ()


@dataclass(frozen=True)
class Architecture:
    """One architecture in both frameworks; `torch` is None where it exists in Keras only."""

    name: str
    keras: keras.Model
    torch: nn.Module | None
    # Positions of each input.
    lengths: tuple[int, ...] = (LENGTH,)


class TwinModule(nn.Module):
    """The PyTorch side."""

    def __init__(self, outputs: Sequence[Twin]):
        super().__init__()
        self.parts = nn.ModuleList(dict.fromkeys(m for output in outputs for m in output.modules))
        self.outputs = [output.torch for output in outputs]

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        values: dict[int, Any] = {-1 - i: x for i, x in enumerate(inputs)}
        outputs = [output(values) for output in self.outputs]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)


def node(keras_value: Any, function: Callable[..., Any], *sources: Twin, modules: Sequence[Any] = ()) -> Twin:
    """A twin that `function` computes from other twins, once."""

    def run(values: dict[int, Any]) -> Any:
        if id(run) not in values:
            values[id(run)] = function(*(source.torch(values) for source in sources))
        return values[id(run)]

    inner = dict.fromkeys(m for source in sources for m in source.modules) | dict.fromkeys(modules)
    return Twin(keras_value, run, tuple(inner))


def source(i: int = 0, length: int = LENGTH, channels: int = 4) -> Twin:
    return Twin(keras.Input((length, channels), name=f"sequence_{i}"), lambda values: values[-1 - i])


def tensor(weight: Any, *axes: int) -> torch.Tensor:
    value = torch.tensor(np.array(weight))
    return value.permute(*axes).contiguous() if axes else value


def load(module: nn.Module, **weights: torch.Tensor) -> nn.Module:
    with torch.no_grad():
        for name, value in weights.items():
            getattr(module, name).copy_(value)
    return module.eval()


def randomise(layer: Any) -> None:
    """Give biases, scales and statistics values that a trained layer might have."""
    rng = np.random.default_rng(len(layer.weights))
    for weight in layer.weights:
        name = weight.path.rsplit("/", 1)[-1]
        if name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.3, weight.shape))


def conv(x: Twin, filters: int = FILTERS, width: int = 5, **options: Any) -> Twin:
    layer = layers.Conv1D(filters, width, **({"padding": "same"} | options))
    y = layer(x.keras)
    randomise(layer)
    dilation, groups = layer.dilation_rate[0], layer.groups
    padding = (width - 1) * dilation // 2 if layer.padding == "same" else 0
    module = nn.Conv1d(
        x.keras.shape[-1], filters, width, layer.strides[0], padding, dilation=dilation, groups=groups
    )
    load(module, weight=tensor(layer.kernel, 2, 1, 0), bias=tensor(layer.bias))
    return node(y, module, x, modules=[module])


def dense(x: Twin, units: int = 3) -> Twin:
    """On vectors, or at each position of a map."""
    layer = layers.Dense(units)
    y = layer(x.keras)
    randomise(layer)
    module = load(
        nn.Linear(x.keras.shape[-1], units), weight=tensor(layer.kernel, 1, 0), bias=tensor(layer.bias)
    )
    if len(x.keras.shape) == 3:
        return node(y, lambda v: module(v.transpose(1, 2)).transpose(1, 2), x, modules=[module])
    return node(y, module, x, modules=[module])


def activation(x: Twin, name: str) -> Twin:
    functions: dict[str, Callable[[Any], Any]] = {
        "relu": F.relu,
        "exponential": torch.exp,
        "softplus": F.softplus,
        "elu": F.elu,
        "selu": F.selu,
        "gelu": F.gelu,
        "swish": F.silu,
        "leaky_relu": lambda v: F.leaky_relu(v, 0.2),
        "hard_swish": F.hardswish,
        "relu6": F.relu6,
        "mish": F.mish,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softsign": F.softsign,
        "square": torch.square,
        "hard_tanh": F.hardtanh,
        "log_gamma": torch.lgamma,
    }
    layer = {"square": ops.square, "log_gamma": LogGamma()}.get(name) or layers.Activation(name)
    return node(layer(x.keras), functions[name], x)


class LogGamma(layers.Layer):
    """The logarithm of the gamma function, which Keras has no name for."""

    def call(self, inputs: Any) -> Any:
        import tensorflow as tf

        return tf.math.lgamma(inputs)


def both(function: Callable[..., Any], torch_function: Callable[..., Any], *sources: Twin) -> Twin:
    return node(function(*(s.keras for s in sources)), torch_function, *sources)


def maxpool(x: Twin, size: int = 4) -> Twin:
    return both(layers.MaxPooling1D(size), lambda v: F.max_pool1d(v, size), x)


def flatten(x: Twin) -> Twin:
    return both(layers.Flatten(), lambda v: v.transpose(1, 2).flatten(1), x)


def average(x: Twin) -> Twin:
    return both(layers.GlobalAveragePooling1D(), lambda v: v.mean(2), x)


def maximum(x: Twin) -> Twin:
    return both(layers.GlobalMaxPooling1D(), lambda v: F.adaptive_max_pool1d(v, 1).squeeze(2), x)


def add(x: Twin, y: Twin) -> Twin:
    return both(lambda a, b: a + b, lambda a, b: a + b, x, y)


def multiply(x: Twin, y: Twin) -> Twin:
    return both(lambda a, b: a * b, lambda a, b: a * b, x, y)


def batch_norm(x: Twin) -> Twin:
    layer = layers.BatchNormalization()
    y = layer(x.keras)
    randomise(layer)
    module = load(
        nn.BatchNorm1d(x.keras.shape[-1], eps=layer.epsilon),
        weight=tensor(layer.gamma),
        bias=tensor(layer.beta),
        running_mean=tensor(layer.moving_mean),
        running_var=tensor(layer.moving_variance),
    )
    return node(y, module, x, modules=[module])


def layer_norm(x: Twin) -> Twin:
    layer = layers.LayerNormalization()
    y = layer(x.keras)
    randomise(layer)
    module = load(
        nn.LayerNorm(x.keras.shape[-1], eps=layer.epsilon),
        weight=tensor(layer.gamma),
        bias=tensor(layer.beta),
    )
    return node(y, lambda v: module(v.transpose(1, 2)).transpose(1, 2), x, modules=[module])


def group_norm(x: Twin) -> Twin:
    layer = layers.GroupNormalization(2)
    y = layer(x.keras)
    randomise(layer)
    module = load(
        nn.GroupNorm(2, x.keras.shape[-1], eps=layer.epsilon),
        weight=tensor(layer.gamma),
        bias=tensor(layer.beta),
    )
    return node(y, module, x, modules=[module])


def attention(x: Twin, heads: int = 2) -> Twin:
    size = x.keras.shape[-1]
    layer = layers.MultiHeadAttention(heads, size // heads)
    y = layer(x.keras, x.keras)
    named = {w.path.split("/", 1)[-1]: np.array(w) for w in layer.weights}
    kernels = [named[f"{part}/kernel"].reshape(size, size).T for part in ("query", "key", "value")]
    biases = [named[f"{part}/bias"].reshape(size) for part in ("query", "key", "value")]
    module = nn.MultiheadAttention(size, heads, batch_first=True)
    load(module, in_proj_weight=tensor(np.concatenate(kernels)), in_proj_bias=tensor(np.concatenate(biases)))
    out = named["attention_output/kernel"].reshape(size, size).T
    load(module.out_proj, weight=tensor(out), bias=tensor(named["attention_output/bias"]))

    def run(v: torch.Tensor) -> torch.Tensor:
        v = v.transpose(1, 2)
        return module(v, v, v, need_weights=False)[0].transpose(1, 2)

    return node(y, run, x, modules=[module])


def lstm(x: Twin, units: int = 4, both_ways: bool = False) -> Twin:
    """The whole sequence of states."""
    layer = layers.LSTM(units, return_sequences=True)
    cells = [layer]
    if both_ways:
        layer = layers.Bidirectional(layer)
        y = layer(x.keras)
        cells = [layer.forward_layer, layer.backward_layer]
    else:
        y = layer(x.keras)
    module = nn.LSTM(x.keras.shape[-1], units, batch_first=True, bidirectional=both_ways)
    for part, suffix in zip(cells, ("", "_reverse"), strict=False):
        randomise(part)
        cell = part.cell
        weights = {"weight_ih": tensor(cell.kernel, 1, 0), "weight_hh": tensor(cell.recurrent_kernel, 1, 0)}
        weights |= {"bias_ih": tensor(cell.bias), "bias_hh": torch.zeros(4 * units)}
        load(module, **{f"{name}_l0{suffix}": value for name, value in weights.items()})
    return node(y, lambda v: module(v.transpose(1, 2))[0].transpose(1, 2), x, modules=[module])


def gru(x: Twin, units: int = 4) -> Twin:
    layer = layers.GRU(units, return_sequences=True)
    y = layer(x.keras)
    randomise(layer)

    def gates(weight: Any) -> torch.Tensor:
        update, reset, new = np.split(np.array(weight), 3, axis=-1)
        return tensor(np.concatenate([reset, update, new], axis=-1).T)

    cell = layer.cell
    module = nn.GRU(x.keras.shape[-1], units, batch_first=True)
    load(module, weight_ih_l0=gates(cell.kernel), weight_hh_l0=gates(cell.recurrent_kernel))
    load(module, bias_ih_l0=gates(cell.bias[0]), bias_hh_l0=gates(cell.bias[1]))
    return node(y, lambda v: module(v.transpose(1, 2))[0].transpose(1, 2), x, modules=[module])


def last(x: Twin) -> Twin:
    return both(lambda v: v[:, -1], lambda v: v[:, :, -1], x)


def concat(*xs: Twin) -> Twin:
    return both(lambda *v: ops.concatenate(v, -1), lambda *v: torch.cat(v, 1), *xs)


def head(x: Twin, units: int = 3) -> Twin:
    return dense(activation(dense(flatten(maxpool(x)), 6), "relu"), units)


def with_activation(name: str) -> Twin:
    x = activation(conv(source(), use_bias=True), name)
    return head(activation(conv(maxpool(x, 2)), name))


def rc_conv(x: Twin, filters: int = 4, width: int = 5, dilation: int = 1) -> Twin:
    layer = RevCompConv1D(filters, width, dilation_rate=dilation)
    y = layer(x.keras)
    randomise(layer)
    weight = tensor(layer.tied_kernel, 2, 1, 0)
    bias = torch.cat([tensor(layer.bias), tensor(layer.bias).flip(0)])
    module = nn.Conv1d(x.keras.shape[-1], 2 * filters, width, padding="same", dilation=dilation)
    load(module, weight=weight, bias=bias)
    return node(y, module, x, modules=[module])


def rc_norm(x: Twin) -> Twin:
    layer = RevCompBatchNormalization()
    y = layer(x.keras)
    randomise(layer)
    weights = {
        name: torch.cat([tensor(value), tensor(value).flip(0)])
        for name, value in {
            "weight": layer.gamma,
            "bias": layer.beta,
            "running_mean": layer.moving_mean,
            "running_var": layer.moving_variance,
        }.items()
    }
    module = load(nn.BatchNorm1d(x.keras.shape[-1], eps=layer.epsilon), **weights)
    return node(y, module, x, modules=[module])


def rc_pool(x: Twin, mode: str) -> Twin:
    def run(v: torch.Tensor) -> torch.Tensor:
        forward, reverse = v[:, : v.shape[1] // 2], v[:, v.shape[1] // 2 :].flip(1)
        return torch.maximum(forward, reverse) if mode == "max" else forward + reverse

    return node(StrandPool(mode)(x.keras), run, x)


def rc_tied(mode: str) -> Twin:
    x = maxpool(activation(rc_norm(rc_conv(source())), "relu"))
    x = rc_pool(activation(rc_conv(x), "relu"), mode)
    return dense(concat(average(x), maximum(x)))


def dilated_residual() -> Twin:
    x = conv(source())
    for rate in (1, 2, 4):
        branch = activation(conv(activation(batch_norm(x), "relu"), width=3, dilation_rate=rate), "relu")
        x = add(x, conv(branch, width=1))
    return head(x)


def dilated_dense() -> Twin:
    x = activation(conv(source()), "relu")
    for rate in (1, 2, 4):
        x = concat(x, activation(conv(x, 4, 3, dilation_rate=rate), "relu"))
    return dense(average(x))


def squeeze_excite() -> Twin:
    x = activation(conv(source()), "relu")
    gate = activation(dense(activation(dense(average(x), 2), "relu"), FILTERS), "sigmoid")
    gate = both(lambda g: g[:, None, :], lambda g: g[:, :, None], gate)
    return head(multiply(x, gate))


def gated() -> Twin:
    x = source()
    return head(multiply(activation(conv(x), "tanh"), activation(conv(x), "sigmoid")))


def glu() -> Twin:
    x = conv(source(), 2 * FILTERS)
    return head(both(lambda v: ops.glu(v, -1), lambda v: F.glu(v, 1), x))


def attention_pooling() -> Twin:
    x = activation(conv(source()), "relu")
    score = both(lambda v: ops.softmax(v, axis=1), lambda v: torch.softmax(v, 2), dense(x, 1))
    pooled = both(lambda a, b: ops.sum(a * b, axis=1), lambda a, b: (a * b).sum(2), x, score)
    return dense(pooled)


def self_attention() -> Twin:
    return head(attention(maxpool(activation(conv(source()), "relu"))))


def transformer() -> Twin:
    x = maxpool(activation(conv(source()), "gelu"))
    x = layer_norm(add(x, attention(x)))
    hidden = activation(dense(x, 16), "gelu")
    return dense(average(layer_norm(add(x, dense(hidden, FILTERS)))))


def danq() -> Twin:
    x = maxpool(activation(conv(source()), "relu"))
    return dense(activation(dense(flatten(lstm(x, both_ways=True)), 6), "relu"))


def separable() -> Twin:
    x = source()
    layer = layers.SeparableConv1D(FILTERS, 5, padding="same", depth_multiplier=2)
    y = layer(x.keras)
    randomise(layer)
    depth = nn.Conv1d(4, 8, 5, padding="same", groups=4, bias=False)
    load(depth, weight=tensor(layer.depthwise_kernel, 1, 2, 0).reshape(8, 1, 5))
    point = nn.Conv1d(8, FILTERS, 1)
    load(point, weight=tensor(layer.pointwise_kernel, 2, 1, 0), bias=tensor(layer.bias))
    return head(activation(node(y, lambda v: point(depth(v)), x, modules=[depth, point]), "relu"))


def grouped() -> Twin:
    x = activation(conv(source()), "relu")
    return head(activation(conv(x, groups=2), "relu"))


def conv_2d() -> Twin:
    x = source()
    layer = layers.Conv2D(FILTERS, (5, 4))
    y = layer(ops.expand_dims(x.keras, -1))
    randomise(layer)
    module = nn.Conv2d(1, FILTERS, (5, 4))
    load(module, weight=tensor(layer.kernel, 3, 2, 0, 1), bias=tensor(layer.bias))
    x = node(y, lambda v: module(v.transpose(1, 2)[:, None]), x, modules=[module])
    x = activation(x, "relu")
    x = both(layers.MaxPooling2D((4, 1)), lambda v: F.max_pool2d(v, (4, 1)), x)
    return dense(both(layers.Flatten(), lambda v: v.permute(0, 2, 3, 1).flatten(1), x))


def two_inputs() -> Twin:
    x = average(activation(conv(source(0)), "relu"))
    other = average(activation(conv(source(1, 10, 2), width=3), "sigmoid"))
    return dense(activation(dense(multiply(x, other), 6), "relu"))


def several_outputs() -> list[Twin]:
    x = activation(conv(source()), "relu")
    return [dense(average(x), 2), activation(dense(maximum(x), 1), "sigmoid")]


def profile() -> Twin:
    x = conv(activation(conv(source()), "relu"), 2, 3)
    total = activation(dense(average(x), 2), "softplus")
    share = both(lambda v: ops.softmax(v, axis=1), lambda v: torch.softmax(v, 2), x)
    x = both(lambda a, b: a * b[:, None, :], lambda a, b: a * b[:, :, None], share, total)
    return flatten(x)


def log_softmax() -> Twin:
    x = dense(average(activation(conv(source()), "relu")))
    return both(lambda v: ops.log_softmax(v, -1), lambda v: torch.log_softmax(v, -1), x)


def functional_operations() -> Twin:
    x = conv(source())
    x = both(
        lambda v: ops.exp(v) / (1 + ops.exp(v)) + ops.maximum(v, 0.1 * v) - ops.minimum(v, 0.5),
        lambda v: torch.exp(v) / (1 + torch.exp(v)) + torch.maximum(v, 0.1 * v) - torch.clamp(v, max=0.5),
        x,
    )
    x = both(
        lambda v: ops.sqrt(ops.square(v) + 1) * ops.log(ops.abs(v) + 1),
        lambda v: (v**2 + 1).sqrt() * torch.log(v.abs() + 1),
        x,
    )
    x = both(lambda v: ops.cumsum(v, axis=1), lambda v: v.cumsum(2), x)
    x = both(lambda v: ops.where(v > 1, v, 0.5 * v), lambda v: torch.where(v > 1, v, 0.5 * v), x)
    return dense(average(x))


def reused() -> Twin:
    x = source()
    layer = layers.Conv1D(4, 5, padding="same", activation="relu")
    module = nn.Conv1d(4, 4, 5, padding="same")
    y = layer(layer(layer(x.keras)))
    load(module, weight=tensor(layer.kernel, 2, 1, 0), bias=tensor(layer.bias))
    relu = nn.ReLU()
    x = node(y, lambda v: relu(module(relu(module(relu(module(v)))))), x, modules=[module, relu])
    return head(x)


def einsum() -> Twin:
    x = activation(conv(source()), "relu")
    y = activation(conv(source_of(x)), "tanh")
    x = both(
        lambda a, b: ops.einsum("nlc,nld->ncd", a, b),
        lambda a, b: torch.einsum("ncl,ndl->ncd", a, b),
        x,
        y,
    )
    return dense(both(layers.Flatten(), lambda v: v.flatten(1), x))


def smooth() -> Twin:
    """No maximum: everything has a derivative where sequence and reference agree."""
    x = layer_norm(activation(conv(source()), "gelu"))
    x = group_norm(activation(add(x, attention(x)), "swish"))
    return both(
        lambda v: ops.softmax(v, -1), lambda v: torch.softmax(v, -1), dense(average(activation(x, "tanh")))
    )


def source_of(x: Twin) -> Twin:
    return both(lambda v: v[:, ::-1], lambda v: v.flip(2), x)


def overlapping_pool() -> Twin:
    x = activation(conv(source()), "relu")
    x = both(layers.MaxPooling1D(5, 2), lambda v: F.max_pool1d(v, 5, 2), x)
    x = both(layers.AveragePooling1D(3, 2), lambda v: F.avg_pool1d(v, 3, 2), x)
    return dense(flatten(x))


def strided_upsampled() -> Twin:
    x = activation(conv(source(), width=4, strides=4, padding="valid"), "relu")
    layer = layers.Conv1DTranspose(4, 4, strides=4)
    y = layer(x.keras)
    module = nn.ConvTranspose1d(FILTERS, 4, 4, 4)
    load(module, weight=tensor(layer.kernel, 2, 1, 0), bias=tensor(layer.bias))
    x = activation(node(y, module, x, modules=[module]), "relu")
    x = both(layers.ZeroPadding1D(2), lambda v: F.pad(v, (2, 2)), x)
    return dense(average(both(layers.Cropping1D((1, 3)), lambda v: v[:, :, 1:-3], x)))


BUILDERS: dict[str, Callable[[], Any]] = {
    **{
        name: lambda name=name: with_activation(name)  # type: ignore[misc]
        for name in ("relu", "softplus", "elu", "selu", "gelu", "swish", "leaky_relu", "hard_swish", "relu6")
    },
    **{name: lambda name=name: with_activation(name) for name in ("mish", "softsign", "square", "hard_tanh")},  # type: ignore[misc]
    "log_gamma": lambda: head(activation(activation(conv(source()), "softplus"), "log_gamma")),
    "exponential": lambda: head(activation(conv(maxpool(activation(conv(source()), "exponential"))), "relu")),
    "batch_norm": lambda: head(activation(batch_norm(conv(source())), "relu")),
    "layer_norm": lambda: head(activation(layer_norm(conv(source())), "relu")),
    "group_norm": lambda: head(activation(group_norm(conv(source())), "relu")),
    "rc_tied_sum": lambda: rc_tied("sum"),
    "rc_tied_max": lambda: rc_tied("max"),
    "dilated_residual": dilated_residual,
    "dilated_dense": dilated_dense,
    "squeeze_excite": squeeze_excite,
    "tanh_sigmoid_gate": gated,
    "glu": glu,
    "global_average": lambda: dense(average(activation(conv(source()), "relu"))),
    "global_max": lambda: dense(maximum(activation(conv(source()), "relu"))),
    "attention_pooling": attention_pooling,
    "multi_head_attention": self_attention,
    "transformer": transformer,
    "lstm": lambda: dense(last(lstm(maxpool(activation(conv(source()), "relu"), 8)))),
    "gru": lambda: dense(last(gru(maxpool(activation(conv(source()), "relu"), 8)))),
    "danq": danq,
    "separable": separable,
    "grouped": grouped,
    "conv_2d": conv_2d,
    "two_inputs": two_inputs,
    "several_outputs": several_outputs,
    "profile": profile,
    "softmax": lambda: both(layers.Softmax(), lambda v: torch.softmax(v, -1), with_activation("relu")),
    "log_softmax": log_softmax,
    "functional": functional_operations,
    "reused": reused,
    "einsum": einsum,
    "overlapping_pool": overlapping_pool,
    "smooth": smooth,
    "strided_upsampled": strided_upsampled,
}
KERAS_ONLY = ("zoo_dilated_residual",)
NAMES = (*BUILDERS, *KERAS_ONLY)
RECURRENT = ("lstm", "gru", "danq")


@cache
def build(name: str) -> Architecture:
    """Build an architecture with fixed random weights."""
    keras.utils.set_random_seed(7)
    if name == "zoo_dilated_residual":
        model = dilated_residual_cnn(
            length=LENGTH,
            n_targets=3,
            filters=4,
            kernel_size=7,
            pool_size=4,
            bin_length=16,
            dilation_rates=(1, 2),
        )
        rng = np.random.default_rng(0)
        for weight in model.weights:
            # A fresh model's last layers are zero.
            if not np.any(weight):
                weight.assign(rng.normal(0, 0.3, weight.shape))
        return Architecture(name, model, None)
    outputs = BUILDERS[name]()
    outputs = outputs if isinstance(outputs, list) else [outputs]
    values = [o.keras for o in outputs]
    keras_inputs = sorted(keras.utils.get_source_inputs(values[0]), key=lambda t: t.name)
    joined = values[0] if len(values) == 1 else layers.Concatenate()(values)
    lengths = tuple(t.shape[1] for t in keras_inputs)
    return Architecture(name, keras.Model(keras_inputs, joined), TwinModule(outputs).eval(), lengths)
