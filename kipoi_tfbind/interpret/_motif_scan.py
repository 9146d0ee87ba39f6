"""Matches of a motif in sequences and in their contributions; and which of overlapping matches stay."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.interpret._score_tracks import ScoreTracks

_PSEUDOCOUNT = 0.01
_NO_MATCH = -np.inf


@dataclass(frozen=True)
class Template:
    """A motif as it is looked for.

    Attributes
    ----------
    log_odds
        (column, base) log of the probability against that in the background, with a pseudocount.
    expected
        (column, base) contributions that its instances have, up to a factor.
    """

    log_odds: NDArray[np.float64]
    expected: NDArray[np.float64]

    @classmethod
    def of(cls, matrix: NDArray, background: NDArray, expected: NDArray | None = None) -> Template:
        """Template of probabilities (column, base), against the frequencies (base) of the background.

        Without expected contributions, they are the log odds.
        """
        odds = np.log((matrix + 4 * _PSEUDOCOUNT * background) / (1 + 4 * _PSEUDOCOUNT) / background)
        odds[~matrix.any(axis=1)] = 0
        return cls(odds, odds if expected is None else np.asarray(expected, dtype=np.float64))

    def reverse(self) -> Template:
        """Template of the reverse complement."""
        return Template(self.log_odds[::-1, ::-1].copy(), self.expected[::-1, ::-1].copy())


@dataclass(frozen=True)
class Matches:
    """Matches of motifs in sequences, all arrays (match).

    Attributes
    ----------
    sequence, start, end, motif
        Indices of the sequence and of the motif, and the range of positions.
    is_reverse
        Whether it is the reverse complement that is there.
    log_odds
        Of the bases, in nats.
    agreement
        Sum of contribution times what is expected, over the length of the latter.
    similarity
        Cosine of the contributions and what is expected.
    """

    sequence: NDArray[np.intp]
    start: NDArray[np.intp]
    end: NDArray[np.intp]
    motif: NDArray[np.intp]
    is_reverse: NDArray[np.bool_]
    log_odds: NDArray[np.float64]
    agreement: NDArray[np.float64]
    similarity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sequence)

    def select(self, which: NDArray) -> Matches:
        """Keep those of a mask or an index array."""
        return Matches(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def base_frequencies(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Frequencies (base) in sequences and their reverse complements, none of them 0."""
    counts = np.bincount(codes.ravel(), minlength=4)[:4] + 1.0
    both = counts + counts[::-1]
    return both / both.sum()


def thresholds(templates: list[Template], null: ScoreTracks, share: float) -> list[float]:
    """For each motif the log odds that this share of the places in the null exceeds, both strands counted."""
    found = []
    for template in templates:
        scores = [_scan(null.codes, each.log_odds) for each in (template, template.reverse())]
        flat = np.concatenate([each[np.isfinite(each)] for each in scores])
        found.append(float(np.quantile(flat, 1 - share)) if flat.size else np.inf)
    return found


def find_matches(templates: list[Template], least: list[float], tracks: ScoreTracks) -> Matches:
    """Places where the bases match a motif with more than its least log odds, on either strand."""
    scores = np.nan_to_num(tracks.scores.astype(np.float64))
    parts: list[tuple[NDArray, ...]] = []
    for index, (template, threshold) in enumerate(zip(templates, least, strict=True)):
        for is_reverse, each in enumerate((template, template.reverse())):
            odds = _scan(tracks.codes, each.log_odds)
            sequence, start = np.nonzero(odds > threshold)
            agreement, similarity = _compare(tracks.codes, scores, each.expected, sequence, start)
            n = len(sequence)
            parts.append(
                (
                    sequence,
                    start,
                    start + len(each.log_odds),
                    np.full(n, index),
                    np.full(n, bool(is_reverse)),
                    odds[sequence, start].astype(np.float64),
                    agreement,
                    similarity,
                )
            )
    return Matches(*(np.concatenate(some) for some in zip(*parts, strict=True)))


def best_apart(matches: Matches, score: NDArray[np.float64], max_overlap: float) -> NDArray[np.intp]:
    """Indices of the matches that stay: the best of those that overlap, best first.

    A match goes where it shares more than `max_overlap` of its, or the other's, positions with a better one.
    """
    order = np.lexsort((matches.is_reverse, matches.motif, matches.start, -score, matches.sequence))
    kept = _best_apart(matches.sequence[order], matches.start[order], matches.end[order], float(max_overlap))
    return order[kept]


@numba.njit(cache=True)
def _scan(codes, log_odds):  # type: ignore[no-untyped-def]
    """Log odds (sequence, start), -inf where a base is N."""
    n, length = codes.shape
    width = log_odds.shape[0]
    n_starts = length - width + 1
    scores = np.zeros((n, n_starts), dtype=np.float32)
    for row in range(n):
        for start in range(n_starts):
            total = 0.0
            for i in range(width):
                code = codes[row, start + i]
                total += log_odds[i, code] if code < 4 else _NO_MATCH
            scores[row, start] = total
    return scores


@numba.njit(cache=True)
def _compare(codes, scores, expected, sequence, start):  # type: ignore[no-untyped-def]
    n = len(sequence)
    agreement = np.zeros(n)
    similarity = np.zeros(n)
    for k in range(n):
        product, square, own = 0.0, 0.0, 0.0
        for i in range(expected.shape[0]):
            value = scores[sequence[k], start[k] + i]
            wanted = expected[i, codes[sequence[k], start[k] + i]]
            product += value * wanted
            square += wanted * wanted
            own += value * value
        if square > 0:
            agreement[k] = product / np.sqrt(square)
        if square > 0 and own > 0:
            similarity[k] = product / np.sqrt(square * own)
    return agreement, similarity


@numba.njit(cache=True)
def _best_apart(sequence, start, end, max_overlap):  # type: ignore[no-untyped-def]
    n = len(sequence)
    kept = np.zeros(n, dtype=np.bool_)
    first = 0
    for i in range(n):
        if sequence[i] != sequence[first]:
            first = i
        stays = True
        for j in range(first, i):
            if kept[j]:
                shared = min(end[i], end[j]) - max(start[i], start[j])
                if shared > max_overlap * min(end[i] - start[i], end[j] - start[j]):
                    stays = False
                    break
        kept[i] = stays
    return np.flatnonzero(kept)
