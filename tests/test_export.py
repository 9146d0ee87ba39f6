"""Exports: read back by other readers, against a slow accumulation base by base."""

from __future__ import annotations

import gzip
import importlib.util
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
import xarray as xr
from click.testing import CliRunner

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.export import export_bedgraph, export_bigwig, export_modisco

LENGTH = 20
CONTIGS = {"20": "".join(np.random.default_rng(0).choice(list("ACGT"), size=300)), "21": "ACGTN" * 20}
WEIGHTS = np.random.default_rng(1).normal(size=(2, LENGTH, 4))
# Overlapping, on both strands, over the ends of a contig, and with N.
SITES = [("chr21", 50, "+"), ("chr20", 100, "+"), ("chr20", 110, "-"), ("chr20", 3, "-"), ("chr20", 298, "+")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    (folder / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in CONTIGS.items()))
    lines = [f"{chrom}\t{p}\t{p + 1}\tsite\t0\t{strand}\n" for chrom, p, strand in SITES]
    (folder / "sites.bed").write_text("".join(lines))
    tfb.save_result(make_result(folder), folder / "ism.nc")
    return folder


def make_result(folder: Path) -> xr.Dataset:
    model = tfb.as_sequence_model(lambda x: np.einsum("nlb,tlb->nt", x, WEIGHTS), targets=["CTCF", "MAX"])
    sequences = tfb.read_sequences(folder / "genome.fa", folder / "sites.bed", length=LENGTH)
    return tfb.in_silico_mutagenesis(model, sequences)


def contributions(ism: xr.Dataset) -> xr.Dataset:
    """A result with contributions of the same numbers: the weights of the bases that are there."""
    hypothetical = np.broadcast_to(WEIGHTS.transpose(1, 2, 0), ism["mutation_effect"].shape)
    dims = ism["mutation_effect"].dims
    return ism.drop_vars("mutation_effect").assign(
        hypothetical_contribution=(dims, hypothetical),
        contribution=(dims, hypothetical * ism["one_hot"].values[..., np.newaxis]),
    )


def slow_track(result: xr.Dataset, target: int) -> dict[tuple[str, int], float]:
    """Contig and 0-based position -> mean score, one base at a time."""
    found = defaultdict(list)
    for row in range(result.sizes["sequence"]):
        one = result.isel(sequence=row, target=target)
        for i in range(LENGTH):
            bases = np.flatnonzero(one["one_hot"].values[i])
            if not len(bases):
                continue
            if "contribution" in result:
                score = WEIGHTS[target, i, bases[0]]
            else:
                others = [b for b in range(4) if b != bases[0]]
                score = WEIGHTS[target, i, bases[0]] - WEIGHTS[target, i, others].mean()
            place = int(one["start"]) + i if one["strand"] == "+" else int(one["end"]) - 1 - i
            found[one["chrom"].item().removeprefix("chr"), place].append(score)
    return {place: float(np.mean(scores)) for place, scores in found.items()}


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("method", ["ism", "contributions"])
def test_bigwig_has_the_mean_score_of_each_base(
    folder: Path, tmp_path: Path, method: str, target: int
) -> None:
    result = tfb.open_result(folder / "ism.nc")
    result = result if method == "ism" else contributions(result)
    export_bigwig(result, tmp_path / "scores.bw", target=target, fasta=folder / "genome.fa")
    expected = slow_track(result, target)
    assert any(place == ("20", 0) for place in expected)  # a window that begins before the contig
    with pyBigWig.open(str(tmp_path / "scores.bw")) as file:
        assert file.chroms() == {name: len(text) for name, text in CONTIGS.items()}
        read = {(name, start): value for name in file.chroms() for start, _, value in file.intervals(name)}
    assert read.keys() == expected.keys()
    # bigWig has float32.
    np.testing.assert_allclose([read[place] for place in expected], list(expected.values()), rtol=1e-6)
    assert os.listdir(tmp_path) == ["scores.bw"]


