"""Shapley values of positions by sampled permutations, for any model that predicts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._contributions import contribution_variables, warn_incomplete
from kipoi_tfbind.interpret._method import Variables, check_positive, run_method, wrapped_for
from kipoi_tfbind.memory import check_fits
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references

# Models that are compiled for each number of rows meet only multiples of this.
_ROWS = 32
_BY_POSITION = ("sequence", "position", "target")


def sampled_shapley(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    references: str | ArrayLike = "dinucleotide_shuffle",
    n_references: int = 10,
    n_permutations: int = 2,
    seed: int = 0,
    tolerance: float = 1e-3,
    batch_size: int = 256,
) -> xr.Dataset:
    """Contributions as Shapley values of the positions, for any model that predicts.

    The bases of a reference are replaced by those of the sequence, one position after the other, in the order
    of a random permutation and then in the reverse order; the mean change by a position is its contribution
    (Castro et al. 2009, doi:10.1016/j.cor.2008.04.004; Lundberg and Lee 2017, arXiv:1705.07874), over
    the references and permutations, by shap's PermutationExplainer. Contributions add up to the prediction
    minus the mean prediction for the references. Of models in which at most two positions interact, one
    permutation with its reverse gives the exact Shapley values; of others an estimate, whose standard error
    is in the result.

    No gradients are needed, but many predictions: for each sequence, reference and permutation 2 d + 1, where
    d is the number of positions at which the sequence differs from the reference (of shuffles, about
    three quarters of them). At 200 bp and the default options these are about 6,000 for a sequence. Besides
    the model's own time, shap takes some 25 microseconds for each, at 1,000 bp twice that: 0.15 s for a
    sequence of 200 bp, 1.6 s for one of 1,000.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    references
        References that the sequence is compared with: a kind of `kipoi_tfbind.make_references`, or an array
        (reference, position, base), or (sequence, reference, position, base). A model that takes text needs
        references of bases.
    n_references
        Number of references for each sequence, of a kind that is drawn.
    n_permutations
        Number of permutations for each reference, each with its reverse. More references cost as much as more
        permutations, and lower the standard error more.
    seed
        Of references that are drawn, and of the permutations; both also depend on the sequence, and on
        nothing else.
    tolerance
        How far, relative to the difference, contributions may be from adding up before it is warned.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``contribution`` (sequence, position, base, target), 0 for bases that were not observed;
        ``contribution_standard_error`` (sequence, position, target), of the mean over references and
        permutations, and ``permutation_standard_error``, the part of the permutations in it: how far the
        contributions may be from the Shapley values against these very references. They are NaN where there
        is one sample only. ``n_evaluations`` (sequence), the number of predictions; ``prediction``,
        ``mean_reference_prediction`` (mean over the references), ``completeness_error`` (sequence, target),
        and ``one_hot``. The errors of an ensemble are the means over its members.

    Raises
    ------
    InputError
        Sequences, references or numbers that do not fit.

    Warns
    -----
    CompletenessWarning
        Contributions do not add up within the tolerance, as where a model predicts something else each time
        or a given reference has a base where the sequence has N; the message names the worst.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> both = as_sequence_model(lambda x: x[:, 0, 0] * x[:, 1, 2] + x[:, 2, 2], targets=["A and G, or G"])
    >>> result = sampled_shapley(both, encode_sequences(["AGG"]), references="zeros")
    >>> result["contribution"].sum("base").values.ravel()
    array([0.5, 0.5, 1. ], dtype=float32)
    """
    sequences = as_sequences(sequences)
    whole_number("n_permutations", n_permutations, least=1)
    whole_number("n_references", n_references, least=None)
    whole_number("seed", seed)
    check_positive("tolerance", tolerance)
    model = wrapped_for(sequences, model)

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        sampled = _Samples(member, batch, n_permutations, seed, batch_size)
        sampled.run(references, n_references)
        values, of_references = (v.astype(prediction.dtype) for v in (sampled.mean, sampled.of_references))
        variables = contribution_variables(batch.one_hot, values[:, :, np.newaxis], prediction, of_references)
        # The contributions that other bases would have were not asked of the model.
        del variables["hypothetical_contribution"]
        warn_incomplete("sampled_shapley", variables, prediction, member.target_names, tolerance)
        return {
            **variables,
            "contribution_standard_error": (_BY_POSITION, sampled.error.astype(prediction.dtype)),
            "permutation_standard_error": (_BY_POSITION, sampled.permutation_error.astype(prediction.dtype)),
            "n_evaluations": (("sequence",), sampled.n_evaluations),
        }

    settings: dict[str, int | float | str] = {
        "references": references if isinstance(references, str) else "given",
        "n_references": n_references,
        "n_permutations": n_permutations,
        "seed": seed,
        "tolerance": tolerance,
    }
    return run_method("sampled_shapley", model, sequences, compute, settings=settings, batch_size=batch_size)


class _Samples:
    """Samples of contributions of a batch's sequences, and what follows from them.

    Attributes
    ----------
    mean, error, permutation_error
        (sequence, position, target).
    of_references
        Mean prediction for the references (sequence, target).
    n_evaluations
        (sequence).
    """

    def __init__(
        self, model: SequenceModel, batch: Batch, n_permutations: int, seed: int, batch_size: int
    ) -> None:
        self._model, self._batch = model, batch
        self._n_permutations, self._seed, self._batch_size = n_permutations, seed, batch_size
        n, length, n_targets = *batch.one_hot.shape[:2], len(model.target_names)
        self.mean = np.zeros((n, length, n_targets))
        self.error, self.permutation_error = np.zeros_like(self.mean), np.zeros_like(self.mean)
        self.of_references = np.zeros((n, n_targets))
        # Floating point, because an ensemble has the mean over its members.
        self.n_evaluations = np.zeros(n)

    def run(self, references: str | ArrayLike, n_references: int) -> None:
        """Sample the contributions of every sequence."""
        one_hot = self._batch.one_hot
        given = None
        if not isinstance(references, str):
            given = make_references(one_hot, references, n_references)
        seeds = content_seeds(codes_of(one_hot), self._seed, "permutations of sampled_shapley")
        for (row,), _ in in_batches(len(one_hot), batch_size=1, description="sampled Shapley values"):
            if given is None:
                own = make_references(one_hot[[row]], references, n_references, seed=self._seed)[0]
            else:
                own = given[row]
            self._sequence(row, own, np.random.SeedSequence(seeds[row].tolist()))

    def _sequence(self, row: int, references: NDArray, seeds: np.random.SeedSequence) -> None:
        """Sample the contributions of one sequence against its references."""
        shape = (len(references), self._n_permutations, *self.mean.shape[1:])
        what = f"{shape[1]:,} permutations for each of {shape[0]:,} references"
        check_fits("n_permutations", what, 8 * math.prod(map(float, shape)), "take fewer of either")
        samples = np.empty(shape)
        predictions = np.empty((len(references), self.mean.shape[2]))
        x = self._batch.one_hot[row]
        for number, (reference, own_seed) in enumerate(
            zip(references, seeds.generate_state(len(references)), strict=True)
        ):
            with _global_generator():
                explainer = self._explainer(row, reference, int(own_seed))
                for permutation in range(self._n_permutations):
                    # Just enough for one permutation and its reverse, so that each is a sample of its own.
                    n_differ = int((x != reference).any(axis=-1).sum())
                    found = explainer(
                        x[np.newaxis],
                        max_evals=2 * n_differ + 1,
                        batch_size=self._batch_size,
                        silent=True,
                    )
                    # shap drops the axis of a single target.
                    samples[number, permutation] = np.reshape(found.values, samples.shape[2:])
                    predictions[number] = np.ravel(found.base_values)
        self.mean[row] = samples.mean(axis=(0, 1))
        self.of_references[row] = predictions.mean(axis=0)
        self.error[row], self.permutation_error[row] = standard_errors(samples)

    def _explainer(self, row: int, reference: NDArray, seed: int) -> Any:
        """The explainer of one sequence against one reference."""
        # Imports of shap take a second.
        from shap.explainers import PermutationExplainer

        batch = self._batch

        def predict(masked: NDArray) -> NDArray:
            n = len(masked)
            self.n_evaluations[row] += n
            padded = np.full(min(-(-n // _ROWS) * _ROWS, max(self._batch_size, n)), n - 1)
            padded[:n] = np.arange(n)
            same = batch.rows(np.full(len(padded), row))
            # In float64 always: shap's kernels are compiled for each type.
            return self._model.predict(masked[padded], same.auxiliary)[:n].astype(np.float64)

        return PermutationExplainer(predict, WholeBases(reference), seed=seed)


class WholeBases:
    """A masker of shap: a position that is masked has the reference's base, all four of its numbers.

    Parameters
    ----------
    reference
        (position, base).
    """

    # It makes a new array each time: shap need not copy it.
    immutable_outputs = True

    def __init__(self, reference: NDArray) -> None:
        self._reference = reference
        self.shape = (1, len(reference))

    def __call__(self, mask: NDArray[np.bool_], x: NDArray) -> tuple[NDArray]:
        """Return the sequence (1, position, base) with the reference's bases where the mask is False."""
        return (np.where(mask[:, np.newaxis], x, self._reference)[np.newaxis],)

    def invariants(self, x: NDArray) -> NDArray[np.bool_]:
        """Return the positions (1, position) that are the same in both; shap leaves them alone."""
        return (x == self._reference).all(axis=-1)[np.newaxis]

    def mask_shapes(self, x: NDArray) -> list[tuple[int, ...]]:
        """Return the shape of a mask: a position is one player of the game."""
        return [(len(x),)]


def standard_errors(samples: NDArray) -> tuple[NDArray, NDArray]:
    """Standard errors of the mean of samples (reference, permutation, ...): over both, and over permutations.

    The references are the units of the first: the samples of one reference are no independent draws. Of one
    reference the permutations are the units. The second holds the references fixed.

    Examples
    --------
    >>> standard_errors(np.array([[0.0, 2.0], [4.0, 6.0]]))  # doctest: +NORMALIZE_WHITESPACE
    (np.float64(2.0), np.float64(0.7071067811865476))
    """
    n_references, n_permutations = samples.shape[:2]
    if n_permutations > 1:
        of_means = samples.var(axis=1, ddof=1) / n_permutations
        by_permutation = np.sqrt(of_means.mean(axis=0) / n_references)
    else:
        by_permutation = np.full(samples.shape[2:], np.nan)
    if n_references == 1:
        return by_permutation, by_permutation
    return samples.mean(axis=1).std(axis=0, ddof=1) / np.sqrt(n_references), by_permutation


@contextmanager
def _global_generator() -> Iterator[None]:
    """Lend NumPy's global generator, which shap seeds and draws from, and put its state back."""
    state = np.random.get_state()  # noqa: NPY002 (it is the one that shap uses)
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
