"""Shuffles against an enumeration of all sequences with the same k-lets, letter by letter."""

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kipoi_tfbind.dna import _shuffle_kernels
from kipoi_tfbind.dna.compiled import compiled
from kipoi_tfbind.dna.one_hot import decode_codes, decode_one_hot, encode_bases, one_hot
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.dna.shuffle import (
    dinucleotide_shuffle,
    klet_shuffle,
    mononucleotide_shuffle,
    shuffle_batch,
    shuffle_codes,
)
from kipoi_tfbind.errors import InputError

N_DRAWS = 20_000
N_SEEDS = 60

dna = st.text("ACGT", min_size=1, max_size=60)
dna_with_n = st.text("ACGTN", min_size=1, max_size=60)
# Few bases make many repeats, and so many shuffles.
repetitive = st.text("AC", min_size=1, max_size=40)


def klets(sequence: str, k: int) -> Counter[str]:
    return Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))


def all_shuffles(sequence: str, k: int) -> set[str]:
    """Every sequence with the same first k - 1 bases and the same k-lets, by trying each next base."""

    def extend(prefix: str, left: Counter[str]) -> set[str]:
        if not left.total():
            return {prefix}
        found = set()
        for base in "ACGT":
            word = (prefix + base)[-k:]
            if left[word]:
                found |= extend(prefix + base, left - Counter([word]))
        return found

    return extend(sequence[: k - 1], klets(sequence, k))


def draws(sequence: str, n: int, k: int, seed: int = 0) -> list[str]:
    return decode_codes(shuffle_codes(encode_bases([sequence]), n, k=k, seed=seed)[0])


def chi_square_per_degree_of_freedom(sequence: str, k: int, seed: int) -> float:
    expected = all_shuffles(sequence, k)
    counts = Counter(draws(sequence, N_DRAWS, k, seed))
    assert set(counts) == expected
    return float(stats.chisquare([counts[each] for each in expected]).statistic / (len(expected) - 1))


@pytest.mark.parametrize(
    ("sequence", "k", "n_shuffles"),
    [
        ("ACGATCGACTGA", 2, 15),
        ("AACGTTGCAAGC", 2, 24),
        # First and last base differ; the last base has no edge that leaves it.
        ("CACACCAAGT", 2, 9),
        ("AACC", 1, 6),
        ("ACATACGACATGACCACA", 3, 96),
    ],
)
def test_every_shuffle_is_equally_probable(sequence: str, k: int, n_shuffles: int) -> None:
    assert len(all_shuffles(sequence, k)) == n_shuffles
    ratios = [chi_square_per_degree_of_freedom(sequence, k, seed) for seed in range(N_SEEDS)]
    # A ratio has the mean 1 and the variance 2 / degrees of freedom, if and only if draws are uniform and
    # independent; a single one strays by 0.38 at 14 degrees. Four standard errors of the mean of all:
    allowed = 4 * np.sqrt(2 / (n_shuffles - 1) / N_SEEDS)
    assert allowed < 0.34
    assert abs(np.mean(ratios) - 1) < allowed
    if n_shuffles >= 15:
        assert 0.8 < np.mean(ratios) < 1.2


def test_successive_draws_are_independent() -> None:
    shuffles = sorted(all_shuffles("ACGATCGACTGA", 2))
    index = [shuffles.index(draw) for draw in draws("ACGATCGACTGA", 100_000, 2)]
    pairs = np.zeros((15, 15))
    np.add.at(pairs, (index[:-1], index[1:]), 1)
    assert stats.chi2_contingency(pairs).pvalue > 0.001


def test_stretches_between_n_are_shuffled_independently() -> None:
    sequence = "AACC" + "N" + "AACC"
    counts = Counter(draws(sequence, 36_000, 1))
    halves = all_shuffles("AACC", 1)
    assert set(counts) == {f"{left}N{right}" for left in halves for right in halves}
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


@given(dna_with_n | repetitive, st.integers(1, 4), st.integers(0, 3))
def test_what_is_preserved(sequence: str, k: int, seed: int) -> None:
    for shuffled in draws(sequence, 4, k, seed):
        assert [letter == "N" for letter in shuffled] == [letter == "N" for letter in sequence]
        for before, after in zip(sequence.split("N"), shuffled.split("N"), strict=True):
            assert after[: k - 1] == before[: k - 1]
            assert after[max(0, len(after) - k + 1) :] == before[max(0, len(before) - k + 1) :]
            for shorter in range(1, k + 1):
                assert klets(after, shorter) == klets(before, shorter)


