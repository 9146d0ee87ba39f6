"""Bins, labels and negatives, against an oracle that compares every bin with every peak in plain Python."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kipoi_tfbind.dna.one_hot import decode_codes
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.training.config import FitConfig, Region, TrainingConfig, WindowsConfig
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins, training_bins

Peak = tuple[str, int, int]

BIN, STRIDE, LENGTH, JITTER = 20, 10, 45, 4
CONTIG_LENGTHS = {"chr1": 3_000, "chr2": 2_000}
VALIDATION = (Region("chr1", 500, 1_000),)
TEST = (Region("chr1", 2_000, 2_500), Region("chr2", 0, 600))
# Takes every negative there is: those without a positive of their GC content are drawn "at random".
EVERYTHING = WindowsConfig(BIN, STRIDE, gc_matched=1e6, random=1e6, max_n=0.2)


def write_fasta(path: Path, contigs: Mapping[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path


def write_peaks(path: Path, peaks: Iterable[Peak]) -> None:
    path.write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in peaks))


def random_sequence(rng: np.random.Generator, length: int) -> str:
    """Bases whose GC content changes along the sequence, and some stretches of N."""
    gc = 0.5 + 0.4 * np.sin(np.arange(length) / 150)
    bases = np.where(rng.random(length) < gc, rng.choice([*"GC"], length), rng.choice([*"AT"], length))
    for start in rng.integers(length, size=length // 300):
        bases[start : start + rng.integers(1, 40)] = "N"
    return "".join(bases)


def random_peaks(rng: np.random.Generator, n: int) -> list[Peak]:
    """Peaks of 1 to 70 bp on a grid of 5 bp, so that shares of exactly one half occur."""
    chroms = rng.choice(list(CONTIG_LENGTHS), n)
    starts = [5 * int(rng.integers((CONTIG_LENGTHS[chrom] - 70) // 5)) for chrom in chroms]
    sizes = rng.choice([1, 5, 10, 15, 20, 30, 40, 70], n)
    return [
        (str(chrom), start, start + int(size))
        for chrom, start, size in zip(chroms, starts, sizes, strict=True)
    ]


def make_config(
    targets: Mapping[str, tuple[str, ...]],
    windows: WindowsConfig | None = None,
    *,
    seed: int = 1,
    length: int = LENGTH,
) -> TrainingConfig:
    return TrainingConfig(
        architecture="motif_cnn",
        hyperparameters={"length": length},
        targets=targets,
        validation=VALIDATION,
        test=TEST,
        windows=windows or WindowsConfig(BIN, STRIDE, max_n=0.2),
        fit=FitConfig(jitter=JITTER, seed=seed),
    )


class World:
    """A random genome with the peaks of two factors, and the oracle on both."""

    def __init__(self, folder: Path, seed: int, *, n_peaks: int = 40) -> None:
        rng = np.random.default_rng(seed)
        self.folder = folder
        self.sequences = {name: random_sequence(rng, length) for name, length in CONTIG_LENGTHS.items()}
        self.fasta = write_fasta(folder / "genome.fa", self.sequences)
        self.files = {name: random_peaks(rng, n_peaks) for name in ("a.bed", "b1.bed", "b2.bed")}
        for name, peaks in self.files.items():
            write_peaks(folder / name, peaks)
        self.targets = {"A": ("a.bed",), "B": ("b1.bed", "b2.bed")}
        self.peaks = {"A": self.files["a.bed"], "B": union(self.files["b1.bed"] + self.files["b2.bed"])}

    @property
    def genome(self) -> Genome:
        return Genome(self.fasta)

    def labels(self, chrom: str, start: int, min_overlap: float) -> tuple[int, ...]:
        return tuple(label(chrom, start, peaks, min_overlap) for peaks in self.peaks.values())

    def window(self, chrom: str, start: int, length: int = LENGTH) -> str:
        first = start - (length - BIN) // 2
        padded = "N" * length + self.sequences[chrom] + "N" * length
        return padded[first + length : first + 2 * length]


def union(peaks: list[Peak]) -> list[Peak]:
    """Peaks that overlap or touch become one."""
    merged: list[Peak] = []
    for chrom, start, end in sorted(peaks):
        if merged and merged[-1][0] == chrom and start <= merged[-1][2]:
            merged[-1] = (chrom, merged[-1][1], max(end, merged[-1][2]))
        else:
            merged.append((chrom, start, end))
    return merged


def label(chrom: str, start: int, peaks: list[Peak], min_overlap: float) -> int:
    """1 where a peak covers enough of the bin, or the bin enough of a peak; -1 where one only touches."""
    result = 0
    for peak_chrom, peak_start, peak_end in peaks:
        shared = min(start + BIN, peak_end) - max(start, peak_start)
        if peak_chrom != chrom or shared <= 0:
            continue
        if shared >= min_overlap * BIN or shared >= min_overlap * (peak_end - peak_start):
            return 1
        result = -1
    return result


def as_dict(bins: LabelledBins) -> dict[tuple[str, int], tuple[int, ...]]:
    rows = zip(bins.chrom.tolist(), bins.start.tolist(), map(tuple, bins.labels.tolist()), strict=True)
    table = {(chrom, start): labels for chrom, start, labels in rows}
    assert len(table) == len(bins), "a bin occurs twice"
    return table


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, seed=0)


@pytest.mark.needs_bedtools
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("min_overlap", [0.5, 0.3, 1.0])
def test_held_out_bins_are_all_of_the_region_with_the_oracles_labels(
    tmp_path: Path, seed: int, min_overlap: float
) -> None:
    world = World(tmp_path, seed)
    config = make_config(world.targets, WindowsConfig(BIN, STRIDE, min_overlap=min_overlap, max_n=0.2))
    bins = held_out_bins(config, world.genome, world.folder, "test")
    expected = {
        (region.chrom, start): world.labels(region.chrom, start, min_overlap)
        for region in TEST
        for start in range(region.start, region.end - BIN + 1, BIN)
        if world.window(region.chrom, start).count("N") <= 0.2 * LENGTH
    }
    assert as_dict(bins) == expected
    assert set(bins.labels.ravel().tolist()) >= {0, 1}
    assert bins.targets == ("A", "B")


@pytest.mark.needs_bedtools
@pytest.mark.parametrize(
    ("peak", "expected"),
    [
        ((10, 20), [1, 0]),  # all of the peak
        ((10, 200), [1, 1]),  # half of the first bin, all of the second
        ((11, 200), [-1, 1]),
        ((0, 30), [1, 1]),  # half of the second bin
        ((0, 29), [1, -1]),
        ((12, 28), [1, 1]),  # half of the peak in either
        ((12, 30), [-1, 1]),
        ((39, 40), [0, 1]),
        ((40, 60), [0, 0]),  # end to end is no overlap
    ],
)
def test_half_of_the_bin_or_half_of_the_peak(
    tmp_path: Path, peak: tuple[int, int], expected: list[int]
) -> None:
    write_peaks(tmp_path / "a.bed", [("c", *peak), ("c", 900, 950)])
    genome = Genome(write_fasta(tmp_path / "genome.fa", {"c": "ACGT" * 300}))
    config = replace(make_config({"A": ("a.bed",)}, length=BIN), test=(Region("c", 0, 1_000),))
    bins = held_out_bins(replace(config, validation=(Region("c", 1_000, 1_200),)), genome, tmp_path, "test")
    assert bins.labels[:2, 0].tolist() == expected


@pytest.mark.needs_bedtools
@pytest.mark.parametrize("length", [LENGTH, LENGTH + 1, BIN])
def test_training_takes_every_usable_bin_outside_the_held_out_regions(world: World, length: int) -> None:
    config = make_config(world.targets, EVERYTHING, length=length)
    found = as_dict(training_bins(config, world.genome, world.folder))
    flank = -(-(length - BIN) // 2) + JITTER
    expected = {}
    for chrom, contig_length in CONTIG_LENGTHS.items():
        # What is left between the held-out regions, each with its flanks, is cut from its own start.
        held_out = sorted((r.start - flank, r.end + flank) for r in VALIDATION + TEST if r.chrom == chrom)
        edges = [0, *(edge for region in held_out for edge in region), contig_length]
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            for start in range(max(first, 0), last - BIN + 1, STRIDE):
                labels = world.labels(chrom, start, 0.5)
                usable = world.window(chrom, start, length).count("N") <= 0.2 * length
                if usable and (1 in labels or set(labels) == {0}):
                    expected[chrom, start] = labels
    assert found == expected
    assert any(1 in labels for labels in expected.values())


@pytest.mark.needs_bedtools
@pytest.mark.parametrize("length", [LENGTH, LENGTH + 1])
def test_no_training_window_reaches_into_a_held_out_region(world: World, length: int) -> None:
    bins = training_bins(make_config(world.targets, EVERYTHING, length=length), world.genome, world.folder)
    widest = length + 2 * JITTER
    first = bins.start - (widest - BIN) // 2
    for region in VALIDATION + TEST:
        inside = (bins.chrom == region.chrom) & (first < region.end) & (first + widest > region.start)
        assert not inside.any()
    # The flanks are no wider than they must be: some window ends within one stride of a region.
    gaps = [r.start - (first + widest)[bins.chrom == r.chrom] for r in VALIDATION + TEST]
    assert min(gap[gap >= 0].min(initial=99) for gap in gaps) < STRIDE


@pytest.mark.needs_bedtools
def test_held_out_regions_may_lie_on_contigs_that_are_not_trained_on(world: World) -> None:
    config = replace(make_config(world.targets), contigs=("chr1",), validation=(Region("chr2", 900, 1_500),))
    assert set(training_bins(config, world.genome, world.folder).chrom) == {"chr1"}
    assert set(held_out_bins(config, world.genome, world.folder, "validation").chrom) == {"chr2"}


@pytest.mark.needs_bedtools
def test_negatives_touch_no_peak(tmp_path: Path) -> None:
    world = World(tmp_path, seed=3, n_peaks=12)
    found = as_dict(training_bins(make_config(world.targets), world.genome, world.folder))
    negatives = [key for key, labels in found.items() if 1 not in labels]
    assert len(negatives) > 20
    for chrom, start in negatives:
        assert world.labels(chrom, start, 0.5) == (0, 0)


@pytest.mark.needs_bedtools
def test_gc_matched_negatives_follow_the_positives(tmp_path: Path) -> None:
    world = World(tmp_path, seed=4, n_peaks=10)
    everything = as_dict(training_bins(make_config(world.targets, EVERYTHING), world.genome, tmp_path))
    twofold = WindowsConfig(BIN, STRIDE, gc_matched=2, random=0, max_n=0.2)
    matched = as_dict(training_bins(make_config(world.targets, twofold), world.genome, tmp_path))

    def percent(key: tuple[str, int]) -> int:
        window = world.window(*key).replace("N", "")
        return round(100 * sum(map(window.count, "GC")) / len(window))

    def histogram(table: dict, bound: bool) -> Counter[int]:
        return Counter(percent(key) for key, labels in table.items() if (1 in labels) == bound)

    positives, available = histogram(everything, True), histogram(everything, False)
    assert histogram(matched, True) == positives
    expected = {gc: min(2 * n, available[gc]) for gc, n in positives.items()}
    assert histogram(matched, False) == Counter({gc: n for gc, n in expected.items() if n})
    assert sum(expected.values()) > len(positives)


@pytest.mark.needs_bedtools
def test_number_of_random_negatives(tmp_path: Path) -> None:
    world = World(tmp_path, seed=5, n_peaks=8)
    windows = WindowsConfig(BIN, STRIDE, gc_matched=0, random=1.5)
    bins = training_bins(make_config(world.targets, windows), world.genome, tmp_path)
    bound = (bins.labels == 1).any(axis=1)
    assert (~bound).sum() == round(1.5 * bound.sum())


@pytest.mark.needs_bedtools
def test_seed_decides_what_is_drawn(tmp_path: Path) -> None:
    world = World(tmp_path, seed=6, n_peaks=8)
    first, again, other = (
        as_dict(training_bins(make_config(world.targets, seed=seed), world.genome, tmp_path))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert {k for k, v in first.items() if 1 in v} == {k for k, v in other.items() if 1 in v}


@pytest.mark.needs_bedtools
def test_contigs_of_another_naming_are_the_same_contigs(tmp_path: Path) -> None:
    world = World(tmp_path, seed=7)
    plain = tmp_path / "plain"
    plain.mkdir()
    short = write_fasta(plain / "genome.fa", {k.removeprefix("chr"): v for k, v in world.sequences.items()})
    # The FASTA says 1 and 2; the peaks say chr1 and chr2, and the configuration both.
    config = replace(make_config(world.targets), contigs=("1", "chr2"), validation=(Region("1", 500, 1_000),))
    for kind in ("validation", "test"):
        expected = held_out_bins(make_config(world.targets), world.genome, tmp_path, kind)
        found = held_out_bins(config, Genome(short), tmp_path, kind)
        assert as_dict(found) == {(c.removeprefix("chr"), s): v for (c, s), v in as_dict(expected).items()}
    wanted = as_dict(training_bins(make_config(world.targets), world.genome, tmp_path))
    training = training_bins(config, Genome(short), tmp_path)
    assert as_dict(training) == {(c.removeprefix("chr"), s): v for (c, s), v in wanted.items()}


@pytest.mark.needs_bedtools
def test_peaks_on_contigs_that_nobody_asks_for_do_not_matter(world: World) -> None:
    config = replace(make_config(world.targets), contigs=("chr1", "chr2"))
    before = as_dict(training_bins(config, world.genome, world.folder))
    write_peaks(world.folder / "a.bed", [*world.files["a.bed"], ("chrUn_1", 5, 500)])
    assert as_dict(training_bins(config, world.genome, world.folder)) == before
    with pytest.raises(InputError, match="no contig 'chrUn_1'"):
        training_bins(replace(config, contigs=()), world.genome, world.folder)


@pytest.mark.needs_bedtools
def test_codes_are_the_windows_around_the_bins(world: World) -> None:
    bins = held_out_bins(make_config(world.targets), world.genome, world.folder, "test")
    some = bins.select(slice(None, None, 7))
    expected = [world.window(chrom, start) for chrom, start in zip(some.chrom, some.start, strict=True)]
    assert decode_codes(some.codes(world.genome, LENGTH)) == expected


@pytest.mark.needs_bedtools
def test_missing_peak_file_is_named(world: World) -> None:
    (world.folder / "b2.bed").unlink()
    with pytest.raises(InputError, match=r"b2\.bed: no such peak file; .*--peaks"):
        training_bins(make_config(world.targets), world.genome, world.folder)


@pytest.mark.needs_bedtools
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"chr1\t10\n", "line 1: expected at least 3 columns"),
        (b"chr1\t10\t5\n", "line 1: expected 0 <= start <= end"),
        (gzip.compress(b"chr1\t10\t50\n" * 2_000, mtime=0)[:-20], "truncated or corrupted"),
        (b"", "the file is empty"),
    ],
)
def test_unusable_peak_file_is_named(world: World, content: bytes, message: str) -> None:
    (world.folder / "a.bed").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.bed: {message}"):
        held_out_bins(make_config(world.targets), world.genome, world.folder, "test")


def test_bedtools_that_is_not_installed_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(world.folder))
    for make in (
        lambda: training_bins(make_config(world.targets), world.genome, world.folder),
        lambda: held_out_bins(make_config(world.targets), world.genome, world.folder, "test"),
    ):
        with pytest.raises(MissingProgramError, match="bedtools: not found on the PATH; install it"):
            make()


@pytest.mark.needs_bedtools
@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Region("chr9", 0, 100), "no contig 'chr9'"),
        (Region("chr2", 5_000, 6_000), "region chr2:5000-6000: beyond the end of the contig, at 2000"),
    ],
)
def test_region_outside_the_fasta_is_refused(world: World, region: Region, message: str) -> None:
    config = replace(make_config(world.targets), test=(region,))
    with pytest.raises(InputError, match=message):
        training_bins(config, world.genome, world.folder)
    with pytest.raises(InputError, match=message):
        held_out_bins(config, world.genome, world.folder, "test")


@pytest.mark.needs_bedtools
def test_regions_without_a_bound_bin_are_refused(world: World) -> None:
    write_peaks(world.folder / "a.bed", [("chr2", 1_900, 1_950)])
    config = make_config({"A": ("a.bed",)})
    with pytest.raises(InputError, match="no bin of the validation regions is bound"):
        held_out_bins(config, world.genome, world.folder, "validation")
    with pytest.raises(InputError, match="no training bin is bound by any factor"):
        training_bins(replace(config, contigs=("chr1",)), world.genome, world.folder)


@pytest.mark.needs_bedtools
def test_held_out_regions_that_leave_nothing_to_train_on(world: World) -> None:
    config = replace(make_config(world.targets), contigs=("chr2",), test=(Region("chr2", 0, 2_000),))
    with pytest.raises(InputError, match="nothing is left to train on"):
        training_bins(config, world.genome, world.folder)


@pytest.mark.needs_bedtools
def test_excluded_regions_neither_train_nor_test(world: World) -> None:
    config = make_config(world.targets, EVERYTHING)
    excluded = replace(config, excluded=(Region("chr2", 1_000, 1_500),))
    before, found = (as_dict(training_bins(c, world.genome, world.folder)) for c in (config, excluded))
    flank = -(-(LENGTH - BIN) // 2) + JITTER
    near = {key for key in before if key[0] == "chr2" and 1_000 - flank - BIN < key[1] < 1_500 + flank}
    assert near
    assert not near & set(found)
    # Behind the region bins are cut from its end on.
    far = {key for key in before if key[0] == "chr1" or key[1] < 1_000 - flank - BIN}
    assert far <= set(found)
    held_out = (as_dict(held_out_bins(c, world.genome, world.folder, "test")) for c in (config, excluded))
    assert next(held_out) == next(held_out)


@pytest.mark.needs_bedtools
def test_target_that_lacks_a_class_is_refused_early(world: World) -> None:
    # All peaks of one target lie outside of the validation region, then outside of what trains.
    write_peaks(world.folder / "a.bed", [("chr2", 1_900, 1_950), ("chr2", 1_700, 1_750)])
    config = make_config(world.targets)
    with pytest.raises(
        InputError, match=r"^A: no bin of the validation regions is bound; its 2 peaks lie on chr2; "
    ):
        held_out_bins(config, world.genome, world.folder, "validation")
    with pytest.raises(
        InputError, match=r"^A: no bin of the training set \(chr1\) is bound; its 2 peaks lie on chr2"
    ):
        training_bins(replace(config, contigs=("chr1",)), world.genome, world.folder)
    # Evaluation has a check, and a message, of its own.
    assert len(held_out_bins(config, world.genome, world.folder, "test"))
    write_peaks(world.folder / "a.bed", [("chr1", 0, 1_900), ("chr1", 2_600, 2_700)])
    with pytest.raises(InputError, match=r"^A: every bin of the validation regions is bound"):
        held_out_bins(config, world.genome, world.folder, "validation")


@pytest.mark.needs_bedtools
def test_peaks_and_fasta_of_two_assemblies_are_told_apart(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(make_config(world.targets), contigs=("chr1", "chr2"))
    write_peaks(world.folder / "a.bed", [*world.files["a.bed"], ("chr2", 1_990, 2_020)])
    with pytest.raises(
        InputError, match=r"a\.bed: the peak chr2:1990-2020 lies beyond the end of chr2 in .* \(2000\); "
    ):
        training_bins(config, world.genome, world.folder)
    write_peaks(world.folder / "a.bed", [("chrI", 10, 20), ("chrII", 30, 40)])
    with pytest.raises(
        InputError, match=r"a\.bed: its contigs \(chrI, chrII\) are not in .*genome\.fa \(chr1, chr2\); "
    ):
        training_bins(config, world.genome, world.folder)
    config = make_config({"A": ("a.bed",)})
    known = [("chr1", s, s + 1) for s in range(0, 3_000) if world.sequences["chr1"][s] != "N"]
    unknown = [("chr1", s, s + 1) for s in range(0, 3_000) if world.sequences["chr1"][s] == "N"]
    capsys.readouterr()
    for peaks, said in ((known[::3], False), (known[::3] + unknown[:30], True)):
        write_peaks(world.folder / "a.bed", sorted(peaks))
        held_out_bins(config, world.genome, world.folder, "test")
        assert ("peaks lie on N in" in capsys.readouterr().err) is said
