"""Backgrounds: each kind preserves what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from kipoi_tfbind import as_sequence_model, encode_sequences, read_sequences
from kipoi_tfbind.dna.one_hot import codes_of, decode_one_hot
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import BackgroundWarning, InputError
from kipoi_tfbind.interpret.global_importance.background_shift import central_backgrounds, distribution_shift
from kipoi_tfbind.sequences.backgrounds import make_backgrounds
from kipoi_tfbind.sequences.genomic_backgrounds import genomic_backgrounds

LENGTH = 60


def real(n: int = 20, length: int = LENGTH, seed: int = 0) -> xr.Dataset:
    """Sequences with a composition of their own: each base prefers to be followed by itself."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        row = [int(rng.integers(4))]
        while len(row) < length:
            row.append(row[-1] if rng.random() < 0.4 else int(rng.choice(4, p=[0.4, 0.1, 0.1, 0.4])))
        rows.append("".join("ACGT"[base] for base in row))
    return encode_sequences(rows, ids=[f"s{i}" for i in range(n)])


def words(codes: np.ndarray, k: int) -> np.ndarray:
    """Counts of the words of a sequence, or of several together."""
    counts = np.zeros(4**k, dtype=int)
    for row in np.atleast_2d(codes):
        for start in range(len(row) - k + 1):
            word = row[start : start + k]
            if (word < 4).all():
                counts[int("".join(map(str, word)), 4)] += 1
    return counts


def test_uniform_backgrounds_have_all_bases_equally() -> None:
    codes = codes_of(make_backgrounds("uniform", 2000, length=LENGTH, seed=1)["one_hot"].values)
    assert stats.chisquare(words(codes[:200], 2)).pvalue > 0.001
    by_position = np.stack([(codes == base).mean(axis=0) for base in range(4)])
    assert (np.abs(by_position - 0.25) < 5 * np.sqrt(0.1875 / 2000)).all()


def test_profile_backgrounds_have_the_mean_frequencies_of_each_position() -> None:
    sequences = real(10)
    sequences["one_hot"].values[:4, 7] = 0  # N is not counted
    codes = codes_of(make_backgrounds("profile", 4000, sequences=sequences)["one_hot"].values)
    found = np.stack([(codes == base).mean(axis=0) for base in range(4)], axis=1)
    own = codes_of(sequences["one_hot"].values)
    expected = (
        np.stack([(own == base).sum(axis=0) for base in range(4)], axis=1) / (own < 4).sum(axis=0)[:, None]
    )
    assert (np.abs(found - expected) < 5 * np.sqrt(0.25 / 4000)).all()
    assert (found[expected == 0] == 0).all()
    assert (expected == 0).any()


@pytest.mark.parametrize(
    ("kind", "k"), [("mononucleotide_shuffle", 1), ("dinucleotide_shuffle", 2), ("klet_shuffle:3", 3)]
)
def test_shuffles_preserve_the_words_of_each_sequence(kind: str, k: int) -> None:
    sequences = real(6)
    sequences["one_hot"].values[2, 30] = 0
    backgrounds = make_backgrounds(kind, 15, sequences=sequences)
    own, codes = (codes_of(each["one_hot"].values) for each in (sequences, backgrounds))
    assert len(codes) == 15
    assert backgrounds.attrs["background"] == kind
    for row in range(15):
        np.testing.assert_array_equal(words(codes[row], k), words(own[row % 6], k))
        assert (codes[row] != own[row % 6]).any()
        assert str(backgrounds["id"].values[row]) == f"s{row % 6} shuffle {row // 6}"
    assert codes[2, 30] == codes[8, 30] == 4


@pytest.mark.parametrize("order", [0, 1, 2])
def test_markov_chains_have_the_transitions_of_the_sequences(order: int) -> None:
    sequences = real(40)
    codes = codes_of(make_backgrounds(f"markov:{order}", 800, sequences=sequences)["one_hot"].values)
    own = codes_of(sequences["one_hot"].values)
    found, expected = (words(each, order + 1).reshape(-1, 4) for each in (codes, own))
    often = expected.sum(axis=1) > 30
    total = found.sum(axis=1, keepdims=True)
    shares = expected / expected.sum(axis=1, keepdims=True)
    error = np.abs(found / total - shares)[often]
    assert (error < 5 * np.sqrt(0.25 / total[often]) + 1e-9).all()
    if order:  # and not those of a chain without memory
        assert np.abs(shares[often] - shares[often].mean(axis=0)).max() > 0.1
    longer = make_backgrounds(f"markov:{order}", 2, sequences=sequences, length=100)
    assert longer.sizes["position"] == 100


def test_markov_chain_of_words_that_end_a_sequence() -> None:
    """G occurs only at the end, and nothing is known to follow it."""
    codes = codes_of(
        make_backgrounds("markov:1", 50, sequences=encode_sequences(["AAAG"]), length=9)["one_hot"].values
    )
    assert set(np.unique(codes)) == {0, 2}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genome")
    rng = np.random.default_rng(4)
    content = np.repeat(rng.uniform(0.2, 0.8, 40), 1000)
    strong = rng.random(40_000) < content
    text = np.where(strong, rng.choice(list("CG"), 40_000), rng.choice(list("AT"), 40_000))
    text[5000:5500] = "N"
    (folder / "genome.fa").write_text(">chr1\n" + "".join(text) + "\n")
    (folder / "avoid.bed").write_text("1\t10000\t30000\n")
    (folder / "peaks.bed").write_text(
        "".join(f"chr1\t{s}\t{s + 100}\n" for s in range(1000, 39000, 1000) if s != 5000)
    )
    return folder


