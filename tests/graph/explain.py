"""DeepLIFT of a graph of either framework, compiled once for each graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from numpy.typing import NDArray

from kipoi_tfbind.graph import Graph, TensorFlowDeepLift, TorchDeepLift
from kipoi_tfbind.graph.deeplift.engine import DeepLift, DeepLiftResult
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.torch.graph import TorchGraph


def engine_of(graph: Graph, wrt: int = 0, jit_compile: bool = False) -> DeepLift:
    """The same engine for the same graph, as long as few others come between."""
    return _engine(graph, wrt, jit_compile)


@lru_cache(maxsize=8)
def _engine(graph: Graph, wrt: int, jit_compile: bool) -> DeepLift:
    if isinstance(graph, TensorFlowGraph):
        return TensorFlowDeepLift(graph, wrt, jit_compile=jit_compile)
    assert isinstance(graph, TorchGraph)
    return TorchDeepLift(graph, wrt)


def deep_lift(
    graph: Graph,
    inputs: Sequence[NDArray],
    references: NDArray,
    *,
    wrt: int = 0,
    targets: Iterable[int] | None = None,
    jit_compile: bool = False,
) -> DeepLiftResult:
    """Multipliers of input number `wrt`."""
    return engine_of(graph, wrt, jit_compile)(inputs, references, targets)
