"""Sites of motifs in sequences, as hits have them."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import decode_codes, reverse_complement_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.motifs.collect import collect_motifs
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.sites import Site
from kipoi_tfbind.results.files import open_result


def hit_sites(
    hits: xr.Dataset | str | os.PathLike[str], codes: NDArray[np.uint8], identifiers: NDArray
) -> tuple[dict[str, Motif], dict[str, list[list[Site]]]]:
    """Motifs of hits that are in some sequences, and their sites in each.

    Parameters
    ----------
    hits
        Result of `find_hits`, or the file of one.
    codes
        uint8 base codes (sequence, position).
    identifiers
        Names of the sequences, which those of the hits are looked up by.

    Returns
    -------
    motifs, sites
        By name; sites for each sequence, in the order of their starts.

    Raises
    ------
    InputError
        It is no result of `find_hits`, no hit is in these sequences, two of these have one name, or the
        bases under a hit are others.
    """
    if not isinstance(hits, xr.Dataset):
        with open_result(hits) as opened:
            return hit_sites(opened, codes, identifiers)
    if "hit_motif" not in hits:
        raise InputError(
            f"hits: of {hits.attrs.get('method', 'an unknown method')}; expected a result of hits"
        )
    rows = {str(name): row for row, name in enumerate(identifiers)}
    if len(rows) < len(identifiers):
        raise InputError("hits: sequences have the same name, by which hits are looked up; give each its own")
    motifs = collect_motifs(hits)
    sites: dict[str, list[list[Site]]] = {name: [[] for _ in codes] for name in motifs}
    columns = (
        hits[f"hit_{name}"].values for name in ("sequence_id", "motif", "start", "end", "bases", "score")
    )
    for identifier, name, start, end, bases, score in zip(*columns, strict=True):
        row = rows.get(str(identifier))
        if row is None:
            continue
        own = codes[row : row + 1, start:end]
        is_forward, is_reverse = (
            decode_codes(each)[0] == str(bases) for each in (own, reverse_complement_codes(own))
        )
        if not is_forward and not is_reverse:
            raise InputError(
                f"hits: sequence {identifier} has {decode_codes(own)[0]} from {start} to {end}, the hit "
                f"{bases}; give the sequences that the hits were found in"
            )
        sites[str(name)][row].append(Site(int(start), not is_forward, float(score)))
    found = [name for name in motifs if any(sites[name])]
    if not found:
        raise InputError(
            f"hits: none of {hits.sizes['hit']} is in the {len(codes)} sequences, by their names; give those "
            "that the hits were found in"
        )
    ordered = {name: [sorted(own) for own in sites[name]] for name in found}
    return {name: motifs[name] for name in found}, ordered
