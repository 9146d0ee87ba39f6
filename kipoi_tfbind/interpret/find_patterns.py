"""Patterns of contributions, by TF-MoDISco."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.interpret._score_tracks import Result
from kipoi_tfbind.results.files import open_result
from kipoi_tfbind.results.position_scores import hypothetical_scores


def find_patterns(result: Result, *, target: int | str = 0, max_seqlets: int = 20_000) -> xr.Dataset:
    """Find the patterns that contributions have in common, by TF-MoDISco.

    Runs tfmodisco-lite (Shrikumar et al. 2018, arXiv:1811.00416) with its own defaults, and brings its
    patterns back as motifs, which `match_motifs` names and `find_hits` finds.

    Parameters
    ----------
    result
        Result of `deep_shap`, `gradients` or `in_silico_mutagenesis`, or the file of one.
    target
        Index of the target, or its name.
    max_seqlets
        Most seqlets of each sign that are clustered.

    Returns
    -------
    xr.Dataset
        (motif, column, base): ``motif_matrix`` and ``contribution_matrix``; (motif): ``n_motif_sites``. The
        motifs are called ``positive 0``, ``positive 1``, ..., ``negative 0``, ..., the largest first.

    Raises
    ------
    InputError
        A result without hypothetical contributions, or in which tfmodisco-lite finds no pattern.
    MissingProgramError
        tfmodisco-lite is not installed.

    Examples
    --------
    >>> patterns = find_patterns("deepshap.nc", target="CTCF")  # doctest: +SKIP
    >>> patterns["motif"].values.tolist()  # doctest: +SKIP
    ['positive 0', 'positive 1', 'negative 0']
    """
    try:
        from modiscolite.tfmodisco import TFMoDISco
    except ImportError:
        raise MissingProgramError(
            "tfmodisco-lite is not installed: pip install 'kipoi_tfbind[modisco]'"
        ) from None
    one_hot, scores, name = _arrays(result, target)
    found = TFMoDISco(one_hot, scores, max_seqlets_per_metacluster=max_seqlets)
    patterns = {
        f"{sign} {i}": pattern
        for sign, some in zip(("positive", "negative"), found, strict=True)
        for i, pattern in enumerate(some or [])
    }
    if not patterns:
        raise InputError(
            f"target {name}: tfmodisco-lite finds no pattern in {len(one_hot)} sequences; give it more"
        )
    attributes = {
        "method": "find_patterns",
        "target": name,
        "max_seqlets": max_seqlets,
        "n_sequences": len(one_hot),
        "versions": ", ".join(
            f"{package} {version(package)}" for package in ("kipoi_tfbind", "modisco-lite")
        ),
    }
    return schema.annotate(_table(patterns).assign_attrs(attributes))


def _arrays(result: Result, target: int | str) -> tuple[NDArray, NDArray, str]:
    """One-hot and hypothetical scores (sequence, position, base), and the target's name."""
    if not isinstance(result, xr.Dataset):
        with open_result(result) as opened:
            return _arrays(opened, target)
    names = [str(each) for each in result["target"].values] if "target" in result else []
    index = names.index(target) if target in names else target
    if not isinstance(index, int) or not 0 <= index < len(names):
        raise InputError(f"target: the result has no {target!r}; it has {', '.join(names[:10]) or 'none'}")
    one = result.isel(target=index)
    scores = hypothetical_scores(one, "result")
    one_hot = one["one_hot"].transpose("sequence", "position", "base").values
    return one_hot.astype(np.float32), scores.astype(np.float32), names[index]


def _table(patterns: dict[str, Any]) -> xr.Dataset:
    """Patterns as variables; NaN beyond the width of a narrower one."""
    width = max(len(pattern.sequence) for pattern in patterns.values())
    shape = len(patterns), width, len(BASES)
    matrices, contributions = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, pattern in enumerate(patterns.values()):
        rows = np.asarray(pattern.sequence, dtype=np.float64)
        total = rows.sum(axis=1, keepdims=True)
        matrices[i, : len(rows)] = np.where(total > 0, rows / np.maximum(total, 1e-12), 0.25)
        contributions[i, : len(rows)] = pattern.contrib_scores
    by_base = ("motif", "column", "base")
    return xr.Dataset(
        {
            "motif_matrix": (by_base, matrices),
            "contribution_matrix": (by_base, contributions),
            "n_motif_sites": (("motif",), [len(pattern.seqlets) for pattern in patterns.values()]),
        },
        coords={"motif": list(patterns), "column": np.arange(width), "base": list(BASES)},
    )
