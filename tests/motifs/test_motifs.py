"""Motifs from text, files and databases; what is drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kipoi_tfbind.dna.one_hot import decode_codes, encode_bases, reverse_complement_codes
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.motifs.motif import Motif, draw_instances
from kipoi_tfbind.motifs.read import parse_motif, parse_motifs, read_meme
from kipoi_tfbind.motifs.sites import find_sites

MATRIX = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0, 0, 1, 0], [0.5, 0, 0, 0.5]])
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA1 first
letter-probability matrix: alength= 4 w= 3 nsites= 20 E= 0
 0.1  0.2  0.3  0.4
 1.0  0.0  0.0  0.0
 0.25 0.25 0.25 0.25
URL http://example.org

MOTIF MA2
letter-probability matrix: alength= 4 w= 2
0 1 0 0
0 0 0 1
"""


def backgrounds(n: int) -> np.ndarray:
    return random_sequences(n, 20, seed=5).argmax(axis=-1).astype(np.uint8)


def test_meme_as_memelite_reads_it(tmp_path: Path) -> None:
    memelite = pytest.importorskip("memelite.io")
    path = tmp_path / "two.meme"
    path.write_text(MEME)
    found = read_meme(path)
    expected = memelite.read_meme(str(path))
    assert list(found) == ["MA1", "MA2"]
    for (name, matrix), mine in zip(expected.items(), found.values(), strict=True):
        assert name.split()[0] in ("MA1", "MA2")
        np.testing.assert_allclose(mine.matrix, np.asarray(matrix).T, atol=1e-7)
    assert parse_motif(f"{path}:first").name == parse_motif(f"{path}:MA1").name == "first"
    with pytest.raises(InputError, match=r"no motif ''; give FILE:ID with one of MA1, MA2"):
        parse_motif(str(path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (MEME.replace("1.0  0.0  0.0  0.0", "1.0 0.0 0.0"), "line 13: expected four probabilities"),
        (MEME.replace("0.25 0.25 0.25 0.25\nURL", "0.25 0.25 0.25 0.75\nURL"), "sum to 1"),
        (MEME.replace("0 0 0 1\n", ""), "motif MA2 ends early"),
        (MEME.replace("MA2", "MA1"), "a second motif with the id MA1"),
        (MEME.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY"), "expected the alphabet ACGT"),
        ("nothing\n", "no motif in this file"),
    ],
)
def test_meme_files_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bad.meme"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_meme(path)


def test_jaspar_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyjaspar")
    motif = parse_motif("MA0139.2")
    assert motif.name == "CTCF"
    assert len(motif) == 15
    # JASPAR's page of MA0139.2: the counts of the first position.
    np.testing.assert_allclose(motif.matrix[0], np.array([281, 49, 449, 134]) / 913, rtol=1e-12)
    assert motif.consensus().text == "GCCACCAGGGGGCGC"
    with pytest.raises(InputError, match="no such matrix"):
        parse_motif("MA9999.1")
    monkeypatch.setitem(__import__("sys").modules, "pyjaspar", None)
    with pytest.raises(MissingProgramError, match="pip install"):
        parse_motif("MA0139.2")


@pytest.mark.parametrize(
    ("motif", "problem"),
    [
        ("GATX", "expected a sequence or IUPAC"),
        ("", "no base|expected a sequence"),
        ("NNN", "no base to embed"),
        ([[0.5, 0.1, 0.1, 0.1]], "sum to 1"),
        ([[1.5, -0.5, 0, 0]], "sum to 1"),
        ([1.0, 2.0], r"\(position, 4\)"),
    ],
)
def test_motifs_that_are_none(motif: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_motif(motif)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two have the name"):
        parse_motifs(["GATA", "GATA"])
    with pytest.raises(InputError, match="at least one"):
        parse_motifs([])


def test_draws_have_the_frequencies_of_the_matrix() -> None:
    n = 4000
    drawn = draw_instances(Motif("m", MATRIX), backgrounds(n), seed=2)
    share = np.stack([(drawn == base).mean(axis=0) for base in range(4)], axis=1)
    np.testing.assert_allclose(share, MATRIX, atol=4 * np.sqrt(0.25 / n))  # four standard errors
    # Positions are independent.
    assert abs(np.corrcoef(drawn[:, 0] == 0, drawn[:, 1] == 0)[0, 1]) < 4 / np.sqrt(n)


def test_draws_depend_on_motif_background_instance_and_seed_alone() -> None:
    motif, codes = Motif("m", MATRIX), backgrounds(50)
    drawn = draw_instances(motif, codes)
    np.testing.assert_array_equal(drawn[[7, 3]], draw_instances(motif, codes[[7, 3]]))
    np.testing.assert_array_equal(drawn, draw_instances(Motif("another name", MATRIX), codes))
    for other in (draw_instances(motif, codes, instance=1), draw_instances(motif, codes, seed=1)):
        assert (drawn != other).any()
    reverse = draw_instances(motif.reverse_complement(), codes)
    np.testing.assert_array_equal(reverse, reverse_complement_codes(drawn))


def test_n_leaves_the_background_as_it_is() -> None:
    motif = parse_motif("CANNTG")
    assert motif.columns.tolist() == [0, 1, 4, 5]
    assert motif.reverse_complement().columns.tolist() == [0, 1, 4, 5]
    gapped = parse_motif("GNT")
    assert decode_codes(draw_instances(gapped.reverse_complement(), backgrounds(1))) == ["AC"]
    assert parse_motif("GANT").reverse_complement().columns.tolist() == [0, 2, 3]


def test_sites_by_a_loop_over_all_places() -> None:
    codes = backgrounds(30)
    codes[4, 6] = 4
    motif = Motif("m", MATRIX)
    found = find_sites(codes, motif, threshold=0.7)
    log_odds = np.log2((MATRIX + 0.01) / 1.04 / 0.25)
    n = 0
    for row, own in enumerate(found):
        expected = []
        for start in range(17):
            window = codes[row, start : start + 4]
            if (window == 4).any():
                continue
            scores = []
            for word in (window, reverse_complement_codes(window)):
                raw = log_odds[np.arange(4), word].sum()
                scores.append((raw - log_odds.min(1).sum()) / (log_odds.max(1) - log_odds.min(1)).sum())
            if max(scores) >= 0.7:
                expected.append((start, bool(scores[1] > scores[0])))
        assert [site[:2] for site in own] == expected
        n += len(expected)
    assert n > 10


def test_sites_of_a_consensus_are_exact() -> None:
    [sites] = find_sites(encode_bases(["TTCAGGTGTTCACCTGAACAGATGNCANNTG"]), parse_motif("CANSTG"))
    assert [site.start for site in sites] == [2, 10, 18]  # CAGATG is on the other strand
