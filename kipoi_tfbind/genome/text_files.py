"""Text files of genomics: plain, gzip or bgzip, read with line numbers, a truncated one refused."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import IO

from kipoi_tfbind.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
# A longer number is no place in any genome, and does not fit into 64 bits.
MAX_DIGITS = 18
_BGZF_SUBFIELD = b"BC"  # at byte 12 of a gzip member that bgzip wrote
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Compression(Enum):
    """How a file is compressed; bgzip's files are gzip's that can be read by position."""

    NONE = "none"
    GZIP = "gzip"
    BGZF = "bgzf"


def compression(path: str | os.PathLike[str]) -> Compression:
    r"""Tell how a file is compressed, by its content.

    Raises
    ------
    InputError
        The file is missing, unreadable or empty, or bgzip's end-of-file block is missing (truncated).

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.bed"
    >>> _ = path.write_text("chr20\t0\t100\n")
    >>> compression(path)
    <Compression.NONE: 'none'>
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
            file.seek(0, os.SEEK_END)
            file.seek(-min(file.tell(), len(BGZF_END)), os.SEEK_END)
            tail = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot read this file ({error.strerror}); check the path") from None
    if not head:
        raise InputError(f"{path}: the file is empty; check how it was made")
    if not head.startswith(_GZIP_MAGIC):
        return Compression.NONE
    if head[12:14] != _BGZF_SUBFIELD:
        return Compression.GZIP
    if tail != BGZF_END:
        raise InputError(
            f"{path}: truncated: bgzip's end-of-file block is missing; copy, download or compress it again"
        )
    return Compression.BGZF


def numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    r"""Lines of a text file, plain or compressed, without their line ends (LF or CRLF).

    Yields
    ------
    number, line
        The 1-based line number, and the line.

    Raises
    ------
    InputError
        As :func:`compression`; or the file is truncated, corrupted, or no text.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.bed.gz"
    >>> _ = path.write_bytes(gzip.compress(b"chr20\t0\t100\r\n"))
    >>> list(numbered_lines(path))
    [(1, 'chr20\t0\t100')]
    """
    packed = compression(path) is not Compression.NONE
    number = 0
    with open(path, "rb") as raw:
        data: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        # A byte order mark, as spreadsheet programs write it, is not part of the first field.
        text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="\n")
        try:
            for number, line in enumerate(text, start=1):
                yield number, line.rstrip("\r\n")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{path}: truncated or corrupted after line {number} ({error}); "
                "copy, download or compress it again"
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: not a text file (after line {number}); check the path") from None
