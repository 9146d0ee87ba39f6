"""Configuration of a training run, read from a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.text_files import MAX_DIGITS
from kipoi_tfbind.training.entries import (
    check_known,
    files_of_targets,
    mapping,
    read_yaml,
    section,
    texts,
    weights,
)
from kipoi_tfbind.training.options import AugmentConfig, RegulariseConfig

# Names of targets and of entries become column labels, file names and cells of Kipoi's tables.
NAME = re.compile(r"[A-Za-z][\w.+-]*", re.ASCII)
NAME_RULE = "a letter, then letters, digits and _ . + - only"


@dataclass(frozen=True)
class Region:
    """Part of a contig, 0-based half-open."""

    chrom: str
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``"chr20:0-6,000,000"``.

        Examples
        --------
        >>> Region.parse("chr20:0-6,000,000")
        Region(chrom='chr20', start=0, end=6000000)
        """
        match = re.fullmatch(r"(\S+):(\d[\d,]*)-(\d[\d,]*)", str(text))
        if match is None:
            raise InputError(f"region {text!r}: expected CONTIG:START-END, 0-based and half-open")
        numbers = [number.replace(",", "") for number in match.groups()[1:]]
        if max(map(len, numbers)) > MAX_DIGITS:
            raise InputError(f"region {text!r}: expected positions in a genome")
        start, end = map(int, numbers)
        if start >= end:
            raise InputError(f"region {text!r}: the start must lie before the end")
        return cls(match[1], start, end)

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start}-{self.end}"

    def overlaps(self, other: Region) -> bool:
        """Tell whether the two share a base."""
        return self.chrom == other.chrom and self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class WindowsConfig:
    """How windows are cut from the genome and labelled.

    Attributes
    ----------
    bin_length
        Length in bp of the bins that carry the labels; a window is centred on its bin.
    stride
        Distance in bp between the bins of the training set; held-out bins do not overlap.
    min_overlap
        Share of the bin, or of the peak, that must be covered for a positive. Bins that touch a
        peak with less than that are ambiguous for its factor, in training and in evaluation.
    gc_matched, random
        Negatives per bin that is positive for any factor: matched to the positives' GC content, and
        drawn uniformly.
    shuffled
        Further negatives: dinucleotide shuffles of windows whose bin is bound by any factor, per such
        bin. They have the composition of bound windows and none of their motifs.
    max_n
        Largest share of N in a window.
    """

    bin_length: int = 200
    stride: int = 100
    min_overlap: float = 0.5
    gc_matched: float = 1.0
    random: float = 1.0
    shuffled: float = 0.0
    max_n: float = 0.05


@dataclass(frozen=True)
class FitConfig:
    """How the model is fitted.

    Attributes
    ----------
    epochs
        Epochs of the cosine decay of the learning rate from its first value to zero.
    batch_size, learning_rate, weight_decay
        Of AdamW.
    jitter
        Largest shift in bp of a training window, drawn anew in every epoch.
    auxiliary_weight
        Weight in the loss of each auxiliary target; targets have 1 on average.
    balance
        Power, from 0 to 1, of inverse prevalence in the weight of a target: 0 weighs all alike.
    head_epochs
        Epochs after the others in which only the last layer is trained, to choose an epoch for each target.
    seed
        Of everything that is drawn.
    """

    epochs: int = 15
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    jitter: int = 50
    auxiliary_weight: float = 0.2
    balance: float = 0.0
    head_epochs: int = 0
    seed: int = 1


