"""Many windows at once from an uncompressed FASTA: a compiled loop over the mapped file.

Its own module, so that numba is imported with the first large read and not with the package. htslib, which
reads everything else, looks at every character between the windows too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.compiled import compiled
from kipoi_tfbind.dna.one_hot import CODE_OF_ASCII, N_CODE

_CODES = np.frombuffer(CODE_OF_ASCII, dtype=np.uint8)


class PlainFasta:
    """An uncompressed, indexed FASTA.

    Parameters
    ----------
    path
        The file; its index is beside it.
    """

    def __init__(self, path: str) -> None:
        # Columns of a .fai: name, length, offset, bases and bytes in a line.
        with open(f"{path}.fai") as index:
            rows = [line.split("\t") for line in index]
        self._place = {row[0]: tuple(map(int, row[1:5])) for row in rows}
        self._text = np.memmap(path, dtype=np.uint8, mode="r")

    def read(self, contig: str, starts: NDArray[np.int64], length: int) -> NDArray[np.uint8] | None:
        """Base codes (window, position), NOT_A_BASE for what is none; None where the file ends early."""
        contig_length, offset, line_bases, line_width = self._place[contig]
        last = contig_length - 1
        if last >= 0 and offset + last // line_bases * line_width + last % line_bases >= len(self._text):
            return None
        codes = np.empty((len(starts), length), dtype=np.uint8)
        _read(self._text, contig_length, offset, line_bases, line_width, starts, _CODES, codes)
        return codes


@compiled
def _read(
    text: NDArray[np.uint8],
    contig_length: int,
    offset: int,
    line_bases: int,
    line_width: int,
    starts: NDArray[np.int64],
    code_of: NDArray[np.uint8],
    codes: NDArray[np.uint8],
) -> None:
    length = codes.shape[1]
    for row in range(len(starts)):
        start = starts[row]
        first, end = max(start, 0), min(start + length, contig_length)
        codes[row, : min(max(first - start, 0), length)] = N_CODE
        codes[row, max(end - start, 0) :] = N_CODE
        position = first
        while position < end:
            # To the end of this line.
            in_line = position % line_bases
            n = min(line_bases - in_line, end - position)
            place = offset + position // line_bases * line_width + in_line
            to = position - start
            for i in range(n):
                codes[row, to + i] = code_of[text[place + i]]
            position += n
