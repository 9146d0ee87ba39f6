"""Windows of a reference genome, read from an indexed FASTA in batches.

The reader is pysam (htslib): a single window from a bgzipped FASTA takes it some 12 microseconds,
and it works on plain and bgzipped files alike. Windows are read in the order of the file, those
that lie close together in one go, and handed out in the order that was asked for.
"""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pysam
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.dna.one_hot import CODE_OF_ASCII, NOT_A_BASE
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.text_files import Compression, compression
from kipoi_tfbind.notices import notice

if TYPE_CHECKING:
    from kipoi_tfbind.genome._plain_fasta import PlainFasta

logger = logging.getLogger(__name__)

# Windows no further apart than this are read together. bgzip compresses blocks of 64 kb: to read half
# a block too much costs less than to seek and to decompress a block anew.
_MAX_GAP = 1 << 15
# A span of so many bases is read with some more at either end.
_LONG = 1 << 16
_MORE = 1 << 11
# Upper bound of what is read in one go, so that memory does not grow with the number of windows.
_MAX_SPAN = 1 << 22


class Genome:
    r"""A FASTA file, plain or compressed with bgzip, read by windows.

    The index (.fai, and .gzi of a bgzipped file) is made beside the FASTA when it is missing. An
    object can be pickled and used in a forked or spawned worker: every process and thread opens
    the file for itself.

    Parameters
    ----------
    path
        The FASTA file.

    Attributes
    ----------
    path : str
        The FASTA file.
    lengths : dict of str to int
        Length of each contig, in the order of the file.

    Raises
    ------
    InputError
        The file is missing, truncated, compressed with gzip instead of bgzip, no FASTA, or not
        indexed and in a folder where no index can be written.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_codes
    >>> path = getfixture("tmp_path") / "tiny.fa"
    >>> _ = path.write_text(">20\nACGTacgtNN\n")
    >>> genome = Genome(path)
    >>> genome.lengths
    {'20': 10}
    >>> decode_codes(genome.windows("chr20", [-2, 6], 5))
    ['NNACG', 'GTNNN']
    """

    # Windows of this many bases in all are read by a compiled loop where the FASTA is not compressed.
    _many_bases = 1 << 20

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        packed = compression(self.path)
        if packed is Compression.GZIP:
            raise InputError(
                f"{self.path}: compressed with gzip, which cannot be read by position; "
                f"recompress it: gunzip -c {self.path} | bgzip > NEW.fa.gz, or unpack it: gunzip -c "
                f"{self.path} > NEW.fa"
            )
        _ensure_index(self.path, [".fai", ".gzi"] if packed is Compression.BGZF else [".fai"])
        self._packed = packed is Compression.BGZF
        self._plain: PlainFasta | None = None
        self._opened: dict[tuple[int, int], pysam.FastaFile] = {}
        self._last_read: tuple[str, int, bytes] = ("", 0, b"")
        fasta = self._fasta()
        self.lengths: dict[str, int] = dict(zip(fasta.references, fasta.lengths, strict=True))
        if not self.lengths:
            raise InputError(f"{self.path}: no sequence in this FASTA; expected lines such as '>chr20'")
        self._names_of_key: dict[str, list[str]] = {}
        for name in self.lengths:
            self._names_of_key.setdefault(_naming_key(name), []).append(name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}, "_plain": None, "_last_read": ("", 0, b"")}

    def contig(self, name: str) -> str:
        """Return the FASTA's own name of a contig: chr20 and 20 are the same, so are chrM, M and MT.

        Raises
        ------
        InputError
            The FASTA has no such contig; the message names some that it has.
        """
        if name in self.lengths:
            return name
        same = self._names_of_key.get(_naming_key(name), [])
        if len(same) == 1:
            return same[0]
        there = ", ".join(list(self.lengths)[:5]) + (", ..." if len(self.lengths) > 5 else "")
        raise InputError(
            f"{self.path}: no contig {name!r}; this FASTA has {there}; "
            "use the FASTA of the assembly that the coordinates refer to"
        )

    def windows(self, contigs: str | Sequence[str], starts: ArrayLike, length: int) -> NDArray[np.uint8]:
        """Read windows of one length as base codes.

        Parameters
        ----------
        contigs
            Contig of each window, or one contig for all; chr20 and 20 are the same.
        starts
            0-based start of each window; may be negative or close to the contig's end: what lies
            outside the contig is N.
        length
            Length of the windows.

        Returns
        -------
        codes
            uint8 (window, position), in the order of `starts`: 0 to 3 for A, C, G, T, and 4 for N
            (any other IUPAC code too). Soft-masked (lower-case) bases are read like the others.

        Raises
        ------
        InputError
            Unknown contig, a character that is no nucleotide, or a truncated file.
        """
        starts = np.asarray(starts, dtype=np.int64)
        if not self._packed and len(starts) * length >= self._many_bases:
            return self._many_windows(contigs, starts, length)
        codes = np.empty((len(starts), length), dtype=np.uint8)
        for name, rows, span_start, span in self._spans(contigs, starts, length):
            text = sliding_window_view(span, length)[starts[rows] - span_start]
            codes[rows] = _encode(text)
            if (codes[rows] == NOT_A_BASE).any():
                row, position = np.argwhere(codes[rows] == NOT_A_BASE)[0]
                raise self._not_a_base(name, int(starts[rows[row]] + position), text[row, position])
        return codes

    def _many_windows(
        self, contigs: str | Sequence[str], starts: NDArray[np.int64], length: int
    ) -> NDArray[np.uint8]:
        """Windows of an uncompressed FASTA, as `windows` gives them."""
        from kipoi_tfbind.genome._plain_fasta import PlainFasta

        if self._plain is None:
            self._plain = PlainFasta(self.path)
        names, contig_of_row = _factorise(contigs, len(starts))
        codes = np.empty((len(starts), length), dtype=np.uint8)
        for number, name in enumerate(map(self.contig, names)):
            rows = np.flatnonzero(contig_of_row == number) if len(names) > 1 else slice(None)
            read = self._plain.read(name, starts[rows], length)
            if read is None:
                raise _unreadable(self.path, f"{name} is not all there; the file ends early")
            if read.max() == NOT_A_BASE:
                row, position = np.argwhere(read == NOT_A_BASE)[0]
                place = int(starts[rows][row] + position)
                raise self._not_a_base(name, place, self._read(name, place, place + 1)[0])
            codes[rows] = read
        return codes

    def check_windows(self, contigs: str | Sequence[str], starts: ArrayLike, length: int) -> None:
        """Read the windows once and keep nothing: raises where :meth:`windows` would raise later."""
        starts = np.asarray(starts, dtype=np.int64)
        for name, rows, span_start, span in self._spans(contigs, starts, length):
            for offset in np.flatnonzero(_encode(span) == NOT_A_BASE):
                place = span_start + offset
                if ((starts[rows] <= place) & (place < starts[rows] + length)).any():
                    raise self._not_a_base(name, int(place), span[offset])

    def _spans(
        self, contigs: str | Sequence[str], starts: NDArray[np.int64], length: int
    ) -> Iterator[tuple[str, NDArray[np.intp], int, NDArray[np.uint8]]]:
        """Windows read together: contig, rows of the windows, 0-based start and ASCII text of the span."""
        if length < 1:
            raise InputError(f"length: expected a window of at least 1 base, got {length}")
        if not len(starts):
            return
        names, contig_of_row = _factorise(contigs, len(starts))
        own_names = [self.contig(name) for name in names]
        order = np.lexsort((starts, contig_of_row))
        for rows in np.split(order, _span_breaks(contig_of_row[order], starts[order], length)):
            name = own_names[contig_of_row[rows[0]]]
            first, last = int(starts[rows[0]]), int(starts[rows[-1]])
            yield name, rows, first, self._read(name, first, last + length)

    def _read(self, name: str, start: int, end: int) -> NDArray[np.uint8]:
        """ASCII text of [start, end), 0-based, N outside the contig."""
        first, last = max(start, 0), min(end, self.lengths[name])
        inside = self._read_inside(name, first, last) if first < last else np.empty(0, dtype=np.uint8)
        if len(inside) == end - start:
            return inside
        span = np.full(end - start, ord("N"), dtype=np.uint8)
        span[first - start : first - start + len(inside)] = inside
        return span

    def _read_inside(self, name: str, start: int, end: int) -> NDArray[np.uint8]:
        """ASCII text of [start, end), 0-based, all of it within the contig."""
        kept, first, text = self._last_read
        if kept != name or start < first or end > first + len(text):
            # Of what takes long, a little more: the same places are asked for again, with wider windows.
            more = _MORE if end - start >= _LONG else 0
            first, last = max(start - more, 0), min(end + more, self.lengths[name])
            text = self._fetched(name, first, last)
            self._last_read = name, first, text
        return np.frombuffer(text, dtype=np.uint8, count=end - start, offset=start - first)

    def _fetched(self, name: str, start: int, end: int) -> bytes:
        try:
            with silent_htslib():
                text = self._fasta().fetch(name, start, end).encode("latin-1")
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, f"{name}:{start + 1}-{end} cannot be read ({error})") from None
        if len(text) != end - start:
            raise _unreadable(
                self.path, f"{name}:{start + 1}-{end} has {len(text)} bases; the file ends early"
            )
        return text

    def _not_a_base(self, name: str, place: int, character: int) -> InputError:
        return InputError(
            f"{self.path}: {name}:{place + 1} is {chr(character)!r}; expected A, C, G, T, N or another IUPAC "
            "nucleotide code (read as N); is this a FASTA of DNA?"
        )

    def _fasta(self) -> pysam.FastaFile:
        """The open file of this process and thread: htslib's handle can be shared by neither."""
        owner = os.getpid(), threading.get_ident()
        if owner not in self._opened:
            try:
                with silent_htslib():
                    self._opened[owner] = pysam.FastaFile(self.path)
            except (OSError, ValueError) as error:
                raise _unreadable(self.path, f"cannot be opened ({error})") from None
        return self._opened[owner]


