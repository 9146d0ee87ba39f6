"""Sequences with planted motifs, and contributions such as a model's: motifs, chance matches, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of, one_hot_codes
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.sequences.shuffled import shuffled_sequences


@dataclass(frozen=True)
class Planted:
    """Contributions of sequences with motifs, and of their shuffles; and where the motifs are."""

    result: xr.Dataset
    null: xr.Dataset
    sites: list[tuple[int, int, int, str, bool]]  # sequence, start, end, motif, reverse

    @property
    def is_motif(self) -> np.ndarray:
        mask = np.zeros(self.result["one_hot"].shape[:2], dtype=bool)
        for row, start, end, _, _ in self.sites:
            mask[row, start:end] = True
        return mask


def plant(
    motifs: dict[str, Motif],
    *,
    n: int = 200,
    length: int = 400,
    each: int = 3,
    n_shuffles: int = 3,
    noise: float = 0.05,
    seed: int = 0,
) -> Planted:
    rng = np.random.default_rng(seed)
    codes = codes_of(random_sequences(n, length, frequencies=[0.3, 0.2, 0.2, 0.3], seed=seed))
    names, sites = list(motifs), []
    for row in range(n):
        for slot in rng.permutation(length // 40)[:each]:
            name = names[rng.integers(len(names))]
            matrix = motifs[name].matrix
            start = int(slot * 40 + rng.integers(40 - len(matrix)))
            drawn = (rng.random((len(matrix), 1)) > np.cumsum(matrix, axis=1)[:, :3]).sum(axis=1)
            reverse = bool(rng.integers(2))
            codes[row, start : start + len(matrix)] = 3 - drawn[::-1] if reverse else drawn
            sites.append((row, start, start + len(matrix), name, reverse))
    result = labelled(codes, contributions(codes, motifs, rng, noise))
    shuffled = codes_of(shuffled_sequences(result, n_shuffles, seed=seed)["one_hot"].values)
    return Planted(result, labelled(shuffled, contributions(shuffled, motifs, rng, noise)), sites)


def contributions(
    codes: np.ndarray, motifs: dict[str, Motif], rng: np.random.Generator, noise: float
) -> np.ndarray:
    """Log odds of every good match, of whatever origin, and noise that neighbours share."""
    scores = rng.laplace(scale=noise, size=codes.shape)
    scores[:, 1:] += 0.5 * scores[:, :-1]
    one_hot = one_hot_codes(codes, np.float64)
    for motif in motifs.values():
        for matrix in (motif.matrix, motif.matrix[::-1, ::-1]):
            odds = np.log2((matrix + 0.01) / 1.04 / 0.25)
            n_starts = codes.shape[1] - len(odds) + 1
            by_offset = np.stack([one_hot[:, i : i + n_starts] @ row for i, row in enumerate(odds)])
            worst, best = odds.min(axis=1).sum(), odds.max(axis=1).sum()
            matches = (by_offset.sum(axis=0) - worst) / (best - worst) > 0.8
            for i, values in enumerate(by_offset):
                scores[:, i : i + n_starts] += 0.1 * matches * values
    return scores


def labelled(codes: np.ndarray, scores: np.ndarray) -> xr.Dataset:
    one_hot = one_hot_codes(codes)
    contribution = (one_hot * np.where(codes == N_CODE, 0, scores)[..., None])[..., None]
    return xr.Dataset(
        {
            "one_hot": (("sequence", "position", "base"), one_hot),
            "contribution": (("sequence", "position", "base", "target"), contribution.astype(np.float32)),
        },
        coords={
            "position": np.arange(codes.shape[1]),
            "base": list(BASES),
            "target": ["y"],
            "id": ("sequence", [f"s{i}" for i in range(len(codes))]),
        },
        attrs={"method": "deep_shap", "model_hash": "planted"},
    )


def reversed_result(result: xr.Dataset) -> xr.Dataset:
    """The result of the reverse complements of its sequences."""
    return result.assign(
        {
            name: (values.dims, values.values[:, ::-1, ::-1])
            for name, values in result.data_vars.items()
            if "position" in values.dims
        }
    )
