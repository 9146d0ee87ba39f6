"""Variant effects: what a model predicts for the two alleles of every variant of a VCF."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import Anchors, OnRefMismatch
from kipoi_tfbind.genome.vcf_stream import VcfStream
from kipoi_tfbind.interpret._method import provenance
from kipoi_tfbind.interpret._paths import Path
from kipoi_tfbind.interpret.variants.evaluate import ScoredBlock, VariantEvaluator, VariantOptions

# Lines of a VCF that are scored together.
BLOCK = 4096


def variant_effects(
    model: Any,
    vcf: str | os.PathLike[str],
    fasta: str | os.PathLike[str] | Genome,
    *,
    length: int | None = None,
    indel_anchors: Anchors = "both",
    shifts: int = 0,
    on_ref_mismatch: OnRefMismatch = "skip",
    path: Path = "auto",
    batch_size: int = 128,
    profile_bins: int | None = None,
) -> xr.Dataset:
    r"""Score every alternative allele of a VCF with a model.

    Alleles are trimmed and left-aligned against the FASTA, and windows are centred on the interval over which
    the change can slide: every spelling of one haplotype has the same score, and so has its reverse
    complement, for a model that treats both strands alike. Multi-allelic records are scored allele by allele.
    Equal alleles are predicted once, and of substitutions only what they change, where the model's graph
    allows it.

    Parameters
    ----------
    model
        A `SequenceModel`, or what `as_sequence_model` takes; a list of models is their ensemble.
    vcf
        VCF (plain, gzip or bgzip), BCF, or "-" for standard input. No index is needed.
    fasta
        FASTA of the genome, plain or bgzip; chr20 and 20 are the same contig.
    length
        Length of the windows in bp; only of a model that takes any.
    indel_anchors
        An indel moves one flank at least. "left", "right": the flank that stays where it is. "both": the mean
        of both, and of windows with the shift spread over the two; how far they differ is in
        ``window_spread``.
    shifts
        Windows are also moved by 1 to this number of bases to either side, and everything is averaged.
    on_ref_mismatch
        "skip" an allele whose REF is not what the FASTA has, unless they are more than half; "error": the
        first one is an error.
    path
        "auto", "full" (every window as a whole) or "incremental" (substitutions from what they change).
    batch_size
        Windows that the model is given at once.
    profile_bins
        Where the targets are a profile, the number of its positions (positions before tracks): the profiles
        for the alleles of an indel are compared base for base, aligned over the indel; what is deleted is
        missing.

    Returns
    -------
    xr.Dataset
        (allele, target), in the order of the file: ``ref_prediction``, ``alt_prediction``: output r and a of
        the model for either allele, its logit where it ends in a sigmoid or softmax; ``logit_difference``:
        logit(p(a)) - logit(p(r)), natural logarithm, with p(x) = 1 / (1 + exp(-x)) of a logit, else p(x) = x;
        missing for an output that is neither logit nor probability; ``signal_difference``: p(a) - p(r);
        ``log2_fold_change``: log2(p(a) / p(r)), missing where one is not positive; ``window_spread``:
        largest difference of one window's a - r from their mean, over shifts and fills; ``member_sd``,
        ``agreeing``: standard deviation of a - r over the models of an ensemble, and how many of them have
        the sign of the mean. (allele): ``jensen_shannon``: distance of the targets' shares P = p(r) / sum
        p(r) and Q likewise, sqrt((KL(P | M) + KL(Q | M)) / 2) with M = (P + Q) / 2 and logarithms to base
        2; ``largest``, ``largest_target``: the logit difference (signal difference of a raw output) of
        largest magnitude, and its target; ``status``: "ok", "padded", "contains_n", or why the allele has
        no score, its numbers missing (`kipoi_tfbind.genome.vcf.SKIP_REASONS`); ``chrom``, ``pos``
        (1-based), ``variant_id``, ``ref``, ``alt``, as in the file; ``window_start``, 0-based.

    Raises
    ------
    InputError
        A file cannot be read, or its REFs are not what the FASTA has; one line says which, and what to do.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.fa").write_text(">20\nAACCGGTTAACC\n")
    >>> _ = (folder / "a.vcf").write_text(
    ...     "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    ...     "chr20\t5\trs1\tG\tT,<DEL>\t.\t.\t.\n"
    ... )
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"], length=4)
    >>> effects = variant_effects(model, folder / "a.vcf", folder / "a.fa")
    >>> effects["signal_difference"].values.ravel().tolist(), effects["status"].values.tolist()
    ([-1.0, nan], ['ok', 'symbolic_allele'])
    """
    options = VariantOptions(
        length, indel_anchors, shifts, on_ref_mismatch, True, path, batch_size, profile_bins
    )
    stream = VcfStream(vcf)
    evaluator = VariantEvaluator(model, fasta, options, stream.name)
    parts = [dataset_of(block, evaluator) for block in evaluate_stream(stream, evaluator)]
    parts = [part for part in parts if part.sizes["allele"]]
    if not parts:
        raise InputError(f"{stream.name}: no variants in this file; check how it was filtered or subset")
    result = xr.concat(parts, dim="allele") if len(parts) > 1 else parts[0]
    return schema.annotate(result.assign_attrs(attributes_of(evaluator)))


def evaluate_stream(
    stream: VcfStream, evaluator: VariantEvaluator, *, block: int = BLOCK
) -> Iterator[ScoredBlock]:
    """Score a VCF block by block: memory does not grow with its length."""
    for records in stream.blocks(block):
        yield evaluator.evaluate(records, stream.unit)


def attributes_of(evaluator: VariantEvaluator) -> dict[str, Any]:
    """Settings that a result's numbers depend on: model, windows, options, versions."""
    options = evaluator.options
    return provenance(
        "variant_effects",
        evaluator.model,
        vcf=evaluator.name,
        fasta=evaluator.genome.path,
        window=evaluator.length,
        indel_anchors=options.indel_anchors,
        shifts=options.shifts,
        batch_size=options.batch_size,
    )


def dataset_of(block: ScoredBlock, evaluator: VariantEvaluator) -> xr.Dataset:
    """Scores of a block as a Dataset, without attributes."""
    records, targets = block.records, list(evaluator.model.target_names)
    variables: dict[str, Any] = {
        name: (("allele", "target") if values.ndim == 2 else ("allele",), values)
        for name, values in block.scores.items()
        if name != "largest_target"
    }
    names = np.array([*targets, ""], dtype=object)
    variables["largest_target"] = "allele", names[block.scores["largest_target"]].astype(np.str_)
    contigs = np.array(records.contigs, dtype=np.str_)
    coordinates = {
        "chrom": ("allele", contigs[records.contig] if len(records) else np.empty(0, np.str_)),
        "pos": ("allele", records.pos),
        "variant_id": ("allele", np.array(records.id, dtype=np.str_)),
        "ref": ("allele", np.array(records.ref, dtype=np.str_)),
        "alt": ("allele", np.array(records.alt, dtype=np.str_)),
        "status": ("allele", np.array(block.status, dtype=np.str_)),
        "window_start": ("allele", block.window_start),
        "target": ("target", np.array(targets, dtype=np.str_)),
    }
    return xr.Dataset(variables, coords=coordinates)
