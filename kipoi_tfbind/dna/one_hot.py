"""DNA as arrays: text to base codes to one-hot rows, and back.

Arrays only. The one layout of the package is (sequence, position, base) with the bases in the
order A, C, G, T; N is a row of zeros. Base codes are the compact form that is kept and moved
around: one byte per base, 0 to 3 for A, C, G, T and 4 for N.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kipoi_tfbind.errors import InputError

BASES = "ACGT"
N_CODE = 4
NOT_A_BASE = 255

_IUPAC_AMBIGUOUS = "NRYSWKMBDHVU"
# Bases per chunk: input, codes and check stay in the processor's cache; only the output goes to memory.
_CHUNK_BASES = 1 << 16


def _code_table() -> NDArray[np.uint8]:
    table = np.full(256, NOT_A_BASE, dtype=np.uint8)
    for letters, codes in ((BASES, range(len(BASES))), (_IUPAC_AMBIGUOUS, [N_CODE] * len(_IUPAC_AMBIGUOUS))):
        for letter, code in zip(letters, codes, strict=True):
            table[ord(letter)] = table[ord(letter.lower())] = code
    return table


_CODE_OF_BYTE = _code_table()
# The same table for bytes.translate; a byte that is no nucleotide becomes NOT_A_BASE.
CODE_OF_ASCII = _CODE_OF_BYTE.tobytes()
_LETTER_OF_CODE = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT_OF_CODE = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)


def encode_bases(sequences: Sequence[str] | Sequence[bytes] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn DNA text into base codes.

    Lower case is read as upper case. Every IUPAC code other than A, C, G and T is read as N (U too:
    this is an alphabet of DNA). Any other character (a gap, a digit, a protein's letter) is refused.

    Parameters
    ----------
    sequences
        Strings or bytes of one length, or their ASCII bytes as a uint8 array (sequence, position).

    Returns
    -------
    codes
        uint8 (sequence, position): 0 to 3 for A, C, G, T and 4 for N.

    Raises
    ------
    InputError
        Sequences of unequal length, or a character that is not a nucleotide code.

    Examples
    --------
    >>> encode_bases(["ACGT", "anRt"])
    array([[0, 1, 2, 3],
           [0, 4, 4, 3]], dtype=uint8)
    """
    text = _as_bytes(sequences)
    codes = np.empty(text.shape, dtype=np.uint8)
    for rows in _chunks(text):
        _encode_rows(text, rows, codes[rows])
    return codes


def one_hot(
    sequences: Sequence[str] | Sequence[bytes] | NDArray[np.uint8], dtype: DTypeLike = np.float32
) -> NDArray:
    """Turn DNA text into one-hot rows; N is a row of zeros.

    Parameters
    ----------
    sequences
        Strings or bytes of one length, or their ASCII bytes as a uint8 array (sequence, position).
    dtype
        Type of the result.

    Returns
    -------
    one_hot
        (sequence, position, base), bases in the order A, C, G, T.

    Raises
    ------
    InputError
        As :func:`encode_bases`.

    Examples
    --------
    >>> one_hot(["aN"])
    array([[[1., 0., 0., 0.],
            [0., 0., 0., 0.]]], dtype=float32)
    """
    text = _as_bytes(sequences)
    table = _rows_table(dtype)
    result = np.empty((*text.shape, len(BASES)), dtype=dtype)
    for rows in _chunks(text):
        codes = np.empty(text[rows].shape, dtype=np.uint8)
        _encode_rows(text, rows, codes)
        table.take(codes, axis=0, out=result[rows], mode="clip")
    return result


def one_hot_codes(codes: NDArray[np.uint8], dtype: DTypeLike = np.float32) -> NDArray:
    """Turn base codes (..., position) into one-hot rows (..., position, base).

    Raises
    ------
    InputError
        A code above 4.

    Examples
    --------
    >>> one_hot_codes(np.array([[3, 4]], dtype=np.uint8))
    array([[[0., 0., 0., 1.],
            [0., 0., 0., 0.]]], dtype=float32)
    """
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        raise InputError(
            f"codes: expected base codes of type uint8, got {codes.dtype}; make them with encode_bases"
        )
    if codes.size and codes.max() > N_CODE:
        raise InputError(
            f"codes: expected base codes from 0 to 4, got {codes.max()}; make them with encode_bases"
        )
    result = np.empty((*codes.shape, len(BASES)), dtype=dtype)
    # mode="clip" lets take write into `out` without a buffer; the codes were checked above.
    return _rows_table(dtype).take(codes, axis=0, out=result, mode="clip")


def decode_codes(codes: NDArray[np.uint8]) -> list[str]:
    """Turn base codes (sequence, position) into upper-case strings.

    Examples
    --------
    >>> decode_codes(encode_bases(["acNy"]))
    ['ACNN']
    """
    letters = np.ascontiguousarray(_LETTER_OF_CODE[codes])
    return [row.tobytes().decode("ascii") for row in letters]