@pytest.mark.parametrize("name", ["scores.bedgraph", "scores.bedgraph.gz"])
def test_bedgraph_from_the_file_of_a_result(folder: Path, tmp_path: Path, name: str) -> None:
    export_bedgraph(folder / "ism.nc", tmp_path / name, target="MAX")
    content = (tmp_path / name).read_bytes()
    lines = (gzip.decompress(content) if name.endswith(".gz") else content).decode().splitlines()
    rows = [line.split("\t") for line in lines]
    read = {(chrom.removeprefix("chr"), int(start)): float(score) for chrom, start, _, score in rows}
    expected = slow_track(tfb.open_result(folder / "ism.nc"), 1)
    assert read.keys() == expected.keys()
    assert all(int(end) == int(start) + 1 for _, start, end, _ in rows)
    np.testing.assert_allclose([read[place] for place in expected], list(expected.values()), rtol=1e-6)
    assert list(dict.fromkeys(row[0] for row in rows)) == ["chr21", "chr20"]
    chr20 = [int(row[1]) for row in rows if row[0] == "chr20"]
    assert chr20 == sorted(chr20)


def test_contigs_are_named_and_ordered_as_in_the_fasta(folder: Path, tmp_path: Path) -> None:
    export_bedgraph(folder / "ism.nc", tmp_path / "a.bg", fasta=folder / "genome.fa")
    names = [line.split("\t")[0] for line in (tmp_path / "a.bg").read_text().splitlines()]
    assert list(dict.fromkeys(names)) == ["20", "21"]


@pytest.mark.parametrize("method", ["ism", "contributions"])
def test_modisco_gets_hypothetical_scores_unprojected(folder: Path, tmp_path: Path, method: str) -> None:
    result = tfb.open_result(folder / "ism.nc")
    result = result if method == "ism" else contributions(result)
    one_hot, scores = export_modisco(result, tmp_path / "out", target="MAX")
    assert [path.name for path in (one_hot, scores)] == ["out.one_hot.npz", "out.scores.npz"]
    sequences = np.load(one_hot)["arr_0"]
    np.testing.assert_array_equal(sequences, result["one_hot"].values.transpose(0, 2, 1))
    written = np.load(scores)["arr_0"]
    assert written.shape == (len(SITES), 4, LENGTH)
    expected = WEIGHTS[1] - (WEIGHTS[1].mean(axis=1, keepdims=True) if method == "ism" else 0)
    is_base = sequences.any(axis=1)
    for row in range(len(SITES)):
        found = written[row].T[is_base[row]]
        np.testing.assert_allclose(found, expected[is_base[row]], atol=1e-6)  # float32
        assert not written[row].T[~is_base[row]].any()


def test_what_cannot_be_exported_is_refused(folder: Path, tmp_path: Path) -> None:
    result = tfb.open_result(folder / "ism.nc")
    unplaced = result.drop_vars(["chrom", "start", "end", "strand"])
    with pytest.raises(InputError, match=r"have no places in the genome; read them with --fasta"):
        export_bedgraph(unplaced, tmp_path / "a.bedgraph")
    with pytest.raises(InputError, match="none of the name 'U'; it has CTCF, MAX"):
        export_modisco(folder / "ism.nc", tmp_path / "a", target="U")
    with pytest.raises(InputError, match=r"has no score for each base; export one of ism, deepshap"):
        export_bedgraph(result.drop_vars("mutation_effect"), tmp_path / "a.bedgraph")
    with pytest.raises(InputError, match=r"has only some of the positions from 2 to 9"):
        export_modisco(result.isel(position=[2, 3, 9]), tmp_path / "a")
    nowhere = result.assign(one_hot=result["one_hot"] * 0)
    with pytest.raises(InputError, match="no base with a place in the genome; are all of its sequences N"):
        export_bedgraph(nowhere, tmp_path / "a.bedgraph")
    assert os.listdir(tmp_path) == []


def test_another_genome_or_strand_is_refused(folder: Path, tmp_path: Path) -> None:
    result = tfb.open_result(folder / "ism.nc")
    (folder / "short.fa").write_text(">20\nACGT\n>21\nACGT\n")
    with pytest.raises(InputError, match=r"contig 2[01] has 4 bases, and the result a score at"):
        export_bigwig(result, tmp_path / "a.bw", fasta=folder / "short.fa")
    letters = "".join(np.random.default_rng(5).choice(list("ACGT"), size=300))
    (folder / "other.fa").write_text(f">20\n{letters}\n>21\n{CONTIGS['21']}\n")
    with pytest.raises(InputError, match=r"sequence site is not what this FASTA has at 20:91-110, read on"):
        export_bigwig(result, tmp_path / "a.bw", fasta=folder / "other.fa")
    # A loader that gives the strand of an interval and reads the forward strand all the same.
    inner = result.isel(sequence=[1, 2])
    strand = np.where(inner["strand"] == "-", "+", "-")
    with pytest.raises(InputError, match=r"is not what this FASTA has at .*, read on the strand [+-]; use"):
        export_bedgraph(
            inner.assign_coords(strand=("sequence", strand)),
            tmp_path / "a.bedgraph",
            fasta=folder / "genome.fa",
        )
    assert os.listdir(tmp_path) == []
    # A variant is no other genome.
    one_hot = result["one_hot"].values.copy()
    one_hot[1, 10] = np.roll(one_hot[1, 10], 1)
    variant = result.assign(one_hot=(result["one_hot"].dims, one_hot))
    export_bigwig(variant, tmp_path / "a.bw", fasta=folder / "genome.fa")


