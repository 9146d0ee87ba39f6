"""Patterns embedded in backgrounds: where each base goes, and the predictions with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, edited, predict_edits, rounded_widths
from kipoi_tfbind.interpret._paths import EditPath
from kipoi_tfbind.interpret.global_importance.settings import OnConflict, Settings
from kipoi_tfbind.motifs.motif import Motif, draw_instances
from kipoi_tfbind.motifs.read import parse_motif

# Positions and bases of the motif that a pattern begins with, as bytes.
FirstKey = tuple[bytes, bytes] | None
# So many patterns that begin with the same motif in the same place make it worth to embed that one first.
_SHARED = 8


class Insertion(NamedTuple):
    """A motif at a place.

    Attributes
    ----------
    motif
        The motif.
    offset
        0-based position of its first base in the background.
    instance
        Number of its draw: two copies with the same number are the same sequence.
    """

    motif: Motif
    offset: int
    instance: int = 0


# As users give it: (motif, offset), or an Insertion.
Given = tuple[str | Motif | NDArray, int] | Insertion
Pattern = Sequence[Given]


class Draws:
    """Draws from motifs for some backgrounds, each made once, wherever it is embedded.

    Parameters
    ----------
    codes
        uint8 base codes of the backgrounds (background, position).
    seed
        Of the draws.
    """

    def __init__(self, codes: NDArray[np.uint8], seed: int) -> None:
        self._codes, self._seed = codes, seed
        self._known: dict[tuple[str, bytes, bool, int], NDArray[np.uint8]] = {}

    def of(self, motif: Motif, instance: int) -> NDArray[np.uint8]:
        """Draws (background, embedded position) of `kipoi_tfbind.motifs.motif.draw_instances`."""
        if motif.is_fixed:
            return draw_instances(motif, self._codes)
        key = motif.key, motif.matrix.tobytes(), motif.is_reverse, instance
        if key not in self._known:
            self._known[key] = draw_instances(motif, self._codes, instance=instance, seed=self._seed)
        return self._known[key]


@dataclass(frozen=True)
class Placed:
    """A pattern whose every base has a place.

    Attributes
    ----------
    insertions
        Its motifs.
    columns
        Of each motif, which of its embedded positions are inside the background.
    positions
        0-based positions (embedded), all different.
    notes
        Bases that were clipped, and why; empty where none was.
    """

    insertions: tuple[Insertion, ...]
    columns: tuple[NDArray[np.intp], ...]
    positions: NDArray[np.intp]
    notes: str = ""

    @property
    def text(self) -> str:
        """The motifs and their offsets.

        Examples
        --------
        >>> place("p", [("GATA", 3), ("TTT", 9)], 20).text
        'GATA@3 + TTT@9'
        """
        return " + ".join(
            f"{each.motif.name}{'(-)' if each.motif.is_reverse else ''}@{each.offset}"
            for each in self.insertions
        )

    def bases(self, draws: Draws) -> NDArray[np.uint8]:
        """Bases (background, embedded), or (1, embedded) where they are the same in every background."""
        drawn = [
            draws.of(each.motif, each.instance)[:, columns]
            for each, columns in zip(self.insertions, self.columns, strict=True)
        ]
        n = max(map(len, drawn))
        return np.concatenate([np.broadcast_to(part, (n, part.shape[1])) for part in drawn], axis=1)


def place(name: str, pattern: Pattern, length: int, on_conflict: OnConflict = "refuse") -> Placed:
    """Give every base of a pattern its place.

    Parameters
    ----------
    name
        Name of the pattern in messages.
    pattern
        Motifs and their offsets. Further copies of a motif are drawn anew.
    length
        Length of the backgrounds.
    on_conflict
        Of bases outside the background, or where an earlier motif of the pattern lies: "refuse" the pattern,
        or "clip" them off.

    Raises
    ------
    InputError
        The pattern has no motif; it does not fit and is not to be clipped, or nothing of it is left.

    Examples
    --------
    >>> place("edge", [("GATA", 8)], 10, "clip").positions
    array([8, 9])
    """
    insertions = _numbered(name, pattern)
    taken: dict[int, str] = {}
    kept, notes = [], []
    for each in insertions:
        at = each.offset + each.motif.columns
        outside = (at < 0) | (at >= length)
        covered = np.array([position in taken for position in at.tolist()])
        for bad, reason in ((outside, f"outside the {length} bp"), (covered & ~outside, "")):
            if not bad.any():
                continue
            where = f"{at[bad][0]} to {at[bad][-1]}" if bad.sum() > 1 else f"{at[bad][0]}"
            reason = reason or f"where {taken[int(at[bad][0])]} lies"
            problem = f"{each.motif.name}@{each.offset}: position {where} is {reason}"
            if on_conflict != "clip":
                raise InputError(f"pattern {name!r}: {problem}; move it, or let it be clipped (clip)")
            notes.append(f"{problem}: clipped")
        free = np.flatnonzero(~(outside | covered))
        if not free.size:
            raise InputError(
                f"pattern {name!r}: nothing is left of {each.motif.name}@{each.offset} after clipping"
            )
        taken.update(dict.fromkeys(at[free].tolist(), f"{each.motif.name}@{each.offset}"))
        kept.append(free)
    positions = [
        each.offset + each.motif.columns[columns] for each, columns in zip(insertions, kept, strict=True)
    ]
    return Placed(insertions, tuple(kept), np.concatenate(positions), "; ".join(notes))


def _numbered(name: str, pattern: Pattern) -> tuple[Insertion, ...]:
    """Insertions, further copies of a motif with another instance each."""
    if not len(pattern):
        raise InputError(f"pattern {name!r}: expected at least one (motif, offset), got none")
    seen: dict[str, int] = {}
    insertions = []
    for given in pattern:
        if isinstance(given, Insertion):
            insertions.append(given)
            continue
        try:
            motif, offset = given
        except (TypeError, ValueError):
            raise InputError(f"pattern {name!r}: expected (motif, offset), got {given!r}") from None
        if not isinstance(offset, int | np.integer):
            raise InputError(f"pattern {name!r}: expected a whole number as an offset, got {offset!r}")
        whole_number("offset", offset, least=None)
        parsed = parse_motif(motif)
        seen[parsed.key] = seen.get(parsed.key, -1) + 1
        insertions.append(Insertion(parsed, int(offset), seen[parsed.key]))
    return tuple(insertions)


class Job(NamedTuple):
    """Patterns that are predicted together.

    Attributes
    ----------
    base
        Positions (embedded) and bases (background or 1, embedded) that all of them begin with, if any: they
        are edits of the backgrounds with these, and narrower ones.
    rows
        Numbers of the patterns.
    positions
        Of the further bases (pattern, embedded).
    bases
        (pattern, background or 1, embedded).
    copies
        Pairs of the numbers of a further pattern, and of the one that it equals.
    """

    base: tuple[NDArray[np.intp], NDArray[np.uint8]] | None
    rows: NDArray[np.intp]
    positions: NDArray[np.intp]
    bases: NDArray[np.uint8]
    copies: list[tuple[int, int]]


def pattern_effects(
    path: EditPath,
    batch: Batch,
    codes: NDArray[np.uint8],
    patterns: Mapping[str, Placed],
    prediction: NDArray,
    settings: Settings,
    *,
    share: float = 1.0,
) -> NDArray:
    """Effects (pattern, background, target): the prediction with the pattern minus that without.

    Patterns that embed the same bases in the same places are predicted once. `share` is that of these among
    all patterns of the experiment, so that all parts of it take the same path.
    """
    effect = np.zeros((len(patterns), *prediction.shape), dtype=prediction.dtype)
    for job in _jobs(list(patterns.values()), Draws(codes, settings.seed), codes.shape[1]):
        own = batch if job.base is None else _embedded(batch, *job.base)
        n_patterns = len(job.rows)

        def edits_of(numbers: NDArray[np.intp], job: Job = job, n_patterns: int = n_patterns) -> Edits:
            background, pattern = np.divmod(numbers, n_patterns)
            drawn = job.bases[pattern, background if job.bases.shape[1] > 1 else 0]
            return Edits(background, job.positions[pattern], drawn.astype(np.intp))

        for numbers, found in predict_edits(
            path,
            own,
            n_patterns * len(batch),
            edits_of,
            per_sequence=n_patterns / share,
            sharing=len(batch),
            verify=settings.verify,
            batch_size=settings.batch_size,
            description="patterns in backgrounds",
        ):
            # All patterns of a background after each other: what is kept of it serves them all.
            background, pattern = np.divmod(numbers, n_patterns)
            effect[job.rows[pattern], background] = found - prediction[background]
        for copy, original in job.copies:
            effect[copy] = effect[original]
    return effect


def _jobs(placed: Sequence[Placed], draws: Draws, length: int) -> Iterator[Job]:
    """Put patterns together that an edit engine takes together: as many bases, over about one width."""
    drawn = [each.bases(draws) for each in placed]
    firsts = [_first_key(each, bases) for each, bases in zip(placed, drawn, strict=True)]
    shared = Counter(firsts)
    groups: dict[tuple[FirstKey, int, int], list[int]] = {}
    for row, each in enumerate(placed):
        n_first = len(each.columns[0])
        first: FirstKey = firsts[row]
        rest = each.positions[n_first:]
        is_narrower = first is not None and _width(rest, length) < _width(each.positions, length)
        if shared[first] < _SHARED or not is_narrower:
            first, rest = None, each.positions
        groups.setdefault((first, len(rest), _width(rest, length)), []).append(row)
    for (first, n_rest, _), rows in groups.items():
        base = None
        if first is not None:
            n_first = len(placed[rows[0]].columns[0])
            base = placed[rows[0]].positions[:n_first], drawn[rows[0]][:, :n_first]
        parts = {row: (placed[row].positions[-n_rest:], drawn[row][:, -n_rest:]) for row in rows}
        chosen, copies = _distinct(parts)
        n = max(len(parts[row][1]) for row in chosen)
        bases = np.stack([np.broadcast_to(parts[row][1], (n, n_rest)) for row in chosen])
        yield Job(base, np.array(chosen), np.stack([parts[row][0] for row in chosen]), bases, copies)


def _first_key(placed: Placed, bases: NDArray[np.uint8]) -> FirstKey:
    """Positions and bases of the first motif of several; None where there is only one."""
    n_first = len(placed.columns[0])
    if len(placed.insertions) < 2:
        return None
    return placed.positions[:n_first].tobytes(), bases[:, :n_first].tobytes()


def _distinct(
    parts: Mapping[int, tuple[NDArray[np.intp], NDArray[np.uint8]]],
) -> tuple[list[int], list[tuple[int, int]]]:
    """Patterns that differ, and the others with the one that each equals."""
    first_of: dict[tuple[bytes, bytes], int] = {}
    chosen, copies = [], []
    for row, (positions, bases) in parts.items():
        original = first_of.setdefault((positions.tobytes(), bases.tobytes()), row)
        if original == row:
            chosen.append(row)
        else:
            copies.append((row, original))
    return chosen, copies


def _width(positions: NDArray[np.intp], length: int) -> int:
    """Width of the edits that an edit at these positions is predicted with."""
    return int(rounded_widths(np.array([np.ptp(positions) + 1]), length)[0])


def _embedded(batch: Batch, positions: NDArray[np.intp], bases: NDArray[np.uint8]) -> Batch:
    """The backgrounds with bases (background or 1, embedded) at some positions."""
    everyone = np.arange(len(batch))
    shape = (len(batch), len(positions))
    return edited(batch, Edits(everyone, np.broadcast_to(positions, shape), np.broadcast_to(bases, shape)))
