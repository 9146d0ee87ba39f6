"""Keras models fitted to an objective that needs gradients with respect to the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kipoi_tfbind.errors import UnsupportedModelError


def input_gradient(function: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[Any, Any]:
    """Gradient of a function with respect to its input, itself differentiable, and what comes with it.

    Parameters
    ----------
    function
        Input -> (scalar, anything else).

    Returns
    -------
    tuple
        The gradient, of the shape of `x`, and the anything else.
    """
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        value, other = function(x)
    return tape.gradient(value, x), other


def check_gradients_of_inputs() -> None:
    """Refuse objectives with gradients of the input where Keras runs on another framework than TensorFlow.

    Raises
    ------
    UnsupportedModelError
        It does.
    """
    if keras.backend.backend() != "tensorflow":
        raise UnsupportedModelError(
            f"Keras runs on {keras.backend.backend()}; adversarial training (adversarial_weight) and "
            "attribution priors (prior_weight) need TensorFlow: set KERAS_BACKEND=tensorflow"
        )


class ObjectiveModel(keras.Model):
    """A functional Keras model whose training step minimises a function of model, inputs and labels.

    Parameters
    ----------
    inputs, outputs
        Of the model.
    objective
        (model, inputs, labels) -> scalar.

    Raises
    ------
    UnsupportedModelError
        Keras runs on another framework than TensorFlow.
    """

    def __init__(self, inputs: Any, outputs: Any, objective: Callable[[Any, Any, Any], Any]) -> None:
        check_gradients_of_inputs()
        super().__init__(inputs, outputs)
        self.objective = objective

    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """Take one step of the optimiser."""
        import tensorflow as tf

        inputs, labels = data
        with tf.GradientTape() as tape:
            loss = self.objective(self, inputs, labels)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(inputs)[0])
        return self.get_metrics_result()
