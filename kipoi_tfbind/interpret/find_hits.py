"""Hits: instances of motifs in sequences, by their bases and by their contributions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._motif_scan import (
    Matches,
    Template,
    base_frequencies,
    best_apart,
    find_matches,
    thresholds,
)
from kipoi_tfbind.interpret._places import place_variables, recorded
from kipoi_tfbind.interpret._score_tracks import Result, ScoreTracks, read_tracks
from kipoi_tfbind.interpret._segments import p_values, q_values
from kipoi_tfbind.interpret.find_seqlets import check_null, stretch_sums
from kipoi_tfbind.motifs.collect import Motifs, collect_motifs, expected_contributions, motif_table
from kipoi_tfbind.motifs.match import kept_columns
from kipoi_tfbind.motifs.motif import Motif

_TRIM = 0.2  # bits
_WEIGHTS = (0.5, 1.0, 2.0)  # of contributions beside log odds
_NEARLY, _CHOSEN_AT = 0.95, 0.1


def find_hits(
    result: Result,
    null: Result,
    motifs: Motifs,
    *,
    target: int | str = 0,
    fdr: float = 0.1,
    share: float = 2e-3,
    max_overlap: float = 0.25,
) -> xr.Dataset:
    """Find the instances of motifs that a model uses.

    Places whose bases match a motif are candidates. The score of one is the log odds of its bases plus a
    weight times the log of how much its contributions agree with those that the motif should have. Of
    overlapping candidates the best stays. The p-value of a hit is the rate of hits as good in the null, or
    that of decoys in the sequences themselves (the motifs with their columns in another order), whichever is
    larger: the null shows what the model makes of chance matches, and the decoys what contributions lie
    around. The q-values are Benjamini and Hochberg's over all positions. The weight (0.5, 1 or 2) is the
    smallest with which at least 95% of the most hits at q <= 0.1 are found.

    Parameters
    ----------
    result, null
        Contributions of the sequences and of sequences without instances, as in `find_seqlets`.
    motifs
        What `kipoi_tfbind.motifs.collect.collect_motifs` takes: a result of motifs or filters, a MEME file,
        a list. Where a result has ``contribution_matrix``, that is what is expected of contributions, else
        the log odds of the motif. Columns at the ends with less than 0.2 bits are not looked for.
    target
        Index of the target, or its name.
    fdr
        Largest q-value of a hit.
    share
        Share of the null's positions whose bases match well enough to be a candidate, for each motif.
    max_overlap
        Largest share of its positions that a hit may have in common with another.

    Returns
    -------
    xr.Dataset
        (hit): ``hit_motif``, the places, ``hit_score``, ``hit_log_odds``, ``hit_similarity``,
        ``hit_contribution``, ``hit_p_value``, ``hit_q_value``, ``hit_strand``; in the order of the
        sequences and positions. And ``motif_matrix`` of the motifs, as they were looked for.

    Raises
    ------
    InputError
        As `find_seqlets`; or a motif is longer than the sequences, or has no information.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, in_silico_mutagenesis
    >>> from kipoi_tfbind.dna.one_hot import one_hot
    >>> from kipoi_tfbind.dna.random import random_sequences
    >>> from kipoi_tfbind.sequences.shuffled import shuffled_sequences
    >>> site = one_hot(["TGACTCATC"])[0]
    >>> def best_match(x):
    ...     windows = np.lib.stride_tricks.sliding_window_view(x, site.shape, axis=(1, 2))
    ...     return (windows * site).sum(axis=(-2, -1)).max(axis=(1, 2)) ** 3
    >>> model = as_sequence_model(best_match, targets=["AP-1"])
    >>> planted = random_sequences(20, 40, seed=1)
    >>> planted[:, 10:19] = site
    >>> sequences = xr.Dataset({"one_hot": (("sequence", "position", "base"), planted)})
    >>> results = [in_silico_mutagenesis(model, s) for s in (sequences, shuffled_sequences(sequences, 5))]
    >>> hits = find_hits(*results, ["TGACTCATC"])
    >>> hits.sizes["hit"], set(hits["hit_start"].values.tolist()), set(hits["hit_strand"].values)
    (20, {10}, {'+'})
    """
    if not 0 < fdr <= 1 or not 0 < share < 1 or not 0 <= max_overlap < 1:
        raise InputError(
            f"fdr, share, max_overlap: expected numbers from 0 to 1, got {fdr}, {share} and {max_overlap}"
        )
    tracks, nulls = read_tracks(result, target), read_tracks(null, target)
    check_null(tracks, nulls)
    looked_for, templates = _templates(motifs, tracks.codes.shape[1], base_frequencies(nulls.codes))
    scale = float(np.nanstd(nulls.scores))
    if not scale > 0:
        raise InputError("null: all of its contributions are 0; give sequences that the model responds to")
    decoys = [_decoy(each, motif.matrix) for each, motif in zip(templates, looked_for.values(), strict=True)]
    least = thresholds([*templates, *decoys], nulls, share)
    search = _Search(
        find_matches([*templates, *decoys], least, tracks),
        find_matches(templates, least[: len(templates)], nulls),
        (len(templates), scale, max_overlap),
        tuple(int(np.isfinite(each.scores).sum()) for each in (tracks, nulls)),
    )
    weight = _chosen_weight(search)
    kept, score, p, q = search.tested(weight)
    chosen = q <= fdr
    called, score, p, q = kept[chosen], score[chosen], p[chosen], q[chosen]
    hits = search.found.select(called)
    order = np.lexsort((hits.motif, hits.start, hits.sequence))
    return _as_result(
        hits.select(order),
        tracks,
        looked_for,
        {"score": score[order], "p_value": p[order], "q_value": q[order]},
        recorded("find_hits", tracks, nulls, fdr=fdr, share=share, max_overlap=max_overlap, weight=weight),
    )


def _templates(
    motifs: Motifs, length: int, background: NDArray[np.float64]
) -> tuple[dict[str, Motif], list[Template]]:
    """The motifs as they are looked for, without uninformative ends."""
    looked_for, templates = {}, []
    expected = expected_contributions(motifs)
    for name, motif in collect_motifs(motifs).items():
        matrix = motif.matrix[::-1, ::-1] if motif.is_reverse else motif.matrix
        start, end = kept_columns(np.where(matrix.any(axis=1, keepdims=True), matrix, 0.25), _TRIM)
        if end == start:
            raise InputError(f"motif {name}: no column has {_TRIM} bits of information; leave it out")
        if end - start > length:
            raise InputError(
                f"motif {name}: has {end - start} columns and the sequences have {length} positions; give "
                "longer sequences, or leave it out"
            )
        looked_for[name] = Motif(name, matrix[start:end])
        templates.append(
            Template.of(
                matrix[start:end], background, expected[name][start:end] if name in expected else None
            )
        )
    return looked_for, templates


@dataclass(frozen=True)
class _Search:
    """Candidates, and the hits that become of them.

    Attributes
    ----------
    found
        Candidates in the sequences: of the motifs, and of as many decoys after them.
    chance
        Candidates of the motifs in the null.
    settings
        Number of motifs, scale of the contributions, largest overlap.
    n_places
        Number of positions in the sequences and in the null.
    """

    found: Matches
    chance: Matches
    settings: tuple[int, float, float]
    n_places: tuple[int, ...]

    def tested(self, weight: float) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Indices of the motifs' candidates that stay, their scores, p-values and q-values."""
        n_motifs, scale, max_overlap = self.settings
        score, chance_score = (_score(each, scale, weight) for each in (self.found, self.chance))
        kept = best_apart(self.found, score, max_overlap)
        is_decoy = self.found.motif[kept] >= n_motifs
        decoy_score, kept = score[kept[is_decoy]], kept[~is_decoy]
        by_chance = chance_score[best_apart(self.chance, chance_score, max_overlap)]
        p = np.maximum(
            p_values(score[kept], by_chance, self.n_places[1]),
            p_values(score[kept], decoy_score, self.n_places[0]),
        )
        return kept, score[kept], p, q_values(p, self.n_places[0])