class _Silence:
    """How many threads keep htslib silent now, and how much it said before."""

    lock = threading.Lock()
    n = 0
    before = 0


@contextmanager
def silent_htslib() -> Iterator[None]:
    """Keep htslib from printing what the exception tells; its verbosity is one for all threads."""
    with _Silence.lock:
        verbosity = pysam.set_verbosity(0)
        if not _Silence.n:
            _Silence.before = verbosity
        _Silence.n += 1
    try:
        yield
    finally:
        with _Silence.lock:
            _Silence.n -= 1
            if not _Silence.n:
                pysam.set_verbosity(_Silence.before)


def _naming_key(name: str) -> str:
    """Name that chr20 and 20, or chrM and MT, have in common."""
    key = name[3:] if name[:3].lower() == "chr" else name
    return "MT" if key == "M" else key


def _encode(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Base codes of ASCII text, NOT_A_BASE for what is none."""
    return np.frombuffer(text.tobytes().translate(CODE_OF_ASCII), dtype=np.uint8).reshape(text.shape)


def _factorise(contigs: str | Sequence[str], n: int) -> tuple[list[str], NDArray[np.intp]]:
    """Distinct contigs, and the index of each row's contig among them."""
    if isinstance(contigs, str):
        return [contigs], np.zeros(n, dtype=np.intp)
    if len(contigs) != n:
        raise InputError(f"contigs: expected one for each of {n} starts, got {len(contigs)}")
    names, contig_of_row = np.unique(np.asarray(contigs, dtype=np.str_), return_inverse=True)
    return names.tolist(), contig_of_row


def _span_breaks(contig_of_row: NDArray[np.intp], starts: NDArray[np.int64], length: int) -> NDArray[np.intp]:
    """Where a new span begins, among windows sorted by contig and start."""
    far = np.diff(starts) > length + _MAX_GAP
    full = np.diff(starts // _MAX_SPAN) != 0
    return np.flatnonzero(far | full | (np.diff(contig_of_row) != 0)) + 1


def _ensure_index(path: str, suffixes: list[str]) -> None:
    """Make the index beside the FASTA where it is missing.

    Each file is written under another name first: a second process never reads half an index.
    """
    if all(os.path.exists(path + suffix) for suffix in suffixes):
        if os.path.getmtime(path + ".fai") < os.path.getmtime(path) - 1:
            notice(f"{path}.fai is older than its FASTA; if the FASTA has changed, delete the index")
        return
    folder = Path(path).resolve().parent
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".faidx-") as scratch:
            names = {suffix: os.path.join(scratch, "index" + suffix) for suffix in suffixes}
            options = ["--fai-idx", names[".fai"]] + (["--gzi-idx", names[".gzi"]] if ".gzi" in names else [])
            with silent_htslib():
                pysam.faidx(*options, path)
            for suffix, name in names.items():
                os.replace(name, path + suffix)
    except OSError as error:
        raise InputError(
            f"{path}: not indexed, and no index can be written to {folder} ({error.strerror}); "
            f"run `samtools faidx {path}` where you may, or copy the FASTA to a folder of your own"
        ) from None
    except pysam.SamtoolsError:
        raise InputError(
            f"{path}: cannot be indexed: no FASTA, corrupted, or lines of unequal length in one sequence; "
            f"`samtools faidx {path}` names the line; mend it or get the FASTA again"
        ) from None
    logger.info("Indexed %s (wrote %s)", path, ", ".join(path + suffix for suffix in suffixes))


def _unreadable(path: str, problem: str) -> InputError:
    return InputError(
        f"{path}: {problem}; copy or download the FASTA again and delete its old index (.fai, .gzi)"
    )
