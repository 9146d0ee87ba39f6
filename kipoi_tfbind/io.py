"""Results as files: netCDF-4, which is HDF5, so that xarray, h5py, R and the command line all read them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from kipoi_tfbind.errors import InputError


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
    final = Path(path)
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


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that a file can be written.

    Raises
    ------
    InputError
        There is no such folder, nothing can be written there, or `path` is a folder.
    """
    path = Path(path)
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
        What a method returned.
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
    # A one-hot array is three quarters zeros: a fast compression shrinks it more than tenfold.
    compressed: Mapping[str, Any] = {"zlib": True, "complevel": 1}
    encoding = {"one_hot": compressed} if "one_hot" in result else {}
    with whole_file(path) as partial:
        result.to_netcdf(partial, engine="h5netcdf", encoding=encoding)


def open_result(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a result into memory.

    Raises
    ------
    InputError
        There is no such file, or it is no netCDF-4 file.

    Examples
    --------
    See `save_result`.
    """
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make one with `kipoi tfbind ism`") from None
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: not a result that can be read ({reason}); was it made by save_result?"
        ) from None
