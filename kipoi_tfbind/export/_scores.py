"""Scores of bases in a result, one target at a time, whatever method it is from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm import tqdm

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.files import open_result, pieces

Result = xr.Dataset | str | os.PathLike[str]
_CHUNK = 256
_VARIABLES = ("one_hot", "contribution", "hypothetical_contribution", "mutation_effect")
# Its single effects are those of the positions in its pairs, often a few of a sequence: no track of it.
_PAIRWISE = "second_order_mutagenesis"


def name_of(result: Result) -> str:
    """What messages call a result: its file, where it is in one."""
    return "result" if isinstance(result, xr.Dataset) else os.fspath(result)


def pieces_of(result: Result, target: int | str) -> Iterator[xr.Dataset]:
    """One target of a result, some sequences at a time.

    Of a file, or of a Dataset that was opened lazily, no other target is read into memory.

    Raises
    ------
    InputError
        The result has no such target, or is of a method without a score for each base.
    """
    if isinstance(result, xr.Dataset):
        yield from _pieces(result, target, name_of(result))
        return
    with open_result(result, lazy=True) as whole:
        yield from _pieces(whole, target, name_of(result))


def _pieces(result: xr.Dataset, target: int | str, name: str) -> Iterator[xr.Dataset]:
    one = _of_target(result, target, name)
    with tqdm(
        total=one.sizes["sequence"], desc="export", unit="seq", disable=None, leave=False, delay=1
    ) as progress:
        for piece in pieces(one, _CHUNK):
            yield piece
            progress.update(piece.sizes["sequence"])


def _of_target(result: xr.Dataset, target: int | str, name: str) -> xr.Dataset:
    method = result.attrs.get("method", "an unknown method")
    if method == _PAIRWISE or ("contribution" not in result and "mutation_effect" not in result):
        raise InputError(
            f"{name}: of {method}, which has no score for each base; export a result of ism, deepshap, "
            "gradients or sampled-shapley on the same sequences"
        )
    names = [str(value) for value in result["target"].values]
    if isinstance(target, str) and target not in names:
        there = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise InputError(f"target: {name} has none of the name {target!r}; it has {there}")
    index = names.index(target) if isinstance(target, str) else target
    if not 0 <= index < len(names):
        raise InputError(f"target: expected an index from 0 to {len(names) - 1}, got {index}")
    return result[[variable for variable in _VARIABLES if variable in result]].isel(target=index)


def base_scores(piece: xr.Dataset) -> NDArray:
    """Score (sequence, position) of the base that is there; NaN for N.

    Its contribution; of mutagenesis, minus the mean effect of its three substitutions.
    """
    is_base = piece["one_hot"].transpose("sequence", "position", "base").values.any(axis=-1)
    if "contribution" in piece:
        scores = piece["contribution"].transpose("sequence", "position", "base").values.sum(axis=-1)
    else:
        effect = piece["mutation_effect"].transpose("sequence", "position", "base").values
        scores = -effect.sum(axis=-1) / (len(BASES) - 1)
    return np.where(is_base, scores, np.nan)


def hypothetical_scores(piece: xr.Dataset, name: str) -> NDArray:
    """Score (sequence, position, base) that each base would have, not projected; 0 for N.

    The hypothetical contribution; of mutagenesis, the effect minus its mean over the four bases.

    Raises
    ------
    InputError
        The method has none; `name` is what the message calls the result.
    """
    if "hypothetical_contribution" in piece:
        scores = piece["hypothetical_contribution"].transpose("sequence", "position", "base").values
    elif "mutation_effect" in piece:
        effect = piece["mutation_effect"].transpose("sequence", "position", "base").values
        scores = effect - effect.mean(axis=-1, keepdims=True)
    else:
        raise InputError(
            f"{name}: of {piece.attrs.get('method', 'an unknown method')}, which has no scores of the bases "
            "that are not there; give tfmodisco-lite a result of ism, deepshap or gradients"
        )
    is_base = piece["one_hot"].transpose("sequence", "position", "base").values.any(axis=-1, keepdims=True)
    return np.where(is_base, scores, 0)
