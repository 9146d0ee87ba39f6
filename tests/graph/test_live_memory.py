"""Memory that a run of a graph takes, known before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
import torch

from kipoi_tfbind.graph import trace_tensorflow, trace_torch
from kipoi_tfbind.graph.live_memory import bytes_per_row

LENGTH = 10_101


def of_torch(x: Any) -> Any:
    kept = x[0]  # 4 channels
    for _ in range(9):
        kept = kept + torch.relu(torch.sin(kept))
    return [kept.sum(2)]


def of_tensorflow(x: Any) -> Any:
    kept = x[0]
    for _ in range(9):
        kept = kept + tf.nn.relu(tf.sin(kept))
    return [tf.reduce_sum(kept, 2)]


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
@pytest.mark.parametrize("length", [LENGTH, 500])
def test_values_that_are_there_at_once(framework: str, length: int) -> None:
    """Of a residual chain three arrays at most, whatever its depth; all of them for a gradient."""
    if framework == "torch":
        graph: Any = trace_torch(of_torch, [torch.zeros(2, 4, length)])
    else:
        graph = trace_tensorflow(of_tensorflow, [tf.TensorSpec((None, 4, None))])
    one = 4 * 4 * length
    assert bytes_per_row(graph, [(4, length)]) == 2 * 3 * one
    # The input, three arrays for each of nine steps, and a few sums.
    rest = bytes_per_row(graph, [(4, length)], keeps_all=True) - 2 * 28 * one
    assert 0 < rest < 200
