"""The example of an entry: windows of a genome, or random ones, as a FASTA of their own with a BED."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dataloaders import IntervalWindows
from kipoi_tfbind.dna.one_hot import decode_one_hot
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import InputError

FASTA, INTERVALS = "example/windows.fa", "example/windows.bed"


@dataclass(frozen=True)
class Example:
    """The windows of an example.

    Attributes
    ----------
    one_hot
        float32 (sequence, position, base).
    names
        Contig of each in the example's FASTA; of windows of a genome, their place there.
    origin
        A sentence on where they come from.
    """

    one_hot: NDArray[np.float32]
    names: list[str]
    origin: str


def write_example(
    folder: Path,
    length: int,
    fasta: str | os.PathLike[str] | None,
    intervals: str | os.PathLike[str] | None,
    n: int,
) -> Example:
    """Write the example's two files into an entry's folder: each window a contig of its own.

    Raises
    ------
    InputError
        Only one of `fasta` and `intervals` is given, `n` is not positive, or a file cannot be read.
    """
    if n < 1:
        raise InputError(f"n_examples: expected at least 1, got {n}")
    check_origin(fasta, intervals)
    if fasta is None or intervals is None:
        names = [f"random{number}" for number in range(1, n + 1)]
        example = Example(random_sequences(n, length), names, f"{n} uniformly random sequences, of no genome")
    else:
        example = _windows(fasta, intervals, length, n)
    (folder / "example").mkdir()
    sequences = decode_one_hot(example.one_hot)
    with open(folder / FASTA, "w") as file:
        for name, sequence in zip(example.names, sequences, strict=True):
            file.write(f">{name}\n")
            file.writelines(f"{sequence[start : start + 60]}\n" for start in range(0, length, 60))
    (folder / INTERVALS).write_text("".join(f"{name}\t0\t{length}\n" for name in example.names))
    return example


def check_origin(fasta: str | os.PathLike[str] | None, intervals: str | os.PathLike[str] | None) -> None:
    """Check that the files of an example are there.

    Raises
    ------
    InputError
        Only one of the two is given, or a file is missing.
    """
    if (fasta is None) != (intervals is None):
        raise InputError("fasta, intervals: the example needs both or neither (--fasta, --intervals)")
    for path in (fasta, intervals):
        if path is not None and not Path(path).is_file():
            raise InputError(f"{path}: no such file")


def _windows(
    fasta: str | os.PathLike[str], intervals: str | os.PathLike[str], length: int, n: int
) -> Example:
    windows = IntervalWindows(intervals, fasta, length=length, use_strand=False)
    batch = windows.read_batch(np.arange(min(n, len(windows))))
    ranges = batch["metadata"]["ranges"]
    # An interval that is listed twice gives one contig.
    first = {
        f"{chrom}_{start}_{end}": row
        for row, chrom, start, end in zip(
            itertools.count(), ranges["chr"], ranges["start"], ranges["end"], strict=False
        )
    }
    origin = (
        f"{len(first)} windows of {Path(fasta).name} at intervals of {Path(intervals).name}; "
        "the name of each is its place, 0-based and half-open"
    )
    return Example(batch["inputs"][list(first.values())], list(first), origin)
