"""Results written piece by piece: in constant memory, and an interrupted run goes on where it was.

The pieces of ``result.nc`` are kept in the folder ``result.nc.partial``, each a netCDF-4 file of its own
that is written under another name and then renamed to the range of its sequences. So the list of the
names is the record of what is done, whenever the process is killed: HDF5 itself promises nothing of a
file that was open for writing then. At the end the pieces are copied into one file, which takes the
final name when it is whole; until then they take its place on the disk a second time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.files import UNFINISHED, partial_folder, write_netcdf
from kipoi_tfbind.results.pieces import LOCK, MERGED, WRITING, Piece, discard, locked, merge, usable_pieces

Attributes = Mapping[str, Any]

# A run may go on with another batch size, and after an update: neither changes what a method computes.
_MAY_DIFFER = ("batch_size", "versions")


def append_result(result: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Add the result of further sequences to a result that is written piece by piece.

    Parameters
    ----------
    result
        What a method returned: of the same method, model and settings as the pieces before.
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
        What is there is the beginning of another result.
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
        That the pieces are put together along.
    complete
        Is given the whole file before it takes its final name, to write what depends on all pieces.

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
            out.finish(complete)
        except BaseException:
            if out.n_finished:
                notice(
                    f"{path}: not finished; {out.n_finished} {dimension}s are done and kept in "
                    f"{partial_folder(path)}; run the same command again to go on after them"
                )
            raise


class ResultFile:
    """A result that is written piece by piece; made by `open_for_append`.

    Parameters
    ----------
    path
        Final name of the file.
    attributes
        See `open_for_append`.
    read_only
        Leave pieces that cannot be used where they are.
    dimension
        That the pieces are put together along.

    Attributes
    ----------
    n_finished : int
        Number of sequences that are safely written.

    Raises
    ------
    InputError
        The pieces that are there are of a result with other attributes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        attributes: Attributes | None = None,
        *,
        read_only: bool = False,
        dimension: str = "sequence",
    ) -> None:
        self._dimension = dimension
        self._path = Path(path)
        self._folder = partial_folder(path)
        self._attributes = dict(attributes or {})
        self._pieces = usable_pieces(self._folder, dimension, discard_others=not read_only)
        self._template = _template(self._pieces[0].path, dimension) if self._pieces else None
        if self._template is not None and (other := _differences(self._template.attrs, self._attributes)):
            raise InputError(
                f"{path}: the unfinished result in {self._folder} is of another run ({'; '.join(other)}); "
                "repeat that run to go on with it, or delete the folder to begin anew"
            )

    @property
    def n_finished(self) -> int:
        """Number of sequences that are safely written."""
        return self._pieces[-1].end if self._pieces else 0

    def remaining(self, chunks: Iterable[xr.Dataset]) -> Iterator[xr.Dataset]:
        """Leave out the sequences that are done, after a check that they are those of the result.

        Parameters
        ----------
        chunks
            All sequences of the run, in its order, in Datasets of any size.

        Yields
        ------
        xr.Dataset
            The sequences that are still to be done.

        Raises
        ------
        InputError
            A sequence that is done was another one, or there are fewer than are done.
        """
        done, first = self.n_finished, 0
        for chunk in chunks:
            n = chunk.sizes["sequence"]
            n_done = min(n, max(0, done - first))
            if n_done:
                self._check_same_sequences(chunk.isel(sequence=slice(n_done)), first)
            if n_done < n:
                yield chunk.isel(sequence=slice(n_done, None))
            first += n
        if first < done:
            raise self._other_sequences(f"it has {done} sequences, this run only {first}")

    def append(self, result: xr.Dataset) -> None:
        """Write the result of further sequences; they are safe when this returns.

        Parameters
        ----------
        result
            What a method returned, along the dimension ``sequence`` to be added to what is there.

        Raises
        ------
        InputError
            The result does not fit what is there, or cannot be written.
        """
        if self._dimension not in result.dims:
            found = ", ".join(map(str, result.dims)) or "none"
            raise InputError(f"result: expected the dimension {self._dimension}, found {found}")
        if not result.sizes[self._dimension]:
            return
        if self._template is None and (other := _differences(self._attributes, result.attrs, both=True)):
            raise InputError(f"result: has other attributes than {self._path} is opened for: {other[0]}")
        piece = result.assign_attrs(self._attributes | result.attrs)
        if self._template is not None:
            _check_fits(piece, self._template, self._path, self._dimension)
        start, end = self.n_finished, self.n_finished + result.sizes[self._dimension]
        target = Piece.of(self._folder, start, end, self._dimension)
        piece.attrs[UNFINISHED] = f"{self._dimension}s {start} to {end - 1}, counted from 0"
        with self._writing() as writing:
            write_netcdf(piece, writing)
            with open(writing, "rb") as file:
                os.fsync(file.fileno())
            os.replace(writing, target.path)
        self._pieces.append(target)
        if self._template is None:
            self._template = _template(target.path, self._dimension)

    def finish(self, complete: Callable[[Path], None] | None = None) -> None:
        """Make one file of the pieces, give it its final name, and remove them.

        Parameters
        ----------
        complete
            See `open_for_append`.

        Raises
        ------
        InputError
            Nothing was appended, or the file cannot be written.
        """
        if not self._pieces:
            raise InputError(f"{self._path}: no {self._dimension} to write; was the input empty?")
        with self._writing(MERGED) as merged:
            merge(self._pieces, merged)
            if complete is not None:
                complete(merged)
            os.replace(merged, self._path)
        discard(self._folder)
        self._pieces = []

    @contextmanager
    def _writing(self, name: str = WRITING) -> Iterator[Path]:
        try:
            yield self._folder / name
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be written ({error.strerror or error}); make room, or choose another "
                "place"
            ) from error

    def _check_same_sequences(self, chunk: xr.Dataset, first: int) -> None:
        """Compare sequences with those that were done, which begin at number `first`."""
        last = first + chunk.sizes["sequence"]
        for piece in self._pieces:
            start, end = max(first, piece.start), min(last, piece.end)
            if start >= end:
                continue
            now = chunk.isel(sequence=slice(start - first, end - first))
            with _opened(piece.path) as file:
                then = file.isel(sequence=slice(start - piece.start, end - piece.start))
                row = _first_difference(then, now)
            if row is not None:
                names = [
                    str(data["id"].values[row]) if "id" in data.variables else "?" for data in (then, now)
                ]
                raise self._other_sequences(
                    f"its sequence {start + row}, counted from 0, is {names[0]!r} and not the same as this "
                    f"run's {names[1]!r}"
                )

    def _other_sequences(self, problem: str) -> InputError:
        return InputError(
            f"{self._path}: the unfinished result in {self._folder} is of other sequences ({problem}); "
            "repeat that run to go on with it, or delete the folder to begin anew"
        )


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    with xr.open_dataset(path, engine="h5netcdf", cache=False) as file:
        yield file


