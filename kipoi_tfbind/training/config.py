"""Configuration of a training run, read from a YAML file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.text_files import MAX_DIGITS
from kipoi_tfbind.training.options import OPTION_BOUNDS, AugmentConfig, RegulariseConfig

# Names of targets and of entries become column labels, file names and cells of Kipoi's tables.
NAME = re.compile(r"[A-Za-z][\w.+-]*", re.ASCII)
NAME_RULE = "a letter, then letters, digits and _ . + - only"


_AT_LEAST_ONE = (1, math.inf)
# Of settings that may not be just any number from 0 on.
_BOUNDS = {
    **dict.fromkeys(("bin_length", "stride", "epochs", "batch_size"), _AT_LEAST_ONE),
    "min_overlap": (0.01, 1),
    "max_n": (0, 1),
    "seed": (0, 2**32 - 1),  # what Keras takes
    **OPTION_BOUNDS,
}


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
        Weight in the loss of each auxiliary target; a target has 1.
    seed
        Of everything that is drawn.
    """

    epochs: int = 15
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    jitter: int = 50
    auxiliary_weight: float = 0.2
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
        JASPAR matrix ids that the first filters of the first layer start from; they are trained further.
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
        _check_known(cls, entries)
        for key in ("architecture", "hyperparameters", "targets", "validation", "test"):
            if not entries.get(key):
                raise InputError(f"the entry {key!r} is missing")
        config = cls(
            architecture=str(entries["architecture"]),
            hyperparameters=_mapping("hyperparameters", entries["hyperparameters"]),
            targets=_files_of_targets("targets", entries["targets"]),
            validation=tuple(map(Region.parse, _texts("validation", entries["validation"]))),
            test=tuple(map(Region.parse, _texts("test", entries["test"]))),
            contigs=_texts("contigs", entries.get("contigs")),
            windows=_section("windows", WindowsConfig, entries.get("windows")),
            fit=_section("fit", FitConfig, entries.get("fit")),
            motifs=_mapping("motifs", entries.get("motifs") or {}),
            motif_filters=_texts("motif_filters", entries.get("motif_filters")),
            auxiliary=_files_of_targets("auxiliary", entries.get("auxiliary") or {}),
            excluded=tuple(map(Region.parse, _texts("excluded", entries.get("excluded")))),
            augment=_section("augment", AugmentConfig, entries.get("augment")),
            regularise=_section("regularise", RegulariseConfig, entries.get("regularise")),
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
        if unknown := sorted(set(self.motifs) - set(self.targets)):
            raise InputError(f"motifs: {unknown} are no targets; targets: {self.target_names}")
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
        entries["motifs"] = dict(self.motifs)
        return yaml.safe_dump(entries, sort_keys=False)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read the settings in a YAML file.

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or has no settings.
    """
    path = Path(path)
    try:
        entries = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot read this file ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return _mapping("the file", entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _files_of_targets(name: str, value: Any) -> dict[str, tuple[str, ...]]:
    return {target: _texts(f"{name}: {target}", files) for target, files in _mapping(name, value).items()}


def _check_known(kind: type, entries: Mapping[str, Any]) -> None:
    known = [entry.name for entry in fields(kind)]
    if unknown := sorted(map(str, set(entries) - set(known))):
        raise InputError(f"unknown settings {unknown}; known: {known}")


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name}: expected a mapping of settings, got {value!r}")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """One text or a list of them."""
    texts = [value] if isinstance(value, str) else value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{name}: expected a text or a list of texts, got {value!r}")
    return tuple(texts)


def _section(name: str, kind: type, value: Any) -> Any:
    """Settings that are numbers, each of the type of its default and within its bounds."""
    entries = _mapping(name, value or {})
    try:
        _check_known(kind, entries)
        for entry in fields(kind):
            _check_number(entry.name, entries.get(entry.name, entry.default), type(entry.default))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return kind(**entries)


def _check_number(name: str, value: Any, kind: type) -> None:
    expected = "a whole number" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        # To YAML, 1e-3 is a text.
        hint = "; write it with a point, as in 1.0e-3" if kind is float and isinstance(value, str) else ""
        raise InputError(f"{name}: expected {expected}, got {value!r}{hint}")
    low, high = _BOUNDS.get(name, (0, math.inf))
    if not low <= value <= high:
        bounds = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
        raise InputError(f"{name}: expected {expected} {bounds}, got {value!r}")
