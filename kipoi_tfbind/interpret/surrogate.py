"""A simple model of what a complex one does around a sequence, additive or with pairs, and its fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, predict_edits
from kipoi_tfbind.interpret._least_squares import Fit, fit_least_squares, fit_sparse, r_squared
from kipoi_tfbind.interpret._method import Variables, check_range, run_method
from kipoi_tfbind.interpret._paths import EditPath, Path, Paths
from kipoi_tfbind.interpret.in_silico_mutagenesis import SUBSTITUTIONS, mutation_effects
from kipoi_tfbind.memory import check_fits
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences

# One mutant in so many is not fitted: the fit is judged by them.
_HELD_OUT = 5


def surrogate(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    n_mutants: int = 4000,
    mutation_rate: float = 0.1,
    pairwise: bool = False,
    sparse: bool = False,
    start: int = 0,
    end: int | None = None,
    seed: int = 0,
    path: Path = "auto",
    batch_size: int = 256,
) -> xr.Dataset:
    """Fit an additive model to the predictions of many random mutants of each sequence.

    It says how far the model is a sum of single bases around the sequence, as LIME (Ribeiro et al. 2016,
    doi:10.1145/2939672.2939778) and SQUID (Seitz et al. 2024, doi:10.1038/s42256-024-00851-5) do. In a mutant
    each base is replaced, with the probability `mutation_rate`, by one of the three others. The parameters
    are those of least squares: the effect of a base is the mean over what else is mutated, where ISM's is
    that in the sequence as it is. Their intervals (95%) hold though the model is no sum (HC3; MacKinnon and
    White 1985, doi:10.1016/0304-4076(85)90158-7). One mutant in five is not fitted, and has R² of its
    prediction.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    n_mutants
        Mutants of each sequence; more than parameters, unless `sparse`.
    mutation_rate
        Probability that a base is replaced.
    pairwise
        Fit, too, what every two positions add if both are mutated, whatever to.
    sparse
        Choose the parameters first: by the lasso, with its penalty from cross-validation, on half of the
        mutants. Those that are chosen are fitted to the other half, so that their intervals hold; the others
        are 0 and have no interval (NaN). Where two penalties are equally good, rounding may decide.
    start, end
        Positions to mutate, 0-based, `end` not included; None is the end of the sequence.
    seed
        Of the mutants; they also depend on the sequence, and on nothing else.
    path
        As `in_silico_mutagenesis`.
    batch_size
        Number of mutants that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``surrogate_effect`` (sequence, position, base, target) with its ends ``_low`` and ``_high``, 0 for
        the observed base, and beside it ISM's ``mutation_effect``; ``interaction`` (sequence, pair, target)
        with its ends, without any pair unless `pairwise`; ``r_squared`` of mutants that were not fitted
        (sequence, target); ``prediction`` and ``one_hot``. At N all are NaN. The ends of an ensemble are the
        means over its members.

    Raises
    ------
    InputError
        Fewer mutants than parameters, or another option that is none.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = surrogate(model, encode_sequences(["AG"]), n_mutants=200, mutation_rate=0.5)
    >>> result["surrogate_effect"].sel(target="number of G").values[0].round(6) + 0.0
    array([[ 0.,  0.,  1.,  0.],
           [-1., -1.,  0., -1.]], dtype=float32)
    >>> result["r_squared"].values.round(6)
    array([[1.]], dtype=float32)
    """
    sequences = as_sequences(sequences)
    start, end = check_range(start, end, sequences.sizes["position"])
    width = end - start
    first, second = np.triu_indices(width if pairwise else 1, k=1)
    _check_options(n_mutants, mutation_rate, SUBSTITUTIONS * width + len(first), sparse)
    whole_number("seed", seed)
    # ISM has a path of its own, which need not be that of the mutants.
    paths, paths_of_ism = Paths(path), Paths(path)
    mutants = _Mutants(start, end, n_mutants, mutation_rate, seed)

    def compute(member: SequenceModel, batch: Batch, reference: NDArray) -> Variables:
        ism = mutation_effects(
            paths_of_ism.of(member, batch),
            batch,
            np.arange(start, end),
            reference,
            verify=False,
            batch_size=batch_size,
        )
        way = paths.of(member, batch)
        fits = [
            _fit_sequence(way, batch.rows(np.array([row])), mutants, (first, second), sparse, batch_size)
            for row in range(len(batch))
        ]
        return _variables(fits, ism, len(first))

    settings: dict[str, int | float | str] = {
        "n_mutants": n_mutants,
        "mutation_rate": mutation_rate,
        "pairwise": int(pairwise),
        "sparse": int(sparse),
        "start": start,
        "end": end,
        "seed": seed,
    }
    return run_method(
        "surrogate",
        model,
        sequences,
        compute,
        settings=lambda: {**settings, **paths.settings()},
        batch_size=batch_size,
        positions=np.arange(start, end),
        coordinates={"position_a": ("pair", start + first), "position_b": ("pair", start + second)},
    )


def _check_options(n_mutants: int, mutation_rate: float, n_parameters: int, sparse: bool) -> None:
    whole_number("n_mutants", n_mutants, least=1)
    if not 0 < mutation_rate < 1:
        raise InputError(f"mutation_rate: expected a probability between 0 and 1, got {mutation_rate}")
    fitted = n_mutants - -(-n_mutants // _HELD_OUT)
    least = 10 if sparse else n_parameters + 2
    if fitted < least:
        advice = "" if sparse else ", a shorter range (start, end), or sparse=True"
        raise InputError(
            f"n_mutants: four fifths of them are fitted, {fitted} of {n_mutants}, and at least {least} are "
            f"needed for {n_parameters} parameters; take more mutants{advice}"
        )
    n_bytes = 8.0 * n_mutants * n_parameters
    check_fits("n_mutants", f"{n_mutants:,} mutants by {n_parameters:,} parameters", n_bytes, "take fewer")


@dataclass(frozen=True)
class _Mutants:
    """Random mutants of a sequence, which depend on it, the seed, and nothing else."""

    start: int
    end: int
    n: int
    rate: float
    seed: int

    def codes(self, own: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Base codes (mutant, position) of the range, from those of the whole sequence (position)."""
        (words,) = content_seeds(own[np.newaxis], self.seed, "mutants of surrogate")
        rng = np.random.default_rng(words)
        codes = own[self.start : self.end]
        shape = (self.n, len(codes))
        shift = np.where(rng.random(shape) < self.rate, rng.integers(1, len(BASES), shape), 0)
        return np.where(codes == N_CODE, N_CODE, (codes + shift) % len(BASES)).astype(np.uint8)


