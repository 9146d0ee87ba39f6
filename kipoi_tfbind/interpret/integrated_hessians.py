"""Integrated Hessians: what every two positions contribute together, and each alone, complete."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._followed_hessian import can_be_followed, followed_hessian
from kipoi_tfbind.interpret._method import Variables, check_positive, run_method, wrapped_for
from kipoi_tfbind.interpret._path_hessian import Line, integrated_hessian, moved_start
from kipoi_tfbind.interpret.interaction import incompleteness, pair_coordinates
from kipoi_tfbind.models.mutants import MutantEngine, mutant_engine
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references


def integrated_hessians(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    references: str | ArrayLike = "dinucleotide_shuffle",
    n_references: int = 5,
    n_steps: int = 32,
    seed: int = 0,
    tolerance: float = 1e-3,
    batch_size: int = 256,
) -> xr.Dataset:
    """Interactions of all pairs of positions by integrated Hessians (Janizek et al. 2021).

    They are integrated gradients of integrated gradients (JMLR 22(104)): along the straight line from a
    reference r to the sequence x, with d = x - r, the interaction of positions i and j is
    2 sum d_i d_j of the integral of -t ln t times the second derivatives at r + t d, t from 0 to 1. With what
    each position does alone they add up to f(x) - f(r).

    A network of linear layers, ReLU and max pooling has no second derivative but at its kinks, where it has
    an infinite one. The integral over these is finite and exact: it is found from the jumps of the gradient
    along the line, without a softplus in the ReLU's place (docs/methods.md has the proof). Whether a network
    is of this kind is seen in its gradients. Of one that has kinks and curves, both are counted. A model that
    makes steps, whose derivatives do not add up to what it does, is refused.

    Of a model whose operations are known up to its output (convolutions, ReLU, max pooling, residual blocks;
    exponential, sigmoid or tanh of the first layer) the kinks are those of its units, and nothing is searched
    for in gradients: the result is the same, at a small share of the cost, and `n_steps` and `batch_size` are
    not asked for.

    Parameters
    ----------
    model
        The model, with gradients, in double precision: ``as_sequence_model(..., double_precision=True)``.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    references
        As `deep_shap`.
    n_references
        Number of references for each sequence, of a kind that is drawn; results are means over them.
    n_steps
        Points of the integral along each line (Gauss and Legendre) to begin with, where the model curves.
        Between kinks there are four at least, and where the integral does not converge stretches are halved,
        up to 64 times as many points; the completeness error says what is left.
    seed
        Of references that are drawn; the draws also depend on the sequence, and on nothing else.
    tolerance
        How far, relative to the difference, interactions may be from adding up before it is warned.
    batch_size
        Number of points of a line that the model is given at once.

    Returns
    -------
    xr.Dataset
        ``interaction`` (sequence, pair, target) with the coordinates ``position_a`` < ``position_b``;
        ``self_interaction`` (sequence, position, target); ``mean_reference_prediction`` and
        ``completeness_error`` (sequence, target), of the sum of both kinds; ``prediction``, ``one_hot``.

    Raises
    ------
    InputError
        A model in single precision, in which differences of gradients are mostly rounding; sequences or
        references that do not fit.
    UnsupportedModelError
        The model has no gradients, or makes steps.

    Warns
    -----
    CompletenessWarning
        Interactions do not add up within the tolerance; the message names the worst.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> class Both(torch.nn.Module):
    ...     def forward(self, x):
    ...         return (x[:, 0, 0] * x[:, 2, 2])[:, None]
    >>> model = as_sequence_model(Both(), length=3, double_precision=True)
    >>> result = integrated_hessians(model, encode_sequences(["AAG"]), references="zeros")
    >>> result["interaction"].values[0, :, 0].round(6), result["self_interaction"].values[0, :, 0].round(6)
    (array([0. , 0.5, 0. ]), array([0.25, 0.  , 0.25]))
    """
    sequences = as_sequences(sequences)
    for name, value in (("n_references", n_references), ("n_steps", n_steps)):
        whole_number(name, value, least=1)
    whole_number("seed", seed)
    check_positive("tolerance", tolerance)
    model = wrapped_for(sequences, model)
    model.require("gradients")

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        if len(batch) and prediction.dtype != np.float64:
            raise InputError(
                f"model {member.name}: integrated_hessians needs double precision; wrap it with "
                "double_precision=True (--float64)"
            )
        matrix, background = _matrices(member, batch, references, n_references, n_steps, seed, batch_size)
        first, second = np.triu_indices(matrix.shape[1], k=1)
        own = np.arange(matrix.shape[1])
        error = matrix.sum(axis=(1, 2)) - (prediction - background)
        incompleteness("integrated_hessians", error, prediction - background, member.target_names, tolerance)
        return {
            "interaction": (("sequence", "pair", "target"), 2 * matrix[:, first, second]),
            "self_interaction": (("sequence", "position", "target"), matrix[:, own, own]),
            "mean_reference_prediction": (("sequence", "target"), background),
            "completeness_error": (("sequence", "target"), error),
        }

    settings: dict[str, int | float | str] = {
        "references": references if isinstance(references, str) else "given",
        "n_steps": n_steps,
        "tolerance": tolerance,
    }
    if isinstance(references, str):
        settings |= {"n_references": n_references, "seed": seed}
    return run_method(
        "integrated_hessians",
        model,
        sequences,
        compute,
        settings=settings,
        batch_size=batch_size,
        coordinates=pair_coordinates(np.arange(sequences.sizes["position"])),
    )


def _matrices(
    model: SequenceModel,
    batch: Batch,
    references: str | ArrayLike,
    n_references: int,
    n_steps: int,
    seed: int,
    batch_size: int,
) -> tuple[NDArray, NDArray]:
    """Means over the references: matrices (sequence, position, position, target), and their predictions."""
    n, length, names = *batch.one_hot.shape[:2], model.target_names
    matrix, background = np.zeros((n, length, length, len(names))), np.zeros((n, len(names)))
    given = None if isinstance(references, str) else make_references(batch.one_hot, references)
    single = [model.select_targets([name]) for name in names]
    engine = _engine(model, batch)
    for (row,), _ in in_batches(n, batch_size=1, description="integrated Hessians"):
        one = batch.rows(np.array([row]))
        kind = references if given is None else given[[row]]
        (own,) = make_references(one.one_hot, kind, n_references, seed=seed)
        for reference in own.astype(np.float64):
            if engine is not None:
                matrix[row] += _followed(engine, one, reference) / len(own)
                background[row] += model.predict(reference[np.newaxis], one.auxiliary)[0] / len(own)
                continue
            for target, of_target in enumerate(single):
                line = _line(of_target, one, reference, batch_size)
                matrix[row, :, :, target] += integrated_hessian(line, n_steps) / len(own)
                background[row, target] += line.at(np.zeros(1))[0] / len(own)
    return matrix, background


def _engine(model: SequenceModel, batch: Batch) -> MutantEngine | None:
    """What follows a model's operations one by one, if all are known."""
    if not len(batch) or "multipliers" not in model.capabilities:
        return None
    engine = mutant_engine(model, batch.one_hot, batch.auxiliary)
    return engine if engine is not None and can_be_followed(engine.prefix) else None


