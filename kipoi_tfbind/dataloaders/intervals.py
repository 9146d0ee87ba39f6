"""The dataloader of intervals: BED or narrowPeak and FASTA to one-hot windows."""

import os
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from kipoi.specs import DataLoaderSchema
from kipoi_utils.utils import default_kwargs
from numpy.typing import NDArray

from kipoi_tfbind.dataloaders.base import Batch, WindowDataset, as_positive, describe, genomic_ranges
from kipoi_tfbind.dna.one_hot import BASES, one_hot_codes, reverse_complement_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.intervals import Center, check_places, read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.window_reader import WindowReader

_DTYPES = ("float32", "float64", "uint8", "int8")


class IntervalWindows(WindowDataset):
    r"""One-hot windows of one length, centred on the intervals of a BED or narrowPeak file.

    A window of length L around the centre c (0-based) spans [c - L // 2, c - L // 2 + L): the base c
    has index L // 2. Beyond the ends of a contig there is N, a row of zeros. The whole of both files
    is checked at construction.

    Parameters
    ----------
    intervals_file
        BED of three columns or more, or narrowPeak; plain, gzip or bgzip. chr20 and 20 are the same.
    fasta_file
        FASTA of the genome, plain or bgzip; indexed, or in a folder where the index can be written.
    length
        Length of the windows.
    center
        "summit": column 10 of a narrowPeak; "midpoint" of the interval; "auto": the summit where a
        narrowPeak (exactly 10 columns) has one, else the midpoint.
    use_strand
        Give the reverse complement for intervals on the strand "-".
    target_columns
        1-based columns of the BED, beyond the third, to hand out as targets.
    layout
        Axes of one window: "L,4", position by base; "4,L"; or with axes of one, such as "1,4,L".
    dtype
        Type of the one-hot numbers: "float32", or "uint8", a quarter of the memory, for a model that
        converts them itself.

    Raises
    ------
    InputError
        One line that names the file, the line and what to do.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.fa").write_text(">20\nAACCGGTTA\n")
    >>> _ = (folder / "a.bed").write_text("chr20\t2\t6\tsite\t0\t-\n")
    >>> windows = IntervalWindows(folder / "a.bed", folder / "a.fa", length=4)
    >>> batch = next(windows.batch_iter(batch_size=1))
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot
    >>> decode_one_hot(batch["inputs"])
    ['CCGG']
    >>> {key: values.item() for key, values in batch["metadata"]["ranges"].items()}
    {'chr': 'chr20', 'start': 2, 'end': 6, 'id': 'site', 'strand': '-'}
    """

    def __init__(
        self,
        intervals_file: str | os.PathLike[str],
        fasta_file: str | os.PathLike[str],
        length: int = 1000,
        center: Center = "auto",
        use_strand: bool = True,
        target_columns: Sequence[int] | None = None,
        layout: str = "L,4",
        dtype: str = "float32",
    ) -> None:
        self.length = as_positive("length", length)
        self._layout = layout
        _axes(layout)
        if dtype not in _DTYPES:
            raise InputError(f"dtype: expected one of {', '.join(_DTYPES)}, got {dtype!r}")
        self._dtype = np.dtype(dtype)
        self._intervals = read_intervals(intervals_file, center=center, target_columns=target_columns)
        genome = Genome(fasta_file)
        check_places(self._intervals, genome, self.length)
        self._contigs = np.array(self._intervals.contigs, dtype=np.str_)
        self._starts = self._intervals.center - self.length // 2
        self._reverse = (self._intervals.strand == "-") & use_strand
        self._reader = WindowReader(
            genome, self._intervals.contigs, self._intervals.contig, self._starts, self.length
        )

    def __len__(self) -> int:
        return len(self._intervals)

    def read_batch(self, rows: NDArray[np.intp]) -> Batch:
        """See the base class."""
        intervals = self._intervals
        codes = self._reader.read(rows)
        reverse = self._reverse[rows]
        codes[reverse] = reverse_complement_codes(codes[reverse])
        chrom = self._contigs[intervals.contig[rows]]
        # The strand that is read, which without use_strand is the forward one.
        strand = np.where(reverse | (intervals.strand[rows] != "-"), intervals.strand[rows], "+")
        ranges = genomic_ranges(chrom, self._starts[rows], self.length, intervals.name[rows], strand)
        batch: dict[str, Any] = {
            "inputs": with_axes(one_hot_codes(codes, self._dtype), self._layout),
            "metadata": {"ranges": ranges},
        }
        if intervals.targets is not None:
            batch["targets"] = intervals.targets[rows]
        return batch

    @classmethod
    def get_output_schema(cls) -> DataLoaderSchema:
        """Describe the output: its axes as the defaults say, and no targets unless they name columns."""
        defaults = default_kwargs(cls)
        schema = deepcopy(super().get_output_schema())
        sizes = {"L": None, "4": len(BASES), "1": 1}
        schema.inputs.shape = tuple(sizes[axis] for axis in _axes(defaults["layout"]))
        if defaults["target_columns"] is None:
            schema.targets = None
        return schema


