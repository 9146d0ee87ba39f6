"""Arrays for tfmodisco-lite, which finds motifs in hypothetical contributions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.export._pieces import Result, name_of, pieces_of
from kipoi_tfbind.results.files import check_writable, whole_file
from kipoi_tfbind.results.position_scores import hypothetical_scores


def export_modisco(
    result: Result, prefix: str | os.PathLike[str], *, target: int | str = 0
) -> tuple[Path, Path]:
    """Write the files that ``modisco motifs -s ... -a ...`` reads (Shrikumar et al. 2018, arXiv:1811.00416).

    Parameters
    ----------
    result
        Result of `deep_shap`, `gradients` or `in_silico_mutagenesis`, or the file of one.
    prefix
        The files are ``PREFIX.one_hot.npz`` and ``PREFIX.scores.npz``; files of those names are replaced.
    target
        Index of the target, or its name.

    Returns
    -------
    one_hot, scores
        The two files. Each holds ``arr_0`` of shape (sequence, base, position): the sequences, and the
        hypothetical scores of all four bases, not projected onto the sequence, as tfmodisco-lite wants them.
        Those of in-silico mutagenesis are its effects minus their mean at each position.

    Raises
    ------
    InputError
        The result has no such target or no such scores, or gaps between its positions; or the files cannot
        be written.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = in_silico_mutagenesis(model, encode_sequences(["AGGA"]))
    >>> one_hot, scores = export_modisco(result, getfixture("tmp_path") / "ism")
    >>> np.load(scores)["arr_0"][0, :, 0]
    array([-0.25, -0.25,  0.75, -0.25], dtype=float32)
    """
    paths = Path(f"{prefix}.one_hot.npz"), Path(f"{prefix}.scores.npz")
    for path in paths:
        check_writable(path)
    name = name_of(result)
    one_hot: list[NDArray] = []
    scores: list[NDArray] = []
    for piece in pieces_of(result, target):
        positions = piece["position"].values
        if (np.diff(positions) != 1).any():
            raise InputError(
                f"{name}: has only some of the positions from {positions[0]} to {positions[-1]}; give "
                "tfmodisco-lite a result of all of them"
            )
        one_hot.append(piece["one_hot"].transpose("sequence", "base", "position").values.astype(np.int8))
        scores.append(hypothetical_scores(piece, name).transpose(0, 2, 1).astype(np.float32))
    # Both or none of them.
    with whole_file(paths[0]) as first, whole_file(paths[1]) as second:
        np.savez_compressed(first, arr_0=np.concatenate(one_hot))
        np.savez_compressed(second, arr_0=np.concatenate(scores))
    return paths
