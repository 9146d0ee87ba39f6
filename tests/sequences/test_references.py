"""The references of every kind: what each preserves, letter by letter, and what is refused."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot
from kipoi_tfbind.dna.shuffle import klet_shuffle
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.sequences.references import REFERENCE_KINDS, make_references

TEXTS = ["ACGATCGACTGATTACAGNNNGATTACA", "AACGTTGCAAGCCCGATATTTTTTTTTT", "N" * 28]
DRAWN = {"dinucleotide_shuffle": 2, "mononucleotide_shuffle": 1, "klet_shuffle:3": 3, "random": 0}
DETERMINED = ("uniform", "mean_profile", "zeros")
KINDS = (*DRAWN, *DETERMINED)


@pytest.fixture
def sequences() -> NDArray[np.float32]:
    return one_hot(TEXTS)


def words(text: str, k: int) -> list[Counter[str]]:
    """Counts of k-lets in each stretch between Ns."""
    stretches = text.split("N")
    return [Counter(stretch[i : i + k] for i in range(len(stretch) - k + 1)) for stretch in stretches]


def test_every_kind_is_tried() -> None:
    assert set(KINDS) == {kind.replace("K", "3") for kind in REFERENCE_KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_shape_and_n(kind: str, sequences: NDArray[np.float32]) -> None:
    before = sequences.copy()
    references = make_references(sequences, kind, 5)
    assert references.dtype == np.float32
    assert references.shape == (3, 1 if kind in DETERMINED else 5, 28, 4)
    is_n = np.array([[letter == "N" for letter in text] for text in TEXTS])
    row_sums = np.broadcast_to(np.where(is_n, 0, kind != "zeros")[:, np.newaxis], references.shape[:3])
    # Frequencies in float32: 4 roundings.
    np.testing.assert_allclose(references.sum(axis=-1), row_sums, rtol=0, atol=4 * 2.0**-24)
    np.testing.assert_array_equal(sequences, before)


@pytest.mark.parametrize(("kind", "k"), [(kind, k) for kind, k in DRAWN.items() if k])
def test_shuffles_preserve_the_counts_of_words(kind: str, k: int, sequences: NDArray[np.float32]) -> None:
    for text, x, references in zip(
        TEXTS, sequences, make_references(sequences, kind, 6, seed=2), strict=True
    ):
        np.testing.assert_array_equal(references, klet_shuffle(x, 6, k=k, seed=2))
        drawn = decode_one_hot(references)
        assert all(words(reference, k) == words(text, k) for reference in drawn)
        if text.strip("N"):
            assert len(set(drawn)) > 1
            # No more is preserved than is said.
            assert any(words(reference, k + 1) != words(text, k + 1) for reference in drawn)


def test_default_is_twenty_dinucleotide_shuffles(sequences: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(
        make_references(sequences), make_references(sequences, "dinucleotide_shuffle", 20, seed=0)
    )


@pytest.mark.parametrize("kind", DRAWN)
def test_draws_depend_on_the_sequence_and_the_seed_alone(kind: str, sequences: NDArray[np.float32]) -> None:
    together = make_references(sequences, kind, 5, seed=1)
    for row in range(3):
        alone = make_references(sequences[row : row + 1], kind, 5, seed=1)
        np.testing.assert_array_equal(alone[0], together[row])
    np.testing.assert_array_equal(make_references(sequences[::-1], kind, 5, seed=1), together[::-1])
    np.testing.assert_array_equal(make_references(sequences, kind, 2, seed=1), together[:, :2])
    assert (make_references(sequences, kind, 5, seed=2) != together).any()


def test_random_references_have_equal_frequencies() -> None:
    x = one_hot(["A" * 50, "G" * 50])
    references = make_references(x, "random", 2000)
    n = 2000 * 50
    # Five standard deviations of the frequency in n draws.
    assert (np.abs(references.mean(axis=(1, 2)) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / n)).all()
    assert (references[0] != references[1]).any()


def test_profiles() -> None:
    x = one_hot(["AACGN", "TTTTN", "NNNNN"])
    mean = make_references(x, "mean_profile")[:, 0]
    np.testing.assert_array_equal(mean[0], [[0.5, 0.25, 0.25, 0]] * 4 + [[0] * 4])
    np.testing.assert_array_equal(mean[1], [[0, 0, 0, 1]] * 4 + [[0] * 4])
    assert not mean[2].any()
    uniform = make_references(x, "uniform")[:, 0]
    np.testing.assert_array_equal(uniform[0], [[0.25] * 4] * 4 + [[0] * 4])
    assert not make_references(x, "zeros").any()


def test_given_references(sequences: NDArray[np.float32]) -> None:
    shared = np.random.default_rng(0).random((7, 28, 4))
    references = make_references(sequences, shared)
    assert references.shape == (3, 7, 28, 4)
    assert references.dtype == np.float32
    for row in references:
        np.testing.assert_array_equal(row, shared.astype(np.float32))
    own = np.random.default_rng(0).random((3, 2, 28, 4)).astype(np.float32)
    np.testing.assert_array_equal(make_references(sequences, own, 99), own)
    np.testing.assert_array_equal(make_references(sequences, own.tolist()), own)


def test_shared_references_are_one_copy(sequences: NDArray[np.float32]) -> None:
    references = make_references(sequences, np.zeros((7, 28, 4), dtype=np.float32))
    assert np.shares_memory(references[0], references[1])
    with pytest.raises(ValueError, match="read-only"):
        references[0, 0, 0, 0] = 1


@pytest.mark.parametrize(
    ("kind", "n", "message"),
    [
        ("shuffle", 5, "references: expected dinucleotide_.*klet_shuffle:K, .* zeros .*got 'shuffle'"),
        ("klet_shuffle:0", 5, r"klet_shuffle:K \(K from 1 to 8\), got 'klet_shuffle:0'"),
        ("dinucleotide_shuffle", 0, "n: expected at least 1 reference, got 0"),
        ("zeros", -1, "n: expected at least 1 reference, got -1"),
        (None, 5, "references: expected .* got NoneType"),
        ({}, 5, "references: expected .* got dict"),
        (
            np.zeros((28, 4)),
            5,
            r"references: expected at least one, of shape \(reference, 28, 4\) .* got \(28, 4\)",
        ),
        (np.zeros((5, 4, 28)), 5, r"got \(5, 4, 28\)"),
        (np.zeros((5, 27, 4)), 5, r"got \(5, 27, 4\)"),
        (np.zeros((0, 28, 4)), 5, "at least one, .* got \\(0, 28, 4\\)"),
        (np.zeros((2, 5, 28, 4)), 5, r"\(3, reference, 28, 4\), got \(2, 5, 28, 4\)"),
        (np.zeros((1, 3, 5, 28, 4)), 5, r"got \(1, 3, 5, 28, 4\)"),
        (np.full((1, 28, 4), np.nan), 5, "finite"),
    ],
)
def test_bad_references_are_refused(
    kind: object, n: int, message: str, sequences: NDArray[np.float32]
) -> None:
    with pytest.raises(InputError, match=message):
        make_references(sequences, kind, n)  # type: ignore[arg-type]


def test_bad_sequences_are_refused(sequences: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match=r"one_hot: expected shape \(sequence, position, 4\), got \(28, 4\)"):
        make_references(sequences[0])
    for kind in KINDS:
        with pytest.raises(InputError, match="position 0: expected a single 1 or zeros"):
            make_references(sequences / 2, kind)
    with pytest.raises(InputError, match="seed: expected a whole number from 0 on, got -1"):
        make_references(sequences, "random", seed=-1)
