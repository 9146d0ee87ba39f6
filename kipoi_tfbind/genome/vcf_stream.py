"""A VCF as a stream of blocks: every line as it is in the file, with the alleles that are read from it."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

import numpy as np
import pysam
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import silent_htslib
from kipoi_tfbind.genome.text_files import BGZF_END, Compression, compression
from kipoi_tfbind.genome.vcf import is_bases, is_bcf, why_not_scored
from kipoi_tfbind.notices import notice

STDIN = "-"
_FIXED_COLUMNS = 8
_MAGIC = {b"\x1f\x8b": "compressed", b"BC": "bcf"}


@dataclass(frozen=True)
class RecordBlock:
    """Some lines of a VCF and their alleles.

    Attributes
    ----------
    lines
        The lines, with their ends.
    numbers
        1-based number of each line (of a BCF: of each record).
    contigs
        Distinct contigs of these lines, as the file spells them.
    line
        Index of each allele's line.
    contig
        Index of each allele's contig.
    pos
        1-based position of each allele.
    id, ref, alt
        As in the file.
    reason
        Why each allele cannot be scored, or "".
    """

    lines: list[bytes]
    numbers: list[int]
    contigs: list[str]
    line: NDArray[np.int64]
    contig: NDArray[np.int64]
    pos: NDArray[np.int64]
    id: list[str]
    ref: list[str]
    alt: list[str]
    reason: list[str]

    def __len__(self) -> int:
        return len(self.pos)


class VcfStream:
    r"""Header and records of a VCF (plain, gzip, bgzip, or "-": standard input) or BCF file, read once.

    Parameters
    ----------
    path
        The file, or "-".
    in_order
        Refuse a record that lies before the one above it, which no index could be made of.

    Attributes
    ----------
    name : str
        The file, as messages call it.
    header : list of bytes
        The lines before the first record, with their ends.
    unit : str
        Unit that messages count in: "line", or "record" of a BCF.

    Raises
    ------
    InputError
        The file is missing, truncated, or no VCF.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.vcf"
    >>> _ = path.write_text(
    ...     "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    ...     "20\t100\trs1\tA\tC,<DEL>\t.\t.\t.\n"
    ... )
    >>> [block] = VcfStream(path).blocks(100)
    >>> block.alt, block.reason, block.line.tolist()
    (['C', '<DEL>'], ['', 'symbolic_allele'], [0, 0])
    """

    def __init__(self, path: str | os.PathLike[str], *, in_order: bool = False) -> None:
        self.path = os.fspath(path)
        self.name = "standard input" if self.path == STDIN else self.path
        self._in_order = in_order
        self._last = ("", 0)
        self._seen: set[str] = set()
        self.unit = "line"
        if self.path == STDIN:
            self._lines = _numbered(_from_stdin(), self.name)
        elif is_bcf(self.path):
            self.unit = "record"
            self._lines = _bcf_lines(self.path)
        else:
            _tell_of_old_index(self.path)
            self._lines = _numbered(_from_file(self.path), self.name)
        self.header: list[bytes] = []
        self._pending: list[tuple[int, bytes]] = []
        self._columns = self._read_header()

    def blocks(self, size: int) -> Iterator[RecordBlock]:
        """Blocks of `size` lines; the last may have fewer.

        Raises
        ------
        InputError
            A line is no VCF record, records are out of order, or the file is truncated; the message has the
            number of the line.
        """
        reader = _BlockReader()
        for number, line in self._records():
            reader.lines.append(line)
            reader.numbers.append(number)
            if line.strip() and not line.startswith(b"#"):
                self._add(reader, number, line)
            if len(reader.lines) == size:
                yield reader.block()
                reader = _BlockReader()
        if reader.lines:
            yield reader.block()

    def _records(self) -> Iterator[tuple[int, bytes]]:
        yield from self._pending
        yield from self._lines

    def _read_header(self) -> int:
        number = 0
        for number, line in self._lines:  # noqa: B007
            if line.startswith(b"##"):
                self.header.append(line)
            elif line.startswith(b"#CHROM"):
                self.header.append(line)
                columns = line.count(b"\t") + 1
                if columns >= _FIXED_COLUMNS:
                    return columns
                break
            else:
                break
        raise InputError(
            f"{self.name}: {self.unit} {number}: expected the header line '#CHROM POS ID REF ALT QUAL FILTER "
            "INFO', separated by tabs, before the first record; is this a VCF?"
        )

    def _add(self, reader: _BlockReader, number: int, line: bytes) -> None:
        if line.count(b"\t") + 1 != self._columns:
            raise self._error(
                number,
                f"expected {self._columns} columns, as in the header, got {line.count(bytes([9])) + 1}; the "
                "line is cut short or not separated by tabs",
            )
        try:
            chrom, pos, identifier, ref, alts = line.split(b"\t", 5)[:5]
            texts = [text.decode("ascii") for text in (chrom, identifier, ref, alts)]
        except UnicodeDecodeError:
            raise self._error(number, "not a text file; check the path") from None
        if not pos.isdigit():
            raise self._error(
                number, f"POS: expected an integer, got {pos.decode('latin-1')!r}; mend this line"
            )
        place = int(pos)
        if self._in_order:
            self._check_order(number, texts[0], place)
        if not is_bases(texts[2]):
            raise self._error(number, f"REF: expected bases, got {texts[2]!r}; mend this record")
        for alt in texts[3].split(","):
            reason = why_not_scored(texts[2], alt)
            if reason is None:
                raise self._error(
                    number,
                    f"ALT: expected bases, a symbolic allele or a breakend, got {alt!r}; write indels with "
                    "the base before them, as VCF does (`bcftools norm`)",
                )
            reader.add(texts[0], place, texts[1], texts[2], alt, reason)

    def _check_order(self, number: int, chrom: str, pos: int) -> None:
        name, last = self._last
        if chrom != name:
            if chrom in self._seen:
                raise self._error(number, f"records of {chrom} are not together; {_SORT}")
            self._seen.add(chrom)
        elif pos < last:
            raise self._error(number, f"{chrom}:{pos} comes after {name}:{last}; {_SORT}")
        self._last = chrom, pos

    def _error(self, number: int, problem: str) -> InputError:
        return InputError(f"{self.name}: {self.unit} {number}: {problem}")


_SORT = "an index needs sorted records: `bcftools sort` makes them, or write to a name that ends in .vcf"


class _BlockReader:
    """A block that grows line by line."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.numbers: list[int] = []
        self._contigs: dict[str, int] = {}
        self._rows: list[tuple[int, int, int]] = []
        self._id: list[str] = []
        self._ref: list[str] = []
        self._alt: list[str] = []
        self._reason: list[str] = []

    def add(self, chrom: str, pos: int, identifier: str, ref: str, alt: str, reason: str) -> None:
        self._rows.append((len(self.lines) - 1, self._contigs.setdefault(chrom, len(self._contigs)), pos))
        self._id.append(identifier)
        self._ref.append(ref)
        self._alt.append(alt)
        self._reason.append(reason)

    def block(self) -> RecordBlock:
        line, contig, pos = np.array(self._rows, dtype=np.int64).reshape(-1, 3).T
        return RecordBlock(
            self.lines,
            self.numbers,
            list(self._contigs),
            line,
            contig,
            pos,
            self._id,
            self._ref,
            self._alt,
            self._reason,
        )


