"""Files of variant scores: every byte of the input kept, numbers that bcftools reads, interrupted runs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pysam.bcftools
import pytest

from kipoi_tfbind import open_result, variant_effects
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.variants.evaluate import VariantOptions
from kipoi_tfbind.interpret.variants.write import write_variant_effects
from kipoi_tfbind.results.annotated_vcf import without_keys
from tests.genome.test_changes import CONTIG, random_records
from tests.interpret.variants.test_variant_effects import FASTA, NA12878, model_of_numpy, write_fasta

BASE = CONTIG[299]
OTHER = next(b for b in "ACGT" if b != BASE)


def odd_vcf(path: Path) -> Path:
    """A VCF with all that a program might change: samples, odd numbers, CRLF-free text, filters, blanks."""
    records = sorted(random_records(60, seed=21))
    header = [
        "##fileformat=VCFv4.2",
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth, ""quoted""">',
        f"##contig=<ID=20,length={len(CONTIG)}>",
        '##FILTER=<ID=q10,Description="low">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">',
        "##ALT=<ID=DEL,Description=deletion>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS 2",
    ]
    lines = [
        f"20\t{pos}\trs{i};x{i}\t{ref}\t{alt}\t{'1e+02' if i % 2 else '050.00'}\tq10\tDP=007;AF=1.0e-3\t"
        "GT\t0|1\t./."
        for i, (pos, ref, alt) in enumerate(records)
    ]
    lines += [
        f"20\t3900\t.\t{CONTIG[3899]}\t<DEL>,*\t.\t.\t.\tGT\t0/1\t1/1",
        f"20\t3901\t.\t{CONTIG[3900]}\t{CONTIG[3900]}[20:9[\t.\tPASS\tDP=1\tGT\t0/1\t1/1",
        f"20\t3902\t.\t{CONTIG[3901]}\t.\t.\tPASS\tDP=1\tGT\t0/1\t1/1",
    ]
    path.write_text("\n".join([*header, *lines]) + "\n")
    return path


def restored(path: Path) -> bytes:
    """The bytes of an annotated VCF without what was added."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        with pysam.BGZFile(str(path), "rb", None) as file:
            data = file.read()
    return b"".join(without_keys(io.BytesIO(data), "TFB"))


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("fasta") / "a.fa")


# For processes of their own; one position of each base of a motif counts.
MODEL = """
import sys, time
import numpy as np
import kipoi_tfbind.interpret.variants.write as w
from kipoi_tfbind import as_sequence_model
def counts(x):
    return np.stack([x[:, ::3, 1].sum(axis=1), x[:, 9:37, 2].sum(axis=1), x[:, :, 0].sum(axis=1)], axis=1)
model = as_sequence_model(counts, targets=["a", "b", "c"], length=64)
def write(source, fasta, *outputs, **more):
    return w.write_variant_effects(model, source, fasta, outputs, **more)
