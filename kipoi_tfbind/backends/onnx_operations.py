"""Operations of ONNX by PyTorch's: those that convolutional models need, each as the ONNX standard has it.

Shapes and axes are computed with NumPy's integers, so that what depends on the number of sequences is known
to be a size and not a value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch.nn import functional

Attributes = Mapping[str, Any]
Function = Callable[[list[Any], Attributes], Any]


def _ints(value: Any) -> list[int]:
    return [int(number) for number in np.asarray(value).ravel()]


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value))


def _both(function: Callable[..., Any]) -> Function:
    """An arithmetic operation: of sizes as integers, of anything else as tensors."""

    def apply(inputs: list[Any], attributes: Attributes) -> Any:
        if not any(isinstance(value, torch.Tensor) for value in inputs):
            return reduce(function, inputs)
        return reduce(function, map(_tensor, inputs))

    return apply


def _pads(attributes: Attributes, x: torch.Tensor, sizes: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Padding before and after each spatial axis, in the order of `functional.pad`."""
    n = len(sizes)
    how = attributes.get("auto_pad", b"NOTSET").decode()
    pairs = [(0, 0)] * n
    if how.startswith("SAME"):
        pairs = []
        for length, size, stride in zip(x.shape[2:], sizes, strides, strict=True):
            total = max((-(-length // stride) - 1) * stride + size - length, 0)
            small, large = total // 2, total - total // 2
            pairs.append((small, large) if how == "SAME_UPPER" else (large, small))
    elif "pads" in attributes:
        pads = attributes["pads"]
        pairs = list(zip(pads[:n], pads[n:], strict=True))
    return [side for pair in reversed(pairs) for side in pair]


def _convolution(inputs: list[Any], attributes: Attributes) -> Any:
    x, weight, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
    n = weight.ndim - 2
    strides = attributes.get("strides", [1] * n)
    dilations = attributes.get("dilations", [1] * n)
    spans = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilations, strict=True)]
    pads = _pads(attributes, x, spans, strides)
    if any(pads):
        x = functional.pad(x, pads)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[n - 1]
    return convolve(x, weight, bias, strides, 0, dilations, attributes.get("group", 1))


def _pool(inputs: list[Any], attributes: Attributes, maximum: bool) -> Any:
    x, sizes = inputs[0], attributes["kernel_shape"]
    n = len(sizes)
    strides = attributes.get("strides", [1] * n)
    pads = _pads(attributes, x, sizes, strides)
    if attributes.get("ceil_mode", 0):
        for axis in range(n):
            length = x.shape[2 + axis] + pads[2 * (n - 1 - axis)] + pads[2 * (n - 1 - axis) + 1]
            pads[2 * (n - 1 - axis) + 1] += -(length - sizes[axis]) % strides[axis]
    if maximum:
        if any(pads):
            x = functional.pad(x, pads, value=float("-inf"))
        return (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[n - 1](x, sizes, strides)
    average = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[n - 1]
    if not any(pads):
        return average(x, sizes, strides)
    summed = average(functional.pad(x, pads), sizes, strides)
    if attributes.get("count_include_pad", 0):
        return summed
    return summed / average(functional.pad(torch.ones_like(x[:1]), pads), sizes, strides)


def _normalise(inputs: list[Any], attributes: Attributes) -> Any:
    x, scale, bias, mean, variance = inputs[:5]
    return functional.batch_norm(x, mean, variance, scale, bias, eps=attributes.get("epsilon", 1e-5))


def _layer_norm(inputs: list[Any], attributes: Attributes) -> Any:
    x, axis = inputs[0], attributes.get("axis", -1)
    bias = inputs[2] if len(inputs) > 2 else None
    return functional.layer_norm(x, x.shape[axis:], inputs[1], bias, attributes.get("epsilon", 1e-5))


def _gemm(inputs: list[Any], attributes: Attributes) -> Any:
    a, b = inputs[0], inputs[1]
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    product = a @ b
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    product = product if alpha == 1 else product * alpha
    if len(inputs) < 3 or inputs[2] is None:
        return product
    return product + (inputs[2] if beta == 1 else inputs[2] * beta)


def _reshape(inputs: list[Any], attributes: Attributes) -> Any:
    x, wanted = inputs[0], _ints(inputs[1])
    if not attributes.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(inputs: list[Any], attributes: Attributes) -> Any:
    axis = attributes.get("axis", 1)
    x = inputs[0]
    return x.flatten(1) if axis == 1 else x.reshape(int(np.prod(x.shape[:axis], dtype=int)), -1)


def _axes(inputs: list[Any], attributes: Attributes, at: int = 1) -> list[int] | None:
    if "axes" in attributes:
        return list(attributes["axes"])
    return _ints(inputs[at]) if len(inputs) > at and inputs[at] is not None else None


def _squeeze(inputs: list[Any], attributes: Attributes) -> Any:
    x, axes = inputs[0], _axes(inputs, attributes)
    axes = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else axes
    if not isinstance(x, torch.Tensor):
        return np.squeeze(x, tuple(axes))
    return x.squeeze(tuple(axes))


def _unsqueeze(inputs: list[Any], attributes: Attributes) -> Any:
    x, axes = inputs[0], _axes(inputs, attributes) or []
    if not isinstance(x, torch.Tensor):
        return np.expand_dims(x, tuple(axes))
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _slice(inputs: list[Any], attributes: Attributes) -> Any:
    x = inputs[0]
    if "starts" in attributes:
        starts, ends = attributes["starts"], attributes["ends"]
        axes, steps = attributes.get("axes"), None
    else:
        starts, ends = _ints(inputs[1]), _ints(inputs[2])
        axes = _axes(inputs, {}, 3)
        steps = _axes(inputs, {}, 4)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = (axes[i] if axes else i) % x.ndim, steps[i] if steps else 1
        taken = range(x.shape[axis])[slice(start, None if step < 0 and end < -x.shape[axis] else end, step)]
        if step < 0 and isinstance(x, torch.Tensor):
            x = x.flip(axis)[(slice(None),) * axis + (slice(x.shape[axis] - 1 - taken.start, None, -step),)]
            x = x.narrow(axis, 0, len(taken))
        else:
            x = x[(slice(None),) * axis + (slice(taken.start, taken.stop, step),)]
    return x


def _pad(inputs: list[Any], attributes: Attributes) -> Any:
    x = inputs[0]
    pads = attributes.get("pads") or _ints(inputs[1])
    value = attributes.get("value", 0.0)
    if len(inputs) > 2 and inputs[2] is not None:
        value = _number(inputs[2])
    axes = _axes(inputs, {}, 3) or list(range(x.ndim))
    sides = zip(pads[: len(axes)], pads[len(axes) :], strict=True)
    by_axis = dict(zip((axis % x.ndim for axis in axes), sides, strict=True))
    flat = [side for axis in reversed(range(x.ndim)) for side in by_axis.get(axis, (0, 0))]
    mode = attributes.get("mode", b"constant").decode()
    if mode != "constant":
        raise NotImplementedError(f"padding of the mode {mode}")
    return functional.pad(x, flat, value=value)


def _gather(inputs: list[Any], attributes: Attributes) -> Any:
    x, indices, axis = inputs[0], inputs[1], attributes.get("axis", 0)
    if not isinstance(x, torch.Tensor):
        return np.take(x, np.asarray(indices, dtype=np.int64), axis=axis)
    if isinstance(indices, torch.Tensor):
        if axis != 0:
            raise NotImplementedError("Gather along another axis than the first by computed indices")
        return functional.embedding(indices, x)
    if np.ndim(indices) == 0:
        return x.select(axis, int(indices))
    chosen = torch.as_tensor(np.asarray(indices) % x.shape[axis])
    return x.index_select(axis, chosen.reshape(-1)).reshape(
        *x.shape[:axis], *chosen.shape, *x.shape[axis % x.ndim + 1 :]
    )


def _concat(inputs: list[Any], attributes: Attributes) -> Any:
    if not any(isinstance(value, torch.Tensor) for value in inputs):
        return np.concatenate([np.atleast_1d(value) for value in inputs], attributes["axis"])
    return torch.cat([_tensor(value) for value in inputs], attributes["axis"])


def _split(inputs: list[Any], attributes: Attributes) -> Any:
    x, axis = inputs[0], attributes.get("axis", 0)
    sizes = attributes.get("split") or _axes(inputs, {})
    if sizes is None:
        n = attributes["num_outputs"]
        each = -(-x.shape[axis] // n)
        sizes = [min(each, x.shape[axis] - i * each) for i in range(n)]
    return list(x.split(sizes, axis))


def _reduced(how: str) -> Function:
    def apply(inputs: list[Any], attributes: Attributes) -> Any:
        x = inputs[0]
        axes = _axes(inputs, attributes)
        axes = list(range(x.ndim)) if axes is None else axes
        return getattr(torch, how)(x, dim=axes, keepdim=bool(attributes.get("keepdims", 1)))

    return apply


def _clip(inputs: list[Any], attributes: Attributes) -> Any:
    bounds = [attributes.get("min"), attributes.get("max")]
    for i in (1, 2):
        if len(inputs) > i and inputs[i] is not None:
            bounds[i - 1] = _number(inputs[i])
    return inputs[0].clamp(bounds[0], bounds[1])


def _number(value: Any) -> float:
    return float(value if isinstance(value, torch.Tensor) else np.asarray(value))


def _cast(inputs: list[Any], attributes: Attributes) -> Any:
    from onnx import helper

    wanted = helper.tensor_dtype_to_np_dtype(attributes["to"])
    x = inputs[0]
    if not isinstance(x, torch.Tensor):
        return np.asarray(x).astype(wanted)
    # A model that computes in double precision stays in it.
    return x if np.dtype(wanted).kind == "f" and x.is_floating_point() else x.to(_torch_dtype(wanted))


def _torch_dtype(dtype: Any) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _where(inputs: list[Any], attributes: Attributes) -> Any:
    return torch.where(*(_tensor(value) for value in inputs))


def _expand(inputs: list[Any], attributes: Attributes) -> Any:
    x = _tensor(inputs[0])
    return x.expand(torch.broadcast_shapes(x.shape, tuple(_ints(inputs[1]))))


def _of_one(function: Callable[..., Any]) -> Function:
    return lambda inputs, attributes: function(inputs[0])


OPERATIONS: dict[str, Function] = {
    "Add": _both(operator.add),
    "Sub": _both(operator.sub),
    "Mul": _both(operator.mul),
    "Div": _both(lambda a, b: a // b if isinstance(a, np.ndarray | np.integer) else a / b),
    "Sum": _both(operator.add),
    "Max": _both(lambda a, b: torch.maximum(a, b) if isinstance(a, torch.Tensor) else np.maximum(a, b)),
    "Min": _both(lambda a, b: torch.minimum(a, b) if isinstance(a, torch.Tensor) else np.minimum(a, b)),
    "Pow": lambda i, a: i[0] ** (_number(i[1]) if np.ndim(i[1]) == 0 else _tensor(i[1])),
    "Conv": _convolution,
    "Gemm": _gemm,
    "MatMul": lambda i, a: _tensor(i[0]) @ _tensor(i[1]),
    "MaxPool": lambda i, a: _pool(i, a, True),
    "AveragePool": lambda i, a: _pool(i, a, False),
    "GlobalMaxPool": lambda i, a: i[0].amax(dim=tuple(range(2, i[0].ndim)), keepdim=True),
    "GlobalAveragePool": lambda i, a: i[0].mean(dim=tuple(range(2, i[0].ndim)), keepdim=True),
    "BatchNormalization": _normalise,
    "LayerNormalization": _layer_norm,
    "Relu": _of_one(torch.relu),
    "LeakyRelu": lambda i, a: functional.leaky_relu(i[0], a.get("alpha", 0.01)),
    "Elu": lambda i, a: functional.elu(i[0], a.get("alpha", 1.0)),
    "Selu": _of_one(functional.selu),
    "Gelu": lambda i, a: functional.gelu(i[0], approximate=a.get("approximate", b"none").decode()),
    "Sigmoid": _of_one(torch.sigmoid),
    "Tanh": _of_one(torch.tanh),
    "Softplus": _of_one(functional.softplus),
    "Softmax": lambda i, a: torch.softmax(i[0], a.get("axis", -1)),
    "LogSoftmax": lambda i, a: torch.log_softmax(i[0], a.get("axis", -1)),
    "Erf": _of_one(torch.erf),
    "Exp": _of_one(torch.exp),
    "Log": _of_one(torch.log),
    "Sqrt": _of_one(torch.sqrt),
    "Neg": _of_one(operator.neg),
    "Abs": _of_one(torch.abs),
    "Reciprocal": _of_one(torch.reciprocal),
    "Clip": _clip,
    "Identity": _of_one(lambda x: x),
    "Dropout": _of_one(lambda x: x),
    "Cast": _cast,
    "Shape": lambda i, a: np.array(i[0].shape, dtype=np.int64)[a.get("start", 0) : a.get("end")],
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": lambda i, a: i[0].permute(a.get("perm", list(reversed(range(i[0].ndim))))),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Pad": _pad,
    "Gather": _gather,
    "Concat": _concat,
    "Split": _split,
    "Expand": _expand,
    "Where": _where,
    "ReduceMean": _reduced("mean"),
    "ReduceSum": _reduced("sum"),
    "ReduceMax": _reduced("amax"),
    "ReduceMin": _reduced("amin"),
}
