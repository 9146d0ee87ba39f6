"""Convolutions by FFT with a constant kernel, which are linear: exact multipliers, and exact edits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind.testing import random_sequences

LENGTH, CHANNELS = 60, 5
SEQUENCES = random_sequences(2, LENGTH, seed=1)
_draw = np.random.default_rng(2)
CONV = _draw.normal(0, 0.4, (9, 4, CHANNELS)).astype(np.float32)
KERNEL = _draw.normal(0, 0.3, (CHANNELS, LENGTH)).astype(np.float32)
HEAD = _draw.normal(0, 1, CHANNELS).astype(np.float32)


class Fourier(nn.Module):
    """Hides its `state_dict` behind an attribute, as a published model does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Parameter(torch.from_numpy(CONV.transpose(2, 1, 0).copy()))
        self.kernel = nn.Parameter(torch.from_numpy(KERNEL))
        self.state_dict = {"not": "a method"}  # type: ignore[assignment]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(nn.functional.conv1d(x, self.conv, padding=4))
        spectrum = torch.fft.fft(hidden, n=2 * LENGTH) * torch.fft.fft(self.kernel, n=2 * LENGTH).conj()
        found = torch.fft.ifft(spectrum).real[..., :LENGTH]
        return torch.relu(found).mean(-1) @ torch.from_numpy(HEAD)[:, None]


@tf.function(input_signature=[tf.TensorSpec((None, LENGTH, 4))])
def fourier(x: Any) -> Any:
    hidden = tf.transpose(tf.nn.relu(tf.nn.conv1d(x, CONV, 1, "SAME")), (0, 2, 1))
    size = [2 * LENGTH]
    spectrum = tf.signal.rfft(hidden, size) * tf.math.conj(tf.signal.rfft(KERNEL, size))
    found = tf.signal.irfft(spectrum, size)[..., :LENGTH]
    return tf.reduce_mean(tf.nn.relu(found), axis=-1) @ HEAD[:, None]


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_fourier_convolutions_are_exact(framework: str) -> None:
    model = tfb.as_sequence_model(Fourier() if framework == "torch" else fourier, length=LENGTH)
    result = tfb.deep_shap(model, SEQUENCES, n_references=3)
    scale = float(np.abs(result["prediction"]).max())
    # Some hundred terms in float32.
    assert np.abs(result["completeness_error"]).max() < 1e-5 * scale
    for method, options in (
        (tfb.in_silico_mutagenesis, {"start": 20, "end": 25}),
        (tfb.second_order_mutagenesis, {"positions": [20, 24, 40]}),
    ):
        name = "mutation_effect" if method is tfb.in_silico_mutagenesis else "epistasis"
        found, expected = (
            method(model, SEQUENCES, path=path, **options)[name].values for path in ("incremental", "full")
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * scale)
        assert np.abs(expected).max() > 1e-4 * scale