"""


def run(script: str, *arguments: Any, **more: Any) -> subprocess.CompletedProcess[Any]:
    command = [sys.executable, "-c", MODEL + script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, **more)


def write(source: Any, fasta: Path, *outputs: Path | str, **more: Any) -> Any:
    return write_variant_effects(model_of_numpy(), source, fasta, outputs, **more)


@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz"])
def test_every_byte_of_the_input_is_kept(tmp_path: Path, fasta: Path, suffix: str) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    out = tmp_path / f"out{suffix}"
    done = write(source, fasta, out)
    assert restored(out) == source.read_bytes()
    assert done.tallies["alleles"] == 64
    assert done.reasons == {
        "symbolic_allele": 1,
        "spanning_deletion": 1,
        "breakend": 1,
        "no_alternate_allele": 1,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["in.vcf", out.name, *([f"{out.name}.tbi"] if suffix.endswith("gz") else [])]
    )


def test_windows_line_ends_and_a_last_line_without_end(tmp_path: Path, fasta: Path) -> None:
    header = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    text = header + f"20\t300\t.\t{BASE}\t{OTHER}\t.\t.\tA=1\n20\t300\t.\t{BASE}\t{OTHER}\t.\t.\t."
    source = tmp_path / "in.vcf"
    for data in (text, text.replace("\n", "\r\n")):
        source.write_bytes(data.encode())
        write(source, fasta, tmp_path / "out.vcf")
        assert restored(tmp_path / "out.vcf") == data.encode()


def test_bcftools_reads_the_keys_as_numbers(tmp_path: Path, fasta: Path) -> None:
    source, out = odd_vcf(tmp_path / "in.vcf"), tmp_path / "out.vcf.gz"
    write(source, fasta, out, scores=["signal_difference", "window_spread", "largest"])
    expected = variant_effects(model_of_numpy(), source, fasta)
    text = str(pysam.bcftools.query("-f", "%POS\\t%TFB_DIFF_b\\t%TFB_STATUS\\n", str(out)))
    rows = [line.split("\t") for line in text.splitlines()]
    values = [float(v) if v != "." else np.nan for _, texts, _ in rows for v in texts.split(",")]
    ok = expected["alt"].values != "."
    np.testing.assert_allclose(values[: ok.sum()], expected["signal_difference"].values[: ok.sum(), 1], 1e-5)
    strong = pysam.bcftools.view("-H", "-i", "abs(TFB_DIFF_b)>2", str(out))
    assert len(str(strong).splitlines()) == (np.abs(expected["signal_difference"].values[:, 1]) > 2).sum() > 0
    one_place = pysam.bcftools.view("-H", "-r", f"20:{rows[3][0]}-{rows[3][0]}", str(out))
    assert str(one_place).split("\t")[1] == rows[3][0]
    header = str(pysam.bcftools.view("-h", str(out)))
    assert "##TFB_variants=<" in header
    for fact in ('model="pooled_motifs"', 'window="64"', 'fasta="a.fa"', "model_hash="):
        assert fact in header
    assert "ID=TFB_DIFF_b,Number=A,Type=Float" in header


def test_na12878_byte_for_byte_and_read_by_bcftools(tmp_path: Path) -> None:
    out = tmp_path / "out.vcf.gz"
    model = model_of_numpy(400)
    done = write_variant_effects(model, NA12878, FASTA, [out], scores=["signal_difference"])
    with pysam.BGZFile(str(NA12878), "rb", None) as file:
        assert restored(out) == file.read()
    assert done.tallies["scored"] == done.tallies["alleles"] == 2049
    text = str(pysam.bcftools.query("-f", "[%TFB_DIFF_a]%INFO/TFB_DIFF_a\\n", str(out)))
    assert len(text.replace(",", "\n").split()) == 2049


def test_several_outputs_have_the_same_numbers(tmp_path: Path, fasta: Path) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    paths = [tmp_path / f"out.{s}" for s in ("vcf", "tsv", "parquet", "nc", "tsv.gz")]
    write(source, fasta, *paths, scores=["signal_difference", "largest"])
    expected = variant_effects(model_of_numpy(), source, fasta)
    text = pd.read_csv(paths[1], sep="\t", na_values=".", dtype={"chrom": str})
    parquet = pd.read_parquet(paths[2])
    result = open_result(paths[3])
    assert text.columns.tolist() == parquet.columns.tolist()
    assert pd.read_csv(paths[4], sep="\t", na_values=".", dtype={"chrom": str}).equals(text)
    for i, target in enumerate("abc"):
        column = f"signal_difference:{target}"
        values = expected["signal_difference"].values[:, i]
        np.testing.assert_array_equal(parquet[column], values)
        np.testing.assert_array_equal(result["signal_difference"].values[:, i], values)
        np.testing.assert_allclose(text[column], values, rtol=1e-5)
    assert result["status"].values.tolist() == expected["status"].values.tolist() == text["status"].tolist()
    assert result["largest_target"].values[0] == expected["largest_target"].values[0]
    assert result.attrs["method"] == "variant_effects"
    assert set(result.coords) >= {"chrom", "pos", "ref", "alt", "status", "target"}


def test_bcf_and_pipes(tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    text = source.read_text().replace('Depth, ""quoted""', "Depth").replace("S 2", "S2")
    source.write_text(text)
    bcf = str(tmp_path / "in.bcf")
    pysam.bcftools.view("-O", "b", "-o", bcf, str(source), catch_stdout=False)
    write(bcf, fasta, tmp_path / "b.vcf", scores=["signal_difference"])
    write(source, fasta, tmp_path / "a.vcf", scores=["signal_difference"])
    query = "%POS %REF %ALT %TFB_DIFF_a %TFB_DIFF_c\\n"
    one, other = (str(pysam.bcftools.query("-f", query, str(tmp_path / f"{n}.vcf"))) for n in "ab")
    assert one == other
    script = "write(sys.argv[1], sys.argv[2], sys.argv[3], scores=['signal_difference'])"
    run(script, source, fasta, tmp_path / "a.vcf", check=True)
    packed = tmp_path / "in.vcf.gz"
    pysam.tabix_compress(str(source), str(packed), force=True)
    for given in (source, packed):
        with open(given, "rb") as file:
            process = run(script, "-", fasta, "-", stdin=file, check=True)
        expected = (tmp_path / "a.vcf").read_bytes()
        assert process.stdout.replace(b'vcf="standard input"', b'vcf="in.vcf"') == expected
    with open(packed, "rb") as file:
        cut = file.read()[:-28]
    process = run(script, "-", fasta, "-", input=cut)
    assert process.returncode != 0
    assert b"end-of-file block is missing" in process.stderr


# Copies of one process that has imported everything: a process of its own for each run would take its time
# with that alone.
SLOW = """
import json, os, traceback
w.BLOCK = 7
fast = counts
def counts(x):
    time.sleep(0.02)
    return fast(x)
