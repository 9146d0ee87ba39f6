"""Windows of one length at fixed places of a genome, read by row number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.genome.reference import Genome

# Windows of up to this many bases in all are kept as base codes, one byte each, once they are read.
_KEEP_BASES = 1 << 27


class WindowReader:
    """Windows of one length, all of them read and checked at construction.

    Few windows are kept in memory, many are read again batch by batch: memory is bounded, and
    whatever is wrong with the FASTA is reported before the first batch is handed out.

    Parameters
    ----------
    genome
        The FASTA.
    contigs
        Distinct contigs, as the caller spells them.
    contig
        Index into `contigs` of each window.
    starts
        0-based start of each window; may lie outside the contig (N there).
    length
        Length of the windows.

    Raises
    ------
    InputError
        As :meth:`Genome.windows`.
    """

    def __init__(
        self,
        genome: Genome,
        contigs: Sequence[str],
        contig: NDArray[np.integer],
        starts: NDArray[np.int64],
        length: int,
    ) -> None:
        self.length = length
        self._genome = genome
        self._contigs = contigs
        self._contig = contig
        self._starts = starts
        self._codes: NDArray[np.uint8] | None = None
        if len(starts) * length <= _KEEP_BASES:
            self._codes = self._read(np.arange(len(starts)))
        else:
            for i, name in enumerate(contigs):
                genome.check_windows(name, starts[contig == i], length)

    def __len__(self) -> int:
        return len(self._starts)

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker reads what it needs, rather than being sent every window.
        return {**self.__dict__, "_codes": None}

    def read(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Base codes (row, position) of some of the windows."""
        return self._read(rows) if self._codes is None else self._codes[rows]

    def _read(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        codes = np.empty((len(rows), self.length), dtype=np.uint8)
        contig = self._contig[rows]
        for i in np.unique(contig):
            here = np.flatnonzero(contig == i)
            codes[here] = self._genome.windows(self._contigs[i], self._starts[rows[here]], self.length)
        return codes
