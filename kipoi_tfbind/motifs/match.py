"""Names for motifs: the known ones that they are like, by Tomtom."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

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
    if top < 1:
        raise InputError(f"top: expected at least 1, got {top}")
    queries = collect_motifs(motifs)
    known, described = known_motifs(database, release=release, collection=collection, tax_group=tax_group)
    found = compare(queries, known, trim=trim)
    columns = _best(found, known, min(top, len(known)))
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


class Comparison(NamedTuple):
    """Tomtom's comparisons of queries with known motifs: (query, known), NaN where a query has no columns.

    Attributes
    ----------
    p_value
        Of the best offset on either strand.
    offset
        Column of the known motif at which the query begins.
    overlap
        Number of columns that are compared.
    is_reverse
        1 where the known motif is alike as its reverse complement.
    """

    p_value: NDArray[np.float64]
    offset: NDArray[np.float64]
    overlap: NDArray[np.float64]
    is_reverse: NDArray[np.float64]


def compare(queries: Mapping[str, Motif], known: Mapping[str, Motif], *, trim: float = 0.2) -> Comparison:
    """Compare each of some motifs with each known one, by Tomtom.

    Raises
    ------
    InputError
        Fewer than 25 known motifs.
    MissingProgramError
        memelite is not installed.
    """
    try:
        from memelite import tomtom
    except ImportError:
        raise MissingProgramError("memelite is not installed: pip install 'kipoi_tfbind[motifs]'") from None
    if len(known) < _FEWEST_TARGETS:
        raise InputError(
            f"database: expected at least {_FEWEST_TARGETS} motifs, of whose columns Tomtom makes its null "
            f"distribution, got {len(known)}; add a collection such as JASPAR's to them"
        )
    matrices = [_matrix(motif) for motif in queries.values()]
    kept = np.array([kept_columns(matrix, trim) for matrix in matrices])
    rows = np.flatnonzero(kept[:, 1] > kept[:, 0])
    found = Comparison(*(np.full((len(queries), len(known)), np.nan) for _ in Comparison._fields))
    if rows.size:
        cut = [np.ascontiguousarray(matrices[row][slice(*kept[row])].T) for row in rows]
        targets = [np.ascontiguousarray(_matrix(motif).T) for motif in known.values()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            p, _, offset, overlap, strand = tomtom(cut, targets, n_jobs=1)
        found.p_value[rows], found.offset[rows] = np.clip(p, 0, 1), offset - kept[rows, :1]
        found.overlap[rows], found.is_reverse[rows] = overlap, strand
    return found


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


def known_motifs(
    database: str | os.PathLike[str] | Mapping[str, Motif] = "JASPAR",
    *,
    release: str = JASPAR_RELEASE,
    collection: str = "CORE",
    tax_group: str | None = "vertebrates",
) -> tuple[Mapping[str, Motif], dict[str, Any]]:
    """Known motifs by id, and what a result says of where they are from; as `match_motifs` takes them."""
    if isinstance(database, str) and database == "JASPAR":
        settings = {"release": release, "collection": collection, "tax_group": tax_group or "all"}
        known = jaspar_motifs(release=release, collection=collection, tax_group=tax_group)
        return known, {"database": "JASPAR", **settings}
    if isinstance(database, Mapping):
        return database, {"database": "given"}
    return read_meme(database), {"database": os.fspath(database)}


def _best(found: Comparison, known: Mapping[str, Motif], top: int) -> dict[str, NDArray]:
    """The best matches (query, rank) of all (query, known)."""
    has = np.isfinite(found.p_value[:, 0])
    order = np.argsort(found.p_value, axis=1, kind="stable")[:, :top]

    def taken(values: NDArray) -> NDArray:
        return np.take_along_axis(values, order, axis=1)

    q = np.full(found.p_value.shape, np.nan)
    q[has] = false_discovery_control(found.p_value[has], axis=1)
    texts = {
        "match_id": np.array(list(known), dtype=object)[order],
        "match_name": np.array([motif.name for motif in known.values()], dtype=object)[order],
        "match_orientation": np.where(taken(found.is_reverse) == 1, "-", "+").astype(object),
    }
    return {name: np.where(has[:, np.newaxis], text, "") for name, text in texts.items()} | {
        "match_p_value": taken(found.p_value),
        "match_q_value": taken(q),
        "match_offset": taken(found.offset),
        "match_overlap": taken(found.overlap),
    }
