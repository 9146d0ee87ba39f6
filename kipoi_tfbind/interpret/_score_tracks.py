"""Scores of bases, read from a result of any method for one target, with the sequences they are of."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.files import open_result, pieces
from kipoi_tfbind.results.position_scores import base_scores

Result = xr.Dataset | str | os.PathLike[str]
_CHUNK = 1024
_SOURCES = ("contribution", "mutation_effect", "occlusion_effect")
# Its single effects are those of the positions in its pairs, often a few of a sequence.
_PAIRWISE = "second_order_mutagenesis"


@dataclass(frozen=True)
class ScoreTracks:
    """Scores of bases for one target.

    Attributes
    ----------
    scores
        float32 (sequence, position); NaN at N.
    codes
        uint8 base codes (sequence, position).
    first
        Position in the sequences, 0-based, of the first that has a score.
    places
        Coordinates of the sequences: ``id``, and where they are known ``chrom``, ``start``, ``end`` and
        ``strand``.
    target
        Name of the target.
    attributes
        Those of the result.
    """

    scores: NDArray[np.float32]
    codes: NDArray[np.uint8]
    first: int
    places: xr.Dataset
    target: str
    attributes: dict[str, object]


def read_tracks(result: Result, target: int | str = 0) -> ScoreTracks:
    """Read the score of each base of a result, some sequences at a time.

    The contribution of the base that is there; of mutagenesis, minus the mean effect of its three
    substitutions; of occlusion, minus the mean effect of the windows that cover it.

    Raises
    ------
    InputError
        The result has no contributions, no such target, no sequences, or gaps between its positions.
    """
    if not isinstance(result, xr.Dataset):
        with open_result(result, lazy=True) as opened:
            return _read(opened, target, os.fspath(result))
    return _read(result, target, "result")


def _read(result: xr.Dataset, target: int | str, name: str) -> ScoreTracks:
    source = next((variable for variable in _SOURCES if variable in result), None)
    method = result.attrs.get("method", "an unknown method")
    if source is None or "one_hot" not in result or method == _PAIRWISE:
        raise InputError(
            f"{name}: of {method}, which has no contributions; give a result of deepshap, gradients, ism or "
            "occlusion"
        )
    names = [str(value) for value in result["target"].values]
    index = names.index(target) if target in names else target
    if not isinstance(index, int) or not 0 <= index < len(names):
        raise InputError(f"target: {name} has no {target!r}; it has {', '.join(names[:10])}")
    positions = result["position"].values
    if not result.sizes["sequence"] or (np.diff(positions) != 1).any():
        raise InputError(
            f"{name}: expected sequences with all positions from a first to a last, got "
            f"{result.sizes['sequence']} sequences with {len(positions)} positions"
        )
    coordinates = [c for c, values in result.coords.items() if values.dims == ("sequence",)]
    one = result[["one_hot", source]].isel(target=index)
    scores, codes = [], []
    for piece in pieces(one, _CHUNK):
        one_hot = piece["one_hot"].transpose("sequence", "position", "base").values
        is_base = one_hot.any(axis=-1)
        codes.append(np.where(is_base, one_hot.argmax(axis=-1), N_CODE).astype(np.uint8))
        scores.append(base_scores(piece).astype(np.float32))
    return ScoreTracks(
        np.concatenate(scores),
        np.concatenate(codes),
        int(positions[0]),
        xr.Dataset(coords={c: (("sequence",), result[c].values) for c in coordinates}),
        names[index],
        dict(result.attrs),
    )
