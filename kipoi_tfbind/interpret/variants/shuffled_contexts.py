"""Null effects of one variant: the same change in shuffles of its own window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.shuffle import shuffle_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import Changes
from kipoi_tfbind.genome.variant_windows import middle_offsets, reference_windows
from kipoi_tfbind.interpret.variants.null_statistics import NullEffects
from kipoi_tfbind.interpret.variants.scoring import AlleleScorer
from kipoi_tfbind.interpret.variants.strata import NULL_SCORES


@dataclass(frozen=True)
class ShuffledContexts:
    """Nulls for each variant from dinucleotide shuffles of its window, with either allele in its place.

    Attributes
    ----------
    scorer
        Scorer of changes.
    n
        Number of shuffles of each variant.
    seed
        Of the shuffles, which depend on it and on the window alone.
    """

    scorer: AlleleScorer
    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 20:
            raise InputError(f"null: expected at least 20 shuffles of each variant, got {self.n}")

    def compare(self, changes: Changes, ref: NDArray, effect: NDArray) -> dict[str, NDArray]:
        """Scores (change, target) of effects among those in shuffled contexts; see `NullVariants.compare`."""
        found = {name: np.full(effect.shape, np.nan) for name in NULL_SCORES}
        length = self.scorer.length
        starts, offsets = changes.window_starts(length), middle_offsets(changes)
        margin = int(np.abs(changes.shift).max(initial=0))
        wide = reference_windows(self.scorer.genome, changes, starts - margin, length + 2 * margin)
        for i in range(len(changes)):
            shuffled = shuffle_codes(wide[i : i + 1], self.n, k=2, seed=self.seed)
            shuffled = shuffled.reshape(self.n, -1)
            at = int(changes.start[i] - starts[i]) + margin
            size, alt = int(changes.ref_size[i]), changes.alt[i]
            own = np.repeat(wide[i : i + 1, at : at + size], self.n, axis=0)
            new = np.tile(np.frombuffer(alt, dtype=np.uint8), (self.n, 1))
            left, right = shuffled[:, :at], shuffled[:, at + size :]
            first = margin + int(offsets[i])
            both = [
                np.hstack([left, own, right])[:, margin : margin + length],
                np.hstack([left, new, right])[:, first : first + length],
            ]
            outputs = self.scorer.predict_windows(np.concatenate(both))
            nulls = outputs[self.n :] - outputs[: self.n]
            for target in range(effect.shape[1]):
                among = NullEffects.of(nulls[:, target])
                p, fit = among.p_values(effect[i : i + 1, target])
                found["effect_p_value"][i, target] = p[0]
                found["effect_tail_fit"][i, target] = fit[0]
                found["effect_quantile"][i, target] = among.quantiles(effect[i : i + 1, target])[0]
                found["n_nulls"][i, target] = self.n
        return found
