"""Where seqlets and hits are: in their sequences, and on the contigs."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import decode_codes, reverse_complement_codes
from kipoi_tfbind.interpret._score_tracks import ScoreTracks


def place_variables(
    kind: str,
    tracks: ScoreTracks,
    sequence: NDArray[np.intp],
    start: NDArray[np.intp],
    end: NDArray[np.intp],
    *,
    is_reverse: NDArray[np.bool_] | None = None,
) -> dict[str, tuple[tuple[str, ...], NDArray]]:
    """The variables that say where each seqlet or hit is.

    Parameters
    ----------
    kind
        "seqlet" or "hit", with which their names begin.
    tracks
        The sequences.
    sequence, start, end
        Index of the sequence, and range of positions in the tracks, 0-based, `end` not included.
    is_reverse
        Whether each reads the strand that its sequence does not.

    Returns
    -------
    dict
        ``KIND_sequence``, ``KIND_sequence_id``, ``KIND_start``, ``KIND_end``; and where the sequences have
        coordinates ``KIND_chrom``, ``KIND_chrom_start``, ``KIND_chrom_end``. ``KIND_strand`` is that of the
        contig, or of the sequence where it has no coordinates. ``KIND_bases`` reads that strand.
    """
    places = tracks.places
    first, last = start + tracks.first, end + tracks.first
    identifiers = (
        places["id"].values.astype(str) if "id" in places.coords else np.arange(len(tracks.codes)).astype(str)
    )
    backward = np.zeros(len(sequence), dtype=bool) if is_reverse is None else is_reverse.copy()
    found: dict[str, NDArray] = {
        "sequence": sequence,
        "sequence_id": identifiers[sequence].astype(object),
        "start": first,
        "end": last,
    }
    if {"chrom", "start", "end"} <= set(places.coords):
        strand = places["strand"].values.astype(str) if "strand" in places.coords else None
        reads_minus = np.zeros(len(sequence), dtype=bool) if strand is None else strand[sequence] == "-"
        low, high = (places[side].values.astype(np.int64)[sequence] for side in ("start", "end"))
        found["chrom"] = places["chrom"].values.astype(str)[sequence].astype(object)
        found["chrom_start"] = np.where(reads_minus, high - last, low + first)
        found["chrom_end"] = np.where(reads_minus, high - first, low + last)
        backward ^= reads_minus
    found["strand"] = np.where(backward, "-", "+").astype(object)
    found["bases"] = _bases(tracks, sequence, start, end, is_reverse)
    return {f"{kind}_{name}": ((kind,), values) for name, values in found.items()}


def recorded(
    method: str, tracks: ScoreTracks, null: ScoreTracks, **settings: str | float
) -> dict[str, object]:
    """Attributes of a result: the method, its settings, and what made the contributions."""
    kept = ("model", "model_source", "model_hash", "output")
    return {
        "method": method,
        "target": tracks.target,
        "contribution_method": str(tracks.attributes.get("method", "unknown")),
        **{name: tracks.attributes[name] for name in kept if name in tracks.attributes},
        **settings,
        "n_sequences": len(tracks.codes),
        "n_null_sequences": len(null.codes),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("kipoi_tfbind", "numpy", "scipy")),
    }


def _bases(
    tracks: ScoreTracks,
    sequence: NDArray[np.intp],
    start: NDArray[np.intp],
    end: NDArray[np.intp],
    is_reverse: NDArray[np.bool_] | None,
) -> NDArray:
    """The bases of each, as it reads them."""
    texts = np.empty(len(sequence), dtype=object)
    backward = np.zeros(len(sequence), dtype=bool) if is_reverse is None else is_reverse
    for i, (row, first, last) in enumerate(zip(sequence, start, end, strict=True)):
        codes = tracks.codes[row : row + 1, first:last]
        texts[i] = decode_codes(reverse_complement_codes(codes) if backward[i] else codes)[0]
    return texts
