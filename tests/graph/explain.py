"""DeepLIFT of a graph of either framework, compiled once for each graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from kipoi_tfbind.graph import Graph, TensorFlowDeepLift, TorchDeepLift
from kipoi_tfbind.graph.deeplift.engine import DeepLift, DeepLiftResult
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.torch.graph import TorchGraph

_ENGINES: WeakKeyDictionary[Graph, dict[tuple[int, bool], DeepLift]] = WeakKeyDictionary()


def engine_of(graph: Graph, wrt: int = 0, jit_compile: bool = False) -> DeepLift:
    """The same engine for the same graph."""
    engines = _ENGINES.setdefault(graph, {})
    if (wrt, jit_compile) not in engines:
        if isinstance(graph, TensorFlowGraph):
            engines[wrt, jit_compile] = TensorFlowDeepLift(graph, wrt, jit_compile=jit_compile)
        else:
            assert isinstance(graph, TorchGraph)
            engines[wrt, jit_compile] = TorchDeepLift(graph, wrt)
    return engines[wrt, jit_compile]


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
