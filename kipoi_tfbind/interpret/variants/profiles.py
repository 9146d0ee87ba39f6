"""Profiles of the two alleles of an indel, base for base."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError


@dataclass(frozen=True)
class Profile:
    """A model whose targets are the positions of a profile, all tracks of the first before the second.

    Attributes
    ----------
    bins
        Number of positions of the profile. Where the window is a multiple of it, each is of that many bases;
        else a position is a base, and the profile is of the middle of the window.
    length
        Length of the window.
    n_targets
        Number of targets, positions times tracks.

    Raises
    ------
    InputError
        The number of positions does not fit the targets or the window.
    """

    bins: int
    length: int
    n_targets: int

    def __post_init__(self) -> None:
        if self.bins < 1 or self.n_targets % self.bins or self.bins > self.length:
            raise InputError(
                f"profile_bins: expected a number of positions that divides the {self.n_targets} targets and "
                f"is at most {self.length}, the window's length; got {self.bins}"
            )

    @property
    def width(self) -> int:
        """Bases of a position."""
        return 1 if self.length % self.bins else self.length // self.bins

    def aligned(
        self, alt: NDArray, start: NDArray, ref_size: NDArray, alt_size: NDArray, offset: NDArray
    ) -> NDArray[np.float64]:
        """Profiles of alternative windows at the places of the reference windows.

        Parameters
        ----------
        alt
            Outputs (change, target) for the alternative windows.
        start
            Where each change begins in its reference window.
        ref_size, alt_size
            Bases that are replaced, and bases that replace them.
        offset
            Where the haplotype is cut, from the start of the reference window on.

        Returns
        -------
        aligned
            (change, target); missing where a base is deleted, or out of the alternative window. Inserted
            bases have no place.

        Examples
        --------
        Of a window of four bases, the second is deleted, and one more comes in on the right:

        >>> profile = Profile(4, 4, 4)
        >>> one = np.array([1])
        >>> profile.aligned(np.array([[1.0, 3.0, 4.0, 5.0]]), one, one, 0 * one, 0 * one).tolist()
        [[1.0, nan, 3.0, 4.0]]
        """
        width, bins = self.width, self.bins
        n_bases = bins * width
        crop = (self.length - n_bases) // 2
        place = crop + np.arange(n_bases)
        start, ref_size, alt_size, offset = (
            np.asarray(values)[:, np.newaxis] for values in (start, ref_size, alt_size, offset)
        )
        within = place - start
        on_haplotype = np.where(within < ref_size, place, place + alt_size - ref_size)
        index = on_haplotype - offset - crop
        known = (
            (index >= 0) & (index < n_bases) & ~((within >= alt_size) & (within < ref_size) & (within >= 0))
        )
        tracks = alt.reshape(len(alt), bins, -1).astype(np.float64)
        of_base = np.take_along_axis(
            tracks, (np.clip(index, 0, n_bases - 1) // width)[..., np.newaxis], axis=1
        )
        of_base = np.where(known[..., np.newaxis], of_base, 0).reshape(len(alt), bins, width, -1)
        n = known.reshape(len(alt), bins, width).sum(axis=2)[..., np.newaxis]
        with np.errstate(invalid="ignore"):
            means = np.where(n > 0, of_base.sum(axis=2) / n, np.nan)
        return means.reshape(alt.shape)