def _template(path: Path, dimension: str) -> xr.Dataset:
    """A piece without its sequences."""
    with _opened(path) as file:
        template = file.isel({dimension: slice(0, 0)}).load()
    del template.attrs[UNFINISHED]
    return template


def _differences(stored: Attributes, given: Attributes, *, both: bool = False) -> list[str]:
    """What differs between attributes, of those that are given; with `both`, of those that are in both."""
    names = [name for name in given if name not in _MAY_DIFFER and (name in stored or not both)]
    return [
        f"{name} was {stored.get(name, 'not set')!s}, is now {given[name]!s}"
        for name in names
        if name not in stored or stored[name] != given[name]
    ]


def _check_fits(piece: xr.Dataset, template: xr.Dataset, path: Path, dimension: str) -> None:
    """Check that a result can follow the pieces before it."""

    def misfit(problem: str) -> InputError:
        return InputError(
            f"result: does not fit what is already in {path}: {problem}; append results of one method, model "
            "and settings"
        )

    for kind, now, before in (
        ("variables", set(piece.variables), set(template.variables)),
        ("attributes", set(piece.attrs), set(template.attrs)),
    ):
        if odd := sorted(map(str, (now ^ before) - set(_MAY_DIFFER))):
            raise misfit(f"only one of them has the {kind} {', '.join(odd)}")
    if other := _differences(template.attrs, piece.attrs):
        raise misfit(other[0])
    for name, variable in piece.variables.items():
        there = template.variables[name]
        sizes, sizes_there = ({**v.sizes, dimension: 0} for v in (variable, there))
        if variable.dims != there.dims or sizes != sizes_there:
            raise misfit(f"{name} was {dict(there.sizes)}, is now {dict(variable.sizes)}")
        # Text is of any width, and of another type when it comes from a file.
        if variable.dtype != there.dtype and not {variable.dtype.kind, there.dtype.kind} <= set("UOT"):
            raise misfit(f"{name} was of type {there.dtype}, is now of {variable.dtype}")
        if dimension not in variable.dims and not _same(variable, there):
            raise misfit(f"{name} has other values")


def _same(variable: xr.Variable, there: xr.Variable) -> bool:
    """Whether values are the same, but for the rounding that another batch size makes in predictions."""
    if variable.dtype.kind != "f":
        return bool(variable.equals(there))
    largest = np.nanmax(np.abs(there.values), initial=0)
    return np.allclose(variable.values, there.values, rtol=0, atol=1e-5 * largest, equal_nan=True)


def _first_difference(then: xr.Dataset, now: xr.Dataset) -> int | None:
    """Row of the first sequence that is not the same, compared by everything that both Datasets have."""
    if "position" in then.indexes and "position" in now.indexes:
        # A result may have only some of the positions.
        there = then.indexes["position"].isin(now.indexes["position"])
        now = now.sel(position=then["position"][there])
        then = then.isel(position=there)
    rows = [
        int(np.flatnonzero(differs)[0])
        for name in sorted(set(then.variables) & set(now.variables), key=str)
        if "sequence" in now[name].dims and now[name].dims == then[name].dims
        if (differs := _differing_rows(then[name], now[name])).any()
    ]
    return min(rows, default=None)


def _differing_rows(then: xr.DataArray, now: xr.DataArray) -> np.ndarray:
    if then.shape != now.shape:
        return np.ones(now.sizes["sequence"], dtype=bool)
    differs = np.asarray(then.values != now.values) & ~(then.isnull().values & now.isnull().values)
    axis = now.dims.index("sequence")
    return np.moveaxis(differs, axis, 0).reshape(now.sizes["sequence"], -1).any(axis=1)
