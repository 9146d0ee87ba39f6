"""The motif of JASPAR that a change makes or breaks: the site with the most bits among those that change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import encode_bases
from kipoi_tfbind.motifs.collect import jaspar_motifs
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.sites import find_sites

# A site has at least this score with one of the alleles, and so many bits less with the other.
_SITE = 0.85
_LEAST_CHANGE = 2.0


def changed_motifs(
    letters: NDArray, sizes: NDArray[np.int64], flank: int, motifs: dict[str, Motif] | None = None
) -> dict[str, NDArray]:
    """Find the strongest site over each change that one allele has and the other has not.

    Parameters
    ----------
    letters
        (allele, side, column): the reference and the alternative allele aligned, "-" for a gap.
    sizes
        Columns of each change, which begins at `flank`.
    flank
        Columns before the change.
    motifs
        Motifs by id; by default JASPAR's core collection of vertebrates.

    Returns
    -------
    dict
        By name of the variable, an array with a value for each allele: "" and nan where no motif changes.

    Examples
    --------
    >>> from kipoi_tfbind.motifs.read import parse_motif
    >>> letters = np.array([[list("TTGATAAGTT"), list("TTGACAAGTT")]])
    >>> found = changed_motifs(letters, np.array([1]), 4, {"M1": parse_motif("GATAAG", name="GATA")})
    >>> found["motif"].tolist(), found["motif_change"].tolist()
    (['GATA'], ['lost'])
    """
    motifs = jaspar_motifs() if motifs is None else motifs
    n = len(letters)
    best = np.zeros((n, len(motifs), 2))
    for i in range(n):
        for side in range(2):
            row = letters[i, side]
            middle = row[flank : flank + sizes[i]]
            size = int((middle != "-").sum())
            left = "".join(row[:flank]).replace("-", "")
            text = left + "".join(row[flank:]).replace("-", "")
            codes = encode_bases([text])
            for m, motif in enumerate(motifs.values()):
                first = max(len(left) - len(motif) + (1 if size else 0), 0)
                last = len(left) + size + len(motif) - 1
                best[i, m, side] = _best(codes[:, first:last], motif)
    ids, names = list(motifs), [motif.name for motif in motifs.values()]
    change = best[..., 1] - best[..., 0]
    worst, span = np.array([_bits(motif) for motif in motifs.values()]).T
    is_site = (best.max(axis=2) >= _SITE) & (np.abs(change) * span >= _LEAST_CHANGE)
    change[~is_site] = 0
    # Of the sites that change, the one that is least likely to be there by chance.
    strongest = np.where(is_site, worst + best.max(axis=2) * span, -np.inf).argmax(axis=1)
    value = change[np.arange(n), strongest]
    has = value != 0
    own = best[np.arange(n), strongest]
    return {
        "motif": np.array([names[m] if h else "" for m, h in zip(strongest, has, strict=True)]),
        "motif_id": np.array([ids[m] if h else "" for m, h in zip(strongest, has, strict=True)]),
        "motif_change": np.where(has, np.where(value > 0, "gained", "lost"), ""),
        "motif_ref_score": np.where(has, own[:, 0], np.nan),
        "motif_alt_score": np.where(has, own[:, 1], np.nan),
    }


def _bits(motif: Motif) -> tuple[float, float]:
    """The worst log-odds score of a motif in bits, against uniform bases, and how far the best is from it."""
    log_odds = np.log2((motif.matrix + 0.01) / 1.04 / 0.25)
    return float(log_odds.min(axis=1).sum()), float(np.ptp(log_odds, axis=1).sum())


def _best(codes: NDArray[np.uint8], motif: Motif) -> float:
    """The best score on both strands; 0 where the motif does not fit, or a consensus is not there."""
    sites = find_sites(codes, motif, threshold=0)[0] if codes.shape[1] >= len(motif) else []
    return max((site.score for site in sites), default=0.0)
