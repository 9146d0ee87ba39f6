"""Windows and labels: a genome cut into bins, and each bin compared with the peaks of each factor."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.intervals import read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.config import Region, TrainingConfig, WindowsConfig

log = logging.getLogger(__name__)

POSITIVE, NEGATIVE, AMBIGUOUS = 1, 0, -1
_CHUNK = 20_000
# Peaks of a file that are looked up in the FASTA, and the share of them on N that is no accident.
_SAMPLE, _MOST_ON_N = 1000, 0.01


@dataclass(frozen=True)
class LabelledBins:
    """Bins of a genome with a label for each target.

    Attributes
    ----------
    chrom
        Contig of each bin (bin), as the FASTA names it.
    start
        0-based start of each bin (bin).
    bin_length
        Length of all bins in bp.
    labels
        int8 (bin, target): 1 bound, 0 not bound, -1 ambiguous.
    targets
        Names of the targets.
    """

    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    bin_length: int
    labels: NDArray[np.int8]
    targets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start)

    def select(self, which: NDArray | slice) -> LabelledBins:
        """Keep the bins that a mask, index array or slice names."""
        return LabelledBins(
            self.chrom[which], self.start[which], self.bin_length, self.labels[which], self.targets
        )

    def codes(self, genome: Genome, length: int) -> NDArray[np.uint8]:
        """Base codes (bin, position) of windows of `length` bp centred on the bins."""
        return genome.windows(self.chrom.tolist(), self.start - (length - self.bin_length) // 2, length)

    def save(self, path: str | Path) -> None:
        """Write the bins into a file that `load` reads."""
        with whole_file(path) as partial_path:
            np.savez_compressed(partial_path, allow_pickle=False, **vars(self))

    @classmethod
    def load(cls, path: str | Path) -> LabelledBins:
        """Read what `save` wrote."""
        with np.load(path) as kept:
            return cls(
                kept["chrom"],
                kept["start"],
                int(kept["bin_length"]),
                kept["labels"],
                tuple(kept["targets"].tolist()),
            )


def held_out_bins(config: TrainingConfig, genome: Genome, peaks_dir: str | Path, split: str) -> LabelledBins:
    """All bins of the validation or the test regions, without overlap, at their real prevalence.

    Parameters
    ----------
    split
        ``"validation"`` or ``"test"``.

    Raises
    ------
    InputError
        A peak file is missing, unusable, or of another assembly than the FASTA; a region lies outside the
        FASTA; no bin is bound; or, in validation, a target lacks bound or unbound bins.
    MissingProgramError
        bedtools is not installed.
    """
    regions = _in_fasta({"validation": config.validation, "test": config.test}[split], genome)
    bins = _labelled(config, config.targets, genome, peaks_dir, regions, stride=config.windows.bin_length)
    _, n = _composition(bins, genome, config.length)
    bins = bins.select(n <= config.windows.max_n)
    if not (bins.labels == POSITIVE).any():
        raise InputError(
            f"no bin of the {split} regions is bound by any factor; choose regions that carry peaks"
        )
    if split == "validation":
        _check_classes(bins, config, genome, peaks_dir, "the validation regions")
    return bins


def training_bins(config: TrainingConfig, genome: Genome, peaks_dir: str | Path) -> LabelledBins:
    """Bins to train on: every bin bound by any factor, GC-matched negatives and random negatives.

    Labels are those of the targets, then of the auxiliary targets. No window, jitter included, reaches
    into a held-out region. Negatives touch no peak of any factor.

    Raises
    ------
    InputError
        A peak file is missing, unusable, or of another assembly than the FASTA; a contig is not in the
        FASTA; or no bin is bound by a target.
    MissingProgramError
        bedtools is not installed.
    """
    contigs = _contigs(config, genome, peaks_dir)
    # The larger side, where the bin cannot lie exactly in the middle of its window.
    flank = -(-(config.length - config.windows.bin_length) // 2) + config.fit.jitter
    everything = _bed([Region(chrom, 0, genome.lengths[chrom]) for chrom in contigs])
    held_out = _bed(_in_fasta(config.validation + config.test + config.excluded, genome))
    held_out = held_out.slop(b=flank, g={chrom: (0, length) for chrom, length in genome.lengths.items()})
    free = [Region(i.chrom, i.start, i.end) for i in everything.subtract(held_out)]
    if not free:
        raise InputError("nothing is left to train on: the held-out regions cover all contigs")
    bins = _labelled(config, config.trained_targets, genome, peaks_dir, free, stride=config.windows.stride)
    gc, n = _composition(bins, genome, config.length)
    usable = n <= config.windows.max_n
    bins, gc = bins.select(usable), gc[usable]
    bins = bins.select(_choose(bins.labels, gc, config.windows, np.random.default_rng(config.fit.seed)))
    _check_classes(bins, config, genome, peaks_dir, f"the training set ({', '.join(contigs)})")
    bound = (bins.labels == POSITIVE).any(axis=1).sum()
    log.info("training set: %d bins, %d of them bound by a factor", len(bins), bound)
    return bins


def _choose(
    labels: NDArray[np.int8], gc: NDArray[np.float64], config: WindowsConfig, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Indices of the positives, the GC-matched and the random negatives, sorted."""
    positive = np.flatnonzero((labels == POSITIVE).any(axis=1))
    negative = np.flatnonzero((labels == NEGATIVE).all(axis=1))
    if not len(positive):
        raise InputError(
            "no training bin is bound by any factor; do the peak files and the FASTA fit together?"
        )
    percent = np.round(gc * 100).astype(int)
    wanted = np.bincount(percent[positive], minlength=101) * config.gc_matched
    matched = [
        rng.choice(pool, size=min(len(pool), round(number)), replace=False)
        for value, number in enumerate(wanted)
        if len(pool := negative[percent[negative] == value])
    ]
    rest = np.setdiff1d(negative, np.concatenate(matched or [negative[:0]]))
    random = rng.choice(rest, size=min(len(rest), round(len(positive) * config.random)), replace=False)
    return np.sort(np.concatenate([positive, *matched, random]))


