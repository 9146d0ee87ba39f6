"""Necessity: the effect of ablating the occurrences of a motif in real sequences."""

from __future__ import annotations

import os
from typing import Any, Literal, NamedTuple, Unpack, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, predict_edits
from kipoi_tfbind.interpret._paths import EditPath, Paths
from kipoi_tfbind.interpret.global_importance._analyse import Attributes, Labels, length_of, summarise
from kipoi_tfbind.interpret.global_importance._hit_sites import hit_sites
from kipoi_tfbind.interpret.global_importance.effect import Motifs
from kipoi_tfbind.interpret.global_importance.settings import Settings, StatisticsOptions
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motifs
from kipoi_tfbind.motifs.sites import Site, find_sites
from kipoi_tfbind.notices import notice

Replacement = Literal["shuffle", "background"]
_TRIES = 100


class _Ablation(NamedTuple):
    """New bases of one sequence."""

    sequence: int
    positions: NDArray[np.intp]
    bases: NDArray[np.intp]


def motif_necessity(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    motifs: Motifs | None = None,
    *,
    hits: xr.Dataset | str | os.PathLike[str] | None = None,
    replacement: Replacement = "shuffle",
    n_replacements: int = 10,
    threshold: float = 0.85,
    **options: Unpack[StatisticsOptions],
) -> xr.Dataset:
    """Effect of ablating all occurrences of a motif in real sequences, against that of ablating as much else.

    Whether a motif is enough is asked by embedding it; whether it is needed, by taking it away. The effect on
    a sequence is the mean over `n_replacements` of f(without the sites) - f(as it is): negative where the
    sites support the prediction. The control ablates as many windows of the same width at random places of
    the same sequence that touch no site, other places for each replacement; the ``difference`` of a motif is
    its effect minus that of its control, paired by sequence.

    Parameters
    ----------
    model
        As in `global_importance_analysis`.
    sequences
        Dataset with ``one_hot``.
    motifs
        {name: motif}, or a list, as `kipoi_tfbind.motifs.read.parse_motifs` takes them: every occurrence by
        its bases is a site.
    hits
        Instead of motifs, a result of `find_hits` on contributions of these sequences, or the file of one:
        its hits are the sites, and `threshold` is not asked.
    replacement
        Bases that replace those of a site: "shuffle", the same in another order; or "background", bases
        drawn with the frequencies that they have in the sequence.
    n_replacements
        Number of replacements of each site.
    threshold
        As in `kipoi_tfbind.motifs.sites.find_sites`.
    **options
        ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``, as in
        `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`: patterns are the motifs and their controls (``role``
        "ablated" or "control"), backgrounds the sequences; ``n_sites`` (pattern, background).
        Sequences without a site are missing (NaN), and so is a control that has no room.

    Raises
    ------
    InputError
        Fewer than two sequences, no occurrence of any of the motifs, hits in other sequences, neither or
        both of `motifs` and `hits`, or an option that is none.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("GATTACA"))
    >>> sequences = encode_sequences(["CCGATTACACTGTAATC", "TTGATTACATCACCTTA", "CTCTCTTCTTAAAACCT"])
    >>> result = motif_necessity(model, sequences, ["GATTACA"])
    >>> result["pattern_effect"].sel(pattern="GATTACA").isel(target=0).values
    array([-1., -1., nan])
    """
    length_of(sequences)
    if (motifs is None) == (hits is None):
        raise InputError("motifs, hits: expected one of the two")
    if replacement not in ("shuffle", "background"):
        raise InputError(f"replacement: expected 'shuffle' or 'background', got {replacement!r}")
    if n_replacements < 1:
        raise InputError(f"n_replacements: expected at least 1, got {n_replacements}")
    settings = Settings(**options)
    codes = codes_of(sequences["one_hot"].values)
    if hits is not None:
        ids = sequences["id"].values if "id" in sequences.coords else np.arange(len(codes))
        parsed, sites = hit_sites(hits, codes, ids)
    else:
        parsed = parse_motifs(cast("Motifs", motifs))
        sites = {name: find_sites(codes, motif, threshold=threshold) for name, motif in parsed.items()}
        _check_occurrence(sites, len(codes), threshold)
    ablations = [
        _Maker(codes, motif, label, replacement, settings.seed).all(sites[name], n_replacements, is_control)
        for name, motif in parsed.items()
        for label, is_control in ((name, False), (_control(name), True))
    ]

    paths = Paths(settings.path)

    def effects(member: SequenceModel, batch: Batch, prediction: NDArray) -> NDArray:
        path = paths.of(member, batch)
        return np.stack([_mean_effects(path, batch, prediction, each, settings) for each in ablations])

    of_its_own = {
        "replacement": replacement,
        "n_replacements": n_replacements,
        **({"sites": "hits"} if hits is not None else {"sites": "matches", "threshold": threshold}),
    }
    labels = _labels(list(parsed), lambda: {"experiment": "necessity", **of_its_own, **paths.settings()})
    result = summarise(model, sequences, effects, labels, settings)
    counts = [[len(own) for own in sites[name]] for name in parsed for _ in range(2)]
    return schema.annotate(result.assign(n_sites=(("pattern", "background"), np.array(counts))))


