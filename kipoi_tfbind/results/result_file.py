"""A result that is written piece by piece: the pieces that are done, those to do, and the whole of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.comparison import Attributes, check_fits, differences, first_difference, listed
from kipoi_tfbind.results.files import UNFINISHED, partial_folder, write_netcdf
from kipoi_tfbind.results.join import write_attributes
from kipoi_tfbind.results.pieces import MERGED, WRITING, Piece, discard, merge, usable_pieces
from kipoi_tfbind.results.shards import MARK

WRITER = "kipoi_tfbind"  # of a file without anything that was computed


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
        Dimension that the pieces are put together along.

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
        if self._template is not None and (other := differences(self._template.attrs, self._attributes)):
            raise InputError(
                f"{path}: the unfinished result in {self._folder} is of another run ({listed(other)}); "
                "repeat that run to go on with it, or begin anew (--restart; restart=True)"
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

    def finished(self) -> Iterator[xr.Dataset]:
        """The pieces that are safely written, in memory."""
        for piece in self._pieces:
            yield xr.load_dataset(piece.path, engine="h5netcdf")

    def append(self, result: xr.Dataset) -> None:
        """Write the result of further sequences; they are safe when this returns.

        Parameters
        ----------
        result
            Result of a method, to be added along the dimension of the pieces.

        Raises
        ------
        InputError
            The result does not fit the pieces before it, or cannot be written.
        """
        if self._dimension not in result.dims:
            found = ", ".join(map(str, result.dims)) or "none"
            raise InputError(f"result: expected the dimension {self._dimension}, found {found}")
        if not result.sizes[self._dimension]:
            return
        if self._template is None and (other := differences(self._attributes, result.attrs, both=True)):
            raise InputError(f"result: has other attributes than {self._path} is opened for: {other[0]}")
        piece = result.assign_attrs(self._attributes | result.attrs)
        if self._template is not None:
            check_fits(piece, self._template, self._path, self._dimension)
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

    def finish(self, complete: Callable[[Path], None] | None = None, marks: Attributes | None = None) -> None:
        """Make one file of the pieces, give it its final name, and remove them.

        Parameters
        ----------
        complete
            See `open_for_append`.
        marks
            Attributes of a shard; it may be empty, is not completed, and keeps the options of its run.

        Raises
        ------
        InputError
            Nothing was appended, or the file cannot be written.
        """
        if not self._pieces and (marks is None or not marks[f"{MARK}_total"]):
            raise InputError(f"{self._path}: no {self._dimension} to write; was the input empty?")
        with self._writing(MERGED) as merged:
            if self._pieces:
                merge(self._pieces, merged, marks)
            else:
                write_attributes(merged, {**self._attributes, "versions": WRITER, **(marks or {})})
            if complete is not None and marks is None:
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
                row = first_difference(then, now)
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
            "repeat that run to go on with it, or begin anew (--restart; restart=True)"
        )


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    """Open a piece; nothing of it is read yet."""
    with xr.open_dataset(path, engine="h5netcdf", cache=False) as file:
        yield file


def _template(path: Path, dimension: str) -> xr.Dataset:
    """A piece without its sequences."""
    with _opened(path) as file:
        template = file.isel({dimension: slice(0, 0)}).load()
    del template.attrs[UNFINISHED]
    return template
