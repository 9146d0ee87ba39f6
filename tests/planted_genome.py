"""A random genome with sites of one motif, to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

MOTIF = "CCACCAGGGGGCGCTA"
CONTIG_LENGTH = 120_000


def write_planted_genome(folder: Path) -> None:
    """Write `genome.fa`, in which the motif lies every 800 bases on either strand, and `peaks.bed`."""
    rng = np.random.default_rng(1)
    bases = rng.choice([*"ACGT"], CONTIG_LENGTH)
    complement = MOTIF[::-1].translate(str.maketrans("ACGT", "TGCA"))
    sites = np.arange(400, CONTIG_LENGTH - 400, 800) + rng.integers(-200, 200, size=CONTIG_LENGTH // 800 - 1)
    for site in sites:
        bases[site : site + len(MOTIF)] = [*rng.choice([MOTIF, complement])]
    (folder / "genome.fa").write_text(f">c\n{''.join(bases)}\n")
    (folder / "peaks.bed").write_text("".join(f"c\t{site - 50}\t{site + 66}\n" for site in sites))
