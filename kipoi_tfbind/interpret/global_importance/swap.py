"""Swapped contexts: the site of one sequence in the context of another."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES, codes_of, one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._method import check_range
from kipoi_tfbind.interpret._paths import Paths
from kipoi_tfbind.interpret.global_importance._analyse import Labels, length_of, summarise
from kipoi_tfbind.interpret.global_importance._insertions import Placed, pattern_effects, place
from kipoi_tfbind.interpret.global_importance.settings import Settings, StatisticsOptions
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif


def context_swap(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    start: int,
    end: int,
    donors: int | None = None,
    **options: Unpack[StatisticsOptions],
) -> xr.Dataset:
    """Effect of giving each sequence the site of each other one.

    The effect of donor d in sequence z is f(z with positions `start` to `end` of d) - f(z). Its mean over the
    sequences is what the site of d does in any context; how much it varies is what the context does. Seen
    from d, it is the same as putting d's site into the context of z.

    Parameters
    ----------
    model
        As in `global_importance_analysis`.
    sequences
        Dataset with ``one_hot``: real sequences, aligned so that their sites lie in the same positions.
    start, end
        The site, 0-based, `end` not included. N in a donor's site leaves the other sequence's base.
    donors
        Only the first so many give their sites; all by default.
    **options
        ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``, as in
        `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`: patterns are the donors, backgrounds the sequences that get
        their sites. A sequence with its own site is missing (NaN).

    Raises
    ------
    InputError
        Fewer than three sequences, a range that is none, or a donor with nothing but N.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> sequences = encode_sequences(["AGGA", "ATTA", "GAAG"])
    >>> context_swap(model, sequences, start=1, end=3)["pattern_effect"].sel(target="number of G").values
    array([[nan,  2.,  2.],
           [-2., nan,  0.],
           [-2.,  0., nan]], dtype=float32)
    """
    start, end = check_range(start, end, length_of(sequences))
    codes = codes_of(sequences["one_hot"].values)
    n = len(codes) if donors is None else donors
    if len(codes) < 3 or not 1 <= n <= len(codes):
        raise InputError(
            f"sequences, donors: expected at least 3 sequences and 1 donor of them, got {len(codes)}, {n}"
        )
    settings = Settings(**options)
    sites = _sites(sequences, codes[:n], start, end)
    paths = Paths(settings.path)

    def effects(member: SequenceModel, batch: Batch, prediction: NDArray) -> NDArray:
        found = pattern_effects(paths.of(member, batch), batch, codes, sites, prediction, settings)
        found[np.arange(n), np.arange(n)] = np.nan
        return found

    labels = Labels(
        names=list(sites),
        comparisons={},
        coordinates={"insertions": [each.text for each in sites.values()], "note": [""] * n},
        attributes=lambda: {"experiment": "swap", "start": start, "end": end, **paths.settings()},
    )
    return summarise(model, sequences, effects, labels, settings)


def _sites(sequences: xr.Dataset, donors: NDArray[np.uint8], start: int, end: int) -> dict[str, Placed]:
    """Sites of the first sequences, whose codes these are, as patterns.

    Raises
    ------
    InputError
        A site is all N.
    """
    ids = sequences["id"].values.astype(str).tolist() if "id" in sequences.coords else None
    ids = ids or [str(row) for row in range(sequences.sizes["sequence"])]
    sites = {}
    for row, site in enumerate(one_hot_codes(donors[:, start:end], np.float64)):
        name = f"site of {ids[row]}" + (f" [{row}]" if ids.count(ids[row]) > 1 else "")
        if not site.any():
            raise InputError(f"sequences: the {name} is all N")
        sites[name] = place(name, [(Motif(name, site.reshape(-1, len(BASES))), start)], donors.shape[1])
    return sites
