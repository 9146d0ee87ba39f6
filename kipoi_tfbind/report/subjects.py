"""Which sequences a report shows, and in which results each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.files import pieces
from kipoi_tfbind.results.view import find, prediction_strength

_AT_ONCE = 256  # sequences
_IDENTITY = ("id", "chrom", "start", "end", "strand")


@dataclass(frozen=True)
class Appearance:
    """One sequence and target of one result.

    Attributes
    ----------
    result
        Index of the result.
    sequence, target
        Indices in the result.
    """

    result: int
    sequence: int
    target: int


@dataclass
class Subject:
    """A sequence, wherever it appears among the results.

    Attributes
    ----------
    appearances
        Where it appears; more than one target of a result where several are asked for.
    score
        Largest prediction for it, for the order.
    """

    appearances: list[Appearance] = field(default_factory=list)
    score: float = -np.inf


def find_subjects(results: Sequence[xr.Dataset], targets: Sequence[str] | None = None) -> list[Subject]:
    """Find every sequence of the results, those with the largest prediction first.

    The same id, coordinates and letters make the same sequence. A prediction counts as it is
    where it is a logit or a probability, so that bound sequences come first; a raw output counts by its
    magnitude.

    Parameters
    ----------
    results
        Results of any method.
    targets
        Names of the targets to show; by default each sequence's own one of the largest prediction.
    """
    known: dict[tuple[str, ...], list[Subject]] = {}
    codes = [_codes(result) for result in results]
    positions = [result["position"].values for result in results]
    for index, result in enumerate(results):
        chosen = [find(result, "target", "target", name) for name in targets or () if _has(result, name)]
        if targets and not chosen:
            continue
        scores = prediction_strength(result)
        identity = [result[name].values.astype(str) for name in _IDENTITY if name in result.coords]
        for sequence in range(result.sizes["sequence"]):
            alike = known.setdefault(tuple(str(values[sequence]) for values in identity), [])
            subject = next((s for s in alike if _agree(s, index, sequence, codes, positions)), None)
            if subject is None:
                subject = Subject()
                alike.append(subject)
            here = chosen or [int(scores[sequence].argmax())]
            subject.appearances += [Appearance(index, sequence, target) for target in here]
            subject.score = max(subject.score, float(scores[sequence, here].max()))
    everyone = [subject for alike in known.values() for subject in alike]
    return sorted(everyone, key=lambda subject: -subject.score)


def _agree(
    subject: Subject, result: int, sequence: int, codes: list[NDArray], positions: list[NDArray]
) -> bool:
    """Whether a sequence of a result has the letters of a subject wherever both are known.

    Two sequences of one result are two subjects, whatever they have in common.
    """
    for other in subject.appearances:
        if other.result == result:
            return False
        _, mine, theirs = np.intersect1d(
            positions[result], positions[other.result], assume_unique=True, return_indices=True
        )
        if (codes[result][sequence, mine] != codes[other.result][other.sequence, theirs]).any():
            return False
    return True


def _codes(result: xr.Dataset) -> NDArray[np.uint8]:
    """Base codes (sequence, position), read a few sequences at a time."""
    parts = pieces(result[["one_hot"]], _AT_ONCE)
    return np.concatenate(
        [codes_of(part["one_hot"].transpose("sequence", "position", "base").values) for part in parts]
    )


def _has(result: xr.Dataset, target: str) -> bool:
    return target in map(str, result["target"].values)


def check_targets(results: Sequence[xr.Dataset], targets: Sequence[str] | None) -> None:
    """Check that each target is in one of the results.

    Raises
    ------
    InputError
        It is not.
    """
    there = list(dict.fromkeys(str(name) for result in results for name in result["target"].values))
    for name in targets or ():
        if name not in there:
            listed = ", ".join(there[:10]) + (", ..." if len(there) > 10 else "")
            raise InputError(f"targets: none of the results has the target {name!r}; they have {listed}")
