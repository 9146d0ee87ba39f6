"""Augmentations of training windows: each keeps the length of the window.

Random changes of evolution's kind, after EvoAug (Lee et al. 2023, doi:10.1186/s13059-023-02941-w). What is
drawn for a window follows from the seed, the epoch and the window's index alone, not from its batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE, one_hot_codes, reverse_complement_codes
from kipoi_tfbind.training.options import AugmentConfig

Codes = NDArray[np.uint8]

STRUCTURAL = ("inversion", "deletion", "translocation", "insertion", "mutation")


def insert(codes: Codes, start: int, segment: Codes) -> Codes:
    """Put bases in before a position, and cut as many off, half of them at either end.

    Examples
    --------
    >>> insert(np.array([0, 1, 2, 3, 0, 1], np.uint8), 3, np.array([3, 3], np.uint8)).tolist()
    [1, 2, 3, 3, 3, 0]
    """
    longer = np.concatenate([codes[:start], segment, codes[start:]])
    left = len(segment) // 2
    return longer[left : left + len(codes)]


def delete(codes: Codes, start: int, filling: Codes) -> Codes:
    """Take out as many bases as `filling` has, and put those at the ends, half of them at either end.

    Examples
    --------
    >>> delete(np.array([0, 1, 2, 3, 0, 1], np.uint8), 2, np.array([2, 3], np.uint8)).tolist()
    [2, 0, 1, 0, 1, 3]
    """
    left = len(filling) // 2
    return np.concatenate([filling[:left], codes[:start], codes[start + len(filling) :], filling[left:]])


def invert(codes: Codes, start: int, length: int) -> Codes:
    """Replace a stretch by its reverse complement.

    Examples
    --------
    >>> invert(np.array([0, 0, 1, 0, 0, 0], np.uint8), 1, 2).tolist()
    [0, 2, 3, 0, 0, 0]
    """
    changed = codes.copy()
    changed[start : start + length] = reverse_complement_codes(codes[start : start + length])
    return changed


def translocate(codes: Codes, shift: int) -> Codes:
    """Rotate a window: the bases that leave it at one end come in at the other.

    Examples
    --------
    >>> translocate(np.array([0, 1, 2, 3], np.uint8), 1).tolist()
    [3, 0, 1, 2]
    """
    return np.roll(codes, shift)


def mutate(codes: Codes, positions: NDArray[np.intp], steps: NDArray[np.intp]) -> Codes:
    """Replace bases by others: by that which is `steps` (1 to 3) further on in A, C, G, T; N stays.

    Examples
    --------
    >>> mutate(np.array([0, 1, 4], np.uint8), np.array([0, 1, 2]), np.array([1, 3, 2])).tolist()
    [1, 0, 4]
    """
    changed = codes.copy()
    changed[positions] = np.where(codes[positions] == N_CODE, N_CODE, (codes[positions] + steps) % 4)
    return changed


def augment_window(codes: Codes, settings: AugmentConfig, rng: np.random.Generator) -> Codes:
    """Draw augmentations among those that the settings have, and apply them to one window.

    Parameters
    ----------
    codes
        Base codes (position).

    Returns
    -------
    codes
        (position), as many as there were.

    Examples
    --------
    >>> window = np.zeros(8, np.uint8)
    >>> augment_window(window, AugmentConfig(inversion=3), np.random.default_rng(1)).tolist()
    [0, 0, 0, 3, 3, 0, 0, 0]
    """
    enabled = [name for name in STRUCTURAL if getattr(settings, name) > 0]
    if not enabled:
        return codes
    number = rng.integers(1, min(settings.at_most, len(enabled)) + 1)
    chosen = np.sort(rng.choice(len(enabled), number, replace=False))
    for name in (enabled[index] for index in chosen):
        codes = _draw_and_apply(name, codes, settings, rng)
    return codes


def _draw_and_apply(name: str, codes: Codes, settings: AugmentConfig, rng: np.random.Generator) -> Codes:
    if name == "mutation":
        positions = np.flatnonzero(rng.random(len(codes)) < settings.mutation)
        return mutate(codes, positions, rng.integers(1, 4, len(positions)))
    length = int(rng.integers(1, min(getattr(settings, name), len(codes)) + 1))
    if name == "translocation":
        return translocate(codes, length * int(rng.choice([-1, 1])))
    start = int(rng.integers(len(codes) - length + 1))
    if name == "inversion":
        return invert(codes, start, length)
    bases = rng.integers(4, size=length, dtype=np.uint8)
    return insert(codes, start, bases) if name == "insertion" else delete(codes, start, bases)


def augmented_windows(
    codes: Codes, rows: NDArray[np.intp], settings: AugmentConfig, *, seed: int, epoch: int, plain: bool
) -> NDArray[np.float32]:
    """One-hot windows of a batch with their augmentations and noise.

    Parameters
    ----------
    codes
        Base codes (window, position).
    rows
        Index of each window among all training windows (window): what is drawn follows from it.
    plain
        Leave the windows as they are, but for the strand that they are read from.

    Returns
    -------
    one_hot
        (window, position, base).

    Examples
    --------
    >>> strand = AugmentConfig(reverse_complement=1)
    >>> codes = np.array([[0, 0, 1]], np.uint8)
    >>> augmented_windows(codes, np.array([7]), strand, seed=1, epoch=0, plain=True)[0].argmax(axis=-1)
    array([2, 3, 3])
    """
    changed, noise = codes.copy(), []
    for place, row in enumerate(rows.tolist()):
        rng = np.random.default_rng((seed, epoch, row))
        if rng.random() < settings.reverse_complement:
            changed[place] = reverse_complement_codes(changed[place])
        if not plain:
            changed[place] = augment_window(changed[place], settings, rng)
            if settings.noise:
                noise.append(rng.normal(0, settings.noise, (codes.shape[1], 4)))
    one_hot = one_hot_codes(changed)
    return (one_hot + np.array(noise)).astype(np.float32) if noise else one_hot


def mixed(
    windows: NDArray[np.float32], labels: NDArray[np.int8], alpha: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mix each window of a batch with the one before it, and their labels, at a share drawn from Beta.

    Parameters
    ----------
    windows
        (window, position, base).
    labels
        (window, target): 1, 0, or -1 where unknown; what is mixed of an unknown one is unknown.
    alpha
        Both parameters of the Beta distribution.

    Examples
    --------
    >>> windows, labels = np.eye(2, dtype=np.float32)[:, None], np.array([[1], [0]], np.int8)
    >>> mixed(windows, labels, 1.0, np.random.default_rng(0))[1].ravel().round(2)
    array([0.7 , 0.29], dtype=float32)
    """
    share = rng.beta(alpha, alpha, len(windows)).astype(np.float32)
    other, other_labels = np.roll(windows, 1, axis=0), np.roll(labels, 1, axis=0)
    new = share[:, None] * labels + (1 - share[:, None]) * other_labels
    known = (labels >= 0) & (other_labels >= 0)
    x = share[:, None, None] * windows + (1 - share[:, None, None]) * other
    return x, np.where(known, new, -1).astype(np.float32)
