"""CPU seconds, bytes and memory of one window, variant and sequence: what docs/scaling.md multiplies.

    OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 python benchmarks/unit_costs.py

CPU seconds are those of the process, of one thread, after a first run that compiles. The BPNet-like
network takes 2,114 bp, has 64 filters, a convolution of 21 and nine dilated ones of 3 with residual sums, and
the head of counts.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind.genome.all_snvs import AllSnvs
from kipoi_tfbind.genome.reference import Genome

ZOO = Path(__file__).parents[1] / "model_zoo" / "TFBind"
FASTA = ZOO / "example_data" / "chr20.hg19.1-1Mb.fa.gz"
_BPNET_LENGTH = 2114


def bpnet_like() -> tfb.SequenceModel:
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((_BPNET_LENGTH, 4))
    x = keras.layers.Conv1D(64, 21, padding="same", activation="relu")(inputs)
    for i in range(1, 10):
        block = keras.layers.Conv1D(64, 3, padding="same", dilation_rate=2**i, activation="relu")(x)
        x = keras.layers.Add()([x, block])
    outputs = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(x))
    return tfb.as_sequence_model(keras.Model(inputs, outputs), targets=["counts"])


def sequences(n: int, length: int, seed: int) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    return tfb.encode_sequences(["".join(row) for row in rng.choice(list("ACGT"), size=(n, length))])


def measure(name: str, run: Callable[[Path, int], None], n: int, unit: str, suffix: str = ".nc") -> None:
    """Run once to compile, and once to count; print the costs of one."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder, f"first{suffix}"), 0)
        start = time.process_time()
        run(Path(folder, f"second{suffix}"), 1)
        seconds = time.process_time() - start
        size = Path(folder, f"second{suffix}").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name}: {seconds / n:.3g} CPU s, {size / n:,.0f} bytes for each {unit} ({n} were done); "
        f"peak so far {peak:.1f} GB",
        flush=True,
    )


def stream(
    method: Callable[..., xr.Dataset], model: tfb.SequenceModel, n: int, block: int
) -> Callable[[Path, int], None]:
    def run(path: Path, seed: int) -> None:
        tfb.stream(method, model, sequences(n, model.length or _BPNET_LENGTH, seed), path, block=block)

    return run


def snvs(model: tfb.SequenceModel, n_bases: int, suffix: str) -> Callable[[Path, int], None]:
    def run(path: Path, seed: int) -> None:
        bed = path.with_suffix(".bed")
        first = 100_000 + seed * 50_000
        bed.write_text(f"20\t{first}\t{first + n_bases}\n")
        genome = Genome(FASTA)
        tfb.write_variant_effects(model, AllSnvs(genome, bed), genome, [path])

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["ism", "snvs", "deepshap"], action="append")
    only = parser.parse_args().only or ["ism", "snvs", "deepshap"]
    ctcf = tfb.load_model(str(ZOO / "CTCF-single"), source="dir")
    bpnet = bpnet_like()
    if "ism" in only:
        measure("ISM, CTCF-single, 400 bp", stream(tfb.in_silico_mutagenesis, ctcf, 64, 32), 64, "window")
        measure("ISM, BPNet-like, 2,114 bp", stream(tfb.in_silico_mutagenesis, bpnet, 1, 1), 1, "window")
    if "snvs" in only:
        for suffix in (".vcf.gz", ".parquet"):
            measure(f"all SNVs, CTCF-single, {suffix}", snvs(ctcf, 1024, suffix), 3 * 1024, "SNV", suffix)
        measure("all SNVs, BPNet-like, .parquet", snvs(bpnet, 32, ".parquet"), 3 * 32, "SNV", ".parquet")
    if "deepshap" in only:
        measure("DeepSHAP, CTCF-single, 400 bp", stream(tfb.deep_shap, ctcf, 48, 24), 48, "sequence")
        measure("DeepSHAP, BPNet-like, 2,114 bp", stream(tfb.deep_shap, bpnet, 4, 4), 4, "sequence")


if __name__ == "__main__":
    main()
