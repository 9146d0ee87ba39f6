"""Alternative alleles read from VCF and BCF files, as columns: one entry for each ALT allele."""

import gzip
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import silent_htslib
from kipoi_tfbind.genome.text_files import MAX_DIGITS, Compression, compression, numbered_lines

# Why an allele gets no score; the words appear in reports and in the file of skipped alleles.
SKIP_REASONS = {
    "no_alternate_allele": "ALT is '.': there is no allele to compare with the reference",
    "symbolic_allele": "ALT is symbolic (<DEL>, <DUP>, <*>, ...): its sequence is not in the file",
    "breakend": "ALT is a breakend: it joins places that one window cannot show",
    "spanning_deletion": "ALT is '*': the site is deleted by another record",
    "ambiguous_base": "REF, ALT or the genome there has N or another ambiguity code",
    "same_as_ref": "ALT equals REF",
    "unknown_contig": "the FASTA has no such contig",
    "contig_shorter_than_window": "the contig is shorter than the window, which would be mostly padding",
    "outside_contig": "the position lies outside the contig: another assembly?",
    "allele_longer_than_window": "REF or ALT does not fit in the window; a longer one may hold it",
    "ref_mismatch": "REF is not what the FASTA has there: another assembly?",
    "ref_alt_swapped": "ALT is what the FASTA has there and REF is not: the two are swapped",
}

_SKIPPED_HEADER = "chrom\tpos\tid\tref\talt\treason\tline\n"
_UNSCORED_SYMBOLS = {".": "no_alternate_allele", "*": "spanning_deletion"}
_BASES = frozenset("ACGT")
_DNA = re.compile("[ACGT]+", re.IGNORECASE)
_IUPAC = re.compile("[ACGTNRYSWKMBDHV]+", re.IGNORECASE)
_FIXED_COLUMNS = 8
_ROWS_PER_BLOCK = 1 << 16

_Record = tuple[int, str, int, str, str, list[str]]  # line, chrom, pos, id, ref, alts


@dataclass(frozen=True)
class Alleles:
    """Alternative alleles of one file, in its order; every array has one entry for each allele.

    Attributes
    ----------
    path
        The file.
    unit
        What `line` counts: "line" of a VCF, "record" of a BCF.
    contigs
        Distinct contigs, as the file spells them.
    contig
        Index of the allele's contig in `contigs`.
    pos
        1-based position of the first base of `ref`, as in the file.
    id, ref, alt
        As in the file; "." where there is none.
    line
        1-based line (VCF) or record (BCF).
    reason
        Why the allele cannot be scored, a key of `SKIP_REASONS`, or "".
    """

    path: str
    unit: str
    contigs: tuple[str, ...]
    contig: NDArray[np.int32]
    pos: NDArray[np.int64]
    id: NDArray
    ref: NDArray
    alt: NDArray
    line: NDArray[np.int64]
    reason: NDArray

    def __len__(self) -> int:
        return len(self.pos)


def read_alleles(path: str | os.PathLike[str]) -> Alleles:
    r"""Read a VCF (plain, gzip, bgzip) or BCF file; genotypes and filters are not looked at.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        No record in the file; or, with the line number, a line that is no VCF record; or a
        truncated file.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.vcf"
    >>> _ = path.write_text(
    ...     "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    ...     "20\t100\trs1\tA\tC,<DEL>\t.\t.\t.\n"
    ... )
    >>> alleles = read_alleles(path)
    >>> alleles.alt.tolist(), alleles.reason.tolist()
    (['C', '<DEL>'], ['', 'symbolic_allele'])
    """
    path = os.fspath(path)
    in_binary = is_bcf(path)
    unit = "record" if in_binary else "line"
    columns = _Columns()
    for line, chrom, pos, identifier, ref, alts in _bcf_records(path) if in_binary else _vcf_records(path):
        if _IUPAC.fullmatch(ref) is None:
            raise InputError(f"{path}: {unit} {line}: REF: expected bases, got {ref!r}; mend this record")
        for alt in alts:
            reason = why_not_scored(ref, alt)
            if reason is None:
                raise InputError(
                    f"{path}: {unit} {line}: ALT: expected bases, a symbolic allele or a breakend, "
                    f"got {alt!r}; write indels with the base before them, as VCF does (`bcftools norm`)"
                )
            columns.add(line, chrom, pos, identifier, ref, alt, reason)
    return columns.alleles(path, unit)


def count_reasons(reason: NDArray) -> dict[str, int]:
    """Number of alleles left out for each reason, the most frequent first.

    Examples
    --------
    >>> count_reasons(np.array(["", "breakend", "ref_mismatch", "breakend"]))
    {'breakend': 2, 'ref_mismatch': 1}
    """
    return dict(Counter(reason[reason != ""].tolist()).most_common())


def write_skipped(path: str | os.PathLike[str], alleles: Alleles, reason: NDArray) -> None:
    """Write the alleles that have a reason not to be scored, as a table.

    The columns are chrom, pos (1-based), id, ref, alt, reason, and line (of the VCF). The file
    appears under its name only when it is complete; a table of that name is replaced.

    Raises
    ------
    InputError
        The file cannot be written, or there is another file of this name.
    """
    target = Path(path)
    try:
        _check_own(target)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, prefix=".skipped-", delete=False) as file:
            try:
                file.write(_SKIPPED_HEADER)
                for i in np.flatnonzero(reason != ""):
                    where = f"{alleles.contigs[alleles.contig[i]]}\t{alleles.pos[i]}"
                    what = f"{alleles.id[i]}\t{alleles.ref[i]}\t{alleles.alt[i]}"
                    file.write(f"{where}\t{what}\t{reason[i]}\t{alleles.line[i]}\n")
                file.flush()
                os.fsync(file.fileno())
                file.close()
                os.chmod(file.name, 0o666 & ~_umask())
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise InputError(
            f"{path}: cannot write the table of skipped alleles ({error.strerror}); "
            "give a skipped_file in a folder that exists and that you may write to"
        ) from None


