"""Layers, architectures, a training and draws of dropout on Keras' other backends; each needs its package."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = (
    *("layers/test_layers.py", "architectures/test_architectures.py", "training/test_fit.py"),
    *("training/test_motif_anchor.py", "training/test_regularise.py"),
    *("backends/test_monte_carlo_dropout.py", "interpret/test_predict_sequences.py"),
)
# All layers, and each architecture with those layers: what JAX compiles for the rest takes minutes.
CHOSEN = "test_layers or (float32 and tied) or filters_that_start_as_the_motif or anchor"
CHOSEN += " or test_regularise or monte_carlo or ((bernoulli or draws_depend or command) and not torch)"
# There dropout is drawn by PyTorch's own generator, which an interrupted run has to set anew.
MORE = {"torch": " or (interrupted and KeepBest)"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_layers_and_architectures_on(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    files = [str(TESTS / name) for name in FILES]
    chosen = CHOSEN + MORE.get(backend, "")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files]
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
