"""Profiles of indels against haplotypes written as strings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kipoi_tfbind import as_sequence_model, variant_effects
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import find_changes
from kipoi_tfbind.genome.reference import Genome
from tests.genome.test_changes import random_records
from tests.interpret.variants.test_variant_effects import LENGTH, write_fasta, write_vcf


def bases(one_hot: NDArray) -> NDArray:
    """Two tracks that know each base alone: its number, and whether it is a G."""
    return np.stack([one_hot @ np.arange(1.0, 5.0), one_hot[..., 2]], axis=2).reshape(len(one_hot), -1)


def model_of(function: Any, n: int) -> Any:
    return as_sequence_model(function, targets=[str(i) for i in range(n)], length=LENGTH)


@pytest.mark.parametrize("anchors", ["left", "right", "both"])
def test_bases_that_do_not_change_have_no_effect(tmp_path: Path, anchors: Any) -> None:
    records = random_records(200, seed=31)
    fasta, source = write_fasta(tmp_path / "a.fa"), write_vcf(tmp_path / "a.vcf", records)
    model = model_of(bases, 2 * LENGTH)
    found = variant_effects(model, source, fasta, indel_anchors=anchors, profile_bins=LENGTH)
    pos, ref, alt = zip(*records, strict=True)
    changes = find_changes(Genome(fasta), ["20"], np.zeros(len(pos), int), np.array(pos), ref, alt)
    at = changes.start - changes.window_starts(LENGTH)
    n_indels = 0
    for i in np.flatnonzero(found["status"].values == "ok"):
        effect = found["signal_difference"].values[i].reshape(LENGTH, 2)[:, 0]
        place = np.arange(LENGTH)
        size, new = int(changes.ref_size[i]), len(changes.alt[i])
        outside = (place < at[i]) | (place >= at[i] + size)
        assert (np.nan_to_num(effect[outside]) == 0).all()
        if size > new:
            assert np.isnan(effect[at[i] + new : at[i] + size]).all()
        n_indels += size != new
        # A flank is missing only where it has left one of the windows.
        assert np.isnan(effect[outside]).sum() <= abs(size - new)
    assert n_indels > 50
    unaligned = variant_effects(model, source, fasta, indel_anchors=anchors)["signal_difference"].values
    aligned = np.nan_to_num(found["signal_difference"].values)
    assert (np.nan_to_num(unaligned) != 0).sum() > 5 * (aligned != 0).sum()


def test_positions_of_several_bases(tmp_path: Path) -> None:
    def binned(one_hot: NDArray) -> NDArray:
        return (one_hot @ np.arange(1.0, 5.0)).reshape(len(one_hot), -1, 4).mean(axis=2)

    records = [r for r in random_records(60, seed=32) if len(r[1]) == len(r[2]) == 1]
    fasta, source = write_fasta(tmp_path / "a.fa"), write_vcf(tmp_path / "a.vcf", records)
    found = variant_effects(model_of(binned, LENGTH // 4), source, fasta, profile_bins=LENGTH // 4)
    effect = found["signal_difference"].values
    assert ((effect != 0).sum(axis=1) == 1).all()


def test_a_profile_that_does_not_fit(tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "a.fa")
    source = write_vcf(tmp_path / "a.vcf", random_records(2, seed=1))
    with pytest.raises(InputError, match="profile_bins: expected a number of positions that divides"):
        variant_effects(model_of(bases, 2 * LENGTH), source, fasta, profile_bins=5)
