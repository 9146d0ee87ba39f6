"""Mutagenesis by what substitutions change, beside whole forward passes and tangermeme, as Markdown tables.

    python benchmarks/ism.py first [--models basset ...] [--rounds 3]    in-silico mutagenesis
    python benchmarks/ism.py second [--models motif-cnn ...]             second-order, 200 bp
    python benchmarks/ism.py map                                         all pairs of 1,000 bp, to a file

All sides of a model have the same weights and the same sequence and take turns in one process; another
process is started for each model, so that its peak of memory, taken before any other side has run, is its
own. Times are medians of the rounds, of
calls after the first; the first call's own time is given as set-up. Whole forward passes are made for every
tenth position, or for some pairs, in batches of 256, and their time is scaled up. "off" is the largest
difference from whole forward passes in float64, over the largest effect; that of whole passes in float32 is
given beside it. tangermeme is given its
default batch size (32) and the best of 128 and 512; it is left out where it is not installed
(``pip install --no-deps "tangermeme==1.6.*"``).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import deep_shap as common  # the script beside this one
import numpy as np

ZOO = Path(__file__).parents[1] / "model_zoo" / "TFBind"


def basset(m: Any, length: int) -> Any:
    """Basset (Kelley et al. 2016), 19 outputs."""
    x = m.source(0, length)
    for filters, width, size in ((300, 19, 3), (200, 11, 4), (200, 7, 4)):
        x = common.max_pool(m, common.relu(m, m.batch_norm(m.conv(x, filters, width))), size)
    x = m.flatten(x)
    for _ in range(2):
        x = common.relu(m, m.dense(x, 1000))
    return m.dense(x, 19)


def motif_cnn(m: Any, length: int) -> Any:
    """An exponential first layer, as in Koo and Ploenzke 2021."""
    x = common.max_pool(m, common.exponential(m, scaled(m, m.conv(m.source(0, length), 128, 19))), 4)
    x = common.max_pool(m, common.relu(m, m.conv(x, 64, 5)), 2)
    return m.dense(common.relu(m, m.dense(m.flatten(x), 64)), 1)


def scaled(m: Any, x: Any) -> Any:
    """A tenth, so that the exponentials of random weights are of one order."""
    return m.node(x.keras * 0.1, lambda v: v * 0.1, x)


def bpnet(m: Any, length: int, n_dilated: int) -> Any:
    """Dilated residual convolutions and a global average (BPNet, Avsec et al. 2021)."""
    x = common.relu(m, m.conv(m.source(0, length), 64, 21))
    for k in range(1, n_dilated + 1):
        x = m.add(x, common.relu(m, m.conv(x, 64, 3, dilation_rate=2**k)))
    return m.dense(m.average(x), 1)


def rc_tied(m: Any, length: int) -> Any:
    """The layers of the zoo's RC-tied dilated residual network."""
    x = common.max_pool(m, common.exponential(m, m.rc_norm(m.rc_conv(m.source(0, length), 48, 19))), 8)
    for rate in (1, 2, 4, 8):
        branch = m.rc_conv(common.relu(m, m.rc_norm(x)), 48, 3, rate)
        x = m.add(x, m.rc_conv(common.relu(m, m.rc_norm(branch)), 48, 1))
    return m.dense(m.rc_pool(m.average(common.relu(m, m.rc_norm(x))), "sum"), 1)


TWINS: dict[str, tuple[Callable[[Any, int], Any], tuple[int, ...]]] = {
    "basset": (basset, (1000, 600)),
    "motif-cnn": (motif_cnn, (1000, 600)),
    "bpnet-6": (lambda m, length: bpnet(m, length, 6), (1000,)),
    "bpnet-8": (lambda m, length: bpnet(m, length, 8), (1000,)),
    "RC-tied dilated": (rc_tied, (1000, 600)),
}
# Of the repository, with their trained weights.
TRAINED = {"HepG2-single (zoo)": "HepG2-single", "CTCF-single (zoo)": "CTCF-single"}


