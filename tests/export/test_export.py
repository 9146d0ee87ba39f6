"""Exports: read back by other readers, against a slow accumulation base by base."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pytest
import xarray as xr
from click.testing import CliRunner

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.export import export_bedgraph, export_bigwig, export_modisco
from kipoi_tfbind.export.tracks import genomic_scores

LENGTH = 20
MODISCO = shutil.which(
    "modisco", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
)
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


def linear_model() -> tfb.SequenceModel:
    return tfb.as_sequence_model(lambda x: np.einsum("nlb,tlb->nt", x, WEIGHTS), targets=["CTCF", "MAX"])


def make_result(folder: Path) -> xr.Dataset:
    sequences = tfb.read_sequences(folder / "genome.fa", folder / "sites.bed", length=LENGTH)
    return tfb.in_silico_mutagenesis(linear_model(), sequences)


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
    assert list(dict.fromkeys(row[0] for row in rows)) == ["chr20", "chr21"]
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
    for change in (-1, np.array([0, 1, 0, 0, 0])):
        other = result.assign_coords(end=result["end"] + change)
        with pytest.raises(InputError, match="its intervals are of another length than its sequences"):
            export_bedgraph(other, tmp_path / "a.bedgraph")
    with pytest.raises(InputError, match=r"ism\.nc has none of the name 'U'"):
        export_bedgraph(folder / "ism.nc", tmp_path / "a.bedgraph", target="U")
    with pytest.raises(InputError, match="target: expected an index from 0 to 1, got 2"):
        export_bedgraph(result, tmp_path / "a.bedgraph", target=2)
    with pytest.raises(InputError, match=r"ism\.nc has none of the name 'U'; it has CTCF, MAX"):
        export_modisco(folder / "ism.nc", tmp_path / "a", target="U")
    with pytest.raises(InputError, match=r"has only some of the positions from 2 to 9"):
        export_modisco(result.isel(position=[2, 3, 9]), tmp_path / "a")
    nowhere = result.assign(one_hot=result["one_hot"] * 0)
    with pytest.raises(InputError, match="no base with a place in the genome; are all of its sequences N"):
        export_bedgraph(nowhere, tmp_path / "a.bedgraph")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("method", ["occlusion", "second_order_mutagenesis"])
def test_methods_without_scores_of_bases_are_refused_by_name(
    folder: Path, tmp_path: Path, method: str
) -> None:
    sequences = tfb.read_sequences(folder / "genome.fa", folder / "sites.bed", length=LENGTH)
    options = {"width": 4} if method == "occlusion" else {"positions": [3, 5, 8]}
    result = getattr(tfb, method)(linear_model(), sequences, **options)
    tfb.save_result(result, folder / f"{method}.nc")
    refusal = f"of {method}, which has no score for each base; export a result of ism, deepshap, gradients"
    with pytest.raises(InputError, match=f"^result: {refusal}"):
        export_bedgraph(result, tmp_path / "a.bedgraph")
    with pytest.raises(InputError, match=rf"{method}\.nc: {refusal}"):
        export_bigwig(folder / f"{method}.nc", tmp_path / "a.bw", fasta=folder / "genome.fa")
    with pytest.raises(InputError, match=refusal):
        export_modisco(result, tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_sampled_shapley_has_a_track_and_no_hypothetical_scores(folder: Path, tmp_path: Path) -> None:
    sequences = tfb.read_sequences(folder / "genome.fa", folder / "sites.bed", length=LENGTH)
    result = tfb.sampled_shapley(
        linear_model(), sequences.isel(sequence=[1]), references="zeros", n_permutations=1
    )
    track = genomic_scores(result, target="MAX")["chr20"]
    # Of a linear model against zeros: the weight of the base that is there.
    expected = [WEIGHTS[1, i, "ACGT".index(CONTIGS["20"][90 + i])] for i in range(LENGTH)]
    np.testing.assert_array_equal(track[0], np.arange(90, 110))
    np.testing.assert_allclose(track[1], expected, atol=1e-5)  # float32
    with pytest.raises(InputError, match=r"of sampled_shapley, which has scores of the observed bases only"):
        export_modisco(result, tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_of_some_positions_these_have_a_score(folder: Path) -> None:
    sequences = tfb.read_sequences(folder / "genome.fa", folder / "sites.bed", length=LENGTH)
    for strand, place in (("+", 90 + 5), ("-", 109 - 5)):
        one = sequences.isel(sequence=[1])
        one = one.assign_coords(strand=("sequence", [strand]))
        part = tfb.in_silico_mutagenesis(linear_model(), one, start=5, end=6)
        positions, scores = genomic_scores(part)["chr20"]
        assert positions.tolist() == [place]
        whole = tfb.in_silico_mutagenesis(linear_model(), one)
        effect = whole["mutation_effect"].values[0, 5, :, 0].astype(float)
        np.testing.assert_allclose(scores, [-effect.sum() / 3], rtol=1e-6)


def placed(starts: list[int], chrom: list[str], strand: list[str]) -> xr.Dataset:
    """Contributions of 1, 2, 3, ... in sequences of A, at these places."""
    n = len(starts)
    one_hot = np.zeros((n, LENGTH, 4), dtype=np.float32)
    one_hot[..., 0] = 1
    values = np.arange(1.0, n * LENGTH + 1).reshape(n, LENGTH, 1, 1) * one_hot[..., np.newaxis]
    return xr.Dataset(
        {
            "one_hot": (("sequence", "position", "base"), one_hot),
            "contribution": (("sequence", "position", "base", "target"), values),
        },
        coords={
            "chrom": ("sequence", chrom),
            "start": ("sequence", starts),
            "end": ("sequence", np.array(starts) + LENGTH),
            "strand": ("sequence", strand),
            "position": np.arange(LENGTH),
            "base": list("ACGT"),
            "target": ["t"],
        },
        attrs={"method": "deep_shap"},
    )


def test_many_overlapping_sequences_are_averaged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    n = 200
    starts, strand = rng.integers(0, 400, size=n).tolist(), rng.choice(["+", "-"], size=n).tolist()
    chrom = rng.choice(["chr2", "chr10", "2"], size=n).tolist()
    result = placed(starts, chrom, strand)
    monkeypatch.setattr("kipoi_tfbind.export._pieces.CHUNK", 7)
    monkeypatch.setattr("kipoi_tfbind.export._means._BLOCK", 32)
    monkeypatch.setattr("kipoi_tfbind.export._means._BLOCKS_AT_ONCE", 3)
    # 2 and chr2 are one contig where there is a table to say so, and else two.
    for sizes, own in (({"chr2": 500, "chr10": 500}, {"2": "chr2"}), (None, {})):
        found = defaultdict(list)
        for row in range(n):
            for i in range(LENGTH):
                place = starts[row] + (i if strand[row] == "+" else LENGTH - 1 - i)
                found[own.get(chrom[row], chrom[row]), place].append(1.0 + row * LENGTH + i)
        track = genomic_scores(result, chrom_sizes=sizes)
        assert list(track) == sorted({name for name, _ in found})
        read = {(name, p): s for name in track for p, s in zip(*track[name], strict=True)}
        assert read.keys() == found.keys()
        # Whole numbers: their sums are exact.
        assert all(read[place] == np.sum(scores) / len(scores) for place, scores in found.items())
        assert all((np.diff(positions) > 0).all() for positions, _ in track.values())


def test_bases_outside_the_contig_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = placed([-3, 85], ["chr2", "chr2"], ["+", "-"])
    export_bigwig(result, tmp_path / "a.bw", chrom_sizes={"chr2": 100})
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        read = {start: value for start, _, value in file.intervals("chr2")}
    first = {place: place + 4.0 for place in range(LENGTH - 3)}
    last = {place: 20.0 + (104 - place + 1) for place in range(85, 100)}
    assert read == first | last
    assert "result: bases that are outside their contig are left out: 8\n" in capsys.readouterr().err
    with pytest.raises(InputError, match="chr2 has 90 bases, and most of the result's sequence chr2:86-105"):
        export_bigwig(result, tmp_path / "b.bw", chrom_sizes={"chr2": 90})
    assert os.listdir(tmp_path) == ["a.bw"]


def test_bigwig_on_a_full_disk(folder: Path, tmp_path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from kipoi_tfbind.export import export_bigwig\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "export_bigwig(sys.argv[1], 'a.bw', chrom_sizes={'20': 300, '21': 300})"
    )
    command = [sys.executable, "-c", script, str(folder / "ism.nc")]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "InputError: a.bw: cannot be written" in process.stderr
    assert not list(tmp_path.iterdir())


def test_lengths_of_contigs_from_a_table(folder: Path, tmp_path: Path) -> None:
    export_bigwig(folder / "ism.nc", tmp_path / "fasta.bw", fasta=folder / "genome.fa")
    (tmp_path / "hg.chrom.sizes").write_text("#contig\tlength\n20\t300\n\n21\t100\n")
    ways: list[Any] = [tmp_path / "hg.chrom.sizes", folder / "genome.fa.fai", {"20": 300, "21": 100}]
    for number, sizes in enumerate(ways):
        export_bigwig(folder / "ism.nc", tmp_path / f"{number}.bw", chrom_sizes=sizes)
        assert (tmp_path / f"{number}.bw").read_bytes() == (tmp_path / "fasta.bw").read_bytes()
    (tmp_path / "bad").write_text("20\t300\n21\tlong\n")
    (tmp_path / "a.bed").write_text("20\t100\t300\n")
    (tmp_path / "two").write_text("20\t300\n20\t400\n")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"chrom_sizes": tmp_path / "bad"}, r"bad: line 2: expected a contig and its length"),
        ({"chrom_sizes": tmp_path / "a.bed"}, r"a\.bed: line 1: expected a contig .*, not a BED"),
        ({"chrom_sizes": tmp_path / "two"}, r"two: line 2: 20 has two lengths, 300 and 400"),
        ({"chrom_sizes": {"X": 5}}, r"chrom_sizes: no contig 'chr2[01]'; it has X; use"),
        ({"chrom_sizes": {"20": 5}, "fasta": folder / "genome.fa"}, r"give one of the two"),
        ({}, r"a bigWig file has the lengths of the contigs; give the genome"),
    ]
    for options, problem in refused:
        with pytest.raises(InputError, match=problem):
            export_bigwig(folder / "ism.nc", tmp_path / "no.bw", **options)
    assert not (tmp_path / "no.bw").exists()


def test_another_genome_or_strand_is_refused(folder: Path, tmp_path: Path) -> None:
    result = tfb.open_result(folder / "ism.nc")
    (folder / "short.fa").write_text(">20\nACGT\n>21\nACGT\n")
    with pytest.raises(InputError, match=r"contig 2[01] has 4 bases, and most of the result's"):
        export_bigwig(result, tmp_path / "a.bw", fasta=folder / "short.fa")
    letters = "".join(np.random.default_rng(5).choice(list("ACGT"), size=300))
    (folder / "other.fa").write_text(f">20\n{letters}\n>21\n{CONTIGS['21']}\n")
    with pytest.raises(InputError, match=r"sequence site at 20:91-110 is not what this FASTA has"):
        export_bigwig(result, tmp_path / "a.bw", fasta=folder / "other.fa")
    # A loader that gives the strand of an interval and reads the forward strand all the same.
    inner = result.isel(sequence=[1, 2])
    strand = np.where(inner["strand"] == "-", "+", "-")
    with pytest.raises(InputError, match=r"is not what this FASTA has there, read on the strand [+-];"):
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
    monkeypatch.setattr("kipoi_tfbind.export._pieces.CHUNK", 2)
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
        (["-o", str(tmp_path / "c.bw")], "a bigWig file has the lengths of the contigs; give the genome"),
        (["-o", str(tmp_path / "c.bw.gz")], "which format? Give --format"),
        (["-o", str(tmp_path / "no" / "c.bedgraph")], "there is no folder"),
    ):
        code, output = run(*arguments)
        assert (code, output.count("\n")) == (1, 1)
        assert message in output


@pytest.mark.slow
@pytest.mark.skipif(MODISCO is None, reason="the command modisco of modisco-lite is not installed")
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
    files = ["-s", str(one_hot), "-a", str(scores), "-o", str(tmp_path / "m.h5")]
    subprocess.run([str(MODISCO), "motifs", *files, "-n", "2000", "-w", "100"], check=True)
    import h5py

    with h5py.File(tmp_path / "m.h5") as file:
        pattern = file["pos_patterns"]["pattern_0"]["sequence"][:]
    found = "".join("ACGT"[i] for i in pattern.argmax(axis=1))
    assert motif in found or "GCCTGAGTCA" in found
