"""The dataloader of variants: VCF and FASTA to pairs of one-hot windows, one for each ALT allele."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dataloaders.base import (
    Batch,
    WindowDataset,
    as_positive,
    as_text,
    describe,
    genomic_ranges,
)
from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_reader import VariantWindowReader
from kipoi_tfbind.genome.variant_windows import Anchors, OnRefMismatch
from kipoi_tfbind.genome.vcf import count_reasons, read_alleles, write_skipped
from kipoi_tfbind.notices import notice
from kipoi_tfbind.repairs.outputs import refuse_inputs


class VariantWindows(WindowDataset):
    r"""Pairs of one-hot windows, with the reference and the alternative allele, for each ALT of a VCF.

    Alleles are trimmed and left-aligned against the FASTA, and the windows, of the given length, are
    centred on the interval over which the change can slide: they are the same for every spelling of one
    haplotype (`kipoi_tfbind.genome.changes`). The shift that an insertion or deletion causes is spread over
    both flanks, or one of them is kept where it is (`indel_anchors`). Beyond the ends of a contig there is
    N, a row of zeros; `status` says so. The whole of both files is checked at construction.

    An allele that cannot be scored (symbolic, breakend, `*`, REF not what the FASTA has, unknown contig,
    longer than the window, ...) becomes no row: a line on stderr counts them by reason, and
    `skipped_file` lists each. `kipoi_tfbind.genome.vcf.SKIP_REASONS` explains the reasons.

    Parameters
    ----------
    vcf_file
        VCF (plain, gzip or bgzip) or BCF. No index is needed. Genotypes and filters are not looked at.
    fasta_file
        FASTA of the genome, plain or bgzip; indexed, or in a folder where the index can be written.
    length
        Length of the windows.
    on_ref_mismatch
        "skip" an allele whose REF is not what the FASTA has, as long as these are no more than half;
        "error": refuse the file at the first one.
    skipped_file
        Table to write of the alleles that become no row: chrom, pos, id, ref, alt, reason, line.
    indel_anchors
        Which flank of an insertion or deletion stays where it is: "left", "right", or "both": half of the
        shift on either side.

    Attributes
    ----------
    n_alleles
        Alleles in the file.
    skipped
        Number of alleles that become no row, by reason.

    Raises
    ------
    InputError
        One line that names the file, the line and what to do; also when no allele can be scored.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.fa").write_text(">20\nAACCGGTTA\n")
    >>> _ = (folder / "a.vcf").write_text(
    ...     "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    ...     "chr20\t4\trs1\tC\tT,<DEL>\t.\t.\t.\n"
    ... )
    >>> windows = VariantWindows(folder / "a.vcf", folder / "a.fa", length=4)
    >>> batch = next(windows.batch_iter(batch_size=8))
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot
    >>> decode_one_hot(batch["inputs"]["ref"]), decode_one_hot(batch["inputs"]["alt"])
    (['ACCG'], ['ACTG'])
    >>> windows.skipped
    {'symbolic_allele': 1}
    """

    def __init__(
        self,
        vcf_file: str | os.PathLike[str],
        fasta_file: str | os.PathLike[str],
        length: int = 1000,
        on_ref_mismatch: OnRefMismatch = "skip",
        skipped_file: str | os.PathLike[str] | None = None,
        indel_anchors: Anchors = "both",
    ) -> None:
        self.length = as_positive("length", length)
        if skipped_file is not None:
            refuse_inputs(skipped_file, {"vcf_file": vcf_file, "fasta_file": fasta_file})
        self._alleles = alleles = read_alleles(vcf_file)
        self._reader = VariantWindowReader(
            Genome(fasta_file),
            alleles,
            self.length,
            on_ref_mismatch=on_ref_mismatch,
            anchors=indel_anchors,
        )
        self._contigs = np.array(alleles.contigs, dtype=np.str_)
        self.n_alleles = len(alleles)
        self.skipped = count_reasons(self._reader.reason)
        if skipped_file is not None:
            write_skipped(skipped_file, alleles, self._reader.reason)
        if self.skipped:
            self._report(skipped_file)

    def __len__(self) -> int:
        return len(self._reader)

    def read_batch(self, rows: NDArray[np.intp]) -> Batch:
        """See the base class."""
        ref, alt, status = self._reader.read(rows)
        alleles, row = self._alleles, self._reader.rows[rows]
        variant: dict[str, Any] = {
            "chrom": self._contigs[alleles.contig[row]],
            "pos": alleles.pos[row],
            "id": as_text(alleles.id[row]),
            "ref": as_text(alleles.ref[row]),
            "alt": as_text(alleles.alt[row]),
            "status": status,
        }
        ranges = genomic_ranges(
            variant["chrom"],
            self._reader.starts[rows],
            self.length,
            _names(variant),
            np.full(len(rows), "*"),
        )
        return {
            "inputs": {"ref": one_hot_codes(ref), "alt": one_hot_codes(alt)},
            "metadata": {"ranges": ranges, "variant": variant},
        }

    def _report(self, skipped_file: str | os.PathLike[str] | None) -> None:
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.skipped.items())
        where = f"listed in {skipped_file}" if skipped_file else "give skipped_file to have them listed"
        notice(
            f"{self._alleles.path}: {len(self)} of {self.n_alleles} alleles are scored; "
            f"not scored: {reasons} ({where})"
        )


def _names(variant: dict[str, Any]) -> NDArray:
    """Name of each allele: its ID in the VCF, or chrom:pos:ref>alt."""
    columns = (variant[name].tolist() for name in ("id", "chrom", "pos", "ref", "alt"))
    names = [
        identifier if identifier != "." else f"{chrom}:{pos}:{ref}>{alt}"
        for identifier, chrom, pos, ref, alt in zip(*columns, strict=True)
    ]
    return np.array(names, dtype=np.str_)


describe(
    VariantWindows,
    """
    defined_as: kipoi_tfbind.dataloaders.VariantWindows
    type: Dataset
    info:
      authors:
        - name: kipoi_tfbind developers
      doc: Pairs of one-hot windows, with the reference and the alternative allele, for each ALT of a VCF
      license: MIT
    args:
      vcf_file:
        doc: VCF (plain, gzip or bgzip) or BCF file
        example: example_data/variants.vcf.gz
      fasta_file:
        doc: FASTA of the genome, plain or bgzip; chr20 and 20 are taken as the same contig
        example: example_data/chr20.hg19.1-1Mb.fa.gz
      length:
        doc: Length of the windows in bases
        type: int
        optional: True
      on_ref_mismatch:
        doc: "skip alleles whose REF is not what the FASTA has (up to half of them), or error"
        optional: True
      skipped_file:
        doc: Table to write of the alleles that are not scored, with the reason for each
        optional: True
      indel_anchors:
        doc: "left or right: the flank of an indel that stays; both: half of the shift on either side"
        optional: True
    output_schema:
      inputs:
        ref:
          name: ref
          shape: (None, 4)
          doc: One-hot window with the reference allele, bases in the order A C G T, N as zeros
          special_type: DNASeq
          associated_metadata: ranges
        alt:
          name: alt
          shape: (None, 4)
          doc: A window as long with the alternative allele
          special_type: DNASeq
          associated_metadata: ranges
      metadata:
        ranges:
          type: GenomicRanges
          doc: The window of the reference allele, 0-based, half-open
        variant:
          chrom:
            type: str
            doc: Contig, as the VCF spells it
          pos:
            type: int
            doc: Position of the first base of REF, 1-based
          id:
            type: str
            doc: ID in the VCF
          ref:
            type: str
            doc: REF
          alt:
            type: str
            doc: ALT
          status:
            type: str
            doc: "ok; padded: a window reaches over the end of the contig; contains_n: a window has N in it"
    """,
)
