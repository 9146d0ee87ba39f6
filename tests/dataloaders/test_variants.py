"""VariantWindows against whole contigs rewritten by hand and by bcftools, and through Kipoi's commands."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import h5py
import kipoi
import numpy as np
import pandas as pd
import pysam
import pysam.bcftools
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kipoi_tfbind.dataloaders import VariantWindows
from kipoi_tfbind.dna.one_hot import decode_one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.vcf import SKIP_REASONS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "model_zoo" / "TFBind" / "example_data"
FOLDER = ROOT / "dataloaders" / "variants"
FASTA = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"
VCF = EXAMPLES / "variants.vcf.gz"

HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
CONTIG = "".join(np.random.default_rng(5).choice(list("ACGTacgt"), 400))

OTHER = {"A": "C", "C": "A", "G": "T", "T": "G"}


def fasta(folder: Path, text: str = CONTIG, name: str = "20") -> Path:
    path = folder / "genome.fa"
    path.write_text(f">{name}\n{text}\n")
    return path


def vcf(folder: Path, *records: str) -> Path:
    """Records as 'chrom pos id ref alt'."""
    path = folder / "a.vcf"
    path.write_text(HEADER + "".join("\t".join([*r.split(" "), ".", ".", "."]) + "\n" for r in records))
    return path


def everything(loader: VariantWindows, **options: Any) -> tuple[list[str], list[str], pd.DataFrame]:
    """Sequences with REF, sequences with ALT, and the metadata as a table."""
    batches = list(loader.batch_iter(**options))
    sequences = [
        [s for batch in batches for s in decode_one_hot(batch["inputs"][allele])] for allele in ("ref", "alt")
    ]
    tables = [pd.DataFrame(batch["metadata"]["variant"] | batch["metadata"]["ranges"]) for batch in batches]
    return sequences[0], sequences[1], pd.concat(tables, ignore_index=True)


def slow_start(contig: str, start: int, ref: str, alt: str, length: int) -> int:
    """Start of a window on the middle of all places where the change can be written, by trying them all."""
    contig, ref, alt = contig.upper(), ref.upper(), alt.upper()
    rewritten = contig[:start] + alt + contig[start + len(ref) :]
    more, fewer = max(len(alt) - len(ref), 0), max(len(ref) - len(alt), 0)
    places = [
        s
        for s in range(len(contig) - fewer + 1)
        if rewritten[:s] == contig[:s] and rewritten[s + more :] == contig[s + fewer :]
    ]
    if len(alt) == len(ref) or not places:
        low = next(s for s in range(len(contig)) if rewritten[: s + 1] != contig[: s + 1])
        tails = range(1, len(contig))
        tail = next(t for t in tails if rewritten[len(rewritten) - t :] != contig[len(contig) - t :])
        high = len(contig) - tail + 1
    else:
        low, high = min(places), max(places) + fewer
    complement = str.maketrans("ACGT", "TGCA")
    backward = (
        contig[low:high].translate(complement)[::-1],
        rewritten[low : high + more - fewer].translate(complement)[::-1],
        contig[high:][: min(low, len(contig) - high)].translate(complement),
    )
    forward = (
        contig[low:high],
        rewritten[low : high + more - fewer],
        contig[:low][::-1][: min(low, len(contig) - high)],
    )
    up = (low + high - length) % 2 and backward < forward
    return (low + high - length) // 2 + bool(up)


def slow_window(contig: str, start: int, length: int) -> str:
    text = contig.upper()
    return "".join(text[i] if 0 <= i < len(text) else "N" for i in range(start, start + length))


@st.composite
def alleles(draw: st.DrawFn) -> tuple[int, str, str]:
    start = draw(st.integers(1, len(CONTIG) - 15))
    ref = CONTIG[start : start + draw(st.sampled_from([1, 1, 1, 2, 3, 7, 12]))]
    bases = st.text(alphabet="ACGTacgt", min_size=1, max_size=draw(st.sampled_from([1, 2, 12])))
    return start, ref, draw(bases.filter(lambda alt: alt.upper() != ref.upper()))


@settings(max_examples=80, deadline=None)
@given(
    chosen=st.lists(alleles(), min_size=1, max_size=15),
    length=st.integers(24, 120),
    batch_size=st.integers(1, 20),
    anchors=st.sampled_from(["left", "right"]),
)
def test_windows_are_cut_from_the_contig_with_the_allele_in_it(
    tmp_path_factory: pytest.TempPathFactory,
    chosen: list[tuple[int, str, str]],
    length: int,
    batch_size: int,
    anchors: Literal["left", "right"],
) -> None:
    folder = tmp_path_factory.mktemp("random")
    records = [f"chr20 {start + 1} . {ref} {alt}" for start, ref, alt in chosen]
    loader = VariantWindows(
        vcf(folder, *records), fasta(folder), length=length, indel_anchors=anchors, on_ref_mismatch="error"
    )
    ref_windows, alt_windows, table = everything(loader, batch_size=batch_size)
    assert len(loader) == len(chosen)
    for i, (start, ref, alt) in enumerate(chosen):
        first = slow_start(CONTIG, start, ref, alt, length)
        rewritten = CONTIG[:start] + alt + CONTIG[start + len(ref) :]
        assert ref_windows[i] == slow_window(CONTIG, first, length)
        offset = len(alt) - len(ref) if anchors == "right" else 0
        assert alt_windows[i] == slow_window(rewritten, first + offset, length)
        assert table.start[i] == first
        assert (table.status[i] == "padded") == ("N" in ref_windows[i] + alt_windows[i])
    assert table.alt.tolist() == [alt for _, _, alt in chosen]


def test_alternative_windows_equal_those_of_bcftools_consensus(tmp_path: Path) -> None:
    # Position, length of REF, and ALT; "=" stands for the first base of REF.
    cases = [
        (200, 1, "G"),  # SNV
        (150, 4, "="),  # deletion
        (151, 1, "=TTGCA"),  # insertion
        (160, 3, "GGA"),  # multi-nucleotide
        (170, 6, "=AT"),  # deletion with insertion
        (3, 3, "="),  # windows over the ends of the contig
        (395, 4, "="),
        (30, 15, "="),
        (31, 1, "=ACGTACGTACGTACG"),
    ]
    path = fasta(tmp_path, CONTIG.upper())
    length = 44
    for pos, size, alt in cases:
        ref = CONTIG.upper()[pos - 1 : pos - 1 + size]
        alt = alt.replace("=", ref[0])
        assert alt != ref
        source = vcf(tmp_path, f"20 {pos} . {ref} {alt}")
        _, windows, table = everything(VariantWindows(source, path, length=length, indel_anchors="left"))
        packed = str(tmp_path / "one.vcf.gz")
        pysam.tabix_compress(str(source), packed, force=True)
        pysam.tabix_index(packed, preset="vcf", force=True)
        rewritten = "".join(str(pysam.bcftools.consensus("-f", str(path), packed)).split("\n")[1:])
        assert windows == [slow_window(rewritten, int(table.start[0]), length)]


def test_an_snv_is_at_the_middle_and_nothing_else_differs() -> None:
    ref, alt, table = everything(VariantWindows(VCF, FASTA, length=100))
    for i in np.flatnonzero(table.id.str.startswith("ctcf_break")):
        middle = 50 if table.ref[i] in "AC" else 49
        assert [p for p in range(100) if ref[i][p] != alt[i][p]] == [middle]
        assert (ref[i][middle], alt[i][middle]) == (table.ref[i], table.alt[i])
        assert table.pos[i] - 1 == table.start[i] + middle


def test_metadata() -> None:
    loader = VariantWindows(VCF, FASTA, length=101)
    _, _, table = everything(loader)
    assert table.columns.tolist() == [
        "chrom", "pos", "id", "ref", "alt", "status", "chr", "start", "end", "strand",
    ]  # fmt: skip
    assert set(table.chrom) == {"chr20"}
    assert (table.end - table.start == 101).all()
    assert set(table.status) == {"ok"}
    assert table.pos.is_monotonic_increasing
    variant = next(loader.batch_iter(batch_size=4))["metadata"]["variant"]
    assert variant["pos"].dtype.kind == "i"
    assert variant["ref"].dtype.kind == "U"


def test_every_allele_is_scored_or_accounted_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "skipped.tsv"
    loader = VariantWindows(VCF, FASTA, length=100, skipped_file=report)
    _, _, table = everything(loader)
    skipped = pd.read_csv(report, sep="\t")
    with pysam.VariantFile(str(VCF)) as file:
        in_file = Counter((r.pos, r.id, r.ref, alt) for r in file for alt in r.alts or (".",))
    accounted = Counter(zip(table.pos, table.id, table.ref, table.alt, strict=True))
    accounted += Counter(zip(skipped.pos, skipped.id, skipped.ref, skipped.alt, strict=True))
    assert accounted == in_file
    assert len(table) + len(skipped) == loader.n_alleles == 47
    assert loader.skipped == {"symbolic_allele": 1, "spanning_deletion": 1, "breakend": 1}
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "44 of 47 alleles are scored" in told
    assert "1 symbolic_allele" in told
    assert str(report) in told


@pytest.mark.parametrize("way", ["name", "symlink", "hard link"])
def test_an_input_is_not_overwritten_by_the_table(tmp_path: Path, way: str) -> None:
    path, genome = vcf(tmp_path, f"20 9 . {CONTIG[8]} CC"), fasta(tmp_path)
    before = Path(path).read_bytes()
    report = tmp_path / "skipped.tsv"
    if way == "symlink":
        report.symlink_to(path)
    elif way == "hard link":
        report.hardlink_to(path)
    else:
        report = Path(path)
    with pytest.raises(InputError, match=r"is the input vcf_file .*which it would overwrite"):
        VariantWindows(path, genome, 20, skipped_file=report)
    with pytest.raises(InputError, match="is the input fasta_file"):
        VariantWindows(path, genome, 20, skipped_file=genome)
    assert Path(path).read_bytes() == before


def test_a_foreign_file_is_not_overwritten_by_the_table(tmp_path: Path) -> None:
    path, report = vcf(tmp_path, f"20 9 . {CONTIG[8]} CC"), tmp_path / "notes.txt"
    report.write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt: the file exists and is no table of skipped alleles"):
        VariantWindows(path, fasta(tmp_path), 20, skipped_file=report)
    assert report.read_text() == "mine"


def test_nothing_is_told_and_the_table_is_empty_where_all_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "skipped.tsv"
    loader = VariantWindows(vcf(tmp_path, f"20 9 . {CONTIG[8]} CC"), fasta(tmp_path), 20, skipped_file=report)
    assert loader.skipped == {}
    assert report.read_text().count("\n") == 1
    assert capsys.readouterr().err == ""


def test_each_reason_why_an_allele_has_no_row(tmp_path: Path) -> None:
    text = CONTIG.upper()
    text = text[:99] + "N" + text[100:149] + "R" + text[150:]
    base = {pos: text[pos - 1] for pos in range(1, 401)}
    other = {pos: OTHER.get(letter, "A") for pos, letter in base.items()}
    path = tmp_path / "genome.fa"
    path.write_text(f">20\n{text}\n>short\nACGTACGT\n")
    records = {
        f"20 10 . {base[10]} {other[10]}": None,
        f"20 11 . {base[11]} .": "no_alternate_allele",
        f"20 12 . {base[12]} <INS>": "symbolic_allele",
        f"20 13 . {base[13]} {base[13]}[20:9[": "breakend",
        f"20 14 . {base[14]} *": "spanning_deletion",
        f"20 15 . {base[15]} N": "ambiguous_base",
        "20 100 . A G": "ambiguous_base",
        f"20 149 . {base[149]}A {base[149]}": "ambiguous_base",
        f"20 16 . {base[16]} {base[16].lower()}": "same_as_ref",
        "21 16 . A G": "unknown_contig",
        "short 3 . G A": "contig_shorter_than_window",
        "20 401 . A G": "outside_contig",
        "20 0 . N G": "ambiguous_base",
        "20 0 . A G": "outside_contig",
        f"20 400 . {base[400]}A {base[400]}": "outside_contig",
        f"20 30 . {text[29:71]} {base[30]}": "allele_longer_than_window",
        f"20 31 . {base[31]} {base[31]}{'ACGTA' * 5}": "allele_longer_than_window",
        f"20 40 . {other[40]} {base[40]}": "ref_alt_swapped",
        f"20 50 . {base[50]}{other[51]} {other[50]}": "ref_mismatch",
        **{f"20 {pos} . {base[pos]} {other[pos]}": None for pos in range(200, 210)},
    }
    report = tmp_path / "skipped.tsv"
    loader = VariantWindows(vcf(tmp_path, *records), path, length=40, skipped_file=report)
    skipped = pd.read_csv(report, sep="\t", dtype=str, keep_default_na=False)
    found = {f"{r.chrom} {r.pos} . {r.ref} {r.alt}": r.reason for r in skipped.itertuples()}
    assert found == {record: reason for record, reason in records.items() if reason}
    assert set(found.values()) == set(SKIP_REASONS)
    assert len(loader) == 11
    assert sum(loader.skipped.values()) == len(skipped)


def test_status(tmp_path: Path) -> None:
    text = CONTIG.upper()[:200] + "N" + CONTIG.upper()[201:]
    pick = [6, 50, 190, 210, 396]
    records = [f"20 {pos} . {text[pos - 1]} {text[pos - 1]}T" for pos in pick]
    # The right flank that the deletion pulls in holds the N, the reference window does not.
    records.append(f"20 181 . {text[180:186]} {text[180]}")
    loader = VariantWindows(vcf(tmp_path, *records), fasta(tmp_path, text), length=30)
    _, alt, table = everything(loader)
    assert table.status.tolist() == ["padded", "ok", "contains_n", "contains_n", "padded", "contains_n"]
    assert "N" in alt[5]


def test_an_insertion_that_just_fits(tmp_path: Path) -> None:
    """With either flank in place: an insertion takes half of a window."""
    base, after = CONTIG[99].upper(), CONTIG[100].upper()
    unit = OTHER[after] * 9 + OTHER[base]  # cannot slide
    path = fasta(tmp_path)
    fits = vcf(tmp_path, f"20 100 . {base} {base}{unit}")
    expected = {
        "left": CONTIG[90:100].upper() + unit,
        "right": unit + CONTIG[100:110].upper(),
        "both": CONTIG[95:100].upper() + unit + CONTIG[100:105].upper(),
    }
    for anchors, window in expected.items():
        _, alt, _ = everything(VariantWindows(fits, path, length=20, indel_anchors=anchors))  # type: ignore[arg-type]
        assert alt == [window]
    longer = vcf(tmp_path, f"20 100 . {base} {base}{OTHER[after]}{unit}")
    with pytest.raises(InputError, match=r"line 3: REF or ALT does not fit.*1 allele_longer_than_window"):
        VariantWindows(longer, path, length=20)


@pytest.mark.parametrize("length", range(8, 14))
def test_the_longest_deletions(tmp_path: Path, length: int) -> None:
    """All places where a deletion can be written are in its window, whether the length is odd or even."""
    text = CONTIG.upper()
    cases = [(100, text[99 : 99 + n], text[99]) for n in range(2, 20)]
    records = [f"20 {pos} . {ref} {alt}" for pos, ref, alt in cases]
    loader = VariantWindows(vcf(tmp_path, *records), fasta(tmp_path), length=length, indel_anchors="left")
    _, alt, table = everything(loader)
    found = 0
    for _, ref, alt_base in cases:
        rewritten = text[:99] + alt_base + text[99 + len(ref) :]
        first = slow_start(text, 99, ref, alt_base, length)
        gone = len(ref) - 1
        places = [
            s for s in range(60, 140) if rewritten[:s] == text[:s] and rewritten[s:] == text[s + gone :]
        ]
        if first <= min(places) and max(places) + gone <= first + length:
            assert table.ref[found] == ref
            assert alt[found] == rewritten[first : first + length]
            found += 1
    assert found == len(loader) > length // 2


@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 44, 100])
@pytest.mark.parametrize("keep", [1 << 27, 0])
def test_batches_keep_the_order_whatever_their_size_and_the_workers(
    monkeypatch: pytest.MonkeyPatch, num_workers: int, batch_size: int, keep: int
) -> None:
    expected = everything(VariantWindows(VCF, FASTA, length=100), batch_size=44)
    monkeypatch.setattr("kipoi_tfbind.dataloaders.base._BLOCK_BASES", 1000)
    monkeypatch.setattr("kipoi_tfbind.genome.window_reader._KEEP_BASES", keep)
    loader = VariantWindows(VCF, FASTA, length=100)
    found = everything(loader, batch_size=batch_size, num_workers=num_workers)
    assert found[:2] == expected[:2]
    pd.testing.assert_frame_equal(found[2], expected[2])


def test_single_samples_and_load_all() -> None:
    loader = VariantWindows(VCF, FASTA, length=100)
    data = loader.load_all(batch_size=10)
    assert data["inputs"]["alt"].shape == (44, 100, 4)
    for i in (0, 20, -1):
        sample = loader[i]
        np.testing.assert_array_equal(sample["inputs"]["alt"], data["inputs"]["alt"][i])
        assert sample["metadata"]["variant"]["alt"] == data["metadata"]["variant"]["alt"][i]


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        (["21 5 . A C"], {}, r"a\.vcf: line 3: .*genome\.fa: no contig '21'; this FASTA has 20;"),
        (["20 5 . A <DEL>", "20 6 . A *"], {}, r"a\.vcf: line 3: .*none of the 2 alleles.*1 symbolic_allele"),
        (["20 500 . A C"], {}, r"a\.vcf: line 3: the position lies outside the contig"),
        (["20 5 . A C"], {"length": 401}, r"a\.vcf: line 3: the contig is shorter than the window"),
        (["20 5 . A C"], {"length": -4}, "length: expected a positive integer"),
        (["20 5 . A C"], {"on_ref_mismatch": "warn"}, "on_ref_mismatch: expected 'skip' or 'error'"),
        (["20 5 . A C"], {"skipped_file": "absent/x.tsv"}, r"absent/x\.tsv: cannot write"),
        ([], {}, r"a\.vcf: no variants in this file"),
    ],
)
def test_bad_input_is_refused_at_construction(
    tmp_path: Path, records: list[str], options: dict, message: str
) -> None:
    path = fasta(tmp_path, "ACGT" + "A" * 396)
    with pytest.raises(InputError, match=message) as caught:
        VariantWindows(vcf(tmp_path, *records), path, **{"length": 20, **options})
    assert "\n" not in str(caught.value)


class TestRefMismatch:
    def records(self, n_right: int, n_wrong: int) -> list[str]:
        def record(pos: int, right: bool) -> str:
            there = CONTIG[pos - 1].upper()
            ref, alt = (there, OTHER[there]) if right else (OTHER[there], there)
            return f"20 {pos} . {ref} {alt}"

        positions = range(100, 100 + n_right + n_wrong)
        return [record(pos, pos < 100 + n_right) for pos in positions]

    def test_a_few_are_skipped(self, tmp_path: Path) -> None:
        loader = VariantWindows(vcf(tmp_path, *self.records(5, 5)), fasta(tmp_path), length=20)
        assert (len(loader), loader.skipped) == (5, {"ref_alt_swapped": 5})

    def test_more_than_half_mean_another_assembly(self, tmp_path: Path) -> None:
        report = tmp_path / "skipped.tsv"
        with pytest.raises(
            InputError, match=r"a\.vcf: line 8: REF is .* 6 of 11 alleles; .*different assemblies"
        ):
            VariantWindows(vcf(tmp_path, *self.records(5, 6)), fasta(tmp_path), 20, skipped_file=report)
        assert not report.exists()

    def test_one_is_an_error_where_that_was_asked_for(self, tmp_path: Path) -> None:
        source, path = vcf(tmp_path, *self.records(5, 1)), fasta(tmp_path)
        there = CONTIG[104].upper()
        message = (
            rf"line 8: REF is {OTHER[there]} and .*genome\.fa has {there} at 20:105.*1 of 6 alleles.*'skip'"
        )
        with pytest.raises(InputError, match=message):
            VariantWindows(source, path, length=20, on_ref_mismatch="error")

    def test_one_of_one_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"line 3: REF is .* 1 of 1 alleles"):
            VariantWindows(vcf(tmp_path, *self.records(0, 1)), fasta(tmp_path), length=20)


class TestDescription:
    def test_the_folder_describes_the_class_of_the_package(self) -> None:
        described = yaml.safe_load((FOLDER / "dataloader.yaml").read_text())
        args = {name: arg["doc"] for name, arg in described["args"].items()}
        assert args == {name: arg.doc for name, arg in VariantWindows.args.items()}

    def test_the_output_fits_the_schema(self) -> None:
        batch = next(VariantWindows(VCF, FASTA, length=30).batch_iter())
        assert VariantWindows.get_output_schema().compatible_with_batch(batch)

    def test_the_examples_run(self) -> None:
        factory = kipoi.get_dataloader_factory(str(FOLDER), source="dir")
        assert len(factory.init_example()) == 44


MODEL_YAML = """
defined_as: gc_model.CountGC
args: {}
default_dataloader:
  defined_as: kipoi_tfbind.dataloaders.VariantWindows
  default_args: {length: 100}
