"""Why variants have their effects: contributions of both alleles side by side, and the motif that changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import decode_codes
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.changes import Changes, find_changes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import alternative_windows, middle_offsets, reference_windows
from kipoi_tfbind.interpret._method import provenance
from kipoi_tfbind.interpret.deep_shap import deep_shap
from kipoi_tfbind.interpret.in_silico_mutagenesis import in_silico_mutagenesis
from kipoi_tfbind.interpret.variants.evaluate import window_length
from kipoi_tfbind.interpret.variants.motif_changes import changed_motifs
from kipoi_tfbind.interpret.variants.top import ScoredAllele
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import notice
from kipoi_tfbind.sequences.read import encode_sequences

Explanation = Literal["deepshap", "ism"]
SIDES = ("ref", "alt")
GAP = "-"


def explain_variants(
    model: Any,
    alleles: Sequence[ScoredAllele],
    fasta: Any,
    *,
    method: Explanation = "deepshap",
    length: int | None = None,
    flank: int = 40,
    motifs: bool = True,
    seed: int = 0,
    batch_size: int = 64,
) -> xr.Dataset:
    r"""Explain alleles: contributions of the bases of both, aligned over what changes.

    Parameters
    ----------
    model
        A `SequenceModel`, or what `as_sequence_model` takes.
    alleles
        Scored alleles to explain.
    fasta
        The genome, or the path of its FASTA.
    method
        "deepshap": contributions of DeepSHAP; "ism": minus the mean effect of a base's three substitutions.
    length
        Length of the windows; only of a model that takes any.
    flank
        Bases that are kept on either side of the change.
    motifs
        Whether to look for the JASPAR motif that the change makes or breaks (needs pyjaspar).
    seed
        Of DeepSHAP's references.
    batch_size
        Sequences that the model is given at once.

    Returns
    -------
    xr.Dataset
        ``contribution``, ``letter`` (allele, side, column): both alleles aligned; "-" is a gap. The change
        begins at the column ``flank``, and ``change_size`` (allele) columns are of it. ``motif``,
        ``motif_id``, ``motif_change`` ("lost", "gained" or ""), ``motif_ref_score``, ``motif_alt_score``
        (allele): the motif whose best score over the change differs most, from 0, the worst possible, to 1,
        the best.

    Raises
    ------
    InputError
        There is no allele, one cannot be scored, or the model has no contributions.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> path = getfixture("tmp_path") / "a.fa"
    >>> _ = path.write_text(">20\nAACCGGTTAACC\n")
    >>> from kipoi_tfbind.interpret.variants.top import ScoredAllele
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["G"], length=8)
    >>> allele = ScoredAllele("20", 6, ".", "G", "T", "G", -1.0)
    >>> found = explain_variants(model, [allele], path, method="ism", flank=2, motifs=False)
    >>> ["".join(side) for side in found["letter"].values[0]]
    ['CGGTT', 'CGTTT']
    >>> found["contribution"].values[0].round(2).tolist()
    [[-0.33, 1.0, 1.0, -0.33, -0.33], [-0.33, 1.0, -0.33, -0.33, -0.33]]
    """
    if method not in get_args(Explanation):
        raise InputError(f"explain: expected deepshap or ism, got {method!r}")
    if not alleles:
        raise InputError("explain: expected at least one allele that has a score, got none")
    model = as_sequence_model(model)
    genome = fasta if isinstance(fasta, Genome) else Genome(fasta)
    size = window_length(model, length)
    changes = _changes_of(genome, alleles)
    starts, offsets = changes.window_starts(size), middle_offsets(changes)
    ref = reference_windows(genome, changes, starts, size)
    alt = alternative_windows(genome, changes, starts, size, offsets, ref)
    windows = np.stack([ref, alt], axis=1).reshape(-1, size)
    scores = _scores(model, windows, [allele.target for allele in alleles], method, seed, batch_size)
    letters, values, sizes = _aligned(changes, starts, offsets, windows, scores, flank)
    result = xr.Dataset(
        {
            "contribution": (("allele", "side", "column"), values),
            "letter": (("allele", "side", "column"), letters),
            "change_size": ("allele", sizes),
        },
        coords={
            name: ("allele", np.array([getattr(allele, name) for allele in alleles]))
            for name in ("chrom", "pos", "variant_id", "ref", "alt", "effect")
        }
        | {"explained_target": ("allele", np.array([a.target for a in alleles])), "side": list(SIDES)},
    )
    if motifs:
        result = result.assign(_motif_variables(letters, sizes, flank))
    attributes = provenance(
        "explain_variants", model, explanation=method, window=size, flank=flank, seed=seed
    )
    return schema.annotate(result.assign_attrs(attributes))


def _changes_of(genome: Genome, alleles: Sequence[ScoredAllele]) -> Changes:
    contigs = list(dict.fromkeys(allele.chrom for allele in alleles))
    changes = find_changes(
        genome,
        contigs,
        np.array([contigs.index(allele.chrom) for allele in alleles]),
        np.array([allele.pos for allele in alleles]),
        [allele.ref for allele in alleles],
        [allele.alt for allele in alleles],
    )
    for allele, reason in zip(alleles, changes.reason.tolist(), strict=True):
        if reason:
            raise InputError(f"explain: {allele.chrom}:{allele.pos} {allele.ref}>{allele.alt}: {reason}")
    return changes


def _scores(
    model: SequenceModel,
    windows: NDArray[np.uint8],
    targets: Sequence[str],
    method: Explanation,
    seed: int,
    batch_size: int,
) -> NDArray[np.float64]:
    """Contribution of the observed base at every position (sequence, position)."""
    found = np.empty(windows.shape)
    ids = [str(i) for i in range(len(windows))]
    of_target = np.repeat(np.array(targets), 2)
    for target in dict.fromkeys(targets):
        rows = np.flatnonzero(of_target == target)
        sequences = encode_sequences(decode_codes(windows[rows]), ids=[ids[i] for i in rows])
        one = model.select_targets([target])
        if method == "deepshap":
            result = deep_shap(one, sequences, seed=seed, batch_size=batch_size)
            values = result["contribution"].values[..., 0].sum(axis=2)
        else:
            result = in_silico_mutagenesis(one, sequences, batch_size=batch_size)
            values = -np.nansum(result["mutation_effect"].values[..., 0], axis=2) / 3
        found[rows] = values
    return found


def _aligned(
    changes: Changes,
    starts: NDArray[np.int64],
    offsets: NDArray[np.int64],
    windows: NDArray[np.uint8],
    scores: NDArray[np.float64],
    flank: int,
) -> tuple[NDArray, NDArray[np.float64], NDArray[np.int64]]:
    """Letters and scores (allele, side, column), and the size of each change."""
    alt_sizes = np.array([len(alt) for alt in changes.alt])
    sizes = np.maximum(changes.ref_size, alt_sizes)
    n, width = len(changes), 2 * flank + int(sizes.max())
    letters = np.full((n, 2, width), GAP)
    values = np.zeros((n, 2, width))
    text = np.array([list(row) for row in decode_codes(windows)])
    length = windows.shape[1]
    for i in range(n):
        for side, (size, shift) in enumerate(((changes.ref_size[i], 0), (alt_sizes[i], offsets[i]))):
            at, row = int(changes.start[i] - starts[i] - shift), 2 * i + side
            places = [(c, at - flank + c) for c in range(flank + int(size))]
            places += [(flank + int(sizes[i]) + c, at + int(size) + c) for c in range(flank)]
            for column, position in places:
                if 0 <= position < length:
                    letters[i, side, column] = text[row, position]
                    values[i, side, column] = scores[row, position]
    return letters, values, sizes.astype(np.int64)


def _motif_variables(letters: NDArray, sizes: NDArray[np.int64], flank: int) -> dict[str, Any]:
    try:
        found = changed_motifs(letters, sizes, flank)
    except MissingProgramError as error:
        notice(f"motifs are not named: {error}")
        return {}
    return {name: ("allele", values) for name, values in found.items()}
