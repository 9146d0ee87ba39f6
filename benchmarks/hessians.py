"""Completeness of integrated Hessians on all architectures of the tests, or the reason why one is refused.

    python benchmarks/hessians.py [--only relu lstm ...]

Small networks of 48 bp in float64, one sequence against one dinucleotide shuffle, the first target. The
error is the largest difference between the sum of all interactions and f(x) - f(r), as a share of the latter.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from deep_shap import graph_models

import kipoi_tfbind as tfb
from kipoi_tfbind.testing import random_sequences


def error_of(models: Any, name: str) -> float:
    """Largest error of completeness, as a share of the difference."""
    built = models.build(name)
    length = models.LENGTH
    if len(built.lengths) > 1:
        other = built.keras.inputs[1]
        auxiliary = {other.name: np.random.default_rng(0).normal(size=other.shape[1:])}
        model = tfb.as_sequence_model(
            built.keras, double_precision=True, sequence_input="sequence_0", auxiliary=auxiliary
        )
    elif built.torch is None:
        model = tfb.as_sequence_model(built.keras, double_precision=True)
    else:
        model = tfb.as_sequence_model(built.torch, length=length, double_precision=True)
    model = model.select_targets(model.target_names[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tfb.integrated_hessians(model, random_sequences(1, length, seed=1), n_references=1)
    difference = np.abs(found["prediction"] - found["mean_reference_prediction"]).values
    return float((np.abs(found["completeness_error"]).values / difference).max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="names of architectures")
    models = graph_models()
    n_complete = 0
    names = parser.parse_args().only or models.NAMES
    for name in names:
        start = time.process_time()
        try:
            error = error_of(models, name)
            said = f"{error:.1e}"
            n_complete += error < 1e-5
        except tfb.errors.TFBindError as refused:
            said = f"{type(refused).__name__}: {refused}"
        print(f"{name:22} {said}  ({time.process_time() - start:.0f} s of the processor)", flush=True)
    print(f"{n_complete} of {len(names)} complete to 1e-5 of the difference")


if __name__ == "__main__":
    main()