@pytest.mark.needs_bedtools
def test_genomic_backgrounds_have_the_gc_content_and_avoid_intervals(genome: Path) -> None:
    fasta = genome / "genome.fa"
    like = read_sequences(fasta, genome / "peaks.bed", length=100)
    found = genomic_backgrounds(fasta, like, 150, avoid=genome / "avoid.bed", seed=3)
    again = genomic_backgrounds(fasta, like, 150, avoid=genome / "avoid.bed", seed=3)
    assert found.identical(again)
    text = fasta.read_text().splitlines()[1]
    own = like["one_hot"].sel(base=["C", "G"]).sum(("position", "base")).values
    for row, sequence in enumerate(decode_one_hot(found["one_hot"].values)):
        start, end = int(found["start"][row]), int(found["end"][row])
        assert sequence == text[start:end]
        assert "N" not in sequence
        assert end <= 10_000 or start >= 30_000
        gc = sequence.count("G") + sequence.count("C")
        assert gc // 2 == int(own[row % len(own)]) // 2  # classes of 2% of 100 bp
    assert len(set(found["start"].values.tolist())) > 100
    with pytest.raises(InputError, match="were not found"):
        genomic_backgrounds(fasta, encode_sequences(["G" * 100]), 2)
    (genome / "all.bed").write_text("chr1\t0\t40000\n")
    with pytest.raises(InputError, match="no stretch of 100 bp is free"):
        genomic_backgrounds(fasta, like, 2, avoid=genome / "all.bed")


def count_g(one_hot: np.ndarray) -> np.ndarray:
    return one_hot[:, :, 2].sum(axis=1, keepdims=True)


def test_central_backgrounds_are_those_between_the_quantiles() -> None:
    backgrounds = make_backgrounds("uniform", 300, length=LENGTH)
    counts = backgrounds["one_hot"].sel(base="G").sum("position").values
    kept = central_backgrounds(as_sequence_model(count_g), backgrounds, low=0.2, high=0.7)
    low, high = np.quantile(counts, [0.2, 0.7])
    expected = backgrounds["id"].values[(counts >= low) & (counts <= high)]
    assert kept["id"].values.tolist() == expected.tolist()
    assert "0.2 and 0.7" in kept.attrs["background_filter"]
    with pytest.raises(InputError, match="low < high"):
        central_backgrounds(as_sequence_model(count_g), backgrounds, low=0.7, high=0.2)


def test_distribution_shift_is_measured_and_warned_of() -> None:
    model = as_sequence_model(count_g, targets=["number of G"])
    uniform = make_backgrounds("uniform", 200, length=LENGTH)
    poor = random_sequences(100, LENGTH, frequencies=[0.48, 0.02, 0.02, 0.48], seed=2)
    sequences = encode_sequences(decode_one_hot(poor))
    with pytest.warns(BackgroundWarning, match="number of G: .* of the backgrounds"):
        found = distribution_shift(model, uniform, sequences)
    g = [each["one_hot"].values[:, :, 2].sum(axis=1) for each in (uniform, sequences)]
    low, high = np.quantile(g[1], [0.025, 0.975])
    assert found["share_outside"].item() == ((g[0] < low) | (g[0] > high)).mean()
    grid = np.arange(LENGTH + 1)[:, None]
    distance = np.abs((g[0] <= grid).mean(axis=1) - (g[1] <= grid).mean(axis=1)).max()
    assert found["ks_statistic"].item() == pytest.approx(distance, abs=1e-12)
    np.testing.assert_array_equal(found["background_sample"].values[:, 0], g[0])
    shuffled = make_backgrounds("mononucleotide_shuffle", 200, sequences=sequences)
    assert distribution_shift(model, shuffled, sequences)["ks_statistic"].item() == pytest.approx(0)


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("nonsense", {"sequences": real(2)}, "expected one of uniform, profile"),
        ("klet_shuffle:9", {"sequences": real(2)}, "klet_shuffle"),
        ("markov:x", {"sequences": real(2)}, "markov:K"),
        ("markov:3", {"sequences": encode_sequences(["ACNGT"])}, "no 4 bases in a row"),
        ("uniform", {}, "expected the length"),
        ("dinucleotide_shuffle", {}, "give some"),
        ("profile", {"sequences": real(2), "length": 7}, "expected 60"),
        ("uniform", {"n": 0, "length": 5}, "at least 1"),
    ],
)
def test_backgrounds_that_cannot_be_made(kind: str, options: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make_backgrounds(kind, **{"n": 3} | options)


def test_first_backgrounds_do_not_depend_on_how_many_follow() -> None:
    for kind in ("uniform", "profile", "dinucleotide_shuffle"):
        few, many = (make_backgrounds(kind, n, sequences=real(4)) for n in (6, 30))
        np.testing.assert_array_equal(few["one_hot"], many["one_hot"][:6])