model = as_sequence_model(counts, targets=["a", "b", "c"], length=64)
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            write(*json.loads(line))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Copies:
    """Copies of a process that write outputs, slowly, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", MODEL + SLOW],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._told() == "ready"

    def start(self, *paths: Path) -> int:
        """Begin a run; its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(path) for path in paths]) + "\n")
        self._process.stdin.flush()
        return int(self._told())

    def end(self) -> int:
        """Wait for the run; 0 if it is complete."""
        return int(self._told())

    def _told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    found = Copies()
    yield found
    found._process.kill()
    found._process.wait()


def test_killed_at_random_and_the_same_bytes(tmp_path: Path, fasta: Path, copies: Copies) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    names = ("out.vcf.gz", "out.tsv", "out.nc", "out.parquet")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    begun = time.time()
    copies.start(source, fasta, *(whole / name for name in names))
    assert copies.end() == 0
    duration = time.time() - begun
    rng = np.random.default_rng(6)
    kills = 0
    for _ in range(60):
        process = copies.start(source, fasta, *(broken / name for name in names))
        if kills < 10:
            time.sleep(float(rng.uniform(0, duration / 3)))
            with suppress(ProcessLookupError):  # where it was done before
                os.kill(process, signal.SIGKILL)
        ended = copies.end()
        kills += ended == signal.SIGKILL
        if not ended:
            if kills == 10:
                break
            for name in names:  # too soon: once more from the beginning
                (broken / name).unlink()
    assert kills == 10
    for name in (*names, "out.vcf.gz.tbi"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted(p.name for p in broken.iterdir()) == sorted([*names, "out.vcf.gz.tbi"])


def test_two_processes_do_not_write_one_output(tmp_path: Path, fasta: Path, copies: Copies) -> None:
    source, out, other = odd_vcf(tmp_path / "in.vcf"), tmp_path / "out.vcf", tmp_path / "out.tsv"
    process = copies.start(source, fasta, out)
    while not (tmp_path / "out.vcf.partial" / "state.json").exists():
        time.sleep(0.002)
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(InputError, match=r"out\.vcf: another process is writing this output"):
        write(source, fasta, other, out)
    assert not (tmp_path / "out.tsv.partial").exists()
    os.kill(process, signal.SIGCONT)
    assert copies.end() == 0
    assert restored(out) == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf", "out.vcf"]
    write(source, fasta, other, out)


def test_an_interrupted_run_goes_on_only_with_the_same(tmp_path: Path, fasta: Path) -> None:
    source, out = odd_vcf(tmp_path / "in.vcf"), tmp_path / "out.vcf"

    def stop(self: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kipoi_tfbind.results.variant_files.VariantFiles.finish", stop)
        with pytest.raises(KeyboardInterrupt):
            write(source, fasta, out)
    assert not out.exists()
    with pytest.raises(InputError, match=r"an interrupted run of other options.*shifts"):
        write(source, fasta, out, options=VariantOptions(shifts=1))
    text = source.read_text()
    source.write_text(text.replace("q10\t", "PASS\t"))
    with pytest.raises(InputError, match="is not the file that an interrupted run has begun with"):
        write(source, fasta, out)
    source.write_text(text)
    write(source, fasta, out)
    assert restored(out) == source.read_bytes()


HEADER_LINE = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
GOOD = f"20\t300\t.\t{BASE}\t{OTHER}\t.\t.\t.\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD, r"in\.vcf: line 1: expected the header line '#CHROM"),
        ("", r"in\.vcf: the file is empty"),
        (HEADER_LINE + "20\t300\n", r"in\.vcf: line 2: expected 8 columns"),
        (HEADER_LINE + GOOD.replace("300", "x"), r"in\.vcf: line 2: POS: expected an integer"),
        (
            HEADER_LINE + GOOD + GOOD.replace("300", "299"),
            r"line 3: 20:299 comes after 20:300; .*sort",
        ),
        (HEADER_LINE + GOOD + GOOD.replace("20\t", "21\t"), r"line 3: .*no contig '21'.*skip-missing"),
        (
            HEADER_LINE + GOOD.replace("300", "301"),
            r"line 2: REF is . and .*a\.fa has .*different assem",
        ),
        ("##INFO=<ID=TFB_X,Number=1,Type=Float,Description=x>\n" + HEADER_LINE, "begin with TFB_ already"),
    ],
)
def test_bad_input_ends_in_one_line_and_no_file(tmp_path: Path, fasta: Path, text: str, message: str) -> None:
    source, out = tmp_path / "in.vcf", tmp_path / "out.vcf.gz"
    if "different" in message:
        text = text.replace(f"\t{BASE}\t", f"\t{next(b for b in 'ACGT' if b != CONTIG[300])}\t")
    source.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        write(source, fasta, out)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf"]


