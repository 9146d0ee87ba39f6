"""Known motifs that a motif is like; motifs in files, read by others as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import false_discovery_control

from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.motifs.collect import collect_motifs, jaspar_motifs, motif_table
from kipoi_tfbind.motifs.match import match_motifs
from kipoi_tfbind.motifs.meme import write_meme
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif, read_meme
from kipoi_tfbind.results.files import save_result

pytest.importorskip("memelite")
pytest.importorskip("pyjaspar")


@pytest.fixture(scope="module")
def jaspar() -> dict[str, Motif]:
    return jaspar_motifs()


def flat(n: int) -> np.ndarray:
    return np.full((n, 4), 0.25)


def test_shifted_and_reversed_motifs_are_found(jaspar: dict[str, Motif]) -> None:
    ctcf = jaspar["MA0139.2"].matrix
    queries = {
        "as it is": Motif("a", ctcf),
        "reversed": Motif("b", ctcf[::-1, ::-1]),
        "without its first 3": Motif("c", ctcf[3:]),
        "without its last 3, reversed": Motif("d", ctcf[:-3][::-1, ::-1]),
        "4 even columns before": Motif("e", np.concatenate([flat(4), ctcf])),
        "embedded as its reverse": Motif("f", ctcf).reverse_complement(),
        "even": Motif("g", flat(8)),
    }
    found = match_motifs(queries, top=3)
    assert found.sizes == {"motif": 7, "rank": 3}
    best = found.isel(rank=0)
    assert best["match_name"].values.tolist() == ["CTCF"] * 6 + [""]
    assert best["match_orientation"].values.tolist() == ["+", "-", "+", "-", "+", "-", ""]
    # On the strand of the match: the reverse complement of all but the last 3 begins at column 3.
    np.testing.assert_array_equal(best["match_offset"].values, [0, 0, 3, 3, -4, 0, np.nan])
    assert (best["match_q_value"].values[:6] < 1e-10).all()
    assert np.isnan(best["match_p_value"].values[6])
    assert found.attrs["release"] == "JASPAR2024"
    assert found.attrs["collection"] == "CORE"
    assert found.attrs["n_known_motifs"] == len(jaspar)


def test_values_are_memelites(jaspar: dict[str, Motif]) -> None:
    from memelite import tomtom

    known = dict(list(jaspar.items())[:60])
    names = list(known)[:4]
    found = match_motifs({name: known[name] for name in names}, known, top=60, trim=0)
    p = tomtom([known[n].matrix.T.copy() for n in names], [m.matrix.T.copy() for m in known.values()])[0]
    for row, name in enumerate(names):
        order = found["match_id"].values[row].tolist()
        assert order[0] == name
        columns = [list(known).index(identifier) for identifier in order]
        np.testing.assert_allclose(found["match_p_value"].values[row], p[row, columns], rtol=1e-9)
        expected = false_discovery_control(p[row])[columns]
        np.testing.assert_allclose(found["match_q_value"].values[row], expected, rtol=1e-9)


def test_motifs_like_none_have_few_matches(jaspar: dict[str, Motif]) -> None:
    # Columns drawn from all of JASPAR, which is Tomtom's null: at q < 0.05 one in twenty may match.
    rng = np.random.default_rng(1)
    columns = np.concatenate([motif.matrix for motif in jaspar.values()])
    queries = {f"q{i}": Motif(f"q{i}", columns[rng.integers(len(columns), size=12)]) for i in range(200)}
    found = match_motifs(queries, top=1, trim=0)
    assert (found["match_q_value"].values < 0.05).mean() <= 0.05


def test_meme_files_are_read_back_unchanged(tmp_path: Path, jaspar: dict[str, Motif]) -> None:
    from Bio import motifs as biopython
    from memelite.io import read_meme as memelite_reads

    path = tmp_path / "jaspar.meme"
    # Biopython makes counts of the probabilities, as many as there are sites.
    write_meme(jaspar, path, n_sites=dict.fromkeys(jaspar, 10**9))
    # Every digit of what is written.
    for (key, matrix), (name, motif) in zip(memelite_reads(str(path)).items(), jaspar.items(), strict=True):
        assert key == f"{name} {motif.name}"
        np.testing.assert_array_equal(np.asarray(matrix).T, motif.matrix)
    # Rows are scaled to a sum of 1 when they are read: the last digit may change.
    for name, motif in read_meme(path).items():
        np.testing.assert_allclose(motif.matrix, jaspar[name].matrix, rtol=1e-15)
    with path.open() as file:
        theirs = biopython.parse(file, "minimal")
    for other, (name, motif) in zip(theirs, jaspar.items(), strict=True):
        assert other.name.split()[0] == name
        table = np.array([other.counts[base] for base in "ACGT"]).T
        np.testing.assert_allclose(table / table.sum(axis=1, keepdims=True), motif.matrix, atol=1e-6)


def test_what_motifs_are_collected_from(tmp_path: Path) -> None:
    motifs = {"AP-1": parse_motif("TGASTCA", name="AP-1"), "GATA": parse_motif("GATAAG", name="GATA")}
    write_meme(motifs, tmp_path / "two.meme")
    save_result(motif_table(motifs), tmp_path / "two.nc")
    for source in (tmp_path / "two.meme", str(tmp_path / "two.nc"), motifs, motif_table(motifs)):
        found = collect_motifs(source)
        assert {name: motif.text for name, motif in found.items()} == {"AP-1": "TGASTCA", "GATA": "GATAAG"}
    assert list(collect_motifs("TGASTCA")) == ["TGASTCA"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"release": "JASPAR1999"}, "release: expected one of"),
        ({"collection": "NONE"}, "has no motif of vertebrates in the collection 'NONE'"),
        ({"database": {"a": Motif("a", flat(3))}}, "expected at least 25 motifs"),
        ({"top": 0}, "top: expected at least 1"),
        ({"motifs": "nothing.nc"}, "nothing.nc: no such file"),
    ],
)
def test_bad_input(change: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        match_motifs(**{"motifs": ["TGASTCA"], **change})


def test_command(tmp_path: Path) -> None:
    output = tmp_path / "matches.tsv"
    result = CliRunner().invoke(main, ["match", "MA0139.2", "-o", str(output), "--top", "2"])
    assert result.exit_code == 0, result.output
    comment, header, first, second = output.read_text().splitlines()
    assert "release=JASPAR2024" in comment
    assert header.startswith("motif\trank\tmatch_id")
    assert first.split("\t")[:4] == ["CTCF", "1", "MA0139.2", "CTCF"]
    assert second.split("\t")[1] == "2"

    cut = tmp_path / "cut.meme"
    write_meme({"m": parse_motif("GATAAG")}, cut)
    cut.write_text("\n".join(cut.read_text().splitlines()[:-2]))
    other = tmp_path / "other.tsv"
    result = CliRunner().invoke(main, ["match", str(cut), "-o", str(other)])
    assert result.exit_code == 1
    assert "motif m ends early" in result.output
    assert not other.exists()
