"""Seqlets: the rate of false ones, no direction, their places."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis, occlusion, read_sequences
from kipoi_tfbind.cli import main
from kipoi_tfbind.dna.one_hot import decode_codes, one_hot, reverse_complement_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.export import export_bed
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.interpret._segments import _maximal_segments, p_values, q_values, segments
from kipoi_tfbind.interpret.find_seqlets import find_seqlets
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.results.files import save_result
from kipoi_tfbind.sequences.shuffled import shuffled_sequences
from tests.planted import Planted, labelled, plant, reversed_result

MOTIFS = {
    name: parse_motif(text, name=name)
    for name, text in {
        "CTCF": "CCASYAGRKGGC",
        "AP1": "VTGASTCAB",
        "HNF4A": "RGGNCAAAGKYCA",
        "NRF1": "YGCGCAYGCGC",
    }.items()
}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(MOTIFS)


def by_definition(units: np.ndarray) -> list[tuple[int, int]]:
    """Maximal segments as Ruzzo and Tompa define them, of all segments."""
    total = np.concatenate([[0], np.cumsum(units)])
    pairs = [(i, j) for i in range(len(units)) for j in range(i + 1, len(units) + 1)]
    good = {
        (i, j)
        for i, j in pairs
        if total[j] > total[i]
        and all(
            total[b] - total[a] < total[j] - total[i]
            for a, b in pairs
            if i <= a and b <= j and (a, b) != (i, j)
        )
    }
    return sorted((i, j) for i, j in good if not any(a <= i and j <= b and (a, b) != (i, j) for a, b in good))


def test_segments_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        units = rng.integers(-3, 4, size=rng.integers(1, 13))
        _, start, end, total = _maximal_segments(units[np.newaxis], np.ones((1, len(units)), dtype=bool), 1)
        assert list(zip(start.tolist(), end.tolist(), strict=True)) == by_definition(units)
        assert [units[a:b].sum() for a, b in zip(start, end, strict=True)] == total.tolist()


def test_no_segment_has_an_n_and_none_may_be_there() -> None:
    track = np.array([[2, np.nan, 2, 2, 0]], dtype=np.float32)
    sequence, start, end, excess = segments(track, 1.0, 1.0)
    assert (sequence.tolist(), start.tolist(), end.tolist()) == ([0, 0], [0, 2], [1, 4])
    np.testing.assert_allclose(excess, [1, 2])
    assert len(segments(np.zeros((2, 5), dtype=np.float32), 1.0, 1.0)[0]) == 0


def test_p_and_q_values_by_counting() -> None:
    rng = np.random.default_rng(0)
    scores, null = rng.integers(0, 20, size=30).astype(float), rng.integers(0, 15, size=50).astype(float)
    p = p_values(scores, null)
    assert p.tolist() == [(1 + (null >= score).sum()) / 51 for score in scores]
    assert p_values(scores, null, 500).tolist() == [(1 + (null >= score).sum()) / 501 for score in scores]
    q = q_values(p, 40)
    expected = [min(1, min(40 * other / (p <= other).sum() for other in p if other >= own)) for own in p]
    np.testing.assert_allclose(q, expected)


def test_rate_of_false_seqlets() -> None:
    # A mean over draws: the rate of one draw lies to either side of it.
    rates: dict[float, list[float]] = {0.05: [], 0.1: [], 0.2: []}
    found = dict.fromkeys(rates, 0)
    for seed in range(4):
        planted = plant(MOTIFS, seed=seed)
        seqlets = find_seqlets(planted.result, planted.null, fdr=0.2)
        mask = planted.is_motif
        places = (seqlets[f"seqlet_{name}"].values for name in ("sequence", "start", "end"))
        is_true = np.array([mask[row, start:end].any() for row, start, end in zip(*places, strict=True)])
        for level, of_level in rates.items():
            kept = seqlets["seqlet_q_value"].values <= level
            of_level.append(1 - is_true[kept].mean())
            found[level] += int(kept.sum())
    for level, of_level in rates.items():
        assert np.mean(of_level) <= level
    assert found[0.05] >= 100


def test_no_seqlets_where_there_is_only_noise() -> None:
    planted = plant(MOTIFS, each=0)
    assert find_seqlets(planted.result, planted.null, fdr=0.05).sizes["seqlet"] <= 2


def test_reversed_sequences_have_the_reversed_seqlets(planted: Planted) -> None:
    length = planted.result.sizes["position"]
    forward = find_seqlets(planted.result, planted.null)
    backward = find_seqlets(reversed_result(planted.result), reversed_result(planted.null))
    columns = ["sequence", "start", "end", "score", "p_value", "q_value"]
    mine, other = (
        each[[f"seqlet_{name}" for name in columns]].to_dataframe().set_axis(columns, axis=1)
        for each in (forward, backward)
    )
    other["start"], other["end"] = length - other["end"], length - other["start"]
    other = other.sort_values(["sequence", "start"]).reset_index(drop=True)
    assert len(mine) > 50
    np.testing.assert_allclose(mine.to_numpy(float), other.to_numpy(float), rtol=1e-12)
    assert forward["seqlet_bases"].values.tolist() != backward["seqlet_bases"].values.tolist()


def test_negative_contributions_are_seqlets_too(planted: Planted) -> None:
    minus = [each.assign(contribution=-each["contribution"]) for each in (planted.result, planted.null)]
    forward, negative = find_seqlets(planted.result, planted.null), find_seqlets(*minus)
    np.testing.assert_array_equal(forward["seqlet_start"].values, negative["seqlet_start"].values)
    np.testing.assert_array_equal(forward["seqlet_score"].values, -negative["seqlet_score"].values)


def test_any_method_with_contributions() -> None:
    site = one_hot(["TGACTCA"])[0]

    def best_match(x: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(x, site.shape, axis=(1, 2))
        return (windows * site).sum(axis=(-2, -1)).max(axis=(1, 2)) ** 3

    model = as_sequence_model(best_match, targets=["AP-1"])
    sequences = encode_sequences(["CCGTTGTGACTCACCTTCGCATCC"], ids=["a"])
    null = shuffled_sequences(sequences, 40)
    for method in (in_silico_mutagenesis, lambda m, s: occlusion(m, s, width=1, stride=1)):
        found = find_seqlets(method(model, sequences), method(model, null), fdr=0.5)
        assert (found["seqlet_start"].values.tolist(), found["seqlet_end"].values.tolist()) == ([6], [13])
        assert found["seqlet_bases"].values.tolist() == ["TGACTCA"]
        assert found["seqlet_sequence_id"].values.tolist() == ["a"]


def genome_and_peaks(folder: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(3)
    text = "".join(rng.choice(list("ACGT"), size=3000))
    for start in range(100, 2900, 200):
        site = "TGACTCATT" if start % 400 == 100 else "AATGAGTCA"
        text = text[:start] + site + text[start + 9 :]
    (folder / "genome.fa").write_text(f">20\n{text}\n")
    lines = [
        f"chr20\t{start - 60}\t{start + 90}\tpeak{i}\t0\t{'+-.'[i % 3]}\t1\t1\t1\t{60 + i}\n"
        for i, start in enumerate(range(100, 2900, 200))
    ]
    (folder / "peaks.narrowPeak").write_text("".join(lines))
    return folder / "genome.fa", folder / "peaks.narrowPeak"


def toy(sequences: xr.Dataset) -> xr.Dataset:
    """Contributions of the sites in these sequences, on either strand."""
    codes = np.where(
        sequences["one_hot"].values.any(axis=-1), sequences["one_hot"].values.argmax(axis=-1), 4
    ).astype(np.uint8)
    scores = np.random.default_rng(0).normal(scale=0.01, size=codes.shape)
    for row, text in enumerate(decode_codes(codes)):
        for site in ("TGACTCATT", "AATGAGTCA"):
            at = text.find(site)
            if at >= 0:
                scores[row, at : at + 9] += 1
    places = {name: values for name, values in sequences.coords.items() if values.dims == ("sequence",)}
    return labelled(codes, scores).drop_vars("id").assign_coords(places)


def test_narrow_peaks_in_bed_out(tmp_path: Path) -> None:
    fasta, peaks = genome_and_peaks(tmp_path)
    sequences = read_sequences(fasta, peaks, length=120)
    assert set(sequences["strand"].values) == {"+", "-", "*"}
    result = toy(sequences)
    save_result(result, tmp_path / "result.nc")
    save_result(toy(shuffled_sequences(sequences, 4)), tmp_path / "null.nc")
    output = tmp_path / "seqlets.bed"
    run = CliRunner().invoke(
        main,
        [
            "seqlets",
            str(tmp_path / "result.nc"),
            "--null",
            str(tmp_path / "null.nc"),
            "-o",
            str(output),
            "--fasta",
            str(fasta),
        ],
    )
    assert run.exit_code == 0, run.output
    rows = [line.split("\t") for line in output.read_text().splitlines()[1:]]
    assert len(rows) >= 14
    assert {row[5] for row in rows} == {"+", "-"}
    genome = Genome(fasta)
    sites = 0
    for chrom, start, end, name, score, strand, *_ in rows:
        codes = genome.windows([chrom], np.array([int(start)]), int(end) - int(start))
        bases = decode_codes(reverse_complement_codes(codes) if strand == "-" else codes)[0]
        assert name in ("seqlet+", "seqlet-")
        assert 0 <= int(score) <= 1000
        sites += "TGACTCATT" in bases or "AATGAGTCA" in bases
    assert sites == 14
    found = find_seqlets(result, tmp_path / "null.nc")
    for row in range(found.sizes["seqlet"]):
        here = found.isel(seqlet=row)
        length = int(here["seqlet_chrom_end"] - here["seqlet_chrom_start"])
        codes = genome.windows(["20"], here["seqlet_chrom_start"].values[np.newaxis], length)
        text = decode_codes(reverse_complement_codes(codes) if here["seqlet_strand"] == "-" else codes)[0]
        assert text == here["seqlet_bases"].item()
    other = tmp_path / "other.fa"
    other.write_text(">20\n" + "ACGT" * 800 + "\n")
    with pytest.raises(InputError, match="it has other bases than the sequences"):
        export_bed(found, tmp_path / "wrong.bed", fasta=other)
    assert not (tmp_path / "wrong.bed").exists()


def test_bad_input(tmp_path: Path, planted: Planted) -> None:
    result, null = planted.result, planted.null
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"result": result.drop_vars("contribution")}, "which has no contributions"),
        ({"null": result}, "has the very sequences that are tested"),
        ({"null": null.assign_attrs(method="gradients")}, "of the same model and method"),
        ({"null": null.assign(contribution=0 * null["contribution"])}, "all of its contributions are 0"),
        ({"target": "z"}, "target: result has no 'z'; it has y"),
        ({"fdr": 0}, "fdr, baseline, min_length"),
    )
    for change, problem in changes:
        with pytest.raises(InputError, match=problem):
            find_seqlets(**{"result": result, "null": null, **change})
    save_result(result, tmp_path / "result.nc")
    save_result(null, tmp_path / "null.nc")
    output = tmp_path / "seqlets.bed"
    arguments = [
        "seqlets",
        str(tmp_path / "result.nc"),
        "--null",
        str(tmp_path / "null.nc"),
        "-o",
        str(output),
    ]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 1
    assert "no places in the genome" in run.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["null.nc", "result.nc"]


def test_shuffles_as_a_file(tmp_path: Path, planted: Planted) -> None:
    from kipoi_tfbind import read_fasta_sequences

    save_result(planted.result, tmp_path / "result.nc")
    arguments = ["shuffle", str(tmp_path / "result.nc"), "-n", "2", "-o", str(tmp_path / "null.fa")]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0, run.output
    written = read_fasta_sequences(tmp_path / "null.fa")
    expected = shuffled_sequences(planted.result, 2)
    np.testing.assert_array_equal(written["one_hot"].values, expected["one_hot"].values)


@pytest.mark.slow
def test_ten_thousand_sequences_in_ten_seconds() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=(10_000, 1000)).astype(np.uint8)
    result = labelled(codes, rng.laplace(size=codes.shape))
    null = labelled(codes[:, ::-1], rng.laplace(size=codes.shape))
    find_seqlets(result.isel(sequence=slice(5)), null.isel(sequence=slice(5)))  # compiled once
    began = time.process_time()  # of this process: what else the machine does is not counted
    find_seqlets(result, null)
    assert time.process_time() - began < 10
