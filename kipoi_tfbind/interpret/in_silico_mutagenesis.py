"""In-silico mutagenesis: every base of a sequence replaced by every other, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, predict_edits
from kipoi_tfbind.interpret._method import Variables, choose_positions, run_method
from kipoi_tfbind.interpret._paths import EditPath, Path, Paths
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences

SUBSTITUTIONS = len(BASES) - 1


def in_silico_mutagenesis(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    start: int = 0,
    end: int | None = None,
    positions: Sequence[int] | None = None,
    path: Path = "auto",
    verify: bool = False,
    batch_size: int = 256,
) -> xr.Dataset:
    """Effect of every substitution of a base on the prediction.

    The effect of base b at position i is f(x with b at i) - f(x): the three substitutions are predicted,
    and the observed base has the effect 0. N stays N: it is no base that could be substituted, so that its
    effects are missing (NaN). Nothing is centred or scaled.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base), as `read_sequences` and `encode_sequences`
        make it; its coordinates go into the result.
    start, end
        Positions to mutate, 0-based, `end` not included; None is the end of the sequence.
    positions
        The positions to mutate instead, 0-based, in any order.
    path
        "incremental": compute only what a substitution changes, which is exact; "full": predict every mutant
        as a whole; "auto": what is expected to be faster. The result says which it was.
    verify
        Hold a random part of the incremental predictions against full ones.
    batch_size
        Number of mutants that are predicted at once. Mutants of several sequences share a batch; memory
        for them does not grow with the number of sequences.

    Returns
    -------
    xr.Dataset
        ``prediction`` (sequence, target), ``mutation_effect`` (sequence, position, base, target)
        and ``one_hot`` (sequence, position, base), for the positions that are mutated.

    Raises
    ------
    VerificationError
        The incremental predictions are not those of whole mutants.
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
    sequences = as_sequences(sequences)
    chosen = choose_positions(start, end, positions, sequences.sizes["position"])
    paths = Paths(path)

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        effect = mutation_effects(
            paths.of(member, batch), batch, chosen, prediction, verify=verify, batch_size=batch_size
        )
        return {"mutation_effect": (("sequence", "position", "base", "target"), effect)}

    return run_method(
        "in_silico_mutagenesis",
        model,
        sequences,
        compute,
        settings=lambda: {
            "start": int(chosen[0]),
            "end": int(chosen[-1]) + 1,
            "n_positions": len(chosen),
            **paths.settings(),
        },
        batch_size=batch_size,
        positions=chosen,
    )


def mutation_effects(
    path: EditPath,
    batch: Batch,
    positions: NDArray[np.intp],
    prediction: NDArray,
    *,
    verify: bool,
    batch_size: int,
) -> NDArray:
    """Effects of all substitutions at some positions: (sequence, position, base, target)."""
    codes = codes_of(batch.one_hot[:, positions])
    effect = np.zeros((*codes.shape, len(BASES), prediction.shape[1]), dtype=prediction.dtype)
    effect[codes == N_CODE] = np.nan
    site_of = np.flatnonzero(codes != N_CODE)

    def sites(mutants: NDArray[np.intp]) -> tuple[NDArray, NDArray, NDArray]:
        """Sequence, index of the position, and new base of each mutant: three for each site that is not N."""
        site, substitution = np.divmod(mutants, SUBSTITUTIONS)
        sequence, index = np.divmod(site_of[site], codes.shape[1])
        return sequence, index, (codes[sequence, index] + 1 + substitution) % len(BASES)

    def edits_of(mutants: NDArray[np.intp]) -> Edits:
        sequence, index, base = sites(mutants)
        return Edits(sequence, positions[index, np.newaxis], base[:, np.newaxis])

    n, per_sequence = SUBSTITUTIONS * len(site_of), SUBSTITUTIONS * len(positions)
    path.of(1, per_sequence)  # also where all of these sequences are N: a result is the same in pieces
    for mutants, found in predict_edits(
        path,
        batch,
        n,
        edits_of,
        per_sequence=per_sequence,
        verify=verify,
        batch_size=batch_size,
        description="mutants",
    ):
        sequence, index, base = sites(mutants)
        effect[sequence, index, base] = found - prediction[sequence]
    return effect