@given(dna | repetitive, st.integers(5, 8))
def test_long_words_are_preserved(sequence: str, k: int) -> None:
    for shuffled in draws(sequence, 2, k):
        assert klets(shuffled, k) == klets(sequence, k)
        assert shuffled[: k - 1] == sequence[: k - 1]


@given(st.text("AC", min_size=3, max_size=9), st.integers(1, 3))
def test_every_shuffle_is_reached(sequence: str, k: int) -> None:
    # At most 126 shuffles: in 4,000 draws the chance to miss one is below 2e-12.
    assert set(draws(sequence, 4000, k)) == all_shuffles(sequence, k)


@given(dna_with_n, st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_first_draws_do_not_depend_on_their_number(sequence: str, k: int, fewer: int, more: int) -> None:
    assert draws(sequence, fewer + more, k)[:fewer] == draws(sequence, fewer, k)


@given(st.lists(st.text("ACGTN", min_size=15, max_size=15), min_size=1, max_size=6), st.randoms())
def test_draws_depend_on_the_sequence_and_not_on_its_company(texts: list[str], random: object) -> None:
    order = np.random.default_rng(len(texts)).permutation(len(texts))
    together = shuffle_batch(one_hot(texts), 3, seed=5)
    permuted = shuffle_batch(one_hot([texts[i] for i in order]), 3, seed=5)
    np.testing.assert_array_equal(permuted, together[order])
    for text, shuffled in zip(texts, together, strict=True):
        np.testing.assert_array_equal(shuffled, dinucleotide_shuffle(one_hot([text])[0], 3, seed=5))


def test_seeds_and_words_of_another_length_give_other_draws() -> None:
    sequence = decode_one_hot(random_sequences(1, 300))[0]
    runs = [draws(sequence, 1, k, seed)[0] for k in (1, 2) for seed in (0, 1, 2, 10**30)]
    assert len(set(runs)) == len(runs)
    assert draws(sequence, 1, 2, 1) == draws(sequence, 1, 2, 1)
    # A base more makes it another sequence.
    assert draws(sequence + "A", 1, 2)[0][:300] != draws(sequence, 1, 2)[0]


def test_draws_are_the_same_in_every_version() -> None:
    # Results are to be reproduced: a change of these is a change that users have to be told of.
    assert draws("ACGATCGACTGANNAACATTACGGATACA", 2, 2, 1) == [
        "ACGATCGACTGANNACAATACATTACGGA",
        "ATCGACTGACGANNACAATACGGATTACA",
    ]


def test_random_numbers_are_those_of_xoshiro256_plus_plus() -> None:
    # The state 1, 2, 3, 4 and its first numbers, as the tests of Rust's rand_xoshiro have them.
    state = np.array([1, 2, 3, 4], dtype=np.uint64)
    assert [int(_shuffle_kernels.next_random(state)) for _ in range(10)] == [
        41943041,
        58720359,
        3588806011781223,
        3591011842654386,
        9228616714210784205,
        9973669472204895162,
        14011001112246962877,
        12406186145184390807,
        15849039046786891736,
        10450023813501588000,
    ]


@pytest.mark.parametrize("sequence", ["A", "AC", "GGGGGGGGGG", "NNNN", "N", "ACNGTN", "NACN"])
@pytest.mark.parametrize("k", [2, 3])
def test_sequences_without_another_shuffle_stay_as_they_are(sequence: str, k: int) -> None:
    assert set(draws(sequence, 5, k)) == {sequence}


def test_empty_sequences_and_batches() -> None:
    assert shuffle_batch(np.zeros((0, 7, 4), dtype=np.float32), 3).shape == (0, 3, 7, 4)
    assert shuffle_batch(np.zeros((2, 0, 4), dtype=np.float32), 3).shape == (2, 3, 0, 4)


def test_long_runs_and_rare_ways_out() -> None:
    # The walk that draws the tree leaves a run of repeats by a single edge.
    for sequence in ("A" * 3000 + "C" + "A" * 2000 + "G", "CG" * 2000 + "T" + "CG" * 10):
        for shuffled in draws(sequence, 3, 2):
            assert klets(shuffled, 2) == klets(sequence, 2)


def test_one_and_two_letter_words_have_names() -> None:
    x = random_sequences(1, 50)[0]
    np.testing.assert_array_equal(dinucleotide_shuffle(x, 4, seed=3), klet_shuffle(x, 4, k=2, seed=3))
    np.testing.assert_array_equal(mononucleotide_shuffle(x, 4, seed=3), klet_shuffle(x, 4, k=1, seed=3))
    for method, k in (("dinucleotide_shuffle", 2), ("mononucleotide_shuffle", 1), ("klet_shuffle:3", 3)):
        batch = shuffle_batch(x[np.newaxis], 4, method=method, seed=3)
        np.testing.assert_array_equal(batch[0], klet_shuffle(x, 4, k=k, seed=3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_type_and_argument_are_kept(dtype: type) -> None:
    x = one_hot(["ACGATCGNACTGA"], dtype=dtype)[0]
    before = x.copy()
    shuffled = dinucleotide_shuffle(x, 2)
    assert shuffled.dtype == dtype
    assert shuffled.shape == (2, 13, 4)
    np.testing.assert_array_equal(x, before)
    # The type has no part in the draws, nor has the layout in memory.
    np.testing.assert_array_equal(shuffled, dinucleotide_shuffle(np.asfortranarray(x, np.float32), 2))


def test_random_sequences_have_the_frequencies() -> None:
    n = 100_000
    profile = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [0.5, 0, 0.5, 0]])
    counts = random_sequences(n, 3, frequencies=profile).sum(axis=0)
    # Five standard deviations of the frequency in n draws; where the probability is 0 there is none.
    np.testing.assert_array_less(
        np.abs(counts / n - profile), 5 * np.sqrt(profile * (1 - profile) / n) + 1e-9
    )
    assert (random_sequences(n, 1).sum(axis=(0, 1)) > n / 4 - 5 * np.sqrt(n * 3 / 16)).all()
    thirds = random_sequences(n, 1, frequencies=[1 / 3, 1 / 3, 1 / 3, 0]).sum(axis=(0, 1))
    assert thirds[3] == 0


def test_first_random_sequences_do_not_depend_on_their_number() -> None:
    np.testing.assert_array_equal(random_sequences(5, 30, seed=2)[:3], random_sequences(3, 30, seed=2))
    assert random_sequences(1, 1).dtype == np.float32
    assert (random_sequences(3, 30, seed=1) != random_sequences(3, 30, seed=2)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: dinucleotide_shuffle(x, 1), r"one sequence \(position, 4\), got shape \(1, 8, 4\)"),
        (lambda x: dinucleotide_shuffle(x[0] * 0.5, 1), "position 0: expected a single 1 or zeros"),
        (lambda x: dinucleotide_shuffle(x[0], 0), "n: expected at least 1 shuffle, got 0"),
        (lambda x: dinucleotide_shuffle(x[0], 1, seed=-1), "seed: expected a whole number from 0 on, got -1"),
        (lambda x: dinucleotide_shuffle(x[0], 1, seed=0.5), "got 0.5"),  # type: ignore[arg-type]
        (lambda x: klet_shuffle(x[0], 1, k=0), "k: expected a word length from 1 to 8, got 0"),
        (lambda x: klet_shuffle(x[0], 1, k=9), "got 9"),
        (lambda x: shuffle_batch(x[0], 1), r"expected shape \(sequence, position, 4\), got \(8, 4\)"),
        (lambda x: shuffle_batch(x, 1, method="triplets"), "klet_shuffle:K .*got 'triplets'"),
        (lambda x: shuffle_batch(x, 1, method="klet_shuffle:9"), "got 'klet_shuffle:9'"),
        (lambda x: shuffle_batch(x, 1, method="klet_shuffle:²"), "got 'klet_shuffle:²'"),
        (lambda x: shuffle_codes(x[0], 1), "codes: expected uint8 base codes .* got float32"),
        (lambda _: shuffle_codes(np.full((1, 3), 5, np.uint8), 1), "codes: expected uint8 base codes"),
        (lambda _: random_sequences(0, 5), "at least one sequence and one base, got 0 and 5"),
        (lambda _: random_sequences(1, 5, seed=-2), "seed: .* got -2"),
        (lambda _: random_sequences(1, 5, frequencies=[0.5, 0.5]), r"shape \(4,\) or \(5, 4\).* got \(2,\)"),
        (lambda _: random_sequences(1, 5, frequencies=[0.5, 0.5, 0.5, 0]), "sum of 1.5"),
        (lambda _: random_sequences(1, 5, frequencies=[1.5, -0.5, 0, 0]), "smallest of -0.5"),
        (lambda _: random_sequences(1, 5, frequencies=[np.nan, 0, 0, 1]), "nan"),
    ],
)
def test_bad_arguments_are_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(one_hot(["ACGTACGT"]))  # type: ignore[operator]


def test_importing_compiles_nothing() -> None:
    code = "import sys, kipoi_tfbind.dna.shuffle; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shuffles_work_where_no_compiled_code_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    njit = numba.njit

    def without_a_folder(**options: Any) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    assert compiled(lambda x: x + 1)(1) == 2