def _check_own(path: Path) -> None:
    """Let a table of skipped alleles replace another one, and nothing else."""
    if not path.exists():
        return
    with path.open("rb") as file:
        if file.read(len(_SKIPPED_HEADER)).decode("utf-8", "replace") != _SKIPPED_HEADER:
            raise InputError(
                f"{path}: the file exists and is no table of skipped alleles; give another skipped_file"
            )


def _umask() -> int:
    """Bits that a new file of this process lacks; a temporary file is made for its owner alone."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def is_bases(text: str) -> bool:
    """Whether a REF is made of bases, or of IUPAC's codes for several."""
    return text in _BASES or _IUPAC.fullmatch(text) is not None


def why_not_scored(ref: str, alt: str) -> str | None:
    """Reason not to score the allele, "" for none, or None if it is no allele at all."""
    if ref in _BASES and alt in _BASES:
        return "same_as_ref" if ref == alt else ""
    if alt in _UNSCORED_SYMBOLS:
        return _UNSCORED_SYMBOLS[alt]
    if _DNA.fullmatch(alt) and _DNA.fullmatch(ref):
        return "same_as_ref" if alt.upper() == ref.upper() else ""
    if _IUPAC.fullmatch(alt):
        return "ambiguous_base"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "breakend"
    if alt.startswith("<") and alt.endswith(">"):
        return "symbolic_allele"
    return None


class _Columns:
    """Columns that grow record by record: Python objects for one block of rows at most."""

    _TEXT = ("id", "ref", "alt", "reason")

    def __init__(self) -> None:
        self._contigs: dict[str, int] = {}
        self._blocks: list[dict[str, NDArray]] = []
        self._rows: list[tuple[int, int, int, str, str, str, str]] = []

    def add(self, line: int, chrom: str, pos: int, identifier: str, ref: str, alt: str, reason: str) -> None:
        contig = self._contigs.setdefault(chrom, len(self._contigs))
        self._rows.append((line, contig, pos, identifier, ref, alt, reason))
        if len(self._rows) == _ROWS_PER_BLOCK:
            self._pack()

    def alleles(self, path: str, unit: str) -> Alleles:
        if self._rows:
            self._pack()
        if not self._blocks:
            raise InputError(f"{path}: no variants in this file; check how it was filtered or subset")
        merged = {name: np.concatenate([block[name] for block in self._blocks]) for name in self._blocks[0]}
        return Alleles(path=path, unit=unit, contigs=tuple(self._contigs), **merged)

    def _pack(self) -> None:
        line, contig, pos, *text = zip(*self._rows, strict=True)
        block: dict[str, NDArray] = {
            "line": np.array(line, dtype=np.int64),
            "contig": np.array(contig, dtype=np.int32),
            "pos": np.array(pos, dtype=np.int64),
        }
        for name, values in zip(self._TEXT, text, strict=True):
            block[name] = np.array(values, dtype=np.dtypes.StringDType())
        self._blocks.append(block)
        self._rows.clear()


def _vcf_records(path: str) -> Iterator[_Record]:
    """Read the text here, not with pysam: its messages name no line, and it repairs some bad lines."""
    tabs = None
    for number, line in numbered_lines(path):
        if line.startswith("#CHROM"):
            tabs = line.count("\t")
        elif line.startswith("#") or not line.strip():
            continue
        elif tabs is None or tabs + 1 < _FIXED_COLUMNS:
            raise InputError(
                f"{path}: line {number}: expected the header line '#CHROM POS ID REF ALT QUAL FILTER INFO', "
                "separated by tabs, before the first record; is this a VCF?"
            )
        elif line.count("\t") != tabs:
            raise InputError(
                f"{path}: line {number}: expected {tabs + 1} columns, as in the header, "
                f"got {len(line.split(chr(9)))}; the line is cut short or not separated by tabs"
            )
        else:
            chrom, pos, identifier, ref, alts, _ = line.split("\t", 5)
            if not pos.isdecimal() or len(pos) > MAX_DIGITS:
                raise InputError(
                    f"{path}: line {number}: POS: expected an integer, got {pos[:30]!r}; mend this line"
                )
            yield number, chrom, int(pos), identifier, ref, alts.split(",")


def is_bcf(path: str) -> bool:
    """Tell a BCF from a VCF by its first bytes."""
    if compression(path) is not Compression.BGZF:
        return False
    with gzip.open(path, "rb") as file:
        return file.read(3) == b"BCF"


def _bcf_records(path: str) -> Iterator[_Record]:
    number = 0
    try:
        with silent_htslib(), pysam.VariantFile(path) as file:
            for number, record in enumerate(file, start=1):
                alts = list(record.alts or ["."])
                yield number, record.chrom, record.pos, record.id or ".", record.ref or ".", alts
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read after record {number} ({error}); copy or download it again"
        ) from None