@dataclass(frozen=True)
class TrainingConfig:
    """A training run: architecture, targets, held-out regions, windows and fit.

    Attributes
    ----------
    title
        One line for the model card: what is predicted, in which cells.
    trained_on
        One line for the model card: data, assembly, accession.
    architecture
        Name of a function of :mod:`kipoi_tfbind.architectures`.
    hyperparameters
        Its arguments, `length` among them; `n_targets` follows from the targets.
    targets
        Target name -> names of its peak files; several files make one target, their union.
    validation, test
        Held-out regions; everything else on the contigs trains.
    excluded
        Regions that neither train nor test.
    contigs
        Contigs to train on; all that carry peaks when empty.
    motifs
        Target name -> JASPAR matrix id of the motif baseline.
    motif_filters
        JASPAR matrix ids that the first filters of the first layer start from; they are trained further,
        as far as `motif_anchor` of `regularise` lets them.
    target_weights
        Target name -> weight in the loss, 1 where none is given.
    auxiliary
        Further targets, as `targets`, that help to train the layers that all share (the same factors in
        other cells, say); the model that is kept does not predict them.
    augment, regularise
        Training options; all are off where nothing is said.
    """

    architecture: str
    hyperparameters: Mapping[str, Any]
    targets: Mapping[str, tuple[str, ...]]
    validation: tuple[Region, ...]
    test: tuple[Region, ...]
    contigs: tuple[str, ...] = ()
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    motifs: Mapping[str, str] = field(default_factory=dict)
    motif_filters: tuple[str, ...] = ()
    target_weights: Mapping[str, float] = field(default_factory=dict)
    auxiliary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    excluded: tuple[Region, ...] = ()
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    regularise: RegulariseConfig = field(default_factory=RegulariseConfig)
    title: str = ""
    trained_on: str = ""

    @property
    def length(self) -> int:
        """Window length in bp."""
        return self.hyperparameters["length"]

    @property
    def target_names(self) -> list[str]:
        """Names of the targets, in the order of the model's outputs."""
        return list(self.targets)

    @property
    def trained_targets(self) -> dict[str, tuple[str, ...]]:
        """Targets and auxiliary targets, in the order of the outputs in training."""
        return {**self.targets, **self.auxiliary}

    @property
    def augmentation(self) -> AugmentConfig:
        """Augmentations; of either strand where the architecture leaves the strands to training."""
        if self.hyperparameters.get("strands") == "augmentation" and not self.augment.reverse_complement:
            return replace(self.augment, reverse_complement=0.5)
        return self.augment

    @classmethod
    def from_yaml(cls, path: str | Path) -> TrainingConfig:
        """Read and check a configuration.

        Raises
        ------
        InputError
            If the file is missing, is not YAML, or has an entry that is missing, unknown or unusable.
        """
        entries = read_yaml(path)
        try:
            return cls.from_entries(entries)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def from_entries(cls, entries: Mapping[str, Any]) -> TrainingConfig:
        """Check the entries of a configuration; raises `InputError` as `from_yaml`."""
        check_known(cls, entries)
        for key in ("architecture", "hyperparameters", "targets", "validation", "test"):
            if not entries.get(key):
                raise InputError(f"the entry {key!r} is missing")
        config = cls(
            architecture=str(entries["architecture"]),
            hyperparameters=mapping("hyperparameters", entries["hyperparameters"]),
            targets=files_of_targets("targets", entries["targets"]),
            validation=tuple(map(Region.parse, texts("validation", entries["validation"]))),
            test=tuple(map(Region.parse, texts("test", entries["test"]))),
            contigs=texts("contigs", entries.get("contigs")),
            windows=section("windows", WindowsConfig, entries.get("windows")),
            fit=section("fit", FitConfig, entries.get("fit")),
            motifs=mapping("motifs", entries.get("motifs") or {}),
            motif_filters=texts("motif_filters", entries.get("motif_filters")),
            target_weights=weights("target_weights", entries.get("target_weights") or {}),
            auxiliary=files_of_targets("auxiliary", entries.get("auxiliary") or {}),
            excluded=tuple(map(Region.parse, texts("excluded", entries.get("excluded")))),
            augment=section("augment", AugmentConfig, entries.get("augment")),
            regularise=section("regularise", RegulariseConfig, entries.get("regularise")),
            title=str(entries.get("title") or ""),
            trained_on=str(entries.get("trained_on") or ""),
        )
        config._check()
        return config

    def _check(self) -> None:
        """Refuse entries that are well formed and do not fit together."""
        for name in [*self.targets, *self.auxiliary]:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise InputError(f"targets: a name must be {NAME_RULE}, got {name!r}")
        if twice := sorted(set(self.targets) & set(self.auxiliary)):
            raise InputError(f"auxiliary: {twice} are targets already; give them other names")
        for key in ("motifs", "target_weights"):
            if unknown := sorted(set(getattr(self, key)) - set(self.targets)):
                raise InputError(f"{key}: {unknown} are no targets; targets: {self.target_names}")
        if self.regularise.motif_anchor and not self.motif_filters:
            raise InputError("regularise: motif_anchor: no filter starts as a motif; give motif_filters")
        length = self.hyperparameters.get("length")
        if not isinstance(length, int) or length < self.windows.bin_length:
            raise InputError(
                f"hyperparameters: length: expected a window of at least bin_length "
                f"({self.windows.bin_length}) bp, got {length!r}"
            )
        for one, other in combinations(self.validation + self.test, 2):
            if one.overlaps(other):
                raise InputError(f"validation, test: the regions {one} and {other} overlap")

    def to_yaml(self) -> str:
        """Return the configuration, defaults included, as YAML that `from_yaml` reads."""
        entries = asdict(self)
        for key in ("targets", "auxiliary"):
            entries[key] = {name: list(files) for name, files in getattr(self, key).items()}
        for key in ("validation", "test", "excluded"):
            entries[key] = [str(region) for region in getattr(self, key)]
        for key in ("contigs", "motif_filters"):
            entries[key] = list(getattr(self, key))
        entries["hyperparameters"] = dict(self.hyperparameters)
        for key in ("motifs", "target_weights"):
            entries[key] = dict(getattr(self, key))
        return yaml.safe_dump(entries, sort_keys=False)
