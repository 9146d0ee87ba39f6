"""Shards of `filter_motifs`, joined: each has all of the result, and a share of the importance."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.interpret.filter_motifs import Changes
from kipoi_tfbind.results.files import OPTION, open_result, save_result
from kipoi_tfbind.results.merge_shards import in_order, read_shard
from kipoi_tfbind.results.pieces import finished_attributes
from kipoi_tfbind.results.shards import MARK

_OWN = "silencing_change"


def is_filter_shard(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a shard of `filter_motifs`.

    Raises
    ------
    InputError
        It is no shard.
    """
    return read_shard(path).facts.get("method") == "filter_motifs"


def merge_filter_shards(parts: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> int:
    """Join the files of all shards, of which the first has the matches; the number of sequences.

    Raises
    ------
    InputError
        As `kipoi_tfbind.interpret.merge_shards.merge_shards`.
    """
    files = in_order([read_shard(part) for part in parts])
    n, size = (int(files[0].facts[f"{MARK}_{name}"]) for name in ("total", "block"))
    results = [open_result(file.path).drop_encoding() for file in files]
    first = results[0]
    found = first.drop_vars(_OWN, errors="ignore")
    if _OWN in first:
        changes = Changes(first.sizes["motif"], first.sizes["target"])
        blocks = []
        for file, result in zip(files, results, strict=True):
            starts = range(0, result.sizes["sequence"], size)
            own = (result[_OWN].values[start : start + size] for start in starts)
            blocks += list(zip(file.shard.ranges(n, size), own, strict=True))
        # In the order of one run: sums of numbers depend on it.
        for _, values in sorted(blocks, key=lambda block: block[0]):
            changes.add(np.moveaxis(values, 0, 1))
        confidence = float(first.attrs[f"{OPTION}confidence"])
        effects = xr.Dataset(changes.variables(confidence), attrs=first.attrs)
        found = found.assign(schema.annotate(effects).data_vars)
    found.attrs = finished_attributes(first.attrs, [result.attrs.get("versions") for result in results])
    save_result(found, path)
    return n
