"""Names for motifs: the known ones that they are like, by Tomtom."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.motifs.collect import Motifs, collect_motifs, jaspar_motifs
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import JASPAR_RELEASE, read_meme

_FEWEST_TARGETS = 25
_ORIENTATIONS = np.array(["+", "-"])


def match_motifs(
    motifs: Motifs,
    database: str | os.PathLike[str] | Mapping[str, Motif] = "JASPAR",
    *,
    release: str = JASPAR_RELEASE,
    collection: str = "CORE",
    tax_group: str | None = "vertebrates",
    top: int = 5,
    trim: float = 0.2,
) -> xr.Dataset:
    """Find the known motifs that each motif is most like, by Tomtom.

    Tomtom (Gupta et al. 2007, doi:10.1186/gb-2007-8-2-r24) as memelite has it: Euclidean distances of columns
    over the best offset on either strand, with their complete null distribution. The q-value of a match is
    Benjamini and Hochberg's over all motifs of the database, for each query by itself: the probability that a
    motif like none of them has any match at q < 0.05 is at most 5%.

    Parameters
    ----------
    motifs
        What `kipoi_tfbind.motifs.collect.collect_motifs` takes: a result with motifs, a MEME file, a list.
    database
        "JASPAR", a MEME file, or motifs by id.
    release, collection, tax_group
        Of JASPAR; ``tax_group=None`` for all groups.
    top
        How many matches of each motif to give, the best first.
    trim
        Columns at both ends of a query with less information than this, in bits, are not compared.

    Returns
    -------
    xr.Dataset
        (motif, rank): ``match_id``, ``match_name``, ``match_p_value``, ``match_q_value``, ``match_offset``,
        ``match_overlap`` and ``match_orientation``. A motif without information has empty names and NaN.

    Raises
    ------
    InputError
        A database that is none, with fewer than 25 motifs (Tomtom's null distribution is made of its
        columns), or `top` below 1.
    MissingProgramError
        memelite or pyjaspar is not installed.

    Examples
    --------
    >>> matches = match_motifs({"mine": "GTCACGTGAC"}, jaspar_motifs(), top=1)  # doctest: +SKIP
    >>> matches["match_name"].values.tolist()  # doctest: +SKIP
    [['USF1']]
    """
    try:
        from memelite import tomtom
    except ImportError:
        raise MissingProgramError("memelite is not installed: pip install 'kipoi_tfbind[motifs]'") from None
    if top < 1:
        raise InputError(f"top: expected at least 1, got {top}")
    queries = collect_motifs(motifs)
    known, described = _database(database, release, collection, tax_group)
    if len(known) < _FEWEST_TARGETS:
        raise InputError(
            f"database: expected at least {_FEWEST_TARGETS} motifs, of whose columns Tomtom makes its null "
            f"distribution, got {len(known)}; add a collection such as JASPAR's to them"
        )
    targets = [np.ascontiguousarray(_matrix(motif).T) for motif in known.values()]
    kept = {name: kept_columns(_matrix(motif), trim) for name, motif in queries.items()}
    compared = [name for name, (start, end) in kept.items() if end > start]
    columns = _no_match(len(queries), min(top, len(known)))
    if compared:
        cut = [_matrix(queries[name])[slice(*kept[name])] for name in compared]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            p, _, offset, overlap, strand = tomtom(
                [np.ascontiguousarray(m.T) for m in cut], targets, n_jobs=1
            )
        rows = [list(queries).index(name) for name in compared]
        shift = np.array([kept[name][0] for name in compared])[:, np.newaxis]
        found = _best(np.clip(p, 0, 1), offset - shift, overlap, strand, list(known), known, columns)
        for label, values in found.items():
            columns[label][rows] = values
    return schema.annotate(
        xr.Dataset(
            {label: (("motif", "rank"), values) for label, values in columns.items()},
            coords={"motif": list(queries), "rank": np.arange(1, columns["match_id"].shape[1] + 1)},
            attrs={
                "method": "match_motifs",
                **described,
                "n_known_motifs": len(known),
                "trim": trim,
                "versions": ", ".join(
                    f"{name} {version(name)}" for name in ("kipoi_tfbind", "memelite", "numpy")
                ),
            },
        )
    )


def kept_columns(matrix: NDArray, trim: float) -> tuple[int, int]:
    """Range of a motif's columns without those at its ends that have less than `trim` bits.

    Examples
    --------
    >>> even, a, g = [0.25] * 4, [1, 0, 0, 0], [0, 0, 1, 0]
    >>> kept_columns(np.array([even, a, even, g, [0.3, 0.2, 0.3, 0.2]]), 0.2)
    (1, 4)
    """
    informative = np.flatnonzero(information(matrix) >= trim)
    return (int(informative[0]), int(informative[-1]) + 1) if informative.size else (0, 0)


def information(matrix: NDArray) -> NDArray:
    """Information (..., column) of frequencies (..., column, base), in bits against uniform bases.

    Examples
    --------
    >>> information(np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4]))
    array([2., 1., 0.])
    """
    p = np.asarray(matrix, dtype=np.float64)
    entropy = -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=-1)
    return np.where(p.sum(axis=-1) > 0, np.log2(p.shape[-1]) - entropy, 0.0)


def _matrix(motif: Motif) -> NDArray[np.float64]:
    """Probabilities as embedded; the columns of N are even."""
    matrix = motif.matrix[::-1, ::-1] if motif.is_reverse else motif.matrix
    return np.where(matrix.any(axis=1, keepdims=True), matrix, 0.25)


def _database(
    database: str | os.PathLike[str] | Mapping[str, Motif],
    release: str,
    collection: str,
    tax_group: str | None,
) -> tuple[Mapping[str, Motif], dict[str, Any]]:
    """Known motifs by id, and what the result says of where they are from."""
    if isinstance(database, str) and database == "JASPAR":
        settings = {"release": release, "collection": collection, "tax_group": tax_group or "all"}
        known = jaspar_motifs(release=release, collection=collection, tax_group=tax_group)
        return known, {"database": "JASPAR", **settings}
    if isinstance(database, Mapping):
        return database, {"database": "given"}
    return read_meme(database), {"database": os.fspath(database)}


def _no_match(n: int, top: int) -> dict[str, NDArray]:
    text, number = np.full((n, top), "", dtype=object), np.full((n, top), np.nan)
    return {
        "match_id": text.copy(),
        "match_name": text.copy(),
        "match_orientation": text.copy(),
        **{f"match_{name}": number.copy() for name in ("p_value", "q_value", "offset", "overlap")},
    }


def _best(
    p: NDArray,
    offset: NDArray,
    overlap: NDArray,
    strand: NDArray,
    identifiers: list[str],
    known: Mapping[str, Motif],
    columns: Mapping[str, NDArray],
) -> dict[str, NDArray]:
    """The best matches (query, rank) of all (query, target)."""
    order = np.argsort(p, axis=1, kind="stable")[:, : columns["match_id"].shape[1]]

    def taken(values: NDArray) -> NDArray:
        return np.take_along_axis(values, order, axis=1)

    names = np.array([known[identifier].name for identifier in identifiers], dtype=object)
    return {
        "match_id": np.array(identifiers, dtype=object)[order],
        "match_name": names[order],
        "match_orientation": _ORIENTATIONS[taken(strand).astype(int)].astype(object),
        "match_p_value": taken(p),
        "match_q_value": taken(false_discovery_control(p, axis=1)),
        "match_offset": taken(offset),
        "match_overlap": taken(overlap),
    }