def models(name: str, length: int | None) -> tuple[dict[str, Any], Any, Any]:
    """The model wrapped in each framework, the same in float64, and its PyTorch module."""
    import keras

    from kipoi_tfbind import as_sequence_model, load_model

    if name in TRAINED:
        folder = str(ZOO / TRAINED[name])
        exact = load_model(folder, source="dir", double_precision=True)
        return {"Keras": load_model(folder, source="dir")}, exact, None
    m = common.graph_models()
    keras.utils.set_random_seed(0)
    output = TWINS[name][0](m, length or TWINS[name][1][0])
    model = keras.Model(keras.utils.get_source_inputs(output.keras), output.keras)
    module = m.TwinModule([output]).eval()
    wrapped = {"Keras": as_sequence_model(model), "PyTorch": as_sequence_model(module, length=length)}
    return wrapped, as_sequence_model(model, double_precision=True), module


def sequence(length: int) -> Any:
    from kipoi_tfbind import encode_sequences

    bases = np.random.default_rng(0).choice(list("ACGT"), length)
    return encode_sequences(["".join(bases)])


def seconds(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Times of each side, in turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            found[name].append(time.perf_counter() - start)
    return {name: np.array(times) for name, times in found.items()}


def first(name: str, length: int, rounds: int) -> dict[str, str]:
    from kipoi_tfbind import in_silico_mutagenesis

    wrapped, exact, module = models(name, length)
    length = wrapped["Keras"].length or length
    one, some = sequence(length), list(range(0, length, 10))
    row = {"model": name, "L": str(length)}
    sides: dict[str, Callable[[], Any]] = {}
    off = {}
    results = {}
    for framework, model in wrapped.items():
        start = time.perf_counter()
        results[framework] = in_silico_mutagenesis(model, one)
        row[f"set-up, {framework}"] = f"{time.perf_counter() - start:.1f} s"
    row["peak"] = peak()
    true = in_silico_mutagenesis(exact, one, positions=some, path="full")["mutation_effect"].values
    for framework, model in wrapped.items():
        result = results[framework]
        full = in_silico_mutagenesis(model, one, positions=some, path="full")
        arrays = (result.isel(position=some), full)
        errors = [np.abs(a["mutation_effect"].values - true).max() / np.abs(true).max() for a in arrays]
        off[framework] = f"{errors[0]:.0e} ({errors[1]:.0e})"
        sides[framework] = lambda m=model: in_silico_mutagenesis(m, one)
        sides[f"full, {framework}"] = lambda m=model: in_silico_mutagenesis(
            m, one, positions=some, path="full"
        )
        if framework == "Keras":
            row |= products(result)
    contenders = tangermeme(module, one) if module is not None else {}
    times = seconds(sides, rounds)
    for framework in wrapped:
        times[f"full, {framework}"] *= length / len(some)
        mine = times[framework]
        row[framework] = f"{np.median(mine):.2f} s"
        row[f"full / ours, {framework}"] = ratio(times[f"full, {framework}"], mine)
        row[f"off (whole passes), {framework}"] = off[framework]
    if contenders:
        # Slow, and told apart by far: once.
        theirs = {side: seconds({side: run}, 1)[side] for side, run in contenders.items()}
        best = min(theirs[side].min() for side in theirs)
        for framework in wrapped:
            mine = np.median(times[framework])
            row[f"tangermeme best, default / ours, {framework}"] = (
                f"{best / mine:.1f}, {theirs['32'].min() / mine:.1f}"
            )
    return row


def products(result: Any) -> dict[str, str]:
    attributes = result.attrs
    if attributes["path"] != "incremental":
        return {"path": attributes["path"]}
    mine, whole = attributes["multiply_accumulates"], attributes["multiply_accumulates_of_full"]
    return {"path": "incremental", "MAC": f"{mine / 1e6:.2f} M of {whole / 1e6:.0f} M"}


def tangermeme(module: Any, one: Any) -> dict[str, Callable[[], Any]]:
    import torch

    try:
        from tangermeme.saturation_mutagenesis import (  # type: ignore[import-untyped]
            saturation_mutagenesis,
        )
    except ImportError as error:
        print(f"tangermeme is left out: {error}", file=sys.stderr)
        return {}
    x = torch.from_numpy(np.ascontiguousarray(one["one_hot"].values.swapaxes(1, 2)))
    return {
        str(size): lambda b=size: saturation_mutagenesis(
            module, x, batch_size=b, device="cpu", raw_outputs=True
        )
        for size in (32, 128, 512)
    }


def second(name: str, length: int, rounds: int) -> dict[str, str]:
    from kipoi_tfbind import second_order_mutagenesis

    wrapped, exact, _ = models(name, length)
    length = wrapped["Keras"].length or length
    one = sequence(length)
    # A window, and pairs of positions far from each other.
    some = sorted({*range(length // 2 - 8, length // 2 + 8), *range(0, length, 25)})
    row = {"model": name, "L": str(length)}
    results = {}
    for framework, model in wrapped.items():
        start = time.perf_counter()
        results[framework] = second_order_mutagenesis(model, one)
        row[f"set-up, {framework}"] = f"{time.perf_counter() - start:.1f} s"
    row["peak"] = peak()
    for framework, model in wrapped.items():
        result = results[framework]
        full = second_order_mutagenesis(model, one, positions=some, path="full")
        pairs = list(zip(full["position_a"].values, full["position_b"].values, strict=True))
        index = result.set_index(pair=["position_a", "position_b"]).indexes["pair"].get_indexer(pairs)
        true = second_order_mutagenesis(exact, one, positions=some, path="full")
        scale = np.abs(true["mutation_effect"].values).max()
        arrays = (result["epistasis"].values[:, index], full["epistasis"].values)
        errors = [np.abs(array - true["epistasis"].values).max() / scale for array in arrays]
        sides = {
            "ours": lambda m=model: second_order_mutagenesis(m, one),
            "full": lambda m=model: second_order_mutagenesis(m, one, positions=some, path="full"),
        }
        times = seconds(sides, rounds)
        times["full"] *= result.sizes["pair"] / full.sizes["pair"]
        row |= {
            "path": result.attrs["path"],
            f"{framework}": f"{np.median(times['ours']):.1f} s",
            f"full / ours, {framework}": ratio(times["full"], times["ours"]),
            f"off (whole passes), {framework}": f"{errors[0]:.0e} ({errors[1]:.0e})",
        }
        if framework == "Keras":
            row["MAC"] = pair_products(model, one)
    return row


def pair_products(model: Any, one: Any) -> str:
    """Multiply-accumulates of a double mutant, on average over all pairs of positions."""
    one_hot = one["one_hot"].values
    engine = model.edits(one_hot)
    length = one_hot.shape[1]
    positions = np.arange(length)
    pairs = engine.pairs(one_hot, {}, positions, (one_hot[0].argmax(1) + 1) % 4)
    total = 0
    for distance in range(1, length):
        a = positions[: length - distance]
        apart = pairs.program.apart(pairs.starts, a, a + distance)
        total += len(a) * pairs.program.cost(apart)[0]
    mean, whole = total / (length * (length - 1) / 2), engine.plan(1).full_macs
    return f"{mean / 1e6:.3f} M of {whole / 1e6:.1f} M ({100 * mean / whole:.1f}%)"


def whole_map() -> None:
    """All double mutants of 1,000 bp, by the command line, to a file."""
    import keras

    m = common.graph_models()
    keras.utils.set_random_seed(0)
    output = motif_cnn(m, 1000)
    model = keras.Model(keras.utils.get_source_inputs(output.keras), output.keras)
    from kipoi_tfbind import as_sequence_model, save_result, second_order_mutagenesis

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = second_order_mutagenesis(as_sequence_model(model), sequence(1000))
        path = Path(folder) / "map.nc"
        save_result(result, path)
        n = 9 * result.sizes["pair"]
        print(
            f"motif-cnn, L=1000: {n:,} double mutants in {time.perf_counter() - start:.0f} s from start to a "
            f"file of {path.stat().st_size / 1e6:.0f} MB ({result.attrs['path']}); peak {peak()}"
        )


def ratio(slow: np.ndarray, fast: np.ndarray) -> str:
    ratios = slow / fast
    return f"{np.median(ratios):.1f} ({ratios.min():.1f}–{ratios.max():.1f})"


def peak() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("first", "second", "map"))
    parser.add_argument("--models", nargs="+", choices=(*TWINS, *TRAINED))
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "map":
        whole_map()
        return
    names = arguments.models or (list(TWINS) + list(TRAINED) if arguments.what == "first" else list(TWINS))
    if arguments.length is not None:
        run = first if arguments.what == "first" else second
        common.print_table([run(names[0], arguments.length, arguments.rounds)])
        print(f"Load at the end: {os.getloadavg()[0]:.1f}.\n")
        return
    for name in names:
        lengths = TWINS[name][1] if name in TWINS else (0,)
        for length in lengths if arguments.what == "first" else (200,):
            command = [sys.executable, __file__, arguments.what, "--models", name]
            command += ["--length", str(length), "--rounds", str(arguments.rounds)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
