"""Agreement of maps: of methods, members of an ensemble, seeds or frameworks, on the same sequences."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._method import versions
from kipoi_tfbind.interpret.global_importance.statistics import paired_statistics
from kipoi_tfbind.results.files import OPTION, add_variables
from kipoi_tfbind.results.position_scores import base_scores, has_scores, source_of
from kipoi_tfbind.results.shards import Shard, concatenated
from kipoi_tfbind.results.stream import stream_blocks

_AT_ONCE = 256  # sequences
# How alike two maps of one sequence are; each has its mean over the sequences, with an interval.
MEASURES = ("cosine", "rank_correlation", "top_overlap")


def agreement(
    results: Mapping[str, xr.Dataset], *, top: int = 20, confidence: float = 0.95, seed: int = 0
) -> xr.Dataset:
    """Compare the maps of several results, each with each: how alike they are, by target.

    A map is one number for each position, the same that a logo's letters are as high as: contribution of the
    observed base, or minus the mean effect of its substitutions, or of the windows that occlude it. Positions
    that all results have are compared. Agreement is no proof: methods can share a fault, and members of an
    ensemble the bias of their data.

    Parameters
    ----------
    results
        Name -> what a method returned, or `open_result` with ``lazy``: some sequences are in memory at once;
        at least two, of the same sequences. For the members of an ensemble:
        ``{member.name: deep_shap(member, sequences) for member in model.members}``.
    top
        Number of positions of the largest magnitude whose overlap is counted.
    confidence
        Of the intervals, between 0 and 1: by the BCa bootstrap over the sequences.
    seed
        Of the bootstrap.

    Returns
    -------
    xr.Dataset
        ``cosine`` (of the angle between the maps), ``rank_correlation`` (Spearman's) and ``top_overlap``
        (share of the top positions that both have) (comparison, sequence, target), each with its mean over
        the sequences, ``mean_cosine`` and so on, and the ends of the interval ``_low`` and ``_high``
        (comparison, target), NaN of one sequence. Coordinates ``map_a`` and ``map_b`` (comparison). A map
        without any contribution agrees with none: it has NaN.

    Raises
    ------
    InputError
        Fewer than two results, or of different sequences; no target or fewer than three positions in common.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis, occlusion
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> sequences = encode_sequences(["AGGATGTC", "CCGATTGA"])
    >>> maps = {
    ...     "ISM": in_silico_mutagenesis(model, sequences),
    ...     "occlusion": occlusion(model, sequences, width=1, stride=1),
    ... }
    >>> agreement(maps, top=3)["top_overlap"].values[..., 0]
    array([[1., 1.]])
    """
    compared = _Compared.of(results, top)
    measured = [compared.measure(part) for part in compared.parts()]
    dataset = concatenated(measured, "sequence").assign_attrs(compared.attributes(confidence, seed))
    return schema.annotate(with_means(dataset, MEASURES, confidence, seed))


def stream_agreement(
    results: Mapping[str, xr.Dataset],
    path: str | os.PathLike[str],
    /,
    *,
    top: int = 20,
    confidence: float = 0.95,
    seed: int = 0,
    shard: Shard | str | None = None,
    restart: bool = False,
) -> int:
    """Compute `agreement`, 256 sequences at a time, into a result file; go on with an interrupted run.

    Parameters
    ----------
    results, top, confidence, seed
        As of `agreement`.
    path
        File of the result, netCDF-4; a file of that name is replaced when the run is complete.
    shard
        Only a share of the sequences, such as "2/8"; `merge_shards` joins the files of all shards, and makes
        means and intervals. Every shard reads all maps.
    restart
        Throw away what an interrupted run has written.

    Returns
    -------
    int
        Number of sequences in the file.

    Raises
    ------
    InputError
        As `agreement`; the file cannot be written there, another process is writing it, or what an
        interrupted run has written is of other results or of other options.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis, open_result
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> ism = in_silico_mutagenesis(model, encode_sequences(["AGGATGTC", "CCGATTGA"]))
    >>> path = getfixture("tmp_path") / "agreement.nc"
    >>> stream_agreement({"one": ism, "the same": ism}, path, top=3)
    2
    >>> open_result(path)["mean_cosine"].values
    array([[1.]])
    """
    compared = _Compared.of(results, top)
    attributes = compared.attributes(confidence, seed)
    return stream_blocks(
        lambda part: schema.annotate(compared.measure(part).assign_attrs(attributes)),
        compared.parts(),
        path,
        {**attributes, f"{OPTION}results": compared.content_hash()},
        at_once=lambda length: _AT_ONCE,
        complete=add_means,
        shard=shard,
        restart=restart,
    )


def add_means(path: str | os.PathLike[str]) -> None:
    """Write into a result file the means over all of its sequences, and their intervals."""
    with xr.open_dataset(path, engine="h5netcdf", cache=False) as result:
        held = result[list(MEASURES)].load()
    found = with_means(held, MEASURES, float(held.attrs["confidence"]), int(held.attrs["seed"]))
    add_variables(schema.annotate(found).drop_vars(list(MEASURES)), path)


@dataclass(frozen=True)
class _Compared:
    """Results that are compared, each with each, at the targets and positions that all have."""

    results: Mapping[str, xr.Dataset]
    top: int
    targets: list[str]
    positions: NDArray[np.intp]
    pairs: list[tuple[int, int]]

    @classmethod
    def of(cls, results: Mapping[str, xr.Dataset], top: int) -> _Compared:
        if len(results) < 2:
            raise InputError(f"results: expected at least two to compare, got {len(results)}")
        if top < 1:
            raise InputError(f"top: expected at least 1, got {top}")
        return cls(results, top, *_common(results), list(combinations(range(len(results)), 2)))

    def parts(self) -> Iterator[xr.Dataset]:
        """The maps (sequence, position, target) of some sequences at a time, numbered as their results."""
        first = next(iter(self.results.values()))
        keep = [str(name) for name, c in first.coords.items() if c.dims == ("sequence",)]
        for start in range(0, first.sizes["sequence"], _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            parts = {name: result.isel(sequence=rows).load() for name, result in self.results.items()}
            _check_same(parts, self.positions)
            maps = (_maps(part, self.targets, self.positions) for part in parts.values())
            labels = next(iter(parts.values())).coords
            yield xr.Dataset(
                {f"map {i}": (("sequence", "position", "target"), each) for i, each in enumerate(maps)},
                coords={name: labels[name].variable for name in keep},
            )

    def measure(self, part: xr.Dataset) -> xr.Dataset:
        """How alike the maps of some sequences are."""
        maps = [part[f"map {i}"].values for i in range(len(self.results))]
        n = part.sizes["sequence"]
        measured = np.full((len(MEASURES), len(self.pairs), n, len(self.targets)), np.nan)
        for at, row, target in np.ndindex(measured.shape[1:]):
            a, b = (maps[i][row, :, target] for i in self.pairs[at])
            measured[:, at, row, target] = compare_maps(a, b, self.top)
        names = list(self.results)
        return xr.Dataset(
            {
                name: (("comparison", "sequence", "target"), each)
                for name, each in zip(MEASURES, measured, strict=True)
            },
            coords={
                **{str(name): c.variable for name, c in part.coords.items()},
                "target": self.targets,
                "map_a": ("comparison", [names[a] for a, _ in self.pairs]),
                "map_b": ("comparison", [names[b] for _, b in self.pairs]),
            },
        )

    def attributes(self, confidence: float, seed: int) -> dict[str, Any]:
        """Attributes of the comparison."""
        first = next(iter(self.results.values()))
        return {
            "method": "agreement",
            "maps": ", ".join(f"{name}: {_described(result)}" for name, result in self.results.items()),
            **_model_of(self.results),
            "output": str(first.attrs.get("output", "raw")),
            "top": self.top,
            "confidence": confidence,
            "seed": seed,
            "n_positions": len(self.positions),
            "versions": versions(),
        }

    def content_hash(self) -> str:
        """Hash of the letters of all sequences, and of what each result says of itself."""
        found = hashlib.sha256()
        for name, result in self.results.items():
            found.update(f"{name}\0{sorted(map(str, result.attrs.items()))}\0".encode())
        one_hot = next(iter(self.results.values()))["one_hot"]
        for start in range(0, one_hot.sizes["sequence"], _AT_ONCE):
            found.update(np.ascontiguousarray(one_hot[start : start + _AT_ONCE].values, np.float32).data)
        return found.hexdigest()[:16]


def with_means(dataset: xr.Dataset, names: tuple[str, ...], confidence: float, seed: int) -> xr.Dataset:
    """Add the mean of each variable over the sequences, and the ends of its interval."""
    for name in names:
        variable = dataset[name]
        axis = variable.dims.index("sequence")
        dims = [dim for dim in variable.dims if dim != "sequence"]
        if variable.sizes["sequence"] < 2:
            alone = variable.values.take(0, axis=axis)
            found = [alone, np.full_like(alone, np.nan), np.full_like(alone, np.nan)]
        else:
            statistics = paired_statistics(variable.values, axis=axis, confidence=confidence, seed=seed)
            found = [statistics.mean, statistics.bootstrap_low, statistics.bootstrap_high]
        for end, values in zip(("", "_low", "_high"), found, strict=True):
            dataset[f"mean_{name}{end}"] = dims, values
    return dataset


def compare_maps(a: NDArray, b: NDArray, top: int) -> tuple[float, float, float]:
    """Cosine, rank correlation and overlap of the top positions of two maps (position).

    Positions are left out where one of the maps is NaN.

    Examples
    --------
    >>> compare_maps(np.array([3.0, 0.0, 1.0, np.nan]), np.array([6.0, 0.0, 2.0, 1.0]), 1)
    (1.0, 1.0, 1.0)
    """
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known].astype(np.float64), b[known].astype(np.float64)
    if len(a) < 2 or not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return np.nan, np.nan, np.nan
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    cosine = float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))
    rank = float(np.clip(stats.spearmanr(a, b).statistic, -1, 1))
    top = min(top, len(a))
    largest = [set(np.argsort(-np.abs(each), kind="stable")[:top].tolist()) for each in (a, b)]
    return cosine, rank, len(largest[0] & largest[1]) / top


def position_maps(result: xr.Dataset) -> NDArray[np.float64]:
    """Score (sequence, position, target) of each position of a result, NaN where it has none."""
    return np.stack([base_scores(result.isel(target=i)) for i in range(result.sizes["target"])], axis=-1)


def _common(results: Mapping[str, xr.Dataset]) -> tuple[list[str], NDArray[np.intp]]:
    """Targets and positions that all results have, after a check that they are of the same sequences."""
    (first_name, first), *others = results.items()
    for name, result in results.items():
        if isinstance(result, xr.Dataset) and not has_scores(result):
            raise InputError(
                f"results: {name} ({result.attrs.get('method', 'unknown method')}) has no map of the bases; "
                "give results of deep_shap, in_silico_mutagenesis, gradients, occlusion, surrogate or others "
                "that have one"
            )
        schema.require(result, source_of(result), "one_hot")
        if not result.sizes["sequence"]:
            raise InputError(f"results: {name} has no sequence")
    targets = [str(target) for target in first["target"].values]
    positions = first["position"].values
    for name, result in others:
        own = set(map(str, result["target"].values))
        targets = [target for target in targets if target in own]
        positions = np.intersect1d(positions, result["position"].values)
        if not targets or len(positions) < 3:
            what = "target" if not targets else "three positions"
            raise InputError(
                f"results: {first_name} and {name} have no {what} in common; nothing can be compared"
            )
        if result.sizes["sequence"] != first.sizes["sequence"]:
            raise _other_sequences(name, first_name)
    return targets, positions


def _check_same(parts: Mapping[str, xr.Dataset], positions: NDArray[np.intp]) -> None:
    """Check that parts of results are of the same sequences."""
    one_hots = {name: part["one_hot"].sel(position=positions).values for name, part in parts.items()}
    (first_name, first), *others = one_hots.items()
    for name, one_hot in others:
        if (first != one_hot).any():
            raise _other_sequences(name, first_name)


def _other_sequences(name: str, first: str) -> InputError:
    return InputError(
        f"results: {name} is of other sequences than {first}; compare results of the same ones, in the same "
        "order"
    )


def _maps(result: xr.Dataset, targets: list[str], positions: NDArray[np.intp]) -> NDArray[np.float64]:
    # Windows of an occlusion reach over positions that are left out: scored before they are.
    scores = position_maps(result)
    names = [str(target) for target in result["target"].values]
    columns = [names.index(target) for target in targets]
    return scores[:, np.searchsorted(result["position"].values, positions)][:, :, columns]


def _model_of(results: Mapping[str, xr.Dataset]) -> dict[str, str]:
    """The model, where it is the same one for all maps."""
    names = ("model", "model_source", "model_hash")
    found = [{name: str(result.attrs.get(name, "")) for name in names} for result in results.values()]
    if all(each == found[0] for each in found):
        return found[0]
    return {"model": "several models", "model_source": "", "model_hash": "unknown"}


def _described(result: xr.Dataset) -> str:
    attributes: Mapping[Any, Any] = result.attrs
    kind = attributes.get("gradient_method", attributes.get("method", "unknown method"))
    return f"{kind} of {attributes.get('model', 'a model')}"
