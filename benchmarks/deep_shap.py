"""DeepLIFT multipliers beside shap.DeepExplainer and tangermeme, and their completeness, as Markdown tables.

    python benchmarks/deep_shap.py speed [--sequences 4] [--rounds 5] [--one-thread] [--xla]
    python benchmarks/deep_shap.py completeness

The README has both tables. All are given the same weights, sequences and references. The methods take turns
in one process; each ratio is the median over the rounds, with the smallest and the largest. The load of the
machine is printed: PyTorch's threads wait for each other, so that anything else that runs slows it down many
times over. With --one-thread, seconds are those of the processor, which depend little on what else runs.
tangermeme is left out where it is not installed (``pip install --no-deps "tangermeme==1.6.*"``).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import types
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

LENGTH, N_REFERENCES = 1000, 20


def graph_models() -> Any:
    """The architectures of the tests, which have the same weights in both frameworks."""
    path = Path(__file__).parents[1] / "tests" / "graph_models.py"
    loader = SourceFileLoader("graph_models", str(path))
    module = types.ModuleType(loader.name)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def relu(m: Any, x: Any) -> Any:
    """As a module, which tangermeme needs."""
    import keras
    import torch

    module = torch.nn.ReLU()
    return m.node(keras.layers.Activation("relu")(x.keras), module, x, modules=[module])


def exponential(m: Any, x: Any) -> Any:
    import keras

    module = exponential_module()()
    return m.node(keras.layers.Activation("exponential")(x.keras), module, x, modules=[module])


@cache
def exponential_module() -> Any:
    import torch

    class Exponential(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.exp(x)

    return Exponential


def max_pool(m: Any, x: Any, size: int) -> Any:
    import keras
    import torch

    module = torch.nn.MaxPool1d(size)
    return m.node(keras.layers.MaxPooling1D(size)(x.keras), module, x, modules=[module])


def conv_max_pool(m: Any, n_targets: int = 1) -> Any:
    """A small Basset: two convolutions with max pooling, and a hidden layer."""
    x = max_pool(m, relu(m, m.conv(m.source(0, LENGTH), 64, 19)), 8)
    x = max_pool(m, relu(m, m.conv(x, 64, 7)), 8)
    return m.dense(relu(m, m.dense(m.flatten(x), 128)), n_targets)


def basset(m: Any, n_targets: int = 1) -> Any:
    """Basset (Kelley et al. 2016): three convolutions with max pooling, two hidden layers of 1,000."""
    x = m.source(0, LENGTH)
    for filters, width, size in ((300, 19, 3), (200, 11, 4), (200, 7, 4)):
        x = max_pool(m, relu(m, m.batch_norm(m.conv(x, filters, width))), size)
    x = m.flatten(x)
    for _ in range(2):
        x = relu(m, m.dense(x, 1000))
    return m.dense(x, n_targets)


def dilated_residual(m: Any) -> Any:
    """A small BPNet: a stack of dilated convolutions with skip connections."""
    x = relu(m, m.conv(m.source(0, LENGTH), 32, 21))
    for rate in (2, 4, 8, 16, 32):
        x = m.add(x, relu(m, m.conv(x, 32, 3, dilation_rate=rate)))
    return m.dense(m.average(x), 1)


def rc_tied(m: Any) -> Any:
    """The layers of the zoo's RC-tied dilated residual network."""
    x = exponential(m, m.rc_norm(m.rc_conv(m.source(0, LENGTH), 24, 19)))
    x = max_pool(m, x, 8)
    for rate in (1, 2, 4, 8):
        branch = m.rc_conv(relu(m, m.rc_norm(x)), 24, 3, rate)
        x = m.add(x, m.rc_conv(relu(m, m.rc_norm(branch)), 24, 1))
    return m.dense(m.rc_pool(m.average(relu(m, m.rc_norm(x))), "sum"), 1)


def rc_tied_shallow(m: Any) -> Any:
    """The layers of the zoo's RC-tied motif CNN, which has no dilation."""
    x = exponential(m, m.rc_norm(m.rc_conv(m.source(0, LENGTH), 24, 19)))
    x = relu(m, m.rc_norm(m.rc_conv(max_pool(m, x, 20), 24, 5)))
    return m.dense(relu(m, m.dense(m.flatten(m.rc_pool(x, "sum")), 64)), 1)


MODELS: dict[str, Callable[[Any], Any]] = {
    "conv, max pool": conv_max_pool,
    "dilated residual": dilated_residual,
    "RC-tied, dilated residual": rc_tied,
    "RC-tied, shallow": rc_tied_shallow,
}


