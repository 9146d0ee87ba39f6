"""kipoi_tfbind.dna.one_hot against a letter-by-letter oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kipoi_tfbind.dna.one_hot import (
    decode_codes,
    decode_one_hot,
    encode_bases,
    one_hot,
    one_hot_codes,
    reverse_complement,
    reverse_complement_codes,
)
from kipoi_tfbind.errors import InputError

IUPAC = "ACGTUNRYSWKMBDHV"
PAIR = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def slow_one_hot(sequence: str) -> list[list[float]]:
    return [[float(letter.upper() == base) for base in "ACGT"] for letter in sequence]


def as_plain_dna(sequence: str) -> str:
    return "".join(letter if letter in "ACGT" else "N" for letter in sequence.upper())


@st.composite
def equal_length_sequences(draw: st.DrawFn) -> list[str]:
    length = draw(st.integers(0, 30))
    text = st.text(alphabet=IUPAC + IUPAC.lower(), min_size=length, max_size=length)
    return draw(st.lists(text, min_size=1, max_size=8))


@given(equal_length_sequences())
def test_one_hot_equals_letter_by_letter(sequences: list[str]) -> None:
    expected = np.array([slow_one_hot(sequence) for sequence in sequences]).reshape(len(sequences), -1, 4)
    result = one_hot(sequences)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(one_hot_codes(encode_bases(sequences)), expected)


@given(equal_length_sequences())
def test_decoding_gives_back_the_sequence(sequences: list[str]) -> None:
    expected = [as_plain_dna(sequence) for sequence in sequences]
    assert decode_one_hot(one_hot(sequences)) == expected
    assert decode_codes(encode_bases(sequences)) == expected


@given(equal_length_sequences())
def test_reverse_complement_equals_letter_by_letter(sequences: list[str]) -> None:
    expected = ["".join(PAIR[b] for b in reversed(as_plain_dna(sequence))) for sequence in sequences]
    assert decode_one_hot(reverse_complement(one_hot(sequences))) == expected
    assert decode_codes(reverse_complement_codes(encode_bases(sequences))) == expected


def test_every_byte_is_a_base_or_n_or_refused() -> None:
    for byte in range(256):
        letter = chr(byte).upper() if byte < 128 else ""
        text = np.array([[byte]], dtype=np.uint8)
        if letter and letter in IUPAC:
            assert encode_bases(text)[0, 0] == ("ACGT".index(letter) if letter in "ACGT" else 4)
        else:
            with pytest.raises(InputError, match="sequence 0, position 0"):
                encode_bases(text)


def test_text_bytes_and_arrays_agree() -> None:
    texts = ["ACGTNacgtn", "TTTTTGGGGG"]
    data = [text.encode() for text in texts]
    array = np.array([list(row) for row in data], dtype=np.uint8)
    for form in (texts, tuple(texts), data, array, np.array(texts), np.asfortranarray(array)):
        np.testing.assert_array_equal(one_hot(form), one_hot(texts))


def test_chunks_do_not_change_the_result() -> None:
    letters = np.frombuffer(b"ACGTN", dtype=np.uint8)
    text = letters[np.random.default_rng(0).integers(0, 5, size=(300, 1000))]
    rows = [one_hot(text[i : i + 1])[0] for i in range(len(text))]
    np.testing.assert_array_equal(one_hot(text), np.stack(rows))


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, bool])
def test_dtype(dtype: type) -> None:
    result = one_hot(["ACGTN"], dtype=dtype)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result[0], np.eye(5, 4))


def test_no_sequences() -> None:
    assert one_hot([]).shape == (0, 0, 4)
    assert decode_one_hot(np.zeros((0, 7, 4))) == []


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ("ACGT", "list of sequences"),
        (["ACGT", "ACG"], "sequence 1 has 3 bases"),
        (["ACGT"] * 100_000 + ["AC-T"], r"sequence 100000, position 2 \(0-based\): '-'"),
        (["ACé"], r"sequence 0, position 2 \(0-based\): 'é'"),
        (["ACGX"], "'X'"),
        ([7], "got int at sequence 0"),
        (np.zeros(4, dtype=np.uint8), "shape"),
    ],
)
def test_bad_sequences_are_refused(sequences: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        one_hot(sequences)  # type: ignore[arg-type]


def test_bad_codes_are_refused() -> None:
    with pytest.raises(InputError, match="got 5"):
        one_hot_codes(np.array([[0, 5]], dtype=np.uint8))
    with pytest.raises(InputError, match="int64"):
        one_hot_codes(np.array([[0, 1]]))


@pytest.mark.parametrize("row", [[1, 1, 0, 0], [0.5, 0, 0, 0], [0, np.nan, 0, 0], [1, 0, 0, 0.1]])
def test_rows_that_are_not_one_hot_are_refused(row: list[float]) -> None:
    array = np.zeros((2, 3, 4))
    array[1, 2] = row
    with pytest.raises(InputError, match="sequence 1, position 2"):
        decode_one_hot(array)
    with pytest.raises(InputError, match="shape"):
        decode_one_hot(np.zeros((3, 4)))