def _check_classes(
    bins: LabelledBins, config: TrainingConfig, genome: Genome, peaks_dir: str | Path, where: str
) -> None:
    """Check that every target has bound and unbound bins: without, nothing is learned or chosen for it."""
    for (target, files), labels in zip(config.targets.items(), bins.labels.T, strict=False):
        if not (labels == POSITIVE).any():
            peaks = _peaks(peaks_dir, files, genome).to_dataframe()
            raise InputError(
                f"{target}: no bin of {where} is bound; its {len(peaks)} peaks lie on "
                f"{', '.join(sorted(map(str, peaks['chrom'].unique()))[:5])}; choose regions or contigs with "
                "its peaks, or leave the target out"
            )
        if not (labels == NEGATIVE).any():
            raise InputError(f"{target}: every bin of {where} is bound, or touched by a peak; take more")


def _labelled(
    config: TrainingConfig,
    targets: Mapping[str, Sequence[str]],
    genome: Genome,
    peaks_dir: str | Path,
    regions: Sequence[Region],
    stride: int,
) -> LabelledBins:
    """Cut regions into bins and label them."""
    size = config.windows.bin_length
    starts = [np.arange(r.start, max(r.start, r.end - size + 1), stride) for r in regions]
    table = pd.DataFrame(
        {
            "chrom": np.repeat([r.chrom for r in regions], [len(s) for s in starts]),
            "start": np.concatenate(starts),
        }
    )
    table = table.sort_values(["chrom", "start"], ignore_index=True)
    table["end"], table["index"] = table["start"] + size, table.index
    bins = _bedtools().BedTool.from_dataframe(table)
    labels = np.full((len(table), len(targets)), NEGATIVE, dtype=np.int8)
    share = config.windows.min_overlap
    for column, files in enumerate(targets.values()):
        peaks = _peaks(peaks_dir, files, genome)
        touched = bins.intersect(peaks, u=True, sorted=True)
        bound = touched.intersect(peaks, u=True, f=share, F=share, e=True, sorted=True)
        labels[_indices(touched), column] = AMBIGUOUS
        labels[_indices(bound), column] = POSITIVE
    return LabelledBins(
        table["chrom"].to_numpy(str), table["start"].to_numpy(np.int64), size, labels, tuple(targets)
    )


def _indices(bins: Any) -> NDArray[np.int64]:
    return np.array([int(row[3]) for row in bins], dtype=np.int64)


