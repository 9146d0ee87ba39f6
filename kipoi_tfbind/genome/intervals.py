"""Genomic intervals read from BED and narrowPeak files, as columns."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.text_files import MAX_DIGITS, numbered_lines
from kipoi_tfbind.notices import notice

Center = Literal["auto", "summit", "midpoint"]

_DISPLAY_WORDS = ("track", "browser")
_STRANDS = {"+": "+", "-": "-", ".": "*", "*": "*"}
_NARROWPEAK_COLUMNS = 10
_NO_SUMMIT = -1
# Some of the peak files of ENCODE have a summit or two just beyond the end of an interval. Where more lines
# have one, column 10 is something else.
_LARGEST_SHARE_OUTSIDE = 0.1


@dataclass(frozen=True)
class Intervals:
    """Intervals of one file, in its order; every array has one entry for each interval.

    Attributes
    ----------
    path
        The file; "" of intervals that are from none.
    contigs
        Distinct contigs, as the file spells them.
    contig
        Index of the interval's contig in `contigs`.
    start, end
        0-based, half-open.
    center
        0-based position on which a window is centred.
    name
        Name column, or "contig:start-end" (0-based start) where there is none or it is ".".
    strand
        "+", "-", or "*" where the file tells none.
    line
        1-based line number in the file.
    targets
        float32 (interval, target), NaN for "." and "NA"; None where no target columns were asked for.
    """

    path: str
    contigs: tuple[str, ...]
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    center: NDArray[np.int64]
    name: NDArray
    strand: NDArray
    line: NDArray[np.int64]
    targets: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.start)


def read_intervals(
    path: str | os.PathLike[str], *, center: Center = "auto", target_columns: Sequence[int] | None = None
) -> Intervals:
    r"""Read a BED (three columns or more) or narrowPeak file, plain or compressed.

    Columns are separated by tabs; in a line without a tab, by spaces. Empty lines, comments ("#") and
    lines that begin with "track" or "browser" are passed over, CRLF line ends are taken.

    Parameters
    ----------
    path
        The file.
    center
        "summit": start + column 10, which every line must have; "midpoint": (start + end) // 2; "auto":
        the summit in a narrowPeak (exactly 10 columns) where it is not -1, else the midpoint. A summit
        that lies outside of its interval is moved to the nearest base of it, with one notice for the file.
    target_columns
        1-based columns, beyond the third, to read as numbers: labels or signals.

    Raises
    ------
    InputError
        No interval in the file; or, with the line number, a line that is no interval; or a truncated file; or
        more than a tenth of the summits lie outside of their intervals.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.bed"
    >>> _ = path.write_text("track name=a\nchr20\t100\t201\tpeak\t0\t-\nchr20 300 400\n")
    >>> intervals = read_intervals(path)
    >>> intervals.center.tolist(), intervals.name.tolist(), intervals.strand.tolist()
    ([150, 350], ['peak', 'chr20:301-400'], ['-', '*'])
    """
    if center not in ("auto", "summit", "midpoint"):
        raise InputError(f"center: expected 'auto', 'summit' or 'midpoint', got {center!r}")
    columns = _check_target_columns(target_columns)
    reader = _BedReader(os.fspath(path), center, columns)
    for number, line in numbered_lines(path):
        reader.add(number, line)
    if not reader.rows:
        raise InputError(f"{reader.path}: no intervals in this file; expected lines of chrom, start, end")
    reader.report_summits_outside()
    return reader.intervals()


def check_places(intervals: Intervals, genome: Genome, length: int) -> None:
    """Check that every interval lies on a contig of the FASTA that is no shorter than the window.

    An interval beyond the end of a contig is of another assembly; read as N, it would go unnoticed.

    Parameters
    ----------
    length
        Length of the windows in bp.

    Raises
    ------
    InputError
        Unknown contig, an interval beyond the end of its contig, or a contig shorter than a window.
    """
    lengths = np.empty(len(intervals.contigs), dtype=np.int64)
    for i, name in enumerate(intervals.contigs):
        try:
            lengths[i] = genome.lengths[genome.contig(name)]
        except InputError as error:
            raise _line_error(intervals, intervals.contig == i, str(error)) from None
    contig_length = lengths[intervals.contig]
    if (outside := intervals.end > contig_length).any():
        i = int(np.argmax(outside))
        raise _line_error(
            intervals,
            outside,
            f"the interval ends at {intervals.end[i]}, the contig at {contig_length[i]} in {genome.path}; "
            "give the FASTA of the assembly that the intervals refer to",
        )
    if (short := contig_length < length).any():
        raise _line_error(
            intervals,
            short,
            f"a window of {length} bases is longer than the contig ({contig_length[short][0]} bases in "
            f"{genome.path}); use a shorter length, or leave this contig out",
        )


def _line_error(intervals: Intervals, where: NDArray[np.bool_], problem: str) -> InputError:
    i = int(np.argmax(where))
    if not intervals.path:
        return InputError(f"region {intervals.name[i]}: {problem}")
    return InputError(f"{intervals.path}: line {intervals.line[i]}: {problem}")


def _check_target_columns(columns: Sequence[int] | None) -> tuple[int, ...]:
    if columns is None:
        return ()
    if isinstance(columns, str) or not all(isinstance(c, int) and c > 3 for c in columns):
        raise InputError(f"target_columns: expected a list of column numbers from 4 on, got {columns!r}")
    return tuple(columns)


def _is_no_interval(first: str, line: str) -> bool:
    """Tell a comment, a line for a genome browser, and an empty line by its first column."""
    if first == "":
        return not line.strip()
    return first[0] == "#" or first.partition(" ")[0] in _DISPLAY_WORDS


class _BedReader:
    """Intervals that are added line by line."""

    def __init__(self, path: str, center: Center, target_columns: tuple[int, ...]) -> None:
        self.path = path
        self.rows: list[tuple[int, int, int, int, str, str, int]] = []
        self._center = center
        self._target_columns = target_columns
        self._contigs: dict[str, int] = {}
        self._targets: list[list[float]] = []
        # Line number, offset and size of each interval whose summit lies outside of it.
        self._outside: list[tuple[int, int, int]] = []

    def add(self, number: int, line: str) -> None:
        fields = line.split("\t") if "\t" in line else line.split()
        if not fields or _is_no_interval(fields[0], line):
            return
        if len(fields) < 3:
            raise self._error(number, f"expected at least 3 columns (chrom, start, end), got {len(fields)}")
        contig, start_text, end_text = fields[:3]
        if not (start_text.isdecimal() and end_text.isdecimal()):
            raise self._no_place(number, start_text, end_text)
        if max(len(start_text), len(end_text)) > MAX_DIGITS:
            raise self._error(
                number, f"expected positions in a genome, got {start_text[:30]} and {end_text[:30]}"
            )
        start, end = int(start_text), int(end_text)
        if start > end:
            raise self._no_place(number, start_text, end_text)
        strand = fields[5] if len(fields) > 5 else "."
        if strand not in _STRANDS:
            raise self._error(number, f"column 6 (strand): expected '+', '-' or '.', got {strand!r}")
        name = fields[3] if len(fields) > 3 else "."
        if name in ("", "."):
            name = f"{contig}:{start + 1}-{end}"
        contig_index = self._contigs.setdefault(contig, len(self._contigs))
        summit = self._summit(number, end - start, fields) if self._center != "midpoint" else _NO_SUMMIT
        self.rows.append((contig_index, start, end, summit, name, _STRANDS[strand], number))
        if self._target_columns:
            self._targets.append([self._target(number, column, fields) for column in self._target_columns])

    def intervals(self) -> Intervals:
        contig, *numbers, name, strand, line = zip(*self.rows, strict=True)
        start, end, summit = np.array(numbers, dtype=np.int64)
        return Intervals(
            path=self.path,
            contigs=tuple(self._contigs),
            contig=np.array(contig, dtype=np.int32),
            start=start,
            end=end,
            center=np.where(summit == _NO_SUMMIT, (start + end) // 2, start + summit),
            name=np.array(name, dtype=np.dtypes.StringDType()),
            strand=np.array(strand, dtype="U1"),
            line=np.array(line, dtype=np.int64),
            targets=np.array(self._targets, dtype=np.float32) if self._target_columns else None,
        )

    def _summit(self, number: int, size: int, fields: list[str]) -> int:
        """Offset of the summit, or _NO_SUMMIT where the midpoint is meant."""
        if self._center == "auto" and len(fields) != _NARROWPEAK_COLUMNS:
            return _NO_SUMMIT
        if len(fields) < _NARROWPEAK_COLUMNS:
            raise self._error(
                number,
                f"center='summit' needs a narrowPeak's column 10, got {len(fields)} columns; use 'midpoint'",
            )
        text = fields[_NARROWPEAK_COLUMNS - 1]
        if text == "-1" and self._center == "auto":
            return _NO_SUMMIT
        if not text.isdecimal() or len(text) > MAX_DIGITS:
            raise self._error(
                number,
                f"column 10 (summit): expected an offset from 0 to {size - 1} within the interval, "
                f"got {text!r}; if this is no narrowPeak, centre on the midpoint (--center midpoint)",
            )
        last = max(size - 1, 0)
        if int(text) > last:
            self._outside.append((number, int(text), size))
        return min(int(text), last)

    def report_summits_outside(self) -> None:
        """Tell of summits outside of their intervals; refuse a file in which they are many."""
        if not self._outside:
            return
        n_outside, n = len(self._outside), len(self.rows)
        number, offset, size = self._outside[0]
        found = f"{self.path}: {n_outside:,} of {n:,} summits lie outside of their intervals (line {number}: "
        found += f"offset {offset} in an interval of {size} bp)"
        if n_outside > max(_LARGEST_SHARE_OUTSIDE * n, 1):
            raise InputError(
                f"{found}; if column 10 is no summit, centre on the midpoint (center='midpoint'; "
                "--center midpoint)"
            )
        notice(f"{found}; the nearest base of the interval is taken")

    def _no_place(self, number: int, start: str, end: str) -> InputError:
        for column, what, text in ((2, "start", start), (3, "end", end)):
            # int() alone would take "1_000" and " 7 ".
            if not text.removeprefix("-").isdecimal():
                return self._error(number, f"column {column} ({what}): expected an integer, got {text!r}")
        return self._error(number, f"expected 0 <= start <= end (0-based, half-open), got {start} and {end}")

    def _target(self, number: int, column: int, fields: list[str]) -> float:
        if len(fields) < column:
            raise self._error(number, f"target column {column}: got only {len(fields)} columns")
        text = fields[column - 1]
        if text in (".", "NA"):
            return float("nan")
        try:
            return float(text)
        except ValueError:
            raise self._error(number, f"target column {column}: expected a number, got {text!r}") from None

    def _error(self, number: int, problem: str) -> InputError:
        hint = "" if self.rows else "; is this a BED or narrowPeak file? If it is a header, begin it with '#'"
        return InputError(f"{self.path}: line {number}: {problem}{hint}; mend this line")