def _check_occurrence(sites: dict[str, list[list[Site]]], n: int, threshold: float) -> None:
    """Tell of motifs that do not occur.

    Raises
    ------
    InputError
        None does.
    """
    absent = [name for name, own in sites.items() if not any(own)]
    if not absent:
        return
    problem = f"{', '.join(absent)}: no occurrence in the {n} sequences, on either strand"
    if len(absent) == len(sites):
        raise InputError(
            f"motifs: {problem}; give other motifs, or of a matrix a lower threshold than {threshold:g}"
        )
    notice(f"{problem}; the effect is missing")


def _control(name: str) -> str:
    """Name of the control of a motif."""
    return f"{name}, control"


def _labels(motifs: list[str], attributes: Attributes) -> Labels:
    """Labels of each motif and its control, after each other."""
    names = [label for name in motifs for label in (name, _control(name))]
    return Labels(
        names=names,
        comparisons={name: [_control(name)] for name in motifs},
        coordinates={
            "insertions": [""] * len(names),
            "note": [""] * len(names),
            "motif": [name for name in motifs for _ in range(2)],
            "role": ["ablated", "control"] * len(motifs),
        },
        attributes=attributes,
    )


class _Maker:
    """Makes the ablations of one motif."""

    def __init__(
        self, codes: NDArray[np.uint8], motif: Motif, label: str, replacement: Replacement, seed: int
    ) -> None:
        self._codes, self._width, self._replacement = codes, len(motif), replacement
        self._seeds = content_seeds(codes, seed, f"ablation {label} {motif.key}")

    def all(self, sites: list[list[Site]], n: int, is_control: bool) -> list[_Ablation]:
        """`n` ablations of each sequence that has a site."""
        found = []
        for sequence, own in enumerate(sites):
            rng = np.random.default_rng(self._seeds[sequence])
            starts: list[int] | None = [site.start for site in own]
            for _ in range(n if own else 0):
                if is_control:
                    starts = self._places([site.start for site in own], rng)
                if starts is not None:
                    found.append(self._one(sequence, starts, rng))
        return found

    def _places(self, taken: list[int], rng: np.random.Generator) -> list[int] | None:
        """As many windows elsewhere, apart from each other where the sites are; None without room."""
        room = self._codes.shape[1] - self._width + 1
        for _ in range(_TRIES):
            chosen: list[int] = []
            for start in rng.permutation(room).tolist():
                if all(abs(start - other) >= self._width for other in (*taken, *chosen)):
                    chosen.append(start)
                if len(chosen) == len(taken):
                    return chosen
        return None

    def _one(self, sequence: int, starts: list[int], rng: np.random.Generator) -> _Ablation:
        """New bases for windows; N stays N, and overlapping windows are one."""
        codes = self._codes[sequence]
        new = codes.copy()
        known = codes[codes != N_CODE]
        share = np.bincount(known, minlength=len(BASES)) / max(len(known), 1)
        for start in starts:
            where = start + np.flatnonzero(codes[start : start + self._width] != N_CODE)
            if self._replacement == "shuffle":
                new[where] = rng.permutation(new[where])
            else:
                new[where] = rng.choice(len(BASES), size=len(where), p=share)
        covered = np.unique([start + np.arange(self._width) for start in starts])
        covered = covered[codes[covered] != N_CODE]
        return _Ablation(sequence, covered, new[covered].astype(np.intp))


def _mean_effects(
    path: EditPath,
    batch: Batch,
    prediction: NDArray,
    ablations: list[_Ablation],
    settings: Settings,
) -> NDArray:
    """Mean effect (sequence, target) of the ablations of each sequence; NaN where there is none."""
    total = np.zeros(prediction.shape, dtype=np.float64)
    count = np.zeros(len(prediction), dtype=np.intp)
    by_size: dict[int, list[_Ablation]] = {}
    for each in ablations:
        by_size.setdefault(len(each.positions), []).append(each)
    for group in by_size.values():
        edits = Edits(
            np.array([each.sequence for each in group]),
            np.stack([each.positions for each in group]),
            np.stack([each.bases for each in group]),
        )

        def edits_of(numbers: NDArray[np.intp], edits: Edits = edits) -> Edits:
            return Edits(edits.sequence[numbers], edits.positions[numbers], edits.bases[numbers])

        for numbers, found in predict_edits(
            path,
            batch,
            len(group),
            edits_of,
            per_sequence=len(group) / len(np.unique(edits.sequence)),
            verify=settings.verify,
            batch_size=settings.batch_size,
            description="ablations",
        ):
            sequence = edits.sequence[numbers]
            np.add.at(total, sequence, found.astype(np.float64) - prediction[sequence])
            np.add.at(count, sequence, 1)
    mean = total / np.maximum(count, 1)[:, np.newaxis]
    mean[count == 0] = np.nan
    return mean
