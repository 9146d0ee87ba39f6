"""Results written piece by piece: in constant memory, and an interrupted run goes on where it was.

The pieces of ``result.nc`` are kept in the folder ``result.nc.partial``, each a netCDF-4 file of its own
that is written under another name and then renamed to the range of its sequences. So the list of the
names is the record of what is done, whenever the process is killed: HDF5 itself promises nothing of a
file that was open for writing then. At the end the pieces are copied into one file, which takes the
final name when it is whole; until then they take its place on the disk a second time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.comparison import Attributes
from kipoi_tfbind.results.files import partial_folder
from kipoi_tfbind.results.pieces import LOCK, discard, locked
from kipoi_tfbind.results.result_file import ResultFile


def append_result(result: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Add the result of further sequences to a result that is written piece by piece.

    Parameters
    ----------
    result
        Result of a method: of the same method, model and settings as the pieces before.
    path
        Final name of the file. The pieces are kept in the folder ``PATH.partial`` until `finish_result`.

    Raises
    ------
    InputError
        The result does not fit the pieces before it, or cannot be written there.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "result.nc"
    >>> for score in ([1.0, 2.0], [4.0]):
    ...     append_result(xr.Dataset({"score": ("sequence", score)}), path)
    >>> finished_sequences(path)
    3
    >>> finish_result(path)
    >>> from kipoi_tfbind import open_result
    >>> open_result(path)["score"].values
    array([1., 2., 4.])
    """
    with locked(path):
        ResultFile(path).append(result)


def finish_result(path: str | os.PathLike[str]) -> None:
    """Make one file of the pieces that `append_result` wrote; a file of that name is replaced.

    Raises
    ------
    InputError
        There are no pieces, or the file cannot be written.

    Examples
    --------
    See `append_result`; where nothing was appended:

    >>> finish_result(getfixture("tmp_path") / "none.nc")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kipoi_tfbind.errors.InputError: ...none.nc: no result was begun for this file; ...
    """
    if not partial_folder(path).is_dir():
        raise InputError(f"{path}: no result was begun for this file; add to it with append_result first")
    with locked(path):
        ResultFile(path).finish()


def finished_sequences(path: str | os.PathLike[str], attributes: Attributes | None = None) -> int:
    """Number of sequences that an interrupted run has safely written.

    Parameters
    ----------
    path
        Final name of the file.
    attributes
        Attributes of the result that is to be gone on with, such as method, model_hash and seed. The
        batch size and the versions of packages may differ.

    Raises
    ------
    InputError
        The pieces are the beginning of another result.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "result.nc"
    >>> append_result(xr.Dataset({"score": ("sequence", [1.0, 2.0])}, attrs={"seed": 3}), path)
    >>> finished_sequences(path, {"seed": 3})
    2
    """
    return ResultFile(path, attributes, read_only=True).n_finished


@contextmanager
def open_for_append(
    path: str | os.PathLike[str],
    attributes: Attributes | None = None,
    *,
    restart: bool = False,
    dimension: str = "sequence",
    complete: Callable[[Path], None] | None = None,
    marks: Callable[[], Attributes] | None = None,
) -> Iterator[ResultFile]:
    """Write a result piece by piece: begin it, or go on with it where an interrupted run was.

    At the end of the block the file gets its final name. Where the block raises, or the process is
    killed, the pieces stay, and the next call with the same arguments goes on after them.

    Parameters
    ----------
    path
        Final name of the file; a file of that name is replaced at the end.
    attributes
        Attributes of the result. Those that an appended result lacks are added to it; a run goes on only
        with pieces that have the same. The batch size and the versions of packages may differ.
    restart
        Throw away what an interrupted run has written.
    dimension
        Dimension that the pieces are put together along.
    complete
        Function of the whole file before it takes its final name, to write what depends on all pieces.
    marks
        Gives, at the end, the attributes of a shard (`kipoi_tfbind.results.shards`): the file is one.

    Yields
    ------
    ResultFile
        To append to.

    Raises
    ------
    InputError
        The file cannot be written there, another process is writing it, an interrupted run had other
        attributes, or nothing was appended.

    Examples
    --------
    >>> from kipoi_tfbind import encode_sequences, open_result
    >>> path = getfixture("tmp_path") / "result.nc"
    >>> chunks = [encode_sequences(["ACGT", "AAAA"]), encode_sequences(["CCCC"])]
    >>> with open_for_append(path, {"method": "copy"}) as out:
    ...     for chunk in out.remaining(chunks):
    ...         out.append(chunk)
    >>> open_result(path).sizes["sequence"]
    3
    """
    with locked(path):
        if restart:
            discard(partial_folder(path), keep=(LOCK,))
        out = ResultFile(path, attributes, dimension=dimension)
        if out.n_finished:
            notice(
                f"{path}: going on after the {out.n_finished} {dimension}s that an interrupted run has done"
            )
        try:
            yield out
            out.finish(complete, None if marks is None else marks())
        except BaseException as error:
            if out.n_finished and str(partial_folder(path)) not in str(error):
                notice(
                    f"{path}: not finished; {out.n_finished} {dimension}s are done and kept in "
                    f"{partial_folder(path)}; run the same command again to go on after them"
                )
            raise
