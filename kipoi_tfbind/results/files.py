"""Results as files: netCDF-4, which is HDF5, so that xarray, h5py, R and the command line all read them.

A result that is too big for memory is written piece by piece by `kipoi_tfbind.results.append`, and read
piece by piece by `iterate_result`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import notice
from kipoi_tfbind.repairs.outputs import reserve

# Attribute of a file that holds some of a result's sequences; taken away when all of them are there.
UNFINISHED = "unfinished"
# Beginning of the attributes of such a file that hold the options that its run was given.
OPTION = "option_"

# Variables that are mostly zeros. Level 1 makes one_hot 11 and contribution 2.3 times smaller, at 270 and
# 70 MB/s; effects and hypothetical contributions would become 1.1 to 1.3 times smaller at 40 MB/s, which
# does not pay. Measured on (1000, 1000, 4) float32.
COMPRESSED = ("one_hot", "contribution")
_CHUNK_BYTES = 1 << 20
_FILE_OVERHEAD = 1 << 16


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, and move what was written to `path` only when all of it is there.

    Parameters
    ----------
    path
        Final name of the file; a file of that name is replaced.

    Yields
    ------
    Path
        A name in the same folder, with the same suffix. Where the block raises, the file is removed.

    Raises
    ------
    InputError
        There is no such folder, nothing can be written there, or `path` is a folder.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> with whole_file(path) as partial:
    ...     _ = partial.write_text("all of it")
    >>> path.read_text()
    'all of it'
    """
    final = _file_name(path)
    check_writable(final)
    partial = final.with_name(f".{final.stem}.{os.getpid()}.partial{final.suffix}")
    try:
        yield partial
        os.replace(partial, final)
    except OSError as error:
        raise InputError(
            f"{final}: cannot be written ({error.strerror or error}); choose another place"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _file_name(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path: expected the name of a file, got {path!r}")
    return Path(path)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that a file can be written.

    Raises
    ------
    InputError
        There is no such folder, nothing can be written there, or `path` is a folder.
    """
    path = _file_name(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or choose another place")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: nothing can be written to the folder {path.parent}; choose another place")


def save_result(result: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a result to a netCDF-4 file, whole or not at all.

    Parameters
    ----------
    result
        Result of a method.
    path
        Name of the file; a file of that name is replaced. ``.nc`` and ``.h5`` are usual.

    Raises
    ------
    InputError
        The file cannot be written there.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "result.nc"
    >>> save_result(xr.Dataset({"score": ("sequence", [1.0, 2.0])}), path)
    >>> open_result(path)["score"].values
    array([1., 2.])
    """
    if not isinstance(result, xr.Dataset):
        raise InputError(f"result: expected a Dataset, got {type(result).__name__}")
    with whole_file(path) as partial:
        write_netcdf(result, partial)


def write_netcdf(result: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Dataset to netCDF-4 as it comes: under this name at once, and compressed where that pays."""
    encoding: dict[str, Mapping[str, Any]] = {
        name: {
            "zlib": True,
            "complevel": 1,
            "chunksizes": chunk_shape(result[name].shape, result[name].dtype),
        }
        for name in COMPRESSED
        if name in result and result[name].size
    }
    # A full disk is found before HDF5 has the file open: it cannot close one that it failed to write.
    reserve(path, result.nbytes + _FILE_OVERHEAD)
    # Kept in the order of their creation, variables would have the time of it in the file, too: the same
    # result would be other bytes.
    # Nor do the bytes tell in what order the variables were computed.
    in_order = xr.Dataset(
        {name: result[name].variable for name in sorted(result.data_vars, key=str)},
        coords={name: result[name].variable for name in sorted(result.coords, key=str)},
        attrs=dict(sorted(result.attrs.items())),
    )
    with h5netcdf.File(path, "w", track_order=False) as file:
        in_order.dump_to_store(xr.backends.H5NetCDFStore(file), encoding=encoding)


def add_variables(variables: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write further variables, without their coordinates, into a netCDF-4 file of ours."""
    bare = variables.drop_vars(list(variables.coords)).drop_attrs(deep=False)
    # Without HDF5's times, as `kipoi_tfbind.results.join` writes.
    with h5netcdf.File(path, "a", track_order=False) as file:
        bare.dump_to_store(xr.backends.H5NetCDFStore(file))


def chunk_shape(shape: Sequence[int], dtype: np.dtype) -> tuple[int, ...]:
    """Whole sequences, as many as make about a megabyte: results are read by sequence.

    Examples
    --------
    >>> chunk_shape((10_000, 1000, 4), np.dtype("float32"))
    (65, 1000, 4)
    """
    n, *others = shape
    rows = max(1, _CHUNK_BYTES // (math.prod(others) * dtype.itemsize))
    return (min(n, rows), *others)


def open_result(path: str | os.PathLike[str], *, lazy: bool = False) -> xr.Dataset:
    """Read a result.

    Parameters
    ----------
    path
        File from `save_result` or `finish_result`.
    lazy
        Keep the arrays in the file and read what is asked for when it is asked for; close the Dataset when
        you are done, or use it in a ``with`` statement. By default everything is read into memory.

    Returns
    -------
    xr.Dataset

    Raises
    ------
    InputError
        There is no such file, it is a folder or no netCDF-4 file, or its run has not finished.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "result.nc"
    >>> save_result(xr.Dataset({"score": ("sequence", [1.0, 2.0])}), path)
    >>> with open_result(path, lazy=True) as result:
    ...     result["score"][1].item()
    2.0
    """
    path = _file_name(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the file of a result")
    check_finished(path)
    try:
        result = (
            xr.open_dataset(path, engine="h5netcdf", cache=False)
            if lazy
            else xr.load_dataset(path, engine="h5netcdf")
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make one with `kipoi tfbind ism`") from None
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: not a result that can be read ({reason}); was it made by save_result?"
        ) from None
    if UNFINISHED in result.attrs:
        result.close()
        raise InputError(
            f"{path}: only a part of a result ({result.attrs[UNFINISHED]}); run the same command again to "
            "go on with it, and open what it writes"
        )
    return result


def iterate_result(path: str | os.PathLike[str], chunk: int = 256) -> Iterator[xr.Dataset]:
    """Read a result that may be bigger than memory, some sequences at a time.

    Parameters
    ----------
    path
        File from `save_result` or `finish_result`.
    chunk
        Number of sequences in a piece; the last may have fewer.

    Yields
    ------
    xr.Dataset
        The result of these sequences, in memory, with all its variables, coordinates and attributes.

    Raises
    ------
    InputError
        As `open_result`; `chunk` is not positive, or the result has no sequences.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "result.nc"
    >>> save_result(xr.Dataset({"score": ("sequence", [1.0, 2.0, 4.0])}), path)
    >>> [piece["score"].values.tolist() for piece in iterate_result(path, chunk=2)]
    [[1.0, 2.0], [4.0]]
    """
    with open_result(path, lazy=True) as result:
        if "sequence" not in result.dims:
            found = ", ".join(map(str, result.dims)) or "none"
            raise InputError(f"{path}: expected a result with the dimension sequence, found {found}")
        yield from pieces(result, chunk)


def pieces(result: xr.Dataset, chunk: int) -> Iterator[xr.Dataset]:
    """Pieces of at most `chunk` sequences of a Dataset, each in memory.

    Raises
    ------
    InputError
        `chunk` is not positive.
    """
    if chunk < 1:
        raise InputError(f"chunk: expected at least 1 sequence, got {chunk}")
    for first in range(0, result.sizes["sequence"], chunk):
        yield result.isel(sequence=slice(first, first + chunk)).load()


def partial_folder(path: str | os.PathLike[str]) -> Path:
    """Where the pieces of a result are kept until all of it is there: beside it, ``PATH.partial``."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


def check_finished(path: str | os.PathLike[str]) -> None:
    """Refuse a result of which there is only the beginning; tell of one that is older than such a beginning.

    Raises
    ------
    InputError
        There is no file of this name, but an unfinished result for it.
    """
    partial = partial_folder(path)
    if not partial.is_dir():
        return
    if not Path(path).exists():
        raise InputError(
            f"{path}: is not finished: its run was interrupted and what is done is in {partial}; "
            "run the same command again to go on with it"
        )
    notice(f"{path}: the result of an earlier run; a later one has not finished (see {partial})")
