"""Gradients: saliency, gradient times input, integrated gradients."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._contributions import contribution_variables
from kipoi_tfbind.interpret._method import Variables, predict_all, run_method, wrapped_for
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references

GradientMethod = Literal["saliency", "gradient_x_input", "integrated_gradients"]
GRADIENT_METHODS: tuple[GradientMethod, ...] = ("saliency", "gradient_x_input", "integrated_gradients")


def gradients(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    method: GradientMethod = "saliency",
    correction: bool = False,
    references: str | ArrayLike = "zeros",
    n_references: int = 1,
    n_steps: int = 50,
    seed: int = 0,
    batch_size: int = 256,
) -> xr.Dataset:
    """Contributions from gradients of the prediction by the one-hot sequence.

    ``saliency``: the gradient at each base; a position's contribution is its absolute value at the
    observed base (Simonyan et al. 2013, arXiv:1312.6034). ``gradient_x_input``: the gradient at the observed
    base, with its sign. ``integrated_gradients``: the mean gradient on the straight path from a reference,
    times the difference (Sundararajan et al. 2017, arXiv:1703.01365), by Gauss-Legendre quadrature.

    Gradients are those by the numbers that the model itself gets; they are centred only by `correction`.

    To average over strands, give the model of `SequenceModel.average_strands`.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    method
        "saliency", "gradient_x_input" or "integrated_gradients".
    correction
        Subtract from the gradient at each position its mean over the four bases (Majdandzic et al. 2023,
        doi:10.1186/s13059-023-02956-3), which takes out what lies outside of one-hot sequences.
    references
        Start of the path of integrated gradients: a kind of `kipoi_tfbind.make_references`, or an
        array (reference, position, base).
    n_references
        Number of references for each sequence, of a kind that is drawn.
    n_steps
        Points on the path of integrated gradients.
    seed
        Of references that are drawn; the draws also depend on the sequence, and on nothing else.
    batch_size
        Number of sequences, or points on paths, that are run at once.

    Returns
    -------
    xr.Dataset
        ``hypothetical_contribution`` and ``contribution`` (sequence, position, base, target),
        ``prediction``, ``mean_reference_prediction`` and ``completeness_error`` (sequence, target), and
        ``one_hot``. The reference of gradient times input is a sequence of N. Saliency explains no difference
        from any: its ``mean_reference_prediction`` and ``completeness_error`` are missing (NaN).

    Raises
    ------
    InputError
        An unknown method, or sequences or references that do not fit.
    UnsupportedModelError
        The model has no gradients.

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> weighted = tf.function(lambda x: x[:, :, 2] @ [[1.0], [2.0], [3.0]])
    >>> model = as_sequence_model(weighted, targets=["y"], length=3)
    >>> result = gradients(model, encode_sequences(["AGG"]), method="gradient_x_input")
    >>> result["contribution"].sum("base").values.ravel()
    array([0., 2., 3.], dtype=float32)
    """
    if method not in GRADIENT_METHODS:
        raise InputError(f"method: expected one of {', '.join(GRADIENT_METHODS)}, got {method!r}")
    if not isinstance(correction, bool | np.bool_ | int):
        raise InputError(f"correction: expected True or False, got {correction!r}")
    sequences = as_sequences(sequences)
    whole_number("n_steps", n_steps, least=1)
    whole_number("n_references", n_references, least=None)
    whole_number("seed", seed)
    model = wrapped_for(sequences, model)
    model.require("gradients")

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        if method == "integrated_gradients":
            path = _Path(member, batch, references, n_references, seed, n_steps)
            hypothetical, of_references = path.integrate(correction, batch_size)
            return contribution_variables(batch.one_hot, hypothetical, prediction, of_references)
        hypothetical = _corrected(_gradient(member, batch, batch_size), correction)
        if method == "saliency":
            of_references = np.full_like(prediction, np.nan)
        else:
            all_n = batch.replaced(np.zeros_like(batch.one_hot))
            of_references = predict_all(member, all_n, batch_size=batch_size, description="references")
        variables = contribution_variables(batch.one_hot, hypothetical, prediction, of_references)
        if method == "saliency":
            dims, contribution = variables["contribution"]
            variables["contribution"] = dims, np.abs(contribution)
        return variables

    settings: dict[str, int | str] = {"gradient_method": method, "correction": int(correction)}
    if method == "integrated_gradients":
        settings |= {
            "references": references if isinstance(references, str) else "given",
            "n_steps": n_steps,
        }
        if isinstance(references, str):
            settings |= {"n_references": n_references, "seed": seed}
    return run_method("gradients", model, sequences, compute, settings=settings, batch_size=batch_size)


def _gradient(model: SequenceModel, batch: Batch, batch_size: int) -> NDArray:
    """Gradient (sequence, position, base, target)."""
    shape = (*batch.one_hot.shape, len(model.target_names))
    gradient: NDArray | None = None
    for indices, padded in in_batches(len(batch), batch_size=batch_size, description="gradients"):
        some = batch.rows(padded)
        found = model.gradient(some.one_hot, some.auxiliary)[: len(indices)]
        if gradient is None:
            gradient = np.empty(shape, dtype=found.dtype)
        gradient[indices] = found
    return np.empty(shape, dtype=np.float32) if gradient is None else gradient


def _corrected(gradient: NDArray, correction: bool) -> NDArray:
    return gradient - gradient.mean(axis=2, keepdims=True) if correction else gradient


class _Path:
    """The straight paths from each sequence's references to the sequence, one path at a time."""

    def __init__(
        self,
        model: SequenceModel,
        batch: Batch,
        references: str | ArrayLike,
        n_references: int,
        seed: int,
        n_steps: int,
    ) -> None:
        self.model, self.batch = model, batch
        # Checked against all of the sequences: they are taken one at a time.
        self._references = (
            references if isinstance(references, str) else make_references(batch.one_hot, references)
        )
        self._n_references, self._seed = n_references, seed
        nodes, weights = np.polynomial.legendre.leggauss(n_steps)
        self._steps, self._weights = (nodes + 1) / 2, weights / 2

    def integrate(self, correction: bool, batch_size: int) -> tuple[NDArray, NDArray]:
        """Hypothetical contributions (sequence, position, base, target), mean reference prediction."""
        hypothetical, of_references = [], []
        for indices, _ in in_batches(len(self.batch), batch_size=1, description="integrated gradients"):
            one = self.batch.rows(indices)
            (references,) = make_references(
                one.one_hot, self._of(indices), self._n_references, seed=self._seed
            )
            pairs = [self._from_reference(one, reference, correction, batch_size) for reference in references]
            hypothetical.append(np.mean([pair[0] for pair in pairs], axis=0))
            of_references.append(np.mean([pair[1] for pair in pairs], axis=0))
        if not hypothetical:
            n_targets = len(self.model.target_names)
            nothing = np.empty((*self.batch.one_hot.shape, n_targets), np.float32)
            return nothing, np.empty((0, n_targets), np.float32)
        return np.stack(hypothetical), np.stack(of_references)

    def _of(self, indices: NDArray[np.intp]) -> str | ArrayLike:
        """The kind of the references, or those that are given for some sequences."""
        return self._references if isinstance(self._references, str) else self._references[indices]

    def _from_reference(
        self, one: Batch, reference: NDArray, correction: bool, batch_size: int
    ) -> tuple[NDArray, NDArray]:
        # In float64, as a model may compute; any other rounds them itself.
        difference = one.one_hot[0].astype(np.float64) - reference
        path = reference + self._steps[:, np.newaxis, np.newaxis] * difference
        points = one.rows(np.zeros(len(path), dtype=np.intp)).replaced(path)
        mean = np.zeros((*reference.shape, len(self.model.target_names)))
        for first in range(0, len(path), batch_size):
            some = points.rows(np.arange(first, min(first + batch_size, len(path))))
            gradient = _corrected(self.model.gradient(some.one_hot, some.auxiliary), correction)
            mean += np.einsum("s,slbt->lbt", self._weights[first : first + batch_size], gradient)
        # The contribution that base b would have: the mean gradient times its difference from the reference,
        # both in the numbers that the model gets.
        own = reference if self.model.layout is None else self.model.layout.numbers(reference)
        hypothetical = mean - np.einsum("lb,lbt->lt", own, mean)[:, np.newaxis]
        of_reference = self.model.predict(reference[np.newaxis], one.auxiliary)[0]
        return hypothetical.astype(gradient.dtype), of_reference
