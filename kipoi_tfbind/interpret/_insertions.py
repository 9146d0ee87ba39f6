"""Patterns embedded in backgrounds: where each base goes, and the predictions with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, Path, _widths, predict_edits
from kipoi_tfbind.model import SequenceModel
from kipoi_tfbind.motifs import Motif, draw_instances, parse_motif

OnConflict = Literal["refuse", "clip"]


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


# What a user writes: (motif, offset), or an Insertion.
Given = tuple[str | Motif | NDArray, int] | Insertion
Pattern = Sequence[Given]


class Draws:
    """What is embedded in some backgrounds; a motif's draws are made once, wherever they go.

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
        """Draws (background, written position) of `kipoi_tfbind.motifs.draw_instances`."""
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
        Of each motif, which of its written positions are there.
    positions
        0-based positions (written), all different.
    notes
        What was clipped, and why; empty where nothing was.
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
        """Bases (background, written), or (1, written) where they are the same in every background."""
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
        What errors call the pattern.
    pattern
        Motifs and their offsets. Further copies of a motif are drawn anew.
    length
        Length of the backgrounds.
    on_conflict
        What happens to bases outside the background, or where an earlier motif of the pattern lies: "refuse"
        the pattern, or "clip" them off.

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
        parsed = parse_motif(motif)
        seen[parsed.key] = seen.get(parsed.key, -1) + 1
        insertions.append(Insertion(parsed, int(offset), seen[parsed.key]))
    return tuple(insertions)


def check_conflict(on_conflict: str) -> None:
    """Refuse what is no way to deal with bases that have no place."""
    if on_conflict not in ("refuse", "clip"):
        raise InputError(f"on_conflict: expected 'refuse' or 'clip', got {on_conflict!r}")


def pattern_effects(
    model: SequenceModel,
    batch: Batch,
    codes: NDArray[np.uint8],
    patterns: Mapping[str, Placed],
    reference: NDArray,
    *,
    seed: int,
    batch_size: int,
    path: Path = "auto",
    verify: bool = False,
) -> NDArray:
    """Effects (pattern, background, target): the prediction with the pattern minus that without.

    Patterns that write the same bases to the same places are predicted once.
    """
    effect = np.zeros((len(patterns), *reference.shape), dtype=reference.dtype)
    for rows, positions, bases, owners in _groups(patterns, codes, seed):
        for numbers, prediction in _predictions(model, batch, positions, bases, batch_size, path, verify):
            background, pattern = np.divmod(numbers, len(rows))
            effect[rows[pattern], background] = prediction - reference[background]
        for copy, original in owners:
            effect[copy] = effect[original]
    return effect


def _groups(
    patterns: Mapping[str, Placed], codes: NDArray[np.uint8], seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8], list[tuple[int, int]]]]:
    """Patterns that write equally many bases over stretches of about one width, as an edit engine takes them.

    Yields
    ------
    rows, positions, bases, copies
        Numbers of the patterns; their positions (pattern, written); their bases (pattern, background or 1,
        written); and pairs of the numbers of a further pattern and of the one that it equals.
    """
    by_size: dict[tuple[int, int], list[int]] = {}
    placed, draws = list(patterns.values()), Draws(codes, seed)
    for row, each in enumerate(placed):
        width = int(_widths(_one(each.positions), codes.shape[1])[0])
        by_size.setdefault((len(each.positions), width), []).append(row)
    for rows in by_size.values():
        first_of: dict[tuple[bytes, bytes], int] = {}
        chosen, bases, copies = [], [], []
        for row in rows:
            drawn = placed[row].bases(draws)
            original = first_of.setdefault((placed[row].positions.tobytes(), drawn.tobytes()), row)
            if original == row:
                chosen.append(row)
                bases.append(drawn)
            else:
                copies.append((row, original))
        n = max(map(len, bases))
        table = np.stack([np.broadcast_to(part, (n, part.shape[1])) for part in bases])
        yield np.array(chosen), np.stack([placed[row].positions for row in chosen]), table, copies


def _one(positions: NDArray[np.intp]) -> Edits:
    """An edit at these positions."""
    return Edits(
        np.zeros(1, dtype=np.intp), positions[np.newaxis], np.zeros((1, len(positions)), dtype=np.intp)
    )


def _predictions(
    model: SequenceModel,
    batch: Batch,
    positions: NDArray[np.intp],
    bases: NDArray[np.uint8],
    batch_size: int,
    path: Path,
    verify: bool,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Numbers (background-major) of some patterns in backgrounds, and their predictions."""
    n_patterns = len(positions)

    def edits_of(numbers: NDArray[np.intp]) -> Edits:
        background, pattern = np.divmod(numbers, n_patterns)
        drawn = bases[pattern, background if bases.shape[1] > 1 else 0]
        return Edits(background, positions[pattern], drawn.astype(np.intp))

    return predict_edits(
        model,
        batch,
        n_patterns * len(batch),
        edits_of,
        per_sequence=n_patterns,
        path=path,
        verify=verify,
        batch_size=batch_size,
        description="patterns in backgrounds",
    )