def _followed(engine: MutantEngine, one: Batch, reference: NDArray) -> NDArray[np.float64]:
    """Integrated Hessian (position, position, target) of a model whose operations are known."""
    difference = one.one_hot[0].astype(np.float64) - reference
    if not difference.any():
        return np.zeros((len(difference),) * 2)[..., np.newaxis]
    start, direction = moved_start(reference, difference)
    return followed_hessian(engine.along_line(start, direction, one.auxiliary))


def _line(model: SequenceModel, one: Batch, reference: NDArray, batch_size: int) -> Line:
    """The model along the line from a reference to a sequence."""
    difference = one.one_hot[0].astype(np.float64) - reference

    def gradients(points: NDArray) -> NDArray:
        found = []
        for first in range(0, len(points), batch_size):
            some = points[first : first + batch_size]
            same = one.rows(np.zeros(len(some), np.intp))
            found.append(model.gradient(some, same.auxiliary)[..., 0])
        return np.concatenate(found)

    def values(points: NDArray) -> NDArray:
        found = []
        for first in range(0, len(points), batch_size):
            some = points[first : first + batch_size]
            same = one.rows(np.zeros(len(some), np.intp))
            found.append(model.predict(some, same.auxiliary)[:, 0])
        return np.concatenate(found)

    return Line(reference, difference, values, gradients)
