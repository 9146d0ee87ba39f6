"""PyTorch's own vector-Jacobian products of single nodes, and faster ones where there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.deeplift.convolution_1d import along_positions
from kipoi_tfbind.graph.deeplift.convolution_gradient import ConvolutionGradient
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.vjp import VJP

Run = Callable[[Node, Sequence[Any], Any], list[Any]]


def node_vjp(
    run: Run, ops: ArrayOps, node: Node, values: Sequence[Any], wanted: Sequence[int], batch_size: Any
) -> tuple[list[Any], VJP]:
    """Outputs of a node and its vector-Jacobian product for some inputs; `run` runs a node."""
    if node.kind == "identity":
        # Also where PyTorch would cut the gradient, as `detach` does.
        return run(node, values, batch_size), VJP(lambda cotangents: [cotangents[0]], lambda c, _: [c[0]])
    if node.name == "aten.native_batch_norm.default" and node.kind == "normalise":
        return run(node, values, batch_size), _batch_norm(node, values)
    if node.name == "aten.convolution.default" and list(wanted) == [0]:
        return run(node, values, batch_size), _convolution(ops, node, values)
    leaves, outputs = _differentiable(run, node, values, wanted, batch_size)

    def of_targets(cotangents: Sequence[Any], n_targets: Any) -> list[Any]:
        if node.name in ("aten.addmm.default", "aten.mm.default"):
            weight = values[-1]
            if list(wanted) == [len(values) - 2] and not node.call.arguments[1]:
                return [cotangents[0] @ weight.T]
        # Of a linear operation the gradient takes no more than the shapes from the inputs.
        wide = [
            x.new_zeros(()).expand(n_targets * len(x), *x.shape[1:]) if k in wanted else x
            for k, x in enumerate(values)
        ]
        return _gradients(*_differentiable(run, node, wide, wanted, n_targets * batch_size), cotangents)

    return [y.detach() for y in outputs], VJP(lambda c: _gradients(leaves, outputs, c), of_targets)


def _differentiable(
    run: Run, node: Node, values: Sequence[Any], wanted: Sequence[int], batch_size: Any
) -> tuple[list[Any], list[Any]]:
    """Those inputs that gradients are wanted of, and the outputs."""
    leaves = list(values)
    for k in wanted:
        leaves[k] = values[k].detach().requires_grad_()
    with torch.enable_grad():
        outputs = run(node, leaves, batch_size)
    return [leaves[k] for k in wanted], outputs


def _gradients(leaves: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    given = [(y, c) for y, c in zip(outputs, cotangents, strict=True) if c is not None]
    return list(
        torch.autograd.grad(
            [y for y, _ in given], leaves, [c for _, c in given], retain_graph=True, allow_unused=True
        )
    )


def _batch_norm(node: Node, values: Sequence[Any]) -> VJP:
    """With fixed statistics it is a factor for each channel, much faster than PyTorch's own gradient."""
    args, _ = node.call.arguments
    weight, variance = (None if args[i] is None else values[args[i].index] for i in (1, 4))
    factor = (variance + args[7]).rsqrt()
    factor = factor if weight is None else factor * weight
    factor = factor.reshape(-1, *[1] * (values[0].dim() - 2))
    return VJP(lambda cotangents: [cotangents[0] * factor], lambda cotangents, _: [cotangents[0] * factor])


def _convolution(ops: ArrayOps, node: Node, values: Sequence[Any]) -> VJP:
    x, kernel = values[:2]
    options = node.call.arguments[0][3:]

    def native(cotangent: Any, n_targets: int) -> Any:
        # Only the input's shape counts.
        like = x.new_zeros(()).expand(n_targets * len(x), *x.shape[1:])
        return torch.ops.aten.convolution_backward(
            cotangent, like, kernel, None, *options, [True, False, False]
        )[0]

    return ConvolutionGradient(ops, x, along_positions(ops, node.operation, x, kernel), native).vjp()
