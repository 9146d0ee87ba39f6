"""Records of a FASTA file of sequences, one after the other, each checked to be DNA."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kipoi_tfbind.dna.one_hot import CODE_OF_ASCII, NOT_A_BASE
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.text_files import numbered_lines


def read_records(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    r"""Read the records of a FASTA file, plain, gzip or bgzip.

    Not with htslib, whose reader takes FASTQ as well: it passes over text before the first header, takes
    lines after a "+" for qualities, and ends a sequence at a NUL byte.

    Yields
    ------
    name, sequence
        The first word of the header, and the bases as they are written.

    Raises
    ------
    InputError
        The file is missing, empty, truncated or no FASTA; a record without name or bases, or with a
        character that is no nucleotide: the message has its name and position (1-based).

    Examples
    --------
    >>> path = getfixture("tmp_path") / "sites.fa"
    >>> _ = path.write_text(">first site\nACGT\nA\n>second\nttn\n")
    >>> list(read_records(path))
    [('first', 'ACGTA'), ('second', 'ttn')]
    """
    name: str | None = None
    parts: list[str] = []
    for number, line in numbered_lines(path):
        if line.startswith(">"):
            if name is not None:
                yield name, _checked(path, name, "".join(parts))
            name, parts = _name(path, number, line), []
        elif name is not None:
            parts.append(line.rstrip())
        elif line.strip():
            raise InputError(
                f"{path}: expected FASTA, which begins with '>', got {line.strip()[:40]!r}; give "
                "lines such as '>name', then bases"
            )
    if name is None:
        raise InputError(f"{path}: no record in this file; expected FASTA: lines such as '>name', then bases")
    yield name, _checked(path, name, "".join(parts))


def _name(path: str | os.PathLike[str], number: int, header: str) -> str:
    words = header[1:].split(maxsplit=1)
    if not words:
        raise InputError(f"{path}: line {number}: a record without a name; write one after the '>'")
    return words[0]


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