@dataclass(frozen=True)
class _SequenceFit:
    """Parameters of one sequence: (position, base, target), (pair, target), and their ends likewise."""

    effect: Fit
    interaction: Fit
    r_squared: NDArray


def _fit_sequence(
    path: EditPath,
    one: Batch,
    mutants: _Mutants,
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    sparse: bool,
    batch_size: int,
) -> _SequenceFit:
    own = codes_of(one.one_hot)[0]
    mutated = mutants.codes(own)
    positions = np.arange(mutants.start, mutants.end)

    def edits_of(numbers: NDArray[np.intp]) -> Edits:
        rows = np.zeros(len(numbers), np.intp)
        return Edits(rows, np.tile(positions, (len(numbers), 1)), mutated[numbers].astype(np.intp))

    response = np.empty((mutants.n, len(path.model.target_names)))
    for numbers, prediction in predict_edits(
        path,
        one,
        mutants.n,
        edits_of,
        per_sequence=mutants.n,
        batch_size=batch_size,
        description="mutants of the surrogate",
    ):
        response[numbers] = prediction
    codes = own[mutants.start : mutants.end]
    design = _design(codes, mutated, pairs)
    held_out = np.arange(mutants.n) % _HELD_OUT == 0
    fit = (fit_sparse if sparse else fit_least_squares)(design[~held_out], response[~held_out])
    score = r_squared(response[held_out], fit.predict(design[held_out]))
    return _SequenceFit(*_by_base(codes, fit, pairs), score)


def _design(
    codes: NDArray[np.uint8], mutated: NDArray[np.uint8], pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> NDArray[np.float64]:
    """Regressors (mutant, parameter): each substitution, then each pair of positions."""
    shift = np.where(codes == N_CODE, 0, (mutated.astype(np.int64) - codes) % len(BASES))
    single = shift[:, :, np.newaxis] == np.arange(1, len(BASES))
    changed = shift > 0
    both = changed[:, pairs[0]] & changed[:, pairs[1]]
    return np.concatenate([single.reshape(len(mutated), -1), both], axis=1).astype(np.float64)


def _by_base(
    codes: NDArray[np.uint8], fit: Fit, pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> tuple[Fit, Fit]:
    """The parameters by position and base, and those of the pairs; NaN at N."""
    n_single, n_targets = SUBSTITUTIONS * len(codes), fit.value.shape[1]
    place = np.arange(len(codes))[:, np.newaxis]
    base = (codes[:, np.newaxis] + np.arange(1, len(BASES))) % len(BASES)
    unknown = codes == N_CODE

    def single(values: NDArray) -> NDArray:
        found = np.zeros((len(codes), len(BASES), n_targets))
        found[place, base] = values[1 : 1 + n_single].reshape(len(codes), SUBSTITUTIONS, n_targets)
        found[unknown] = np.nan
        return found

    def paired(values: NDArray) -> NDArray:
        found = values[1 + n_single :].copy()
        found[unknown[pairs[0]] | unknown[pairs[1]]] = np.nan
        return found

    effect, interaction = (Fit(*map(shaped, fit)) for shaped in (single, paired))
    return effect, interaction


def _variables(fits: list[_SequenceFit], ism: NDArray, n_pairs: int) -> Variables:
    variables: Variables = {"mutation_effect": (("sequence", "position", "base", "target"), ism)}
    n_targets = ism.shape[-1]
    scores = np.array([fit.r_squared for fit in fits]).reshape(len(fits), n_targets)
    variables["r_squared"] = ("sequence", "target"), scores.astype(ism.dtype)
    for name, dims, shape in (
        ("surrogate_effect", ("sequence", "position", "base", "target"), ism.shape),
        ("interaction", ("sequence", "pair", "target"), (len(fits), n_pairs, n_targets)),
    ):
        found = [fit.effect if name == "surrogate_effect" else fit.interaction for fit in fits]
        for end in ("value", "low", "high"):
            values = np.array([getattr(each, end) for each in found]).reshape(shape)
            variables[name + ("" if end == "value" else f"_{end}")] = dims, values.astype(ism.dtype)
    return variables
