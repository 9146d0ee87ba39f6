"""shap as a backend: the predictions of a framework's own, with the multipliers of `shap.DeepExplainer`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Capability, OutputKind, Path
from kipoi_tfbind.errors import UnsupportedModelError, UnsupportedOperationError
from kipoi_tfbind.graph.graph import Ref

# How far what shap sees of a model may be from its predictions, relative to them.
_ROUNDING = 1e-4
# TensorFlow's message about an operation that shap has no rule for.
_NO_RULE = re.compile(r"gradient registry has no entry for: shap_(\w+)")


class ShapBackend:
    """A backend whose multipliers are shap's.

    Parameters
    ----------
    inner
        The model in its framework.
    name
        Its name in messages.
    """

    def __init__(self, inner: Any, name: str) -> None:
        self._inner: Any = inner
        self._name = name
        self.framework: str = inner.framework
        self.output: OutputKind = inner.output
        # shap explains PyTorch modules that cannot be traced, too.
        self.capabilities: frozenset[Capability] = inner.capabilities | {"multipliers"}
        # By the shapes of the inputs.
        self._explainers: dict[tuple[tuple[int, ...], ...], Any] = {}

    def output_shapes(self, inputs: Sequence[NDArray]) -> list[tuple[Path, tuple[int, ...]]]:
        """See the protocol."""
        shapes: list[tuple[Path, tuple[int, ...]]] = self._inner.output_shapes(inputs)
        return shapes

    def predict(self, inputs: Sequence[NDArray]) -> NDArray:
        """See the protocol."""
        prediction: NDArray = self._inner.predict(inputs)
        return prediction

    def gradient(self, inputs: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """See the protocol."""
        gradient: NDArray = self._inner.gradient(inputs, wrt, columns)
        return gradient

    def weights(self) -> list[NDArray]:
        """See the protocol."""
        weights: list[NDArray] = self._inner.weights()
        return weights

    def bytes_per_row(self, inputs: Sequence[NDArray], *, backward: bool) -> int:
        """See the protocol."""
        n_bytes: int = self._inner.bytes_per_row(inputs, backward=backward)
        return n_bytes

    def incremental(self, inputs: Sequence[NDArray], wrt: int, axis: int, base_encodings: NDArray) -> Any:
        """See the protocol."""
        return self._inner.incremental(inputs, wrt, axis, base_encodings)

    def layers(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> Any:
        """See the protocol."""
        return self._inner.layers(inputs, wrt, axis)

    def convolutions(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> Any:
        """See the protocol."""
        return self._inner.convolutions(inputs, wrt, axis)

    def traced(self, inputs: Sequence[NDArray]) -> Any:
        """See the protocol."""
        return self._inner.traced(inputs)

    def activations(self, inputs: Sequence[NDArray], ref: Ref) -> NDArray:
        """See the protocol."""
        activations: NDArray = self._inner.activations(inputs, ref)
        return activations

    def predict_silenced(self, inputs: Sequence[NDArray], layer: Any, channels: Sequence[int]) -> NDArray:
        """See the protocol."""
        prediction: NDArray = self._inner.predict_silenced(inputs, layer, channels)
        return prediction

    def multipliers(
        self, inputs: Sequence[NDArray], references: NDArray, wrt: int, columns: Sequence[int]
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the protocol.

        Raises
        ------
        UnsupportedModelError
            shap cannot explain the model.
        """
        n, n_references = references.shape[:2]
        compared = [np.repeat(array, n_references, axis=0) for array in inputs]
        others = list(compared)
        others[wrt] = references.reshape(n * n_references, *references.shape[2:])
        rows = [np.concatenate(pair) for pair in zip(compared, others, strict=True)]
        found = self._by_shap(inputs, rows, wrt, list(columns))
        if not np.isfinite(found).all():
            raise self._refusal("its multipliers are not finite")
        # Not shap's own: the contributions are held against what the model predicts.
        prediction = self.predict(inputs)[:, columns]
        reference = self.predict(others)[:, columns]
        return (
            found.reshape(n, n_references, *found.shape[1:]),
            prediction,
            reference.reshape(n, n_references, -1),
        )

    def _by_shap(
        self, inputs: Sequence[NDArray], rows: Sequence[NDArray], wrt: int, columns: list[int]
    ) -> NDArray:
        shapes = tuple(array.shape[1:] for array in inputs)
        try:
            with warnings.catch_warnings():
                # shap on every version of TensorFlow after 2.4.
                warnings.filterwarnings("ignore", "Your TensorFlow version is newer than")
                if shapes not in self._explainers:
                    self._explainers[shapes] = self._explainer(inputs)
                found: NDArray = self._explainers[shapes].multipliers(rows, wrt, columns)
                return found
        except UnsupportedModelError as error:
            raise self._refusal(str(error), type(error)) from None
        except Exception as error:
            # shap raises anything, even bare exceptions, on models that it does not take.
            if no_rule := _NO_RULE.search(str(error)):
                raise self._refusal(
                    f"it has no rule for the operation {no_rule[1]}", UnsupportedOperationError
                ) from None
            reason = " ".join(str(error).split())[:200]
            raise self._refusal(f"{type(error).__name__}: {reason}") from error

    def _explainer(self, inputs: Sequence[NDArray]) -> Any:
        if self.framework == "torch":
            from kipoi_tfbind.backends.shap_torch import TorchExplainer

            explainer: Any = TorchExplainer(self._inner, inputs)
        else:
            from kipoi_tfbind.backends.shap_tensorflow import TensorFlowExplainer

            explainer = TensorFlowExplainer(self._inner, inputs)
        found, expected = explainer.prediction, self.predict(inputs)
        if found.dtype != expected.dtype:
            raise UnsupportedModelError(f"it computes in the model's own precision, {found.dtype}")
        difference = np.abs(found - expected) if found.shape == expected.shape else np.array(np.inf)
        if not difference.max(initial=0) <= _ROUNDING * np.abs(expected).max(initial=0):
            raise UnsupportedModelError(f"the {self.output} that it sees is not the one that was asked for")
        return explainer

    def _refusal(
        self, reason: str, kind: type[UnsupportedModelError] = UnsupportedModelError
    ) -> UnsupportedModelError:
        return kind(
            f"model {self._name}: shap.DeepExplainer cannot explain it ({reason}); use engine='exact' "
            "(--engine exact)"
        )
