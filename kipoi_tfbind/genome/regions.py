"""Regions as genome browsers print them, as intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.intervals import Intervals
from kipoi_tfbind.genome.text_files import MAX_DIGITS

_REGION = re.compile(r"(?P<contig>\S+):(?P<start>[\d,]+)(?:[-–](?P<end>[\d,]+))?(?: ?\((?P<strand>[+-])\))?")


def parse_regions(regions: Sequence[str]) -> Intervals:
    """Read regions such as "chr20:118,000-119,000", whose positions are 1-based, and both of it.

    Parameters
    ----------
    regions
        Contig, first and last position, with or without commas; one position alone is that base. "(-)" at the
        end is the reverse strand.

    Raises
    ------
    InputError
        One is none, or there is none.

    Examples
    --------
    >>> found = parse_regions(["chr20:118,000-119,000", "20:5 (-)"])
    >>> found.start.tolist(), found.end.tolist(), found.strand.tolist(), found.name.tolist()
    ([117999, 4], [119000, 5], ['*', '-'], ['chr20:118,000-119,000', '20:5-5'])
    """
    if not regions:
        raise InputError("region: expected one such as chr20:118,000-119,000, got none")
    rows = [_parse(text) for text in regions]
    names = tuple(dict.fromkeys(contig for contig, *_ in rows))
    start = np.array([row[1] for row in rows], dtype=np.int64)
    end = np.array([row[2] for row in rows], dtype=np.int64)
    return Intervals(
        path="",
        contigs=names,
        contig=np.array([names.index(contig) for contig, *_ in rows], dtype=np.int32),
        start=start,
        end=end,
        center=(start + end) // 2,
        name=np.array([f"{row[0]}:{row[1] + 1:,}-{row[2]:,}" for row in rows], dtype=np.dtypes.StringDType()),
        strand=np.array([row[3] for row in rows], dtype="U1"),
        line=np.arange(1, len(rows) + 1),
        targets=None,
    )


def _parse(text: str) -> tuple[str, int, int, str]:
    """Contig, start and end (0-based, half-open), strand."""
    found = _REGION.fullmatch(text.strip())
    if found is None:
        raise InputError(f"region: expected CHROM:START-END such as chr20:118,000-119,000, got {text!r}")
    first, last = (found[name] and found[name].replace(",", "") for name in ("start", "end"))
    last = first if last is None else last
    if not first or not last or max(len(first), len(last)) > MAX_DIGITS:
        raise InputError(f"region: expected positions in a genome, got {text!r}")
    if not 1 <= int(first) <= int(last):
        raise InputError(f"region: expected 1 <= first <= last position (1-based), got {text!r}")
    return found["contig"], int(first) - 1, int(last), found["strand"] or "*"
