"""DeepSHAP: contributions of the bases to the difference from references, by DeepLIFT's multipliers."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._contributions import (
    BY_TARGET,
    contribution_variables,
    relative_error,
    warn_incomplete,
)
from kipoi_tfbind.interpret._method import Variables, check_positive, predict_all, run_method, wrapped_for
from kipoi_tfbind.interpret._shap_engine import with_shap
from kipoi_tfbind.memory import check_fits, memory_budget
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references

Engine = Literal["exact", "shap"]


def deep_shap(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    references: str | ArrayLike = "dinucleotide_shuffle",
    n_references: int = 20,
    seed: int = 0,
    tolerance: float = 1e-3,
    batch_size: int = 256,
    engine: Engine = "exact",
) -> xr.Dataset:
    """Contributions by DeepSHAP, which add up to the difference from the references.

    The mean over the references r of DeepLIFT's multipliers m (Shrikumar et al. 2017, arXiv:1704.02685;
    Lundberg and Lee 2017, arXiv:1705.07874):
    hypothetical(l, b) = mean_r sum_c (1[b = c] - r[l, c]) m_r[l, c], and the contribution is that of the
    observed base.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    references
        References that the sequence is compared with: a kind of `kipoi_tfbind.make_references`, or an array
        (reference, position, base), or (sequence, reference, position, base).
    n_references
        Number of references for each sequence, of a kind that is drawn.
    seed
        Of references that are drawn; the draws also depend on the sequence, and on nothing else.
    tolerance
        How far, relative to the difference, contributions may be from adding up. Sequences that miss it by
        the rounding of float32 are computed again in float64, where the model can be; of what still misses it
        it is warned.
    batch_size
        Number of references that are run at once, of one or several sequences.
    engine
        "exact": this package's own rules, exact for every operation that they know. "shap": those of
        `shap.DeepExplainer`, for comparisons: slower, for fewer models, and wrong for some, which the
        completeness error shows. Both explain the same output against the same references. While shap
        works out a TensorFlow model, its rules are TensorFlow's gradients for the whole process; they are
        gone afterwards.

    Returns
    -------
    xr.Dataset
        ``hypothetical_contribution`` and ``contribution`` (sequence, position, base, target),
        ``prediction``, ``mean_reference_prediction`` (mean over the references) and
        ``completeness_error`` (sequence, target), ``precision`` (sequence), 64 for sequences that were
        computed in float64, and ``one_hot``.

    Raises
    ------
    InputError
        Sequences or references that do not fit; an unknown engine.
    UnsupportedModelError
        The model cannot be traced, or has an operation for which there is no exact rule; or shap cannot
        explain it.

    Warns
    -----
    CompletenessWarning
        Contributions do not add up within the tolerance; the message names the worst.

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> weighted = tf.function(lambda x: x[:, :, 2] @ [[1.0], [2.0], [3.0]])
    >>> model = as_sequence_model(weighted, targets=["y"], length=3)
    >>> result = deep_shap(model, encode_sequences(["AGG"]), references="zeros")
    >>> result["contribution"].sum("base").values.ravel()
    array([0., 2., 3.], dtype=float32)
    """
    sequences = as_sequences(sequences)
    check_positive("tolerance", tolerance)
    whole_number("seed", seed)
    whole_number("n_references", n_references, least=1 if isinstance(references, str) else None)
    if engine not in get_args(Engine):
        raise InputError(f"engine: expected {' or '.join(get_args(Engine))}, got {engine!r}")
    model = wrapped_for(sequences, model)
    if engine == "shap":
        model = with_shap(model)
    model.require("multipliers")

    def explain(member: SequenceModel, batch: Batch, prediction: NDArray, references: Any) -> Variables:
        hypothetical, of_references = _hypothetical(member, batch, references, n_references, seed, batch_size)
        return contribution_variables(batch.one_hot, hypothetical, prediction, of_references)

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        variables = {"prediction": (BY_TARGET, prediction), **explain(member, batch, prediction, references)}
        variables["precision"] = ("sequence",), np.full(len(batch), 8.0 * prediction.dtype.itemsize)
        rows = np.flatnonzero((relative_error(variables, prediction) > tolerance).any(axis=1))
        precise = member.in_double_precision() if len(rows) and engine == "exact" else None
        if precise is not None:
            some = batch.rows(rows)
            again = predict_all(precise, some, batch_size=batch_size, description="in float64")
            own = explain(precise, some, again, _of_rows(references, rows))
            own |= {"prediction": (BY_TARGET, again), "precision": (("sequence",), np.full(len(rows), 64.0))}
            for name, (_, values) in own.items():
                variables[name][1][rows] = values
        prediction = variables["prediction"][1]
        warn_incomplete("deep_shap", variables, prediction, member.target_names, tolerance)
        return variables

    settings: dict[str, int | float | str] = {
        "references": references if isinstance(references, str) else "given",
        "tolerance": tolerance,
        "engine": engine,
    }
    if isinstance(references, str):
        settings |= {"n_references": n_references, "seed": seed}
    return run_method("deep_shap", model, sequences, compute, settings=settings, batch_size=batch_size)


def _of_rows(references: str | ArrayLike, rows: NDArray[np.intp]) -> str | ArrayLike:
    """References of some sequences; those for all sequences, and a kind, are the same."""
    if isinstance(references, str) or np.ndim(references) < 4:
        return references
    return np.asarray(references)[rows]


def _hypothetical(
    model: SequenceModel,
    batch: Batch,
    references: str | ArrayLike,
    n_references: int,
    seed: int,
    batch_size: int,
) -> tuple[NDArray, NDArray]:
    """Hypothetical contributions (sequence, position, base, target), mean reference prediction."""
    n_targets = len(model.target_names)
    hypothetical = np.empty((*batch.one_hot.shape, n_targets), dtype=np.float32)
    of_references = np.empty((len(batch), n_targets), dtype=np.float32)
    # Checked against all of the sequences: below they come in parts.
    given = None if isinstance(references, str) else make_references(batch.one_hot, references)
    n_each = n_references if given is None else given.shape[1]
    # Multipliers of all targets, and what they are multiplied with.
    bytes_each = 4.0 * batch.one_hot[0].size * n_each * (n_targets + 2) if len(batch) else 1.0
    check_fits(
        "n_references",
        f"multipliers of {n_targets:,} targets by {n_each:,} references",
        bytes_each,
        "take fewer of either",
    )
    at_once = min(batch_size // max(n_each, 1), int(memory_budget() // bytes_each))
    for indices, padded in in_batches(len(batch), batch_size=max(1, at_once), description="DeepSHAP"):
        some = batch.rows(padded)
        kind = references if given is None else given[padded]
        own = make_references(some.one_hot, kind, n_references, seed=seed)
        multipliers, _, prediction = model.multipliers(some.one_hot, own, some.auxiliary)
        if multipliers.dtype != hypothetical.dtype:
            hypothetical = hypothetical.astype(multipliers.dtype)
            of_references = of_references.astype(multipliers.dtype)
        # A target at a time: of so many small sums it is by far the fastest way.
        products = [(own * some).sum(axis=1).sum(axis=-1) for some in np.moveaxis(multipliers, -1, 0)]
        offset = np.stack(products, axis=-1) / own.shape[1]
        found = multipliers.mean(axis=1) - offset[:, :, np.newaxis]
        hypothetical[indices] = found[: len(indices)]
        of_references[indices] = prediction.mean(axis=1)[: len(indices)]
    return hypothetical, of_references
