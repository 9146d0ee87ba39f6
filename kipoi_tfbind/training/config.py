"""What a training run is made of, read from a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from kipoi_tfbind.errors import InputError

SPLITS = ("train", "validation", "test")


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
        match = re.fullmatch(r"(\S+):([\d,]+)-([\d,]+)", str(text))
        if match is None:
            raise InputError(f"region {text!r}: expected CONTIG:START-END, 0-based and half-open")
        start, end = (int(number.replace(",", "")) for number in match.groups()[1:])
        if start >= end:
            raise InputError(f"region {text!r}: the start must lie before the end")
        return cls(match[1], start, end)

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start}-{self.end}"


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
    max_n
        Largest share of N in a window.
    """

    bin_length: int = 200
    stride: int = 100
    min_overlap: float = 0.5
    gc_matched: float = 1.0
    random: float = 1.0
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
    seed
        Of everything that is drawn.
    """

    epochs: int = 15
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    jitter: int = 50
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
    contigs
        Contigs to train on; all that carry peaks when empty.
    motifs
        Target name -> JASPAR matrix id of the motif baseline.
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

    @classmethod
    def from_yaml(cls, path: str | Path) -> TrainingConfig:
        """Read and check a configuration.

        Raises
        ------
        InputError
            If the file is missing, is not YAML, or has an entry that is missing, unknown or unusable.
        """
        path = Path(path)
        try:
            entries = yaml.safe_load(path.read_text())
        except FileNotFoundError:
            raise InputError(f"{path}: no such configuration file") from None
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(entries, dict):
            raise InputError(f"{path}: expected a mapping of settings, got {type(entries).__name__}")
        try:
            return cls._from_entries(entries)
        except (InputError, TypeError) as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def _from_entries(cls, entries: dict[str, Any]) -> TrainingConfig:
        entries = dict(entries)
        for key in ("architecture", "hyperparameters", "targets", "validation", "test"):
            if not entries.get(key):
                raise InputError(f"the entry {key!r} is missing")
        if "length" not in entries["hyperparameters"]:
            raise InputError("hyperparameters: the entry 'length' (bp) is missing")
        entries["targets"] = {
            name: tuple([files] if isinstance(files, str) else files)
            for name, files in entries["targets"].items()
        }
        for key in ("validation", "test"):
            entries[key] = tuple(Region.parse(region) for region in entries[key])
        entries["contigs"] = tuple(entries.get("contigs", ()))
        entries["windows"] = _section(WindowsConfig, entries.get("windows"))
        entries["fit"] = _section(FitConfig, entries.get("fit"))
        return cls(**entries)

    def to_yaml(self) -> str:
        """Return the configuration, defaults included, as YAML that `from_yaml` reads."""
        entries = asdict(self)
        entries["targets"] = {name: list(files) for name, files in self.targets.items()}
        for key in ("validation", "test"):
            entries[key] = [str(region) for region in getattr(self, key)]
        entries["contigs"] = list(self.contigs)
        entries["hyperparameters"] = dict(self.hyperparameters)
        entries["motifs"] = dict(self.motifs)
        return yaml.safe_dump(entries, sort_keys=False)


def _section(kind: type, entries: dict[str, Any] | None) -> Any:
    unknown = set(entries or {}) - {entry.name for entry in fields(kind)}
    if unknown:
        raise InputError(
            f"unknown settings {sorted(unknown)}; known: {[entry.name for entry in fields(kind)]}"
        )
    return kind(**(entries or {}))