def _score(matches: Matches, scale: float, weight: float) -> NDArray[np.float64]:
    """Log odds of the bases, and what contributions add: less and less, for they have heavy tails."""
    agreement = matches.agreement / scale
    return matches.log_odds + weight * np.sign(agreement) * np.log1p(np.abs(agreement))


def _chosen_weight(search: _Search) -> float:
    """The smallest weight of the contributions that gives nearly as many hits as any."""
    numbers = [int((search.tested(weight)[3] <= _CHOSEN_AT).sum()) for weight in _WEIGHTS]
    if not max(numbers):
        return 1.0
    return next(w for w, n in zip(_WEIGHTS, numbers, strict=True) if n >= _NEARLY * max(numbers))


def _decoy(template: Template, matrix: NDArray[np.float64]) -> Template:
    """The motif with its columns in another order: of twenty, the one that is least like it."""
    # Rounded, so that a matrix that was written and read has the same decoy.
    rounded = np.rint(matrix * 1e6).astype(np.int64)
    rng = np.random.default_rng(list(hashlib.sha256(np.ascontiguousarray(rounded).tobytes()).digest()))
    orders = [rng.permutation(len(matrix)) for _ in range(20)]
    strands = rounded, rounded[::-1, ::-1]
    unlike = [min(int(np.abs(rounded[order] - each).sum()) for each in strands) for order in orders]
    order = orders[int(np.argmax(unlike))]
    return Template(template.log_odds[order], template.expected[order])


def _as_result(
    hits: Matches,
    tracks: ScoreTracks,
    motifs: Mapping[str, Motif],
    statistics: dict[str, NDArray],
    attributes: dict[str, object],
) -> xr.Dataset:
    names = np.array(list(motifs), dtype=object)
    variables = place_variables(
        "hit", tracks, hits.sequence, hits.start, hits.end, is_reverse=hits.is_reverse
    )
    values = {
        "motif": names[hits.motif],
        "contribution": stretch_sums(tracks.scores, hits.sequence, hits.start, hits.end),
        "log_odds": hits.log_odds,
        "similarity": hits.similarity,
        **statistics,
    }
    variables |= {f"hit_{name}": (("hit",), each) for name, each in values.items()}
    found = xr.Dataset(variables, attrs=attributes).merge(motif_table(motifs))
    return schema.annotate(found)