info:
  authors: [{name: Nobody}]
  doc: The number of G and C in either window
schema:
  inputs:
    ref:
      shape: (100, 4)
      doc: window
    alt:
      shape: (100, 4)
      doc: window
  targets:
    ref:
      shape: ()
      doc: number of G and C
    alt:
      shape: ()
      doc: number of G and C
"""
MODEL = """
from kipoi.model import BaseModel

class CountGC(BaseModel):
    def predict_on_batch(self, x):
        return {allele: x[allele][:, :, 1:3].sum(axis=(1, 2)) for allele in ("ref", "alt")}
"""


@pytest.fixture(scope="module")
def gc_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gc")
    (folder / "model.yaml").write_text(MODEL_YAML)
    (folder / "gc_model.py").write_text(MODEL)
    return folder


class TestKipoiCommands:
    def predict(
        self, kipoi_cli, folder: Path, model: Path, *arguments: str, output: str = "x.tsv", options=()
    ):
        return kipoi_cli(
            "predict", model, "--source=dir", "-m", "-o", output, *options, "--dataloader_args", *arguments,
            cwd=folder, check=False,
        )  # fmt: skip

    @pytest.mark.parametrize("options", [(), ("-n", "2", "--batch_size", "5")])
    def test_predict(self, kipoi_cli, gc_model: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
        arguments = [f"vcf_file={VCF}", f"fasta_file={FASTA}", "skipped_file=skipped.tsv"]
        process = self.predict(kipoi_cli, tmp_path, gc_model, *arguments, options=options)
        assert process.returncode == 0, process.stderr
        assert "dataloader.output_schema is compatible with model.schema" in process.stdout
        assert "44 of 47 alleles are scored" in process.stderr
        found = pd.read_csv(tmp_path / "x.tsv", sep="\t")
        ref, alt, table = everything(VariantWindows(VCF, FASTA, length=100))
        assert found["metadata/variant/id"].tolist() == table.id.tolist()
        assert found["metadata/variant/pos"].tolist() == table.pos.tolist()
        assert found["preds/ref"].tolist() == [s.count("G") + s.count("C") for s in ref]
        assert found["preds/alt"].tolist() == [s.count("G") + s.count("C") for s in alt]
        assert len(pd.read_csv(tmp_path / "skipped.tsv", sep="\t")) == 3

    def test_preproc_and_a_dataloader_by_name(self, kipoi_cli, gc_model: Path, tmp_path: Path) -> None:
        arguments = [f"vcf_file={VCF}", f"fasta_file={FASTA}", "length=100"]
        kipoi_cli(
            "preproc",
            FOLDER,
            "--source=dir",
            "-m",
            "-o",
            "x.h5",
            "--dataloader_args",
            *arguments,
            cwd=tmp_path,
        )
        with h5py.File(tmp_path / "x.h5") as file:
            ref, _, table = everything(VariantWindows(VCF, FASTA, length=100))
            assert decode_one_hot(file["inputs/ref"][:]) == ref
            assert file["metadata/variant/alt"].asstr()[:].tolist() == table.alt.tolist()
        by_name = ("--dataloader", "kipoi_tfbind.dataloaders.VariantWindows")
        process = self.predict(kipoi_cli, tmp_path, gc_model, *arguments, options=by_name)
        assert process.returncode == 0, process.stderr
        assert len(pd.read_csv(tmp_path / "x.tsv", sep="\t")) == 44

    def test_info_and_get_example(self, kipoi_cli, gc_model: Path, tmp_path: Path) -> None:
        shown = kipoi_cli("info", gc_model, "--source=dir", cwd=tmp_path).stdout
        for name in VariantWindows.args:
            assert f"{name}:" in shown
        example = kipoi_cli("get-example", gc_model, "--source=dir", "-o", "example", cwd=tmp_path).stdout
        assert "vcf_file" in example.splitlines()[-1]

    @pytest.mark.parametrize(
        ("records", "message"),
        [
            ([], "a.vcf: no variants in this file"),
            (["21 5 . A C"], "a.vcf: line 3: "),
            (["chr20 150000 . G C"], "a.vcf: line 3: REF is G and "),
            (["chr20 150000 . C X"], "a.vcf: line 3: ALT: "),
        ],
    )
    def test_bad_input_ends_in_one_line_and_no_output(
        self, kipoi_cli, gc_model: Path, tmp_path: Path, records: list[str], message: str
    ) -> None:
        arguments = [f"vcf_file={vcf(tmp_path, *records)}", f"fasta_file={FASTA}"]
        process = self.predict(kipoi_cli, tmp_path, gc_model, *arguments)
        assert process.returncode != 0
        assert message in process.stderr.splitlines()[-1]
        assert "Traceback" not in process.stderr
        assert not (tmp_path / "x.tsv").exists()

    def test_a_truncated_vcf_ends_in_one_line_and_no_output(
        self, kipoi_cli, gc_model: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "cut.vcf.gz"
        path.write_bytes(VCF.read_bytes()[:-100])
        process = self.predict(
            kipoi_cli, tmp_path, gc_model, f"vcf_file={path}", f"fasta_file={FASTA}", output="x.h5"
        )
        assert process.returncode != 0
        assert "cut.vcf.gz: truncated" in process.stderr.splitlines()[-1]
        assert not (tmp_path / "x.h5").exists()


def test_na12878_on_the_real_chromosome() -> None:
    source = EXAMPLES / "NA12878.chr20_1Mb.vcf.gz"
    loader = VariantWindows(source, FASTA, length=500, indel_anchors="left")
    ref, alt, table = everything(loader, batch_size=256)
    with pysam.VariantFile(str(source)) as file:
        expected = [(r.pos, str(r.ref), alt) for r in file for alt in r.alts or (".",)]
    assert loader.skipped == {}
    assert len(loader) == loader.n_alleles == len(expected) == 2049
    assert list(zip(table.pos, table.ref, table.alt, strict=True)) == expected
    chromosome = pysam.FastaFile(str(FASTA)).fetch("chr20") + 500 * "N"
    for i, (pos, ref_allele, alt_allele) in enumerate(expected):
        first = int(table.start[i])
        assert ref[i] == chromosome[first : first + 500]
        left = chromosome[first : pos - 1]
        right = chromosome[pos - 1 + len(ref_allele) : pos + 1000]
        assert alt[i] == (left + alt_allele + right)[:500]
