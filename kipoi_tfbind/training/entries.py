"""Entries of YAML files: read, and refused in one line where they are not what is expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.options import OPTION_BOUNDS

_AT_LEAST_ONE = (1, math.inf)
# Of settings that may not be just any number from 0 on.
_BOUNDS = {
    **dict.fromkeys(("bin_length", "stride", "epochs", "batch_size"), _AT_LEAST_ONE),
    "min_overlap": (0.01, 1),
    "max_n": (0, 1),
    "balance": (0, 1),
    "seed": (0, 2**32 - 1),  # what Keras takes
    **OPTION_BOUNDS,
}


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
        return mapping("the file", entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def files_of_targets(name: str, value: Any) -> dict[str, tuple[str, ...]]:
    """Target -> names of its files."""
    return {target: texts(f"{name}: {target}", files) for target, files in mapping(name, value).items()}


def check_known(kind: type, entries: Mapping[str, Any]) -> None:
    """Refuse entries that are no field of a dataclass."""
    known = [entry.name for entry in fields(kind)]
    if unknown := sorted(map(str, set(entries) - set(known))):
        raise InputError(f"unknown settings {unknown}; known: {known}")


def mapping(name: str, value: Any) -> dict[str, Any]:
    """A mapping, or a refusal."""
    if not isinstance(value, dict):
        raise InputError(f"{name}: expected a mapping of settings, got {value!r}")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """One text or a list of them."""
    several = [value] if isinstance(value, str) else value or []
    if not isinstance(several, list) or not all(isinstance(text, str) for text in several):
        raise InputError(f"{name}: expected a text or a list of texts, got {value!r}")
    return tuple(several)


def weights(name: str, value: Any) -> dict[str, float]:
    """Target -> its weight, above 0."""
    entries = mapping(name, value)
    for target, weight in entries.items():
        _check_number(f"{name}: {target}", weight, float)
        if not 0 < weight < math.inf:
            raise InputError(f"{name}: {target}: expected a number above 0, got {weight!r}")
    return entries


def section(name: str, kind: type, value: Any) -> Any:
    """Settings that are numbers, each of the type of its default and within its bounds."""
    entries = mapping(name, value or {})
    try:
        check_known(kind, entries)
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
