"""Shards of an experiment on backgrounds: what their files know of it, and how they are joined.

A file of a shard has the effects of its blocks of backgrounds; means, intervals and tests need all of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._paths import Settings, merged
from kipoi_tfbind.interpret.global_importance._summary import FACTORS, MemberEffects, summary
from kipoi_tfbind.interpret.global_importance.kept_effects import blocks
from kipoi_tfbind.results.files import check_writable, open_result, whole_file, write_netcdf
from kipoi_tfbind.results.merge_shards import KNOWN, ShardFile, in_order, read_shard
from kipoi_tfbind.results.pieces import finished_attributes
from kipoi_tfbind.results.shards import MARK, Shard, marks

_LABELS = f"{MARK}_labels"
_STATISTICS = ("confidence", "n_resamples", "seed")
_PATH = ("path", "multiply_accumulates", "multiply_accumulates_of_full")


def shard_marks(shard: Shard, labels: xr.Dataset, n_members: int) -> dict[str, Any]:
    """Attributes of a file of a shard.

    Parameters
    ----------
    shard
        The shard.
    labels
        The result without what was computed.
    n_members
        Number of models of the ensemble; 1 of a single model.
    """
    n = labels.sizes["background"]
    coordinates = {str(name): [each.dims[0], each.values.tolist()] for name, each in labels.coords.items()}
    known = {name: value for name, value in labels.attrs.items() if name != FACTORS}
    return {
        **marks(shard, "background", blocks(n)[0][1], n * n_members, labels.attrs["background_hash"]),
        "versions": labels.attrs["versions"],
        FACTORS: labels.attrs[FACTORS],
        _LABELS: json.dumps(coordinates),
        KNOWN: json.dumps(known, default=lambda value: value.item()),
    }


def is_experiment_shard(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a shard of an experiment.

    Raises
    ------
    InputError
        It is no shard.
    """
    return FACTORS in read_shard(path).facts


def merge_experiment_shards(parts: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> int:
    """Join the files of all shards, and make the statistics; the number of backgrounds.

    Raises
    ------
    InputError
        As `kipoi_tfbind.interpret.merge_shards.merge_shards`.
    """
    check_writable(path)
    files = in_order([read_shard(part) for part in parts])
    facts = files[0].facts
    labels = {name: (dim, np.asarray(values)) for name, (dim, values) in json.loads(facts[_LABELS]).items()}
    n = len(labels["background"][1])
    n_members = int(facts[f"{MARK}_total"]) // n
    with ExitStack() as opened:
        results = [opened.enter_context(open_result(file.path, lazy=True)) for file in files]
        attributes = _attributes(results)
        statistics = {name: attributes[name] for name in _STATISTICS}
        factors = {row: dict(terms) for row, terms in json.loads(facts[FACTORS])}
        found = summary(_members(files, results, n, n_members), factors, statistics)
    result = schema.annotate(xr.Dataset(found, coords=labels, attrs=attributes))
    with whole_file(path) as partial:
        write_netcdf(result, partial)
    return n


def _members(
    files: Sequence[ShardFile], results: Sequence[xr.Dataset], n: int, n_members: int
) -> Iterator[MemberEffects]:
    """Predictions and effects of each member of the ensemble."""
    ranges = blocks(n)
    own: list[Iterator[xr.Dataset]] = []
    for file, result in zip(files, results, strict=True):
        numbers = [number for number in range(len(ranges) * n_members) if file.shard.has(number)]
        widths = [ranges[number % len(ranges)][1] - ranges[number % len(ranges)][0] for number in numbers]
        if result.sizes.get("background", 0) != sum(widths):
            raise InputError(
                f"{file.path}: shard {file.shard} should have {sum(widths)} backgrounds and has "
                f"{result.sizes.get('background', 0)}; run it again"
            )
        own.append(_parts(result, widths))
    for member in range(n_members):
        first = member * len(ranges)
        blocks_of_it = [next(own[number % len(own)]) for number in range(first, first + len(ranges))]
        whole = xr.concat(blocks_of_it, "background")
        yield whole["unedited_prediction"].values, whole["pattern_effect"].values


def _parts(result: xr.Dataset, widths: Sequence[int]) -> Iterator[xr.Dataset]:
    """Blocks of a file, in memory one at a time."""
    for start, end in pairwise(accumulate(widths, initial=0)):
        yield result.isel(background=slice(start, end)).load()


def _attributes(results: Sequence[xr.Dataset]) -> dict[str, Any]:
    """Attributes of the whole: as those of shards, but for the path, which members may differ in."""
    known = [json.loads(each.attrs[KNOWN]) for each in results if each.sizes.get("background")]
    paths: list[Settings] = [{name: each.pop(name) for name in _PATH if name in each} for each in known]
    return finished_attributes(known[0], [each["versions"] for each in known]) | dict(merged(paths))
