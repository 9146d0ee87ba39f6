"""The motif of JASPAR that a change makes or breaks: the site with the most bits among those that change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import encode_bases
from kipoi_tfbind.motifs.collect import jaspar_motifs
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.sites import best_scores

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
    best = _best_scores(letters, sizes, flank, list(motifs.values()))
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


def _best_scores(
    letters: NDArray, sizes: NDArray[np.int64], flank: int, motifs: list[Motif]
) -> NDArray[np.float64]:
    """Score of each motif's best site over the change (allele, motif, side); 0 where there is none."""
    best = np.zeros((len(letters), len(motifs), 2))
    changed = np.arange(flank, letters.shape[2]) < flank + sizes[:, np.newaxis]
    lengths = ((letters[:, :, flank:] != "-") & changed[:, np.newaxis]).sum(axis=2)
    # Alleles whose changes have one length have their sites in the same columns: one call for all of them.
    for length in np.unique(lengths):
        rows = np.argwhere(lengths == length)
        around = [
            "".join(letters[i, side, : flank + length])
            + "".join(letters[i, side, flank + sizes[i] : 2 * flank + sizes[i]])
            for i, side in rows
        ]
        codes = encode_bases([text.replace("-", "N") for text in around])
        for m, motif in enumerate(motifs):
            first = max(flank - len(motif) + 1, 0)
            found = best_scores(codes[:, first : flank + length + len(motif) - 1], motif)
            best[rows[:, 0], m, rows[:, 1]] = np.where(np.isfinite(found), found, 0)
    return best
