"""Files of the shards of a run, joined to the file of the whole run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kipoi_tfbind.interpret._filter_shards import is_filter_shard, merge_filter_shards
from kipoi_tfbind.interpret.agreement import add_means
from kipoi_tfbind.interpret.global_importance._summary import add_corrected
from kipoi_tfbind.interpret.global_importance.experiment_shards import (
    is_experiment_shard,
    merge_experiment_shards,
)
from kipoi_tfbind.interpret.sanity_checks import add_verdict
from kipoi_tfbind.interpret.variants.null_statistics import q_values
from kipoi_tfbind.results.merge_shards import merge_result_shards
from kipoi_tfbind.results.variant_shards import beside, merge_variant_shards


def merge_shards(parts: Iterable[str | os.PathLike[str]], path: str | os.PathLike[str]) -> int:
    r"""Join the files of all shards of a run to the bytes that one run would have written.

    Parameters
    ----------
    parts
        Files that `stream`, or a command with ``--shard``, wrote; in any order.
    path
        File to write; a file of that name is replaced.

    Returns
    -------
    int
        Number of records: of sequences, backgrounds, k-mers or lines of a VCF.

    Raises
    ------
    InputError
        A file is no shard, one is missing or given twice, or is of another model, of other options or of
        another input; the message names it.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, occlusion, open_result, stream
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> sequences = encode_sequences(["AAGG", "GGGA"] * 20)
    >>> folder = getfixture("tmp_path")
    >>> parts = [folder / "1.nc", folder / "2.nc"]
    >>> [stream(occlusion, model, sequences, parts[k], shard=f"{k + 1}/2", width=2) for k in (0, 1)]
    [32, 8]
    >>> merge_shards(parts, folder / "whole.nc")
    40
    >>> stream(occlusion, model, sequences, folder / "one_run.nc", width=2)
    40
    >>> (folder / "whole.nc").read_bytes() == (folder / "one_run.nc").read_bytes()
    True
    """
    parts = list(parts)
    if any(beside(part) for part in parts):
        return merge_variant_shards(parts, path, q_values)
    if parts and is_filter_shard(parts[0]):
        return merge_filter_shards(parts, path)
    if parts and is_experiment_shard(parts[0]):
        return merge_experiment_shards(parts, path)
    return merge_result_shards(parts, path, _late)


def _late(attributes: Mapping[str, Any]) -> Callable[[Path], None] | None:
    """Function that writes what depends on all shards into a result."""
    if attributes.get("experiment") == "kmers":
        return add_corrected
    return {"agreement": add_means, "sanity_checks": add_verdict}.get(str(attributes.get("method")))