def codes_of(one_hot: NDArray) -> NDArray[np.uint8]:
    """Turn one-hot rows (sequence, position, base) into base codes (sequence, position).

    Raises
    ------
    InputError
        The array is not (sequence, position, 4), or a row is neither a base nor zeros.

    Examples
    --------
    >>> codes_of(np.array([[[0, 1, 0, 0], [0, 0, 0, 0]]]))
    array([[1, 4]], dtype=uint8)
    """
    array = np.asarray(one_hot)
    if array.ndim != 3 or array.shape[-1] != len(BASES):
        raise InputError(f"one_hot: expected shape (sequence, position, 4), got {array.shape}")
    if array.dtype.kind == "f":
        # One product gives a base's number and how many there are: faster than to look at each entry.
        code, count = np.moveaxis(array @ np.array([[0, 1], [1, 1], [2, 1], [3, 1]], array.dtype), -1, 0)
        if ((array == 0) | (array == 1)).all() and (count <= 1).all():
            return (code + N_CODE * (1 - count)).astype(np.uint8)
    is_base = (array == 1).sum(axis=-1) == 1
    is_zero = array == 0
    invalid = ~(is_zero.all(axis=-1) | (is_base & (is_zero.sum(axis=-1) == len(BASES) - 1)))
    if invalid.any():
        sequence, position = np.argwhere(invalid)[0]
        raise InputError(
            f"one_hot: sequence {sequence}, position {position}: expected a single 1 or zeros, "
            f"got {array[sequence, position].tolist()}"
        )
    return np.where(is_base, array.argmax(axis=-1), N_CODE).astype(np.uint8)


def decode_one_hot(one_hot: NDArray) -> list[str]:
    """Turn one-hot rows (sequence, position, base) into upper-case strings; a row of zeros is N.

    Raises
    ------
    InputError
        As :func:`codes_of`.

    Examples
    --------
    >>> decode_one_hot(one_hot(["GATTACAN"]))
    ['GATTACAN']
    """
    return decode_codes(codes_of(one_hot))


def reverse_complement(one_hot: NDArray) -> NDArray:
    """Reverse complement of (..., position, base): both axes reversed, since A-T and C-G mirror each other.

    The result is a view of the argument.

    Examples
    --------
    >>> decode_one_hot(reverse_complement(one_hot(["AACGN"])))
    ['NCGTT']
    """
    return one_hot[..., ::-1, ::-1]


def reverse_complement_codes(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reverse complement of base codes (..., position); N stays N.

    Examples
    --------
    >>> decode_codes(reverse_complement_codes(encode_bases(["AACGN"])))
    ['NCGTT']
    """
    return _COMPLEMENT_OF_CODE[codes[..., ::-1]]


def _as_bytes(sequences: Sequence[str] | Sequence[bytes] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ASCII bytes (sequence, position), without a copy where the argument is already that."""
    if isinstance(sequences, str | bytes):
        raise InputError("sequences: expected a list of sequences, got a single one; put it in a list")
    if isinstance(sequences, np.ndarray) and sequences.dtype == np.uint8:
        if sequences.ndim != 2:
            raise InputError(
                f"sequences: expected a uint8 array (sequence, position), got shape {sequences.shape}"
            )
        return sequences
    texts = [_ascii(sequence, index) for index, sequence in enumerate(sequences)]
    length = len(texts[0]) if texts else 0
    for index, text in enumerate(texts):
        if len(text) != length:
            raise InputError(
                f"sequences: sequence {index} has {len(text)} bases and sequence 0 has {length}; "
                "encode sequences of one length together, or pad them with N"
            )
    return np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(len(texts), length)


def _ascii(sequence: str | bytes, index: int) -> bytes:
    if isinstance(sequence, bytes):
        return sequence
    if not isinstance(sequence, str):
        raise InputError(
            f"sequences: expected str or bytes, got {type(sequence).__name__} at sequence {index}"
        )
    try:
        return sequence.encode("ascii")
    except UnicodeEncodeError as error:
        raise _not_a_base(index, error.start, sequence[error.start]) from None


def _encode_rows(text: NDArray[np.uint8], rows: slice, codes: NDArray[np.uint8]) -> None:
    """Write the codes of text[rows] into `codes`."""
    _CODE_OF_BYTE.take(text[rows], out=codes, mode="clip")
    if codes.size and codes.max() == NOT_A_BASE:
        sequence, position = np.argwhere(codes == NOT_A_BASE)[0]
        sequence += rows.start
        raise _not_a_base(int(sequence), int(position), chr(text[sequence, position]))


def _not_a_base(sequence: int, position: int, character: str) -> InputError:
    return InputError(
        f"sequences: sequence {sequence}, position {position} (0-based): {character!r} is no nucleotide; "
        "expected A, C, G, T, N or another IUPAC code (read as N)"
    )


def _chunks(text: NDArray[np.uint8]) -> list[slice]:
    step = max(1, _CHUNK_BASES // max(1, text.shape[1]))
    return [slice(start, min(start + step, len(text))) for start in range(0, len(text), step)]


def _rows_table(dtype: DTypeLike) -> NDArray:
    """One-hot row of each code, (code, base)."""
    return np.eye(N_CODE + 1, len(BASES), dtype=dtype)
