"""A comparison as a YAML file plans it: factors, their levels, and the combinations that are trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.entries import read_yaml

_NAME = re.compile(r"[\w.+-]+", re.ASCII)
_ENTRIES = ("title", "note", "base", "factors", "grid", "seeds")


@dataclass(frozen=True)
class Setting:
    """A row of the table: one level of each factor.

    Attributes
    ----------
    levels
        Factor -> name of its level.
    entries
        Entries of the training configuration, without the seed.
    block
        Place in the plan's grid of the block that it is in.
    """

    levels: Mapping[str, str]
    entries: Mapping[str, Any]
    block: int = 0

    @property
    def name(self) -> str:
        """The levels, joined."""
        return "_".join(self.levels.values())

    def config(self, seed: int) -> TrainingConfig:
        """Training configuration with a seed."""
        return TrainingConfig.from_entries(merged(self.entries, {"fit": {"seed": seed}}))


@dataclass(frozen=True)
class Comparison:
    """Settings to compare, and seeds to train each with.

    Attributes
    ----------
    title, note
        Heading of the page, and what it should say of the data.
    factors
        Names of the factors.
    settings
        Rows of the table; gains are over the first.
    seeds
        Seeds of the runs of every setting.
    """

    title: str
    note: str
    factors: tuple[str, ...]
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]

    def runs(self) -> Iterator[tuple[Setting, int]]:
        """All runs: block by block of the grid, and in a block seed by seed."""
        for block in sorted({setting.block for setting in self.settings}):
            for seed in self.seeds:
                for setting in self.settings:
                    if setting.block == block:
                        yield setting, seed


def read_comparison(path: str | Path) -> Comparison:
    """Read and check the plan of a comparison.

    The entries are `base`, a training configuration; `factors`, factor -> level -> entries that the level
    changes; `grid`, a list of mappings factor -> level or levels, of each of which all combinations are
    trained, a factor that is not named having its first level; `seeds`; `title` and `note`.

    Raises
    ------
    InputError
        The file is missing or no YAML, an entry is missing or unknown, or a configuration is unusable.
    """
    entries = read_yaml(path)
    try:
        return _comparison(entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def merged(entries: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Entries with some of them changed, mappings entry by entry.

    Examples
    --------
    >>> merged({"fit": {"epochs": 3, "seed": 1}, "title": "A"}, {"fit": {"seed": 2}})
    {'fit': {'epochs': 3, 'seed': 2}, 'title': 'A'}
    """
    result = dict(entries)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _comparison(entries: Mapping[str, Any]) -> Comparison:
    if unknown := sorted(set(map(str, entries)) - set(_ENTRIES)):
        raise InputError(f"unknown entries {unknown}; known: {list(_ENTRIES)}")
    for key in ("base", "factors", "grid", "seeds"):
        if not entries.get(key):
            raise InputError(f"the entry {key!r} is missing")
    factors = {str(name): _levels(name, levels) for name, levels in _mapping("factors", entries).items()}
    base = _mapping("base", entries)
    settings: dict[str, Setting] = {}
    blocks = entries["grid"]
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise InputError(f"grid: expected a list of mappings of factors to levels, got {blocks!r}")
    for place, block in enumerate(blocks):
        for chosen in _combinations(block, factors):
            setting = Setting(chosen, _entries(base, factors, chosen), place)
            settings.setdefault(setting.name, setting)
    seeds = entries["seeds"]
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        raise InputError(f"seeds: expected a list of whole numbers, got {seeds!r}")
    comparison = Comparison(
        str(entries.get("title") or "Comparison"),
        str(entries.get("note") or ""),
        tuple(factors),
        tuple(settings.values()),
        tuple(dict.fromkeys(seeds)),
    )
    for setting in comparison.settings:
        try:
            setting.config(comparison.seeds[0])
        except InputError as error:
            raise InputError(f"{setting.name}: {error}") from None
    return comparison


def _mapping(name: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(entries[name], dict):
        raise InputError(f"{name}: expected a mapping, got {entries[name]!r}")
    return dict(entries[name])


def _levels(factor: Any, levels: Any) -> dict[str, Mapping[str, Any]]:
    if not isinstance(levels, dict) or not levels:
        raise InputError(f"factors: {factor}: expected a mapping of levels, got {levels!r}")
    for name, changes in levels.items():
        # Levels make the names of folders.
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"factors: {factor}: a level is letters, digits and _ . + - only, got {name!r}")
        if not isinstance(changes or {}, dict):
            raise InputError(f"factors: {factor}: {name}: expected entries that it changes, got {changes!r}")
    return {name: changes or {} for name, changes in levels.items()}


def _combinations(
    block: Mapping[str, Any], factors: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, str]]:
    """All combinations of the levels in a block of the grid."""
    if unknown := sorted(set(map(str, block)) - set(factors)):
        raise InputError(f"grid: {unknown} are no factors; factors: {list(factors)}")
    choices = []
    for factor, levels in factors.items():
        asked = block.get(factor, next(iter(levels)))
        asked = asked if isinstance(asked, list) else [asked]
        if missing := [level for level in asked if level not in levels]:
            raise InputError(f"grid: {factor} has no levels {missing}; levels: {list(levels)}")
        choices.append(asked)
    for chosen in product(*choices):
        yield dict(zip(factors, chosen, strict=True))


def _entries(
    base: Mapping[str, Any], factors: Mapping[str, Mapping[str, Any]], chosen: Mapping[str, str]
) -> dict[str, Any]:
    entries = dict(base)
    for factor, level in chosen.items():
        entries = merged(entries, factors[factor][level])
    return entries
