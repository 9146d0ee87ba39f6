"""Results with a number for each sequence and target, such as predictions, as text."""

from __future__ import annotations

import gzip
import os
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.export._pieces import CHUNK, Result, name_of
from kipoi_tfbind.results.files import check_writable, open_result, pieces, whole_file

_DIMS = ("sequence", "target")


def export_table(result: Result, path: str | os.PathLike[str]) -> None:
    r"""Write the numbers of each sequence and target as tab-separated text: a line for each sequence.

    First come the sequence's coordinates (id, chrom, start, end: 0-based, half-open), then a column for each
    variable and target, named VARIABLE/TARGET. A result in a file is read piece by piece.

    Parameters
    ----------
    result
        Result of `predict_sequences`, or of another method with a number for each sequence and target; or the
        file of one.
    path
        File to write, compressed where its name ends in ``.gz``; a file of that name is replaced.

    Raises
    ------
    InputError
        The result has no such variable, or the file cannot be written.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, predict_sequences
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> path = getfixture("tmp_path") / "predictions.tsv"
    >>> export_table(predict_sequences(model, encode_sequences(["AGGA", "TTTT"], ids=["a", "b"])), path)
    >>> for line in path.read_text().splitlines():
    ...     print(line.split("\t")[:2])
    ['id', 'prediction/number of G']
    ['a', '2']
    ['b', '0']
    """
    check_writable(path)
    with ExitStack() as stack:
        if not isinstance(result, xr.Dataset):
            name, result = name_of(result), stack.enter_context(open_result(result, lazy=True))
        else:
            name = name_of(result)
        numbers = result[_numbers(result, name)]
        opened = gzip.open if Path(path).suffix == ".gz" else open
        partial = stack.enter_context(whole_file(path))
        with opened(partial, "wt", newline="", encoding="utf-8") as file:
            for number, piece in enumerate(pieces(numbers, CHUNK)):
                _table(piece).to_csv(
                    file, sep="\t", index=False, header=number == 0, float_format="%.7g", lineterminator="\n"
                )


def _numbers(result: xr.Dataset, name: str) -> list[str]:
    """Variables with a number for each sequence and target; those of dropout where it was drawn."""
    names = [str(variable) for variable, values in result.data_vars.items() if values.dims == _DIMS]
    if not result.attrs.get("dropout_samples", 1):
        names = [variable for variable in names if not variable.startswith("dropout_")]
    if not names:
        method = result.attrs.get("method", "an unknown method")
        raise InputError(f"{name}: of {method}, which has no number for each sequence and target")
    return names


def _table(result: xr.Dataset) -> pd.DataFrame:
    """Coordinates and numbers of some sequences."""
    columns = {
        str(name): values.values for name, values in result.coords.items() if values.dims == ("sequence",)
    }
    for name, values in result.data_vars.items():
        for number, target in enumerate(result["target"].values):
            columns[f"{name}/{target}"] = values.values[:, number]
    return pd.DataFrame(columns)
