"""Integrated Hessians against the double integral, sums over kinks by hand, and the limit of softplus."""

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kipoi_tfbind import as_sequence_model, integrated_hessians
from kipoi_tfbind.errors import CompletenessWarning, InputError, UnsupportedModelError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret.integrated_hessians import _engine
from kipoi_tfbind.testing import random_sequences
from tests import graph_models, same_weights

LENGTH = 6


def network(activation: nn.Module, seed: int = 0, length: int = LENGTH) -> nn.Sequential:
    """Two hidden layers of the same weights, whatever the activation."""
    torch.manual_seed(seed)
    layers = [
        nn.Conv1d(4, 5, 3),
        activation,
        nn.Flatten(),
        nn.Linear(5 * (length - 2), 4),
        activation,
        nn.Linear(4, 1),
    ]
    module = nn.Sequential(*layers).double()
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(2)
    return module


def double_integral(module: nn.Module, x: np.ndarray, reference: np.ndarray, n: int) -> np.ndarray:
    """The definition: integrated gradients of integrated gradients, by a grid over both integrals."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    # Both variables as squares: nodes are dense where the integrand is steep.
    alpha, weights = ((nodes + 1) / 2) ** 2, weights / 2 * (nodes + 1)
    d = x - reference
    length = len(x)

    def f(point: torch.Tensor) -> torch.Tensor:
        return module(point.reshape(1, length, 4).transpose(1, 2))[0, 0]

    second, first = np.zeros((4 * length, 4 * length)), np.zeros(4 * length)
    for a, w in zip(alpha, weights, strict=True):
        for b, v in zip(alpha, weights, strict=True):
            point = torch.tensor((reference + a * b * d).ravel())
            second += w * v * a * b * torch.func.hessian(f)(point).detach().numpy()
            first += w * v * torch.func.grad(f)(point).detach().numpy()
    matrix = d.ravel()[:, np.newaxis] * second * d.ravel()
    matrix = matrix.reshape(length, 4, length, 4).sum(axis=(1, 3))
    return matrix + np.diag((d.ravel() * first).reshape(length, 4).sum(axis=1))


def wrapped(module: Any, length: int = LENGTH) -> Any:
    return as_sequence_model(module, length=length, double_precision=True, output="raw")


def as_matrix(result: Any, target: int = 0) -> np.ndarray:
    length = result.sizes["position"]
    matrix = np.diag(result["self_interaction"].values[0, :, target])
    rows, columns = result["position_a"].values, result["position_b"].values
    matrix[rows, columns] = matrix[columns, rows] = result["interaction"].values[0, :, target] / 2
    assert matrix.shape == (length, length)
    return matrix


def test_a_smooth_network_has_the_double_integral() -> None:
    module = network(nn.Tanh())
    one = random_sequences(1, LENGTH, seed=3)
    x = one["one_hot"].values.astype(np.float64)
    reference = np.full((1, LENGTH, 4), 0.25)
    result = integrated_hessians(wrapped(module), one, references=reference, n_steps=48)
    expected = double_integral(module, x[0], reference[0], n=24)
    # Both integrals are exact to some 1e-7 of the largest.
    np.testing.assert_allclose(as_matrix(result), expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    assert np.abs(result["completeness_error"]).max() < 1e-7


def test_one_layer_of_relu_is_the_sum_over_its_kinks() -> None:
    torch.manual_seed(2)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4 * LENGTH, 7), nn.ReLU(), nn.Linear(7, 1)).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(4)
    one = random_sequences(1, LENGTH, seed=1)
    x = one["one_hot"].values.astype(np.float64)[0]
    reference = np.full((LENGTH, 4), 0.25)
    result = integrated_hessians(wrapped(module), one, references="uniform")
    d = x - reference
    state = module.state_dict()
    weight = state["1.weight"].numpy().reshape(7, 4, LENGTH).transpose(0, 2, 1)
    bias, out = (state[name].numpy() for name in ("1.bias", "3.weight"))
    along = np.einsum("klb,lb->kl", weight, d)
    start = np.einsum("klb,lb->k", weight, reference) + bias
    expected = np.zeros((LENGTH, LENGTH))
    for k in range(7):
        t = -start[k] / along[k].sum()
        if 0 < t < 1:
            # The second derivative of relu(w.z + b) is w w' at the kink, which is crossed at a speed |w.d|.
            expected += -t * np.log(t) * out[0, k] * np.outer(along[k], along[k]) / np.abs(along[k].sum())
    found = as_matrix(result)
    np.fill_diagonal(found, 0)
    np.fill_diagonal(expected, 0)
    assert np.abs(expected).max() > 0.01
    # The start of the line is moved by 1e-7, so that no two kinks are at one place.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.abs(result["completeness_error"]).max() < 1e-6


def test_deep_relu_networks_are_the_limit_of_softplus_ones() -> None:
    one = random_sequences(1, LENGTH, seed=5)
    sharp = integrated_hessians(wrapped(network(nn.ReLU())), one, references="uniform")
    assert np.abs(sharp["completeness_error"]).max() < 1e-6
    errors = []
    for beta in (30, 120):
        smooth = wrapped(network(nn.Softplus(beta=beta, threshold=1e4)))
        result = integrated_hessians(smooth, one, references="uniform", n_steps=400, batch_size=4096)
        difference = np.abs(as_matrix(result) - as_matrix(sharp)).max()
        errors.append(difference / np.abs(as_matrix(sharp)).max())
    # The error of softplus falls with its sharpness.
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("kind", same_weights.DIFFERENTIABLE)
def test_a_convolution_with_relu_and_max_pooling_is_complete(kind: str) -> None:
    length = None if kind == "keras" else same_weights.LENGTH
    model = as_sequence_model(same_weights.MAKERS[kind](), length=length, double_precision=True)
    sequences = random_sequences(2, same_weights.LENGTH, n_fraction=0.03, seed=2)
    result = integrated_hessians(model, sequences, n_references=1)
    other = integrated_hessians(model, sequences.isel(sequence=[1, 0]), n_references=1, batch_size=7)
    np.testing.assert_allclose(other["interaction"][::-1], result["interaction"], rtol=0, atol=1e-8)
    scale = np.abs(result["prediction"] - result["mean_reference_prediction"]).values.max()
    assert np.abs(result["completeness_error"]).max() < 1e-5 * scale
    assert np.abs(result["interaction"]).max() > 0.01 * scale
    # Positions that no filter reaches together, nor a pooling window, do not interact.
    far = (result["position_b"] - result["position_a"]).values > 2 * (7 + 4)
    assert np.abs(result["interaction"].values[:, far]).max() < 1e-9


@pytest.mark.parametrize(
    "name",
    ["relu", "softplus", "exponential", "rc_tied_max"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("elu", "softsign", "square", "smooth", "layer_norm", "tanh_sigmoid_gate")
    ],
)
def test_architectures_with_kinks_and_curves_are_complete(name: str) -> None:
    architecture = graph_models.build(name)
    model = as_sequence_model(architecture.torch, length=graph_models.LENGTH, double_precision=True)
    one = random_sequences(1, graph_models.LENGTH, seed=1)
    result = integrated_hessians(model.select_targets(model.target_names[:1]), one, n_references=1)
    scale = np.abs(result["prediction"] - result["mean_reference_prediction"]).values.max()
    assert np.abs(result["completeness_error"]).max() < 1e-5 * scale


class Exponential(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x)


class Strands(nn.Module):
    """A residual block, and maxima over positions and twin channels beside means."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.ReLU(), nn.Conv1d(6, 6, 3, padding=2, dilation=2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(x + self.branch(x))
        largest = x.amax(dim=2)
        return torch.cat([torch.maximum(largest[:, :3], largest[:, 3:].flip(1)), x.mean(dim=2)], dim=1)