def with_axes(one_hot: NDArray, layout: str) -> NDArray:
    """One-hot (sequence, position, base) with the axes of each sequence as a layout says.

    Examples
    --------
    >>> with_axes(np.zeros((2, 100, 4)), "1,4,L").shape
    (2, 1, 4, 100)
    """
    axes = _axes(layout)
    if axes.index("4") < axes.index("L"):
        one_hot = one_hot.swapaxes(1, 2)
    return np.expand_dims(one_hot, tuple(1 + number for number, axis in enumerate(axes) if axis == "1"))


def _axes(layout: str) -> list[str]:
    axes = layout.replace(" ", "").split(",")
    if sorted(axis for axis in axes if axis != "1") != ["4", "L"]:
        raise InputError(f"layout: expected axes such as 'L,4', '4,L' or '1,4,L', got {layout!r}")
    return axes


describe(
    IntervalWindows,
    """
    defined_as: kipoi_tfbind.dataloaders.IntervalWindows
    type: Dataset
    info:
      authors:
        - name: kipoi_tfbind developers
      doc: One-hot windows of one length, centred on the summits or midpoints of BED or narrowPeak intervals
      license: MIT
    args:
      intervals_file:
        doc: BED (3 columns or more) or narrowPeak file, plain, gzip or bgzip
        example: example_data/CTCF.HepG2.narrowPeak.gz
      fasta_file:
        doc: FASTA of the genome, plain or bgzip; chr20 and 20 are taken as the same contig
        example: example_data/chr20.hg19.1-1Mb.fa.gz
      length:
        doc: Length of the windows in bases
        type: int
        optional: True
      center:
        doc: "summit (narrowPeak column 10), midpoint, or auto: the summit where there is one"
        optional: True
      use_strand:
        doc: Give the reverse complement for intervals on the minus strand
        type: bool
        optional: True
      target_columns:
        doc: 1-based columns of the BED, beyond the third, to hand out as targets; none by default
        type: list
        optional: True
      layout:
        doc: "Axes of one window: L,4 (position by base), 4,L, or with axes of one, such as 1,4,L"
        optional: True
      dtype:
        doc: "Type of the one-hot numbers: float32, float64, uint8 or int8"
        optional: True
    output_schema:
      inputs:
        name: seq
        shape: (None, 4)
        doc: One-hot windows, bases in the order A C G T, N as zeros
        special_type: DNASeq
        associated_metadata: ranges
      targets:
        name: targets
        shape: (None,)
        doc: Columns of the BED that target_columns names
      metadata:
        ranges:
          type: GenomicRanges
          doc: "The window, 0-based, half-open; begins below 0 where it reaches over the start of a contig"
    """,
)
