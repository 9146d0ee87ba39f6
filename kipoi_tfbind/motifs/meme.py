"""Motifs as files in minimal MEME format, which the MEME suite, memelite and `read_meme` read."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.results.files import whole_file

_HEADER = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\n{background}\n"
_UNIFORM = (0.25, 0.25, 0.25, 0.25)


def write_meme(
    motifs: Mapping[str, Motif],
    path: str | os.PathLike[str],
    *,
    n_sites: Mapping[str, int] | None = None,
    background: tuple[float, float, float, float] = _UNIFORM,
) -> None:
    """Write motifs in minimal MEME format, with every digit: they are read back as they were.

    A motif that is embedded as its reverse complement is written as such. A column of N, which has no
    probabilities, is written as the background.

    Parameters
    ----------
    motifs
        The motifs by id; the motif's own name is written beside it. White space, which ends an id in this
        format, becomes an underscore.
    path
        Name of the file; a file of that name is replaced.
    n_sites
        Number of sites that each matrix was made from, where that is known; programs that add
        pseudocounts use it.
    background
        Frequencies of A, C, G and T.

    Raises
    ------
    InputError
        There is no motif, two ids are the same, or the file cannot be written.

    Examples
    --------
    >>> from kipoi_tfbind.motifs.read import parse_motif, read_meme
    >>> path = getfixture("tmp_path") / "ap1.meme"
    >>> write_meme({"AP1": parse_motif("TGASTCA")}, path)
    >>> read_meme(path)["AP1"].text
    'TGASTCA'
    """
    if not motifs:
        raise InputError("motifs: expected at least one to write, got none")
    identifiers = ["_".join(str(name).split()) for name in motifs]
    for identifier in identifiers:
        if not identifier or identifiers.count(identifier) > 1:
            raise InputError(f"motifs: expected ids that differ without white space, got {identifier!r}")
    frequencies = " ".join(f"{base} {value!r}" for base, value in zip(BASES, background, strict=True))
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.write(_HEADER.format(background=frequencies))
        for identifier, (name, motif) in zip(identifiers, motifs.items(), strict=True):
            label = "_".join(motif.name.split())
            sites = f" nsites= {int(n_sites[name])} E= 0" if n_sites and name in n_sites else ""
            file.write(f"\nMOTIF {identifier}{'' if label == identifier else ' ' + label}\n")
            file.write(f"letter-probability matrix: alength= 4 w= {len(motif)}{sites}\n")
            matrix = motif.matrix[::-1, ::-1] if motif.is_reverse else motif.matrix
            for row in np.where(matrix.any(axis=1, keepdims=True), matrix, background):
                file.write(" ".join(f"{float(value)!r}" for value in row) + "\n")