class Beside(nn.Module):
    """What a layer makes of the sequence, beside the sequence itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, torch.relu(self.layer(x))], dim=1)


FOLLOWED = {
    "exponential": lambda: [
        *(nn.Conv1d(4, 6, 5, padding=2), Exponential(), nn.MaxPool1d(2), nn.Conv1d(6, 6, 1)),
        *(Strands(), nn.Linear(9, 2)),
    ],
    "tanh": lambda: [nn.Conv1d(4, 6, 5), nn.Tanh(), nn.Conv1d(6, 6, 3), Strands(), nn.Linear(9, 2)],
    "relu": lambda: [nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(4), Strands(), nn.Linear(9, 2)],
    "dense connections": lambda: [Beside(), nn.Conv1d(6, 6, 3), nn.ReLU(), Strands(), nn.Linear(9, 2)],
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_network_that_is_followed_has_what_its_gradients_say(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    model = wrapped(nn.Sequential(*FOLLOWED[name]()).double().eval(), 24)
    one = random_sequences(1, 24, n_fraction=0.05, seed=2)
    reference = one["one_hot"].values.copy()
    reference[:, 6:15] = random_sequences(1, 9, seed=4)["one_hot"].values
    engine = _engine(model, Batch(one["one_hot"].values))
    assert engine is not None
    found = integrated_hessians(model, one, references=reference)
    module = importlib.import_module("kipoi_tfbind.interpret.integrated_hessians")
    monkeypatch.setattr(module, "_engine", lambda *_: None)
    expected = integrated_hessians(model, one, references=reference)
    scale = np.abs(as_matrix(expected)).max()
    for target in range(2):
        # The search in the gradients takes derivatives from differences, and kinks of 1e-8 for none.
        np.testing.assert_allclose(
            as_matrix(found, target), as_matrix(expected, target), rtol=0, atol=1e-6 * scale
        )
    assert np.abs(found["completeness_error"]).max() < 1e-6 * scale
    # Off the diagonal there is something.
    assert np.abs(expected["interaction"]).max() > 1e-3 * scale


def test_a_network_that_makes_steps_is_refused() -> None:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            total = (x * torch.arange(1.0, 4.0 * LENGTH + 1).reshape(1, 4, LENGTH).to(x)).sum((1, 2))
            return torch.where(total > 40, torch.exp(total / 50), 0.5 * total)[:, None]

    one = random_sequences(1, LENGTH, seed=1)
    with pytest.raises(UnsupportedModelError, match=r"it makes a step .* use second_order_mutagenesis"):
        integrated_hessians(wrapped(Steps()), one, references="zeros")


def test_results_that_do_not_add_up_are_named() -> None:
    module, one = network(nn.Tanh()), random_sequences(1, LENGTH, seed=1)
    with pytest.warns(CompletenessWarning, match="integrated_hessians: 1 of 1 results are not complete"):
        integrated_hessians(wrapped(module), one, references="uniform", tolerance=1e-15)


def test_what_it_cannot_do_is_refused() -> None:
    one = random_sequences(1, same_weights.LENGTH)
    with pytest.raises(InputError, match="needs double precision; wrap it with double_precision=True"):
        integrated_hessians(same_weights.wrapped("keras"), one)
    with pytest.raises(
        UnsupportedModelError, match=r"has no gradients, which .* need; predict_sequences, in_silico"
    ):
        integrated_hessians(same_weights.wrapped("predict_only"), one)