def _from_file(path: str) -> IO[bytes]:
    if compression(path) is Compression.NONE:
        return open(path, "rb")
    return cast(IO[bytes], gzip.open(path, "rb"))


def _from_stdin() -> IO[bytes]:
    raw = cast(io.BufferedReader, sys.stdin.buffer)
    kind = _MAGIC.get(raw.peek(2)[:2])
    if kind == "bcf":
        raise InputError("standard input: is BCF; give the file's name, or pipe it through `bcftools view`")
    if kind is None:
        return raw
    return cast(IO[bytes], gzip.GzipFile(fileobj=_Watched(raw)))


class _Watched(io.RawIOBase):
    """A compressed stream which knows, at its end, whether bgzip's last block was there."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw, self._tail = raw, b""
        self._is_bgzf = raw.peek(16)[12:14] == b"BC"

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read1(size if size > 0 else 1 << 16)
        if not data and self._is_bgzf and self._tail != BGZF_END:
            raise EOFError("bgzip's end-of-file block is missing")
        if data:
            self._tail = (self._tail + data)[-len(BGZF_END) :]
        return data


def _numbered(file: IO[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    number = 0
    with file:
        try:
            for number, line in enumerate(file, start=1):
                yield number, line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{name}: truncated or corrupted after line {number} ({error}); "
                "copy, download or compress it again"
            ) from None
        except OSError as error:
            raise InputError(f"{name}: cannot be read after line {number} ({error.strerror})") from None
    if not number:
        raise InputError(f"{name}: the file is empty; check how it was made")


def _bcf_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines that `bcftools view` prints of a BCF; records are counted, not lines of the header."""
    number = 0
    try:
        with silent_htslib(), pysam.VariantFile(path) as file:
            for line in str(file.header).splitlines(keepends=True):
                yield 0, line.encode()
            for number, record in enumerate(file, start=1):
                yield number, str(record).encode()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read after record {number} ({error}); copy or download it again"
        ) from None


def _tell_of_old_index(path: str) -> None:
    """Say that an index is older than its file: it is not used here, but would mislead other programs."""
    for suffix in (".tbi", ".csi"):
        index = path + suffix
        if os.path.exists(index) and os.path.getmtime(index) < os.path.getmtime(path) - 1:
            notice(f"{index} is older than its file; it is not used here, make it anew: tabix -f {path}")