MULTI_TASK: dict[str, Callable[..., Any]] = {"conv, max pool": conv_max_pool, "Basset": basset}


def one_hot(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[rng.integers(4, size=shape)]


def ours(model: Any, module: Any, jit_compile: bool = False) -> dict[str, Callable[..., Any]]:
    import tensorflow as tf
    import torch

    from kipoi_tfbind.graph import TensorFlowDeepLift, TorchDeepLift, trace_tensorflow, trace_torch

    graph = trace_tensorflow(lambda x: [model(x, training=False)], [tf.TensorSpec((None, LENGTH, 4))])
    in_keras = TensorFlowDeepLift(graph)
    explained = TorchDeepLift(trace_torch(module, [torch.zeros(1, 4, LENGTH)]))

    def in_torch(x: np.ndarray, r: np.ndarray) -> Any:
        x, r = (np.ascontiguousarray(np.swapaxes(a, -1, -2)) for a in (x, r))
        return explained([x], r)

    methods = {"ours, Keras": lambda x, r: in_keras([x], r), "ours, PyTorch": in_torch}
    if jit_compile:
        fused = TensorFlowDeepLift(graph, jit_compile=True)
        methods["ours, XLA"] = lambda x, r: fused([x], r)
    return methods


def theirs(model: Any, module: Any) -> dict[str, Callable[..., Any]]:
    import shap
    import torch

    def by_shap(x: np.ndarray, r: np.ndarray) -> Any:
        return [
            shap.DeepExplainer(model, r[i]).shap_values(x[i : i + 1], check_additivity=False)
            for i in range(len(x))
        ]

    methods = {"shap": by_shap}
    try:
        from tangermeme.deep_lift_shap import (  # type: ignore[import-untyped]
            _nonlinear,
            deep_lift_shap,
        )
    except ImportError as error:
        print(f"tangermeme is left out: {error}", file=sys.stderr)
        return methods

    def by_tangermeme(x: np.ndarray, r: np.ndarray) -> Any:
        tensors = [torch.from_numpy(np.ascontiguousarray(np.swapaxes(a, -1, -2))) for a in (x, r)]
        return deep_lift_shap(
            module,
            tensors[0],
            references=tensors[1],
            device="cpu",
            batch_size=len(x) * N_REFERENCES,
            hypothetical=True,
            additional_nonlinear_ops={exponential_module(): _nonlinear},
        )

    return methods | {"tangermeme": by_tangermeme}


def one_thread() -> None:
    """Before anything has been computed."""
    import tensorflow as tf
    import torch

    torch.set_num_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def median_seconds(
    methods: dict[str, Callable[..., Any]],
    x: Any,
    r: Any,
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {}
    working = {}
    for name, method in methods.items():
        try:
            method(x, r)
            working[name] = method
        except Exception as error:
            print(f"{name} does not run: {type(error).__name__}: {str(error)[:150]}", file=sys.stderr)
    for _ in range(rounds):
        for name, method in working.items():
            start = clock()
            method(x, r)
            seconds.setdefault(name, []).append(clock() - start)
    return seconds


def speed(n: int, rounds: int, jit_compile: bool, single: bool) -> None:
    clock = time.perf_counter
    if single:
        one_thread()
        clock = time.process_time
    import keras

    m = graph_models()
    rng = np.random.default_rng(0)
    x, r = one_hot(rng, n, LENGTH), one_hot(rng, n, N_REFERENCES, LENGTH)
    print(
        f"{n} sequences of {LENGTH} bp, {N_REFERENCES} references each; seconds are medians of {rounds} "
        f"rounds; {'one thread' if single else f'{os.cpu_count()} cores'}, load {os.getloadavg()[0]:.1f}.\n"
    )
    table: list[dict[str, str]] = []
    for title, function in MODELS.items():
        keras.utils.set_random_seed(0)
        output = function(m)
        model = keras.Model(keras.utils.get_source_inputs(output.keras), output.keras)
        module = m.TwinModule([output]).eval()
        # tangermeme looks for activations that are the module's own.
        seconds = median_seconds(
            ours(model, module, jit_compile) | theirs(model, module), x, r, rounds, clock
        )
        row = {"model": title} | {name: f"{np.median(times):.3f} s" for name, times in seconds.items()}
        pairs = ("shap", "ours, Keras"), ("tangermeme", "ours, PyTorch"), ("tangermeme", "ours, Keras")
        for other, mine in pairs:
            if other in seconds:
                row[f"{other} / {mine}"] = ratio(seconds[other], seconds[mine])
        table.append(row)
    print_table(table)
    print()
    rows = [targets(m, title, function, x, r, rounds, clock) for title, function in MULTI_TASK.items()]
    print_table(rows)
    print(f"\nLoad at the end: {os.getloadavg()[0]:.1f}.")


def ratio(slow: list[float], fast: list[float]) -> str:
    ratios = np.array(slow) / np.array(fast)
    return f"{np.median(ratios):.1f} ({ratios.min():.1f}–{ratios.max():.1f})"


def targets(
    m: Any,
    title: str,
    function: Callable[..., Any],
    x: Any,
    r: Any,
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, str]:
    """All 19 targets of a model against one of them."""
    import keras
    import tensorflow as tf
    import torch

    from kipoi_tfbind.graph import TensorFlowDeepLift, TorchDeepLift, trace_tensorflow, trace_torch

    keras.utils.set_random_seed(0)
    output = function(m, 19)
    model = keras.Model(keras.utils.get_source_inputs(output.keras), output.keras)
    graph = trace_tensorflow(lambda t: [model(t, training=False)], [tf.TensorSpec((None, LENGTH, 4))])
    in_keras = TensorFlowDeepLift(graph)
    in_torch = TorchDeepLift(trace_torch(m.TwinModule([output]).eval(), [torch.zeros(1, 4, LENGTH)]))
    flipped = [np.ascontiguousarray(np.swapaxes(a, -1, -2)) for a in (x, r)]
    methods = {
        "Keras, 1": lambda x, r: in_keras([x], r, targets=[0]),
        "Keras, 19": lambda x, r: in_keras([x], r),
        "PyTorch, 1": lambda x, r: in_torch(flipped[:1], flipped[1], targets=[0]),
        "PyTorch, 19": lambda x, r: in_torch(flipped[:1], flipped[1]),
    }
    seconds = median_seconds(methods, x, r, rounds, clock)
    row = {"model, number of targets": title} | {name: f"{np.median(t):.3f} s" for name, t in seconds.items()}
    for framework in ("Keras", "PyTorch"):
        row[f"19 / 1, {framework}"] = ratio(seconds[f"{framework}, 19"], seconds[f"{framework}, 1"])
    return row


def completeness() -> None:
    """The largest departure from completeness over the largest difference, for each architecture."""
    import tensorflow as tf
    import torch

    from kipoi_tfbind.graph import TensorFlowDeepLift, TorchDeepLift, trace_tensorflow, trace_torch

    m = graph_models()
    table = []
    for name in m.NAMES:
        architecture = m.build(name)
        rng = np.random.default_rng(1)
        x, r = one_hot(rng, 3, m.LENGTH), one_hot(rng, 3, 4, m.LENGTH)
        inputs = [x, *(rng.normal(size=(3, n, 2)).astype(np.float32) for n in architecture.lengths[1:])]
        specs = [tf.TensorSpec((None, *a.shape[1:])) for a in inputs]
        row = {"architecture": name.replace("_", " ")}
        model = architecture.keras
        graphs: dict[str, Any] = {"Keras": trace_tensorflow(partial(called, model), specs)}
        if architecture.torch is not None:
            examples = [torch.from_numpy(np.ascontiguousarray(np.swapaxes(a, 1, 2))) for a in inputs]
            graphs["PyTorch"] = trace_torch(architecture.torch, examples)
        for framework, graph in graphs.items():
            arrays = [*inputs, r]
            if framework == "PyTorch":
                arrays = [np.ascontiguousarray(np.swapaxes(a, -1, -2)) for a in arrays]
            for precision in ("float32", "float64"):
                chosen = graph if precision == "float32" else graph.in_precision("float64")
                explain = TensorFlowDeepLift(chosen) if framework == "Keras" else TorchDeepLift(chosen)
                result = explain(arrays[:-1], arrays[-1])
                difference = (arrays[0][:, None] - arrays[-1])[..., None]
                total = (result.multipliers * difference).sum(axis=(2, 3))
                expected = result.output[:, None] - result.reference_output
                error = np.abs(total - expected).max() / np.abs(expected).max()
                row[f"{framework}, {precision}"] = f"{error:.0e}"
        table.append(row)
    print_table(table)


def called(model: Any, tensors: Any) -> Any:
    return model(tensors, training=False)


def print_table(rows: list[dict[str, str]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row.get(name, "–") for name in columns) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "completeness"))
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--xla", action="store_true", help="time the XLA-compiled function as well")
    parser.add_argument("--one-thread", action="store_true", help="let each method use one thread")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "speed":
        speed(arguments.sequences, arguments.rounds, arguments.xla, arguments.one_thread)
    else:
        completeness()


if __name__ == "__main__":
    main()
