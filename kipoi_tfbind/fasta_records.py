"""Records of a FASTA file of sequences, one after the other, each checked to be DNA."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pysam

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome import silent_htslib
from kipoi_tfbind.one_hot import CODE_OF_ASCII, NOT_A_BASE
from kipoi_tfbind.text_files import numbered_lines


def read_records(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    r"""Read the records of a FASTA file, plain, gzip or bgzip.

    Yields
    ------
    name, sequence
        The first word of the header, and the bases as they are written.

    Raises
    ------
    InputError
        The file is missing, empty, truncated or no FASTA; a record without bases, or with a character that
        is no nucleotide: the message has its name and position.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "sites.fa"
    >>> _ = path.write_text(">first site\nACGT\nA\n>second\nttn\n")
    >>> list(read_records(path))
    [('first', 'ACGTA'), ('second', 'ttn')]
    """
    _check_beginning(path)
    name = None
    try:
        with silent_htslib(), pysam.FastxFile(os.fspath(path), persist=False) as file:
            for record in file:
                name = record.name or ""
                yield name, _checked(path, name, record.sequence or "")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        where = f"after record {name!r}" if name is not None else "at its beginning"
        raise InputError(f"{path}: truncated or corrupted {where} ({error}); copy or make it again") from None
    if name is None:
        raise InputError(f"{path}: no record in this file; expected FASTA: lines such as '>name', then bases")


def _check_beginning(path: str | os.PathLike[str]) -> None:
    """Refuse a file without a first header: htslib would pass over all that is before one."""
    for _, line in numbered_lines(path):
        if line.strip():
            if not line.startswith(">"):
                raise InputError(
                    f"{path}: expected FASTA, which begins with '>', got {line.strip()[:40]!r}; give "
                    "lines such as '>name', then bases"
                )
            return


def _checked(path: str | os.PathLike[str], name: str, sequence: str) -> str:
    if not sequence:
        raise InputError(f"{path}: record {name!r} has no bases; remove it")
    codes = sequence.encode("latin-1", "replace").translate(CODE_OF_ASCII)
    position = codes.find(NOT_A_BASE)
    if position >= 0:
        raise InputError(
            f"{path}: record {name!r}, position {position + 1}: {sequence[position]!r} is no nucleotide; "
            "expected A, C, G, T, N or another IUPAC code (read as N)"
        )
    return sequence
