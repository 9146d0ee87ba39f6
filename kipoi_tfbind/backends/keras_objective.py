"""Keras models fitted to an objective that needs gradients with respect to the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

Function = Callable[[Any], tuple[Any, Any]]


def input_gradient(function: Function, x: Any, model: keras.Model) -> tuple[Any, Any]:
    """Gradient of a function with respect to its input, itself differentiable, and what comes with it.

    Parameters
    ----------
    function
        Input -> (scalar, anything else).
    x
        The input.
    model
        The model that the function calls, on Keras' TensorFlow, PyTorch or JAX.

    Returns
    -------
    tuple
        The gradient, of the shape of `x`, and the anything else.
    """
    of_framework = {"tensorflow": _by_tensorflow, "torch": _by_torch, "jax": _by_jax}
    return of_framework[keras.backend.backend()](function, x, model)


def _by_tensorflow(function: Function, x: Any, _: keras.Model) -> tuple[Any, Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        value, other = function(x)
    return tape.gradient(value, x), other


def _by_torch(function: Function, x: Any, _: keras.Model) -> tuple[Any, Any]:
    import torch

    x = x.detach().requires_grad_()
    value, other = function(x)
    return torch.autograd.grad(value, x, create_graph=True)[0], other


def _by_jax(function: Function, x: Any, model: keras.Model) -> tuple[Any, Any]:
    import jax

    # What layers keep, such as moving means, depends on the input: it has to leave the gradient as a result.
    kept = model.non_trainable_variables
    values = [(variable, variable.value) for variable in model.variables]

    def pure(x: Any) -> tuple[Any, Any]:
        with keras.StatelessScope(values) as scope:
            value, other = function(x)
        return value, (other, [scope.get_current_value(variable) for variable in kept])

    gradient, (other, new) = jax.grad(pure, has_aux=True)(x)
    for variable, value in zip(kept, new, strict=True):
        variable.assign(value)
    return gradient, other


class ObjectiveModel(keras.Model):
    """A functional Keras model whose training step minimises a function of model, inputs and labels.

    Parameters
    ----------
    inputs, outputs
        Of the model.
    objective
        (model, inputs, labels) -> scalar.
    """

    def __init__(self, inputs: Any, outputs: Any, objective: Callable[[Any, Any, Any], Any]) -> None:
        super().__init__(inputs, outputs)
        self.objective = objective

    def train_step(self, *arguments: Any) -> Any:
        """Take one step of the optimiser: of a batch, or on JAX of the state of all variables and a batch."""
        of_framework: dict[str, Callable[..., Any]] = {
            "tensorflow": self._tensorflow_step,
            "torch": self._torch_step,
            "jax": self._jax_step,
        }
        return of_framework[keras.backend.backend()](*arguments)

    def _tensorflow_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        import tensorflow as tf

        inputs, labels = data
        with tf.GradientTape() as tape:
            loss = self.objective(self, inputs, labels)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self._followed(loss, tf.shape(inputs)[0])

    def _torch_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        import torch

        inputs, labels = data
        self.zero_grad()
        loss = self.objective(self, inputs, labels)
        loss.backward()
        with torch.no_grad():
            gradients = [weight.value.grad for weight in self.trainable_weights]
            self.optimizer.apply(gradients, self.trainable_weights)
        return self._followed(loss.detach(), len(inputs))

    def _jax_step(self, state: tuple[Any, ...], data: tuple[Any, Any]) -> tuple[dict[str, Any], Any]:
        import jax

        inputs, labels = data
        trainable, other, of_optimizer, of_metrics = state
        kept = self.non_trainable_variables

        def loss_of(trainable: Any) -> tuple[Any, list[Any]]:
            variables = [*self.trainable_variables, *kept]
            with keras.StatelessScope(zip(variables, [*trainable, *other], strict=True)) as scope:
                loss = self.objective(self, inputs, labels)
            return loss, [scope.get_current_value(variable) for variable in kept]

        (loss, other), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        trainable, of_optimizer = self.optimizer.stateless_apply(of_optimizer, gradients, trainable)
        with keras.StatelessScope(zip(self.metrics_variables, of_metrics, strict=True)) as scope:
            logs = self._followed(loss, len(inputs))
        of_metrics = [scope.get_current_value(variable) for variable in self.metrics_variables]
        return logs, (trainable, other, of_optimizer, of_metrics)

    def _followed(self, loss: Any, n: Any) -> dict[str, Any]:
        """Mean loss so far of the epoch, of so many windows more."""
        self._loss_tracker.update_state(loss, sample_weight=n)
        return self.get_metrics_result()