def test_a_bad_line_far_down_leaves_nothing(
    tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kipoi_tfbind.interpret.variants.write.BLOCK", 1)
    source = tmp_path / "in.vcf"
    source.write_text(HEADER_LINE + 5 * GOOD + "20\t300\n")
    with pytest.raises(InputError, match="line 7: expected 8 columns"):
        write(source, fasta, tmp_path / "out.vcf.gz", tmp_path / "out.tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.vcf"]


def test_bad_outputs(tmp_path: Path, fasta: Path) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    for outputs, message in (
        ([tmp_path / "absent" / "out.vcf"], "there is no folder"),
        ([tmp_path / "out.vcf", tmp_path / "x" / ".." / "out.vcf"], "is given twice"),
        ([tmp_path / "out.bam"], "expected a name that ends in one of"),
        ([], "expected at least one"),
    ):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            write(source, fasta, *outputs)


def test_a_truncated_bgzf(tmp_path: Path, fasta: Path) -> None:
    source, packed = odd_vcf(tmp_path / "in.vcf"), tmp_path / "in.vcf.gz"
    pysam.tabix_compress(str(source), str(packed), force=True)
    packed.write_bytes(packed.read_bytes()[:-28])
    with pytest.raises(InputError, match=r"in\.vcf\.gz: truncated"):
        write(packed, fasta, tmp_path / "out.vcf")


def test_an_old_index_is_told_of(tmp_path: Path, fasta: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, packed = odd_vcf(tmp_path / "in.vcf"), tmp_path / "in.vcf.gz"
    pysam.tabix_compress(str(source), str(packed), force=True)
    (tmp_path / "in.vcf.gz.tbi").write_bytes(b"")
    os.utime(tmp_path / "in.vcf.gz.tbi", (1, 1))
    write(packed, fasta, tmp_path / "out.vcf")
    told = capsys.readouterr().err
    assert "in.vcf.gz.tbi is older than its file" in told
    assert told.count("\n") == 1


def test_a_disk_that_is_full(tmp_path: Path, fasta: Path) -> None:
    source, out = odd_vcf(tmp_path / "in.vcf"), tmp_path / "out.vcf"
    script = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "write(*sys.argv[1:])"
    )
    process = run(script, source, fasta, out, text=True)
    assert "out.vcf: cannot be written (File too large); what is done is kept" in process.stderr
    assert not out.exists()
    run("write(*sys.argv[1:])", source, fasta, out, check=True)
    assert restored(out) == source.read_bytes()


def test_an_empty_vcf_has_empty_outputs(tmp_path: Path, fasta: Path) -> None:
    source = tmp_path / "in.vcf"
    source.write_text("##fileformat=VCFv4.3\n" + HEADER_LINE)
    outputs = [tmp_path / f"out.{s}" for s in ("vcf.gz", "tsv", "parquet", "nc")]
    write(source, fasta, *outputs)
    assert restored(outputs[0]) == source.read_bytes()
    assert len(pd.read_parquet(outputs[2])) == 0
    assert open_result(outputs[3]).sizes["allele"] == 0


def test_memory_does_not_grow(tmp_path: Path, fasta: Path) -> None:
    """Ten times as many records take no more memory than the tenth, beyond what Python itself takes."""
    records = random_records(200, seed=2)
    used = []
    for n in (5_000, 50_000):
        source = tmp_path / f"{n}.vcf"
        lines = (f"20\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for i in range(n // 200) for p, r, a in records)
        source.write_text("##fileformat=VCFv4.3\n" + HEADER_LINE + "".join(lines))
        script = (
            "import resource\nwrite(*sys.argv[1:]); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        outputs = tmp_path / "out.vcf", tmp_path / "out.parquet"
        process = run(script, source, fasta, *outputs, text=True, check=True)
        used.append(int(process.stdout))
    assert used[1] < used[0] + 60_000  # kB