def test_of_a_file_one_target_is_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    load = xr.Dataset.load

    def recorded(dataset: xr.Dataset) -> xr.Dataset:
        loaded.append(dict(dataset.sizes))
        return load(dataset)

    monkeypatch.setattr(xr.Dataset, "load", recorded)
    monkeypatch.setattr("kipoi_tfbind.export._scores._CHUNK", 2)
    export_modisco(folder / "ism.nc", tmp_path / "parts", target="MAX")
    assert [sizes["sequence"] for sizes in loaded] == [2, 2, 1]
    assert not any("target" in sizes for sizes in loaded)
    with tfb.open_result(folder / "ism.nc", lazy=True) as result:
        export_modisco(result, tmp_path / "lazy", target="MAX")
    monkeypatch.undo()
    export_modisco(tfb.open_result(folder / "ism.nc"), tmp_path / "whole", target="MAX")
    for name in ("one_hot", "scores"):
        expected = np.load(tmp_path / f"whole.{name}.npz")["arr_0"]
        for other in ("parts", "lazy"):
            np.testing.assert_array_equal(np.load(tmp_path / f"{other}.{name}.npz")["arr_0"], expected)


def test_command_chooses_the_format_by_the_name(folder: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        ran = CliRunner().invoke(main, ["export", str(folder / "ism.nc"), *arguments])
        return ran.exit_code, ran.output

    genome = ["--fasta", str(folder / "genome.fa")]
    for name in ("a.bw", "a.bedgraph.gz"):
        assert run("-o", str(tmp_path / name), "--target", "CTCF", *genome) == (0, f"{tmp_path / name}\n")
    code, output = run("-o", str(tmp_path / "b"), "--format", "modisco")
    assert code == 0
    assert output.splitlines() == [str(tmp_path / "b.one_hot.npz"), str(tmp_path / "b.scores.npz")]
    for arguments, message in (
        (["-o", str(tmp_path / "c.txt")], "which format? Give --format"),
        (["-o", str(tmp_path / "c.bw")], "--fasta: bigWig files have the lengths of the contigs"),
        (["-o", str(tmp_path / "no" / "c.bedgraph")], "there is no folder"),
    ):
        code, output = run(*arguments)
        assert (code, output.count("\n")) == (1, 1)
        assert message in output


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("modiscolite") is None, reason="modisco-lite is not installed")
def test_modisco_finds_a_planted_motif(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    motif = "TGACTCAGGC"
    texts = ["".join(rng.choice(list("ACGT"), size=120)) for _ in range(300)]
    texts = [text[:55] + motif + text[55 + len(motif) :] for text in texts]
    kernel = np.eye(4)[["ACGT".index(base) for base in motif]]

    def score(x: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(x, len(motif), axis=1)
        return np.exp(np.einsum("nlbk,kb->nl", windows, kernel) - len(motif) + 2).sum(axis=1)

    model = tfb.as_sequence_model(score, targets=["motif"])
    result = tfb.in_silico_mutagenesis(model, tfb.encode_sequences(texts))
    one_hot, scores = export_modisco(result, tmp_path / "m")
    command: list[str | Path] = [
        Path(sys.executable).with_name("modisco"),
        "motifs",
        "-s",
        one_hot,
        "-a",
        scores,
    ]
    subprocess.run([*command, "-n", "2000", "-w", "100", "-o", tmp_path / "m.h5"], check=True)
    import h5py

    with h5py.File(tmp_path / "m.h5") as file:
        pattern = file["pos_patterns"]["pattern_0"]["sequence"][:]
    found = "".join("ACGT"[i] for i in pattern.argmax(axis=1))
    assert motif in found or "GCCTGAGTCA" in found
