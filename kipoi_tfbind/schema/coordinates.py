"""Coordinates that results share: positions, windows, targets, and places in a genome."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable

COORDINATES = {
    "position": Variable(("position",), "position in the sequence, 0-based"),
    "position_a": Variable(("pair",), "first position of the pair in the sequence, 0-based"),
    "position_b": Variable(("pair",), "second position of the pair in the sequence, 0-based"),
    "base_a": Variable(("base_a",), "base at the first position of the pair"),
    "base_b": Variable(("base_b",), "base at the second position of the pair"),
    "window_start": Variable(("window",), "start of the window in the sequence, 0-based"),
    "window_end": Variable(("window",), "end of the window in the sequence, 0-based, not included"),
    "base": Variable(("base",), "base"),
    "target": Variable(("target",), "output of the model"),
    "id": Variable(("sequence",), "name of the sequence"),
    "chrom": Variable(("sequence",), "contig"),
    "start": Variable(("sequence",), "start of the sequence on the contig, 0-based"),
    "end": Variable(("sequence",), "end of the sequence on the contig, 0-based, not included"),
    "strand": Variable(
        ("sequence",), "strand that the sequence reads: + or -; on - it is the reverse complement"
    ),
}
