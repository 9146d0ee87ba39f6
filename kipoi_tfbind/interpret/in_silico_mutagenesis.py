"""In-silico mutagenesis: every base of a sequence replaced by every other, one at a time."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import predict_in_batches, provenance
from kipoi_tfbind.model import SequenceModel
from kipoi_tfbind.one_hot import BASES, N_CODE, decode_one_hot, encode_bases

_SUBSTITUTIONS = len(BASES) - 1


def in_silico_mutagenesis(
    model: SequenceModel,
    sequences: xr.Dataset,
    *,
    start: int = 0,
    end: int | None = None,
    batch_size: int = 256,
) -> xr.Dataset:
    """Effect of every substitution of a base on the prediction.

    The effect of base b at position i is f(x with b at i) - f(x): the three substitutions are predicted,
    and the base that is there has the effect 0. N stays N: no base is there that could be substituted, so
    its effects are missing (NaN). Nothing is centred or scaled.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`.
    sequences
        Dataset with ``one_hot`` (sequence, position, base), as `read_sequences` and `encode_sequences`
        make it; its coordinates go into the result.
    start, end
        Positions to mutate, 0-based, `end` not included; None is the end of the sequence.
    batch_size
        Number of mutants that are predicted at once. Mutants of several sequences share a batch; memory
        for them does not grow with the number of sequences.

    Returns
    -------
    xr.Dataset
        ``reference_prediction`` (sequence, target), ``mutation_effect`` (sequence, position, base, target)
        and ``one_hot`` (sequence, position, base), for the positions from `start` to `end`.

    Raises
    ------
    InputError
        Positions outside the sequence; a Dataset without a one-hot array, or one that does not fit the model.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = in_silico_mutagenesis(model, encode_sequences(["AGN"]))
    >>> result["mutation_effect"].sel(target="number of G").values[0]
    array([[ 0.,  0.,  1.,  0.],
           [-1., -1.,  0., -1.],
           [nan, nan, nan, nan]], dtype=float32)
    """
    schema.require(sequences, "one_hot")
    one_hot = sequences["one_hot"].values
    n, length, _ = one_hot.shape
    end = length if end is None else end
    if not 0 <= start < end <= length:
        raise InputError(
            f"start, end: expected 0 <= start < end <= {length}, the sequences' length, got {start} and {end}"
        )
    codes = encode_bases(decode_one_hot(one_hot)).reshape(n, length)[:, start:end]

    batches = predict_in_batches(
        model, n, lambda rows: one_hot[rows], batch_size=batch_size, description="reference"
    )
    none = np.empty((0, len(model.target_names)), dtype=np.float32)
    reference = np.concatenate([none, *(prediction for _, prediction in batches)])
    effect = _mutation_effects(model, one_hot, codes, start, reference, batch_size)

    result = sequences[["one_hot"]].isel(position=slice(start, end))
    result = result.assign_coords(
        position=result["position"], base=list(BASES), target=list(model.target_names)
    )
    result["reference_prediction"] = ("sequence", "target"), reference
    result["mutation_effect"] = ("sequence", "position", "base", "target"), effect
    settings = {"start": start, "end": end, "batch_size": batch_size}
    return schema.annotate(result.assign_attrs(provenance("in_silico_mutagenesis", model, **settings)))


def _mutation_effects(
    model: SequenceModel,
    one_hot: NDArray,
    codes: NDArray[np.uint8],
    start: int,
    reference: NDArray,
    batch_size: int,
) -> NDArray:
    """Effects (sequence, position, base, target) at the positions of `codes`, which begin at `start`."""
    effect = np.zeros((*codes.shape, len(BASES), reference.shape[1]), dtype=reference.dtype)
    effect[codes == N_CODE] = np.nan
    site_of = np.flatnonzero(codes != N_CODE)

    def sites(mutants: NDArray[np.intp]) -> tuple[NDArray, NDArray, NDArray]:
        """Sequence, position and new base of each mutant: three mutants for each site that is not N."""
        site, substitution = np.divmod(mutants, _SUBSTITUTIONS)
        sequence, position = np.divmod(site_of[site], codes.shape[1])
        return sequence, position, (codes[sequence, position] + 1 + substitution) % len(BASES)

    def make(mutants: NDArray[np.intp]) -> NDArray:
        sequence, position, base = sites(mutants)
        mutated = one_hot[sequence]
        row = np.arange(len(mutants))
        mutated[row, start + position] = 0
        mutated[row, start + position, base] = 1
        return mutated

    n_mutants = _SUBSTITUTIONS * len(site_of)
    batches = predict_in_batches(model, n_mutants, make, batch_size=batch_size, description="mutants")
    for mutants, prediction in batches:
        sequence, position, base = sites(mutants)
        effect[sequence, position, base] = prediction - reference[sequence]
    return effect