def _bedtools() -> Any:
    """pybedtools, once it is known that the bedtools program is there."""
    if shutil.which("bedtools") is None:
        raise MissingProgramError(
            "bedtools: not found on the PATH; install it (apt-get install bedtools, or from bioconda)"
        )
    import pybedtools

    return pybedtools


def _bed(regions: Sequence[Region]) -> Any:
    return _bedtools().BedTool([(r.chrom, r.start, r.end) for r in regions]).sort()


def _peaks(peaks_dir: str | Path, files: Sequence[str], genome: Genome) -> Any:
    """Peaks, sorted, under the FASTA's names of the contigs; those of several files merged."""
    tables = []
    for path in (Path(peaks_dir) / name for name in files):
        if not path.exists():
            raise InputError(f"{path}: no such peak file; give the folder of the peak files with --peaks")
        peaks = read_intervals(path, center="midpoint")
        contigs = np.array([_fasta_name(name, genome) for name in peaks.contigs])
        table = pd.DataFrame({"chrom": contigs[peaks.contig], "start": peaks.start, "end": peaks.end})
        _check_assembly(table, path, genome)
        tables.append(table)
    union = _bedtools().BedTool.from_dataframe(pd.concat(tables)).sort()
    return union.merge() if len(files) > 1 else union


def _check_assembly(peaks: pd.DataFrame, path: Path, genome: Genome) -> None:
    """Check that peaks can be of the FASTA's assembly: on its contigs, within their ends, not on N."""
    here = peaks[peaks["chrom"].isin(genome.lengths.keys())]
    if here.empty:
        raise InputError(
            f"{path}: its contigs ({', '.join(sorted(set(peaks['chrom']))[:3])}) are not in {genome.path} "
            f"({', '.join([*genome.lengths][:3])}); give the FASTA of the assembly that the peaks are of"
        )
    middle = (here["start"] + here["end"]) // 2
    beyond = here[middle >= here["chrom"].map(genome.lengths)]
    if len(beyond):
        chrom, start, end = beyond.iloc[0]
        raise InputError(
            f"{path}: the peak {chrom}:{start}-{end} lies beyond the end of {chrom} in {genome.path} "
            f"({genome.lengths[chrom]}); give the FASTA of the assembly that the peaks are of"
        )
    some = np.unique(np.linspace(0, len(here) - 1, _SAMPLE).astype(int))
    bases = genome.windows(here["chrom"].iloc[some].tolist(), middle.iloc[some].to_numpy(), 1)
    if (unknown := int((bases == N_CODE).sum())) > max(2, _MOST_ON_N * len(some)):
        notice(f"{path}: {unknown} of {len(some)} peaks lie on N in {genome.path}; are both of one assembly?")


def _fasta_name(contig: str, genome: Genome) -> str:
    """The FASTA's name of a contig, or the name itself: peaks may lie on contigs that nobody asks for."""
    try:
        return genome.contig(contig)
    except InputError:
        return contig


def _in_fasta(regions: Sequence[Region], genome: Genome) -> list[Region]:
    """Regions under the FASTA's names of their contigs, cut off at the contigs' ends."""
    cut = [Region(name := genome.contig(r.chrom), r.start, min(r.end, genome.lengths[name])) for r in regions]
    for region, asked in zip(cut, regions, strict=True):
        if region.start >= region.end:
            raise InputError(f"region {asked}: beyond the end of the contig, at {region.end}")
    return cut


def _contigs(config: TrainingConfig, genome: Genome, peaks_dir: str | Path) -> list[str]:
    """Contigs to train on, as the FASTA names them."""
    names = set(config.contigs)
    if not names:
        names = {
            peak.chrom
            for files in config.trained_targets.values()
            for peak in _peaks(peaks_dir, files, genome)
        }
    return sorted({genome.contig(name) for name in names})


def _composition(
    bins: LabelledBins, genome: Genome, length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """GC content (of the bases that are known) and share of N of each bin's window, in bounded memory."""
    gc, n = np.empty(len(bins)), np.empty(len(bins))
    for start in range(0, len(bins), _CHUNK):
        rows = slice(start, start + _CHUNK)
        codes = bins.select(rows).codes(genome, length)
        unknown = (codes == N_CODE).sum(axis=1)
        gc[rows] = ((codes == 1) | (codes == 2)).sum(axis=1) / np.maximum(length - unknown, 1)
        n[rows] = unknown / length
    return gc, n
