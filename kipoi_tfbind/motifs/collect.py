"""Many motifs at once: of a MEME file, of JASPAR, or of a result of this package."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import JASPAR_RELEASE, parse_motifs, read_meme
from kipoi_tfbind.results.files import open_result

Motifs = xr.Dataset | str | os.PathLike[str] | Mapping[str, str | Motif | NDArray] | Iterable[str | Motif]
_RESULT_SUFFIXES = (".nc", ".h5")
_MEME_SUFFIXES = (".meme", ".txt")


def collect_motifs(source: Motifs) -> dict[str, Motif]:
    """Motifs by name, from what has several.

    Parameters
    ----------
    source
        A result with ``motif_matrix`` (of `filter_motifs`, `find_motifs` or `find_hits`), or the file of one;
        a MEME file; or what `kipoi_tfbind.motifs.motif.parse_motifs` takes, such as
        ``["MA0139.2", "TGASTCA"]``.

    Returns
    -------
    dict
        Name -> motif. Of a MEME file the motif's name where no other has it, else its id. Motifs without a
        site (filters that never fire) are left out.

    Raises
    ------
    InputError
        There is no motif in it.

    Examples
    --------
    >>> {name: motif.text for name, motif in collect_motifs({"AP-1": "TGASTCA"}).items()}
    {'AP-1': 'TGASTCA'}
    """
    if isinstance(source, xr.Dataset):
        return _of_result(source, "result")
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.suffix in _RESULT_SUFFIXES:
            with open_result(path, lazy=True) as result:
                return _of_result(result, str(path))
        if path.suffix in _MEME_SUFFIXES or path.exists():
            return _of_meme(path)
        return parse_motifs([os.fspath(source)])
    return parse_motifs(cast("Mapping[str, str | Motif | NDArray] | Iterable[str | Motif]", source))


def jaspar_motifs(
    *, release: str = JASPAR_RELEASE, collection: str = "CORE", tax_group: str | None = "vertebrates"
) -> dict[str, Motif]:
    """Read a collection of JASPAR, by matrix id, from the copy in pyjaspar: no network is used.

    Parameters
    ----------
    release
        Such as "JASPAR2024".
    collection
        Such as "CORE".
    tax_group
        Such as "vertebrates"; None for all.

    Returns
    -------
    dict
        Matrix id -> motif; of each matrix the latest version.

    Raises
    ------
    InputError
        There is no such release, or no motif of this collection and group in it.
    MissingProgramError
        pyjaspar is not installed.
    """
    try:
        from pyjaspar import jaspardb
    except ImportError:
        raise MissingProgramError("pyjaspar is not installed: pip install 'kipoi_tfbind[motifs]'") from None
    releases = jaspardb(release=JASPAR_RELEASE).get_releases()
    if release not in releases:
        raise InputError(f"release: expected one of {', '.join(releases)}, got {release!r}")
    found = jaspardb(release=release).fetch_motifs(
        collection=collection, tax_group=[tax_group] if tax_group else None
    )
    if not found:
        group = f" of {tax_group}" if tax_group else ""
        raise InputError(
            f"collection, tax_group: {release} has no motif{group} in the collection {collection!r}; "
            "try CORE and vertebrates"
        )
    motifs = {}
    for each in found:
        counts = np.array([each.counts[base] for base in BASES], dtype=np.float64).T
        motifs[each.matrix_id] = Motif(each.name, counts / counts.sum(axis=1, keepdims=True))
    return motifs


def expected_contributions(source: Motifs) -> dict[str, NDArray[np.float64]]:
    """Mean contributions (column, base) of the instances of a result's motifs, by name, if it has some."""
    if isinstance(source, str | os.PathLike) and Path(source).suffix in _RESULT_SUFFIXES:
        with open_result(source) as result:
            return expected_contributions(result)
    if not isinstance(source, xr.Dataset) or "contribution_matrix" not in source:
        return {}
    matrices = source["contribution_matrix"].transpose("motif", "column", "base").values
    return {
        str(name): matrix[np.isfinite(matrix).all(axis=1)].astype(np.float64)
        for name, matrix in zip(source["motif"].values, matrices, strict=True)
    }


def motif_table(motifs: Mapping[str, Motif]) -> xr.Dataset:
    """Motifs as variables of a result: ``motif_matrix`` (motif, column, base), NaN beyond a motif's width.

    Examples
    --------
    >>> table = motif_table(collect_motifs({"G": "G", "GA": "GA"}))
    >>> table["motif_matrix"].sel(motif="G").values
    array([[ 0.,  0.,  1.,  0.],
           [nan, nan, nan, nan]])
    """
    width = max(map(len, motifs.values()))
    matrices = np.full((len(motifs), width, len(BASES)), np.nan)
    for matrix, motif in zip(matrices, motifs.values(), strict=True):
        matrix[: len(motif)] = motif.matrix[::-1, ::-1] if motif.is_reverse else motif.matrix
    return xr.Dataset(
        {"motif_matrix": (("motif", "column", "base"), matrices)},
        coords={"motif": list(motifs), "column": np.arange(width), "base": list(BASES)},
    )


def _of_result(result: xr.Dataset, name: str) -> dict[str, Motif]:
    if "motif_matrix" not in result:
        method = result.attrs.get("method", "an unknown method")
        raise InputError(
            f"{name}: of {method}, which has no motifs; give a result of filters, modisco or hits, "
            "or a MEME file"
        )
    matrices = result["motif_matrix"].transpose("motif", "column", "base").values
    found = {}
    for label, matrix in zip(result["motif"].values.astype(str), matrices, strict=True):
        rows = matrix[np.isfinite(matrix).all(axis=1)].astype(np.float64)
        if rows.any():
            total = rows.sum(axis=1, keepdims=True)
            found[str(label)] = Motif(str(label), rows / np.where(total > 0, total, 1))
    if not found:
        raise InputError(f"{name}: none of its motifs has a site")
    return found


def _of_meme(path: Path) -> dict[str, Motif]:
    motifs = read_meme(path)
    names = [motif.name for motif in motifs.values()]
    return {
        motif.name if names.count(motif.name) == 1 else identifier: motif
        for identifier, motif in motifs.items()
    }
