"""Results whose variables are columns of one table, as netCDF-4 or as text."""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from kipoi_tfbind.results.files import save_result, whole_file

_RESULT_SUFFIXES = (".nc", ".nc4", ".h5", ".hdf5")


def write_table(result: xr.Dataset, path: str | os.PathLike[str]) -> None:
    r"""Write a result as tab-separated text, or as netCDF-4 where the name ends in .nc or .h5.

    Of text, a first line of comment has the attributes; variables of other dimensions than most are left out.

    Raises
    ------
    InputError
        The file cannot be written.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.tsv"
    >>> write_table(xr.Dataset({"p": ("motif", [0.5])}, {"motif": ["M"]}, {"method": "m"}), path)
    >>> path.read_text()
    '# method=m\nmotif\tp\nM\t0.5\n'
    """
    if Path(path).suffix in _RESULT_SUFFIXES:
        save_result(result, path)
        return
    first = next(iter(result.data_vars.values()))
    table = result[[name for name, values in result.data_vars.items() if values.dims == first.dims]]
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.write("# " + "; ".join(f"{name}={value}" for name, value in result.attrs.items()) + "\n")
        table.to_dataframe().reset_index().to_csv(
            file, sep="\t", index=False, float_format="%.6g", lineterminator="\n"
        )
