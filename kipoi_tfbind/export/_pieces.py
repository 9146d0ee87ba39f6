"""One target of a result with scores of positions, some sequences at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.files import open_result, pieces
from kipoi_tfbind.results.view import find

Result = xr.Dataset | str | os.PathLike[str]
CHUNK = 256
_VARIABLES = ("one_hot", "contribution", "hypothetical_contribution", "mutation_effect")
# Its single effects are those of the positions in its pairs, often a few of a sequence: no track of it.
_PAIRWISE = "second_order_mutagenesis"


def name_of(result: Result) -> str:
    """Name of a result in messages: its file, where it is in one."""
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
    with progress("export", one.sizes["sequence"]) as bar:
        for piece in pieces(one, CHUNK):
            yield piece
            bar.update(piece.sizes["sequence"])


def _of_target(result: xr.Dataset, target: int | str, name: str) -> xr.Dataset:
    method = result.attrs.get("method", "an unknown method")
    if method == _PAIRWISE or ("contribution" not in result and "mutation_effect" not in result):
        raise InputError(
            f"{name}: of {method}, which has no score for each base; export a result of ism, deepshap, "
            "gradients or sampled-shapley on the same sequences"
        )
    index = find(result, "target", "target", target, name)
    return result[[variable for variable in _VARIABLES if variable in result]].isel(target=index)
