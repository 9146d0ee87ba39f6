"""Numbers written into the lines of a VCF: every byte of a line is kept, keys are added to its INFO.

Taking the keys and header lines away again gives the file that was read, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError

_INFO_COLUMN = 7
_NOT_IN_A_KEY = re.compile("[^0-9A-Za-z_.]")


@dataclass(frozen=True)
class InfoKey:
    """A key of INFO with one number for each ALT.

    Attributes
    ----------
    key
        Its name.
    meaning
        Its description in the header.
    type
        "Float", "Integer" or "String".
    """

    key: str
    meaning: str
    type: str = "Float"

    @property
    def header(self) -> bytes:
        """Its line in the header, without the end."""
        number = "." if self.type == "String" else "A"
        text = self.meaning.replace("\\", "\\\\").replace('"', '\\"')
        return f'##INFO=<ID={self.key},Number={number},Type={self.type},Description="{text}">'.encode()


def key_name(*parts: str) -> str:
    """Name of a key: letters, digits, "_" and "." are kept, anything else becomes "_".

    Examples
    --------
    >>> key_name("TFB", "DLOGIT", "NF-kB/p65")
    'TFB_DLOGIT_NF_kB_p65'
    """
    return "_".join(_NOT_IN_A_KEY.sub("_", part) for part in parts)


def header_with_keys(
    header: Sequence[bytes], keys: Sequence[InfoKey], facts: Mapping[str, str], prefix: str, name: str
) -> list[bytes]:
    """Lines of a header, with ours before the line of the columns.

    Parameters
    ----------
    header
        Lines, with their ends; the last is that of the columns.
    keys
        The keys that lines will have.
    facts
        Origin of the numbers: model, window, FASTA and the like.
    prefix
        Beginning of all keys.
    name
        The file, as messages call it.

    Raises
    ------
    InputError
        The file has keys of this prefix already, or two keys have one name.
    """
    names = [key.key for key in keys]
    for key in names:
        if names.count(key) > 1:
            raise InputError(f"targets: two of them make the key {key}; choose targets, or rename them")
    ours = tuple(start.encode() for start in (f"##INFO=<ID={prefix}_", f"##{prefix}_"))
    if any(line.startswith(ours) for line in header):
        raise InputError(
            f"{name}: has keys that begin with {prefix}_ already; take them away (bcftools annotate -x), or "
            "give another --prefix"
        )
    end = _end_of(header[-1]) or b"\n"
    told = ",".join(f'{key}="{_quoted(value)}"' for key, value in facts.items())
    lines = [f"##{prefix}_variants=<{told}>".encode(), *(key.header for key in keys)]
    return [*header[:-1], *(line + end for line in lines), header[-1]]


def _quoted(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace('"', '\\"').split())


def annotated_lines(
    lines: Sequence[bytes],
    line_of: NDArray[np.integer],
    columns: Sequence[tuple[bytes, Sequence[bytes]]],
    status: Sequence[str],
    status_key: bytes,
) -> Iterator[bytes]:
    r"""Lines with keys added to their INFO.

    Parameters
    ----------
    lines
        Lines of a VCF, with their ends.
    line_of
        Index of each allele's line, ascending.
    columns
        Name of each key, and its text for every allele; "." where there is none.
    status
        Status of each allele; "ok" is not written.
    status_key
        Name of the key of the status.

    Examples
    --------
    >>> line = b"20\t100\t.\tA\tC\t.\tPASS\tDP=007\n"
    >>> list(annotated_lines([line], np.array([0]), [(b"X", [b"1.5"])], ["ok"], b"S"))
    [b'20\t100\t.\tA\tC\t.\tPASS\tDP=007;X=1.5\n']
    """
    bounds = np.searchsorted(line_of, np.arange(len(lines) + 1)).tolist()
    names = [b";" + name + b"=" for name, _ in columns]
    values = [texts for _, texts in columns]
    for number, line in enumerate(lines):
        first, last = bounds[number], bounds[number + 1]
        if first == last:
            yield line
            continue
        added = b""
        if last == first + 1:
            if any(texts[first] != b"." for texts in values):
                added = b"".join([name + texts[first] for name, texts in zip(names, values, strict=True)])
        elif any(text != b"." for texts in values for text in texts[first:last]):
            added = b"".join(
                [name + b",".join(texts[first:last]) for name, texts in zip(names, values, strict=True)]
            )
        if any(each != "ok" for each in status[first:last]):
            added += b";" + status_key + b"=" + ",".join(status[first:last]).encode()
        yield _spliced(line, added)


def _spliced(line: bytes, added: bytes) -> bytes:
    """A line with something added to its INFO; "." gives way to it."""
    if not added:
        return line
    fields = line.split(b"\t", _INFO_COLUMN + 1)
    info, end = fields[_INFO_COLUMN], b""
    if len(fields) == _INFO_COLUMN + 1:
        end = _end_of(info)
        info = info[: len(info) - len(end)]
    fields[_INFO_COLUMN] = (added[1:] if info == b"." else info + added) + end
    return b"\t".join(fields)


def _end_of(line: bytes) -> bytes:
    return b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""


def without_keys(lines: Iterable[bytes], prefix: str) -> Iterator[bytes]:
    r"""Take keys of a prefix away again, and the header lines that belong to them.

    Examples
    --------
    >>> list(without_keys([b"20\t100\t.\tA\tC\t.\tPASS\tTFB_X=1.5\n"], "TFB"))
    [b'20\t100\t.\tA\tC\t.\tPASS\t.\n']
    """
    ours = tuple(start.encode() for start in (f"##INFO=<ID={prefix}_", f"##{prefix}_"))
    key = f"{prefix}_".encode()
    for line in lines:
        if line.startswith(b"#"):
            if not line.startswith(ours):
                yield line
            continue
        fields = line.split(b"\t", _INFO_COLUMN + 1)
        if len(fields) > _INFO_COLUMN:
            info, end = fields[_INFO_COLUMN], b""
            if len(fields) == _INFO_COLUMN + 1:
                end = _end_of(info)
                info = info[: len(info) - len(end)]
            entries = info.split(b";")
            kept = [entry for entry in entries if not entry.startswith(key)]
            if len(kept) < len(entries):
                fields[_INFO_COLUMN] = (b";".join(kept) if kept else b".") + end
        yield b"\t".join(fields)


def number_texts(values: NDArray) -> list[bytes]:
    """Numbers as a VCF has them: six significant digits, "." where missing.

    Examples
    --------
    >>> number_texts(np.array([0.25, np.nan, -1e-07]))
    [b'0.25', b'.', b'-1e-07']
    """
    if values.dtype.kind in "iu":
        return [b"%d" % value for value in values.tolist()]
    return [b"%.6g" % value if value == value else b"." for value in values.tolist()]
