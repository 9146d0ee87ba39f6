"""The DeepLIFT rule of a loop: that of its step, from the last one to the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kipoi_tfbind.graph.deeplift.node_context import NodeContext
from kipoi_tfbind.graph.graph import Scan, unsupported
from kipoi_tfbind.graph.vjp import VJP


def scan(context: NodeContext) -> VJP:
    """Multipliers through each step, which is run once more on the way back: only its states are kept."""
    ops, operation = context.ops, context.node.operation
    if not isinstance(operation, Scan):
        raise unsupported(context.node)
    x, r = context.x_inputs(), list(context.r_inputs)
    n_taken, n_given, n_states = operation.n_taken, operation.n_given, operation.n_states
    n_own = n_taken + n_states
    # A state that is the same at x and r may be another one after the first step.
    explained = [
        k for k in range(len(r)) if (k in context.varying or n_taken <= k < n_own) and ops.is_floating(r[k])
    ]
    shared = [k for k in explained if k >= n_own]
    before_x, before_r = (_states_before(context, operation, inputs) for inputs in (x, r))

    def back(cotangents: Sequence[Any]) -> list[Any]:
        given = [
            ops.zeros_like(y) if c is None else c for c, y in zip(cotangents, context.r_outputs, strict=True)
        ]

        def step(slices: Sequence[Any], carried: Sequence[Any]) -> tuple[list[Any], list[Any]]:
            of_given, at_x, at_r = (
                slices[:n_given],
                slices[n_given : n_given + n_own],
                slices[n_given + n_own :],
            )
            propagation = context.propagation(
                operation.body, [*at_x, *x[n_own:]], [*at_r, *r[n_own:]], explained, context.n_pairs, 1
            )
            parts = propagation.back([*of_given, *carried[:n_states]])
            found = dict(zip(explained, parts, strict=True))
            states = [found.get(n_taken + i, carried[i]) for i in range(n_states)]
            sums = [total + found[k] for total, k in zip(carried[n_states:], shared, strict=True)]
            return [found[k] for k in explained if k < n_taken], [*states, *sums]

        arrays = [*given[:n_given], *x[:n_taken], *before_x, *r[:n_taken], *before_r]
        start = [*given[n_given:], *(ops.zeros_like(r[k]) for k in shared)]
        taken, after = ops.scan(step, arrays, start, n=operation.n_steps, reverse=True)
        parts = dict(zip([k for k in explained if k < n_taken], taken, strict=True))
        parts |= {n_taken + i: state for i, state in enumerate(after[:n_states])}
        parts |= dict(zip(shared, after[n_states:], strict=True))
        return [parts.get(k) for k in context.varying]

    return VJP(back)


def _states_before(context: NodeContext, operation: Scan, inputs: Sequence[Any]) -> list[Any]:
    """The states before each step: (step, ...) each."""
    n_taken, n_own = operation.n_taken, operation.n_taken + operation.n_states

    def step(slices: Sequence[Any], states: Sequence[Any]) -> tuple[Sequence[Any], list[Any]]:
        found = operation.run_body([*slices, *states, *inputs[n_own:]], context.n_pairs)
        return states, found[operation.n_given :]

    before, _ = context.ops.scan(step, inputs[:n_taken], inputs[n_taken:n_own], n=operation.n_steps)
    return before
